"""From photos to a training, a validation and a test set: as their owner says, or by content."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from flowerlib.data.splitting import division
from flowerlib.support.errors import InputError, listed

if TYPE_CHECKING:
    from flowerlib.data.file_counts import FileCounts
    from flowerlib.data.photos import Photos
    from flowerlib.data.splits import Splits

PARTS = ("train", "valid", "test")


def check_shares(valid: float, test: float) -> None:
    """Refuses shares of the validation and the test set that leave nothing to train on."""
    if not (0 < valid < 1 and 0 <= test < 1 and valid + test < 1):
        raise InputError(f"valid ({valid}) and test ({test}) must be shares that leave some train.")


def split(
    photos: Photos,
    given: Sequence[str] | None,
    groups_of: Sequence[object] | None,
    *,
    valid: float,
    test: float,
    as_given: str,
    where: str,
    name: str,
    files: FileCounts | None,
    notes: Sequence[str],
) -> Splits:
    """Divides photos into train, valid and perhaps test, each by class.

    Where nobody has divided them, that is done by content (see `division`); a missing valid set is
    taken out of train, a missing test set stays missing.

    Args:
        photos: all of them.
        given: the part of each photo; None if nobody has divided them.
        groups_of: for each photo what it belongs to, such as a patient; equal ones are never apart.
        valid, test: shares of each class, where these parts must be made.
        as_given: the phrase for `given`, such as "split by folders".
        where: the photos' place, for messages.
        name, files, notes: of the splits; it is noted which classes are not in valid or test.

    Raises:
        InputError: a class is too small, or a group is asked for on both sides.
    """
    from flowerlib.data.splits import Splits  # torch; a list is read without it

    check_shares(valid, test)
    if given is None:
        rows, groups = division.divide(
            photos, {"test": test, "valid": valid}, groups_of, where=where
        )
        how = f"split by content{groups}"
    else:
        if groups_of is not None and (torn := torn_group(given, groups_of)):
            raise InputError(f"{where}: {torn}.")
        order = np.argsort(photos.labels, kind="stable")
        rows = {part: order[np.asarray(given)[order] == part] for part in PARTS}
        how = as_given
        if not len(rows["valid"]):
            inside = rows["train"]
            belongs = None if groups_of is None else [groups_of[at] for at in inside]
            divided, groups = division.divide(
                photos.subset(inside), {"valid": valid}, belongs, where=where
            )
            rows |= {part: inside[some] for part, some in divided.items()}
            how = f"valid taken out of train by content{groups}"
    made = {part: photos.subset(some) for part, some in rows.items() if len(some)}
    names = photos.class_names
    lacking = [
        f"{part} has no photo of {listed([names[at] for at in missing])}"
        for part in ("valid", "test")
        if part in made and len(missing := np.flatnonzero(made[part].counts() == 0))
    ]
    train, valid_part, test_part = made["train"], made["valid"], made.get("test")
    notes = (*notes, *lacking)
    return Splits(train, valid_part, test_part, names, name, "photos", how, files, notes)


def torn_group(given: Iterable[object], groups_of: Iterable[object]) -> str | None:
    """What to say about a group whose photos are asked for in several parts, if there is one."""
    place: dict[object, object] = {}
    for name, group in zip(given, groups_of, strict=True):
        if (first := place.setdefault(group, name)) != name:
            return (
                f"the group {group} is in {first} and in {name}; put each group into one split, or "
                "leave the splits out to have the groups divided"
            )
    return None
