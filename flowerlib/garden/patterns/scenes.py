"""The families of patterns: each function composes one picture of a class.

Every family is a function `family(rng, style, size, name)` → float canvas (size, size, 3). `name`
says what it draws, `style` (a generator started anew for each picture) holds what the class keeps,
`rng` what varies.
"""

from __future__ import annotations

import numpy as np

from flowerlib.garden.patterns.noise import Array, Rng, coordinates, fractal, lookup, soft_step
from flowerlib.garden.patterns.paint import (
    OUTLINES,
    blurred,
    colored,
    eye,
    in_perspective,
    light_direction,
    mask_of,
    outline,
    palette,
    paste,
    strokes,
    surface,
)
from flowerlib.garden.patterns.solids import render


def background(rng: Rng, size: int) -> Array:
    """What lies behind: any texture, flat or in perspective, sharp or far out of focus."""
    canvas = surface(rng, rng, size)
    if rng.random() < 0.4:
        canvas = in_perspective(rng, canvas)
    return blurred(canvas, rng.choice([0, 0, 0.02, 0.05]) * size)


def scatter(
    rng: Rng, canvas: Array, skins: list[Array], kinds: list[str], count: int, reach: float
) -> None:
    """Drops `count` shapes on the canvas, in place; sizes follow a power law, as in nature."""
    light = light_direction(rng)
    for index in range(count):
        nearness = (index + 1) / count  # what comes later lies nearer
        radius = np.clip(reach * 0.3 / np.sqrt(rng.uniform(0.04, 1)), 0.03, 0.6)
        middle = rng.uniform(-0.05, 1.05, 2)
        points = middle + radius * outline(rng, kinds[int(rng.integers(len(kinds)))])
        skin = skins[int(rng.integers(len(skins)))]
        if rng.random() < 0.5:
            skin = skin[::-1].transpose(1, 0, 2)
        skin = skin * rng.uniform(0.6, 1.3, 3).astype(np.float32)
        blur = rng.choice([0, 0, 0.01]) * (1.2 - nearness)
        paste(
            canvas,
            skin,
            points,
            light,
            roundness=rng.uniform(0, 0.9),
            shadow=rng.uniform(0, 0.6),
            blur=blur,
        )


def texture(rng: Rng, style: Rng, size: int, name: str) -> Array:
    canvas = surface(rng, style, size, name)
    if rng.random() < 0.5:
        canvas = in_perspective(rng, canvas)
    if rng.random() < 0.4:
        scatter(
            rng, canvas, [surface(rng, rng, size)], list(OUTLINES), int(rng.integers(1, 5)), 0.4
        )
    return canvas


def heap(rng: Rng, style: Rng, size: int, name: str) -> Array:
    """Dead leaves: one kind of outline, the class's textures, many sizes, strong occlusion."""
    skins = [surface(rng, style, size) for _ in range(3)] + [surface(rng, rng, size)]
    canvas = background(rng, size)
    scatter(rng, canvas, skins, [name], int(style.integers(10, 45)), style.uniform(0.25, 0.7))
    return canvas


def mixed_heap(rng: Rng, style: Rng, size: int, name: str) -> Array:
    skins = [surface(rng, style, size) for _ in range(2)] + [
        surface(rng, rng, size) for _ in range(2)
    ]
    kinds = list(style.choice(OUTLINES, 3, replace=False))
    canvas = background(rng, size)
    scatter(rng, canvas, skins, kinds, int(style.integers(6, 30)), style.uniform(0.3, 0.9))
    return canvas


def solid(rng: Rng, style: Rng, size: int, name: str) -> Array:
    return render(rng, style, name, size)


def assembly(rng: Rng, style: Rng, size: int, name: str) -> Array:
    """A made-up being: textured round lobes on a body plan, hairy or bare, with eye-like dots."""
    canvas, light = background(rng, size), light_direction(rng)
    count = int(style.integers(3, 9))
    angles, reaches = style.uniform(0, 6.3, count), style.uniform(0.1, 0.32, count)
    radii, hairy = style.uniform(0.05, 0.17, count), name == "hairy" or style.random() < 0.3
    kinds = style.choice(["blob", "ellipse", "lens", "worm", "crescent"], count)
    skins = [surface(rng, style, size) for _ in range(2)]
    pose, zoom = rng.normal(0, 0.5), rng.uniform(0.9, 2.0)
    middle = rng.uniform(0.4, 0.6, 2)
    core = middle + zoom * style.uniform(0.14, 0.24) * outline(rng, "blob")
    parts = [
        (middle + zoom * reach * np.array([np.cos(angle + pose), np.sin(angle + pose)])
         + zoom * radius * rng.uniform(0.8, 1.3) * outline(rng, str(kind)))
        for angle, reach, radius, kind in zip(
            angles + rng.normal(0, 0.2, count), reaches, radii, kinds, strict=True
        )
    ]  # fmt: skip
    parts.insert(int(style.integers(0, count)), core)
    for index, points in enumerate(parts):
        skin = skins[index % 2] * rng.uniform(0.85, 1.15, 3).astype(np.float32)
        paste(canvas, skin, points, light, roundness=0.8, shadow=0.4)
        if hairy:
            mask = mask_of(points, size)
            down, right = np.gradient(blurred(mask, 0.05 * size))
            heading = np.arctan2(-down, -right) + style.uniform(-1, 1)
            area = float(mask.mean())
            canvas = strokes(
                rng,
                canvas,
                mask,
                canvas,
                int(200 + 4000 * area),
                style.uniform(0.02, 0.07),
                heading,
            )
    iris = rng.uniform(0.1, 0.9, 3)
    for _ in range(int(style.integers(0, 4))):
        x, y = middle + zoom * 0.12 * rng.normal(0, 1, 2)
        eye(rng, canvas, x, y, zoom * style.uniform(0.02, 0.06), iris)
    if rng.random() < 0.3:
        scatter(rng, canvas, [surface(rng, rng, size)], list(OUTLINES), 2, 0.3)
    return canvas


def hills(rng: Rng, style: Rng, size: int, name: str) -> Array:
    """Layers of land, water or cloud one behind the other, paler with distance."""
    _, y = coordinates(size)
    sky = colored(np.clip(y + 0.3 * fractal(rng, size, 3, 0.5), 0, 1), palette(rng))
    canvas, layers = sky, int(style.integers(2, 6))
    haze = canvas.mean((0, 1))
    for layer in range(layers):
        near = (layer + 1) / layers
        skin = surface(rng, style, size)
        if rng.random() < 0.5:
            skin = in_perspective(rng, skin)
        skin = skin + (1 - near) * 0.6 * (haze - skin)
        line = fractal(rng, size, int(style.integers(2, 6)), style.uniform(0.3, 0.6))[size // 2]
        edge = rng.uniform(0.15, 0.35) + 0.5 * layer / layers + style.uniform(0.05, 0.3) * line
        cover = soft_step(y - edge[None], 0, 0.02)[..., None]
        canvas = canvas + cover * (skin - canvas)
    if rng.random() < 0.5:
        scatter(
            rng, canvas, [surface(rng, rng, size)], list(OUTLINES), int(rng.integers(1, 6)), 0.25
        )
    return canvas


def recess(rng: Rng, style: Rng, size: int, name: str) -> Array:
    """The inside of an empty box: five textured planes in central perspective, shapes adrift."""
    x, y = coordinates(size)
    skins = [surface(rng, style, size) for _ in range(3)]
    u, v = x - rng.uniform(0.3, 0.7), y - rng.uniform(0.3, 0.7)
    turn = rng.normal(0, 0.15)
    u, v = u * np.cos(turn) - v * np.sin(turn), u * np.sin(turn) + v * np.cos(turn)
    wide, tall, far = style.uniform(0.4, 1, 2).tolist() + [style.uniform(1.5, 4)]
    side, floor = np.abs(u) / wide, np.abs(v) / tall
    depth = 1 / np.maximum(np.maximum(side, floor), 1 / far)
    wall = lookup(skins[0], 0.3 * depth, 0.5 * v * depth + 0.5)
    ground = lookup(skins[1], 0.5 * u * depth + 0.5, 0.3 * depth)
    back = lookup(skins[2], 0.4 * u * depth + 0.5, 0.4 * v * depth + 0.5)
    canvas = np.where(
        (side > floor)[..., None], wall * np.where(u > 0, 0.8, 1.1)[..., None], ground
    )
    canvas = np.where((depth >= far - 1e-3)[..., None], back, canvas)
    canvas = (
        canvas
        * np.clip(1.25 - 0.25 * depth / far - 0.2 * np.minimum(side, floor), 0.2, 1.3)[..., None]
    )
    scatter(rng, canvas, [surface(rng, rng, size)], list(OUTLINES), int(rng.integers(0, 6)), 0.4)
    return canvas.astype(np.float32)
