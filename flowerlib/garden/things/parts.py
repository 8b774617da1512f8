"""What several things have in common: lacquer, windows, lamps, axles with wheels."""

from __future__ import annotations

import numpy as np

from flowerlib.garden.drawing import canvas
from flowerlib.garden.drawing.facets import GLASS, Model

Array = np.ndarray
TYRE = np.array([0.10, 0.10, 0.11], np.float32)
STEEL = np.array([0.62, 0.64, 0.67], np.float32)
LAMP = np.array([1.0, 0.95, 0.75], np.float32)
RED = np.array([0.75, 0.12, 0.10], np.float32)


def paint(rng: np.random.Generator) -> Array:
    """A color of lacquer: often white, gray or black, as on the road."""
    if rng.random() < 0.4:
        return np.full(3, rng.uniform(0.12, 0.97), np.float32)
    return canvas.oklch(rng.uniform(0.4, 0.85), rng.uniform(0.06, 0.2), rng.uniform(0, 360))


def panes(x: tuple[float, float], y: tuple[float, float], count: int, gap: float = 0.15) -> list:
    """A row of windows as decals for a flank."""
    step = (x[1] - x[0]) / count
    return [
        (
            [
                (x[0] + (i + gap / 2) * step, y[0]),
                (x[0] + (i + 1 - gap / 2) * step, y[0]),
                (x[0] + (i + 1 - gap / 2) * step, y[1]),
                (x[0] + (i + gap / 2) * step, y[1]),
            ],
            GLASS,
        )
        for i in range(count)
    ]


def lamps(edge: int, color: Array, low: float, high: float) -> list:
    return [
        (edge, [(low, s * 0.55), (low, s * 0.9), (high, s * 0.9), (high, s * 0.55)], color)
        for s in (-1, 1)
    ]


def axles(model: Model, places: list[float], half: float, radius: float, hub: Array) -> None:
    for x in places:
        for side in (-1, 1):
            model.wheel(x, radius, side * (half + 0.02), radius, TYRE, hub, side=side)
