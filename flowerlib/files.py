"""The paths of many photos, and their digests once they are known, in some fifty bytes a photo.

As `Path` objects and Python's lists they would take eight times as much, and the memory of a
process would grow with its photos.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from flowerlib import images


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
