"""Where caches live, how a file is written whole or not at all, where large arrays lie."""

from __future__ import annotations

import contextlib
import errno
import functools
import glob
import hashlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from flowerlib.support.errors import InputError, reason

if TYPE_CHECKING:
    import filelock
    import torch

# What network shares and FUSE answer when asked to flush a folder or a file.
CANNOT_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EACCES, errno.EPERM, errno.EBADF)

LARGE = 2**28  # bytes of an array from which it lies in a file


def cache_folder(*parts: str) -> Path:
    """Folder for things that can be made again: `FLOWERLIB_CACHE`, else the user's cache folder.

    Args:
        parts: names of folders below it. They are created.

    Raises:
        InputError: the folder cannot be created or is not writable.
    """
    folder = (folder_from("FLOWERLIB_CACHE") or _user_cache()).joinpath(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise InputError(
            f"The cache folder {folder} cannot be created ({problem.strerror}); "
            "point FLOWERLIB_CACHE at a folder that you can write to."
        ) from None
    return folder


def folder_from(variable: str) -> Path | None:
    """The absolute path in an environment variable, or None where it is unset or empty.

    A relative path means the same folder in the whole process, also after `os.chdir`.

    Raises:
        InputError: it begins with `~`, and this user has no home folder.
    """
    text = os.environ.get(variable)
    return _anchored(text) if text else None


@functools.cache
def _anchored(text: str) -> Path:
    return expand(text).absolute()


def expand(path: str | os.PathLike[str]) -> Path:
    """The path with `~` replaced by the home folder, which not every shell does.

    A file that is called "~name" is taken as it is.

    Raises:
        InputError: it begins with `~`, and there is no such home folder; or it is an empty text,
            which `Path` would take for the working directory.
    """
    if not os.fspath(path):
        raise InputError("An empty path was given; give that of a file or a folder.")
    path = Path(path)
    first = path.parts[0] if path.parts else ""
    if not first.startswith("~") or (first != "~" and os.path.lexists(path)):
        return path
    try:
        return path.expanduser()
    except RuntimeError:
        raise InputError(f"{path}: there is no such home folder; write the path out.") from None


def _user_cache() -> Path:
    import platformdirs

    try:
        return platformdirs.user_cache_path("flowerlib", appauthor=False, opinion=False)
    except (RuntimeError, ValueError):
        raise InputError(
            "This user has no home folder for the cache; "
            "point FLOWERLIB_CACHE at a folder that you can write to."
        ) from None


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Gives a temporary path beside `path` to write to; it takes the place of `path` at the end.

    The file is flushed to disk before it gets its name (temp file, fsync, `os.replace`, fsync of
    the folder), so after a crash or a kill `path` holds the old content or the new, never half.

    Raises:
        InputError: the folder is missing, not writable, or full.
    """
    path = expand(path)
    # Not `tempfile`: its files are for one user alone, and this one keeps its permissions.
    temporary = path.with_name(_temporary_name(path, secrets.token_hex(4)))
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666))
    except OSError as problem:
        raise InputError(
            f"Cannot write {path}: {problem.strerror}; choose another folder."
        ) from None
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            _sync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as problem:
        raise InputError(f"Cannot write {path}: {reason(problem)}.") from None
    finally:
        temporary.unlink(missing_ok=True)


def keep(content: bytes, folder: Path, name: str | None = None) -> None:
    """Writes FOLDER/NAME.bin, which begins with the content's digest: its name, too, if None.

    Raises:
        InputError: as `atomic_path`.
    """
    digest = hashlib.blake2b(content, digest_size=16)
    with atomic_path(folder / f"{name or digest.hexdigest()}.bin") as temporary:
        temporary.write_bytes(digest.digest() + content)


def kept(file: Path) -> bytes | None:
    """What `keep` has written; None if it is not there, or is damaged, and so removed."""
    with contextlib.suppress(OSError):
        found = file.read_bytes()
        digest, content = found[:16], found[16:]
        if hashlib.blake2b(content, digest_size=16).digest() == digest:
            return content
        file.unlink(missing_ok=True)
    return None


def remove_remains(path: Path) -> None:
    """Removes what processes that were killed while they wrote `path` have left beside it.

    Only where no other process can be writing `path` now, or its file would be removed, too.
    """
    before, after = _temporary_name(path, "*").rsplit("*", 1)
    pattern = glob.escape(before) + "[0-9a-f]" * 8 + after
    with contextlib.suppress(OSError):  # a folder that may not be listed keeps them
        for file in list(path.parent.glob(pattern)):
            file.unlink()


def _temporary_name(path: Path, token: str) -> str:
    return f".{path.name[:50]}.{token}.part"


def empty(rows: int, columns: int, dtype: torch.dtype) -> torch.Tensor:
    """An array (rows, columns) that holds anything; a large one lies in a file.

    So the memory that a process holds does not grow with its photos: the system keeps the file's
    pages in memory as long as nobody else needs it. The file, in the cache's folder, has no name
    any more and is gone with the array. Where it does not fit, or no Linux, the array lies
    in memory.
    """
    import torch

    size = rows * columns
    if size * dtype.itemsize >= LARGE and hasattr(os, "posix_fallocate"):
        with (
            contextlib.suppress(OSError, InputError),
            tempfile.NamedTemporaryFile(dir=cache_folder()) as file,
        ):
            # Reserved now: a disk that is full at the first write would end the process.
            os.posix_fallocate(file.fileno(), 0, size * dtype.itemsize)
            array = torch.from_file(file.name, shared=True, size=size, dtype=dtype)
            return array.view(rows, columns)
    return torch.empty(rows, columns, dtype=dtype)


def lock(path: Path) -> filelock.BaseFileLock:
    """What lets one process at a time work on `path`; as `with lock(path):`, it waits its turn.

    A process that dies lets go by itself. An empty hidden file ".NAME.lock" stays beside `path`:
    another process may be waiting for it.
    """
    import filelock  # a twentieth of a second, that few commands need

    return filelock.FileLock(path.with_name(f".{path.name}.lock"))


def _sync(handle: int) -> None:
    """Flushes an open file or folder to disk, where its file system can."""
    try:
        os.fsync(handle)
    except OSError as problem:
        if problem.errno not in CANNOT_SYNC:
            raise


def _sync_folder(folder: Path) -> None:
    """Flushes a folder's list of names to disk, where system and file system can."""
    if os.name != "posix":  # Windows cannot open a folder, and needs no fsync of it
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:  # one may write into a folder that one may not list
        return
    try:
        _sync(handle)
    finally:
        os.close(handle)
