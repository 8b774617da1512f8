"""What petals and leaves look like: their outlines, and the colors painted on them.

A surface is two small tables, looked up by (along, across) a petal: the signed distance to its
outline, and its colors. They depend on the species only, so they are made once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from flowerlib.garden.drawing import canvas
from flowerlib.garden.drawing.canvas import Array, mix, smoothstep

ROWS, COLUMNS = 160, 96  # cells of the color table along and across; distances have twice as many
LOW, HIGH = -0.10, 1.14  # the part of the length that the rows span; 0 is the foot, 1 the tip
SIDE = 1.15  # the columns span this many half widths on either side


@dataclass(frozen=True)
class Surface:
    """Everything that all petals (or leaves) of one kind have in common; colors are (L, c, h).

    Attributes:
        shape: outline, one of `SHAPES`.
        width: greatest width over length.
        base, tip, edge, mark: Oklch colors of the foot, the tip, the rim and of the markings.
        fade: where along the petal the foot's color has given way to the tip's.
        rim: width of the colored rim, in petal lengths; 0 for none.
        eye: length of the colored foot, in petal lengths; 0 for none.
        veins: number of dark veins across; 0 for none.
        stripe: strength of the middle stripe, 0..1.
        spots: number of spots.
    """

    shape: str
    width: float
    base: tuple[float, float, float]
    tip: tuple[float, float, float]
    edge: tuple[float, float, float]
    mark: tuple[float, float, float]
    fade: float = 0.6
    rim: float = 0.0
    eye: float = 0.0
    veins: int = 0
    stripe: float = 0.0
    spots: int = 0


SHAPES = (
    "round", "pointed", "notched", "heart", "spoon", "strap", "frilled", "toothed", "bell", "leaf",
)  # fmt: skip


def _half_width(shape: str, r: Array) -> Array:
    """Half width along the petal, 1 where it is widest."""
    r = np.clip(r, 1e-3, 1)
    ends = np.clip(1 - r, 0, 1)
    if shape == "pointed":
        return 1.9 * r**0.75 * ends**0.7 * (1 - 0.15 * r)
    if shape in ("strap", "toothed"):
        return smoothstep(-0.15, 0.55, r) * (1 - r**7) ** 0.5
    if shape == "spoon":
        return (
            0.22 * (1 - r**6) ** 0.5 + 0.78 * np.exp(-(((r - 0.72) / 0.24) ** 2)) * ends**0.35 * 1.5
        )
    if shape in ("heart", "notched", "frilled"):
        return 1.12 * np.sin(np.pi * 0.5 * np.clip(r / 0.72, 0, 1)) ** 0.85 * (1 - r**9) ** 0.5
    if shape == "bell":
        return 0.30 + 0.32 * smoothstep(0.0, 0.28, r) + 0.38 * smoothstep(0.55, 1.05, r)
    if shape == "leaf":
        return 2.0 * r**0.6 * ends**0.85
    return 1.55 * r**0.8 * ends**0.42


def _tip(shape: str, v: Array) -> Array:
    """How far the outline reaches, at a distance v (half widths) from the middle."""
    v = np.abs(v)
    if shape == "heart":
        return 1.0 - 0.26 * np.exp(-((v / 0.26) ** 2)) - 0.10 * (v - 0.5) ** 2
    if shape == "notched":
        return 1.0 - 0.09 * np.exp(-((v / 0.16) ** 2)) - 0.12 * v**2
    if shape == "frilled":
        return 0.95 - 0.16 * v**2 + 0.045 * np.cos(13 * v) + 0.02 * np.cos(29 * v + 1)
    if shape == "bell":
        return 0.90 + 0.09 * np.cos(2 * np.pi * v / 0.66) + 0.04 * (1 - v * v)
    if shape == "toothed":
        return 0.94 + 0.07 * np.cos(2 * np.pi * v / 0.62)
    return np.ones_like(v)


def _table_places() -> tuple[Array, Array]:
    """Places along (ROWS, 1), in lengths, and across (1, COLUMNS), in half widths, of the cells."""
    r = (np.arange(ROWS, dtype=np.float32) + 0.5) / ROWS * (HIGH - LOW) + LOW
    v = ((np.arange(COLUMNS, dtype=np.float32) + 0.5) / COLUMNS * 2 - 1) * SIDE
    return r[:, None].astype(np.float32), v[None, :].astype(np.float32)


@lru_cache(maxsize=512)
def outline(shape: str, width: float) -> Array:
    """Signed distance to a petal's outline, in petal lengths, negative inside.

    Returns:
        (2 ROWS, 2 COLUMNS) float32: coarser steps would show on the edges of large petals.
    """
    r, v = _table_places()
    half = width / 2
    side = (np.abs(v) - _half_width(shape, r)) * half
    end = np.broadcast_to(r - _tip(shape, v), side.shape)
    foot = np.broadcast_to(-r - 0.02, side.shape)
    value = np.maximum(np.maximum(side, end), foot).astype(np.float32)
    # A function that is 0 on the outline, over the length of its gradient, is nearly a distance.
    steps = (HIGH - LOW) / ROWS, 2 * SIDE * half / COLUMNS
    steepness = np.hypot(*np.gradient(value, *steps))
    image = canvas.Image.fromarray((value / np.maximum(steepness, 0.6)).astype(np.float32))
    return np.asarray(image.resize((2 * COLUMNS, 2 * ROWS), canvas.Image.Resampling.BICUBIC))


@lru_cache(maxsize=640)
def texture(surface: Surface, softness: int) -> Array:
    """Colors (3, ROWS, COLUMNS) of a petal, seen through a blur of `softness` cells."""
    if softness:
        return _soften(texture(surface, 0), softness)
    r, v = _table_places()
    r = np.broadcast_to(r, (ROWS, COLUMNS))
    inside = -outline(surface.shape, surface.width)[::2, ::2]
    relative = v / np.maximum(_half_width(surface.shape, r), 0.15)  # -1..1 between the rims
    base, tip, edge, mark = (
        canvas.oklch(*c) for c in (surface.base, surface.tip, surface.edge, surface.mark)
    )
    color = mix(base, tip, smoothstep(0.05, surface.fade, r))
    if surface.rim:
        color = mix(color, edge, 1 - smoothstep(surface.rim * 0.3, surface.rim * 1.3, inside))
    if surface.eye:
        ragged = r + 0.05 * np.cos(9 * relative)
        color = mix(color, mark, 1 - smoothstep(surface.eye * 0.75, surface.eye * 1.25, ragged))
    if surface.stripe:
        thin = np.exp(-((relative / 0.16) ** 2)) * smoothstep(1.0, 0.55, r)
        color = mix(color, mark, surface.stripe * thin)
    if surface.veins:
        spread = relative * (1 - 0.25 * r)
        line = (0.5 + 0.5 * np.cos(np.pi * surface.veins * spread)) ** 5
        color = mix(
            color, mark, 0.85 * line * smoothstep(0.95, 0.35, r) * smoothstep(0.02, 0.12, r)
        )
    for along, beside in _spot_places(surface.spots):
        near = ((r - along) ** 2 + ((v - beside) * surface.width / 2) ** 2) / 0.042**2
        color = mix(color, mark, 0.9 * smoothstep(1.5, 0.6, near))
    fine = 1 - 0.05 * (0.5 + 0.5 * np.cos(23 * np.pi * relative)) * smoothstep(1.0, 0.3, r)
    return np.ascontiguousarray(np.moveaxis(color * fine[..., None], -1, 0), dtype=np.float32)


def _spot_places(count: int) -> list[tuple[float, float]]:
    """Places (along, across) of spots: scattered evenly, the same on every petal."""
    golden = 0.6180339887
    return [(0.22 + 0.5 * (i + 0.5) / count, 1.1 * ((i * golden) % 1 - 0.5)) for i in range(count)]


def _soften(colors: Array, softness: int) -> Array:
    small = (max(4, COLUMNS // softness), max(4, ROWS // softness))
    planes = []
    for plane in colors:
        image = canvas.Image.fromarray(plane).resize(small, canvas.Image.Resampling.BOX)
        image = image.resize((COLUMNS, ROWS), canvas.Image.Resampling.BILINEAR)
        planes.append(np.asarray(image))
    return np.stack(planes)
