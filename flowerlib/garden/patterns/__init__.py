"""Patterns that only pretrain the small backbones: nothing that a lesson shows."""

from flowerlib.garden.patterns.picture import CLASS_NAMES, draw

__all__ = ["CLASS_NAMES", "draw"]
