"""Oxford's 102 flowers: names, labels and splits as facts, and the photos that go with them."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np

from flowerlib import archives, downloads, listing, matlab
from flowerlib.errors import InputError
from flowerlib.listing import FileCounts, Listing
from flowerlib.photos import Photos, Splits

TOTAL = 8189
NAME = re.compile(r"image_(\d{5})\.jpg")
URL = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
ARCHIVE, ARCHIVE_SIZE = "102flowers.tgz", 344_862_509
MD5 = {  # as published; torchvision's Flowers102 has the same
    ARCHIVE: "52808999861908f626f3c1f4e79d11fa",
    "imagelabels.mat": "e0620be6f572b9609742df49c70aed4d",
    "setid.mat": "a5357ecc9cb78c4bef273ce3793fc85c",
}


def facts() -> dict:
    """The 102 names, each photo's class and the Udacity split, as plain data."""
    text = Path(__file__).with_name("flowers102.json").read_text(encoding="utf-8")
    return json.loads(text)


def flowers(folder: Path, split: str) -> Splits:
    """The photos below `folder`, in the "udacity" or "official" split; file names hold numbers.

    Raises:
        InputError: the set is not complete, or the official split's file is missing.
    """
    known = facts()
    names = tuple(known["names"])
    label_of = {
        number: label - 1
        for first, last, label in known["runs"]
        for number in range(first, last + 1)
    }
    found = listing.read(folder)
    paths = _photos(found)
    if lacking := _lack(paths):
        raise InputError(f"{folder} {lacking}; remove it and run `flowerlib download flowers`.")
    valid, test = set(known["udacity_valid"]), set(known["udacity_test"])
    train = set(label_of) - valid - test
    if split == "official":
        train, valid, test = _official_split(folder)
    every = Photos([paths[i] for i in label_of], [*label_of.values()], names)
    parts = [every.subset(np.array(sorted(ids)) - 1) for ids in (train, valid, test)]
    used = {paths[i] for i in label_of}
    left_out = {kind: len(others) for kind, others in found.left_out.items()}
    if others := found.folder.count() - len(used):
        left_out["not named as Oxford's are"] = others
    counts = FileCounts(len(used), left_out)
    origin = f"Oxford 102, {split} split"
    return Splits(parts[0], parts[1], parts[2], names, "flowers", "real", origin, counts)


def _official_split(folder: Path) -> tuple[set[int], set[int], set[int]]:
    file = folder / "setid.mat"
    if not file.is_file():
        raise InputError(
            f"The official split needs {file}, which comes with `flowerlib download flowers`; "
            "use the udacity split, or put it there."
        )
    ids = matlab.numbers(file)
    try:
        first, second, third = ({int(i) for i in ids[key]} for key in ("trnid", "valid", "tstid"))
    except KeyError as problem:
        raise InputError(f"{file} lacks the list {problem}; remove it and get it again.") from None
    return first, second, third


def download(root: Path, folder: Path) -> Path:
    """Brings the photos and Oxford's lists to `folder`; what is there and right is not fetched.

    Args:
        root: where the archive is put, or found.
        folder: gets jpg/image_XXXXX.jpg, imagelabels.mat and setid.mat, as torchvision has them.

    Raises:
        InputError: a file cannot be had, is not the published one, or cannot be written.
    """
    if not folder.is_dir() or lack(folder) is not None:
        archive = folder / ARCHIVE  # where torchvision puts it
        if not archive.is_file():
            archive = root / ARCHIVE
        with downloads.bar(ARCHIVE) as progress:
            downloads.fetch(
                URL + ARCHIVE, archive, md5=MD5[ARCHIVE], size=ARCHIVE_SIZE, progress=progress
            )
        archives.extract(archive, folder, lack=lack)
    for name in ("imagelabels.mat", "setid.mat"):
        downloads.fetch(URL + name, folder / name, md5=MD5[name])
    return folder


def lack(folder: Path) -> str | None:
    """What a folder lacks of the whole data set, by count; None if nothing."""
    return _lack(_photos(listing.read(folder)))


def _lack(paths: dict[int, str]) -> str | None:
    found = len(paths.keys() & range(1, TOTAL + 1))
    return None if found == TOTAL else f"holds {found:,} of the {TOTAL:,} flower photos"


def _photos(found: Listing) -> dict[int, str]:
    """Path by number of every photo that is named as Oxford named them."""
    named = ((NAME.fullmatch(os.path.basename(path)), path) for path in found.folder.below())
    return {int(match[1]): path for match, path in named if match}
