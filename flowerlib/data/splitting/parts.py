"""From photos to a training, a validation and a test set: as their owner says, or by content."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flowerlib.data.photos import Photos
from flowerlib.data.splitting import division
from flowerlib.support.errors import InputError

PARTS = ("train", "valid", "test")


def check_shares(valid: float, test: float) -> None:
    """Refuses shares of the validation and the test set that leave nothing to train on."""
    if not (0 < valid < 1 and 0 <= test < 1 and valid + test < 1):
        raise InputError(f"valid ({valid}) and test ({test}) must be shares that leave some train.")


def part(
    photos: Photos,
    given: Sequence[str] | np.ndarray | None,
    groups_of: Sequence[object] | np.ndarray | None = None,
    *,
    valid: float,
    test: float,
    by: str,
    where: str,
) -> tuple[dict[str, Photos], str]:
    """Divides photos into "train", "valid" and perhaps "test".

    Where nobody has divided them, that is done by content (see `division`); a missing valid set is
    taken out of train, a missing test set stays missing.

    Args:
        photos: all of them.
        given: the part of each photo; None if nobody has divided them.
        groups_of: for each photo what it belongs to, such as a patient; equal ones are never apart.
        valid, test: shares of each class, where these parts must be made.
        by: what `given` comes from, such as "folders".
        where: the photos' place, for messages.

    Returns:
        The parts, each by class, and a phrase about how they came about.

    Raises:
        InputError: a class is too small, or a group is asked for on both sides.
    """
    check_shares(valid, test)
    if given is None:
        rows, told = division.divide(photos, {"test": test, "valid": valid}, groups_of, where=where)
        how = f"split by content{told}"
    else:
        _refuse_torn(given, groups_of, where)
        order = np.argsort(photos.labels, kind="stable")
        rows = {name: order[np.asarray(given)[order] == name] for name in PARTS}
        how = f"split by {by}"
        if not len(rows["valid"]):
            inside = rows["train"]
            groups = None if groups_of is None else [groups_of[at] for at in inside]
            divided, told = division.divide(
                photos.subset(inside), {"valid": valid}, groups, where=where
            )
            rows |= {name: inside[some] for name, some in divided.items()}
            how = f"valid taken out of train by content{told}"
    return {name: photos.subset(some) for name, some in rows.items() if len(some)}, how


def _refuse_torn(
    given: Sequence[str] | np.ndarray, groups_of: Sequence[object] | np.ndarray | None, where: str
) -> None:
    """Refuses a group whose photos are asked for in several parts."""
    place: dict[object, str] = {}
    for name, group in zip(given, () if groups_of is None else groups_of, strict=False):
        if (first := place.setdefault(group, str(name))) != name:
            raise InputError(
                f"{where}: the group {group} is in {first} and in {name}; put each group into one "
                "split, or leave the split out to have the groups divided."
            )
