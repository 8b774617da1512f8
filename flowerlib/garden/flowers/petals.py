"""Petals in space and light: where they are, and how many of them are painted at once.

The petals of a whole layer are drawn together, as one long list of pixels with their places on
the petals, and laid over each other from back to front.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowerlib.garden.drawing.canvas import Array, clip01, smoothstep
from flowerlib.garden.flowers.surfaces import (
    COLUMNS,
    HIGH,
    LOW,
    ROWS,
    SIDE,
    Surface,
    outline,
    texture,
)


@dataclass
class Petals:
    """Where P petals are: arrays (P, 2) or (P, 3) in picture units (x right, y down, z to us)."""

    foot: Array  # (P, 2) where they are attached
    axis: Array  # (P, 3) unit vectors from foot to tip
    across: Array  # (P, 3) unit vectors; shorter ones make narrower petals
    normal: Array  # (P, 3) unit vectors out of the upper side
    length: Array  # (P,)
    curl: Array  # (P,) how far the tip bends to the upper side, in radians
    bend: Array  # (P,) how far the tip swings sideways, in lengths
    bright: Array  # (P,) factor on the color: age, shade of what is above

    def take(self, which: Array) -> Petals:
        """The petals at `which` (indices or a mask), in that order."""
        return Petals(*(getattr(self, name)[which] for name in FIELDS))


FIELDS = tuple(Petals.__dataclass_fields__)
# Points around a petal that its box must hold: along, and across in widths.
BOX_R = np.array([0, 0, 0.55, 0.55, 1.08, 1.08])
BOX_W = np.array([-0.25, 0.25, -0.55, 0.55, -0.5, 0.5])


@dataclass(frozen=True)
class Light:
    """A scene's light: unit vector to the lamp, its color, and that of the light all around."""

    direction: Array
    key: Array
    ambient: Array


def joined(parts: list[Petals]) -> Petals:
    """Several sets of petals as one, in their order."""
    if len(parts) == 1:
        return parts[0]
    return Petals(*(np.concatenate([getattr(p, name) for p in parts]) for name in FIELDS))


def paint_petals(layer: Array, parts: list[tuple[Petals, Surface]], light: Light) -> None:
    """Lays petals over `layer` in place, in their order, each with a soft shadow on those below.

    Args:
        layer: (S, S, 4) float32, colors multiplied by coverage, and coverage.
        parts: petals and what they look like, from back to front; drawn together, for speed.
    """
    parts = [(petals, surface) for petals, surface in parts if len(petals.length)]
    if not parts:
        return
    counts = [len(petals.length) for petals, _ in parts]
    petals = joined([petals for petals, _ in parts])
    width = np.repeat([surface.width for _, surface in parts], counts)
    spots = _pixels(petals, width, light, layer.shape[0])
    which = spots.which
    ends = np.searchsorted(which, np.arange(len(width) + 1))
    # The shadow is the same outline, moved away from the lamp.
    distance_cell, color_cell = _cells(spots.r, spots.w, spots.width)
    shadow_r, shadow_w = spots.r - spots.drop_r.take(which), spots.w - spots.drop_w.take(which)
    shadow_cell, _ = _cells(shadow_r, shadow_w, spots.width)
    distance, shade = np.empty((2, len(which)), dtype=np.float32)
    color = np.empty((3, len(which)), dtype=np.float32)  # channels first: long inner loops are fast
    first = 0
    for count, (_, surface) in zip(counts, parts, strict=True):
        part = slice(ends[first], ends[first + count])
        table = outline(surface.shape, surface.width)
        distance[part] = table.take(distance_cell[part])
        shade[part] = table.take(shadow_cell[part])
        length = float(spots.scale[first : first + count].mean())  # in pixels
        softness = 0 if length > 70 else 2 if length > 30 else 4 if length > 14 else 8
        seen = texture(surface, softness).reshape(3, -1)
        color[:, part] = seen.take(color_cell[part], axis=1)
        first += count

    coverage = clip01(np.float32(0.5) - distance * spots.scale.take(which))
    shade = clip01(np.float32(0.55) - shade * np.float32(9.0)) * np.float32(0.42)
    hollow = np.float32(0.62) + np.float32(0.38) * smoothstep(0.0, 0.5, spots.r)  # dark deep inside
    strength = petals.bright.astype(np.float32).take(which) * hollow
    lit = _lit(petals, spots, light)
    color *= (light.ambient[:, None] + lit * light.key[:, None]) * strength

    # What is there is multiplied by `keep`, then `add` comes on top.
    keep, add = np.empty((2, 4, len(which)), dtype=np.float32)
    keep[3] = 1 - coverage
    keep[:3] = keep[3] * (1 - shade)
    add[:3], add[3] = color * coverage, coverage
    keep, add = np.ascontiguousarray(keep.T), np.ascontiguousarray(add.T)
    flat = layer.reshape(-1, 4)
    for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        here = spots.pixel[start:end]
        below = flat.take(here, axis=0)
        below *= keep[start:end]
        below += add[start:end]
        flat[here] = below


@dataclass
class _Pixels:
    """The K pixels that P petals may touch, petal after petal."""

    which: Array  # (K,) number of the petal
    pixel: Array  # (K,) index into the flattened picture
    r: Array  # (K,) along the petal
    w: Array  # (K,) across it, in petal lengths
    width: Array  # (K,) width of the petal over its length
    scale: Array  # (P,) pixels a petal length
    drop_r: Array  # (P,) how far the shadow falls, along the petal
    drop_w: Array  # (P,) and across it


def _pixels(petals: Petals, width: Array, light: Light, size: int) -> _Pixels:
    """Finds the pixels of each petal, and where on the petal each of them lies."""
    unit = size / 2  # pixels a picture unit
    along, beside, area = _projected(petals, unit)
    lift = petals.normal[:, :2] * (petals.length * petals.curl * 0.5 * unit)[:, None]
    quad_r = ((lift[:, 0] * beside[:, 1] - lift[:, 1] * beside[:, 0]) / area).clip(-0.3, 0.18)
    quad_w = ((along[:, 0] * lift[:, 1] - along[:, 1] * lift[:, 0]) / area).clip(-0.4, 0.4)
    quad_w = quad_w + petals.bend

    # A box around each petal, in whole pixels.
    foot = (petals.foot + 1) * unit - 0.5
    steep = np.where(np.abs(quad_r) < 1e-4, 1e-4, quad_r)[:, None]
    rs = (1 - np.sqrt(np.maximum(1 - 4 * steep * BOX_R, 0))) / (2 * steep)
    ws = BOX_W * width[:, None] + quad_w[:, None] * rs**2
    corner = foot[:, None] + rs[..., None] * along[:, None] + ws[..., None] * beside[:, None]
    low = np.clip(np.floor(corner.min(axis=1)).astype(np.int32) - 2, 0, size)
    high = np.clip(np.ceil(corner.max(axis=1)).astype(np.int32) + 3, 0, size)
    columns, rows = (high - low).T
    count = columns * rows
    which = np.repeat(np.arange(len(count)), count)
    inside = np.arange(len(which)) - (np.cumsum(count) - count).take(which)
    inside = inside.astype(np.float32)

    # The inverse of the projection, and one step back along the curl.
    to_r = np.stack([beside[:, 1], -beside[:, 0]]) / area
    to_w = np.stack([-along[:, 1], along[:, 0]]) / area
    start = low - foot
    start_r, start_w = (to_r * start.T).sum(axis=0), (to_w * start.T).sum(axis=0)
    table = np.stack([start_r, start_w, *to_r, *to_w, quad_r, quad_w, width, columns])
    r, w, a, b, c, d, qr, qw, width, columns = table.astype(np.float32).take(which, axis=1)
    row = np.floor((inside + np.float32(0.5)) / columns)
    column = inside - row * columns
    r += column * a + row * b
    w += column * c + row * d
    square = r * np.abs(r)
    r -= qr * square
    w -= qw * square
    near = (np.abs(w) < width * np.float32(0.52) + np.float32(0.06)) & (
        np.abs(r - np.float32(0.5)) < 0.6
    )
    near = np.flatnonzero(near)
    which = which.take(near)
    pixel = (row.take(near) * np.float32(size) + column.take(near)).astype(np.int32)
    pixel += (low[:, 1] * size + low[:, 0]).take(which)

    steepest = max(float(light.direction[2]), 0.4)
    fall = -light.direction[:2] / steepest * 0.09 * np.minimum(petals.length, 1)[:, None] * unit
    return _Pixels(
        which,
        pixel,
        r.take(near),
        w.take(near),
        width.take(near),
        # Most of the edge runs along the petal, so pixels across it count for sharpness.
        (np.abs(area) / np.hypot(along[:, 0], along[:, 1])).astype(np.float32),
        (fall.T * to_r).sum(axis=0).astype(np.float32),
        (fall.T * to_w).sum(axis=0).astype(np.float32),
    )


def _projected(petals: Petals, unit: float) -> tuple[Array, Array, Array]:
    """Pixel vectors (P, 2) along and across each petal, and the area (P,) that they span.

    A petal that is seen on edge would vanish; it is given a little width, for it is never flat.
    """
    pixels = petals.length * unit
    along = petals.axis[:, :2] * pixels[:, None]
    beside = petals.across[:, :2] * pixels[:, None]
    long = np.hypot(along[:, 0], along[:, 1]) + 1e-6
    least = 0.2 * pixels  # a petal that points at us is kept visible, too
    along = along * np.maximum(1, least / long)[:, None]
    long = np.maximum(long, least)
    area = along[:, 0] * beside[:, 1] - along[:, 1] * beside[:, 0]
    least = 0.25 * long * pixels * np.sqrt((petals.across**2).sum(axis=1))
    missing = np.where(np.abs(area) < least, np.where(area < 0, -least, least) - area, 0)
    aside = np.stack([-along[:, 1], along[:, 0]], axis=1) / (long**2)[:, None]
    return along, beside + aside * missing[:, None], area + missing


def _cells(r: Array, w: Array, width: Array) -> tuple[Array, Array]:
    """Indices into the flattened tables of distances and of colors, for positions on petals."""
    row = (r - np.float32(LOW)) * np.float32(2 * ROWS / (HIGH - LOW))
    column = w / width * np.float32(2 * COLUMNS / SIDE) + np.float32(COLUMNS)
    row = np.clip(row, 0, 2 * ROWS - 1).astype(np.int32)
    column = np.clip(column, 0, 2 * COLUMNS - 1).astype(np.int32)
    return row * (2 * COLUMNS) + column, (row >> 1) * COLUMNS + (column >> 1)


def _lit(petals: Petals, spots: _Pixels, light: Light) -> Array:
    """How much of the lamp's light each pixel (K,) of the petals sends to us.

    The normal turns along the curl, and across because petals are a little folded. Petals are
    thin: light that falls on the far side shines through, weaker.
    """
    axes = (np.stack([petals.axis, petals.across, petals.normal]) * light.direction).sum(axis=-1)
    facing = np.where(petals.normal[:, 2] < 0, -1, 1)
    table = np.stack([*(axes * facing), -petals.curl]).astype(np.float32)
    ahead, aside, up, turn = table.take(spots.which, axis=1)
    turn_r, turn_w = turn * spots.r, spots.w / spots.width
    lambert = (ahead * turn_r + aside * turn_w + up) / np.sqrt(1 + turn_r**2 + turn_w**2)
    return np.maximum(lambert, lambert * np.float32(-0.45))
