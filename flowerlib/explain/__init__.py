"""Why a classifier answers as it does."""

from flowerlib.explain.heat_maps import nearest

__all__ = [
    "nearest",
]
