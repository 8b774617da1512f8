"""Sofas of two to four seats, with or without arms, chaise, blanket and throw pillows."""

from __future__ import annotations

import numpy as np

from flowerlib.garden.drawing.frames import Frame, turn
from flowerlib.garden.drawing.solids import Stage
from flowerlib.garden.furniture.rooms import wood
from flowerlib.garden.furniture.upholstery import Plan, cloth, cushion, legs, pillows


def sofa(rng: np.random.Generator) -> Plan:
    """Plans a sofa, along x; the back is at -z."""
    seats = int(rng.choice([2, 2, 2, 2, 2, 3, 3, 3, 3, 4]))
    wide = {2: 1.35, 3: 1.85, 4: 2.2}[seats] * float(rng.uniform(0.92, 1.1))
    deep = float(rng.uniform(0.8, 1.0))
    seat, back = float(rng.uniform(0.4, 0.46)), float(rng.uniform(0.8, 0.95))
    arm = str(rng.choice(["box", "roll", "low", "none"], p=[0.58, 0.33, 0.06, 0.03]))
    arm_high = float(rng.uniform(0.58, 0.68)) if arm != "low" else seat + 0.08
    arm_wide = float(rng.uniform(0.09, 0.15))
    fabric = cloth(rng)
    seat_cloth = fabric if rng.random() < 0.92 else cloth(rng)
    on_legs, leg_color = rng.random() < 0.65, wood(rng)
    power = int(rng.choice([4, 8]))
    chaise = float(rng.choice([-1, 1])) if seats >= 3 and rng.random() < 0.14 else 0.0

    def build(stage: Stage, place: Frame) -> None:
        x, z = wide / 2, deep / 2
        high = float(rng.uniform(0.08, 0.16)) if on_legs else 0.02
        if on_legs:
            legs(stage, place, (x, z), high + 0.02, leg_color)
        middle = (high + seat - 0.14) / 2 + 0.02
        cushion(stage, place, (0, middle, 0), (x, middle - high + 0.03, z), fabric, power=16)
        cushion(
            stage,
            place,
            (0, (high + back) / 2 - 0.02, -z + 0.1),
            (x, (back - high) / 2, 0.12),
            fabric,
            turn(pitch=-0.08),
            8,
        )
        inner = x
        if arm != "none":
            inner = x - arm_wide
            for side in (-1, 1):
                at = side * (x - arm_wide / 2 + 0.04)
                half = (arm_high - high) / 2
                cushion(
                    stage,
                    place,
                    (at, high + half, 0.03),
                    (arm_wide, half, z * 0.98),
                    fabric,
                    power=8,
                )
                if arm == "roll":
                    cushion(
                        stage,
                        place,
                        (at + side * 0.03, arm_high, 0.03),
                        (arm_wide * 1.25, arm_wide * 1.05, z),
                        fabric,
                        power=4,
                    )
        step = 2 * inner / seats
        back_cushions = rng.random() < 0.96
        for i in range(seats):
            at = (i + 0.5) * step - inner
            long = 0.42 if chaise and i == (0 if chaise < 0 else seats - 1) else 0.0
            if long:
                cushion(
                    stage,
                    place,
                    (at, seat / 2 - 0.05, z + long / 2),
                    (step / 2, seat / 2 - 0.06, long / 2 + 0.1),
                    fabric,
                    power=16,
                )
            cushion(
                stage,
                place,
                (at, seat - 0.07, 0.09 + long / 2),
                (step * 0.495, 0.095, z - 0.07 + long / 2),
                seat_cloth,
                power=8,
            )
            if back_cushions:
                tall = (back - seat) / 2 + rng.uniform(-0.01, 0.03)
                cushion(
                    stage,
                    place,
                    (at, seat + tall + 0.02, -z + 0.28),
                    (step * 0.49, tall, 0.12),
                    seat_cloth,
                    turn(pitch=-0.2),
                    power,
                )
        pillows(
            stage,
            place,
            rng,
            int(rng.choice([0, 0, 0, 1, 1, 2])),
            inner * 0.9,
            seat,
            -z + 0.48,
            0.3,
        )
        if rng.random() < 0.1:  # a blanket over the seat or over the back
            blanket, at = cloth(rng, 0.6), rng.uniform(-0.5, 0.5) * inner
            broad = rng.uniform(0.25, 0.45) * inner
            if rng.random() < 0.6:
                cushion(
                    stage, place, (at, seat - 0.09, 0.13), (broad, 0.13, z - 0.08), blanket, power=8
                )
            else:
                cushion(
                    stage,
                    place,
                    (at, back - 0.16, -z + 0.16),
                    (broad, 0.2, 0.22),
                    blanket,
                    turn(pitch=-0.1),
                    8,
                )

    return build, wide, deep + (0.4 if chaise else 0.0)
