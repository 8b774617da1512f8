"""Features computed by several processes: who computes which photo, and how all get all of them.

Each process has a cache, perhaps the same one on a shared disk. What nobody's cache knows is
computed by all, each a share; then each process sends what it computed, or knows and others lack.
Alone, all of this comes down to nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from flowerlib.data import Photos
from flowerlib.data.contents import Contents
from flowerlib.support import distributed
from flowerlib.support.errors import InputError

CHUNK = 1024  # photos whose features are sent at once

Progress = Callable[[int, int], None]


def dealt(contents: Contents, rows: np.ndarray, size: int) -> list[np.ndarray]:
    """For each of `size` processes its share of some rows: every `size`-th, so all are alike.

    Where photos are unpacked in groups, a share is of photos that lie together: no more groups are
    unpacked by two processes than there are seams between shares.
    """
    if not contents.in_groups:
        return [rows[rank::size] for rank in range(size)]
    return np.array_split(rows[np.argsort(contents.order()[rows], kind="stable")], size)


@dataclass(frozen=True)
class Plan:
    """Who does what.

    Attributes:
        missing: rows that nobody's cache knows, int64.
        mine: those of them that this process computes.
        given: for each process, the rows that it sends to the others.
    """

    missing: np.ndarray
    mine: np.ndarray
    given: list[np.ndarray]

    @classmethod
    def of(cls, contents: Contents, unknown: np.ndarray) -> Plan:
        """Made by all processes together, from the rows that the cache of each does not know."""
        lacking = distributed.gather(unknown)
        missing = functools.reduce(np.intersect1d, lacking)
        known = np.setdiff1d(functools.reduce(np.union1d, lacking), missing)  # by some of them
        owner = np.zeros(len(known), np.int64)
        for rank in reversed(range(len(lacking))):
            owner[~np.isin(known, lacking[rank])] = rank
        shares = dealt(contents, missing, len(lacking))
        given = [np.append(some, known[owner == rank]) for rank, some in enumerate(shares)]
        return cls(missing, shares[distributed.rank()], given)

    def exchange(self, values: Tensor) -> None:
        """Puts what other processes have into the rows of `values` (N, D) that lack it."""
        if distributed.size() == 1:
            return
        for source, rows in enumerate(self.given):
            for begin in range(0, len(rows), CHUNK):
                some = rows[begin : begin + CHUNK]
                mine = source == distributed.rank()
                piece = values[some] if mine else values.new_empty(len(some), values.shape[1])
                distributed.broadcast(piece, source)
                if not mine:
                    values[some] = piece

    def progress(self, report: Progress | None) -> Progress | None:
        """A report of the main process's share that tells of all, but for the last photo.

        `extract` reports that one when all have finished.
        """
        if report is None or distributed.size() == 1:
            return report
        count = len(self.missing)

        def scaled(done: int, mine: int) -> None:
            report(min(done * distributed.size(), count - 1), count)

        return scaled


def digests(photos: Photos) -> np.ndarray:
    """The digests of all photos, as `photos.digests()`; each process reads its share of them.

    Afterwards all know all, as if each had read them.
    """
    if distributed.size() == 1:
        return photos.digests()
    rows = dealt(photos.contents, np.arange(len(photos)), distributed.size())
    mine = photos.subset(rows[distributed.rank()])
    found, seen = np.empty(len(photos), "S16"), np.empty(len(photos), object)
    shares = distributed.from_each(lambda: (mine.digests(), mine.contents.seen()))
    for at, (some, known) in zip(rows, shares, strict=True):
        found[at], seen[at] = some, known
    photos.contents.remember(seen.tolist())
    return found


def agreed(device: str, precision: str) -> str:
    """The precision in which all processes can compute.

    Raises:
        InputError: they compute on different kinds of devices.
    """
    found = distributed.gather((device, precision))
    if len(devices := sorted({device for device, _ in found})) > 1:
        raise InputError(
            f"The processes compute on different devices ({', '.join(devices)}), which gives "
            'different features; choose one for all, such as device "cpu".'
        )
    return "fp32" if "fp32" in {precision for _, precision in found} else precision
