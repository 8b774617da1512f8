"""Airplanes, helicopters, ships and sailboats, each with other proportions and details."""

# The tables of points below are laid out by hand.
# fmt: off
from __future__ import annotations

import numpy as np

from flowerlib.garden.drawing import canvas
from flowerlib.garden.drawing.facets import GLASS, Face, Model
from flowerlib.garden.things.parts import STEEL, TYRE, paint, panes

Array = np.ndarray


def airplane(model: Model, rng: np.random.Generator, color: Array, other: Array) -> None:
    body = np.full(3, rng.uniform(0.75, 1.0), np.float32) if rng.random() < 0.6 else color
    radius, long = 1.0, rng.uniform(8, 15)
    nose, tail = long / 2, -long / 2
    model.tube([(tail, 0.5, 0.12), (tail + long * 0.3, 0.1, radius), (nose - 1.6, 0, radius),
                (nose - 0.5, -0.1, radius * 0.6), (nose, -0.2, 0.15)], body, paint={2: body * 0.9})
    for side in (-1, 1):
        model.plate([(nose - 1.5, 0.25, side * 0.75), (nose - 0.9, 0.25, side * 0.55),
                     (nose - 0.85, 0.5, side * 0.4), (nose - 1.4, 0.6, side * 0.7)], GLASS, 0.4)
        for i in range(5):
            x = tail + long * (0.35 + 0.1 * i)
            model.plate([(x, 0.2, side * 1.0), (x + 0.35, 0.2, side * 1.0),
                         (x + 0.35, 0.5, side * 0.9), (x, 0.5, side * 0.9)], GLASS, 0.3)
    span, sweep = long * rng.uniform(0.38, 0.55), long * rng.uniform(0.0, 0.22)
    up = float(rng.choice([-0.5, -0.4, 0.9]))
    chord = long * rng.uniform(0.13, 0.2)
    wing = other if rng.random() < 0.3 else body * np.float32(0.92)
    for side in (-1, 1):
        z = side * span
        model.plate([(chord, up, side * 0.5), (-sweep + chord * 0.5, up + 0.4, z),
                     (-sweep, up + 0.4, z), (-chord * 0.7, up, side * 0.5)], wing)
        model.plate([(tail + 1.6, 0.5, side * 0.3), (tail + 0.6, 0.7, side * span * 0.4),
                     (tail, 0.7, side * span * 0.4), (tail + 0.2, 0.5, side * 0.2)], wing)
    fin = long * rng.uniform(0.15, 0.22)
    model.plate([(tail + 2.2, 0.7, 0), (tail + 0.5, 0.7 + fin, 0), (tail - 0.3, 0.7 + fin, 0),
                 (tail + 0.1, 0.5, 0)], other)
    if rng.random() < 0.65:  # jets under the wings
        for side in (-1, 1):
            model.tube([(-0.6, up - 0.5, 0.4), (1.4, up - 0.5, 0.5)], STEEL, z=side * span * 0.38,
                       sides=6)
    else:  # a propeller on the nose
        model.plate([(nose + 0.1, y, z) for y, z in ((-1.7, -0.15), (-1.7, 0.15), (1.4, 0.15),
                                                     (1.4, -0.15))], TYRE * 2)


def helicopter(model: Model, rng: np.random.Generator, color: Array, other: Array) -> None:
    fat, long = rng.uniform(0.95, 1.3), rng.uniform(2.6, 4.0)
    model.tube([(-long * 0.55, 0.2, fat * 0.45), (-long * 0.2, 0, fat), (long * 0.25, 0, fat),
                (long * 0.48, -0.2, fat * 0.65), (long * 0.56, -0.35, 0.2)], color,
               paint={2: GLASS, 3: GLASS * 1.2})
    tail = -long * 0.5 - rng.uniform(3.0, 4.5)
    model.tube([(tail, 0.6, 0.14), (-long * 0.45, 0.25, 0.38)], color, sides=6)
    model.plate([(tail + 0.6, 0.6, 0), (tail - 0.3, 1.7, 0), (tail - 0.7, 1.7, 0),
                 (tail - 0.1, 0.5, 0)], other)
    for side in (-1, 1):
        model.plate([(-0.4, 0.1, side * fat * 0.99), (long * 0.2, 0.1, side * fat * 0.99),
                     (long * 0.2, 0.65, side * fat * 0.8), (-0.4, 0.65, side * fat * 0.8)],
                    GLASS, 0.3)
    top, spin = fat + 0.55, rng.uniform(0, np.pi)
    model.rod([(0, fat * 0.8, 0), (0, top, 0)], TYRE * 2, 0.3)
    span = rng.uniform(3.8, 5.2)
    for k in range(int(rng.choice([2, 2, 3, 4]))):
        a = spin + k * np.pi / (2 if rng.random() < 0.5 else 1.5)
        c, s = float(np.cos(a)), float(np.sin(a))
        for sign in (-1, 1):
            model.plate([(-s * 0.1, top, c * 0.1), (sign * c * span - s * 0.2, top, sign * s * span
                          + c * 0.2), (sign * c * span + s * 0.2, top, sign * s * span - c * 0.2),
                         (s * 0.1, top, -c * 0.1)], TYRE * 2.2, 0.5)
    a = rng.uniform(0, np.pi)
    c, s = float(np.cos(a)) * 0.8, float(np.sin(a)) * 0.8
    model.rod([(tail - 0.2 - c, 1.0 - s, 0.25), (tail - 0.2 + c, 1.0 + s, 0.25)], TYRE * 2, 0.14)
    low = -fat - 0.55
    for side in (-1, 1):
        z = side * 0.9
        model.rod([(-1.5, low, z), (1.6, low, z), (1.9, low + 0.2, z)], STEEL, 0.13)
        for x in (-0.8, 0.9):
            model.rod([(x, low, z), (x, -fat * 0.7, z * 0.6)], STEEL, 0.12)


def _hull(model: Model, long: float, half: float, high: float, color: Array, deck: Array) -> None:
    """A hull with a pointed bow: from the keel (narrow) up to the deck."""
    outline = [(-0.5, 0.8), (-0.42, 1.0), (0.15, 1.0), (0.36, 0.62), (0.5, 0.0)]
    shape = outline + [(x, -w) for x, w in outline[-2::-1]]
    top = [(x * long, high * (1.0 + 0.35 * max(x, 0) * 2), w * half) for x, w in shape]
    low = [(x * long * 0.9, 0.0, w * half * 0.7) for x, w in shape]
    for i in range(len(shape)):
        j = (i + 1) % len(shape)
        model.faces.append(Face([low[i], low[j], top[j], top[i]], color))
    model.plate(top, deck, bias=-0.5)


def ship(model: Model, rng: np.random.Generator, color: Array, other: Array) -> None:
    long, high = rng.uniform(14, 26), rng.uniform(2.0, 3.2)
    half = long * rng.uniform(0.09, 0.14)
    _hull(model, long, half, high, color, canvas.rgb("#a58a66"))
    white = np.full(3, rng.uniform(0.8, 1.0), np.float32) if rng.random() < 0.75 else other
    kind = ("liner", "cargo", "tug")[int(rng.integers(3))]
    if kind == "liner":
        rear, front, y = -long * 0.42, long * 0.3, high
        for _ in range(int(rng.integers(2, 5))):
            model.box((rear, front), (y, y + 1.3), half * 0.8, white,
                      side=panes((rear + 0.3, front - 0.3), (y + 0.4, y + 0.95), 8, 0.4))
            rear, front, y = rear + long * 0.04, front - long * 0.07, y + 1.3
        for i in range(int(rng.integers(1, 4))):
            x = rear + (i + 1) * (front - rear) / 4
            model.box((x - 0.6, x + 0.6), (y, y + 2.2), 0.6, other, paint={2: TYRE})
    elif kind == "cargo":
        model.box((-long * 0.45, -long * 0.28), (high, high + 4.5), half * 0.85, white,
                  front=[(1, [(0.75, -0.9), (0.75, 0.9), (0.9, 0.9), (0.9, -0.9)], GLASS)])
        for i in range(4):
            x = -long * 0.25 + i * long * 0.14
            tall = high + rng.uniform(0.8, 3.0)
            model.box((x, x + long * 0.125), (high, tall), half * 0.8, paint(rng))
    else:
        model.box((-long * 0.1, long * 0.15), (high, high + 2.4), half * 0.6, white,
                  side=panes((-long * 0.08, long * 0.13), (high + 1.3, high + 2.0), 3))
        model.box((-long * 0.22, -long * 0.14), (high, high + 3.2), 0.8, other, paint={2: TYRE})
        model.rod([(long * 0.05, high + 2, 0), (long * 0.05, high + 5, 0)], STEEL, 0.25)


def sailboat(model: Model, rng: np.random.Generator, color: Array, other: Array) -> None:
    long, high = rng.uniform(6, 9), rng.uniform(0.7, 1.1)
    _hull(model, long, long * 0.16, high, color, canvas.rgb("#b08d5f"))
    mast, x = long * rng.uniform(1.0, 1.4), long * rng.uniform(0.0, 0.12)
    model.rod([(x, high, 0), (x, high + mast, 0)], STEEL * 0.8, 0.14)
    sail = np.full(3, rng.uniform(0.85, 1.0), np.float32) if rng.random() < 0.7 else other
    swing = rng.uniform(-0.9, 0.9)
    boom = long * rng.uniform(0.42, 0.52)
    end = (x - boom * float(np.cos(swing)), high + 0.7, boom * float(np.sin(swing)))
    model.plate([(x, high + 0.7, 0), end, (x, high + mast * 0.98, 0)], sail)
    if rng.random() < 0.8:
        jib = sail if rng.random() < 0.7 else other
        peak = high + mast * rng.uniform(0.7, 0.95)
        model.plate([(long * 0.5, high * 1.3, 0), (x + 0.2, peak, 0),
                     (x + 0.15, high + 0.6, boom * 0.35 * float(np.sin(swing)))], jib)
    if rng.random() < 0.5:
        model.box((-long * 0.25, x), (high, high + 0.55), long * 0.08, np.full(3, 0.9, np.float32),
                  side=panes((-long * 0.22, x - 0.1), (high + 0.15, high + 0.4), 3))
