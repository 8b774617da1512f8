"""The middles of flowers: domes of seeds, stamens, stars and trumpets."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from flowerlib.garden.drawing import canvas
from flowerlib.garden.drawing.canvas import Array, clip01, cover, mix, smoothstep
from flowerlib.garden.flowers.blossoms import GOLDEN_ANGLE, Frame, ring
from flowerlib.garden.flowers.petals import Light, paint_petals
from flowerlib.garden.flowers.species import Lch, Species
from flowerlib.garden.flowers.surfaces import Surface


def paint_center(
    layer: Array,
    species: Species,
    rng: np.random.Generator,
    center: Array,
    radius: float,
    space: Frame,
    light: Light,
) -> None:
    """Paints what is in the middle of a flower over `layer` (S, S, 4) in place."""
    size = species.center_size * radius
    colors = species.center_inner, species.center_outer
    if species.form == "trumpet":
        _paint_trumpet(layer, species, center, radius, space, light)
    elif species.center == "seeds":
        _paint_dome(layer, center, size, space, light, *colors, 0)
    elif species.center == "button":
        _paint_dome(layer, center, size * 0.8, space, light, *colors, 1)
    elif species.center == "stamens":
        _paint_stamens(layer, species, rng, center, radius, space, light)
    elif species.center == "star":
        inner, outer = colors
        surface = Surface("pointed", 0.42, outer, inner, inner, outer)
        angles = np.arange(6) * (2 * np.pi / 6)
        star = ring(rng, space, center, angles, length=size * 1.5, rise=0.5, curl=0.2, foot=0.0)
        paint_petals(layer, [(star, surface)], light)
        _paint_dome(layer, center, size * 0.35, space, light, *colors, 1)


@lru_cache(maxsize=256)
def _dome(inner: Lch, outer: Lch, smooth: int) -> tuple[Array, Array]:
    """Colors (128, 128, 3) and normals (128, 128, 3) of a dome of seeds, or of a smooth one."""
    x, y = canvas.grid(128)
    r = np.sqrt(x * x + y * y)
    height = 0.55 * np.sqrt(np.maximum(1 - r * r, 0))
    color = mix(canvas.oklch(*inner), canvas.oklch(*outer), smoothstep(0.25, 0.85, r))
    if not smooth:
        count = 150
        k = np.arange(1, count + 1)
        away = np.sqrt((k - 0.5) / count)
        seeds = np.stack([away * np.cos(k * GOLDEN_ANGLE), away * np.sin(k * GOLDEN_ANGLE)]) * 0.97
        seeds = seeds.astype(np.float32)
        gap = np.full(x.shape, 9.0, dtype=np.float32)
        for sx, sy in seeds.T:
            np.minimum(gap, (x - sx) ** 2 + (y - sy) ** 2, out=gap)
        seed = clip01(1 - np.sqrt(gap) / np.float32(0.085))
        height = height + 0.06 * np.sqrt(seed)
        color = color * (0.50 + 0.62 * smoothstep(0.0, 0.7, seed))[..., None]
        color = color * (0.82 + 0.18 * smoothstep(0.0, 0.35, np.abs(r - 0.4)))[..., None]
    slope_y, slope_x = np.gradient(height, 2 / 128)
    normals = np.stack([-slope_x, -slope_y, np.ones_like(r)], axis=-1)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    return color.astype(np.float32), normals.astype(np.float32)


def _window(layer: Array, middle: Array, reach: float) -> tuple[Array, Array, Array] | None:
    """The part of `layer` within `reach` of `middle`: a view, and x and y from the middle."""
    size = layer.shape[0]
    low = np.floor((np.asarray(middle[:2]) - reach + 1) * size / 2).astype(int).clip(0, size)
    high = np.ceil((np.asarray(middle[:2]) + reach + 1) * size / 2).astype(int).clip(0, size)
    if (high - low).min() < 1:
        return None
    xs = ((np.arange(low[0], high[0]) + 0.5) * 2 / size - 1 - middle[0]).astype(np.float32)
    ys = ((np.arange(low[1], high[1]) + 0.5) * 2 / size - 1 - middle[1]).astype(np.float32)
    return layer[low[1] : high[1], low[0] : high[0]], xs[None, :], ys[:, None]


def _on_plane(xs: Array, ys: Array, space: Frame) -> tuple[Array, Array]:
    """Coordinates in the flower's plane of picture points (relative to the flower)."""
    e1, e2, _ = (v.astype(np.float32) for v in space)
    area = e1[0] * e2[1] - e1[1] * e2[0]
    area = area if abs(area) > 0.12 else np.float32(0.12)
    return (xs * e2[1] - ys * e2[0]) / area, (ys * e1[0] - xs * e1[1]) / area


def _lay(target: Array, color: Array, coverage: Array) -> None:
    """Puts a color over a premultiplied RGBA view, in place."""
    c = coverage[..., None]
    target[..., :3] += c * (color - target[..., :3])
    target[..., 3:] += c * (1 - target[..., 3:])


def _paint_dome(
    layer: Array, center: Array, size: float, space: Frame, light: Light,
    inner: Lch, outer: Lch, smooth: int,
) -> None:  # fmt: skip
    middle = center[:2] + space[2][:2] * size * 0.25
    window = _window(layer, middle, size * 1.5)
    if window is None:
        return
    target, xs, ys = window
    u, v = _on_plane(xs, ys, space)
    u, v = u / np.float32(size), v / np.float32(size)
    r = np.sqrt(u * u + v * v)
    pixel = 2 / (layer.shape[0] * size)
    target[..., :3] *= 1 - np.float32(0.5) * smoothstep(1.45, 0.8, r)[..., None]  # its soft shadow
    color, normals = _dome(inner, outer, smooth)
    row = np.clip((v + 1) * 64, 0, 127).astype(np.int32)
    column = np.clip((u + 1) * 64, 0, 127).astype(np.int32)
    lamp = np.array([np.dot(light.direction, e) for e in space], dtype=np.float32)
    facing = np.maximum((normals[row, column] * lamp).sum(axis=-1), 0)
    lit = color[row, column] * (light.ambient + facing[..., None] * light.key)
    _lay(target, lit, cover(r - 1, max(1.5 * pixel, 0.03)))


def _paint_stamens(
    layer: Array, species: Species, rng: np.random.Generator, center: Array, radius: float,
    space: Frame, light: Light,
) -> None:  # fmt: skip
    e1, e2, normal = space
    count = 6 if species.form in ("lily", "cup") else 14
    long = radius * (0.42 if species.form == "lily" else species.center_size * 1.35)
    angles = np.arange(count) * (2 * np.pi / count) + rng.normal(0, 0.12, count)
    spread = 0.75 * np.exp(rng.normal(0, 0.12, count))
    tips = (np.cos(angles)[:, None] * e1 + np.sin(angles)[:, None] * e2) * spread[
        :, None
    ] + 0.8 * normal
    tips = center[:2] + tips[:, :2] * long
    thin = max(0.012 * radius / 0.6, 0.9 / layer.shape[0])
    stalk, anther = canvas.oklch(*species.center_inner), canvas.oklch(*species.center_outer)
    bright = light.ambient + 0.8 * light.key
    window = _window(layer, center, long * 1.6)
    if window is None:
        return
    target, xs, ys = window
    tips = (tips - center[:2]).astype(np.float32)
    pixel = 3 / layer.shape[0]
    lines = [canvas.segment(xs, ys, (0.0, 0.0), tuple(t), thin) for t in tips]
    lines = np.min(lines, axis=0)
    dots = np.min([np.hypot(xs - t[0], ys - t[1]) for t in tips], axis=0) - np.float32(thin * 2.6)
    ball = np.hypot(xs, ys) - np.float32(long * 0.26)
    target[..., :3] *= (
        1 - np.float32(0.35) * smoothstep(long * 0.35, 0.0, np.minimum(lines, ball))[..., None]
    )
    _lay(target, stalk * bright, cover(np.minimum(lines, ball), pixel))
    away = clip01(-dots / np.float32(thin * 2.6))[..., None]
    _lay(target, anther * bright * (np.float32(0.7) + np.float32(0.4) * away), cover(dots, pixel))


def _paint_trumpet(
    layer: Array, species: Species, center: Array, radius: float, space: Frame, light: Light
) -> None:
    """A frilled tube that widens towards us, painted as a pile of rings and a dark throat."""
    wall, throat = canvas.oklch(*species.center_outer), canvas.oklch(*species.center_inner)
    _, _, normal = space
    deep, narrow, wide = 0.55 * radius, 0.16 * radius, 0.36 * radius
    bright = light.ambient + light.key * max(float(np.dot(normal, light.direction)), 0.25)
    pixel = 3 / layer.shape[0]
    steps = 7
    for k in range(steps):
        t = k / (steps - 1)
        size = narrow + (wide - narrow) * t**1.6
        window = _window(layer, center[:2] + normal[:2] * deep * t, size * 1.35)
        if window is None:
            continue
        target, xs, ys = window
        u, v = _on_plane(xs, ys, space)
        r, angle = canvas.polar(u, v)
        ruffle = 1 + np.float32(0.07 * t) * np.cos(9 * angle)
        distance = r - np.float32(size) * ruffle
        if k == 0:
            target[..., :3] *= (
                1 - np.float32(0.4) * smoothstep(0.3 * size, -0.2 * size, distance)[..., None]
            )
        side = 1 + np.float32(0.25) * (
            u * light.direction[0] + v * light.direction[1]
        ) / np.float32(size)
        color = wall * bright * (np.float32(0.62 + 0.25 * t) * side[..., None])
        if k == steps - 1:
            depth = r / (np.float32(size) * ruffle)
            inside = mix(throat * np.float32(0.45), wall, smoothstep(0.1, 0.95, depth))
            folds = 1 - np.float32(0.10) * (0.5 + 0.5 * np.cos(18 * angle)) * smoothstep(
                0.2, 0.9, depth
            )
            color = (
                inside * bright * (folds * (np.float32(0.6) + np.float32(0.45) * depth))[..., None]
            )
        _lay(target, color, cover(distance, pixel))
