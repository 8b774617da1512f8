"""More families of patterns: what grows, coils or is built up from many small parts.

The same kind of functions as in `patterns_scenes`.
"""

from __future__ import annotations

import numpy as np

from flowerlib.garden.patterns.noise import Array, Rng, coordinates, lookup
from flowerlib.garden.patterns.paint import (
    blurred,
    colored,
    light_direction,
    outline,
    palette,
    paste,
    relief,
    surface,
    turned,
)
from flowerlib.garden.patterns.scenes import background
from flowerlib.garden.patterns.solids import SOLIDS, render


def flame(rng: Rng, style: Rng, size: int, name: str) -> Array:
    """An iterated function system, by the chaos game: density as brightness, branch as color."""
    maps, points = int(style.integers(2, 6)), 6000
    matrices = style.uniform(-1, 1, (maps, 2, 3)) * (0.75, 0.75, 0.8) + rng.normal(
        0, 0.03, (maps, 2, 3)
    )
    bend = style.integers(0, 4, maps)
    position, hue = rng.uniform(-1, 1, (points, 2)), rng.random(points)
    grid, tint = np.zeros(200 * 200), np.zeros(200 * 200)
    for step in range(30):
        pick = rng.integers(maps, size=points)
        chosen = matrices[pick]
        position = np.einsum("nij,nj->ni", chosen[:, :, :2], position) + chosen[:, :, 2]
        radius = np.linalg.norm(position, axis=1, keepdims=True) + 1e-6
        kind = bend[pick][:, None]
        position = np.where(kind == 1, np.sin(position), position)
        position = np.where(kind == 2, position / (0.3 + radius**2), position)
        hue = (hue + pick / maps) / 2
        if step > 5:
            cell = ((position + 1.5) * (200 / 3)).astype(int)
            good = ((cell >= 0) & (cell < 200)).all(1)
            place = cell[good, 1] * 200 + cell[good, 0]
            grid += np.bincount(place, minlength=200 * 200)
            tint += np.bincount(place, hue[good], minlength=200 * 200)
    tone = (tint / np.maximum(grid, 1)).reshape(200, 200).astype(np.float32)
    glow = np.log1p(grid).reshape(200, 200).astype(np.float32)
    glow /= max(float(np.percentile(glow, 99.5)), 1)
    x, y = coordinates(size)
    angle, zoom = rng.normal(0, 0.6), rng.uniform(0.5, 1.0)
    u, v = (x - 0.5) * zoom, (y - 0.5) * zoom
    u, v = 0.5 + u * np.cos(angle) - v * np.sin(angle), 0.5 + u * np.sin(angle) + v * np.cos(angle)
    cover, color = (
        lookup(glow, u, v).clip(0, 1),
        colored(lookup(tone, u, v).clip(0, 1), palette(rng)),
    )
    canvas = background(rng, size) * rng.uniform(0.2, 1)
    lit = relief(color, blurred(cover, 0.01 * size), light_direction(rng), 0.05)
    return canvas + (cover**0.6)[..., None] * (lit - canvas)


def branches(rng: Rng, style: Rng, size: int, name: str) -> Array:
    """Ferns, twigs, corals: a stem that forks by the class's angles, sometimes with blades."""
    canvas, light = background(rng, size), light_direction(rng)
    spread, shrink = style.uniform(0.3, 1.1), style.uniform(0.6, 0.82)
    ways, bare = int(style.integers(2, 4)), style.random() < 0.4
    skins = [surface(rng, style, size) for _ in range(2)]
    curl = style.normal(0, 0.2)
    queue = [
        (
            rng.uniform(0.3, 0.7, 2) + (0, 0.35),
            -np.pi / 2 + rng.normal(0, 0.5),
            rng.uniform(0.2, 0.35),
            0,
        )
    ]
    drawn = 0
    while queue and drawn < 110:
        start, angle, length, level = queue.pop(0)
        end = start + length * np.array([np.cos(angle), np.sin(angle)])
        across = 0.06 * length * np.array([-np.sin(angle), np.cos(angle)])
        limb = np.array([start - across, end - 0.6 * across, end + 0.6 * across, start + across])
        paste(canvas, skins[0], limb, light, roundness=0.5, shadow=0.3)
        drawn += 1
        if level >= 3 and not bare:
            blade = turned(0.35 * length * outline(rng, "lens"), 0) + end
            paste(canvas, skins[1], blade, light, roundness=0.4, shadow=0.3)
        if length > 0.03 and level < 5:
            for way in range(ways):
                fork = (
                    angle + spread * (way - (ways - 1) / 2) * 2 / ways + curl + rng.normal(0, 0.12)
                )
                queue.append((end, fork, length * shrink * rng.uniform(0.85, 1.1), level + 1))
    return canvas


def shell(rng: Rng, style: Rng, size: int, name: str) -> Array:
    """Lit discs along a growing spiral: shells, horns, coils, rosettes of scales."""
    canvas, light = background(rng, size), light_direction(rng)
    step, growth = style.uniform(0.2, 2.6), style.uniform(1.02, 1.08)
    count, kind = (
        int(style.integers(30, 70)),
        str(style.choice(["ellipse", "blob", "shard", "crescent"])),
    )
    skins, fat = [surface(rng, style, size) for _ in range(2)], style.uniform(0.25, 0.7)
    squash, pose = rng.uniform(0.5, 1), rng.uniform(0, 6.3)
    reach, middle = rng.uniform(0.3, 0.55), rng.uniform(0.4, 0.6, 2)
    shape = outline(rng, kind)
    for index in range(count):
        radius = reach * growth ** (index - count)
        angle = pose + step * index
        place = turned(np.array([[np.cos(angle), squash * np.sin(angle)]]), pose)[0] * radius
        points = middle + place + fat * radius * turned(shape, angle)
        paste(canvas, skins[index % 2], points, light, roundness=0.6, shadow=0.25)
    return canvas


def collage(rng: Rng, style: Rng, size: int, name: str) -> Array:
    """Small solids and growths set into a larger picture, each cut out along a soft outline."""
    canvas = background(rng, size)
    kinds = style.choice(list(SOLIDS), 2)
    for kind in kinds:
        inset = render(rng, style, str(kind), size)
        points = rng.uniform(0.25, 0.75, 2) + rng.uniform(0.25, 0.45) * outline(rng, "blob")
        paste(
            canvas,
            inset,
            points,
            light_direction(rng),
            roundness=0,
            shadow=0.3,
            blur=rng.choice([0, 0.02]),
        )
    return canvas
