"""The paths of many photos, and their digests once they are known, in some fifty bytes a photo.

As `Path` objects and Python's lists they would take eight times as much, and the memory of a
process would grow with its photos.
"""

from __future__ import annotations

import contextlib
import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from flowerlib import images
from flowerlib.errors import InputError
from flowerlib.seen import Seen, mark

MANY = 512  # files; fewer are read as fast as they are looked up


class Files(Sequence[Path]):
    """A sequence of paths. Parts of it share what they know, so that no file is digested twice."""

    def __init__(self, paths: Iterable[Path | str]) -> None:
        folders: dict[str, int] = {}
        names, ends, places = bytearray(), array("q", [0]), array("i")
        for path in paths:
            folder, name = os.path.split(os.fspath(path))
            names += name.encode("utf-8", "surrogatepass")
            ends.append(len(names))
            places.append(folders.setdefault(folder, len(folders)))
        self._folders, self._names = list(folders), names
        self._ends, self._places = np.asarray(ends), np.asarray(places)
        self._digests = np.zeros(len(places), "S16")  # empty: not known yet
        self._rows = np.arange(len(places))

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> Files: ...
    def __getitem__(self, index: int | slice) -> Path | Files:
        if isinstance(index, slice):
            return self.take(range(len(self))[index])
        return Path(self.text(index))

    def text(self, index: int) -> str:
        """The path as it was given; making a `Path` of it takes three times as long."""
        row = self._rows[index]
        name = self._names[self._ends[row] : self._ends[row + 1]]
        return os.path.join(self._folders[self._places[row]], name.decode("utf-8", "surrogatepass"))

    def digest(self, index: int) -> bytes:
        """16 bytes that stand for the file's content (see `images.digest`)."""
        row = self._rows[index]
        known = self._digests[row]
        if not known:
            known = self._digests[row] = images.digest(self.text(index))
        return known.ljust(16, b"\0")  # NumPy leaves zeros at the end out

    @contextlib.contextmanager
    def recalling(self) -> Iterator[None]:
        """Within it, files that have not changed since an earlier process read them are not read.

        Where the cache cannot be used, they are: that takes longer, and the answers are the same.
        """
        unknown = np.flatnonzero(self._digests[self._rows] == b"")
        seen = self._seen() if len(unknown) >= MANY else None
        if seen is None:
            yield
            return
        rows, marks = self._rows[unknown], np.zeros(len(unknown), "S16")
        for place, index in enumerate(unknown):
            marks[place] = mark(os.path.abspath(self.text(int(index))))
        self._digests[rows] = seen.look_up(marks)
        missing = (self._digests[rows] == b"") & (marks != b"")
        yield
        new = missing & (self._digests[rows] != b"")
        if new.any():
            with contextlib.suppress(InputError):
                seen.remember(marks[new], self._digests[rows][new])

    def _seen(self) -> Seen | None:
        """What is remembered of the files' folders, if anything can be."""
        try:
            return Seen(os.path.abspath(os.path.commonpath(self._folders)))
        except (InputError, OSError, ValueError):  # no cache folder, no drive in common
            return None

    def take(self, indices: Sequence[int] | np.ndarray) -> Files:
        """The files at `indices`, in that order."""
        made = Files.__new__(Files)
        made.__dict__.update(self.__dict__, _rows=self._rows[np.asarray(indices, np.int64)])
        return made


def join(parts: Sequence[Files]) -> Files:
    """The files of several parts, one after the other, with what is known of them."""
    if all(part._names is parts[0]._names for part in parts):
        made = parts[0].take([])
        made._rows = np.concatenate([part._rows for part in parts])
    else:
        made = Files(part.text(index) for part in parts for index in range(len(part)))
        made._digests = np.concatenate([part._digests[part._rows] for part in parts])
    return made
