"""Ten kinds of things that move, small as in CIFAR-10: five to learn on, five to transfer to.

The second five share their parts with the first five: wheels and windows (car, bus | truck, train),
wings and tails (airplane | helicopter), hulls (ship | sailboat), frames (bicycle | motorcycle).
"""

from __future__ import annotations

import numpy as np

from flowerlib.garden.drawing import canvas, photograph
from flowerlib.garden.drawing.facets import Model, render
from flowerlib.garden.things import craft, wheeled
from flowerlib.garden.things.parts import paint

Array = np.ndarray
CLASS_NAMES = (
    "car", "bus", "airplane", "ship", "bicycle",
    "truck", "train", "helicopter", "sailboat", "motorcycle",
)  # fmt: skip
MODELS = {name: getattr(wheeled, name, None) or getattr(craft, name) for name in CLASS_NAMES}
# Where each is seen, most often first.
PLACES = {
    "car": ("road", "grass", "plain"), "bus": ("road", "road", "plain"),
    "airplane": ("sky", "runway", "sky"), "ship": ("sea", "sea", "plain"),
    "bicycle": ("grass", "road", "plain"), "truck": ("road", "grass", "plain"),
    "train": ("grass", "road", "grass"), "helicopter": ("sky", "runway", "grass"),
    "sailboat": ("sea", "sea", "sky"), "motorcycle": ("road", "plain", "grass"),
}  # fmt: skip


def draw(label: int, rng: np.random.Generator, size: int) -> Array:
    """Draws one of ten things that move, uint8 (size, size, 3)."""
    name = CLASS_NAMES[label]
    model = build(name, rng)
    place = PLACES[name][int(rng.integers(3))]
    high = rng.uniform(-0.35, 0.5) if place == "sky" else rng.uniform(0.06, 0.5)
    view = rotation(float(rng.uniform(0, 2 * np.pi)), float(high), float(rng.normal(0, 0.06)))
    lamp = np.array([rng.normal(0, 0.6), 1.0, rng.normal(0, 0.6)])
    lamp /= np.sqrt((lamp**2).sum())
    fill, move = float(rng.uniform(0.65, 1.1)), tuple(rng.normal(0, 0.12, 2).tolist())
    color, cover, bounds = render(
        model, size, view, lamp, fill=fill, move=move,
        distance=float(rng.uniform(1.1, 3.0)), ambient=float(rng.uniform(0.25, 0.6)),
    )  # fmt: skip
    image = _background(rng, size, place, bounds)
    x, y = canvas.grid(size)
    if place in ("road", "grass", "plain", "runway"):  # the shadow on the ground
        left, top, right, low = bounds
        middle, wide = (left + right) / 2, (right - left) / 2
        blot = canvas.ellipse(x - np.float32(middle), y - np.float32(low - 0.04), wide, 0.13)
        image *= (1 - canvas.cover(blot, 0.2) * np.float32(0.55))[..., None]
    image += cover[..., None] * (color * np.float32(rng.uniform(0.9, 1.35)) - image)
    if place == "sea":  # the water line
        foam = canvas.cover(np.abs(y - np.float32(bounds[3] - 0.02)) - 0.03, 0.06)
        foam *= (x > bounds[0]) & (x < bounds[2])
        canvas.paint(image, np.full(3, 0.8, np.float32), foam * np.float32(0.5))
    if rng.random() < 0.3:  # something in front: a post, a bush
        tone = canvas.oklch(rng.uniform(0.2, 0.7), rng.uniform(0, 0.1), rng.uniform(60, 160))
        u, v = x - np.float32(rng.uniform(-0.9, 0.9)), y - np.float32(rng.uniform(0.2, 1.0))
        wide = rng.uniform(0.04, 0.3)
        shape = canvas.box(u, v, wide, rng.uniform(0.2, 1.0) if wide < 0.12 else wide, 0.04)
        canvas.paint(image, tone, canvas.cover(shape, 0.08))
    haze = np.float32(rng.uniform(0, 0.22) ** 1.5)
    image += haze * (np.float32(0.7) - image)
    image = canvas.blur(image, rng.uniform(0.25, 0.65) * size / 32)
    return photograph.camera(image, rng, exposure=0.16, balance=0.05, grain=0.04)


def build(name: str, rng: np.random.Generator) -> Model:
    """A fresh model of one of the ten things, in random colors."""
    model = Model()
    MODELS[name](model, rng, paint(rng), paint(rng))
    return model


def rotation(yaw: float, pitch: float, roll: float) -> Array:
    """Rotation (3, 3) from a model (x forward, y up) to a camera that looks down by `pitch`."""
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (np.cos, np.sin))
    turned = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    right, up, near = turned[0], turned[1] * cp - turned[2] * sp, turned[2] * cp + turned[1] * sp
    return np.stack([right * cr + up * sr, up * cr - right * sr, near])


def _background(rng: np.random.Generator, size: int, place: str, bounds: tuple) -> Array:
    """What is around the thing, (size, size, 3)."""
    y = canvas.grid(size)[1]
    small = 24
    clouds = canvas.noise(rng, small, 3) + np.float32(0.5) * canvas.noise(rng, small, 7)
    clouds = canvas.resize(clouds, size) * np.float32(1 / 1.5)
    rough = canvas.noise(rng, size, 22)
    low = float(bounds[3])
    horizon = rng.uniform(low - 0.9, low - 0.2) if place != "sky" else rng.uniform(0.8, 2.0)
    gray = rng.random() < 0.35
    top = canvas.oklch(rng.uniform(0.55, 0.9), 0.01 if gray else rng.uniform(0.03, 0.12), 240)
    bright = canvas.oklch(rng.uniform(0.8, 0.97), 0.02, rng.uniform(40, 260))
    if place == "plain":
        top = canvas.oklch(rng.uniform(0.4, 0.97), rng.uniform(0, 0.06), rng.uniform(0, 360))
        bright = top * np.float32(rng.uniform(0.8, 1.1))
    image = canvas.mix(top, bright, canvas.smoothstep(0.35, 0.7, clouds))
    if place != "sky" and rng.random() < 0.6:  # trees, houses or hills at the horizon
        hue = rng.uniform(100, 150) if rng.random() < 0.6 else rng.uniform(0, 360)
        tone = canvas.oklch(rng.uniform(0.3, 0.7), rng.uniform(0.01, 0.08), hue)
        ridge = np.float32(horizon - rng.uniform(0.05, 0.9)) + (clouds - np.float32(0.5))
        blocks = tone * (np.float32(0.75) + np.float32(0.5) * rough[..., None])
        canvas.paint(image, blocks, canvas.smoothstep(ridge, ridge + 0.08, y))
    ground = {
        "road": (rng.uniform(0.35, 0.75), 0.01, 80, 0.15),
        "runway": (rng.uniform(0.5, 0.8), 0.015, 90, 0.1),
        "grass": (rng.uniform(0.4, 0.7), rng.uniform(0.04, 0.1), rng.uniform(85, 140), 0.5),
        "sea": (rng.uniform(0.35, 0.7), rng.uniform(0.02, 0.08), rng.uniform(190, 255), 0.35),
        "sky": (rng.uniform(0.4, 0.7), rng.uniform(0.02, 0.08), rng.uniform(100, 150), 0.4),
        "plain": (rng.uniform(0.45, 0.95), rng.uniform(0, 0.04), rng.uniform(0, 360), 0.06),
    }[place]
    tone = canvas.oklch(*ground[:3])
    if place == "sea":  # waves lie flat
        rough = rough + np.roll(rough, 1, 1) + np.roll(rough, 2, 1)
        rough *= np.float32(1 / 3)
    texture = tone * (1 + np.float32(ground[3]) * (rough + clouds - np.float32(1)))[..., None]
    canvas.paint(image, texture, canvas.cover(np.float32(horizon) - y, 0.08))
    if place in ("road", "runway") and rng.random() < 0.5:  # a painted line
        line = np.abs(y - np.float32(low + rng.uniform(-0.05, 0.3)))
        canvas.paint(image, np.full(3, 0.85, np.float32), canvas.cover(line - 0.03, 0.06))
    return image
