"""Open one photo, the same way everywhere: training, evaluation, prediction, command line.

What becomes of its content is the policy in `decoding`. Here: where it comes from.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, cast

import numpy as np
from PIL import Image

from flowerlib.data.decoding import decoder
from flowerlib.data.decoding.decoder import MAX_PIXELS, Facts
from flowerlib.data.decoding.formats import FORMATS
from flowerlib.data.decoding.metadata import Unreadable
from flowerlib.support.console import one_line
from flowerlib.support.errors import InputError, plural

__all__ = ["FORMATS", "MAX_PIXELS", "Facts", "PhotoError", "open_photo", "open_with_facts"]

SUFFIXES = frozenset(  # of files that are taken for photos, in lower case
    ".jpg .jpeg .jpe .jfif .mpo .png .apng .webp .gif .bmp .tif .tiff "
    ".ppm .pgm .pbm .pnm .pfm .avif".split()
)
PIECE = 2**20  # bytes of a file, read at a time
MAX_BYTES = 2**30  # of a file: it is read whole, so that what is decoded is what was digested
NO_WAITING, BINARY = getattr(os, "O_NONBLOCK", 0), getattr(os, "O_BINARY", 0)
NAMED_PROBLEMS = 5
BEGINNING = 12  # bytes that tell a photo

Photo = str | os.PathLike[str] | bytes | IO[bytes] | Image.Image | np.ndarray


class PhotoError(InputError):
    """A file that is not a usable photo. `path` and `reason` say which and why.

    Attributes:
        name: what was given as its path, which need not be one: "shards/00.tar/rose_1.jpg".
    """

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{one_line(path)}: {reason}.")
        self.name = os.fspath(path)
        self.path = Path(path)
        self.reason = reason

    def __reduce__(self) -> tuple[type[PhotoError], tuple[str, str]]:
        return PhotoError, (self.name, self.reason)


def refuse(problems: Sequence[PhotoError]) -> None:
    """Raises one InputError that tells of all the photos that cannot be read, if there are any."""
    if problems:
        shown = "; ".join(
            f"{one_line(problem.name)}: {problem.reason}" for problem in problems[:NAMED_PROBLEMS]
        )
        more = len(problems) - NAMED_PROBLEMS
        raise InputError(
            f"{len(problems)} unreadable {plural(len(problems), 'photo')}: {shown}"
            f"{f'; and {more} more' if more > 0 else ''}; replace or remove "
            f"{'them' if len(problems) > 1 else 'it'}."
        )


def raise_for(problems: Sequence[PhotoError]) -> None:
    """Raises the problem of a single photo as it is, those of several as one InputError."""
    if len(problems) == 1:
        raise problems[0]
    refuse(problems)


def check_size(size: int, name: str) -> None:
    """Refuses a file of so many bytes, if it is too large to be read whole.

    Raises:
        PhotoError: it has more than `MAX_BYTES`.
    """
    if size > MAX_BYTES:
        raise PhotoError(name, f"{size:,} bytes is over the limit of {MAX_BYTES:,}")


def open_photo(
    photo: Photo, shrink_to: int | None = None, name: str | None = None, *, rough: bool = False
) -> Image.Image:
    """Decodes a photo into an upright 8-bit RGB picture, the same for every way to give it.

    Args:
        photo: a path (`str`, `Path` or another `os.PathLike`); a file's content as `bytes`,
            `bytearray` or `memoryview`; a file object opened for bytes, which is read from its
            beginning; a PIL image of any mode, read already or not; or a uint8 array (H, W),
            (H, W, 1), (H, W, 3) or (H, W, 4) with red first.
        shrink_to, rough: for a JPEG; see `decoder.from_content`.
        name: what errors call it; its path, or "photo", if None.

    Returns:
        A PIL image in mode "RGB". It is the given one if that is such a picture already.

    Raises:
        PhotoError: it is missing, not a picture, damaged, or larger than `MAX_PIXELS`.
        InputError: it is none of these.
    """
    name = name or _name_of(photo)
    try:
        if isinstance(photo, Image.Image):
            return decoder.from_picture(photo)
        if isinstance(photo, np.ndarray):
            return decoder.from_array(photo)
        return decoder.from_content(_content(photo, name), shrink_to, rough=rough)[0]
    except Unreadable as problem:
        raise PhotoError(name, str(problem)) from None


def open_with_facts(
    photo: Path | str | bytes, name: str | None = None
) -> tuple[Image.Image, Facts]:
    """Like `open_photo` for a file or its content, and says what it was.

    Raises:
        PhotoError: as in `open_photo`.
    """
    name = name or _name_of(photo)
    try:
        return decoder.from_content(_content(photo, name))
    except Unreadable as problem:
        raise PhotoError(name, str(problem)) from None


def sketch(photo: Photo, side: int, name: str | None = None) -> Image.Image:
    """Like `open_photo`, but quick: a JPEG's shorter side may have only `side` pixels.

    Raises:
        PhotoError: as in `open_photo`.
    """
    return open_photo(photo, side, name, rough=True)


def _name_of(photo: object) -> str:
    return os.fspath(photo) if isinstance(photo, (str, os.PathLike)) else "photo"


def _content(photo: object, name: str) -> bytes:
    """The content of what is no picture yet."""
    if isinstance(photo, (str, os.PathLike)):
        return read(photo, name)
    if hasattr(photo, "read"):
        content = read_stream(cast(IO[bytes], photo), name)
    elif isinstance(photo, (bytes, bytearray, memoryview)):
        content = bytes(photo)
    else:
        raise InputError(
            f"{name}: {type(photo).__name__} is no photo; give a path, a file's bytes, a file "
            "object, a PIL image or a uint8 array (height, width, 3)."
        )
    check_size(len(content), name)
    return content


def read_stream(file: IO[bytes], name: str) -> bytes:
    """All that a file object holds, from its beginning, as Pillow reads it.

    Raises:
        InputError: it is closed, or gives no bytes.
    """
    try:
        if getattr(file, "seekable", bool)():
            file.seek(0)
        content = file.read()
    except Exception as problem:  # closed, or a file object of another library
        raise InputError(f"{name}: the file object cannot be read ({problem}).") from None
    if not isinstance(content, bytes):
        raise InputError(
            f"{name}: reading the file object gives {type(content).__name__} instead of bytes; "
            'open it with mode "rb".'
        )
    return content


def read(path: str | os.PathLike[str], name: str | None = None) -> bytes:
    """The content of a photo's file, read once and whole; errors call it `name`, or by its path.

    Raises:
        PhotoError: it cannot be read, or is larger than `MAX_BYTES`.
    """
    name = name or os.fspath(path)
    with _opened(path, name) as (handle, about):
        check_size(about.st_size, name)
        with open(handle, "rb", buffering=0, closefd=False) as file:
            return file.read()


def digest(path: str | os.PathLike[str], name: str | None = None) -> bytes:
    """16 bytes that stand for a file's content, as `digest_of` would give; `name` as in `read`.

    Raises:
        PhotoError: the file cannot be read.
    """
    found = hashlib.blake2b(digest_size=16)
    with _opened(path, name or os.fspath(path)) as (handle, about):
        while piece := os.read(handle, min(about.st_size + 1, PIECE)):
            found.update(piece)
    return found.digest()


def digest_of(content: bytes) -> bytes:
    """16 bytes that stand for a content (BLAKE2b)."""
    return hashlib.blake2b(content, digest_size=16).digest()


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str], name: str) -> Iterator[tuple[int, os.stat_result]]:
    """A file's handle and state; what goes wrong becomes a PhotoError.

    By the system's own calls: three quarters of the time that Path.read_bytes takes.
    """
    try:
        # Opening a pipe must not wait for somebody who writes to it.
        handle = os.open(path, os.O_RDONLY | NO_WAITING | BINARY)
        try:
            about = os.fstat(handle)
            if stat.S_ISDIR(about.st_mode):
                raise PhotoError(name, "this is a folder, not a photo")
            if not stat.S_ISREG(about.st_mode):  # it could be read without end
                raise PhotoError(name, "this is a pipe or a device, not a photo")
            yield handle, about
        finally:
            os.close(handle)
    except PhotoError:
        raise
    except FileNotFoundError:
        raise PhotoError(name, _missing(path)) from None
    except PermissionError:
        folder = os.path.isdir(path)  # Windows does not open them
        what = (
            "this is a folder, not a photo" if folder else "the file may not be read by this user"
        )
        raise PhotoError(name, what) from None
    except OSError as problem:
        raise PhotoError(name, f"the file cannot be read ({problem.strerror})") from None
    except ValueError:  # of what no system allows in a path
        raise PhotoError(name, "no file can have this name") from None


def _missing(path: str | os.PathLike[str]) -> str:
    if os.path.islink(path):
        return "this link leads nowhere"
    if "://" in str(path):
        return "this is an address; download the photo and give its path"
    return "there is no such file"


def begins_like_a_photo(path: Path | str) -> bool:
    """Whether a file's first bytes are those of one of `FORMATS`.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        return is_beginning(file.read(BEGINNING))


def is_beginning(head: bytes) -> bool:
    """Whether the first `BEGINNING` bytes of a file are those of one of `FORMATS`."""
    if head[:4] == b"RIFF":
        return head[8:] == b"WEBP"
    return (
        head.startswith((b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*"))
        or head[4:] == b"ftypavif"
        or (head[:1] == b"P" and head[1:2] in b"123456fF" and head[2:3].isspace())
    )
