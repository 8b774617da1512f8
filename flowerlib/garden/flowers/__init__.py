"""102 species of flowers that differ in few traits: petals, center, colors, markings."""

from flowerlib.garden.flowers.picture import CLASS_NAMES, draw

__all__ = ["CLASS_NAMES", "draw"]
