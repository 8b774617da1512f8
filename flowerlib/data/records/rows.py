"""Photos in files with their classes, as a table or a list names them, and what is wrong with it.

Nothing is refused here: training, evaluation and check look at the same rows, and say in the same
words what is wrong with them.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from flowerlib.data.contents import Contents, Files
from flowerlib.data.folders.layout import composed, split_of
from flowerlib.data.splitting.parts import torn_group
from flowerlib.support.console import one_line
from flowerlib.support.errors import InputError, plural

MISSING = ("<NA>", "NaT")  # how pandas writes what is not there


@dataclass
class Rows:
    """Photos with their classes.

    Attributes:
        where: what messages call the list, such as "photos.csv".
        paths, labels: the file and the class of each photo.
        splits: "train", "valid" or "test" of each; None if the list does not divide them.
        groups: what each belongs to, such as a patient; None if the list does not say.
        places: what messages call each row, such as "line 7".
        problems: sentences about what no training can use; training raises the first.
        absent: positions of photos that are not there.
        inside: the photos, where they lie in the list itself; `paths` are then their names.
        left_out: what else lies there, by kind.
        notes: sentences about how the list was read that its owner should know.
    """

    where: str
    paths: Sequence[str]
    labels: list[str]
    splits: list[str] | None
    groups: list[str] | None
    places: Sequence[str]
    problems: list[str] = field(default_factory=list)
    absent: list[int] = field(default_factory=list)
    inside: Contents | None = None
    left_out: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def pictures(self) -> Contents:
        """The photos, opened when they are asked for."""
        return self.inside if self.inside is not None else Files(self.paths)

    def refuse(self) -> None:
        """Raises InputError with the first problem, if there is one."""
        problems = [*self.problems]
        if self.absent:
            first = self.absent[0]
            hint = '; write "/" instead of "\\"' if "\\" in self.paths[first] else ""
            problems.append(
                f"{_many(len(self.absent), len(self.paths), 'photos', 'is', 'are')} not there, "
                f"such as {one_line(self.paths[first])} in {self.places[first]}{hint}"
            )
        if problems:
            raise InputError(f"{self.where}: {problems[0]}.")

    def columns(self) -> dict[str, Sequence[str]]:
        """What the list says of the photos, by what messages call it."""
        paths = self.paths if self.inside is None else None
        every = {"path": paths, "label": self.labels, "split": self.splits, "group": self.groups}
        return {name: column for name, column in every.items() if column is not None}

    def things(self, count: int = 0) -> str:
        """What messages call so many of its entries."""
        return plural(count, "row" if self.inside is None else "photo")

    def counts(self) -> dict[str, dict[str, int]]:
        """Photos by split ("" where the rows are not divided) and class."""
        found: dict[str, Counter[str]] = {}
        for split, label in zip(self.splits or [""] * len(self.labels), self.labels, strict=True):
            found.setdefault(split, Counter())[label] += 1
        return {split: dict(classes) for split, classes in found.items()}


def arrange(
    where: str,
    paths: Iterable[object],
    labels: Iterable[object],
    splits: Iterable[object] | None = None,
    groups: Iterable[object] | None = None,
    *,
    places: Sequence[str],
    folder: str | os.PathLike[str] = "",
    training: bool = True,
    inside: Contents | None = None,
) -> Rows:
    """Reads what a list says of its photos, in any of the usual spellings; see `Rows`.

    Args:
        where, paths, labels, splits, groups, places, inside: as they were given.
        folder: that relative paths start from.
        training: whether the photos are to be trained on, or only to be evaluated.
    """
    files = places
    if inside is None:
        files = [os.path.join(folder, path) if (path := text(one)) else "" for one in paths]
    found = Rows(
        where,
        files,
        [label(given) for given in labels],
        None if splits is None else [text(split) for split in splits],
        None if groups is None else [text(group) for group in groups],
        places,
        inside=inside,
    )
    for name, column in found.columns().items():
        if len(column) != len(places):
            raise InputError(
                f"{where}: {len(places):,} {found.things(len(places))} but {len(column):,} "
                f"{plural(len(column), name)}; give one for each."
            )
    _find_gaps(found)
    _read_splits(found)
    if inside is None:
        _find_twins(found)
        found.absent = [
            at for at, path in enumerate(found.paths) if path and not os.path.isfile(path)
        ]
    if not found.paths:
        found.problems.append("lists no photo")
    elif training and not found.problems:
        _find_what_training_lacks(found)
    return found


def label(value: object) -> str:
    """The name of a class, as `text`, in the one spelling that Unicode has for it.

    Raises:
        InputError: it is several classes, or shares of them.
    """
    if isinstance(value, (list, tuple, set, dict, np.ndarray)):
        raise InputError(
            f"{value!r:.40} ({type(value).__name__}) is no class of a photo; give each photo one "
            "text or number."
        )
    return composed(text(value))


def text(value: object) -> str:
    """A cell as text, without blanks at its ends; "" for what is missing (None, NaN)."""
    if type(value) is str:  # nearly all are, of millions
        return "" if value in MISSING else value.strip()
    if isinstance(value, bytes):  # as HDF5 files hold texts
        return os.fsdecode(value).strip()
    if isinstance(value, (float, np.floating)):
        if np.isnan(value):
            return ""
        if value.is_integer():  # as a column of whole numbers with a gap becomes
            return str(int(value))
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    missing = value is None or str(value) in MISSING
    return "" if missing else str(value).strip()


def _find_gaps(found: Rows) -> None:
    for name, column in found.columns().items():
        if empty := [place for place, cell in zip(found.places, column, strict=True) if not cell]:
            rows = _many(len(empty), len(column), found.things(), "has", "have")
            found.problems.append(
                f"{rows} no {name}, such as {empty[0]}; fill it in, or leave the "
                f"{found.things(1)} out"
            )


def _read_splits(found: Rows) -> None:
    if found.splits is None:
        return
    known = {name: split_of(name) for name in set(found.splits)}
    if strange := sorted(name for name, split in known.items() if name and not split):
        at = found.splits.index(strange[0])
        found.problems.append(
            f"{found.places[at]} has the split {strange[0]!r}; say train, valid or test"
        )
    found.splits = [known[name] or name for name in found.splits]


def _find_what_training_lacks(found: Rows) -> None:
    counts, classes = found.counts(), set(found.labels)
    if len(classes) < 2:
        found.problems.append(f"holds only the class {min(classes)}; two are needed")
    elif found.splits and (lacking := classes - counts.get("train", {}).keys()):
        found.problems.append(
            f"no photo of {min(lacking)} is in train, from which classes are learned"
        )
    elif found.splits and found.groups and (torn := torn_group(found.splits, found.groups)):
        found.problems.append(torn)


def _find_twins(found: Rows) -> None:
    """Finds photos that are listed twice, which would count twice or contradict each other."""
    first: dict[str, int] = {}
    twins = [
        (first[file], at)
        for at, file in enumerate(map(os.path.abspath, found.paths))
        if found.paths[at] and first.setdefault(file, at) != at
    ]
    twins.sort(key=lambda pair: found.labels[pair[0]] == found.labels[pair[1]])
    if twins:
        one, two = twins[0]
        names = found.labels[one], found.labels[two]
        labels = f" as {names[0]} and as {names[1]}" if names[0] != names[1] else ""
        found.problems.append(
            f"{_many(len(twins), len(found.paths), 'rows', 'repeats', 'repeat')} a photo, such as "
            f"{one_line(found.paths[one])}, in {found.places[one]} and {found.places[two]}{labels}"
            "; list each photo once"
        )


def _many(count: int, total: int, things: str, one: str, several: str) -> str:
    return f"{count:,} of {total:,} {things} {one if count == 1 else several}"
