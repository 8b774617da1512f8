"""What a frozen backbone makes of photos: computed fast, once, and kept."""

from flowerlib.features.extraction import SHARD, Features, extract

__all__ = [
    "SHARD",
    "Features",
    "extract",
]
