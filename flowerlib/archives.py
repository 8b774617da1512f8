"""Unpacks tar and zip archives that nobody has to trust; a folder appears whole or not at all.

Only files and folders come out, at places inside the target, under names that every system can
hold. Everything else is refused by name: the archive is then damaged, or means no good.
"""

from __future__ import annotations

import gzip
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

from flowerlib import building, portable
from flowerlib.errors import InputError

MAX_BYTES = 1 << 33
MAX_FILES = 500_000
MAX_RATIO, ALLOWANCE = 200, 1 << 26  # photos hardly shrink; 64 MiB of anything do no harm
CHUNK = 1 << 20
DIRECTORY = 1 << 24  # bytes of a zip's list of contents: room for some 150,000 names

# What goes wrong inside tarfile, zipfile and zlib when bytes are damaged.
DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
)


class _Refused(Exception):
    """Why an archive is not unpacked."""


class Entry(NamedTuple):
    """One thing in an archive; `kind` is "file", "folder", or what it is instead."""

    name: str
    kind: str
    size: int
    open: Callable[[], IO[bytes] | None]


def extract(
    archive: Path | str,
    folder: Path | str,
    *,
    lack: building.Lack | None = None,
    max_bytes: int = MAX_BYTES,
    max_files: int = MAX_FILES,
) -> Path:
    """Unpacks a .tar, .tar.gz, .tgz or .zip, known by its content, into a new folder.

    Args:
        archive: the file; check its digest first, as `downloads.fetch` does.
        folder, lack: as for `building.build`.
        max_bytes, max_files: more is refused, and so is more than 200 times the archive's size.

    Returns:
        `folder`. Files get the usual permissions, whatever the archive says.

    Raises:
        InputError: damaged, cut off, or holding a link, a device, a place outside the folder, two
            names that are one on some systems, or too much; nothing is left behind.
    """
    archive, folder = Path(archive), Path(folder)

    def fill(part: Path) -> None:
        try:
            _unpack(archive, part, max_bytes, max_files)
        except _Refused as problem:
            raise InputError(f"{archive} is refused: {problem}; nothing was unpacked.") from None
        except DAMAGE as problem:
            reason = ascii(str(problem).split("\n")[0][:80] or type(problem).__name__)[1:-1]
            raise InputError(
                f"{archive} is damaged or cut off ({reason}); remove it and get it again."
            ) from None

    return building.build(folder, fill, lack=lack)


def _unpack(archive: Path, part: Path, max_bytes: int, max_files: int) -> None:
    packed = archive.stat().st_size if archive.is_file() else 0
    most = min(max_bytes, ALLOWANCE + MAX_RATIO * packed)
    places = portable.Places()
    count = total = 0
    with ExitStack() as stack:
        for entry in _entries(archive, part, stack):
            count, total = count + 1, total + entry.size
            told = portable.told(entry.name)
            if entry.kind not in ("file", "folder"):
                raise _Refused(f"{told} is {entry.kind}, not a plain file")
            if entry.size < 0:
                raise _Refused(f"{told} states a size below 0")
            if total > most:
                raise _Refused(f"it would unpack to more than {most:,} bytes")
            if count > max_files:
                raise _Refused(f"it holds more than {max_files:,} files")
            try:
                target = part.joinpath(*places.take(entry.name, entry.kind == "folder"))
            except portable.NotPortable as problem:
                raise _Refused(str(problem)) from None
            (target if entry.kind == "folder" else target.parent).mkdir(parents=True, exist_ok=True)
            if entry.kind == "file":
                _write(entry, target)
    if not count:
        raise _Refused("it holds no files")


def _write(entry: Entry, target: Path) -> None:
    written = 0
    source = entry.open()
    if source is None:
        raise EOFError(f"{portable.told(entry.name)} has no content")
    with source, open(target, "xb") as file:
        while block := source.read(CHUNK):
            written += len(block)
            if written > entry.size:
                break
            file.write(block)
    if written != entry.size:
        raise EOFError(f"{portable.told(entry.name)} does not have the size it states")


def _entries(archive: Path, part: Path, stack: ExitStack) -> Iterator[Entry]:
    if not archive.is_file():
        raise _Refused("there is no such file")
    file: Any = stack.enter_context(open(archive, "rb"))
    start = file.read(512)
    packed = file.seek(0, os.SEEK_END)
    file.seek(0)
    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        guard: Any = _Guard(file, most=1 << 62, once=DIRECTORY)
        yield from _zip_entries(stack.enter_context(zipfile.ZipFile(guard)))
    elif start[:2] == b"\x1f\x8b" or start[257:262] == b"ustar":
        if start[:2] == b"\x1f\x8b":
            file = stack.enter_context(gzip.GzipFile(fileobj=file))
        guard = _Guard(file, most=ALLOWANCE + MAX_RATIO * packed, once=CHUNK)
        yield from _tar_entries(stack.enter_context(tarfile.open(fileobj=guard, mode="r:")), part)
        # tarfile takes a damaged header, or the end of the file, for the end of the archive.
        if guard.last != bytes(512):
            raise EOFError("its end is missing")
        while guard.read(CHUNK):  # gzip's checksum stands after the last byte
            pass
    else:
        raise _Refused(f"it is neither a tar nor a zip archive, but starts with {start[:12]!r}")


def _zip_entries(opened: zipfile.ZipFile) -> Iterator[Entry]:
    for info in opened.infolist():
        form = stat.S_IFMT(info.external_attr >> 16)
        kind = "folder" if info.is_dir() or form == stat.S_IFDIR else "file"
        if form not in (0, stat.S_IFREG, stat.S_IFDIR):
            kind = "a link" if form == stat.S_IFLNK else "a device"
        elif info.flag_bits & 1:
            kind = "encrypted"
        elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            kind = "packed in an unusual way"
        # `filename` is cut at a NUL and turned around on Windows; this is what the archive says.
        yield Entry(info.orig_filename, kind, info.file_size, partial(opened.open, info))


def _tar_entries(opened: tarfile.TarFile, part: Path) -> Iterator[Entry]:
    def content(member: tarfile.TarInfo) -> IO[bytes] | None:
        if hasattr(tarfile, "data_filter"):  # the second wall: Python's own, since 3.11.4
            tarfile.data_filter(member, str(part))
        return opened.extractfile(member)

    while (member := opened.next()) is not None:
        opened.members.clear()  # type: ignore[attr-defined]  # it would remember all of them
        if member.issparse():
            kind = "a file with holes"
        elif member.isreg():
            kind = "file"
        elif member.isdir():
            kind = "folder"
        elif member.issym() or member.islnk():
            kind = "a link"
        else:
            kind = "a device" if member.isdev() else "of an unknown kind"
        yield Entry(member.name, kind, member.size, partial(content, member))


class _Guard:
    """A file in which no header can ask for much memory, or lead beyond a limit."""

    def __init__(self, stream: Any, *, most: int, once: int) -> None:
        self.stream, self.most, self.once = stream, most, once
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        if size > self.once:
            raise ValueError(f"{size:,} bytes where a header was expected")
        self.last = self.stream.read(size if size >= 0 else self.once + 1)
        if len(self.last) > self.once or self.stream.tell() > self.most:
            raise _Refused(f"it would unpack to more than {self.most:,} bytes")
        return self.last

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if offset > self.most:
            raise _Refused(f"it would unpack to more than {self.most:,} bytes")
        return self.stream.seek(offset, whence)

    def tell(self) -> int:
        return self.stream.tell()

    def seekable(self) -> bool:
        return True
