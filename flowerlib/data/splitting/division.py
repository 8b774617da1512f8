"""Divide photos into train, valid and test where nobody has: by what they show.

A digest of its content is as good as a random number in [0, 1). The lowest numbers make the test
set, the highest the valid set. Photos with the same content, in one class or in several, and near
copies (see `copies`: bursts, resized, mirrored or encoded again) are a group, which has one number
and so one place: nothing in test or valid was learned from.

So a photo's place depends on neither names nor order, and adding photos moves no old one, except

* a new near copy of old photos may have the smaller digest, and give the group its own number;
* a class that no number puts into test lends its lowest there (into valid: its highest) until a
  lower (higher) one comes. Of a class that grows from 3 to 40 photos with shares of 0.15, that
  moves 1.2 photos per share on average, most of them while it has fewer than 10;
* a group may come to hold more than half of a class, or no longer do so: it belongs to train. And
  a class of fewer groups than parts, whose groups are taken apart, may get enough of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from flowerlib.data import files
from flowerlib.data.decoding import images
from flowerlib.data.files import Files
from flowerlib.data.photos import Photos
from flowerlib.data.splitting import copies, thumbnails
from flowerlib.data.splitting.copies import Pair
from flowerlib.support.errors import InputError, listed

LARGE = 0.5  # share of a class's different photos from which a group belongs to train


def divide(
    root: Path, classes: dict[str, Files], shares: dict[str, float]
) -> tuple[dict[str, dict[str, Files]], str]:
    """Divides photos by content, near copies together; what no share claims is train.

    Args:
        root: the folder, for messages.
        classes: photos by class.
        shares: of "test" and "valid", each in [0, 1); their sum is below 1.

    Returns:
        Photos by part and class, in the order of their contents, and a phrase on near copies.

    Raises:
        InputError: photos cannot be read, or a class has too few different photos.
    """
    shares = {part: share for part, share in shares.items() if share > 0}
    every = files.join([*classes.values()])
    labels = np.repeat(np.arange(len(classes)), [len(found) for found in classes.values()])
    digests = Photos(every, labels, [*classes]).digests()
    contents, first, content = np.unique(digests, return_index=True, return_inverse=True)
    pairs = thumbnails.near_copies(
        contents, lambda at: images.sketch(every.text(first[at]), copies.SIDE)
    )
    by_class = [np.unique(content[labels == label]) for label in range(len(classes))]
    least = len(shares) + 1
    if few := _too_few(by_class, len(contents), least):
        raise InputError(f"{root}: {_said([*classes], few, least)}; each split needs at least one.")
    group = groups(len(contents), pairs)
    torn = tear(group, by_class, least)
    place = places(contents, group, by_class, shares)[content]
    parts: dict[str, dict[str, Files]] = {part: {} for part in ("train", *shares)}
    order = np.lexsort((content, labels))
    ends = np.cumsum([len(found) for found in classes.values()])
    for name, inside in zip(classes, np.split(order, ends[:-1]), strict=True):
        for part in parts:
            parts[part][name] = every.take(inside[place[inside] == part])
    return parts, _phrase(group, [[*classes][label] for label in torn])


def problems(
    names: Sequence[str],
    by_class: Sequence[np.ndarray],
    count: int,
    pairs: Iterable[Pair],
    parts: int,
) -> list[str]:
    """Sentences about classes that cannot be divided, or not without near copies on both sides.

    Args:
        names, by_class: of each class, its name and its contents.
        count: of contents in all.
        pairs: near copies among them.
        parts: to fill.
    """
    if not names:
        return []
    few = _too_few(by_class, count, parts)
    group = groups(count, pairs)
    torn = [label for label in tear(group, by_class, parts) if label not in few]
    found = [_said(names, few, parts)] if few else []
    if torn:
        found.append(
            f"{listed([names[label] for label in torn])} of near copies only: training would have "
            "them on both sides; add photos of other scenes, or give split folders"
        )
    return found


def _too_few(by_class: Sequence[np.ndarray], count: int, least: int) -> list[int]:
    """The classes with fewer than `least` contents that are in no other class."""
    alone = np.bincount(np.concatenate(by_class), minlength=count) == 1
    return [label for label, own in enumerate(by_class) if alone[own].sum() < least]


def _said(names: Sequence[str], few: Sequence[int], least: int) -> str:
    short = listed([names[label] for label in few])
    return f"{short} with fewer than {least} different photos that are in no other class"


def groups(count: int, pairs: Iterable[Pair]) -> np.ndarray:
    """Joins what is a pair, also over several steps: of each of `count`, its group's first."""
    first = list(range(count))

    def root(at: int) -> int:
        while first[at] != at:
            first[at] = at = first[first[at]]
        return at

    for pair in pairs:
        low, high = sorted((root(pair.first), root(pair.second)))
        first[high] = low
    return np.array([root(at) for at in range(count)], np.int64)


def tear(group: np.ndarray, by_class: Sequence[np.ndarray], least: int) -> list[int]:
    """Takes apart, in place, the groups of classes that consist of fewer than `least`.

    Such a class, frames of a single video perhaps, cannot be divided without near copies on both
    sides.

    Args:
        group: of each content, as `groups` returns it.
        by_class: the contents in each class.
        least: parts to fill.

    Returns:
        The classes whose groups were taken apart.
    """
    torn = [label for label, own in enumerate(_own(group, by_class)) if len(own) < least]
    if torn:
        loose = np.isin(group, np.concatenate([group[by_class[label]] for label in torn]))
        group[loose] = np.flatnonzero(loose)
    return torn


def places(
    contents: np.ndarray,
    group: np.ndarray,
    by_class: Sequence[np.ndarray],
    shares: Mapping[str, float],
) -> np.ndarray:
    """The part, "train", "test" or "valid", of each content; see the module's description.

    Args:
        contents: digests (N,) of NumPy's kind "S16", all different.
        group: of each content, as `groups` returns it; at least as many in each class as parts.
        by_class: the contents in each class.
        shares: of "test" and "valid".
    """
    number = _numbers(contents, group)
    test, valid = shares.get("test", 0.0), shares.get("valid", 0.0)
    part = np.where(number < test, "test", np.where(number >= 1 - valid, "valid", "train"))
    large = _large(group, by_class)
    part[large] = "train"
    for own in _own(group, by_class):
        lent = own[~np.isin(own, large)]
        lent = lent[np.argsort(number[lent])]
        for_train = 1 if len(lent) == len(own) else 0
        low = max((number[lent] < test).sum(), test > 0)
        high = max((number[lent] >= 1 - valid).sum(), valid > 0)
        while low + high > len(lent) - for_train:
            low, high = (low - 1, high) if low > high else (low, high - 1)
        part[lent] = "train"
        part[lent[:low]] = "test"
        part[lent[len(lent) - high :]] = "valid"
    return part[group]


def _numbers(contents: np.ndarray, group: np.ndarray) -> np.ndarray:
    """In [0, 1), at each group's first: one half of the digest whose other half is the smallest."""
    halves = np.frombuffer(contents.tobytes(), ">u8").reshape(-1, 2)
    order = np.lexsort((halves[:, 1], group))
    firsts, at = np.unique(group[order], return_index=True)
    number = np.zeros(len(contents))
    number[firsts] = halves[order[at], 0] / 2**64
    return number


def _large(group: np.ndarray, by_class: Sequence[np.ndarray]) -> np.ndarray:
    """The groups of several contents that hold more than the share `LARGE` of a class."""
    several = np.bincount(group, minlength=len(group)) > 1
    found = []
    for inside in by_class:
        names, counts = np.unique(group[inside], return_counts=True)
        found.append(names[(counts > LARGE * len(inside)) & several[names]])
    return np.concatenate(found)


def _own(group: np.ndarray, by_class: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Of each class, the groups that lie in no other."""
    inside = [np.unique(group[some]) for some in by_class]
    alone = np.bincount(np.concatenate(inside), minlength=len(group)) == 1
    return [names[alone[names]] for names in inside]


def _phrase(group: np.ndarray, torn: Sequence[str]) -> str:
    sizes = np.bincount(group)
    sizes = sizes[sizes > 1]
    said = ""
    if len(sizes):
        many = "groups" if len(sizes) > 1 else "group"
        said = f"; {sizes.sum():,} near copies in {len(sizes):,} {many} kept on one side"
    if torn:
        said += f"; {listed([*torn])} of near copies only, which lie on both sides"
    return said
