"""What `Photos` hold: files, an array in memory, several of these (and `items`, `stored`).

Each answers the same questions, so `Photos` need not know which it is.
"""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from PIL import Image

from flowerlib.data.decoding import images
from flowerlib.data.digests import Digests

Rows = Sequence[int] | np.ndarray


class Contents(ABC):
    """Pictures by position: opened, named, and known by a digest of what they show.

    Attributes:
        cut: they have the size that a network takes, and are not to be cut once more.
        in_groups: to read one, those before it in its group are unpacked, too; so photos that lie
            together are best read by one process.
    """

    cut = False
    in_groups = False

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def name(self, index: int) -> str:
        """What messages call a picture."""

    @abstractmethod
    def opened(self, index: int, shrink_to: int | None = None) -> tuple[Image.Image, bytes]:
        """A picture in RGB (see `images.open_photo`), and the digest of what was decoded."""

    def sketch(self, index: int, side: int) -> Image.Image:
        """A picture, perhaps smaller, whose shorter side has `side` pixels at least."""
        return self.opened(index)[0]

    @abstractmethod
    def digest(self, index: int) -> bytes:
        """16 bytes that stand for a picture as it is now."""

    def content(self, index: int) -> bytes | None:
        """The content of a picture's file; None where it has none.

        Raises:
            PhotoError: it cannot be read.
        """
        return None

    @abstractmethod
    def take(self, rows: Rows) -> Contents:
        """The pictures at some positions from 0 up, in that order."""

    def order(self) -> np.ndarray:
        """int64 (N,): reading pictures by these in ascending order is quickest."""
        return np.arange(len(self))

    def united(self, parts: Sequence[Contents]) -> Contents | None:
        """All of several contents as one of this kind; None if they are of several."""
        return None

    def origin(self, index: int) -> bytes:
        """The digest of the photo that a picture is, or is a view of."""
        return self.digest(index)

    def seen(self) -> list[bytes]:
        """For each picture, what `remember` takes elsewhere to spare another reading; or b""."""
        return [b""] * len(self)

    def remember(self, seen: Sequence[bytes]) -> None:
        """Takes in what another process has `seen` of the same pictures."""
        del seen  # nothing that lasts: they are looked at again

    def recalling(self) -> contextlib.AbstractContextManager[None]:
        """Within it, digests of an earlier process count, where nothing has changed since."""
        return contextlib.nullcontext()


class Files(Contents):
    """Photos in files.

    Relative paths are those of the working directory at the time when they were given: a notebook
    may go to another one.

    Attributes:
        names: the paths as they were given.
        paths: the same from the root of the file system.
        digests: what is known of the files; parts of a set share it, so none is read twice.
    """

    def __init__(
        self,
        names: Iterable[str | os.PathLike[str]],
        digests: Digests | None = None,
        paths: Sequence[str] | None = None,
    ) -> None:
        self.names = [os.fsdecode(name) for name in names]
        if paths is None:
            here = "" if all(map(os.path.isabs, self.names)) else os.getcwd()
            paths = [os.path.join(here, name) for name in self.names]
        self.paths = paths
        self.digests = digests or Digests(paths)

    def __len__(self) -> int:
        return len(self.names)

    def name(self, index: int) -> str:
        return self.names[index]

    def content(self, index: int) -> bytes:
        return images.read(self.paths[index], self.names[index])

    def opened(self, index: int, shrink_to: int | None = None) -> tuple[Image.Image, bytes]:
        content = self.content(index)
        return images.open_photo(content, shrink_to, self.names[index]), images.digest_of(content)

    def sketch(self, index: int, side: int) -> Image.Image:
        return images.sketch(self.paths[index], side, self.names[index])

    def digest(self, index: int) -> bytes:
        return self.digests.digest(self.paths[index], self.names[index])

    def seen(self) -> list[bytes]:
        return self.digests.known(self.paths)

    def remember(self, seen: Sequence[bytes]) -> None:
        self.digests.learn(dict(zip(self.paths, seen, strict=True)))

    def take(self, rows: Rows) -> Files:
        names = [self.names[at] for at in rows]
        return Files(names, self.digests, [self.paths[at] for at in rows])

    def recalling(self) -> contextlib.AbstractContextManager[None]:
        return self.digests.recalling(self.paths)


class Pixels(Contents):
    """Pictures in memory: a uint8 array (N, H, W, 3)."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    def name(self, index: int) -> str:
        return f"picture {index}"

    def opened(self, index: int, shrink_to: int | None = None) -> tuple[Image.Image, bytes]:
        pixels = self.array[index].copy()  # its owner may change it at any time
        opened = images.open_photo(pixels, name=self.name(index))
        return opened, digest_of_pixels(pixels)

    def digest(self, index: int) -> bytes:
        return digest_of_pixels(self.array[index])

    def take(self, rows: Rows) -> Pixels:
        return Pixels(self.array[np.asarray(rows, np.int64)])


class Chain(Contents):
    """Several contents; `places`, int64 (N, 2), are of each picture its part and position there."""

    def __init__(self, parts: Sequence[Contents], places: np.ndarray | None = None) -> None:
        if places is None:
            rows = [(number, at) for number, part in enumerate(parts) for at in range(len(part))]
            places = np.array(rows, np.int64).reshape(-1, 2)
        self.parts, self.places = list(parts), places

    def __len__(self) -> int:
        return len(self.places)

    def _at(self, index: int) -> tuple[Contents, int]:
        part, at = self.places[index].tolist()
        return self.parts[part], at

    def name(self, index: int) -> str:
        part, at = self._at(index)
        return part.name(at)

    def opened(self, index: int, shrink_to: int | None = None) -> tuple[Image.Image, bytes]:
        part, at = self._at(index)
        return part.opened(at, shrink_to)

    def sketch(self, index: int, side: int) -> Image.Image:
        part, at = self._at(index)
        return part.sketch(at, side)

    def digest(self, index: int) -> bytes:
        part, at = self._at(index)
        return part.digest(at)

    def content(self, index: int) -> bytes | None:
        part, at = self._at(index)
        return part.content(at)

    def take(self, rows: Rows) -> Chain:
        return Chain(self.parts, self.places[np.asarray(rows, np.int64)])

    @contextlib.contextmanager
    def recalling(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for part in self.parts:
                stack.enter_context(part.recalling())
            yield


def joined(parts: Sequence[Contents]) -> Contents:
    """The pictures of several contents, one after the other."""
    if len(parts) == 1:
        return parts[0]
    files = [part for part in parts if isinstance(part, Files)]
    arrays = [part.array for part in parts if isinstance(part, Pixels)]
    if len(files) == len(parts):
        known = files[0].digests
        for part in files[1:]:
            known = known if part.digests is known else known.joined(part.digests)
        names = [name for part in files for name in part.names]
        return Files(names, known, [path for part in files for path in part.paths])
    if len(arrays) == len(parts) and len({array.shape[1:] for array in arrays}) == 1:
        return Pixels(np.concatenate(arrays))
    return parts[0].united(parts) or Chain(parts)


def digest_of_pixels(pixels: np.ndarray) -> bytes:
    """16 bytes that stand for a picture uint8 (H, W, 3)."""
    return images.digest_of(str(pixels.shape).encode() + pixels.tobytes())
