"""The pictures of somebody else's data set, as one of the contents of `Photos`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

import numpy as np
from PIL import Image

from flowerlib.data.contents import Contents, Rows, digest_of_pixels
from flowerlib.data.decoding import images
from flowerlib.data.digests import Digests
from flowerlib.support.locks import ProcessLock

# Data sets are rarely written for several threads: one item at a time. One of them may fetch its
# items from another.
FETCHING = ProcessLock(threading.RLock)


class Items(Contents):
    """The pictures of a data set that gives one after the other, the same at every visit.

    The digest of a file's content is that of the file; of anything else, that of its pixels. A
    file may change between two visits, and then has another digest.

    Attributes:
        fetch: from a row of the data set to what `images.open_photo` takes; a text is the path of
            a file, from the root of the file system.
        rows: those that are meant.
        known: by row, the path of a file, or the digest of anything else; parts of a set share it,
            so that each item is asked for once.
        files: what is known of the files; shared, too.
    """

    def __init__(
        self,
        fetch: Callable[[int], images.Photo],
        rows: Iterable[int],
        known: dict[int, bytes | str] | None = None,
        files: Digests | None = None,
    ) -> None:
        self.fetch, self.rows = fetch, [int(row) for row in rows]
        self.known: dict[int, bytes | str] = {} if known is None else known
        self.files = Digests(()) if files is None else files

    def __len__(self) -> int:
        return len(self.rows)

    def name(self, index: int) -> str:
        return f"picture {self.rows[index]}"

    def opened(self, index: int, shrink_to: int | None = None) -> tuple[Image.Image, bytes]:
        with FETCHING():
            photo = self.fetch(self.rows[index])
            if isinstance(photo, str):
                photo = images.read(photo)
            opened = images.open_photo(photo, shrink_to, self.name(index))
        if isinstance(photo, bytes):
            return opened, images.digest_of(photo)
        return opened, digest_of_pixels(np.asarray(opened))

    def sketch(self, index: int, side: int) -> Image.Image:
        with FETCHING():
            photo = self.fetch(self.rows[index])
            return images.sketch(photo, side, None if isinstance(photo, str) else self.name(index))

    def digest(self, index: int) -> bytes:
        row = self.rows[index]
        if row not in self.known:
            with FETCHING():
                self.learn(row, self.fetch(row))
        known = self.known[row]
        return self.files.digest(known, known) if isinstance(known, str) else known

    def learn(self, row: int, photo: images.Photo) -> None:
        """Notes what `fetch` has given for a row, so that it need not be asked for its digest.

        Raises:
            PhotoError: it is no usable photo.
        """
        if isinstance(photo, str):
            self.known[row] = photo
        elif isinstance(photo, bytes):
            self.known[row] = images.digest_of(photo)
        else:
            opened = images.open_photo(photo, name=f"picture {row}")
            self.known[row] = digest_of_pixels(np.asarray(opened))

    def take(self, rows: Rows) -> Items:
        return Items(self.fetch, [self.rows[at] for at in rows], self.known, self.files)
