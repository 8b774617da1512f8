"""From photos with classes to splits: tables, pairs, arrays, names of files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from flowerlib.data.file_counts import FileCounts
from flowerlib.data.folders import listing, naming
from flowerlib.data.photos import Photos
from flowerlib.data.records import packed, packs, rows, tables
from flowerlib.data.records.assembly import Column, as_rows, divided, of_rows, positions
from flowerlib.data.records.tables import Table
from flowerlib.data.splits import Splits
from flowerlib.support import storage
from flowerlib.support.errors import InputError

# cat.123.jpg, great_pyrenees_17.jpg, cat (3).png: all before the number at the end.
NUMBERED = r"(?P<label>.*[^\W\d_].*?)[\W_]*\d+\W*"


def from_table(
    table: Table,
    *,
    path: str | None = None,
    label: str | None = None,
    split: str | None = None,
    group: str | None = None,
    folder: str | os.PathLike[str] | None = None,
    valid: float = 0.15,
    test: float = 0.15,
) -> Splits:
    """Splits from a table with a row for each photo.

    Args:
        table: the path of a CSV file (UTF-8; commas, semicolons or tabs), a DataFrame, or a dict of
            columns; or that of a Parquet file with the photos in it, of several (a pattern with
            braces), or of their folder. Parquet needs `pip install 'flowerlib[scale]'`.
        path, label: the columns of the photos' paths (in Parquet, of their contents) and classes.
            By default they are looked for under the names path, file, filename, image, photo and
            label, class, category, target.
        split: the column that says train, valid or test (or Training, val ...); by default the one
            of that name. Without one, photos are divided by their content, as in `image_folder`; a
            missing valid set is taken out of train, a missing test set stays missing. Parquet files
            can have train, validation or test in their names instead.
        group: the column that says what a photo belongs to, such as a patient, a plant or a day; by
            default the one of that name. Photos of one group are never on both sides.
        folder: that relative paths start from; by default that of the file, and of a DataFrame the
            working directory.
        valid, test: shares of each class that go into valid and test, where they must be made.

    Raises:
        InputError: a column is not there, a label or a path is missing, a photo is not there or is
            listed twice, a split has no known name, or a group is asked for on both sides.
    """
    columns = {"path": path, "label": label, "split": split, "group": group}
    found = tables.read(table, columns, folder=folder)
    file = Path(table) if isinstance(table, (str, os.PathLike)) else None
    return of_rows(found, file.stem if file else "table", valid=valid, test=test)


def from_shards(
    shards: str | os.PathLike[str],
    *,
    label: str | None = None,
    valid: float = 0.15,
    test: float = 0.15,
) -> Splits:
    """Splits from tar shards as WebDataset writes them.

    Each photo (`rose_1.jpg`, .png, .webp ...) has its class beside it, in `rose_1.cls` or in
    `rose_1.json`. The shards' names or folders can say train, val or test; otherwise photos are
    divided by content, as in `image_folder`. All headers are read once; a photo, when it is needed.

    Args:
        shards: a tar file, a folder of them, or a pattern such as "train-{000..099}.tar".
        label: the name of the class in each `json`; by default one of the usual names.
        valid, test: as in `from_table`.

    Raises:
        InputError: a shard is missing, compressed, cut off or damaged, a photo has no class, or a
            class no photo.
    """
    if packs.kind(os.fspath(shards)) != packs.SHARDS:
        raise InputError(f"{shards} is neither a tar shard nor a folder of them; give one.")
    found = packed.read(os.fspath(shards), {"label": label})
    return of_rows(found, Path(shards).stem, valid=valid, test=test)


def from_items(
    items: Iterable[tuple[str | os.PathLike[str], object]],
    *,
    groups: Iterable[object] | None = None,
    splits: Iterable[object] | None = None,
    folder: str | os.PathLike[str] = "",
    valid: float = 0.15,
    test: float = 0.15,
) -> Splits:
    """Splits from pairs of a photo's path and its class.

    Args:
        items: (path, name of the class) of each photo.
        groups: what each photo belongs to; those of one group are never on both sides.
        splits: "train", "valid" or "test" for each photo.
        folder, valid, test: as in `from_table`.

    Raises:
        InputError: as in `from_table`, or an item is no pair.
    """
    pairs = list(items)
    for at, pair in enumerate(pairs):
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise InputError(f"item {at} is {pair!r:.60}; give pairs of a path and a class.")
        if not isinstance(pair[0], (str, os.PathLike)):
            raise InputError(
                f"item {at} has {type(pair[0]).__name__} in place of a path; data.from_dataset "
                "takes opened pictures."
            )
    found = rows.arrange(
        "the items",
        [pair[0] for pair in pairs],
        [pair[1] for pair in pairs],
        splits,
        groups,
        places=[f"item {at}" for at in range(len(pairs))],
        folder=storage.expand(folder) if folder else "",
    )
    return of_rows(found, "items", valid=valid, test=test)


def from_file_names(
    folder: str | os.PathLike[str],
    pattern: str | re.Pattern[str] = NUMBERED,
    *,
    valid: float = 0.15,
    test: float = 0.15,
) -> Splits:
    """Splits from a folder of photos whose names hold their classes, such as cat.123.jpg.

    Args:
        folder: that holds the photos; folders in it are left out, and counted.
        pattern: a regular expression that fits all of a name without its ending. Its group `label`
            is the class; a group `group`, if it has one, is what the photo belongs to. By default
            the class is all that comes before the number at the end.
        valid, test: as in `from_table`.

    Raises:
        InputError: a name does not fit, or the pattern has no group `label`.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as problem:
        raise InputError(f"{pattern!r} is no regular expression ({problem}).") from None
    if "label" not in compiled.groupindex:
        raise InputError(f"The pattern {compiled.pattern!r} needs a group (?P<label>...).")
    root = storage.expand(folder)
    found = listing.read(root)
    names = sorted(found.folder.photos, key=naming.natural)
    matches = [compiled.fullmatch(os.path.splitext(name)[0]) for name in names]
    if strange := [name for name, match in zip(names, matches, strict=True) if not match]:
        raise InputError(
            f"{root}: {len(strange):,} of {len(names):,} names do not fit the pattern, such as "
            f"{strange[0]}; give another pattern, or move these photos elsewhere."
        )
    for inner in found.folder.folders:
        for path in inner.below():
            found.leave_out(f"in {inner.name}/", os.path.relpath(path, root))
    fit = [match for match in matches if match]
    grouped = "group" in compiled.groupindex
    arranged = rows.arrange(
        str(root),
        names,
        [match["label"] for match in fit],
        None,
        [match["group"] for match in fit] if grouped else None,
        places=names,
        folder=root,
    )
    counts = FileCounts(len(names), found.counts().left_out)
    return of_rows(arranged, root.resolve().name, valid=valid, test=test, files=counts)


def from_arrays(
    images: np.ndarray,
    labels: Column,
    class_names: Sequence[str] | None = None,
    *,
    groups: Column | None = None,
    splits: Column | None = None,
    valid: float = 0.15,
    test: float = 0.15,
) -> Splits:
    """Splits from pictures in memory.

    Args:
        images: uint8 (N, H, W, 3), red first, or (N, H, W) of gray values.
        labels: names of the classes, or positions in `class_names`.
        class_names: in the order of the labels; by default the names, or the numbers, that occur.
        groups, splits, valid, test: as in `from_items`.

    Raises:
        InputError: the array is no pictures, or the labels do not fit it.
    """
    try:
        array = np.asarray(images)
    except ValueError:
        raise InputError(
            "The images are not of one size; give pairs (picture, class) to data.from_dataset."
        ) from None
    if array.ndim == 3 or (array.ndim == 4 and array.shape[3] == 1):
        array = np.repeat(array.reshape(*array.shape[:3], 1), 3, axis=3)
    if array.ndim != 4 or array.shape[3] != 3 or array.dtype != np.uint8:
        raise InputError(
            f"images is an array {array.shape} of {array.dtype}; give uint8 (photos, height, "
            "width, 3), red first, with values from 0 to 255."
        )
    photos = Photos(array, *positions(labels, class_names))
    found = as_rows(photos, splits, groups, "the arrays")
    return divided(photos, found, "arrays", valid=valid, test=test)
