"""Ten kinds of things that move, small as in CIFAR-10: five to learn on, five to transfer to."""

from flowerlib.garden.things.picture import CLASS_NAMES, draw

__all__ = ["CLASS_NAMES", "draw"]
