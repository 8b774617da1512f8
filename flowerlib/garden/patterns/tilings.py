"""Repeating fields for patterns: stripes, tilings, weaves, scales, made-up writing.

The same kind of functions as in `patterns_fields`, which collects them all.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from flowerlib.garden.patterns.noise import (
    Array,
    Rng,
    bent,
    fractal,
    lookup,
    resized,
    soft_step,
    unit,
    voronoi,
)


def stripes(rng: Rng, style: Rng, size: int) -> Array:
    x, _ = bent(rng, size, style.uniform(0, 0.5))
    wave = np.sin(style.uniform(12, 60) * x)
    return soft_step(wave, style.uniform(-0.6, 0.6), style.uniform(0.2, 1.6))


def plaid(rng: Rng, style: Rng, size: int) -> Array:
    x, y = bent(rng, size, 0.05)
    total = np.zeros_like(x)
    for _ in range(int(style.integers(2, 5))):
        frequency, weight = style.uniform(8, 50), style.uniform(0.3, 1)
        total += weight * (soft_step(np.sin(frequency * x), 0.3, 0.3))
        total += weight * (soft_step(np.sin(frequency * y), 0.3, 0.3))
    return unit(total)


def moire(rng: Rng, style: Rng, size: int) -> Array:
    x, y = bent(rng, size, 0.05)
    frequency = style.uniform(25, 70)
    one = np.sin(frequency * np.hypot(x - rng.uniform(-0.5, 0.5), y - rng.uniform(-0.5, 0.5)))
    two = np.sin(frequency * np.hypot(x - rng.uniform(-0.5, 0.5), y - rng.uniform(-0.5, 0.5)))
    return unit(one * two if style.random() < 0.5 else one + two)


def waves(rng: Rng, style: Rng, size: int) -> Array:
    x, y = bent(rng, size, style.uniform(0, 0.2))
    total, count = np.zeros_like(x), int(style.integers(3, 8))
    for index in range(count):
        angle = np.pi * index / count
        phase = style.uniform(20, 45) * (np.cos(angle) * x + np.sin(angle) * y)
        total += np.sin(phase + rng.uniform(0, 6))
    return unit(total)


def checks(rng: Rng, style: Rng, size: int) -> Array:
    x, y = bent(rng, size, style.uniform(0, 0.4))
    count = style.uniform(4, 14)
    row, column = (
        np.floor(count * y).astype(int),
        np.floor(count * x * style.uniform(0.6, 1)).astype(int),
    )
    tone = rng.random((64, 64), dtype=np.float32)[row % 64, column % 64]
    return ((row + column) % 2) * 0.6 + 0.4 * tone


def bricks(rng: Rng, style: Rng, size: int) -> Array:
    x, y = bent(rng, size, style.uniform(0, 0.15))
    count = style.uniform(4, 10)
    row = np.floor(count * y)
    shifted = count * x * style.uniform(0.35, 0.8) + 0.5 * (row % 2)
    tone = rng.random((64, 64), dtype=np.float32)[
        row.astype(int) % 64, np.floor(shifted).astype(int) % 64
    ]
    edge = np.minimum(
        np.minimum(shifted % 1, 1 - shifted % 1) * 2, np.minimum(count * y % 1, 1 - count * y % 1)
    )
    noise = fractal(rng, size, 12, 0.7, 4)
    return soft_step(edge, 0.08, 0.08) * (0.4 + 0.4 * tone + 0.2 * noise)


def hexes(rng: Rng, style: Rng, size: int) -> Array:
    x, y = bent(rng, size, style.uniform(0, 0.3))
    count = style.uniform(5, 14)
    first, second, number = voronoi(
        rng, count * x + 0.5 * (np.floor(count * y) % 2), count * y, style.uniform(0, 0.2)
    )
    tone = rng.random(1024, dtype=np.float32)[number]
    return unit(soft_step(second - first, 0.12, 0.15) * (0.6 + 0.4 * tone) - 0.4 * first)


def weave(rng: Rng, style: Rng, size: int) -> Array:
    x, y = bent(rng, size, style.uniform(0, 0.2))
    count = style.uniform(5, 16)
    u, v = count * x, count * y
    over = (np.floor(u) + np.floor(v) * style.integers(1, 4)) % style.integers(2, 4) < 1
    thread = np.where(over, np.sin(np.pi * (u % 1)), np.sin(np.pi * (v % 1)))
    return unit(
        thread ** style.uniform(0.5, 1.5) + 0.3 * over + 0.15 * fractal(rng, size, 40, 0.8, 2)
    )


def scales(rng: Rng, style: Rng, size: int) -> Array:
    x, y = bent(rng, size, style.uniform(0, 0.3))
    count, result = style.uniform(5, 12), np.zeros_like(x)
    for layer in range(3, -1, -1):  # later rows lie on top of earlier ones
        row = np.floor(count * y * 1.6) - layer + 2
        u = (count * x + 0.5 * (row % 2)) % 1 - 0.5
        v = count * y * 1.6 - row - 0.5
        radius = np.hypot(u * 2, v * 0.6)
        tone = rng.random(64, dtype=np.float32)[row.astype(int) % 64]
        result = np.where(radius < 1, (0.3 + 0.7 * radius**2) * (0.7 + 0.3 * tone), result)
    return unit(result)


def spots(rng: Rng, style: Rng, size: int) -> Array:
    x, y = bent(rng, size, style.uniform(0, 0.4))
    count = style.uniform(4, 14)
    first, _, number = voronoi(rng, count * x, count * y, style.uniform(0.5, 1))
    radius = style.uniform(0.15, 0.45) * (0.5 + rng.random(1024, dtype=np.float32)[number])
    disc = 1 - soft_step(first, radius, 0.12)
    if style.random() < 0.5:  # rings, as in a rosette coat or bubbles
        disc = disc * soft_step(first, 0.6 * radius, 0.12)
    return np.clip(disc + 0.3 * fractal(rng, size, 6, 0.6, 4), 0, 1)


def glyphs(rng: Rng, style: Rng, size: int) -> Array:
    """Lines of made-up letters, each built of a few strokes from a small set."""
    side, count = 256, int(style.integers(5, 13))
    image = Image.new("L", (side, side), 0)
    pen, pitch = ImageDraw.Draw(image), side / count
    alphabet = [style.random((int(style.integers(2, 5)), 4)) for _ in range(12)]
    width = max(1, int(pitch * style.uniform(0.06, 0.18)))
    curved = style.random() < 0.5
    for row in range(count):
        for column in range(count):
            if rng.random() < 0.15:
                continue
            for a, b, c, d in alphabet[int(rng.integers(12))]:
                box = [column + 0.15 + 0.7 * a, row + 0.15 + 0.7 * b]
                end = [column + 0.15 + 0.7 * c, row + 0.15 + 0.7 * d]
                if curved and abs(a - c) > 0.2 and abs(b - d) > 0.2:
                    corners = [
                        min(box[0], end[0]),
                        min(box[1], end[1]),
                        max(box[0], end[0]),
                        max(box[1], end[1]),
                    ]
                    pen.arc(
                        [v * pitch for v in corners], 360 * a, 360 * a + 250, fill=255, width=width
                    )
                else:
                    pen.line([v * pitch for v in (*box, *end)], fill=255, width=width)
    flat = resized(np.asarray(image, np.float32) / 255, size)
    x, y = bent(rng, size, 0.06, turn=rng.uniform(-0.6, 0.6))
    return lookup(flat, 0.9 * x + 0.5, 0.9 * y + 0.5)


def truchet(rng: Rng, style: Rng, size: int) -> Array:
    x, y = bent(rng, size, style.uniform(0, 0.2))
    count = style.uniform(4, 12)
    u, v = count * x, count * y
    flip = rng.random((64, 64))[np.floor(v).astype(int) % 64, np.floor(u).astype(int) % 64] < 0.5
    u, v = np.where(flip, u % 1, 1 - u % 1), v % 1
    distance = np.minimum(np.abs(np.hypot(u, v) - 0.5), np.abs(np.hypot(1 - u, 1 - v) - 0.5))
    return 1 - soft_step(distance, style.uniform(0.08, 0.25), style.uniform(0.05, 0.3))


def bumps(rng: Rng, style: Rng, size: int) -> Array:
    x, y = bent(rng, size, style.uniform(0.05, 0.4))
    fx, fy = style.uniform(15, 60, 2)
    return (0.5 + 0.5 * np.sin(fx * x) * np.sin(fy * y)) ** style.uniform(0.5, 3)


TILINGS = (
    stripes, plaid, moire, waves, checks, bricks, hexes, weave, scales, spots, glyphs, truchet,
    bumps,
)  # fmt: skip
