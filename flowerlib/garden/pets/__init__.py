"""Cats and dogs: soft three-dimensional animals in living rooms, on sofas, in gardens."""

from flowerlib.garden.pets.picture import CLASS_NAMES, draw

__all__ = ["CLASS_NAMES", "draw"]
