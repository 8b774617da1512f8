"""What a frozen backbone makes of photos: computed fast, once, and cached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowerlib.features.extraction import SHARD, Features, extract

if TYPE_CHECKING:
    from flowerlib.features.extractor import FeatureExtractor

__all__ = ["SHARD", "FeatureExtractor", "Features", "extract"]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> object:
    """Imports what needs scikit-learn when it is first asked for."""
    if name == "FeatureExtractor":
        from flowerlib.features.extractor import FeatureExtractor

        return FeatureExtractor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
