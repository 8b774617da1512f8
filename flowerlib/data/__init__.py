"""Photos with labels, and splits of them: from folders, named sets and drawn data."""

from flowerlib.data.folders.listing import FileCounts
from flowerlib.data.folders.reading import image_folder, labelled_folder, labelled_photos
from flowerlib.data.photos import Photos, RandomViews, Splits, Views, join, loader
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

__all__ = [
    "FileCounts",
    "Photos",
    "RandomViews",
    "Splits",
    "Views",
    "beds_and_sofas",
    "cifar10",
    "dogs_vs_cats",
    "download",
    "find",
    "flowers",
    "folder_of",
    "from_name",
    "garden",
    "home",
    "image_folder",
    "join",
    "labelled_folder",
    "labelled_photos",
    "loader",
    "to_folders",
]
