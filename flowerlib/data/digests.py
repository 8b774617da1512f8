"""Digests of files that an earlier process has read: what has not changed since is not read again.

A file counts as unchanged if its path, device, inode, size and both times (of its content, of its
entry) are what they were. Whoever writes to a file sets the second time, and nobody can put it
back; only a change within the same tick of the clock would go unnoticed. So a file that changed a
moment ago is not remembered. Windows has no second time: there, size and the first one must do.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator

import numpy as np

from flowerlib.support import storage

FORMAT = 2  # raise it when the files change
MOMENT = 3 * 10**9  # ns; the coarsest clock of a file system ticks every two seconds


def mark(path: str) -> bytes:
    """16 bytes that stand for a file and its state; none if it is missing or has just changed."""
    try:
        state = os.stat(path)
    except OSError:
        return b""
    if time.time_ns() - max(state.st_mtime_ns, state.st_ctime_ns) < MOMENT:
        return b""
    numbers = state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns
    told = f"{path}\0{numbers}".encode("utf-8", "surrogatepass")
    # As NumPy keeps it, without zeros at the end.
    return hashlib.blake2b(told, digest_size=16).digest().rstrip(b"\0")


class Seen:
    """What is remembered of the files below one folder: their marks and digests, 32 bytes a file.

    As with features, every write adds one file: marks in their order, then the digests that go with
    them. Its name is the digest of what it holds.
    """

    def __init__(self, root: str) -> None:
        told = f"{FORMAT} {root}".encode("utf-8", "surrogatepass")
        key = hashlib.blake2b(told, digest_size=12).hexdigest()
        self.folder = storage.cache_folder("digests", key)

    def look_up(self, marks: np.ndarray) -> np.ndarray:
        """The digests that go with N marks, both (N,) of NumPy's kind "S16"; empty if unknown."""
        found = np.zeros(len(marks), "S16")
        for known, digests in self._read():
            at = np.searchsorted(known, marks).clip(max=len(known) - 1)
            here = known[at] == marks
            found[here] = digests[at[here]]
        return found

    def remember(self, marks: np.ndarray, digests: np.ndarray) -> None:
        """Adds marks and the digests that go with them, each (N,) of NumPy's kind "S16".

        Raises:
            InputError: the cache's folder is full, or cannot be written to.
        """
        order = np.argsort(marks)
        content = np.stack([marks[order], digests[order]]).tobytes()
        with storage.atomic_path(self.folder / _name(content)) as path:
            path.write_bytes(content)

    def _read(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for file in sorted(self.folder.glob("*.bin")):
            with contextlib.suppress(OSError):
                content = file.read_bytes()
                if file.name == _name(content):
                    known, digests = np.frombuffer(content, "S16").reshape(2, -1)
                    yield known, digests
                else:  # damaged: the photos are read again
                    file.unlink(missing_ok=True)


def _name(content: bytes) -> str:
    return f"{hashlib.blake2b(content, digest_size=16).hexdigest()}.bin"
