"""The last step of every door: photos with labels, perhaps split and grouped, become `Splits`."""

from __future__ import annotations

import numbers
from collections.abc import Sequence

import numpy as np

from flowerlib.data import labeling
from flowerlib.data.file_counts import FileCounts
from flowerlib.data.folders import naming
from flowerlib.data.photos import Photos
from flowerlib.data.records import rows
from flowerlib.data.records.rows import Rows
from flowerlib.data.splits import Splits
from flowerlib.data.splitting import parts
from flowerlib.support.errors import InputError, listed

Column = Sequence[object] | np.ndarray


def positions(
    labels: Column, class_names: Sequence[str] | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels as positions in the names of the classes, int64 (N,), and these names.

    Args:
        labels: names of the classes, or whole numbers.
        class_names: in the order of the labels; those that occur, in natural order, if None.

    Raises:
        InputError: a label is missing, or not among the names.
    """
    if hasattr(labels, "dtype"):  # an array of NumPy or torch, a column of a table
        if (array := np.asarray(labels)).ndim != 1:
            raise InputError(f"Labels must be one for each photo, not an array {array.shape}.")
        labels = array.tolist()
    if class_names is not None and all(isinstance(label, numbers.Integral) for label in labels):
        return labeling.checked(labels, class_names), tuple(class_names)
    written = [rows.label(label) for label in labels]
    if "" in written:
        raise InputError(f"Photo {written.index('')} has no label; fill it in, or leave it out.")
    names = tuple(class_names or sorted(set(written), key=naming.natural))
    place = {name: at for at, name in enumerate(names)}
    if unknown := sorted(set(written) - place.keys()):
        raise InputError(f"There are photos of {listed(unknown)}, which class_names lacks.")
    return np.array([place[name] for name in written], np.int64), names


def of_rows(
    found: Rows, name: str, *, valid: float, test: float, files: FileCounts | None = None
) -> Splits:
    """Splits of the photos of a list.

    Raises:
        InputError: something is wrong with the list, or a class is too small to be divided.
    """
    found.refuse()
    photos = Photos(found.pictures, *positions(found.labels))
    files = files or FileCounts(len(found.paths), found.left_out)
    return divided(photos, found, name, valid=valid, test=test, files=files)


def as_rows(photos: Photos, splits: Column | None, groups: Column | None, where: str) -> Rows:
    """Photos in memory or in another library's data set, looked at as those of a list are."""
    names = [photos.class_name(at) for at in range(len(photos))]
    places = [f"photo {at}" for at in range(len(photos))]
    inside = photos.contents
    return rows.arrange(where, (), names, splits, groups, places=places, inside=inside)


def divided(
    photos: Photos,
    found: Rows,
    name: str,
    *,
    valid: float,
    test: float,
    files: FileCounts | None = None,
) -> Splits:
    """Splits of photos, as their rows divide them or by content; raises as `of_rows`."""
    found.refuse()
    return parts.split(
        photos,
        found.splits,
        found.groups,
        valid=valid,
        test=test,
        as_given="split as given",
        where=found.where,
        name=name,
        files=files,
        notes=[*found.notes, *naming.lookalikes(photos.class_names)],
    )
