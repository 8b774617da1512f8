"""Look over photos before training: broken and odd files, copies, uneven classes.

Every file is decoded whole, since nothing less notices a truncated one, and looked at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowerlib.audit import examination, manifest
from flowerlib.audit.examination import File
from flowerlib.audit.report import Copies, Report
from flowerlib.data.contents import Contents
from flowerlib.data.file_counts import FileCounts
from flowerlib.data.folders import addresses, naming
from flowerlib.data.folders.addresses import Place
from flowerlib.data.records import tables
from flowerlib.data.splitting import copies, division, thumbnails

SHARE = 0.15  # of valid and of test, where training makes them


def check(
    path: Place,
    *,
    columns: Mapping[str, str | None] | None = None,
    against: Path | str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Reads and decodes every photo of a folder or a table and reports what is wrong with them.

    Args:
        path: a folder or an address as `data.image_folder` takes it, or a table as
            `data.from_table` does; or shards.
        columns: of a table, the names of those of "path", "label", "split" and "group".
        against: a manifest of an earlier day; what has changed since is reported.
        progress: called with (photos done, photos in all).

    Raises:
        InputError: there is no such folder or table, it holds no photo, or the manifest cannot be
            read.
    """
    before = manifest.load_manifest(against) if against is not None else None
    found = _of_table(path, columns) if tables.is_table(path) else _of_folder(addresses.at(path))
    files: list[File] = []

    def examine(at: int) -> File:
        split, name = found.classes[at]
        place = _below(found.root, found.photos.name(at))
        return examination.examine(place, split, name, lambda: found.photos.content(at))

    with ThreadPoolExecutor(max(2, min(8, os.cpu_count() or 2))) as pool:
        for file in pool.map(examine, range(len(found.photos))):
            files.append(file)
            if progress:
                progress(len(files), len(found.photos))
    exact, near, undivided = _copies(found, files)
    report = Report(
        path,
        files,
        exact,
        near,
        found.counts,
        found.problems + undivided,
        found.left_out,
        found.notes,
    )
    if before is not None:
        report.changes = manifest.compare(before, report.entries())
    return report


@dataclass
class _Found:
    """What is to be checked: the photos, each one's split and class, and what is said of them.

    Where the photos belong to something, such as a patient, `groups` says to what each does.
    """

    root: Place
    photos: Contents
    classes: list[tuple[str, str]]
    counts: dict[str, dict[str, int]]
    problems: list[str]
    left_out: dict[str, list[str]]
    notes: list[str]
    groups: list[str] | None = None


def _of_folder(root: Place) -> _Found:
    found = naming.survey(addresses.read(root))
    paths: list[str] = []
    classes: list[tuple[str, str]] = []
    for split, inside in found.splits.items():
        for name, folder in inside.items():
            paths += folder.below()
            classes += [(split, name)] * (len(paths) - len(classes))
    if not paths:
        found.refuse()
    counts = {
        split: {name: inside.count() for name, inside in classes.items()}
        for split, classes in found.splits.items()
    }
    photos = addresses.pictures(found.listing, paths)
    left_out = found.listing.left_out
    return _Found(root, photos, classes, counts, found.problems, left_out, found.notes)


def _of_table(path: Place, columns: Mapping[str, str | None] | None) -> _Found:
    """A photo that is not there is among the photos: it is reported as one that cannot be read."""
    found = tables.read(path, columns)
    splits = found.splits or [""] * len(found.paths)
    each = {file: at for at, file in enumerate(found.paths) if file and found.labels[at]}
    if not each:
        found.refuse()
    rows = [*each.values()]
    notes = naming.lookalikes(sorted(set(found.labels)))
    if said := FileCounts(len(rows), found.left_out).sentence():
        notes.append(said)
    return _Found(
        Path(path).parent,
        found.pictures.take(rows),
        [(splits[at], found.labels[at]) for at in rows],
        found.counts(),
        found.problems,
        {},
        [*found.notes, *notes],
        None if found.groups is None else [found.groups[at] for at in rows],
    )


def _below(root: Place, name: str) -> str:
    """A photo's path below a folder, with /; or the whole of it, if it lies elsewhere."""
    if isinstance(root, str):
        return name.removeprefix(f"{root}/")
    path = Path(name)
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def _copies(found: _Found, files: Sequence[File]) -> tuple[list[Copies], list[Copies], list[str]]:
    """Exact copies, near copies, and sentences about classes that training could not divide.

    The digests and near copies are those that training finds, not others by other thumbnails.
    Photos that cannot be read are left aside.
    """
    rows = [at for at, file in enumerate(files) if file.problem is None]
    sound = [files[at] for at in rows]
    photos = found.photos.take(rows)
    digests = np.array([photos.digest(at) for at in range(len(rows))], "S16")
    contents, first, content = np.unique(digests, return_index=True, return_inverse=True)
    same: dict[int, list[File]] = {}
    for file, number in zip(sound, content.tolist(), strict=True):
        same.setdefault(number, []).append(file)
    exact = [Copies(tuple(group)) for group in same.values() if len(group) > 1]
    pairs = thumbnails.near_copies(
        contents,
        lambda at: photos.sketch(int(first[at]), copies.SIDE),
        photos.order()[first],
    )
    near = []
    for pair in pairs:
        both = sorted((first[pair.first], first[pair.second]))
        two = tuple(sound[at] for at in both)
        near.append(Copies(two, round(pair.similarity, 4), pair.mirrored))
    if "valid" in found.counts:
        return exact, near, []
    split = "train" if "train" in found.counts else ""
    shares = {"valid": SHARE} if split else {"test": SHARE, "valid": SHARE}
    inside: dict[str, list[int]] = {}
    for file, at in zip(sound, content.tolist(), strict=True):
        if file.split == split:
            inside.setdefault(file.class_name, []).append(at)
    names, links = sorted(inside, key=naming.natural), None
    by_class = [np.unique(inside[name]) for name in names]
    if found.groups is not None:
        learned = [at for at, file in enumerate(sound) if file.split == split]
        belongs = [found.groups[rows[at]] for at in learned]
        links = [*division.links(content[learned], belongs)]
    return exact, near, division.problems(names, by_class, contents, pairs, shares, links)
