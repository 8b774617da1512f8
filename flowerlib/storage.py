"""Where caches live, how a file is written whole or not at all, where large arrays lie."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from flowerlib.errors import InputError

if TYPE_CHECKING:
    import torch

LARGE = 2**28  # bytes of an array from which it lies in a file


def cache_folder(*parts: str) -> Path:
    """Folder for things that can be made again: `FLOWERLIB_CACHE`, else the user's cache folder.

    Args:
        parts: names of folders below it. They are created.

    Raises:
        InputError: the folder cannot be created or is not writable.
    """
    if set_by_user := os.environ.get("FLOWERLIB_CACHE"):
        root = Path(set_by_user)
    elif sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA", "~")).expanduser() / "flowerlib"
    elif sys.platform == "darwin":
        root = Path("~/Library/Caches/flowerlib").expanduser()
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "flowerlib"
    folder = root.joinpath(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise InputError(
            f"The cache folder {folder} cannot be created ({problem.strerror}); "
            "point FLOWERLIB_CACHE at a folder that you can write to."
        ) from None
    return folder


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Gives a temporary path beside `path` to write to; it takes the place of `path` at the end.

    The file is flushed to disk before it gets its name (temp file, fsync, `os.replace`, fsync of
    the folder), so after a crash or a kill `path` holds the old content or the new, never half.

    Raises:
        InputError: the folder is missing, not writable, or full.
    """
    path = Path(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as problem:
        raise InputError(
            f"Cannot write {path}: {problem.strerror}; choose another folder."
        ) from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as problem:
        raise InputError(f"Cannot write {path}: {problem.strerror or problem}.") from None
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def empty(rows: int, columns: int, dtype: torch.dtype) -> torch.Tensor:
    """An array (rows, columns) that holds anything; a large one lies in a file.

    So the memory that a process holds does not grow with its photos: the system keeps the file's
    pages in memory as long as nobody else needs it. The file, in the cache's folder, has no name
    any more and is gone with the array. Where there is no room for it, or no Linux, the array lies
    in memory.
    """
    import torch

    size = rows * columns
    if size * dtype.itemsize >= LARGE and hasattr(os, "posix_fallocate"):
        with (
            contextlib.suppress(OSError, InputError),
            tempfile.NamedTemporaryFile(dir=cache_folder()) as file,
        ):
            # Room now: a disk that is full at the first write would end the process.
            os.posix_fallocate(file.fileno(), 0, size * dtype.itemsize)
            array = torch.from_file(file.name, shared=True, size=size, dtype=dtype)
            return array.view(rows, columns)
    return torch.empty(rows, columns, dtype=dtype)


def return_memory() -> None:
    """Gives memory that was freed back to the system, where the C library keeps it (glibc)."""
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # Windows cannot open a folder, and needs no fsync of it
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
