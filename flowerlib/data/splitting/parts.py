"""From photos to a training, a validation and a test set: as their owner says, or by content."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from flowerlib.data.splitting import division
from flowerlib.support.errors import InputError

if TYPE_CHECKING:
    from flowerlib.data.photos import Photos

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
    as_given: str,
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
        as_given: the phrase for `given`, such as "split by folders".
        where: the photos' place, for messages.

    Returns:
        The parts, each by class, and a phrase about how they came about.

    Raises:
        InputError: a class is too small, or a group is asked for on both sides.
    """
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
        rows = {name: order[np.asarray(given)[order] == name] for name in PARTS}
        how = as_given
        if not len(rows["valid"]):
            inside = rows["train"]
            belongs = None if groups_of is None else [groups_of[at] for at in inside]
            divided, groups = division.divide(
                photos.subset(inside), {"valid": valid}, belongs, where=where
            )
            rows |= {name: inside[some] for name, some in divided.items()}
            how = f"valid taken out of train by content{groups}"
    return {name: photos.subset(some) for name, some in rows.items() if len(some)}, how


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
