"""Scalar fields for patterns: noises, cells, waves, fractals as numbers in [0, 1].

Every field is a function `field(rng, style, size)` → float (size, size). `style` belongs to the
class (started anew, from the same seed, for each picture of it), `rng` to the picture.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from flowerlib.garden.patterns.noise import (
    Array,
    Rng,
    bent,
    coordinates,
    fractal,
    lookup,
    resized,
    soft_step,
    unit,
    voronoi,
)
from flowerlib.garden.patterns.tilings import TILINGS


def clouds(rng: Rng, style: Rng, size: int) -> Array:
    return fractal(rng, size, int(style.integers(2, 7)), style.uniform(0.35, 0.75))


def ridges(rng: Rng, style: Rng, size: int) -> Array:
    noise = fractal(rng, size, int(style.integers(2, 6)), style.uniform(0.4, 0.65))
    return unit((1 - np.abs(2 * noise - 1)) ** style.uniform(1, 4))


def marble(rng: Rng, style: Rng, size: int) -> Array:
    x, _ = bent(rng, size, style.uniform(0.1, 0.5))
    noise = fractal(rng, size, 3, 0.55)
    return 0.5 + 0.5 * np.sin(style.uniform(10, 40) * x + style.uniform(3, 10) * noise)


def wood(rng: Rng, style: Rng, size: int) -> Array:
    x, y = bent(rng, size, style.uniform(0.05, 0.2))
    radius = np.hypot(x + rng.uniform(-1, 1), y * style.uniform(0.1, 1.0))
    grain = fractal(rng, size, 20, 0.7, 4)
    return unit((style.uniform(5, 20) * radius) % 1 + 0.4 * grain)


def cells(rng: Rng, style: Rng, size: int) -> Array:
    x, y = bent(rng, size, style.uniform(0, 0.3))
    count = style.uniform(4, 14)
    first, _, _ = voronoi(rng, count * x, count * y)
    return unit(first)


def cracks(rng: Rng, style: Rng, size: int) -> Array:
    x, y = bent(rng, size, style.uniform(0.1, 0.5))
    count = style.uniform(3, 10)
    first, second, number = voronoi(rng, count * x, count * y)
    tone = rng.random(1024, dtype=np.float32)[number]
    return soft_step(second - first, 0.1, 0.12) * (0.55 + 0.45 * tone)


def facets(rng: Rng, style: Rng, size: int) -> Array:
    x, y = bent(rng, size, 0)
    count = style.uniform(3, 12)
    _, _, number = voronoi(rng, count * x, count * y * style.uniform(0.3, 1))
    tilt = rng.standard_normal((1024, 3)).astype(np.float32)[number]
    return unit(tilt[..., 0] + style.uniform(1, 5) * (tilt[..., 1] * x + tilt[..., 2] * y))


def gravel(rng: Rng, style: Rng, size: int) -> Array:
    x, y = bent(rng, size, 0.1)
    count = style.uniform(5, 16)
    first, second, number = voronoi(rng, count * x, count * y, style.uniform(0.6, 1))
    tone = rng.random(1024, dtype=np.float32)[number]
    dome = np.sqrt(np.clip((second - first) * 1.5, 0, 1))
    return unit(dome * (0.5 + tone))


def mazes(rng: Rng, style: Rng, size: int) -> Array:
    """Labyrinths and spots, as reaction and diffusion make them: noise sharpened in one band."""
    side = 128
    fy, fx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :]
    angle = rng.uniform(0, np.pi)
    along = fx * np.cos(angle) + fy * np.sin(angle)
    across = fy * np.cos(angle) - fx * np.sin(angle)
    radius = np.hypot(along, across * style.uniform(1, 2.5))
    center = style.uniform(6, 16) / side
    band = np.exp(-(((radius - center) / (0.25 * center)) ** 2))
    bias = style.uniform(-0.5, 0.5)
    values = rng.standard_normal((side, side))
    for _ in range(4):
        values = np.fft.irfft2(np.fft.rfft2(values) * band, (side, side))
        values = np.tanh(3 * (values / values.std() + bias))
    return resized(0.5 + 0.5 * values, size).clip(0, 1)


def fur(rng: Rng, style: Rng, size: int) -> Array:
    """Noise smeared along a smooth flow: hair, grass, brushed metal."""
    grain = fractal(rng, size, int(style.integers(25, 60)), 0.8, 3)
    angle = rng.uniform(0, 6.3) + style.uniform(0.5, 6) * (fractal(rng, size, 2, 0.4, 3) - 0.5)
    step_x, step_y = np.cos(angle) / 64, np.sin(angle) / 64
    x, y = coordinates(size)
    total, length = grain.copy(), int(style.integers(4, 10))
    for step in range(1, length):
        total += lookup(grain, x + step * step_x, y + step * step_y)
    return unit(total + 0.5 * length * style.uniform(0.1, 0.5) * fractal(rng, size, 4, 0.5, 3))


def swirls(rng: Rng, style: Rng, size: int) -> Array:
    x, y = bent(rng, size, style.uniform(0.1, 0.6))
    x, y = x - rng.uniform(-0.3, 0.3), y - rng.uniform(-0.3, 0.3)
    radius, angle = np.hypot(x, y) + 0.02, np.arctan2(y, x)
    arms = int(style.integers(1, 9))
    return 0.5 + 0.5 * np.sin(arms * angle + style.uniform(3, 20) * np.log(radius))


def kaleidoscope(rng: Rng, style: Rng, size: int) -> Array:
    x, y = bent(rng, size, 0.05)
    fold = 2 * np.pi / int(style.integers(3, 13))
    radius, angle = np.hypot(x, y), np.abs(np.arctan2(y, x) % fold - fold / 2)
    source = FIELDS[sorted(FIELDS)[int(style.integers(len(FIELDS)))]]
    flat = fractal(rng, size, 5, 0.6) if source is kaleidoscope else source(rng, style, size)
    return lookup(flat, radius * np.cos(angle) + 0.5, radius * np.sin(angle) + 0.5)


def terraces(rng: Rng, style: Rng, size: int) -> Array:
    noise = fractal(rng, size, int(style.integers(2, 5)), style.uniform(0.3, 0.5))
    count = style.uniform(4, 12)
    steps = np.floor(noise * count)
    return unit(steps / count + style.uniform(0, 0.3) * (noise * count - steps))


def scratches(rng: Rng, style: Rng, size: int) -> Array:
    side = 256
    image = Image.new("L", (side, side), 90)
    pen, length = ImageDraw.Draw(image), style.uniform(10, 120)
    heading, spread = rng.uniform(0, 6.3), style.uniform(0.1, 3)
    for _ in range(int(style.integers(60, 400))):
        x, y, angle = *rng.uniform(-20, side + 20, 2), heading + spread * rng.standard_normal()
        end = (x + length * np.cos(angle), y + length * np.sin(angle))
        pen.line([x, y, *end], fill=int(rng.integers(256)), width=int(rng.integers(1, 5)))
    return resized(np.asarray(image, np.float32) / 255, size).clip(0, 1)


def julia(rng: Rng, style: Rng, size: int) -> Array:
    x, y = bent(rng, size, 0)
    angle = style.uniform(0, 2 * np.pi) + rng.uniform(-0.05, 0.05)
    constant = np.complex64((0.5 * np.exp(1j * angle) - 0.25 * np.exp(2j * angle)) * 1.04)
    z = ((x + 1j * y) * rng.uniform(1.5, 3)).astype(np.complex64)
    count = np.zeros(x.shape, np.float32)
    for step in range(28):
        z = z * z + constant
        count += (np.abs(z.real) + np.abs(z.imag)) < 4
        z = np.where(count > step, z, 4)
    return unit(np.log1p(count))


def dunes(rng: Rng, style: Rng, size: int) -> Array:
    x, _ = bent(rng, size, style.uniform(0.15, 0.4))
    phase = (style.uniform(5, 18) * x) % 1
    peak = style.uniform(0.6, 0.95)
    return unit(
        np.where(phase < peak, phase / peak, (1 - phase) / (1 - peak))
        + 0.2 * fractal(rng, size, 30, 0.8, 3)
    )


FIELDS: dict[str, Callable[[Rng, Rng, int], Array]] = {
    function.__name__: function
    for function in (
        *TILINGS, clouds, ridges, marble, wood, cells, cracks, facets, gravel, mazes, fur, swirls,
        kaleidoscope, terraces, scratches, julia, dunes,
    )
}  # fmt: skip
