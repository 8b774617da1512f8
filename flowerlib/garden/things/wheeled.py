"""Cars, buses, trucks, trains, bicycles and motorcycles, each built anew."""

# The tables of points below are laid out by hand.
# fmt: off
from __future__ import annotations

import numpy as np

from flowerlib.garden.drawing import canvas
from flowerlib.garden.drawing.facets import GLASS, Model
from flowerlib.garden.things.parts import LAMP, RED, STEEL, TYRE, axles, lamps, paint, panes

Array = np.ndarray


def car(model: Model, rng: np.random.Generator, color: Array, other: Array) -> None:
    long, high, half = rng.uniform(3.5, 4.9), rng.uniform(1.2, 1.75), rng.uniform(0.8, 0.95)
    front, rear = long / 2, -long / 2
    belt = high * rng.uniform(0.55, 0.64)
    hood, roof = front - long * rng.uniform(0.24, 0.32), front - long * rng.uniform(0.40, 0.48)
    back_roof, back = rear + long * rng.uniform(0.02, 0.3), rear + long * rng.uniform(0.0, 0.2)
    back = min(back, back_roof)
    profile = [(rear, 0.3), (front, 0.3), (front, belt * 0.82), (hood, belt), (roof, high),
               (back_roof, high), (back, belt), (rear, belt * 0.97)]
    pillar = (roof + back_roof) / 2
    glass = [
        ([(hood - 0.25, belt), (roof - 0.02, high - 0.12), (pillar + 0.05, high - 0.12),
          (pillar + 0.05, belt)], GLASS),
        ([(pillar - 0.05, belt), (pillar - 0.05, high - 0.12), (back_roof + 0.08, high - 0.12),
          (back + 0.2, belt)], GLASS),
    ]
    roof_color = color if rng.random() < 0.8 else other
    model.prism(profile, half, color, paint={3: GLASS, 5: GLASS, 4: roof_color}, side=glass,
                front=[*lamps(1, LAMP, 0.6, 0.9), *lamps(7, RED, 0.1, 0.4)],
                narrow={4: 0.82, 5: 0.82})
    radius = rng.uniform(0.3, 0.38)
    hub = STEEL if rng.random() < 0.7 else TYRE * 2
    axles(model, [front - long * 0.19, rear + long * 0.2], half, radius, hub)


def bus(model: Model, rng: np.random.Generator, color: Array, other: Array) -> None:
    long, half = rng.uniform(7.5, 11.5), rng.uniform(1.15, 1.3)
    double = rng.random() < 0.25
    high = rng.uniform(4.0, 4.4) if double else rng.uniform(2.8, 3.3)
    front, rear, count = long / 2, -long / 2, int(rng.integers(4, 8))
    side = panes((rear + 0.3, front - 0.9), (1.5, 2.35), count)
    if double:
        side += panes((rear + 0.3, front - 0.3), (3.0, 3.75), count)
    if rng.random() < 0.5:
        side.append(([(rear, 0.9), (front, 0.9), (front, 1.2), (rear, 1.2)], other))
    side.append(([(front - 0.8, 0.5), (front - 0.2, 0.5), (front - 0.2, 2.4), (front - 0.8, 2.4)],
                 GLASS * 1.3))
    up = 1.3 / high
    screen = (1, [(up, -0.9), (up, 0.9), (2.5 / high, 0.9), (2.5 / high, -0.9)], GLASS)
    rear_pane = (3, [(0.3, -0.8), (0.3, 0.8), (0.6, 0.8), (0.6, -0.8)], GLASS)
    model.box((rear, front), (0.35, high), half, color, side=side,
              front=[screen, rear_pane, *lamps(1, LAMP, 0.05, 0.13), *lamps(3, RED, 0.8, 0.9)])
    axles(model, [front - long * 0.22, rear + long * 0.24], half, 0.5, STEEL)


def truck(model: Model, rng: np.random.Generator, color: Array, other: Array) -> None:
    kind = ("box", "box", "pickup", "tank", "dump")[int(rng.integers(5))]
    half = rng.uniform(1.05, 1.25)
    long = rng.uniform(4.0, 8.0)
    cab, high = rng.uniform(1.6, 2.1), rng.uniform(2.3, 2.9)
    if kind == "pickup":
        half, long, cab, high = 0.95, 2.2, 2.4, 1.75
    nose = rng.uniform(0.0, 1.1) if kind != "pickup" else 1.1
    belt = high * 0.6
    profile = [(0, 0.45), (cab + nose, 0.45), (cab + nose, belt * 0.9), (cab, belt),
               (cab - 0.3, high), (0, high)]
    window = ([(0.35, belt), (cab - 0.08, belt), (cab - 0.35, high - 0.2), (0.35, high - 0.2)],
              GLASS)
    model.prism(profile, half, color, paint={3: GLASS}, side=[window],
                front=lamps(1, LAMP, 0.2, 0.5))
    load, tall = other, rng.uniform(2.6, 3.7)
    if kind == "box":
        stripe = [([(-long, 1.6), (-0.2, 1.6), (-0.2, 2.1), (-long, 2.1)], color)]
        model.box((-long, -0.15), (0.9, tall), half * 1.05, load,
                  side=stripe if rng.random() < 0.4 else [])
    elif kind == "tank":
        model.tube([(-long, 1.9, 0.7), (-long + 0.2, 1.9, 1.0), (-0.4, 1.9, 1.0), (-0.2, 1.9, 0.7)],
                   load)
    elif kind == "dump":
        shape = [(-long * 0.7, 1.0), (-0.2, 1.0), (-0.1, 2.3), (-long * 0.85, 2.2)]
        model.prism(shape, half, load)
    else:
        model.box((-long, 0.0), (0.45, 1.05), half, color)
    if kind != "pickup":
        model.box((-long, 0), (0.6, 0.9), half * 0.8, TYRE * 1.5)
    radius = 0.5 if kind != "pickup" else 0.38
    places = [cab * 0.6 + nose * 0.5, -long * 0.75]
    if kind != "pickup" and long > 4.6:
        places.append(-long * 0.75 + 1.1)
    axles(model, places, half, radius, STEEL)


def train(model: Model, rng: np.random.Generator, color: Array, other: Array) -> None:
    rail = TYRE * 2.5
    back = -rng.uniform(5, 15)
    ballast = canvas.rgb("#7d7264") * np.float32(rng.uniform(0.7, 1.2))
    model.plate([(back, 0, -2.3), (7.5, 0, -2.3), (7.5, 0, 2.3), (back, 0, 2.3)], ballast, -9)
    for z in (-1.5, 1.5):
        model.rod([(back, 0.05, z), (7.0, 0.05, z)], rail, 0.16, bias=-6)
    if rng.random() < 0.3:  # a steam engine
        model.tube([(-1, 1.9, 0.95), (4.2, 1.9, 0.95), (4.5, 1.9, 0.8)], color, paint={1: TYRE})
        model.box((-3.2, -1), (0.8, 3.5), 1.25, color, side=panes((-2.9, -1.2), (2.2, 3.0), 2))
        model.tube([(-3.4, 3.55, 0.1), (-0.8, 3.55, 0.1)], TYRE, flat=14)
        for x, tall in ((3.6, 1.4), (1.8, 0.5)):
            model.box((x - 0.22, x + 0.22), (2.7, 2.7 + tall), 0.22, TYRE)
        model.box((-3, 4.3), (0.6, 1.0), 1.0, other)
        axles(model, [-2.2, -0.4, 1.4, 3.2], 1.0, 0.62, other)
        start = -3.6
    else:
        long, high = rng.uniform(6, 8), rng.uniform(3.3, 3.8)
        nose = rng.uniform(0.1, 2.2)
        profile = [(-long, 0.6), (long * 0.4 + nose, 0.6), (long * 0.4 + nose, 1.6),
                   (long * 0.4 + nose * 0.5, 2.6), (long * 0.4, high), (-long, high)]
        side = panes((-long + 0.4, long * 0.32), (1.9, 2.7), int(rng.integers(5, 9)), 0.25)
        side.append(([(-long, 1.1), (long * 0.4, 1.1), (long * 0.4, 1.5), (-long, 1.5)], other))
        model.prism(profile, 1.4, color, paint={2: GLASS, 1: other}, side=side,
                    front=lamps(1, LAMP, 0.5, 0.8))
        model.box((-long, long * 0.4), (0.15, 0.6), 1.1, TYRE)
        start = -long - 0.4
    if start - back > 3:  # a wagon behind
        side = panes((back + 0.3, start - 0.3), (1.9, 2.7), int(rng.integers(4, 8)), 0.25)
        model.box((back, start), (0.6, 3.4), 1.4, color if rng.random() < 0.7 else other,
                  side=side if rng.random() < 0.7 else [])
        model.box((back, start), (0.15, 0.6), 1.1, TYRE)


def _rider(model: Model, rng: np.random.Generator, seat: tuple, hand: tuple, foot: tuple) -> None:
    shirt, trousers, skin = paint(rng), paint(rng), canvas.rgb("#c08a68")
    hip = (seat[0], seat[1] + 0.1, 0.0)
    neck = (seat[0] + 0.28, seat[1] + 0.68, 0.0)
    model.rod([hip, neck], shirt, 0.34)
    for side in (-1, 1):
        knee = ((hip[0] + foot[0]) / 2 + 0.25, (hip[1] + foot[1]) / 2 + 0.1, side * 0.15)
        model.rod([hip, knee, (foot[0], foot[1], side * 0.14)], trousers, 0.16)
        model.rod([neck, (hand[0], hand[1], side * 0.25)], shirt, 0.11)
    x, y = neck[0] + 0.08, neck[1] + 0.2
    model.tube([(x - 0.14, y, 0.06), (x, y, 0.16), (x + 0.13, y, 0.07)],
               skin if rng.random() < 0.4 else paint(rng), sides=6)


def bicycle(model: Model, rng: np.random.Generator, color: Array, other: Array) -> None:
    radius, apart = rng.uniform(0.31, 0.38), rng.uniform(0.98, 1.12)
    rear, front = -apart / 2, apart / 2
    tyre = TYRE * rng.uniform(0.8, 2.0)
    for x in (rear, front):
        model.hoop(x, radius, radius, tyre, 0.06)
        model.hoop(x, radius, radius * 0.12, STEEL, 0.05)
        for a in (0.3, 1.35, 2.4):
            c, s = radius * float(np.cos(a)), radius * float(np.sin(a))
            model.rod([(x - c, radius - s, 0), (x + c, radius + s, 0)], STEEL * 0.9, 0.008)
    crank, saddle = (-0.05, radius * 0.85, 0.0), (-0.2, radius + 0.52, 0.0)
    head, thick = (front - 0.16, radius + 0.45, 0.0), 0.05
    for line in ([(rear, radius, 0), crank, saddle, (rear, radius, 0)], [crank, head],
                 [(saddle[0] + 0.05, saddle[1] - 0.14, 0), head],
                 [(front, radius, 0), head, (head[0] - 0.02, head[1] + 0.15, 0)]):
        model.rod(line, color, thick)
    bar = (head[0] - 0.02, head[1] + 0.16)
    model.rod([(bar[0] - 0.05, bar[1], -0.28), (bar[0], bar[1], 0), (bar[0] - 0.05, bar[1], 0.28)],
              TYRE, 0.05)
    model.rod([(saddle[0] - 0.14, saddle[1] + 0.04, 0), (saddle[0] + 0.12, saddle[1] + 0.03, 0)],
              TYRE, 0.09)
    if rng.random() < 0.25:
        model.box((front - 0.12, front + 0.2), (head[1] - 0.05, head[1] + 0.17), 0.16, other)
    if rng.random() < 0.35:
        _rider(model, rng, saddle, bar, (crank[0], crank[1] - 0.1))


def motorcycle(model: Model, rng: np.random.Generator, color: Array, other: Array) -> None:
    radius, apart = rng.uniform(0.29, 0.36), rng.uniform(1.25, 1.55)
    rear, front = -apart / 2, apart / 2
    for x in (rear, front):
        for side in (-1, 1):
            model.wheel(x, radius, side * 0.07, radius, TYRE,
                        STEEL if rng.random() < 0.6 else STEEL * 0.4, side=side, thick=0.14)
    tank = [(-0.1, 0.62), (0.25, 0.60), (0.38, 0.82), (0.2, 0.95), (-0.12, 0.84)]
    model.prism(tank, 0.16, color)
    model.box((-0.28, 0.28), (0.28, 0.6), 0.15, STEEL * rng.uniform(0.4, 1.0))
    lift = rng.uniform(0.0, 0.2)
    model.prism([(-0.75, 0.72 + lift), (-0.1, 0.70), (-0.08, 0.84), (-0.78, 0.88 + lift)], 0.13,
                TYRE * 1.5, paint={3: RED})
    model.rod([(front, radius, 0.1), (front - 0.32, 1.0, 0.08)], STEEL, 0.07)
    model.rod([(front, radius, -0.1), (front - 0.32, 1.0, -0.08)], STEEL, 0.07)
    model.rod([(rear, radius, 0), (-0.1, 0.42, 0)], TYRE * 2, 0.1)
    for side in (-1, 1):
        model.rod([(0.1, 0.3, side * 0.18), (rear - 0.1, 0.33, side * 0.2)], STEEL, 0.08)
    model.rod([(front - 0.48, 1.1, -0.36), (front - 0.33, 1.04, 0), (front - 0.48, 1.1, 0.36)],
              TYRE, 0.06)
    if rng.random() < 0.5:  # a fairing
        model.prism([(front - 0.4, 0.6), (front - 0.02, 0.78), (front - 0.15, 1.05),
                     (front - 0.38, 1.2)], 0.2, color, paint={2: GLASS})
    else:
        model.tube([(front - 0.3, 0.93, 0.1), (front - 0.14, 0.93, 0.11)], LAMP, sides=6)
    for x in (rear, front):
        model.prism([(x - 0.2, radius * 1.85), (x + 0.2, radius * 1.85), (x, radius * 2.15)], 0.1,
                    color)
    if rng.random() < 0.4:
        _rider(model, rng, (-0.35, 0.86), (front - 0.46, 1.08), (-0.1, 0.32))
