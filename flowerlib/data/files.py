"""The paths of many photos, and what is known of their contents while the files do not change."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from flowerlib.data.decoding import images
from flowerlib.data.digests import Seen, mark
from flowerlib.support.errors import InputError

MANY = 512  # files; fewer are read as fast as they are looked up
KNOWN = np.dtype([("mark", "S16"), ("digest", "S16")])  # empty: not known yet


class Files(Sequence[Path]):
    """A sequence of paths. Parts of it share what they know, so that no file is digested twice.

    Relative paths are those of the working directory at the time when they were given: a notebook
    may go to another one.
    """

    def __init__(self, paths: Iterable[str | os.PathLike[str]]) -> None:
        self._names = [os.fsdecode(path) for path in paths]
        here = "" if all(map(os.path.isabs, self._names)) else os.getcwd()
        self._paths = [
            name if os.path.isabs(name) else os.path.join(here, name) for name in self._names
        ]
        self._known = np.zeros(len(self._names), KNOWN)
        self._rows = np.arange(len(self._names))

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
        """The path as it was given."""
        return self._names[self._rows[index]]

    def path(self, index: int) -> str:
        """The path from the root, under which the file is found from everywhere."""
        return self._paths[self._rows[index]]

    def digest(self, index: int) -> bytes:
        """16 bytes that stand for the file's content (see `images.digest`).

        It is read if it is not known yet, or has changed since.
        """
        row, now = self._rows[index], mark(self.path(index))
        then, known = self._known[row].item()
        if not now or now != then:
            # Marked as it was before it is read: what changes in between is read again.
            known = images.digest(self.path(index), self.text(index))
            self._known[row] = now, known
        return known.ljust(16, b"\0")  # NumPy leaves zeros at the end out

    @contextlib.contextmanager
    def recalling(self) -> Iterator[None]:
        """Within it, files that have not changed since an earlier process read them are not read.

        Where the cache cannot be used, they are: that takes longer, and the answers are the same.
        """
        unknown = np.unique(self._rows[self._known["digest"][self._rows] == b""])
        seen = self._seen() if len(unknown) >= MANY else None
        if seen is None:
            yield
            return
        marks = np.array([mark(self._paths[row]) for row in unknown], "S16")
        self._known["digest"][unknown] = seen.look_up(marks)
        self._known["mark"][unknown] = marks
        missing = unknown[self._known["digest"][unknown] == b""]
        self._known["mark"][missing] = b""
        yield
        new = missing[self._known["mark"][missing] != b""]
        if len(new):
            with contextlib.suppress(InputError):
                seen.remember(self._known["mark"][new], self._known["digest"][new])

    def _seen(self) -> Seen | None:
        """What is remembered of the files' folders, if anything can be."""
        try:
            return Seen(os.path.commonpath({*map(os.path.dirname, self._paths)}))
        except (InputError, OSError, ValueError):  # no cache folder, no drive in common
            return None

    def take(self, indices: Sequence[int] | np.ndarray) -> Files:
        """The files at `indices`, in that order."""
        made = Files.__new__(Files)
        made.__dict__.update(self.__dict__, _rows=self._rows[np.asarray(indices, np.int64)])
        return made


def join(parts: Sequence[Files]) -> Files:
    """The files of several parts, one after the other, with what is known of them."""
    if parts and all(part._known is parts[0]._known for part in parts):
        made = parts[0].take([])
        made._rows = np.concatenate([part._rows for part in parts])
        return made
    made = Files([])
    made._names = [part._names[row] for part in parts for row in part._rows]
    made._paths = [part._paths[row] for part in parts for row in part._rows]
    made._known = np.concatenate([made._known, *(part._known[part._rows] for part in parts)])
    made._rows = np.arange(len(made._names))
    return made
