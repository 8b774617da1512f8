"""Folders that appear whole or not at all, and work that only one process does at a time."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from flowerlib.errors import InputError

Lack = Callable[[Path], str | None]  # what a folder lacks to be whole, as "holds 3 of 7 photos"


def build(folder: Path, fill: Callable[[Path], None], *, lack: Lack | None = None) -> Path:
    """Lets `fill` fill a folder beside `folder`, which takes its name when it is whole.

    After a crash or a kill the name stands for all of it or does not exist. Two processes take
    turns, and the second finds the work done. A folder that is there but not whole, as other
    programs leave it, is moved aside to "NAME.incomplete", never removed.

    Args:
        folder: its parent is created.
        fill: gets an empty folder.
        lack: says what a folder lacks, or None if it is whole. Without it, `folder` must not exist.

    Raises:
        InputError: `folder` exists, stays incomplete, or cannot be written.
    """
    part = folder.with_name(f".{folder.name}.part")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with alone(folder):
            if os.path.lexists(folder):
                if lack is None:
                    raise InputError(f"{folder} exists already; choose another, or remove it.")
                if folder.is_dir() and lack(folder) is None:
                    return folder
            if part.exists():  # a kill left it
                shutil.rmtree(part)
            part.mkdir()
            try:
                fill(part)
                if lack is not None and (lacking := lack(part)):
                    raise InputError(f"{folder} was not made: what was unpacked {lacking}.")
                if hasattr(os, "sync"):  # thousands of files: one flush for all of them
                    os.sync()
                if os.path.lexists(folder):
                    folder.rename(_free_name(folder))
                part.rename(folder)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    except OSError as problem:
        raise InputError(f"Cannot write {folder}: {problem.strerror or problem}.") from None
    return folder


def _free_name(folder: Path) -> Path:
    names = (f"{folder.name}.incomplete{n or ''}" for n in range(10_000))
    return next(p for p in map(folder.with_name, names) if not os.path.lexists(p))


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Waits until no other process works on `path`; a process that dies lets go by itself."""
    lock = path.with_name(f".{path.name}.lock")
    while True:
        file = open(lock, "ab")
        try:
            _wait(file)
            # Whoever had it may have removed it meanwhile, and a third made it anew.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), lock.stat()):
                    break
        except BaseException:
            file.close()
            raise
        file.close()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows does not remove open files
            lock.unlink()
        file.close()


def _wait(file: Any) -> None:
    if sys.platform == "win32":
        import msvcrt

        while True:
            try:
                return msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            except OSError:
                time.sleep(0.1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
