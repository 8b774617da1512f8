"""The folder of a run: outside the photos, not that of a finished run, and one run's at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from flowerlib.support import storage
from flowerlib.support.errors import InputError, reason

RESULTS = "results.json"  # written last: a folder that holds it is a finished run
LOCK = ".lock"  # held by the run that writes into the folder
STATE = "training.pt"  # of an unfinished training; removed when it is finished
FIGURES = ("curves.png", "confusion.png", "sanity.png")
FILES = ("config.toml", "classifier.safetensors", "history.csv", *FIGURES, RESULTS)


@contextlib.contextmanager
def reserved(out: Path, *, force: bool = False, photos: Path | None = None) -> Iterator[None]:
    """Makes the folder of a run, and keeps every other run out of it while the block runs.

    A run that is killed lets go of its folder by itself; the next one removes what it had half
    written. A new folder into which nothing was written is removed at the end.

    Args:
        out: the folder.
        force: allow a folder that holds a finished run.
        photos: the folder that photos are read from, if there is one.

    Raises:
        InputError: the folder lies among the photos, holds a finished run and `force` is not set,
            cannot be written to, or another run writes into it.
    """
    if photos is not None and out.resolve().is_relative_to(photos.resolve()):
        outside = photos.resolve().with_name(f"{photos.resolve().name}_run")
        raise InputError(
            f"{out} lies inside the photos' folder {photos}, where it would be taken for a class; "
            f"choose a folder outside, such as --out {outside}."
        )
    _refuse_finished(out, force)
    new = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise InputError(
            f"The folder {out} cannot be created ({problem.strerror}); choose another with --out."
        ) from None
    try:
        with _alone(out):
            _refuse_finished(out, force)  # the other run may have ended a moment ago
            for name in (STATE, *FILES):
                storage.remove_remains(out / name)
            yield
    finally:
        if new:
            with contextlib.suppress(OSError):  # it is not empty
                out.rmdir()


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    import filelock  # a twentieth of a second, that only trainings need

    lock = filelock.FileLock(out / LOCK)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        raise InputError(
            f"Another run is writing into {out}; wait until it has ended, or choose another folder "
            "with --out."
        ) from None
    except (OSError, NotImplementedError) as problem:
        raise InputError(
            f"The folder {out} cannot be written to ({reason(problem)}); choose another with --out."
        ) from None
    try:
        yield
    finally:
        # While the lock is held, or another run's would be removed. Windows cannot, and keeps it.
        with contextlib.suppress(OSError):
            (out / LOCK).unlink()
        lock.release()


def _refuse_finished(out: Path, force: bool) -> None:
    if (out / RESULTS).exists() and not force:
        raise InputError(f"{out} holds a finished run; choose another folder or add --force.")
