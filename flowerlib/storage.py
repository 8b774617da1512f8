"""Where caches live, how a file is written whole or not at all, how memory is given back."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from flowerlib.errors import InputError


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
