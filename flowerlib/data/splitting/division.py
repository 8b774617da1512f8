"""Divide photos into train, valid and test where nobody has: by what they show.

A digest of its content is as good as a random number in [0, 1). The lowest numbers make the test
set, the highest the valid set. Photos with the same content, in one class or in several, near
copies (see `copies`: bursts, resized, mirrored or encoded again), and photos that their owner says
belong together (of one patient, say) are a group, which has one number and so one place: nothing in
test or valid was learned from. A large group is in train: it would make a small test set one scene.

So a photo's place depends on neither names nor order, and adding photos moves no old one, except

* a new photo of an old group may have the smaller digest, and give the group its own number;
* a class that no number puts into test lends its lowest there (into valid: its highest) until a
  lower (higher) one comes. Of a class that grows from 3 to 40 photos with shares of 0.15, that
  moves 1.2 photos per share on average, most of them while it has fewer than 10;
* a group may come to be large, or no longer be so. And a class of fewer groups than parts, whose
  groups are taken apart, may get enough of them.

Below, `contents` are the digests (N,) of NumPy's kind "S16", sorted and all different; `by_class`
are, for each class, the positions of its contents; `group` is, for each content, the position of
the first of its group; `shares` are those of "test" and "valid", each in [0, 1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from flowerlib.data.splitting import copies, thumbnails
from flowerlib.data.splitting.copies import Pair
from flowerlib.support.errors import InputError, listed, plural

if TYPE_CHECKING:
    from flowerlib.data.photos import Photos

# A group of more photos than this many times what a class gives to a part belongs to train ...
LARGE = 2.0
# ... and so does one of more than this share of a class.
LARGEST = 0.5


def divide(
    photos: Photos,
    shares: Mapping[str, float],
    groups_of: Sequence[object] | np.ndarray | None = None,
    *,
    where: str = "these photos",
) -> tuple[dict[str, np.ndarray], str]:
    """Divides photos by content, groups together; what no share claims is train.

    Args:
        photos: at least one of each class.
        shares: their sum is below 1.
        groups_of: for each photo what it belongs to; photos of equal ones are never apart.
        where: the photos' place, for messages.

    Returns:
        The positions of the photos of each part, by class and content, and a phrase on groups.

    Raises:
        InputError: photos cannot be read, or a class has too few different photos or groups.
    """
    shares = {part: share for part, share in shares.items() if share > 0}
    contents, first, content = np.unique(photos.digests(), return_index=True, return_inverse=True)
    pairs = thumbnails.near_copies(
        contents,
        lambda at: photos.contents.sketch(int(first[at]), copies.SIDE),
        photos.contents.order()[first],
    )
    names, labels = photos.class_names, photos.labels
    by_class = [np.unique(content[labels == label]) for label in range(len(names))]
    least = len(shares) + 1
    if few := _too_few(by_class, len(contents), least):
        raise InputError(f"{where}: {_said(names, few, least)}; each split needs at least one.")
    torn: list[int] = []
    group = alike = groups(len(contents), pairs)
    if groups_of is None:
        torn = tear(group, by_class, least)
    else:
        group = groups(len(contents), [*pairs, *links(content, groups_of)])
    place, missing = places(contents, group, by_class, shares)
    if missing:
        raise InputError(f"{where}: {_in_too_few_groups(names, missing)}.")
    order = np.lexsort((content, labels))
    found = {part: order[place[content[order]] == part] for part in ("train", *shares)}
    return found, _phrase(alike, groups_of, [names[label] for label in torn])


def problems(
    names: Sequence[str],
    by_class: Sequence[np.ndarray],
    contents: np.ndarray,
    pairs: Sequence[Pair],
    shares: Mapping[str, float],
    given: Sequence[Pair] | None = None,
) -> list[str]:
    """Sentences about classes that cannot be divided, or not without near copies on both sides.

    `pairs` are near copies; `given`, the `links` of what photos belong to, if somebody said so.
    """
    if not names:
        return []
    parts, count = len(shares) + 1, len(contents)
    few = _too_few(by_class, count, parts)
    if given is not None and not few:
        group = groups(count, [*pairs, *given])
        _, missing = places(contents, group, by_class, shares)
        return [_in_too_few_groups(names, missing)] if missing else []
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


def _in_too_few_groups(names: Sequence[str], missing: Sequence[int]) -> str:
    return (
        f"the photos of {listed([names[label] for label in missing])} belong to too few groups to "
        "be in every split without tearing one; add photos of other groups, or name a split for "
        "each photo"
    )


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


def links(content: np.ndarray, groups_of: Sequence[object] | np.ndarray) -> Iterator[Pair]:
    """Pairs that join the contents of all photos that belong to the same."""
    known: dict[object, int] = {}
    for name, at in zip(groups_of, content.tolist(), strict=True):
        if (first := known.setdefault(name, at)) != at:
            yield Pair(first, at, 1.0, False)


def tear(group: np.ndarray, by_class: Sequence[np.ndarray], least: int) -> list[int]:
    """Takes apart, in place, the groups of classes that consist of fewer than `least`.

    Such a class, frames of a single video perhaps, cannot be divided without near copies on both
    sides.

    Returns:
        The classes whose groups were taken apart.
    """
    inside = [np.unique(group[some]) for some in by_class]
    alone = np.bincount(np.concatenate(inside), minlength=len(group)) == 1
    torn = [label for label, names in enumerate(inside) if alone[names].sum() < least]
    if torn:
        loose = np.isin(group, np.concatenate([group[by_class[label]] for label in torn]))
        group[loose] = np.flatnonzero(loose)
    return torn


def places(
    contents: np.ndarray,
    group: np.ndarray,
    by_class: Sequence[np.ndarray],
    shares: Mapping[str, float],
) -> tuple[np.ndarray, list[int]]:
    """The part, "train", "test" or "valid", of each content; see the module's description.

    Returns:
        The parts, (N,), and the classes that are missing in one of them, since they have too few
        groups.
    """
    number = numbers(contents, group)
    test, valid = shares.get("test", 0.0), shares.get("valid", 0.0)
    part = np.where(number < test, "test", np.where(number >= 1 - valid, "valid", "train"))
    size = _large(group, by_class, min(shares.values()))
    part[size > 0] = "train"
    inside = [np.unique(group[some]) for some in by_class]
    members: dict[int, list[int]] = {}  # the classes of each group
    for label, names in enumerate(inside):
        for name in names.tolist():
            members.setdefault(name, []).append(label)
    have = {p: np.array([(part[names] == p).sum() for names in inside]) for p in ("train", *shares)}

    def spare(name: int) -> bool:
        return all(have[part[name]][label] > 1 for label in members[name])

    # Small groups first; of these those whose number is nearest to the part's.
    best = {"test": number, "valid": -number, "train": abs(number - 0.5)}
    missing = []
    for to in [p for p in ("test", "valid", "train") if p in have]:
        for label in np.flatnonzero(have[to] == 0).tolist():
            free = [name for name in inside[label].tolist() if spare(name)]
            if have[to][label]:  # lent with a group of another class
                continue
            if not free:
                missing.append(label)
                continue
            lent = min(free, key=lambda name: (size[name] * (to != "train"), best[to][name]))
            for each in members[lent]:
                have[part[lent]][each] -= 1
                have[to][each] += 1
            part[lent] = to
    return part[group], sorted(set(missing))


def numbers(contents: np.ndarray, group: np.ndarray) -> np.ndarray:
    """In [0, 1), at each group's first: one half of the digest whose other half is the smallest."""
    halves = np.frombuffer(contents.tobytes(), ">u8").reshape(-1, 2)
    order = np.lexsort((halves[:, 1], group))
    firsts, at = np.unique(group[order], return_index=True)
    number = np.zeros(len(contents))
    number[firsts] = halves[order[at], 0] / 2**64
    return number


def _large(group: np.ndarray, by_class: Sequence[np.ndarray], share: float) -> np.ndarray:
    """The size, at its first, of each group that is too large for a part; 0 for all others."""
    several = np.bincount(group, minlength=len(group)) > 1
    limit = min(LARGE * share, LARGEST)
    size = np.zeros(len(group), np.int64)
    for inside in by_class:
        names, counts = np.unique(group[inside], return_counts=True)
        large = (counts > limit * len(inside)) & several[names]
        size[names[large]] = np.maximum(size[names[large]], counts[large])
    return size


def _phrase(
    alike: np.ndarray, groups_of: Sequence[object] | np.ndarray | None, torn: Sequence[str]
) -> str:
    sizes = np.bincount(alike)
    sizes = sizes[sizes > 1]
    said = ""
    if groups_of is not None:
        count, groups = len(groups_of), len(set(groups_of))
        said = f"; {count:,} {plural(count, 'photo')} in {groups:,} given "
        said += f"{plural(groups, 'group')}, each on one side"
    if len(sizes):
        many = plural(len(sizes), "group")
        said += f"; {sizes.sum():,} near copies in {len(sizes):,} {many}, each on one side"
    if torn:
        said += f"; {listed([*torn])} of near copies only, which lie on both sides"
    return said
