"""Writes splits as folders, one for each part and class, as torchvision and others read them.

Shown in: notebooks/01_cat_or_dog
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from flowerlib.data.contents import Files
from flowerlib.data.decoding import images
from flowerlib.data.photos import Photos
from flowerlib.data.splits import Splits
from flowerlib.support import storage
from flowerlib.support.errors import InputError, reason

# Signs that some file system forbids; a leading dot hides, one at the end is lost on Windows.
NO_FOLDER = re.compile(r'[/\\:*?"<>|]|^\.|[. ]$')


def to_folders(splits: Splits, folder: Path | str) -> Path:
    """Writes every picture into `folder/PART/CLASS/NUMBER`, whole or not at all.

    Drawn pictures become PNG files, which keep every pixel; photos are copied as they are. What is
    written can be read by `image_folder` and by `torchvision.datasets.ImageFolder`.

    Args:
        splits: their parts are the folders train, valid and, where there is one, test.
        folder: a new folder, or an empty one.

    Raises:
        InputError: the folder is not empty or cannot be written, or a class name cannot be the
            name of a folder.
    """
    splits = Splits.expected(splits, "to_folders")
    folder = storage.expand(folder)
    for name in splits.class_names:
        if NO_FOLDER.search(name):
            raise InputError(f"The class {name!r} cannot be the name of a folder; rename it.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not empty; choose a new folder.")
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".folders.") as made:
            whole = Path(made, "whole")
            for part in ("train", "valid", "test"):
                if (photos := getattr(splits, part)) is not None:
                    _write(photos, whole / part)
            whole.replace(folder)
    except OSError as problem:
        raise InputError(f"Cannot write {folder}: {reason(problem)}.") from None
    return folder


def _write(photos: Photos, folder: Path) -> None:
    for name in photos.class_names:
        (folder / name).mkdir(parents=True)
    digits = max(4, len(str(len(photos))))
    for index in range(len(photos)):
        place = folder / photos.class_name(index) / f"{index + 1:0{digits}}"
        if isinstance(photos.contents, Files):
            path = Path(photos.contents.paths[index])
            shutil.copyfile(path, place.with_suffix(path.suffix))
        elif (content := photos.contents.content(index)) is not None:
            ending = Path(photos.name(index)).suffix.lower()
            # A row of a table has no ending, which no reader of folders needs.
            place.with_suffix(ending if ending in images.SUFFIXES else "").write_bytes(content)
        else:
            photos.image(index).save(place.with_suffix(".png"))
