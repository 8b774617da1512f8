"""The last step of every door: photos with labels, perhaps split and grouped, become `Splits`."""

from __future__ import annotations

import numbers
from collections.abc import Sequence

import numpy as np

from flowerlib.data import labeling
from flowerlib.data.file_counts import FileCounts
from flowerlib.data.folders import layout, naming
from flowerlib.data.photos import Photos
from flowerlib.data.records import rows
from flowerlib.data.records.rows import text
from flowerlib.data.splits import Splits
from flowerlib.data.splitting import parts
from flowerlib.support.errors import InputError, listed, plural

Labels = Sequence[object] | np.ndarray


def positions(
    labels: Labels, class_names: Sequence[str] | None = None
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


def divided(
    photos: Photos,
    given: Sequence[object] | np.ndarray | None,
    groups: Sequence[object] | np.ndarray | None,
    *,
    valid: float,
    test: float,
    where: str,
    name: str,
    files: FileCounts | None = None,
    notes: Sequence[str] = (),
) -> Splits:
    """Splits of photos, as `given` divides them or by content.

    Raises:
        InputError: a split has no known name, a group is asked for on both sides, or a class is
            missing in train or too small.
    """
    names = photos.class_names
    if len(set(photos.labels.tolist())) < 2:
        raise InputError(f"{where}: two classes are needed, with photos of each.")
    for what, column in (("split", given), ("group", groups)):
        if column is not None and len(column) != len(photos):
            raise InputError(
                f"{where}: {len(photos):,} {plural(len(photos), 'photo')} but {len(column):,} "
                f"{plural(len(column), what, f'{what}s')}."
            )
    known: list[str] | None = None
    if given is not None:
        written = [text(split) for split in given]
        meant = {name: layout.split_of(name) or name for name in set(written)}
        known = [meant[name] for name in written]
        if strange := sorted(set(known) - set(parts.PARTS)):
            raise InputError(f"{where}: {strange[0]!r} is no split; say train, valid or test.")
        learned = photos.labels[np.array(known) == "train"]
        if unlearned := [names[at] for at in np.setdiff1d(photos.labels, learned)]:
            raise InputError(
                f"{where}: train, from which classes are learned, lacks {listed(unlearned)}."
            )
    if groups is not None:
        groups = [text(group) for group in groups]
        if "" in groups:
            raise InputError(f"{where}: photo {groups.index('')} has no group; fill it in.")
    made, how = parts.part(
        photos, known, groups, valid=valid, test=test, as_given="split as given", where=where
    )
    lacking = [
        f"{part} has no photo of {listed(missing)}"
        for part in ("valid", "test")
        if part in made
        and (missing := [names[at] for at in np.flatnonzero(made[part].counts() == 0)])
    ]
    return Splits(
        made["train"],
        made["valid"],
        made.get("test"),
        names,
        name,
        "photos",
        how,
        files,
        (*notes, *lacking, *naming.lookalikes(names)),
    )
