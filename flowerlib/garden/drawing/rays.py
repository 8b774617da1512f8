"""Where a ray meets a superellipsoid: ellipsoids, rounded boxes and what lies between."""

from __future__ import annotations

import numpy as np

Array = np.ndarray
STEEP = np.float32(1e-3)
FAR = np.float32(60.0)  # depth of a pixel that shows no surface


def powers(value: Array, power: int) -> tuple[Array, Array]:
    """value ** (power - 1) and value ** power for an even power of 2, 4, 8 or 16."""
    square = value * value
    lower = value
    for exponent in (2, 4, 8):  # v, v^3, v^7, v^15: each time by twice the power before
        if power > exponent:
            lower = lower * square
            square = square * square
    return lower, lower * value


def superellipsoid(start: list[float], ways: list[Array], power: int) -> tuple[Array, Array]:
    """First depth where the sum of powers is 1, and whether the ray meets the solid at all.

    Along a ray the sum is convex, so Newton's steps from the surrounding cube never overshoot.
    """
    enter, leave = np.zeros_like(ways[0]), np.full_like(ways[0], FAR)
    for s, way in zip(start, ways, strict=True):
        inverse = np.float32(1) / np.where(np.abs(way) < 1e-5, np.float32(1e-5), way)
        first, second = np.float32(-1 - s) * inverse, np.float32(1 - s) * inverse
        enter = np.maximum(enter, np.minimum(first, second))
        leave = np.minimum(leave, np.maximum(first, second))
    hit = leave > enter
    depth = np.where(hit, enter, FAR)
    inside = [way[hit] for way in ways]  # from here on only the rays that meet the cube, (n,)
    at, last = enter[hit], leave[hit]
    total = np.zeros_like(at)
    for _ in range(4):
        total, slope = np.full_like(at, -1), np.zeros_like(at)
        for s, way in zip(start, inside, strict=True):
            lower, same = powers(np.float32(s) + at * way, power)
            total += same
            slope += lower * way
        at = np.minimum(at - total / np.minimum(slope * np.float32(power), -STEEP), last)
    depth[hit] = at
    hit[hit] = total < 0.25
    return depth, hit
