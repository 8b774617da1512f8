"""From folders of photos to splits: which classes, which splits, which names of classes."""

from __future__ import annotations

import json
import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from flowerlib.data import files, labeling
from flowerlib.data.files import Files
from flowerlib.data.folders import layout, listing
from flowerlib.data.folders.layout import Layout
from flowerlib.data.folders.listing import NAMES, FileCounts, Listing
from flowerlib.data.photos import Photos, Splits
from flowerlib.data.splitting import division
from flowerlib.support import storage
from flowerlib.support.errors import InputError, listed
from flowerlib.support.strict_json import distinct


def image_folder(path: Path | str, *, valid: float = 0.15, test: float = 0.15) -> Splits:
    """Splits from any folder of photos.

    Two layouts are understood. With `train/`, and `valid/` and `test/` beside it, each holding one
    folder a class, these are used (also as Training, val, test_set and the like); a missing valid
    set is taken out of train, a missing test set stays missing. With class folders only, each photo
    is put into train, valid or test by a digest of its content, copies and near copies together;
    when adding photos moves old ones, which is rare, is said in `division`.

    A `cat_to_name.json` in the folder, or beside it, gives the classes their readable names.
    `Splits.files` counts what is used and what is not; `Splits.notes` says what could have been
    meant otherwise. Both are warnings, too.

    Args:
        path: the folder.
        valid, test: shares of each class that go into valid and test, where they must be made.

    Raises:
        InputError: nothing is there, a class is empty, the classes of two splits differ, or it
            cannot be told which folders are splits.
    """
    splits = read_folder(path, valid=valid, test=test)
    _warn(splits.files, splits.notes)
    return splits


def _warn(counts: FileCounts | None, notes: Sequence[str] = ()) -> None:
    counted = [counts.sentence()] if counts is not None and counts.remarkable else []
    for sentence in [*counted, *notes]:
        warnings.warn(sentence, stacklevel=3)


def read_folder(path: Path | str, *, valid: float = 0.15, test: float = 0.15) -> Splits:
    if not (0 < valid < 1 and 0 <= test < 1 and valid + test < 1):
        raise InputError(f"valid ({valid}) and test ({test}) must be shares that leave some train.")
    root = storage.expand(path)
    found = layout.arrange(listing.read(root))
    parts, how = read_splits(found, valid=valid, test=test)
    return _splits(root, parts["train"], parts["valid"], parts.get("test"), how, found)


def _splits(
    root: Path,
    train: dict[str, Files],
    valid: dict[str, Files],
    test: dict[str, Files] | None,
    how: str,
    found: Layout,
) -> Splits:
    names = sorted(train, key=natural)
    readable, notes = readable_names(root, names)
    class_names = tuple(readable[name] for name in names)
    try:  # now, not when a trained classifier cannot be saved
        labeling.check_class_names(class_names)
    except ValueError as problem:
        raise InputError(f"{root}: {problem}; rename the class.") from None

    # One sequence of files for all parts: what is known of a photo is known to each that holds it.
    parts = [part for part in (train, valid, test) if part is not None]
    pieces = [part[name] for part in parts for name in names]
    labels = np.repeat(np.tile(np.arange(len(names)), len(parts)), [*map(len, pieces)])
    every = Photos(files.join(pieces), labels, class_names)
    ends = np.cumsum([sum(map(len, part.values())) for part in parts])
    subsets = [every.subset(rows) for rows in np.split(np.arange(len(every)), ends[:-1])]
    return Splits(
        subsets[0],
        subsets[1],
        None if test is None else subsets[2],
        class_names,
        root.resolve().name,
        "real",
        how,
        found.counts(),
        (*found.notes, *notes, *lookalikes(class_names)),
    )


def labelled_folder(path: Path | str, class_names: Sequence[str]) -> Photos:
    """Photos of a folder of class folders, labelled by the names that a classifier knows.

    A warning says which files are not used.

    Raises:
        InputError: a folder's class is unknown to the classifier, or it holds no class folders.
    """
    photos, counts = labelled_photos(path, class_names)
    _warn(counts)
    return photos


def labelled_photos(path: Path | str, class_names: Sequence[str]) -> tuple[Photos, FileCounts]:
    """Like `labelled_folder`, with the number of files instead of a warning."""
    root = storage.expand(path)
    found = layout.arrange(listing.read(root), least=1)
    if split := found.places.get("test", found.places.get("train")):
        raise InputError(f"{root} holds several splits; did you mean {root / split.name}?")
    found.refuse()
    classes = found.splits[""]
    position = {layout.composed(name): label for label, name in enumerate(class_names)}
    names, _ = readable_names(root, classes)
    if not set(names.values()) <= position.keys() and classes.keys() <= position.keys():
        names = {name: name for name in classes}  # the classifier goes by the folders' names
    if unknown := sorted(name for name in names.values() if name not in position):
        raise InputError(f"{root}: the classifier does not know {listed(unknown)}.")
    labels = np.repeat(
        [position[names[name]] for name in classes],
        [folder.count() for folder in classes.values()],
    )
    paths = (path for folder in classes.values() for path in folder.below())
    return Photos(Files(paths), labels, class_names), found.counts()


def survey(found: Listing) -> Layout:
    """What the folders are, with all that training would refuse or note, the names included."""
    arranged = layout.arrange(found)
    classes = dict.fromkeys(name for part in arranged.splits.values() for name in part)
    try:
        readable, notes = readable_names(Path(found.folder.prefix), classes)
    except InputError as problem:
        arranged.problems.append(str(problem).rstrip("."))
    else:
        arranged.notes += [*notes, *lookalikes(readable.values())]
    return arranged


def read_splits(
    found: Layout, *, valid: float, test: float
) -> tuple[dict[str, dict[str, Files]], str]:
    """Photo paths by split and class folder, from folders where they are there, else by content.

    Returns:
        The parts ("test" may be missing), and a phrase about how they came about.

    Raises:
        InputError: a class is empty, too small, or missing in one of the splits.
    """
    found.refuse()
    root = Path(found.listing.folder.prefix)
    parts = {
        split: {name: Files(folder.below()) for name, folder in classes.items()}
        for split, classes in found.splits.items()
    }
    if "" in parts:
        shares = {"test": test, "valid": valid}
        divided, copies = division.divide(root, parts[""], shares)
        return divided, f"split by content{copies}"
    if "valid" in parts:
        return parts, "split by folders"
    divided, copies = division.divide(root, parts["train"], {"valid": valid})
    return parts | divided, f"valid taken out of train by content{copies}"


def natural(name: str) -> tuple[int, int, str]:
    """Sorts 2 before 10; only for looks, since labels go by name."""
    return (0, int(name), "") if name.isascii() and name.isdigit() else (1, 0, name)


def names_file(root: Path) -> Path | None:
    """The `cat_to_name.json` that goes with a folder: in it, or beside it.

    The folder of one split belongs to the data set above it, whose file may lie beside that.
    """
    root = root.absolute()
    places = [root, *root.parents][: 3 if layout.split_of(root.name) else 2]
    return next((place / NAMES for place in places if (place / NAMES).is_file()), None)


def readable_names(root: Path, folders: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """The class folders' names for people, from `cat_to_name.json` where it is there.

    Returns:
        The names, and notes about where they come from.

    Raises:
        InputError: the file lies in the folder and does not name every class, or gives two the same
            name.
    """
    folders = list(folders)
    file = names_file(root)
    if file is None:
        return {name: name for name in folders}, []
    outside = file.parent != root.absolute()
    try:
        # In any encoding of Unicode, marked or not.
        given = json.loads(file.read_bytes(), object_pairs_hook=distinct)
        names = {layout.composed(folder): name for folder, name in given.items()}
        if outside and not names.keys() >= set(folders):
            return {name: name for name in folders}, [f"{file} is not used: it lacks classes"]
        readable = {name: layout.composed(_text(names[name])) for name in folders}
    except OSError as problem:
        raise InputError(f"{file} cannot be read ({problem.strerror}).") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise InputError(f"{file} must map every class folder to a name ({problem}).") from None
    if len(set(readable.values())) != len(readable):
        twice = [name for name in folders if [*readable.values()].count(readable[name]) > 1]
        raise InputError(
            f"{file} gives the same name to two classes ({', '.join(twice[:5])}); put their photos "
            "together, or give them different names."
        )
    return readable, [f"class names are from {file}"] if outside else []


def _text(name: object) -> str:
    if not isinstance(name, (str, int)):
        raise TypeError(f"{name!r} is no name")
    return str(name)


def lookalikes(names: Iterable[str]) -> list[str]:
    """Notes about class names that differ only in what is easily overlooked."""
    groups: dict[str, list[str]] = {}
    for name in names:
        plain = unicodedata.normalize("NFKC", name).casefold()
        groups.setdefault("".join(plain.split()), []).append(name)
    return [
        f"{listed([repr(name) for name in group])} differ only in upper case or spaces; put their "
        "photos together if they are one class"
        for group in groups.values()
        if len(group) > 1
    ]
