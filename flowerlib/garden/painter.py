"""One picture, or many: drawn by all cores, kept in the cache."""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import os
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import PIL

from flowerlib.support import storage
from flowerlib.support.errors import InputError

KINDS = ("flowers", "pets", "furniture", "things", "patterns")
SMALLEST, LARGEST = 32, 256  # pixels
DRAWING = 1  # raise it when a picture changes; a test compares pictures with their checksums
VERSIONS = f"{DRAWING} {np.__version__} {PIL.__version__}"  # what the pixels depend on
ALONE = 96  # as many pictures, at 96 px, take as long as starting a worker


def class_names(kind: str) -> tuple[str, ...]:
    """Names of the classes of a kind; a label is a position in this tuple.

    Raises:
        InputError: there is no such kind.

    Example:
        >>> class_names("pets")
        ('cat', 'dog')
    """
    return _drawer(kind).CLASS_NAMES


def picture(kind: str, label: int, index: int, *, seed: int = 0, size: int = 96) -> np.ndarray:
    """Draws one picture, uint8 (size, size, 3), RGB; the same arguments give the same pixels.

    Args:
        index: which picture of the class, 0 or more; there is no last one.
        size: pixels a side, 32 to 256. The same picture at two sizes has the same composition.

    Raises:
        InputError: an argument is out of its range.

    Example:
        >>> picture("flowers", label=3, index=0, size=64).shape
        (64, 64, 3)
    """
    _check(kind, np.array([label]), np.array([index]), seed, size)
    return _draw(kind, label, index, seed, size)


def pictures(
    kind: str,
    labels: Sequence[int] | np.ndarray,
    indices: Sequence[int] | np.ndarray,
    *,
    seed: int = 0,
    size: int = 96,
) -> np.ndarray:
    """Draws many pictures on all cores, or reads them back from the cache.

    Args:
        labels, indices: whole numbers (N,), one pair a picture, as for `picture`.

    Returns:
        uint8 (N, size, size, 3), RGB; row i is `picture(kind, labels[i], indices[i])`.

    Raises:
        InputError: an argument is out of its range, or the cache folder cannot be written.

    Example:
        >>> pictures("furniture", labels=[0, 1, 1], indices=[0, 0, 1], size=32).shape
        (3, 32, 32, 3)
    """
    labels, indices = np.asarray(labels), np.asarray(indices)
    _check(kind, labels, indices, seed, size)
    labels, indices = labels.astype(np.int64), indices.astype(np.int64)
    shape = (len(labels), size, size, 3)
    request = f"{VERSIONS} {kind} {seed} {size} ".encode() + labels.tobytes() + indices.tobytes()
    name = f"{kind}-{size}px-{hashlib.sha256(request).hexdigest()[:24]}.pixels"
    path = storage.cache_folder("garden") / name
    if (kept := _read(path, shape)) is not None:
        return kept
    workers = min(_cores(), int(len(labels) * (size / 96) ** 2 / ALONE))
    if workers < 2:
        drawn = draw_many(kind, labels, indices, seed, size)
    else:
        drawn = draw_with_workers(workers, kind, labels, indices, seed, size)
    with storage.atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(drawn.data)
        file.write(zlib.crc32(drawn.data).to_bytes(4, "little"))
    return drawn


def _read(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """Pictures from a file of the cache: pixels and their CRC-32; None if missing or damaged."""
    try:
        content = np.fromfile(path, np.uint8)
    except OSError:
        return None
    pixels, checksum = content[:-4], content[-4:].tobytes()
    if pixels.size != math.prod(shape) or checksum != zlib.crc32(pixels.data).to_bytes(4, "little"):
        return None  # damaged from outside: it is drawn and written again
    return pixels.reshape(shape)


def draw_many(
    kind: str,
    labels: Sequence[int] | np.ndarray,
    indices: Sequence[int] | np.ndarray,
    seed: int,
    size: int,
) -> np.ndarray:
    """Draws pictures one after the other in this process, without the cache: uint8 (N, s, s, 3)."""
    out = np.empty((len(labels), size, size, 3), dtype=np.uint8)
    for row, (label, index) in enumerate(zip(labels, indices, strict=True)):
        out[row] = _draw(kind, int(label), int(index), seed, size)
    return out


def _drawer(kind: str) -> ModuleType:
    if kind not in KINDS:
        raise InputError(f"The garden has no kind {kind!r}; choose one of {', '.join(KINDS)}.")
    return importlib.import_module(f"flowerlib.garden.{kind}")


def _check(kind: str, labels: np.ndarray, indices: np.ndarray, seed: int, size: int) -> None:
    classes = len(class_names(kind))
    if labels.ndim != 1 or labels.shape != indices.shape:
        raise InputError(
            "Labels and indices must be two lists of equal length, one pair a picture; "
            f"they have shapes {labels.shape} and {indices.shape}."
        )
    for what, values, limit in (("label", labels, classes), ("index", indices, 2**32)):
        if len(values) and not np.issubdtype(values.dtype, np.integer):
            raise InputError(f"Each {what} of a garden picture must be a whole number.")
        if len(values) and not 0 <= values.min() <= values.max() < limit:
            raise InputError(
                f"Each {what} of a picture of {kind} must be in 0..{limit - 1}; "
                f"these go from {values.min()} to {values.max()}."
            )
    if not isinstance(size, (int, np.integer)) or not SMALLEST <= size <= LARGEST:
        raise InputError(f"Garden pictures are {SMALLEST} to {LARGEST} pixels large, not {size}.")
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"The garden's seed must be a whole number from 0 on, not {seed}.")


def _draw(kind: str, label: int, index: int, seed: int, size: int) -> np.ndarray:
    recipe = [zlib.crc32(kind.encode()), int(label), int(index), int(seed)]
    return _drawer(kind).draw(int(label), np.random.default_rng(recipe), int(size))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # how many this process may use, where that can be asked
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def draw_with_workers(
    workers: int, kind: str, labels: np.ndarray, indices: np.ndarray, seed: int, size: int
) -> np.ndarray:
    """Draws in `python -m flowerlib.garden` processes; every worker takes each n-th picture.

    Plain processes and not multiprocessing: a script needs no `if __name__ == "__main__"`, and
    nothing is forked from a process in which torch already runs threads.

    Raises:
        RuntimeError: a worker failed; the message is what it said.
    """
    root = str(Path(__file__).resolve().parents[2])
    search = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(search),
        "PYTHONSAFEPATH": "1",  # a user's random.py in the current folder must not be imported
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    drawn = np.empty((len(labels), size, size, 3), dtype=np.uint8)
    started: list[subprocess.Popen] = []
    try:
        for part in range(workers):
            order = {
                "kind": kind,
                "labels": labels[part::workers].tolist(),
                "indices": indices[part::workers].tolist(),
                "seed": int(seed),
                "size": int(size),
            }
            with tempfile.TemporaryFile() as order_file:
                order_file.write(json.dumps(order).encode())
                order_file.seek(0)
                command = [sys.executable, "-m", "flowerlib.garden"]
                pipe = subprocess.PIPE
                worker = subprocess.Popen(
                    command, stdin=order_file, stdout=pipe, stderr=pipe, env=environment
                )
                started.append(worker)
        for part, worker in enumerate(started):
            pixels, complaint = worker.communicate()
            if worker.returncode:
                raise RuntimeError(f"A garden worker failed:\n{complaint.decode(errors='replace')}")
            drawn[part::workers] = np.frombuffer(pixels, np.uint8).reshape(-1, size, size, 3)
    finally:
        for worker in started:  # after an interrupt none may draw on unseen
            if worker.poll() is None:
                worker.kill()
                worker.communicate()
    return drawn
