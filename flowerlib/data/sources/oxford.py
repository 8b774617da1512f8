"""Oxford's 102 flowers: names, labels and splits as facts, and the photos that go with them."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowerlib.data.file_counts import FileCounts
from flowerlib.data.folders import listing
from flowerlib.data.folders.listing import Listing
from flowerlib.data.sources import archives, downloads
from flowerlib.support.errors import InputError

if TYPE_CHECKING:
    from flowerlib.data.splits import Splits

TOTAL = 8189
NAME = re.compile(r"image_(\d{5})\.jpg")
URL = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
ARCHIVE, ARCHIVE_SIZE = "102flowers.tgz", 344_862_509
MD5 = "52808999861908f626f3c1f4e79d11fa"  # as published; torchvision's Flowers102 has the same


def facts() -> dict[str, Any]:
    """The 102 names, each photo's class and both splits, as plain data."""
    text = Path(__file__).with_name("flowers102.json").read_text(encoding="utf-8")
    return json.loads(text)


def flowers(folder: Path, split: str) -> Splits:
    """The photos below `folder`, in the "udacity" or "official" split; file names hold numbers.

    Raises:
        InputError: the set is not complete.
    """
    from flowerlib.data.photos import Photos  # torch; a download does without
    from flowerlib.data.splits import Splits

    known = facts()
    names = tuple(known["names"])
    label_of = {
        number: label - 1
        for first, last, label in known["runs"]
        for number in range(first, last + 1)
    }
    found = listing.read(folder)
    paths = _photos(found)
    if missing := _missing(paths):
        raise InputError(f"{folder} {missing}; remove it and run `flowerlib download flowers`.")
    listed = {part: set(ids) for part, ids in known[split].items()}
    others = label_of.keys() - set().union(*listed.values())
    every = Photos([paths[i] for i in label_of], [*label_of.values()], names)
    train, valid, test = (
        every.subset(np.array(sorted(listed.get(part, others))) - 1)
        for part in ("train", "valid", "test")
    )
    used = {paths[i] for i in label_of}
    left_out = {kind: len(files) for kind, files in found.left_out.items()}
    if strangers := found.folder.count() - len(used):
        left_out["not named as Oxford's are"] = strangers
    counts = FileCounts(len(used), left_out)
    origin = f"Oxford 102, {split} split"
    return Splits(train, valid, test, names, "flowers", "photos", origin, counts)


def download(root: Path, folder: Path) -> Path:
    """Brings the photos to `folder`; what is there is not fetched again.

    Args:
        root: where the archive is put, or found.
        folder: gets jpg/image_XXXXX.jpg, as torchvision has them.

    Raises:
        InputError: the archive cannot be had, is not the published one, or cannot be written.
    """
    if not folder.is_dir() or find_missing(folder) is not None:
        archive = folder / ARCHIVE  # where torchvision puts it
        if not archive.is_file():
            archive = root / ARCHIVE
        with downloads.bar(ARCHIVE) as progress:
            downloads.fetch(URL + ARCHIVE, archive, md5=MD5, size=ARCHIVE_SIZE, progress=progress)
        archives.extract(archive, folder, find_missing=find_missing)
    return folder


def find_missing(folder: Path) -> str | None:
    """What a folder lacks of the whole data set, by count; None if nothing."""
    return _missing(_photos(listing.read(folder)))


def _missing(paths: dict[int, str]) -> str | None:
    found = len(paths.keys() & range(1, TOTAL + 1))
    return None if found == TOTAL else f"holds {found:,} of the {TOTAL:,} flower photos"


def _photos(found: Listing) -> dict[int, str]:
    """Path by number of every photo that is named as Oxford named them."""
    named = ((NAME.fullmatch(os.path.basename(path)), path) for path in found.folder.below())
    return {int(match[1]): path for match, path in named if match}
