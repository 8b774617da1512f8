"""From folders of photos to splits: which classes, which splits, which names of classes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

from flowerlib.data import labeling
from flowerlib.data.file_counts import FileCounts
from flowerlib.data.folders import addresses, layout, naming
from flowerlib.data.folders.addresses import Place
from flowerlib.data.folders.layout import Layout
from flowerlib.data.photos import Photos
from flowerlib.data.splits import Splits
from flowerlib.data.splitting import parts
from flowerlib.support.errors import InputError


def image_folder(
    path: Place,
    *,
    groups: Callable[[str], object] | None = None,
    valid: float = 0.15,
    test: float = 0.15,
) -> Splits:
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
        path: the folder, or its address as fsspec takes it, such as "s3://bucket/photos".
        groups: from a photo's path to what it belongs to, such as a patient or a plant; photos of
            one group are never on both sides.
        valid, test: shares of each class that go into valid and test, where they must be made.

    Raises:
        InputError: nothing is there, a class is empty, the classes of two splits differ, it cannot
            be decided which folders are splits, or they tear a group.
    """
    splits = read_folder(path, groups=groups, valid=valid, test=test)
    warn(splits.files, splits.notes)
    return splits


def warn(counts: FileCounts | None, notes: Sequence[str] = ()) -> None:
    """Warns of what is left out and of notes, in the name of the caller's caller."""
    counted = [counts.sentence()] if counts is not None and counts.remarkable else []
    for sentence in [*counted, *notes]:
        warnings.warn(sentence, stacklevel=3)


def read_folder(
    path: Place,
    *,
    groups: Callable[[str], object] | None = None,
    valid: float = 0.15,
    test: float = 0.15,
) -> Splits:
    """Like `image_folder`, without warnings."""
    parts.check_shares(valid, test)
    root = addresses.at(path)
    found = layout.arrange(addresses.read(root))
    found.refuse()
    every, given, notes = _photos(root, found)
    return parts.split(
        every,
        None if "" in found.splits else given,
        None if groups is None else [_group(groups, every.name(at)) for at in range(len(every))],
        valid=valid,
        test=test,
        as_given="split by folders",
        where=str(root),
        name=root.rpartition("/")[2] if isinstance(root, str) else root.resolve().name,
        files=found.counts(),
        notes=[*found.notes, *notes, *naming.lookalikes(every.class_names)],
    )


def _group(groups: Callable[[str], object], path: str) -> object:
    """What a photo belongs to.

    Raises:
        InputError: nothing, or something that is equal to nothing else.
    """
    found = groups(path)
    if found is None or found == "" or found != found:  # NaN
        raise InputError(f"{path}: there is no group for this photo; give each photo one.")
    kind = type(found)  # such as a match of a pattern, or a list
    if kind.__eq__ is object.__eq__ or kind.__hash__ is None:
        raise InputError(
            f"{path}: its group is {found!r:.60} ({kind.__name__}); give a text or a number."
        )
    return found


def _photos(root: Place, found: Layout) -> tuple[Photos, list[str], list[str]]:
    """All photos, each one's split, and notes about the names of the classes."""
    first = found.splits.get("train", found.splits.get("", {}))
    folders = sorted(first, key=naming.natural)
    readable, notes = naming.readable_names(root, folders)
    class_names = tuple(readable[name] for name in folders)
    try:  # now, not when a trained classifier cannot be saved
        labeling.check_class_names(class_names)
    except ValueError as problem:
        raise InputError(f"{root}: {problem}; rename the class.") from None
    paths: list[str] = []
    labels: list[int] = []
    given: list[str] = []
    for split, classes in found.splits.items():
        for label, name in enumerate(folders):
            paths += classes[name].below()
            labels += [label] * (len(paths) - len(labels))
        given += [split] * (len(paths) - len(given))
    pictures = addresses.pictures(found.listing, paths)
    return Photos(pictures, labels, class_names), given, notes
