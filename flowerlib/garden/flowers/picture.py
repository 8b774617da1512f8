"""Flowers: 102 species of the garden's own, photographed in many poses, places and kinds of light.

The species (see `species.py`) fixes petals, colors, markings and center. Everything else is drawn
anew for each picture: distance, tilt, turn, bent and missing petals, lamp, weather, what is behind,
what is in front, focus, exposure, white balance and noise.
"""

from __future__ import annotations

import numpy as np

from flowerlib.garden.drawing import canvas, photograph
from flowerlib.garden.drawing.canvas import Array, mix, rgb
from flowerlib.garden.flowers import blossoms, species
from flowerlib.garden.flowers.centers import paint_center
from flowerlib.garden.flowers.petals import Light, Petals, joined, paint_petals
from flowerlib.garden.flowers.surfaces import Surface

CLASS_NAMES: tuple[str, ...] = tuple(one.name for one in species.table())
GREENS = ((0.50, 0.11, 130), (0.44, 0.09, 140), (0.56, 0.12, 122), (0.47, 0.07, 150))


def draw(label: int, rng: np.random.Generator, size: int) -> np.ndarray:
    """Draws a picture of species `label`: uint8 (size, size, 3), RGB."""
    one = species.table()[label]
    light = _light(rng)
    green = GREENS[int(rng.integers(len(GREENS)))]
    behind, fine, before = rng.spawn(3)  # so that the same draws follow at every size
    image, floor = _background(behind, size, light)

    count = int(rng.choice(4, p=[0.35, 0.35, 0.2, 0.1]))
    turn, away = rng.uniform(0, 2 * np.pi, count), rng.uniform(0.75, 1.15, count)
    places = np.stack([away * np.cos(turn), away * np.sin(turn), np.zeros(count)], axis=1)
    radii = rng.uniform(0.25, 0.48, count)
    soft = float(rng.uniform(0.005, 0.03))
    if count:
        half = -(-size // 2)  # what is out of focus is drawn at half size
        layer = np.zeros((half, half, 4), dtype=np.float32)
        _paint_plants(layer, one, rng, places, radii, light, green)
        _over(image, canvas.resize(canvas.blur(layer, soft * half), size))

    layer = np.zeros((size, size, 4), dtype=np.float32)
    place = np.array([[*rng.normal(0, 0.14, 2).clip(-0.3, 0.3), 0.0]])
    _paint_plants(layer, one, rng, place, rng.uniform(0.55, 0.9, 1), light, green)
    if floor:
        dark = photograph.shadow(layer[..., 3], light.direction, 0.14, 0.06)
        image *= 1 - np.float32(0.5) * dark[..., None]
    soft = rng.uniform(0, 0.010) if rng.random() < 0.3 else 0.0
    _over(image, canvas.blur(layer, float(soft) * size))
    if rng.random() < 0.4:
        _occlude(image, before, light, green)
    return photograph.camera(image, fine, exposure=0.14, balance=0.05, contrast=0.10)


def _over(image: Array, layer: Array) -> None:
    image *= 1 - layer[..., 3:]
    image += layer[..., :3]


def _light(rng: np.random.Generator) -> Light:
    """Sun, shade or evening: how warm and how strong the lamp is against the light all around."""
    warm = rng.uniform(-0.5, 1.0)
    share = rng.uniform(0.35, 0.75)
    key = np.array([1.0 + 0.10 * warm, 1.0, 1.0 - 0.22 * warm], dtype=np.float32)
    around = np.array([1.0 - 0.05 * warm, 1.0, 1.0 + 0.10 * warm], dtype=np.float32)
    return Light(
        photograph.light_direction(rng, 0.5, 0.9),
        key * np.float32(share * 1.36),
        around * np.float32(1.18 - share),
    )


def _background(rng: np.random.Generator, size: int, light: Light) -> tuple[Array, bool]:
    """What is behind: (size, size, 3), and whether it is near enough to catch a shadow."""
    kind = int(rng.integers(6))
    bright = np.float32(rng.uniform(0.7, 1.2))
    if kind < 2:
        paint = _soil if kind == 0 else _stone
        ground = canvas.blur(paint(rng, size, light), float(rng.uniform(0.004, 0.012)) * size)
        return ground * bright, True
    half = -(-size // 2)  # what is far is out of focus: half the size will do
    if kind == 2:
        return canvas.resize(_sky(rng, half), size) * bright, False
    image = _meadow(rng, half)
    if kind == 3:
        _leaves(image, rng, light, int(rng.integers(10, 18)))
    elif kind == 4:
        _bokeh(image, rng)
    return canvas.resize(image, size) * bright, False


def _soil(rng: np.random.Generator, size: int, light: Light) -> Array:
    clouds = canvas.fractal_noise(rng, size, 3, 3)
    height = canvas.fractal_noise(rng, size, 9, 4, 0.6)
    relief = photograph.shade(height, light.direction, 0.06)
    image = mix(rgb("#3a2a1e"), rgb("#8a6a4a"), height) * relief[..., None]
    return mix(image, rgb("#4a5a2c"), 0.5 * canvas.smoothstep(0.52, 0.7, clouds))  # some moss


def _stone(rng: np.random.Generator, size: int, light: Light) -> Array:
    clouds = canvas.fractal_noise(rng, size, 3, 3)
    tint = mix(rgb("#8d8a86"), rgb("#b9a78c"), float(rng.random()))
    height = canvas.fractal_noise(rng, size, 5, 5, 0.62)
    relief = photograph.shade(height, light.direction, 0.05)
    return tint * ((0.65 + 0.5 * clouds) * relief)[..., None]


def _sky(rng: np.random.Generator, size: int) -> Array:
    clouds = canvas.fractal_noise(rng, size, 3, 3)
    puffs = canvas.fractal_noise(rng, size, 4, 3)
    top = mix(rgb("#4f83bd"), rgb("#9dbbd6"), float(rng.random()))
    low = mix(rgb("#d7e4ec"), rgb("#f1ddc4"), float(rng.random()))
    _, y = canvas.grid(size)
    image = mix(top, low, canvas.smoothstep(-1.0, 1.2, y + 0.6 * (clouds - 0.5)))
    return mix(image, rgb("#f6f4f0"), 0.7 * canvas.smoothstep(0.5, 0.75, puffs))


def _meadow(rng: np.random.Generator, size: int) -> Array:
    """Greens, far out of focus, with a paler gleam here and there."""
    clouds = canvas.fractal_noise(rng, size, 3, 3)
    gleam = canvas.noise(rng, size, 5)
    deep = canvas.oklch(0.24, 0.05, rng.uniform(125, 165))
    lush = canvas.oklch(rng.uniform(0.45, 0.62), 0.10, rng.uniform(112, 145))
    pale = canvas.oklch(rng.uniform(0.6, 0.85), 0.06, rng.uniform(60, 140))
    image = mix(deep, lush, canvas.smoothstep(0.25, 0.8, clouds))
    image = mix(image, pale, 0.6 * canvas.smoothstep(0.5, 0.9, gleam))
    return canvas.blur(image, 0.05 * size)


def _leaves(image: Array, rng: np.random.Generator, light: Light, count: int) -> None:
    size = image.shape[0]
    layer = np.zeros((size, size, 4), dtype=np.float32)
    turn = rng.uniform(0, 2 * np.pi, count)
    flat = blossoms.frame(0.5, float(rng.uniform(0, 6.28)))
    parts = [
        blossoms.ring(rng, flat, np.array([*rng.uniform(-1.1, 1.1, 2), 0]), turn[i : i + 1],
                      length=float(rng.uniform(0.5, 1.1)), rise=float(rng.normal(0, 0.3)),
                      curl=float(rng.normal(0, 0.5)), bright=float(rng.uniform(0.35, 0.95)), foot=0)
        for i in range(count)
    ]  # fmt: skip
    leaf = _leaf(GREENS[int(rng.integers(len(GREENS)))], 0.42)
    paint_petals(layer, [(joined(parts), leaf)], light)
    _over(image, canvas.blur(layer, 0.012 * size))


def _bokeh(image: Array, rng: np.random.Generator) -> None:
    """Discs of light: spots of sky through leaves, far out of focus."""
    x, y = canvas.grid(image.shape[0])
    for _ in range(int(rng.integers(5, 12))):
        radius = float(rng.uniform(0.08, 0.24))
        center = rng.uniform(-1, 1, 2).astype(np.float32)
        disc = canvas.cover(canvas.circle(x - center[0], y - center[1], radius), 0.05)
        glow = canvas.oklch(rng.uniform(0.7, 0.95), 0.05, rng.uniform(70, 140))
        canvas.paint(image, glow, disc * np.float32(rng.uniform(0.12, 0.4)))


def _leaf(green: species.Lch, width: float) -> Surface:
    lightness, chroma, hue = green
    pale, dark = (lightness + 0.12, chroma, hue - 8), (lightness - 0.12, chroma, hue + 6)
    return Surface("leaf", width, dark, green, pale, pale, fade=0.5, veins=3, stripe=0.5)


def _paint_plants(
    layer: Array, one: species.Species, rng: np.random.Generator, places: Array, radii: Array,
    light: Light, green: species.Lch,
) -> None:  # fmt: skip
    """Paints plants of a species, one flower each, with the flower at each of `places` (N, 3)."""
    stalks, behind, before, centers = [], [], [], []
    for place, radius in zip(places, radii.tolist(), strict=True):
        lean, spin = float(rng.normal(0, 0.35)), float(rng.uniform(0, 2 * np.pi))
        if one.form in ("bells", "spike"):
            run = np.array([np.sin(lean), -np.cos(lean)]) * radius * 2.0
            foot = place[:2] - run * 0.5
            stalks += _stalk(one, rng, foot - run, foot + run * 1.08, radius, bare=1.7)
            grow = blossoms.bells if one.form == "bells" else blossoms.spike
            behind.append(grow(one, rng, foot, foot + run))
            continue
        if one.form == "cup":
            space = blossoms.frame(float(rng.uniform(0.6, 1.2)), -np.pi / 2 + lean, spin)
            place = place + np.array([0, 0.45 * radius, 0])
        else:
            tilt, toward = abs(float(rng.normal(0, 0.42))), float(rng.uniform(0, 2 * np.pi))
            space = blossoms.frame(min(tilt, 0.9), toward, spin)
        run = np.array([np.sin(lean), 1.0]) * 2.6
        stalks += _stalk(one, rng, place[:2] + run, place[:2] - run * 0.05, radius, bare=0.75)
        if one.form == "globe":
            behind.append(blossoms.globe(one, rng, place, radius * 0.8, space))
            continue
        far, near = blossoms.head(one, rng, place, radius, space)
        behind += far
        before += near
        centers.append((place, radius, space))
    leaf = _leaf(green, one.leaf)
    paint_petals(layer, [(joined(stalks), leaf), (joined(behind), one.surface)], light)
    for place, radius, space in centers:
        paint_center(layer, one, rng, place, radius, space, light)
    if before:
        paint_petals(layer, [(joined(before), one.surface)], light)


def _stalk(
    one: species.Species, rng: np.random.Generator, start: Array, end: Array, radius: float,
    *, bare: float,
) -> list[Petals]:  # fmt: skip
    """A bowed stem, which is a very long and narrow leaf, and its leaves.

    Args:
        bare: length of the stem's upper part without leaves, in flower radii.
    """
    run = end - start
    long = float(np.hypot(*run))
    ahead = run / long
    aside = np.array([-ahead[1], ahead[0]])
    narrow = 0.12 * radius / (one.leaf * long)  # how much narrower than a leaf
    bow = float(rng.normal(0, 0.02))
    stem = Petals(
        foot=(start - aside * bow * long)[None], axis=np.array([[*ahead, 0.0]]),
        across=np.array([[*aside, 0.0]]) * narrow, normal=np.array([[0.0, 0.0, 1.0]]),
        length=np.array([long]), curl=np.zeros(1), bend=np.array([bow / narrow]), bright=np.ones(1),
    )  # fmt: skip
    count = int(rng.integers(2, 6))
    up = np.arctan2(run[1], run[0])
    sides = up + np.where(np.arange(count) % 2, 1, -1) * rng.uniform(0.5, 1.3, count)
    flat = blossoms.frame(0.5, float(rng.uniform(0, 2 * np.pi)))
    back = np.sort(rng.uniform(bare, bare + 0.95, count))[::-1] * radius
    leaves = blossoms.ring(rng, flat, np.zeros(3), sides, length=radius * 1.2, rise=0.1,
                           curl=-0.5, wild=1.6, foot=0.0, bright=0.9)  # fmt: skip
    leaves.foot = end - ahead * back[:, None]
    return [stem, leaves]


def _occlude(image: Array, rng: np.random.Generator, light: Light, green: species.Lch) -> None:
    """Blades of grass or a leaf between the flower and us, out of focus."""
    size = image.shape[0]
    half = -(-size // 2)
    layer = np.zeros((half, half, 4), dtype=np.float32)
    count = int(rng.integers(1, 4))
    foot = np.stack([rng.uniform(-1.2, 1.2, count), np.full(count, 1.25)], axis=1)
    flat = blossoms.frame(0.2, 0.0)
    upright = rng.normal(-np.pi / 2, 0.35, count)
    blades = blossoms.ring(
        rng,
        flat,
        np.zeros(3),
        upright,
        length=1.9,
        rise=0.0,
        curl=0.0,
        wild=2.0,
        foot=0,
        bright=0.8,
    )
    blades.foot, blades.length = foot, blades.length * rng.uniform(0.5, 0.95, count)
    leaf = _leaf(green, 0.09 if rng.random() < 0.75 else 0.3)
    paint_petals(layer, [(blades, leaf)], light)
    layer = canvas.blur(layer, float(rng.uniform(0.008, 0.025)) * half)
    _over(image, canvas.resize(layer, size))
