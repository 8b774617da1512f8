"""Folders that appear whole or not at all, such as that of an unpacked archive."""

from __future__ import annotations

import gzip
import os
import shutil
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

from flowerlib.support import storage
from flowerlib.support.errors import InputError, reason

if sys.version_info >= (3, 11, 4):
    import tarfile
else:  # whose own has no "data" filter
    from backports import tarfile  # type: ignore[no-redef]

# Says what a folder lacks, such as "holds 3 of 7 photos", or None if it is whole.
FindMissing = Callable[[Path], str | None]

DAMAGE = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError)


def extract(
    archive: Path | str, folder: Path | str, *, find_missing: FindMissing | None = None
) -> Path:
    """Unpacks a .tar.gz into a new folder, with the "data" filter of `tarfile`.

    Args:
        archive: the file. Check its digest first, as `downloads.fetch` does: nothing here limits
            what a stranger's archive unpacks to.
        folder, find_missing: as for `build`.

    Raises:
        InputError: the archive is missing or damaged, or the filter refuses one of its members: a
            device, a path or a link that leads out of the folder. Nothing is left behind.
    """
    archive, folder = Path(archive), Path(folder)
    if not archive.is_file():
        raise InputError(f"{archive}: no such archive.")

    def fill(part: Path) -> None:
        try:
            with tarfile.open(archive, "r:gz") as opened:
                opened.extractall(part, filter="data")
        except tarfile.FilterError as problem:
            raise InputError(f"{archive} is refused: {problem}; nothing was unpacked.") from None
        except DAMAGE as problem:
            raise InputError(
                f"{archive} is damaged, or no .tar.gz ({problem}); remove it and get it again."
            ) from None

    return build(folder, fill, find_missing=find_missing)


def build(
    folder: Path, fill: Callable[[Path], None], *, find_missing: FindMissing | None = None
) -> Path:
    """Lets `fill` fill a folder beside `folder`, which takes its name when it is whole.

    After a crash or a kill the name stands for all of it or does not exist. Two processes take
    turns, and the second finds the work done. A folder that is there but not whole, as other
    programs leave it, is moved aside to "NAME.incomplete", never removed.

    Args:
        folder: its parent is created.
        fill: gets an empty folder.
        find_missing: says what a folder lacks. Without it, `folder` must not exist.

    Raises:
        InputError: `folder` exists, stays incomplete, or cannot be written.
    """
    part = folder.with_name(f".{folder.name}.part")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with storage.lock(folder):
            if os.path.lexists(folder):
                if find_missing is None:
                    raise InputError(f"{folder} exists already; choose another, or remove it.")
                if folder.is_dir() and find_missing(folder) is None:
                    return folder
            if part.exists():  # a kill left it
                shutil.rmtree(part)
            part.mkdir()
            try:
                fill(part)
                if find_missing is not None and (missing := find_missing(part)):
                    raise InputError(f"{folder} was not made: what was unpacked {missing}.")
                if hasattr(os, "sync"):  # thousands of files: one flush for all of them
                    os.sync()
                if os.path.lexists(folder):
                    folder.rename(_free_name(folder))
                part.rename(folder)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    except (OSError, NotImplementedError) as problem:  # the latter where no file can be locked
        raise InputError(f"Cannot write {folder}: {reason(problem)}.") from None
    return folder


def _free_name(folder: Path) -> Path:
    names = (f"{folder.name}.incomplete{n or ''}" for n in range(10_000))
    return next(p for p in map(folder.with_name, names) if not os.path.lexists(p))
