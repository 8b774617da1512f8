"""Pictures with labels, split into train, valid and test: from a folder, a named set, the garden.

A class is known by its name. An index is only a position in `class_names`, which travels with the
splits and is saved in the classifier's file.

Shown in: notebooks/03_flowers
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flowerlib import cifar, description, files, folders, layout, listing, oxford, storage
from flowerlib import garden as _garden
from flowerlib.errors import InputError, listed
from flowerlib.files import Files
from flowerlib.layout import Layout
from flowerlib.listing import FileCounts
from flowerlib.photos import Photos, Splits

# Data set → names that its folder may have. "flowers" is the Udacity arrangement, "flowers-102"
# torchvision's download.
FOLDERS = {
    "flowers": ("flowers", "flowers-102"),
    "dogs_vs_cats": ("dogs_vs_cats", "dogscats"),
    "cifar10": ("cifar10",),
    "beds_and_sofas": ("beds_and_sofas", "bed_sofa"),
}

DOWNLOADS = ("flowers", "cifar10")
BY_HAND = {
    "dogs_vs_cats": "Kaggle (Dogs vs. Cats) and Microsoft (Kaggle Cats and Dogs Dataset) give the "
    "photos to those who accept their terms; put them into "
    "dogs_vs_cats/{train,valid,test}/{cats,dogs}/",
    "beds_and_sofas": "there is no published set; put photos of beds and sofas into "
    "beds_and_sofas/{learn,test}/{bed,sofa}/",
}


def garden(
    kind: str = "flowers",
    *,
    per_class: tuple[int, int, int] = (20, 5, 5),
    size: int = 96,
    seed: int = 0,
    num_classes: int | None = None,
) -> Splits:
    """Draws a data set of the offline world; cached on disk after the first time.

    Args:
        kind: one of `garden.KINDS`.
        per_class: pictures of each class in train, valid and test.
        size: side of the square pictures, in pixels.
        seed: other seeds give other pictures of the same classes.
        num_classes: only the first so many classes; all if None.
    """
    class_names = _garden.class_names(kind)[:num_classes]
    total = sum(per_class)
    labels = np.repeat(np.arange(len(class_names)), total)
    indices = np.tile(np.arange(total), len(class_names))
    drawn = Photos(
        _garden.pictures(kind, labels, indices, seed=seed, size=size), labels, class_names
    )
    edges = np.cumsum(per_class)
    part = np.searchsorted(edges, indices, side="right")
    train, valid, test = (drawn.subset(np.flatnonzero(part == number)) for number in range(3))
    return Splits(
        train, valid, test, class_names, kind, "garden", f"drawn at {size} px, seed {seed}"
    )


def flowers(
    *,
    world: str = "auto",
    split: str = "udacity",
    per_class: tuple[int, int, int] = (20, 5, 5),
    size: int = 96,
) -> Splits:
    """The 102 flower classes: Oxford's photos where they are in place, else the garden's species.

    Args:
        world: "real" (refuse if the photos are missing), "garden", or "auto": real if
            `FLOWERLIB_DATA` or ./data holds them, else garden. `Splits.world` says which it was.
        split: of the real photos, "udacity" (6552 / 818 / 819) or "official" (1020 / 1020 / 6149).
        per_class, size: of the garden's pictures.

    Raises:
        InputError: the photos are asked for and not there, or the set is incomplete.

    Source: Nilsback and Zisserman, "Automated flower classification over a large number of
    classes" (2008).
    """
    if split not in ("udacity", "official"):
        raise InputError(f'split must be "udacity" or "official", not "{split}".')
    folder = _real_folder("flowers", world)
    if folder is None:
        return garden("flowers", per_class=per_class, size=size)
    return oxford.flowers(folder, split)


def dogs_vs_cats(
    *, world: str = "auto", per_class: tuple[int, int, int] = (500, 100, 200), size: int = 96
) -> Splits:
    """Cats and dogs: photos where they are in place, else the garden's pets.

    Args:
        world: as for `flowers`. The photos are expected in `dogs_vs_cats/` or `dogscats/`, with
            train/, valid/ and test/ inside and one folder a class in each.
        per_class, size: of the garden's pictures.

    Raises:
        InputError: the photos are asked for and not there, or their folders do not fit together.

    Source: Elson et al., "Asirra: a CAPTCHA that exploits interest-aligned manual image
    categorization" (2007).
    """
    folder = _real_folder("dogs_vs_cats", world)
    if folder is None:
        return garden("pets", per_class=per_class, size=size)
    return image_folder(folder)


def cifar10(
    *, world: str = "auto", per_class: tuple[int, int, int] = (250, 50, 100), size: int = 32
) -> Splits:
    """Ten classes of small pictures: photos of CIFAR-10 where they are in place, else drawn things.

    Args:
        world: as for `flowers`. The photos are expected in `cifar10/`, with train/ and test/ inside
            and one folder a class in each.
        per_class, size: of the garden's pictures.

    Raises:
        InputError: the photos are asked for and not there, or their folders do not fit together.

    Source: Krizhevsky, "Learning multiple layers of features from tiny images" (2009).
    """
    folder = _real_folder("cifar10", world)
    if folder is None:
        return garden("things", per_class=per_class, size=size)
    return image_folder(folder)


def beds_and_sofas(
    *, world: str = "auto", per_class: tuple[int, int, int] = (80, 20, 100), size: int = 96
) -> Splits:
    """Beds and sofas: photos where they are in place, else the garden's furniture.

    Args:
        world: as for `flowers`. The photos are expected in `beds_and_sofas/` or `bed_sofa/`, with
            learn/ (or train/) and test/ inside and one folder a class in each; a fifth of the first
            becomes valid.
        per_class, size: of the garden's pictures.

    Raises:
        InputError: the photos are asked for and not there, or their folders do not fit together.
    """
    folder = _real_folder("beds_and_sofas", world)
    if folder is None:
        return garden("furniture", per_class=per_class, size=size)
    return image_folder(folder, valid=0.2)


def _real_folder(name: str, world: str) -> Path | None:
    """The folder of a data set's photos, or None for the garden, as `world` says."""
    if world not in ("auto", "real", "garden"):
        raise InputError(f'world must be "auto", "real" or "garden", not "{world}".')
    folder = None if world == "garden" else find(name)
    if folder is None and world == "real":
        inside = FOLDERS[name][0]
        fetch = f"run `flowerlib download {name}`, or " if name in DOWNLOADS else ""
        raise InputError(
            f"The photos of {name} were not found in {_searched()}; {fetch}"
            f"point FLOWERLIB_DATA at the folder that holds {inside}/."
        )
    return folder


def find(name: str) -> Path | None:
    """The folder that holds the named data set, or None.

    Looked for in the folder named by `FLOWERLIB_DATA`, or else in ./data.

    Raises:
        InputError: `FLOWERLIB_DATA` names a folder that does not exist.
    """
    root = home()
    if os.environ.get("FLOWERLIB_DATA") and not root.is_dir():
        raise InputError(f"FLOWERLIB_DATA names {root}, which is not a folder; mend or unset it.")
    for folder in FOLDERS.get(name, (name,)):
        if (root / folder).is_dir():
            return root / folder
    return None


def home() -> Path:
    """The folder that holds real data sets: `FLOWERLIB_DATA`, or else ./data."""
    return storage.folder_from("FLOWERLIB_DATA") or Path("data")


def _searched() -> str:
    return f"{home()} (from FLOWERLIB_DATA)" if os.environ.get("FLOWERLIB_DATA") else "./data"


def download(name: str) -> Path:
    """Fetches a named data set into `home()`, checked against its published digest and by count.

    What is there and whole is not fetched again; a broken download goes on where it stopped.

    Args:
        name: "flowers" or "cifar10"; of the others it says where their photos come from.

    Returns:
        The folder that holds the photos.

    Raises:
        InputError: the name is unknown, or the download failed or is incomplete.
    """
    if name in BY_HAND:
        raise InputError(f"{name} cannot be downloaded by a command: {BY_HAND[name]}.")
    if name == "cifar10":
        return cifar.download(home())
    if name == "flowers":
        folders = [home() / inside for inside in FOLDERS[name]]
        folder = next((folder for folder in folders if folder.is_dir()), folders[-1])
        if folder.name == "flowers" and (missing := oxford.find_missing(folder)):
            # Somebody put these photos there by hand, so they are not replaced.
            raise InputError(f"{folder} {missing}; move it away and run this again.")
        return oxford.download(home(), folder)
    raise InputError(
        f'No data set "{name}" can be downloaded; known: {", ".join(sorted(DOWNLOADS))}.'
    )


def image_folder(path: Path | str, *, valid: float = 0.15, test: float = 0.15) -> Splits:
    """Splits from any folder of photos.

    Two layouts are understood. With `train/`, and `valid/` and `test/` beside it, each holding one
    folder a class, these are used (also as Training, val, test_set and the like); a missing valid
    set is taken out of train, a missing test set stays missing. With class folders only, each photo
    is put into train, valid or test by a digest of its content, copies and near copies together;
    when adding photos moves old ones, which is rare, is said in `division`.

    A `cat_to_name.json` in the folder, or beside it, gives the classes their readable names.
    `Splits.files` counts what is used and what is not, and a warning says so; `Splits.notes` says
    what could have been meant otherwise.

    Args:
        path: the folder.
        valid, test: shares of each class that go into valid and test, where they must be made.

    Raises:
        InputError: nothing is there, a class is empty, the classes of two splits differ, or it
            cannot be told which folders are splits.
    """
    splits = _read_folder(path, valid=valid, test=test)
    _warn(splits.files)
    return splits


def _warn(counts: FileCounts | None) -> None:
    if counts is not None and counts.remarkable:
        warnings.warn(counts.sentence(), stacklevel=3)


def _read_folder(path: Path | str, *, valid: float = 0.15, test: float = 0.15) -> Splits:
    if not (0 < valid < 1 and 0 <= test < 1 and valid + test < 1):
        raise InputError(f"valid ({valid}) and test ({test}) must be shares that leave some train.")
    root = storage.expand(path)
    found = layout.arrange(listing.read(root))
    parts, how = folders.read_splits(found, valid=valid, test=test)
    return _splits(root, parts["train"], parts["valid"], parts.get("test"), how, found)


def _splits(
    root: Path,
    train: dict[str, Files],
    valid: dict[str, Files],
    test: dict[str, Files] | None,
    how: str,
    found: Layout,
) -> Splits:
    names = sorted(train, key=folders.natural)
    readable, notes = folders.readable_names(root, names)
    class_names = tuple(readable[name] for name in names)
    try:  # now, not when a trained classifier cannot be saved
        description.check_class_names(class_names)
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
        (*found.notes, *notes, *folders.lookalikes(class_names)),
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
    names, _ = folders.readable_names(root, classes)
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


def from_name(name: str, *, split: str | None = None) -> Splits:
    """Splits by one word, as on the command line: "garden", "flowers", or a folder.

    What is left out of a folder is in `Splits.files`; there is no warning.

    Raises:
        InputError: the word is the name of a data set and of a folder here; `split` is given for
            something else than flowers, which alone has several; or as `image_folder`.
    """
    if name in ("garden", "flowers") and Path(name).is_dir():
        raise InputError(
            f"{name} is a data set, and a folder here: write ./{name} for "
            "the folder, or run this elsewhere for the data set."
        )
    if name == "flowers":
        return flowers(world="real", split=split or "udacity")
    if split is not None:
        raise InputError(
            f"split {split} has no effect on {name}: only the published flowers have several; "
            "leave it out."
        )
    return garden("flowers") if name == "garden" else _read_folder(name)


def folder_of(name: str) -> Path | None:
    """The folder that `from_name` reads photos from, whether it is there or not.

    None for the garden's, which are drawn.
    """
    if name == "garden":
        return None
    return (find("flowers") if name == "flowers" else None) or storage.expand(name)
