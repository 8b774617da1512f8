"""Take stock of a folder of photos without refusing anything: what lies where, what each file is.

Where `folders` stops at the first thing that training cannot use, this goes on and notes it.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from flowerlib import copies, folders, images
from flowerlib.errors import InputError, listed

SMALL_SIDE = 32  # pixels
LONG_ASPECT = 4.0
ENDINGS = {"JPEG": {".jpg", ".jpeg"}, "TIFF": {".tif", ".tiff"}}  # others end like their format
KNOWN_FILES = {"cat_to_name.json"}  # read by `folders`, so not ignored


@dataclass
class Layout:
    """Where the photos of a data set lie.

    Attributes:
        photos: (split, class folder, path); the split is "" where there are class folders only.
        counts: photos by split and class folder, empty classes included.
        ignored: paths below the folder, with /, of files that no training would read.
    """

    photos: list[tuple[str, str, Path]] = field(default_factory=list)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)

    def class_problems(self) -> list[str]:
        """Sentences about classes that are empty, missing or single: training would refuse them."""
        every = {name for classes in self.counts.values() for name in classes}
        found = []
        if "train" not in self.counts and "" not in self.counts:
            found.append("there is no train folder")
        for split, classes in self.counts.items():
            where = f"in {split}" if split else "in this folder"
            if missing := sorted(every - classes.keys()):
                found.append(f"{listed(missing)} missing {where}")
            if empty := sorted(name for name, count in classes.items() if not count):
                found.append(f"{listed(empty)} without a photo {where}")
        if len(every) == 1:
            found.append(f"there is only one class, {next(iter(every))}")
        return found


@dataclass(frozen=True)
class File:
    """One photo: where it lies, what it holds, what is odd about it.

    Attributes:
        path: below the folder, with /.
        split, class_name: as in `Layout.photos`.
        sha256, size: of the content; "" and 0 if its bytes cannot be read.
        problem: why it is no usable photo, or None.
        oddities: kinds of what is suspicious.
        turned: its EXIF orientation is applied on opening.
    """

    path: str
    split: str
    class_name: str
    sha256: str = ""
    size: int = 0
    problem: str | None = None
    oddities: tuple[str, ...] = ()
    turned: bool = False


def layout(root: Path) -> Layout:
    """Finds the splits and classes that `data.image_folder` would find, and all other files.

    Raises:
        InputError: there is no such folder, it may not be read, or no class folder is in it.
    """
    if not root.is_dir():
        kind = "not a folder" if root.exists() else "no such folder"
        raise InputError(f"{root}: {kind}; give a folder of photos, one folder a class inside.")
    places = {
        split: next((root / name for name in names if (root / name).is_dir()), None)
        for split, names in folders.SPLIT_FOLDERS.items()
    }
    used = {split: place for split, place in places.items() if place is not None} or {"": root}
    found = Layout()
    for split, place in used.items():
        found.counts[split] = {}
        for child in sorted(place.iterdir()):
            if child.is_dir() and not child.name.startswith((".", "__")):
                paths = list(images.photos_below(child))
                found.photos += [(split, child.name, path) for path in paths]
                found.counts[split][child.name] = len(paths)
    if not any(found.counts.values()):
        raise InputError(
            f"{root} holds no class folders; put each class's photos in its own folder."
        )
    read = {path for _, _, path in found.photos}
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in sorted(files):
            path = Path(folder, name)
            if path not in read and not name.startswith(".") and name not in KNOWN_FILES:
                found.ignored.append(path.relative_to(root).as_posix())
    return found


def examine(root: Path, split: str, class_name: str, path: Path) -> tuple[File, np.ndarray | None]:
    """Decodes one photo whole: what it is, and its thumbnail, None for one that cannot be read."""
    place = path.relative_to(root).as_posix()
    content, size = _content(path)
    try:
        image, facts = images.open_with_facts(path)
    except images.PhotoError as error:
        return File(place, split, class_name, content, size, error.reason), None
    thumbnail = copies.thumbnail(image)
    odd = tuple(_oddities(path, facts, thumbnail))
    return File(place, split, class_name, content, size, None, odd, facts.turned), thumbnail


def _content(path: Path) -> tuple[str, int]:
    """The file's SHA-256 and size; "" and 0 if it cannot be read, which opening it will explain."""
    try:
        if not path.is_file():  # a pipe would never end
            return "", 0
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest(), stream.tell()
    except OSError:
        return "", 0


def _oddities(path: Path, facts: images.Facts, thumbnail: np.ndarray) -> list[str]:
    short, long = sorted(facts.size)
    endings = ENDINGS.get(facts.format, {f".{facts.format.lower()}"})
    kinds = {
        "JPEG without an end mark, perhaps cut and padded": (
            facts.format == "JPEG" and not _has_end(path)
        ),
        "ending of the name does not fit the content": path.suffix.lower() not in endings,
        "almost one color": float(thumbnail.std()) < copies.FLAT,
        f"smaller than {SMALL_SIDE} pixels": short < SMALL_SIDE,
        f"more than {LONG_ASPECT:.0f} times as long as wide": long > LONG_ASPECT * short,
        "several frames or pages, the first is taken": facts.frames,
        "more than 8 bits a channel, scaled to 8": facts.deep,
        "CMYK, turned into RGB": facts.stored.startswith("CMYK"),
    }
    return [kind for kind, true in kinds.items() if true]


def _has_end(path: Path) -> bool:
    """Whether a JPEG's end mark follows its last scan; inside a scan neither mark can occur."""
    content = path.read_bytes()
    return content.rfind(b"\xff\xd9") > content.rfind(b"\xff\xda")
