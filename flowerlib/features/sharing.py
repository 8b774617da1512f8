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
from flowerlib.support import distributed
from flowerlib.support.errors import InputError

CHUNK = 1024  # photos whose features are sent at once

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Plan:
    """Who does what.

    Attributes:
        missing: rows that nobody's cache knows, int64.
        given: for each process, the rows that it sends to the others.
    """

    missing: np.ndarray
    given: list[np.ndarray]

    @classmethod
    def of(cls, unknown: np.ndarray) -> Plan:
        """Made by all processes together, from the rows that the cache of each does not know."""
        lacking = distributed.gather(unknown)
        missing = functools.reduce(np.intersect1d, lacking)
        known = np.setdiff1d(functools.reduce(np.union1d, lacking), missing)  # by some of them
        owner = np.zeros(len(known), np.int64)
        for rank in reversed(range(len(lacking))):
            owner[~np.isin(known, lacking[rank])] = rank
        size = len(lacking)
        given = [np.append(missing[rank::size], known[owner == rank]) for rank in range(size)]
        return cls(missing, given)

    @property
    def mine(self) -> np.ndarray:
        """The rows that this process computes."""
        return self.missing[np.array(distributed.share(len(self.missing)), np.int64)]

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
    mine = photos.subset(np.array(distributed.share(len(photos)), np.int64))
    found, seen = np.empty(len(photos), "S16"), [b""] * len(photos)
    shares = distributed.from_each(lambda: (mine.digests(), mine.contents.seen()))
    for rank, (some, known) in enumerate(shares):
        found[rank :: distributed.size()] = some
        seen[rank :: distributed.size()] = known
    photos.contents.remember(seen)
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
