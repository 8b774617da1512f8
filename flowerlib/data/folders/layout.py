"""Decide which folders below a data set's root are splits, which are classes, and which neither.

Nothing is refused here: training, evaluation and check take the same decision, and say in the same
words what is wrong with it.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from flowerlib.data.file_counts import FileCounts
from flowerlib.data.folders.listing import Folder, Listing
from flowerlib.support.errors import InputError, listed, plural

SPLITS = {
    "train": "train|training|learn",
    "valid": "valid|validation|validate|val|dev",
    "test": "test|testing",
}
WORD = {word: split for split, words in SPLITS.items() for word in words.split("|")}
NAME = re.compile(rf"({'|'.join(WORD)})([ _-]?(set|data|images|photos|split))?")

BESIDE = "beside the class folders"


def split_of(name: str) -> str | None:
    """The split that a folder of this name usually holds: "Training" and "train_set" are train."""
    found = NAME.fullmatch(name.lower())
    return WORD[found[1]] if found else None


def _like_a_split(name: str) -> bool:
    """Whether one of the words in a name is that of a split, as in "seg_train" and "test1"."""
    return any(word in WORD for word in re.split(r"[^a-z]+", name.lower()))


def composed(name: str) -> str:
    """A name in the one spelling (NFC) of the several that Unicode has for letters with accents."""
    return unicodedata.normalize("NFC", name)


@dataclass
class Layout:
    """What the folders of a data set are.

    Attributes:
        listing: all files; what lies in no class is among those left out.
        splits: for each split the folder of each class, by name; the split is "" where there are
            class folders only.
        places: the folder of each split.
        problems: sentences about what no training can use; training raises the first.
        notes: sentences about what was decided and could have been meant otherwise.
    """

    listing: Listing
    splits: dict[str, dict[str, Folder]] = field(default_factory=dict)
    places: dict[str, Folder] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def refuse(self) -> None:
        """Raises InputError with the first problem, if there is one."""
        if self.problems:
            problem, root = self.problems[0], self.listing.folder.prefix[:-1] or "/"
            raise InputError(f"{root}: {problem}{'' if problem.endswith('?') else '.'}")

    def counts(self) -> FileCounts:
        """The number of photos that have a class, and of all other files by kind."""
        used = sum(folder.count() for part in self.splits.values() for folder in part.values())
        return FileCounts(used, self.listing.counts().left_out)

    def leave_out(self, kind: str, paths: Iterable[str]) -> None:
        """Notes that photos have no class."""
        start = len(self.listing.folder.prefix)
        for path in paths:
            self.listing.leave_out(kind, path[start:].replace(os.sep, "/"))


def arrange(listing: Listing, least: int = 2) -> Layout:
    """Decides what the folders of a listing are.

    A folder with the name of a split is one if there are folders in it. If it holds photos only, it
    is a class among classes (trains beside buses); beside split folders, photos without labels.

    Args:
        listing: all files.
        least: number of classes that are needed; with 1, photos are not to be trained on.
    """
    found = Layout(listing)
    if problem := listing.closed_problem():
        found.problems.append(problem)
    found.leave_out(BESIDE, listing.folder.own())
    named = [(split, f) for f in listing.folder.folders if (split := split_of(f.name))]
    others = [folder for folder in listing.folder.folders if not split_of(folder.name)]
    flat = [folder for _, folder in named if folder.photos and not folder.folders]
    if any(folder.folders for _, folder in named):
        _take_splits(found, named, others, least)
    elif len(flat) > 1 or (flat and not others):
        for folder in listing.folder.folders:
            found.leave_out(f"in {folder.name}/", folder.below())
        found.problems.append(
            f"{_names(flat)} without class folders inside; a split needs a folder for each class, "
            f"such as {flat[0].name}/rose/"
        )
    else:
        _take_classes(found)
        found.notes += [
            f"{folder.name}/ is taken as a class, since there are photos and no folders in it"
            for folder in flat
        ]
    _check_classes(found, least)
    return found


def _take_splits(
    found: Layout, named: list[tuple[str, Folder]], others: list[Folder], least: int
) -> None:
    """Takes the folders of the splits; all photos elsewhere are left out."""
    for split, folder in named:
        if not folder.folders:
            found.leave_out(f"in {folder.name}/ without class folders", folder.below())
        elif split in found.places:
            found.leave_out(f"in {folder.name}/", folder.below())
            first = found.places[split].name
            found.problems.append(
                f"{first}/ and {folder.name}/ are both the {split} set; put them together, or give "
                "one another name"
            )
        else:
            found.places[split] = folder
            found.leave_out(BESIDE, folder.own())
    found.places = {split: found.places[split] for split in SPLITS if split in found.places}
    for split, folder in found.places.items():
        found.splits[split] = _classes(found, folder)
    strangers = []
    for folder in (folder for folder in others if folder.count()):
        found.leave_out(f"in {folder.name}/, which is no split", folder.below())
        inside = {composed(inner.name) for inner in folder.folders}
        if not inside & found.splits.get("train", {}).keys() and not _like_a_split(folder.name):
            strangers.append(folder)
    if bare := [folder for _, folder in named if not folder.folders and not folder.photos]:
        found.problems.append(
            f"no photo in {_names(bare)}; add some or remove it{_why_empty(found)}"
        )
    first = next(iter(found.places.values())).name
    if "train" not in found.places and (least > 1 or strangers):
        hint = f"; if {first} is a class, give it another name" if strangers else ""
        found.problems.append(f"has {first}/ but no train/ folder{hint}")
    elif strangers and len(found.places) == 1:
        found.problems.append(
            f"{first}/ can be the train set, or a class beside {_names(strangers)}; move "
            f"{_names(strangers)} elsewhere, or give the class {first} another name"
        )


def _take_classes(found: Layout) -> None:
    """Takes each folder as a class; looks whether they could be something else."""
    root = found.listing.folder
    found.places[""], found.splits[""] = root, _classes(found, root)
    classes = [*found.splits[""].values()]
    if not classes:
        count = len(root.photos)
        flat = f", only {count:,} {plural(count, 'photo')}" if count else ""
        found.problems.append(
            f"holds no class folders{flat}; put each class's photos in its own folder"
        )
    inside = {folder.name: {f.name for f in folder.walk() if f.photos} for folder in classes}
    for folder in classes:
        inside[folder.name].discard(folder.name)
    shared = Counter(name for names in inside.values() for name in names)
    twice = {name for name, count in shared.items() if count > 1}
    alike = [folder for folder in classes if len(inside[folder.name] & twice) > 1]
    inner = {name for name in twice if split_of(name)}
    if len({split_of(name) for name in inner}) > 1:
        some = [folder for folder in classes if inner & inside[folder.name]]
        found.problems.append(
            f"{_names(some)} hold the same splits ({', '.join(sorted(inner))}); put the classes "
            f"into the splits, as in {min(inner)}/{some[0].name}/"
        )
    elif any(_like_a_split(folder.name) for folder in alike):
        found.problems.append(
            f"{_names(alike)} look like splits, since the same folders are in them; call them "
            "train/, valid/ or test/"
        )
    elif alike:
        found.notes.append(
            f"{_names(alike)} are taken as classes, though the same folders are in them; if they "
            "are splits, call them train/, valid/ or test/"
        )
    elif nested := [folder for folder in classes if inside[folder.name]]:
        found.notes.append(f"photos in folders inside {_names(nested)} belong to that class")


def _classes(found: Layout, place: Folder) -> dict[str, Folder]:
    """The class folders in a place, by name."""
    classes: dict[str, Folder] = {}
    for folder in place.folders:
        name = composed(folder.name)
        if name in classes:
            found.leave_out(f"in {folder.name}/", folder.below())
            found.problems.append(
                f"two folders are called {name}, in two spellings of its letters in Unicode; put "
                "their photos into one"
            )
        else:
            classes[name] = folder
    return classes


def _check_classes(found: Layout, least: int) -> None:
    """Notes classes that are empty, single, or missing in one of the splits."""
    for split, classes in found.splits.items():
        if empty := [name for name, folder in classes.items() if not folder.count()]:
            place = f" in {found.places[split].name}/" if split else ""
            found.problems.append(
                f"{listed(empty)} without a single photo{place}; add some or remove "
                f"{'it' if len(empty) == 1 else 'them'}{_why_empty(found)}"
            )
    first = found.splits.get("train", found.splits.get("", {}))
    if 0 < len(first) < least:
        only, hint = next(iter(first.values())), "two are needed"
        if len(only.folders) > 1 and "" in found.splits:
            hint = f"did you mean {only.prefix[:-1]}?"
        elif len(only.folders) > 1:
            hint = (
                f"if the folders in it are the classes, move them to {found.places['train'].name}/"
            )
        found.problems.append(f"holds only the class {only.name}; {hint}")
    for split, classes in found.splits.items() if first else ():
        missing = sorted(first.keys() - classes.keys())
        extra = sorted(classes.keys() - first.keys())
        faults = [f"lacks {listed(missing)}"] if missing else []
        faults += [f"has {listed(extra)}, which train lacks"] if extra else []
        if faults:
            found.problems.append(
                f"{found.places[split].name} {' and '.join(faults)}: every split needs the same "
                "classes, or labels would shift"
            )


def _why_empty(found: Layout) -> str:
    counts = found.counts()
    return f" ({counts.sentence()})" if counts.remarkable else ""


def _names(folders: list[Folder]) -> str:
    """The folders' names in a sentence, cut off after five."""
    names = [f"{folder.name}/" for folder in folders[:5]]
    if len(folders) > 5:
        names.append(f"{len(folders) - 5} more")
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
