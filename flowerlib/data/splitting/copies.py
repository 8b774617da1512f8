"""Find near copies among many photos: resized, encoded again, mirrored, slightly cropped.

A photo becomes a gray thumbnail. Three steps, each on what the step before left over:

1. Candidates. The coarse thumbnail is a vector. Of up to `EXHAUSTIVE` photos all pairs are
   compared. Of more, each bit of a hash says on which side of a random plane a vector lies, so
   that similar photos share a hash more often than others (Charikar, "Similarity estimation
   techniques from rounding algorithms", 2002). Only photos that share one of `TABLES` hashes are
   compared, and buckets have a bounded size on average: the work grows with the number of photos,
   not with its square.
2. Coarse comparison: the correlation of the two vectors; the `CLOSEST` few of each photo stay.
3. Fine comparison: one thumbnail is cropped a little on each side until it fits the other best.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

SIDE = 32  # of a thumbnail
EXHAUSTIVE = 16_384  # photos of which all pairs are compared: half a second for 8,000
TABLES = 10  # hashes a photo; more find more, at a proportional cost
IN_A_BUCKET = 24  # photos that share a hash by chance, on average
COARSE = 0.85  # least correlation of 8 x 8 thumbnails that is worth a closer look
CLOSEST = 6  # of all these, the closer look is for so many a photo
SIMILAR = 0.97  # least correlation of 16 x 16 thumbnails, fitted to each other, of a near copy
FLAT = 3.0  # gray levels; a photo that varies less (standard deviation) looks like any other such
CROPS = [(low, high) for low in (0, 0.02, 0.04, 0.06) for high in (0, 0.02, 0.04, 0.06)]


@dataclass(frozen=True)
class Pair:
    """Two photos, by position, that look the same; `similarity` is a correlation, at most 1."""

    first: int
    second: int
    similarity: float
    mirrored: bool


def thumbnail(image: Image.Image) -> np.ndarray:
    """The gray values of a photo, squashed into uint8 (SIDE, SIDE)."""
    gray = image.convert("L") if min(image.size) < 4 * SIDE else image.reduce(2).convert("L")
    # Bilinear, since a box takes pixels whole or not at all: too coarse for a small picture.
    return np.asarray(gray.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def near(thumbnails: np.ndarray) -> list[Pair]:
    """Finds pairs of photos that are near copies of each other.

    Args:
        thumbnails: uint8 (N, SIDE, SIDE), of photos with different contents.

    Returns:
        Pairs with `first` < `second`, the most similar first. Flat photos are in none.
    """
    numbers = np.flatnonzero(thumbnails.std((1, 2)) >= FLAT) if len(thumbnails) else np.array([])
    if len(numbers) < 2:
        return []
    upright = thumbnails[numbers]
    found: dict[tuple[int, int], Pair] = {}
    for first, second, mirrored in _candidates(upright):
        left, right = (upright[some].astype(np.float32) for some in (first, second))
        right = right[:, :, ::-1] if mirrored else right
        # Either of the two may be the cropped one.
        similarity = np.maximum(_fit(left, right), _fit(right, left))
        for at in np.flatnonzero(similarity >= SIMILAR):
            one, two = int(numbers[first[at]]), int(numbers[second[at]])
            known = found.get((one, two))
            if known is None or known.similarity < similarity[at]:
                found[one, two] = Pair(one, two, float(similarity[at]), mirrored)
    return sorted(found.values(), key=lambda pair: (-pair.similarity, pair.first, pair.second))


def _candidates(upright: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, bool]]:
    """Gives positions of photos to compare closely, in pieces, first as they are, then mirrored."""
    count = len(upright)
    plain = _unit(_shrink(upright, 8))
    mirror = _unit(_shrink(upright[:, :, ::-1], 8))
    center = plain.mean(0)  # what all photos share would put them all on the same side
    tables, bits = (TABLES, round(np.log2(count / IN_A_BUCKET))) if count > EXHAUSTIVE else (1, 0)
    planes = np.random.default_rng(0).standard_normal((tables, plain.shape[1], bits))
    for mirrored, other in ((False, plain), (True, mirror)):
        pairs, likeness = [], []
        for table in planes.astype(np.float32):
            keys, other_keys = _hash(plain - center, table), _hash(other - center, table)
            some, alike = coarse_pairs(plain, other, keys, other_keys)
            pairs.append(some)
            likeness.append(alike)
        known, at_first = np.unique(np.concatenate(pairs), return_index=True)
        known = known[_best(known // count, known % count, np.concatenate(likeness)[at_first])]
        for at in range(0, len(known), 1024):
            piece = known[at : at + 1024]
            yield piece // count, piece % count, mirrored


def coarse_pairs(
    plain: np.ndarray, other: np.ndarray, keys: np.ndarray, other_keys: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs with the same key, each among the `CLOSEST` of one of the two by coarse correlation.

    Returns:
        first * N + second of each pair, perhaps twice, and its coarse correlation.
    """
    order, other_order = np.argsort(keys, kind="stable"), np.argsort(other_keys, kind="stable")
    names, starts = np.unique(keys[order], return_index=True)
    low = np.searchsorted(other_keys[other_order], names, side="left")
    high = np.searchsorted(other_keys[other_order], names, side="right")
    stops = np.append(starts[1:], len(order))
    found, likeness = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
    for start, stop, other_start, other_stop in zip(starts, stops, low, high, strict=True):
        left, right = order[start:stop], other_order[other_start:other_stop]
        for at in range(0, len(left), 1024):  # a crowded bucket must not fill the memory
            some = left[at : at + 1024]
            products = plain[some] @ other[right].T
            products[some[:, None] == right] = -1  # a photo is no copy of itself
            rows, columns = np.nonzero(_closest(products))
            first, second = np.sort([some[rows], right[columns]], 0)
            found.append(first * len(plain) + second)
            likeness.append(products[rows, columns])
    return np.concatenate(found), np.concatenate(likeness)


def _closest(products: np.ndarray) -> np.ndarray:
    """True where a correlation is high enough, and among the `CLOSEST` highest of its row."""
    high = products >= COARSE
    # Photos of one subject may all be alike: the pairs of all would fill the memory.
    crowded = np.flatnonzero(high.sum(1) > CLOSEST)
    if len(crowded):
        highest = np.argpartition(products[crowded], -CLOSEST, 1)[:, -CLOSEST:]
        high[crowded] = False
        high[crowded[:, None], highest] = True
    return high


def _best(first: np.ndarray, second: np.ndarray, likeness: np.ndarray) -> np.ndarray:
    """True for pairs that are among the `CLOSEST` of one of their two photos."""
    keep = np.zeros(len(first), bool)
    photo, pair = np.concatenate([first, second]), np.tile(np.arange(len(first)), 2)
    order = np.lexsort((-likeness[pair], photo))
    rank = np.arange(len(order)) - np.searchsorted(photo[order], photo[order], side="left")
    keep[pair[order[rank < CLOSEST]]] = True
    return keep


def _hash(vectors: np.ndarray, planes: np.ndarray) -> np.ndarray:
    """One whole number a vector: bit i says on which side of plane i it lies."""
    return ((vectors @ planes > 0) @ (1 << np.arange(planes.shape[1]))).astype(np.int64)


def _fit(whole: np.ndarray, part: np.ndarray) -> np.ndarray:
    """The correlation of each `part` with a slightly cropped `whole`, (n, SIDE, SIDE) each.

    The crop is the one that fits best at 8 x 8; the correlation is taken at 16 x 16. Rows and
    columns are cropped in turn, since the best crop of one barely depends on the other.
    """
    count = len(whole)
    crops = np.stack([_crop(low, high, 8) for low, high in CROPS])  # (crops, 8, SIDE)
    goal = _unit(_shrink(part, 8)).reshape(count, 8, 8)
    choice = np.zeros((2, count), np.int64)  # of rows, of columns
    for axis in (0, 1, 0, 1):
        other = crops[choice[1 - axis]].transpose(0, 2, 1)  # (n, SIDE, 8)
        turned, aim = (whole, goal) if axis == 0 else (whole.swapaxes(1, 2), goal.swapaxes(1, 2))
        half = turned @ other  # (n, SIDE, 8), cropped along the other axis
        tried = (crops.reshape(-1, SIDE) @ half).reshape(count, len(CROPS), 64)
        product = (tried @ aim.reshape(count, 64, 1))[:, :, 0]
        choice[axis] = (product / (tried.std(2) + 1e-6)).argmax(1)
    fine = np.stack([_crop(low, high, 16) for low, high in CROPS])
    fitted = fine[choice[0]] @ whole @ fine[choice[1]].transpose(0, 2, 1)
    return (_unit(fitted) * _unit(_shrink(part, 16))).sum(1)


def _crop(low: float, high: float, parts: int) -> np.ndarray:
    """float32 (parts, SIDE): means of SIDE values over equal parts of what a crop leaves."""
    edges = np.linspace(low, 1 - high, parts + 1) * SIDE
    cell = np.arange(SIDE)
    covered = np.minimum(edges[1:, None], cell + 1) - np.maximum(edges[:-1, None], cell)
    covered = covered.clip(0)
    return (covered / covered.sum(1, keepdims=True)).astype(np.float32)


def _shrink(pictures: np.ndarray, side: int) -> np.ndarray:
    """float32 (n, side, side): means over squares."""
    factor = SIDE // side
    return pictures.reshape(-1, side, factor, side, factor).mean((2, 4), dtype=np.float32)


def _unit(pictures: np.ndarray) -> np.ndarray:
    """Vectors of mean 0 and length 1, whose products are correlations; float32 (n, pixels)."""
    vectors = pictures.reshape(len(pictures), -1)
    vectors = vectors - vectors.mean(1, keepdims=True)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
