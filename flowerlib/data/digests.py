"""Digests of files: what was read once is not read again, in this process or a later one.

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
from collections.abc import Iterable, Iterator, Mapping, Sequence

from flowerlib.data.decoding import images
from flowerlib.support import storage
from flowerlib.support.errors import InputError

FORMAT = 3  # raise it when the files change
MOMENT = 3 * 10**9  # ns; the coarsest clock of a file system ticks every two seconds
MANY = 512  # files; fewer are read as fast as they are looked up


def mark(path: str) -> bytes:
    """16 bytes that stand for a file and its state; none if it is missing or has just changed."""
    try:
        state = os.stat(path)
    except OSError:
        return b""
    if time.time_ns() - max(state.st_mtime_ns, state.st_ctime_ns) < MOMENT:
        return b""
    numbers = state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns
    text = f"{path}\0{numbers}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=16).digest()


class Digests:
    """The digests of some files by path, as long as the files do not change."""

    def __init__(self, paths: Sequence[str]) -> None:
        """`paths` are those that may be asked for, from the root of the file system."""
        self._paths = paths
        self._known: dict[str, bytes] = {}  # 16 bytes of the file's mark, 16 of its content

    def digest(self, path: str, name: str) -> bytes:
        """16 bytes that stand for a file's content (see `images.digest`).

        It is read if it is not known yet, or has changed since; errors call it `name`.

        Raises:
            PhotoError: the file cannot be read.
        """
        now, known = mark(path), self._known.get(path, b"")
        if now and known[:16] == now:
            return known[16:]
        # Marked as it was before it is read: what changes in between is read again.
        found = images.digest(path, name)
        if now:
            self._known[path] = now + found
        return found

    def known(self, paths: Sequence[str]) -> list[bytes]:
        """What is known of each of some files, for `learn` in another process; b"" for nothing."""
        return [self._known.get(path, b"") for path in paths]

    def learn(self, known: Mapping[str, bytes]) -> None:
        """Takes in what another process knows, by path; of use while the files do not change."""
        self._known |= {path: both for path, both in known.items() if both}

    def joined(self, other: Digests) -> Digests:
        """What both know."""
        both = Digests([*self._paths, *other._paths])
        both._known = self._known | other._known
        return both

    @contextlib.contextmanager
    def recalling(self, paths: Sequence[str]) -> Iterator[None]:
        """Within it, files that have not changed since an earlier process read them are not read.

        Where the cache cannot be used, they are: that takes longer, and the answers are the same.
        """
        unknown = [path for path in dict.fromkeys(paths) if path not in self._known]
        index = self._index() if len(unknown) >= MANY else None
        if index is None:
            yield
            return
        marks = {path: mark(path) for path in unknown}
        found = index.look_up(marks.values())
        self._known |= {path: now + found[now] for path, now in marks.items() if now in found}
        missing = [path for path, now in marks.items() if now not in found]
        yield
        if new := [self._known[path] for path in missing if path in self._known]:
            with contextlib.suppress(InputError):
                index.remember(new)

    def _index(self) -> Index | None:
        """What is remembered of the files' folders, if anything can be."""
        try:
            return Index(os.path.commonpath({*map(os.path.dirname, self._paths)}))
        except (InputError, OSError, ValueError):  # no cache folder, no drive in common
            return None


class Index:
    """What is remembered on disk of the files below one folder: marks and digests, 32 bytes a file.

    As with features, every write adds one file: marks in their order, then the digests that go with
    them.
    """

    def __init__(self, root: str) -> None:
        text = f"{FORMAT} {root}".encode("utf-8", "surrogatepass")
        key = hashlib.blake2b(text, digest_size=12).hexdigest()
        self.folder = storage.cache_folder("digests", key)

    def look_up(self, marks: Iterable[bytes]) -> dict[bytes, bytes]:
        """The digest of each of the marks that is known."""
        asked = set(marks)
        return {known: digest for known, digest in self._read() if known in asked}

    def remember(self, known: Sequence[bytes]) -> None:
        """Adds pairs of a mark and a digest, 32 bytes each.

        Raises:
            InputError: the cache's folder is full, or cannot be written to.
        """
        rows = sorted(known)
        content = b"".join([row[:16] for row in rows] + [row[16:] for row in rows])
        storage.keep(content, self.folder)

    def _read(self) -> Iterator[tuple[bytes, bytes]]:
        for file in sorted(self.folder.glob("*.bin")):
            content = storage.kept(file) or b""
            half = len(content) // 2
            for at in range(0, half, 16):
                yield content[at : at + 16], content[half + at : half + at + 16]
