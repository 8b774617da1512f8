"""Photos with labels, and splits of them: from folders, named sets and drawn data.

Most of it needs torch, which takes seconds to import. So each name is imported when it is first
asked for, and the command line can list, check and refuse files at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowerlib.data.file_counts import FileCounts
    from flowerlib.data.folders.reading import image_folder
    from flowerlib.data.labeled import labeled_folder, labeled_photos
    from flowerlib.data.loading import BalancedOrder, Order, class_weights, loader
    from flowerlib.data.photos import Photos, join
    from flowerlib.data.records.building import (
        from_arrays,
        from_file_names,
        from_items,
        from_shards,
        from_table,
    )
    from flowerlib.data.records.datasets import from_dataset
    from flowerlib.data.saving import to_folders
    from flowerlib.data.sets import (
        beds_and_sofas,
        cifar10,
        dogs_vs_cats,
        flowers,
        folder_of,
        from_name,
        garden,
    )
    from flowerlib.data.sources.named_sets import download, find, home
    from flowerlib.data.splits import Splits
    from flowerlib.data.views import RandomViews, Views

__all__ = [
    "BalancedOrder",
    "FileCounts",
    "Order",
    "Photos",
    "RandomViews",
    "Splits",
    "Views",
    "beds_and_sofas",
    "cifar10",
    "class_weights",
    "dogs_vs_cats",
    "download",
    "find",
    "flowers",
    "folder_of",
    "from_arrays",
    "from_dataset",
    "from_file_names",
    "from_items",
    "from_name",
    "from_shards",
    "from_table",
    "garden",
    "home",
    "image_folder",
    "join",
    "labeled_folder",
    "labeled_photos",
    "loader",
    "to_folders",
]

_MODULES = (
    "file_counts",
    "sources.named_sets",
    "photos",
    "splits",
    "views",
    "loading",
    "saving",
    "folders.reading",
    "records.building",
    "records.datasets",
    "labeled",
    "sets",
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> object:
    """Looks for a name of `__all__` in the modules, those without torch first."""
    if name in __all__:
        for module in _MODULES:
            found = getattr(importlib.import_module(f"flowerlib.data.{module}"), name, None)
            if found is not None:
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
