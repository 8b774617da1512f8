"""Photos with labels to be evaluated: from a folder or a table, by the names of a classifier."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from flowerlib.data.file_counts import FileCounts
from flowerlib.data.folders import addresses, layout, naming, reading
from flowerlib.data.folders.addresses import Place
from flowerlib.data.folders.layout import Layout
from flowerlib.data.photos import Photos
from flowerlib.data.records import packs, tables
from flowerlib.support.errors import InputError, listed


def labeled_folder(path: Path | str, class_names: Sequence[str]) -> Photos:
    """Photos of a folder of class folders, labeled by the names that a classifier knows.

    Of a folder with split folders, those in test/. A warning says so, and which files are not used.

    Raises:
        InputError: a folder's class is unknown to the classifier, or it holds no class folders.
    """
    photos, counts, notes = _of_folder(path, class_names, None)
    reading.warn(counts, notes)
    return photos


def labeled_photos(
    path: Path | str,
    class_names: Sequence[str],
    *,
    split: str | None = None,
    columns: Mapping[str, str | None] | None = None,
) -> tuple[Photos, FileCounts, list[str]]:
    """Photos of a folder or a table, labeled by the names that a classifier knows.

    Args:
        path: a folder of class folders, perhaps at an address; a table as `from_table` takes it; or
            shards as `from_shards` does.
        class_names: of the classifier.
        split: "train", "valid" or "test" of a folder or table that holds several; by default test,
            or all photos where nothing says which are for testing.
        columns: of a table, the names of those of "path", "label", "split" and "group".

    Returns:
        The photos; how many files are used and left out; and sentences about which photos were
        chosen, where the choice was not the caller's.

    Raises:
        InputError: a class is unknown to the classifier, there are several splits but no test, or
            a column that looks like a split is not named as one.
    """
    if tables.is_table(path):
        return _of_table(path, class_names, split, columns)
    if any(name is not None for name in (columns or {}).values()):
        raise InputError(f"{path} is no table, so columns have no effect on it; leave them out.")
    photos, counts, notes = _of_folder(path, class_names, split)
    name = os.path.basename(addresses.with_parents(addresses.at(path))[0])
    if split is None and not notes and not layout.split_of(name):
        notes = [_all_are_measured("folder", len(photos), "photos")]
    return photos, counts, notes


def _of_table(
    path: Path | str,
    class_names: Sequence[str],
    split: str | None,
    columns: Mapping[str, str | None] | None,
) -> tuple[Photos, FileCounts, list[str]]:
    found = tables.read(path, columns, training=False)
    found.refuse()
    notes = [*found.notes]
    if found.splits is None and split is None:
        shards = packs.kind(path) == packs.SHARDS
        who, what = ("name of a shard", "photos") if shards else ("column", "rows")
        notes.append(_all_are_measured(who, len(found.labels), what))
    elif split is None:
        split, chosen = _for_testing(path, Counter(found.splits))
        notes += chosen
    elif split not in (found.splits or ()):
        raise InputError(f"{path} has no split {split}; leave it out, or name another.")
    rows = [at for at in range(len(found.paths)) if split is None or found.splits[at] == split]  # type: ignore[index]
    labels = _labels(path, [found.labels[at] for at in rows], class_names)
    photos = Photos(found.pictures.take(rows), labels, class_names)
    return photos, FileCounts(len(rows), found.left_out), notes


def _of_folder(
    path: Place, class_names: Sequence[str], split: str | None
) -> tuple[Photos, FileCounts, list[str]]:
    root = addresses.at(path)
    found = layout.arrange(addresses.read(root), least=1)
    found.refuse()
    if split is not None and split not in found.splits:
        raise InputError(f"{root} has no folder of the split {split}; leave it out.")
    if "" in found.splits:
        return *_of_classes(root, found, class_names), []
    notes: list[str] = []
    if split is None:
        sizes = {
            name: sum(folder.count() for folder in classes.values())
            for name, classes in found.splits.items()
        }
        split, notes = _for_testing(root, sizes)
    photos, counts, inside = _of_folder(found.places[split].prefix, class_names, None)
    return photos, counts, notes + inside


def _of_classes(
    root: Place, found: Layout, class_names: Sequence[str]
) -> tuple[Photos, FileCounts]:
    """The photos of a folder's class folders."""
    classes = found.splits[""]
    known = set(map(layout.composed, class_names))
    names, _ = naming.readable_names(root, classes)
    if not known >= set(names.values()) and known >= classes.keys():
        names = {name: name for name in classes}  # the classifier goes by the folders' names
    paths: list[str] = []
    labels: list[int] = []
    of_classes = _labels(root, [names[name] for name in classes], class_names)
    for label, folder in zip(of_classes, classes.values(), strict=True):
        paths += folder.below()
        labels += [label] * (len(paths) - len(labels))
    pictures = addresses.pictures(found.listing, paths)
    return Photos(pictures, labels, class_names), found.counts()


def _for_testing(where: Place, sizes: Mapping[str, int]) -> tuple[str, list[str]]:
    """The split to be measured, by the number of photos in each, and a sentence about the choice.

    Raises:
        InputError: there are several, and none is for testing.
    """
    total = sum(sizes.values())
    if "test" in sizes:
        return "test", [f"the test split is measured: {sizes['test']:,} of {total:,} photos"]
    if len(sizes) == 1:
        (only,) = sizes
        note = f"no photo is for testing: all {total:,} photos of the {only} split are measured"
        return only, [note]
    raise InputError(
        f"{where} holds the splits {' and '.join(sorted(sizes))}, but no test; say which to "
        'measure (split="valid" in Python, --split valid in a shell).'
    )


def _all_are_measured(who: str, count: int, what: str) -> str:
    return f"no {who} says which {what} are for testing: all {count:,} {what} are measured"


def _labels(where: Place, names: Sequence[str], class_names: Sequence[str]) -> list[int]:
    """The positions of names among a classifier's; raises an `InputError` if it lacks some."""
    position = {layout.composed(name): label for label, name in enumerate(class_names)}
    if unknown := sorted(set(names) - position.keys()):
        raise InputError(
            f"{where}: the classifier does not know {listed(unknown)}; it knows "
            f"{listed([*class_names])}, so name yours alike, or leave them out."
        )
    return [position[name] for name in names]
