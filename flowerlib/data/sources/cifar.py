"""CIFAR-10: from its published archive to folders of pictures."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from flowerlib.data.sources import archives, downloads

# The binary edition: one byte of label and 3072 of pixels a picture. The edition for Python holds
# the same pictures as pickles, which nobody needs to open.
URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
SIZE = 170_052_171

CLASSES = "airplane automobile bird cat deer dog frog horse ship truck".split()
BATCHES = {"train": [f"data_batch_{n}.bin" for n in range(1, 6)], "test": ["test_batch.bin"]}
COUNTS = {"train": 5000, "test": 1000}  # of each class
RECORD = 1 + 3 * 32 * 32


def download(root: Path) -> Path:
    """Brings CIFAR-10 to `root`/cifar10: {train,test}/CLASS/NUMBER.png, 60,000 pictures.

    The archive stays in `root`.

    Raises:
        InputError: the archive cannot be had, or the folder cannot be written.
    """
    folder = root / "cifar10"
    if folder.is_dir() and find_missing(folder) is None:
        return folder
    with downloads.bar("cifar-10-binary.tar.gz") as progress:
        archive = downloads.fetch(
            URL, root / "cifar-10-binary.tar.gz", sha256=SHA256, size=SIZE, progress=progress
        )
    return archives.build(folder, lambda part: unpack(archive, part), find_missing=find_missing)


def unpack(archive: Path, folder: Path) -> None:
    """Writes the pictures of the archive as PNG files into an empty folder."""
    batches = archives.extract(archive, folder / "batches")
    for split, names in BATCHES.items():
        for name in CLASSES:
            (folder / split / name).mkdir(parents=True)
        number = 0
        for file in names:
            content = (batches / "cifar-10-batches-bin" / file).read_bytes()
            for record in np.frombuffer(content, np.uint8).reshape(-1, RECORD):
                pixels = record[1:].reshape(3, 32, 32).transpose(1, 2, 0)
                place = folder / split / CLASSES[record[0]] / f"{number:05}.png"
                Image.fromarray(np.ascontiguousarray(pixels)).save(place, compress_level=1)
                number += 1
    shutil.rmtree(batches)


def find_missing(folder: Path) -> str | None:
    """What a folder lacks of the whole data set, by count; None if nothing."""
    for split, count in COUNTS.items():
        for name in CLASSES:
            found = len(list((folder / split / name).glob("*.png")))
            if found != count:
                return f"holds {found:,} of {count:,} pictures in {split}/{name}"
    return None
