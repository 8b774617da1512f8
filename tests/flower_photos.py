"""A small folder of photos: drawn flowers as JPEG, for tests and attacks alike."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from flowerlib import garden

NAMES = ("daisy", "iris", "lily", "rose")  # four garden species under short names
PER_CLASS = {"train": 8, "valid": 3, "test": 3}


def draw(root: Path) -> Path:
    """Fills {train,valid,test}/{daisy,iris,lily,rose} in a new folder; gives the folder."""
    for label, name in enumerate(NAMES):
        at = 0
        for part, count in PER_CLASS.items():
            folder = root / part / name
            folder.mkdir(parents=True)
            for index in range(at, at + count):
                picture = Image.fromarray(garden.picture("flowers", 3 * label, index, size=64))
                picture.save(folder / f"{name}_{index:02}.jpg", quality=92)
            at += count
    return root
