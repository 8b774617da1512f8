"""Photos that are no files of this computer: members of shards, rows of tables, objects in a store.

A `Source` says where the bytes of each photo lie; `Stored` makes of it what `Photos` hold. Only
names and places are in memory; a photo is read when it is asked for.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from flowerlib.data import digests
from flowerlib.data.contents import Contents, Rows
from flowerlib.data.decoding import images
from flowerlib.support.errors import InputError


class Source(ABC):
    """Gives the bytes and the name of each photo, by row.

    It can be pickled: what it opens, it opens again in another process.

    Attributes:
        place: under which digests of the photos are remembered, such as the folder of the shards.
        in_groups: as in `Contents`.
    """

    place: str
    in_groups = False

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def name(self, row: int) -> str:
        """What messages call a photo: where it lies, and its key there."""

    @abstractmethod
    def read(self, row: int) -> bytes:
        """The content of a photo's file; raises a `PhotoError` if it cannot be read."""

    @abstractmethod
    def marks(self) -> list[bytes]:
        """16 bytes a photo that are others if it may have changed; b"" if nobody can tell."""


class Stored(Contents):
    """Photos of a source.

    Attributes:
        source: of them.
        rows: int64 (N,), those that are meant.
        known: "S16", the digest of each photo by row, b"" before it was read; parts of a set share
            it, so each photo is read for its digest once.
    """

    def __init__(
        self, source: Source, rows: Rows | None = None, known: np.ndarray | None = None
    ) -> None:
        self.source, self.in_groups = source, source.in_groups
        self.rows = np.arange(len(source)) if rows is None else np.asarray(rows, np.int64)
        self.known = np.zeros(len(source), "S16") if known is None else known

    def __len__(self) -> int:
        return len(self.rows)

    def name(self, index: int) -> str:
        return self.source.name(int(self.rows[index]))

    def content(self, index: int) -> bytes:
        return self.source.read(int(self.rows[index]))

    def opened(self, index: int, shrink_to: int | None = None) -> tuple[Image.Image, bytes]:
        content = self.content(index)
        return images.open_photo(content, shrink_to, self.name(index)), images.digest_of(content)

    def sketch(self, index: int, side: int) -> Image.Image:
        return images.sketch(self.content(index), side, self.name(index))

    def digest(self, index: int) -> bytes:
        row = self.rows[index]
        if not self.known[row]:
            self.known[row] = images.digest_of(self.content(index))
        return _whole(self.known[row])

    def take(self, rows: Rows) -> Stored:
        return Stored(self.source, self.rows[np.asarray(rows, np.int64)], self.known)

    def united(self, parts: Sequence[Contents]) -> Stored | None:
        same = [part for part in parts if isinstance(part, Stored) and part.source is self.source]
        if len(same) < len(parts):
            return None
        return Stored(self.source, np.concatenate([part.rows for part in same]), self.known)

    def order(self) -> np.ndarray:
        return self.rows

    def seen(self) -> list[bytes]:
        return self.known[self.rows].tolist()

    def remember(self, seen: Sequence[bytes]) -> None:
        new = np.array(seen, "S16")
        self.known[self.rows[new != b""]] = new[new != b""]

    @contextlib.contextmanager
    def recalling(self) -> Iterator[None]:
        new = self.rows[self.known[self.rows] == b""].tolist()
        index: digests.Index | None = None
        if len(new) >= digests.MANY:
            with contextlib.suppress(InputError):  # without a cache they are read
                index = digests.Index(self.source.place)
        if index is None:
            yield
            return
        marks = self.source.marks()
        found = index.look_up([marks[row] for row in new])
        for row in new:
            self.known[row] = found.get(marks[row], b"")
        lacking = [row for row in new if marks[row] and marks[row] not in found]
        yield
        if read := [marks[row] + _whole(self.known[row]) for row in lacking if self.known[row]]:
            with contextlib.suppress(InputError):
                index.remember(read)


def _whole(digest: bytes) -> bytes:
    """A digest as it was: NumPy takes zeros at the end for none."""
    return bytes(digest).ljust(16, b"\0")
