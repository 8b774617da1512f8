"""Photos with labels to be evaluated: from a folder or a table, by the names of a classifier."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from flowerlib.data.file_counts import FileCounts
from flowerlib.data.folders import addresses, layout, naming, reading
from flowerlib.data.folders.addresses import Place
from flowerlib.data.photos import Photos
from flowerlib.data.records import tables
from flowerlib.support.errors import InputError, listed


def labeled_folder(path: Path | str, class_names: Sequence[str]) -> Photos:
    """Photos of a folder of class folders, labeled by the names that a classifier knows.

    A warning says which files are not used.

    Raises:
        InputError: a folder's class is unknown to the classifier, or it holds no class folders.
    """
    photos, counts = _of_folder(path, class_names, None)
    reading.warn(counts)
    return photos


def labeled_photos(
    path: Path | str,
    class_names: Sequence[str],
    *,
    split: str | None = None,
    columns: Mapping[str, str | None] | None = None,
) -> tuple[Photos, FileCounts]:
    """Photos of a folder or a table, labeled by the names that a classifier knows.

    Args:
        path: a folder of class folders, perhaps at an address; a table as `from_table` takes it; or
            shards as `from_shards` does.
        class_names: of the classifier.
        split: "train", "valid" or "test" of a folder or table that holds several.
        columns: of a table, the names of those of "path", "label", "split" and "group".

    Returns:
        The photos, and how many files are used and left out.

    Raises:
        InputError: a class is unknown to the classifier, or it is not said which split is meant.
    """
    if tables.is_table(path):
        return _of_table(path, class_names, split, columns)
    if any(name is not None for name in (columns or {}).values()):
        raise InputError(f"{path} is no table, so columns have no effect on it; leave them out.")
    return _of_folder(path, class_names, split)


def _of_table(
    path: Path | str,
    class_names: Sequence[str],
    split: str | None,
    columns: Mapping[str, str | None] | None,
) -> tuple[Photos, FileCounts]:
    found = tables.read(path, columns, training=False)
    found.refuse()
    there = sorted(set(found.splits or ()))
    if split is None and len(there) > 1:
        raise InputError(
            f"{path} holds several splits, {' and '.join(there)}; say which to evaluate "
            '(split="test" in Python, --split test in a shell).'
        )
    if split is not None and split not in there:
        raise InputError(f"{path} has no split {split}; leave it out, or name another.")
    rows = [at for at in range(len(found.paths)) if split is None or found.splits[at] == split]  # type: ignore[index]
    position = {layout.composed(name): label for label, name in enumerate(class_names)}
    if unknown := sorted({found.labels[at] for at in rows} - position.keys()):
        raise _unknown(path, unknown, class_names)
    labels = [position[found.labels[at]] for at in rows]
    return Photos(found.pictures.take(rows), labels, class_names), FileCounts(
        len(rows), found.left_out
    )


def _of_folder(
    path: Place, class_names: Sequence[str], split: str | None
) -> tuple[Photos, FileCounts]:
    root = addresses.at(path)
    found = layout.arrange(addresses.read(root), least=1)
    if split is not None:
        found.refuse()
        if split not in found.splits:
            raise InputError(f"{root} has no folder of the split {split}; leave it out.")
        return _of_folder(found.places[split].prefix, class_names, None)
    if inside := found.places.get("test", found.places.get("train")):
        raise InputError(f"{root} holds several splits; did you mean {inside.prefix[:-1]}?")
    found.refuse()
    classes = found.splits[""]
    position = {layout.composed(name): label for label, name in enumerate(class_names)}
    names, _ = naming.readable_names(root, classes)
    if not set(names.values()) <= position.keys() and classes.keys() <= position.keys():
        names = {name: name for name in classes}  # the classifier goes by the folders' names
    if unknown := sorted(name for name in names.values() if name not in position):
        raise _unknown(root, unknown, class_names)
    paths: list[str] = []
    labels: list[int] = []
    for name, folder in classes.items():
        paths += folder.below()
        labels += [position[names[name]]] * (len(paths) - len(labels))
    pictures = addresses.pictures(found.listing, paths)
    return Photos(pictures, labels, class_names), found.counts()


def _unknown(
    where: str | os.PathLike[str], unknown: list[str], class_names: Sequence[str]
) -> InputError:
    return InputError(
        f"{where}: the classifier does not know {listed(unknown)}; it knows "
        f"{listed([*class_names])}, so name yours alike, or leave them out."
    )
