"""Beds and sofas: furniture in rooms, seen from where a person would stand."""

from flowerlib.garden.furniture.picture import CLASS_NAMES, draw

__all__ = ["CLASS_NAMES", "draw"]
