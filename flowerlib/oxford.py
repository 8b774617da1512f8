"""Oxford's 102 flowers: names, labels and splits as facts, and the photos that go with them."""

from __future__ import annotations

import json
from pathlib import Path

from flowerlib.errors import InputError
from flowerlib.photos import Photos, Splits

TOTAL = 8189


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
    paths = {int(path.stem[6:]): path for path in folder.rglob("image_?????.jpg")}
    if set(paths) != set(label_of):
        raise InputError(
            f"{folder} holds {len(paths):,} of the {TOTAL:,} flower photos; remove it and "
            "run `flowerlib download flowers` again."
        )
    valid, test = set(known["udacity_valid"]), set(known["udacity_test"])
    train = set(label_of) - valid - test
    if split == "official":
        train, valid, test = _official_split(folder)
    parts = [
        Photos([paths[i] for i in sorted(ids)], [label_of[i] for i in sorted(ids)], names)
        for ids in (train, valid, test)
    ]
    return Splits(
        parts[0], parts[1], parts[2], names, "flowers", "real", f"Oxford 102, {split} split"
    )


def _official_split(folder: Path) -> tuple[set[int], set[int], set[int]]:
    file = folder / "setid.mat"
    if not file.is_file():
        raise InputError(
            f"The official split needs {file}, which comes with `flowerlib download flowers`; "
            "use the udacity split, or put it there."
        )
    try:
        from scipy.io import loadmat
    except ImportError:
        raise InputError(
            "The official split is stored in a MATLAB file; install scipy to read it."
        ) from None
    ids = loadmat(file)
    first, second, third = (
        {int(i) for i in ids[key].ravel()} for key in ("trnid", "valid", "tstid")
    )
    return first, second, third
