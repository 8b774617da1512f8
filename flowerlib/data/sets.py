"""Pictures with labels, split into train, valid and test: from a folder, a named set, the garden.

A class is known by its name. An index is only a position in `class_names`, which travels with the
splits and is saved in the classifier's file.

Shown in: notebooks/04_flowers
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from flowerlib import garden as _garden
from flowerlib.data.folders import addresses, reading
from flowerlib.data.folders.reading import image_folder
from flowerlib.data.photos import Photos
from flowerlib.data.records import building, tables
from flowerlib.data.sources import named_sets, oxford
from flowerlib.data.splits import Splits
from flowerlib.support import options
from flowerlib.support.errors import InputError


def garden(
    kind: str = "flowers",
    *,
    per_class: tuple[int, int, int] = (20, 5, 5),
    size: int = 96,
    height: int | None = None,
    seed: int = 0,
    num_classes: int | None = None,
) -> Splits:
    """Draws a data set; nothing is downloaded. Cached on disk after the first time.

    Args:
        kind: one of `garden.KINDS`.
        per_class: pictures of each class in train, valid and test.
        size: side of the square pictures, in pixels.
        height: for wide pictures, as photos in a catalog are: only so many rows in the middle; all
            if None.
        seed: other seeds give other pictures of the same classes.
        num_classes: only the first so many classes; all if None.

    Raises:
        InputError: an argument is out of its range.

    Example:
        >>> splits = garden("pets", per_class=(4, 2, 2), size=32)
        >>> splits.sizes()
        {'train': 8, 'valid': 4, 'test': 4}
        >>> splits.class_names
        ('cat', 'dog')
    """
    if np.shape(per_class) != (3,):
        raise InputError(
            f"per_class must be three numbers, for train, valid and test, not {per_class!r:.40}."
        )
    for count in per_class:
        options.COUNT_OR_NONE.checked("per_class", count)
    if num_classes is not None:
        options.COUNT.checked("num_classes", num_classes)
    rows = size if height is None else height
    if not 1 <= rows <= size:
        raise InputError(f"garden: height must be 1 to {size}, the size, not {height}.")
    class_names = _garden.class_names(kind)[:num_classes]
    total = sum(per_class)
    labels = np.repeat(np.arange(len(class_names)), total)
    indices = np.tile(np.arange(total), len(class_names))
    above = (size - rows) // 2
    pictures = _garden.pictures(kind, labels, indices, seed=seed, size=size)
    drawn = Photos(pictures[:, above : above + rows], labels, class_names)
    edges = np.cumsum(per_class)
    part = np.searchsorted(edges, indices, side="right")
    train, valid, test = (drawn.subset(np.flatnonzero(part == number)) for number in range(3))
    pixels = f"{size} px" if height is None else f"{size} × {height} px"
    return Splits(train, valid, test, class_names, kind, "drawn", f"drawn at {pixels}, seed {seed}")


def flowers(
    *,
    pictures: str = "auto",
    split: str = "udacity",
    per_class: tuple[int, int, int] = (20, 5, 5),
    size: int = 96,
    num_classes: int = 102,
) -> Splits:
    """The 102 flower classes: Oxford's photos where they are in place, else the garden's species.

    Args:
        pictures: "photos" (refuse if they are missing), "drawn", or "auto": photos if `home()`
            holds them, else drawn. `Splits.pictures` says which it was.
        split: of the real photos, "udacity" (6552 / 818 / 819) or "official" (1020 / 1020 / 6149).
        per_class, size: of the garden's pictures.
        num_classes: fewer than all 102 classes: those with the most training photos.

    Raises:
        InputError: the photos are asked for and not there, or the set is incomplete.

    Source: Nilsback and Zisserman, "Automated flower classification over a large number of
    classes" (2008).

    Example:
        >>> splits = flowers(pictures="drawn", per_class=(2, 1, 1), size=32, num_classes=5)
        >>> len(splits.train), len(splits.class_names)
        (10, 5)
    """
    if split not in ("udacity", "official"):
        raise InputError(f'split must be "udacity" or "official", not "{split}".')
    if not 1 <= num_classes <= 102:
        raise InputError(f"num_classes must be 1 to 102, not {num_classes}.")
    folder = named_sets.folder_for("flowers", pictures)
    if folder is None:
        return garden("flowers", per_class=per_class, size=size, num_classes=num_classes)
    splits = oxford.flowers(folder, split=split)
    order = np.argsort(-splits.train.counts(), kind="stable")[:num_classes]
    some = num_classes < len(splits.class_names)
    return splits.of_classes([splits.class_names[i] for i in order]) if some else splits


def dogs_vs_cats(
    *, pictures: str = "auto", per_class: tuple[int, int, int] = (500, 100, 200), size: int = 96
) -> Splits:
    """Cats and dogs: photos where they are in place, else the garden's pets.

    Args:
        pictures: as for `flowers`. The photos are expected in `dogs_vs_cats/` or `dogscats/`, with
            train/, valid/ and test/ inside and one folder a class in each.
        per_class, size: of the garden's pictures.

    Raises:
        InputError: the photos are asked for and not there, or their folders do not fit together.

    Source: Elson et al., "Asirra: a CAPTCHA that exploits interest-aligned manual image
    categorization" (2007).
    """
    return _named("dogs_vs_cats", pictures, per_class, size, image_folder)


def cifar10(
    *, pictures: str = "auto", per_class: tuple[int, int, int] = (250, 50, 100), size: int = 32
) -> Splits:
    """Ten classes of small pictures: photos of CIFAR-10 where they are in place, else drawn things.

    Args:
        pictures: as for `flowers`. The photos are expected in `cifar10/`, with train/ and test/
            inside and one folder a class in each.
        per_class, size: of the garden's pictures.

    Raises:
        InputError: the photos are asked for and not there, or their folders do not fit together.

    Source: Krizhevsky, "Learning multiple layers of features from tiny images" (2009).
    """
    return _named("cifar10", pictures, per_class, size, image_folder)


def beds_and_sofas(
    *,
    pictures: str = "auto",
    per_class: tuple[int, int, int] = (80, 20, 100),
    size: int = 96,
    height: int | None = None,
) -> Splits:
    """Beds and sofas: photos where they are in place, else the garden's furniture.

    Args:
        pictures: as for `flowers`. The photos are expected in `beds_and_sofas/` or `bed_sofa/`,
            with learn/ (or train/) and test/ inside and one folder a class in each; a fifth of the
            first becomes valid.
        per_class, size, height: of the garden's pictures; see `garden`.

    Raises:
        InputError: the photos are asked for and not there, or their folders do not fit together.
    """
    read = partial(image_folder, valid=0.2)
    return _named("beds_and_sofas", pictures, per_class, size, read, height)


def _named(
    name: str,
    pictures: str,
    per_class: tuple[int, int, int],
    size: int,
    read: Callable[[Path], Splits],
    height: int | None = None,
) -> Splits:
    """The photos of a named set, read by `read`, or what the garden draws in their place."""
    folder = named_sets.folder_for(name, pictures)
    if folder is None:
        drawn = named_sets.SETS[name].drawn
        return garden(drawn, per_class=per_class, size=size, height=height)
    return read(folder)


def from_name(
    name: str, *, split: str | None = None, columns: Mapping[str, str | None] | None = None
) -> Splits:
    """Splits by one word, as on the command line: "garden", "flowers", a folder, a table.

    What is left out of a folder is in `Splits.files`; there is no warning.

    Args:
        name: the word.
        split: of the flowers, "udacity" or "official".
        columns: of a table, the names of those of "path", "label", "split" and "group".

    Raises:
        InputError: the word is the name of a data set and of a folder here; `split` or `columns`
            have no effect; or as `image_folder` and `from_table`.
    """
    table = tables.is_table(name)
    named = [role for role, column in (columns or {}).items() if column is not None]
    if named and not table:
        raise InputError(
            f"{name} is no table, so the {named[0]} column has no effect; leave it out."
        )
    if name in ("garden", "flowers") and Path(name).is_dir():
        raise InputError(
            f"{name} is a data set, and a folder here: write ./{name} for "
            "the folder, or run this elsewhere for the data set."
        )
    if name == "flowers":
        return flowers(pictures="photos", split=split or "udacity")
    if split is not None:
        raise InputError(
            f"split {split} has no effect on {name}: only the published flowers have several; "
            "leave it out."
        )
    if table:
        known = columns or {}
        roles = ("path", "label", "split", "group")
        path, label, part, group = (known.get(role) for role in roles)
        return building.from_table(name, path=path, label=label, split=part, group=group)
    return garden("flowers") if name == "garden" else reading.read_folder(name)


def folder_of(name: str) -> Path | None:
    """The folder that `from_name` reads photos from, whether it is there or not.

    None for the garden's, which are drawn, and for those that a table lists or that lie at an
    address.
    """
    if name == "garden" or (tables.is_table(name) and not Path(name).is_dir()):
        return None
    place = addresses.at(name)
    if isinstance(place, str):
        return None
    return (named_sets.find("flowers") if name == "flowers" else None) or place
