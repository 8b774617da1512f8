"""Near copies among photos; what finding them takes is stored on disk by the photos' contents.

A photo is decoded for its thumbnail once, and a set of photos is searched once. For all flowers
that takes an eighth of the processor time of a first `train --preset quick`.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image

from flowerlib.data.decoding import images
from flowerlib.data.splitting import copies
from flowerlib.data.splitting.copies import SIDE, Pair
from flowerlib.support import storage
from flowerlib.support.errors import InputError

FORMAT = 1  # raise it when a photo would have another thumbnail, or a set other near copies
THUMBNAIL = np.dtype([("content", "S16"), ("gray", np.uint8, (SIDE, SIDE))])
PAIR = np.dtype(
    [("first", np.int64), ("second", np.int64), ("similarity", np.float64), ("mirrored", np.bool_)]
)
CHUNK_SIZE = 32  # photos that a thread opens in one go


def near_copies(
    contents: np.ndarray, look: Callable[[int], Image.Image], order: np.ndarray | None = None
) -> list[Pair]:
    """Finds the pairs of photos that look the same; what is in the cache is not computed again.

    Without a usable cache it takes longer, and the answers are the same.

    Args:
        contents: digests (N,) of NumPy's kind "S16", sorted, all different.
        look: opens the photo at a position in `contents`; it need not be larger than `SIDE`. A
            photo that cannot be opened now is a copy of none; who uses it later refuses it.
        order: int64 (N,), photos are opened by these in ascending order (see `Contents.order`).

    Returns:
        Pairs of positions in `contents`, the most similar first.
    """
    key = hashlib.blake2b(np.ascontiguousarray(contents).tobytes(), digest_size=16).hexdigest()
    folder = _folder("near")
    known = _read(folder / f"{key}.bin", PAIR) if folder else None
    if known is None:
        thumbnails, complete = _thumbnails(contents, look, order)
        found = copies.near(thumbnails)
        rows = [(pair.first, pair.second, pair.similarity, pair.mirrored) for pair in found]
        known = np.array(rows, PAIR)
        if complete:
            _write(folder, known, key)
    return [Pair(*row) for row in known.tolist()]


def _thumbnails(
    contents: np.ndarray, look: Callable[[int], Image.Image], order: np.ndarray | None
) -> tuple[np.ndarray, bool]:
    """uint8 (N, SIDE, SIDE), in the order of `contents`, and whether every photo was opened.

    Black where a photo cannot be opened.
    """
    found, here = np.zeros(len(contents), THUMBNAIL), np.zeros(len(contents), bool)
    folder = _folder("thumbnails")
    for file in sorted(folder.glob("*.bin")) if folder else []:
        if (known := _read(file, THUMBNAIL)) is not None and len(known):
            at = np.searchsorted(known["content"], contents).clip(max=len(known) - 1)
            match = known["content"][at] == contents
            found[match], here[match] = known[at[match]], True
    missing = np.flatnonzero(~here)
    if order is not None:
        missing = missing[np.argsort(order[missing], kind="stable")]

    def take(begin: int) -> list[int]:
        opened = []
        for at in missing[begin : begin + CHUNK_SIZE].tolist():
            with contextlib.suppress(images.PhotoError):
                found[at] = contents[at], copies.thumbnail(look(at))
                opened.append(at)
        return opened

    with ThreadPoolExecutor() as pool:
        new = list(chain.from_iterable(pool.map(take, range(0, len(missing), CHUNK_SIZE))))
    if new:
        _write(folder, found[new])
    return found["gray"], len(new) == len(missing)


def _folder(kind: str) -> Path | None:
    with contextlib.suppress(InputError):
        return storage.cache_folder(f"{kind}-{FORMAT}")
    return None


def _write(folder: Path | None, rows: np.ndarray, name: str | None = None) -> None:
    if folder is not None:
        with contextlib.suppress(InputError):
            storage.keep(rows.tobytes(), folder, name)


def _read(file: Path, kind: np.dtype) -> np.ndarray | None:
    content = storage.kept(file)
    return None if content is None else np.frombuffer(content, kind)
