"""Noise, coordinates and cells: what the fields of patterns are made of.

All random grids have a fixed resolution, so that a picture keeps its composition at any size.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

Array = np.ndarray
Rng = np.random.Generator


def coordinates(size: int) -> tuple[Array, Array]:
    """Pixel centers as two float32 arrays (size, size): x to the right, y down, both in (0, 1)."""
    line = (np.arange(size, dtype=np.float32) + 0.5) / size
    return np.meshgrid(line, line, indexing="xy")


def resized(values: Array, size: int) -> Array:
    """A 2-D float array brought to (size, size) by bicubic interpolation."""
    image = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))


def unit(values: Array) -> Array:
    """The field stretched so that its 1st and 99th percentiles are 0 and 1, clipped."""
    low, high = np.percentile(values[::3, ::3], (1, 99))
    return np.clip((values - low) / max(float(high - low), 1e-6), 0, 1).astype(np.float32)


def fractal(rng: Rng, size: int, cells: int = 3, gain: float = 0.5, octaves: int = 6) -> Array:
    """Fractal noise: octaves of smooth random grids, each finer by 2 and weaker by `gain`."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        count = min(cells * 2**octave, 160)
        values = rng.random((count + 2, count + 2), dtype=np.float32) - 0.5
        if count <= 2 * size:
            total += gain**octave * resized(values, size)
    return unit(total)


def lookup(image: Array, x: Array, y: Array) -> Array:
    """Values of `image` (S, S[, 3]) at x, y in units of its side: bilinear, mirrored outside."""
    side = image.shape[0]
    x, y = (np.abs((value - 1) % 2 - 1) * (side - 1.001) for value in (x, y))
    left, top = x.astype(np.int32), y.astype(np.int32)
    fx, fy = x - left, y - top
    if image.ndim == 3:
        fx, fy = fx[..., None], fy[..., None]
    above = image[top, left] * (1 - fx) + image[top, left + 1] * fx
    below = image[top + 1, left] * (1 - fx) + image[top + 1, left + 1] * fx
    return above * (1 - fy) + below * fy


def bent(rng: Rng, size: int, amount: float, turn: float | None = None) -> tuple[Array, Array]:
    """Coordinates around 0, turned by a random (or the given) angle and bent by smooth noise."""
    x, y = coordinates(size)
    angle = rng.uniform(0, 2 * np.pi) if turn is None else turn
    x = x - 0.5 + amount * (fractal(rng, size, 2, 0.4, 3) - 0.5)
    y = y - 0.5 + amount * (fractal(rng, size, 2, 0.4, 3) - 0.5)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return cos * x - sin * y, sin * x + cos * y


def voronoi(rng: Rng, x: Array, y: Array, jitter: float = 1.0) -> tuple[Array, Array, Array]:
    """Distances to the nearest two of jittered grid points, and the number of the nearest.

    Grid points are one unit apart; x and y are in these units.
    """
    side = 32
    offsets = (rng.random((side, side, 2), dtype=np.float32) - 0.5) * jitter + 0.5
    column, row = np.floor(x).astype(np.int32), np.floor(y).astype(np.int32)
    first = np.full(x.shape, 9.0, np.float32)
    second, number = first.copy(), np.zeros(x.shape, np.int32)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            i, j = (row + down) % side, (column + right) % side
            point = offsets[i, j]
            distance = np.hypot(column + right + point[..., 0] - x, row + down + point[..., 1] - y)
            closer = distance < first
            second = np.where(closer, first, np.minimum(second, distance))
            first = np.where(closer, distance, first)
            number = np.where(closer, i * side + j, number)
    return first, second, number


def soft_step(values: Array, edge: float | Array, width: float | Array) -> Array:
    """0 below the edge, 1 above it, with a smooth ramp of the given width between."""
    ramp = np.clip((values - edge) / width + 0.5, 0, 1)
    return ramp * ramp * (3 - 2 * ramp)
