"""Beds: single and double, with or without headboard, and daybeds with rails."""

from __future__ import annotations

import numpy as np

from flowerlib.garden.drawing import canvas
from flowerlib.garden.drawing.frames import Frame, turn
from flowerlib.garden.drawing.solids import Stage
from flowerlib.garden.furniture.rooms import any_color, wood
from flowerlib.garden.furniture.upholstery import Plan, cloth, cushion, legs, pillows

Array = np.ndarray


def bed(rng: np.random.Generator) -> Plan:
    """Plans a bed, along z; the head is at -z."""
    if rng.random() < 0.01:
        return _daybed(rng)
    wide, long = float(rng.uniform(1.2, 1.9)), float(rng.uniform(1.9, 2.1))
    base, thick = float(rng.uniform(0.22, 0.36)), float(rng.uniform(0.16, 0.28))
    frame_color = wood(rng) if rng.random() < 0.6 else any_color(rng, (0.35, 0.9), (0, 0.06))
    sheet = canvas.rgb("#f0ece4") if rng.random() < 0.4 else any_color(rng, (0.55, 0.95), (0, 0.08))
    blanket, throw = cloth(rng), cloth(rng)
    head = str(rng.choice(["panel", "slats", "soft", "none"], p=[0.4, 0.14, 0.4, 0.06]))
    headboard, footboard = float(rng.uniform(0.9, 1.25)), rng.random() < 0.12
    covered = float(rng.uniform(0.6, 0.78))

    def build(stage: Stage, place: Frame) -> None:
        x, z, top = wide / 2, long / 2, base + thick
        if rng.random() < 0.5:
            legs(stage, place, (x, z), base, frame_color)
            low = 0.07
        else:
            low = base / 2
        stage.solid(place.child((0, base - low, 0)), (x, low, z), frame_color, power=16)
        cushion(
            stage, place, (0, base + thick / 2, 0), (x * 0.98, thick / 2, z * 0.98), sheet, power=8
        )
        _headboard(stage, place, rng, head, x, z, headboard, frame_color)
        if footboard:
            stage.solid(
                place.child((0, 0.5 * top + 0.08, z + 0.04)),
                (x, 0.5 * top + 0.08, 0.04),
                frame_color,
                power=16,
            )
        hang = float(rng.uniform(0.5, 1.0)) * thick
        cushion(
            stage,
            place,
            (0, top - hang / 2 + 0.03, z * (1 - covered) + 0.02),
            (x * 1.04, hang / 2 + 0.04, z * covered + 0.02),
            blanket,
            power=8,
        )
        if rng.random() < 0.88:  # the blanket's edge turned back
            cushion(
                stage,
                place,
                (0, top + 0.05, z * (1 - 2 * covered) + 0.1),
                (x * 1.045, 0.05, 0.16),
                sheet,
                power=4,
            )
        if rng.random() < 0.18:
            cushion(
                stage,
                place,
                (0, top - 0.02, z * rng.uniform(0.45, 0.7)),
                (x * 1.06, 0.1, z * rng.uniform(0.12, 0.25)),
                throw,
                power=8,
            )
        count = 1 if wide < 1.3 else 2
        slip = any_color(rng, (0.6, 0.92), (0.0, 0.07)) if rng.random() < 0.25 else sheet
        lean = float(rng.choice([0.15, 0.5, 0.9])) if head != "none" else 0.15
        for row in range(int(rng.integers(1, 3))):
            for i in range(count):
                at = (i - (count - 1) / 2) * wide / count + rng.normal(0, 0.02)
                axes = turn(yaw=rng.normal(0, 0.06), pitch=-lean)
                cushion(
                    stage,
                    place,
                    (at, top + 0.08 + 0.2 * np.sin(lean), -z + 0.3 + 0.17 * row),
                    (min(0.36, wide / count * 0.47), 0.09, 0.23),
                    slip,
                    axes @ turn(roll=rng.normal(0, 0.03)),
                )
        if rng.random() < 0.15:
            pillows(stage, place, rng, int(rng.integers(1, 3)), x * 0.8, top, -z + 0.62, 0.5)

    return build, wide, long


def _headboard(
    stage: Stage, place: Frame, rng: np.random.Generator, kind: str, x: float, z: float,
    height: float, color: Array,
) -> None:  # fmt: skip
    if kind == "none":
        return
    if kind == "slats":
        for up in (height - 0.04, height * 0.55):
            stage.solid(place.child((0, up, -z - 0.04)), (x, 0.035, 0.03), color, power=16)
        count = int(rng.integers(4, 9))
        for i in range(count):
            at = (2 * i / (count - 1) - 1) * (x - 0.04)
            stage.solid(
                place.child((at, height / 2, -z - 0.04)), (0.022, height / 2, 0.022), color, power=8
            )
        return
    if kind == "soft":
        fabric, count = any_color(rng, (0.35, 0.9), (0.0, 0.08)), int(rng.integers(1, 5))
        for i in range(count):
            at = (i - (count - 1) / 2) * 2 * x / count
            cushion(
                stage,
                place,
                (at, height / 2, -z - 0.07),
                (x / count, height / 2, 0.09),
                fabric,
                power=8,
            )
        return
    stage.solid(
        place.child((0, height / 2, -z - 0.04)),
        (x * 1.03, height / 2, 0.04),
        color,
        power=int(rng.choice([8, 16])),
        shine=0.1,
    )


def _daybed(rng: np.random.Generator) -> Plan:
    """Plans a daybed: a narrow bed along the wall with rails on three sides and many pillows."""
    wide, deep = float(rng.uniform(1.9, 2.1)), float(rng.uniform(0.85, 1.0))
    base, thick = float(rng.uniform(0.24, 0.34)), float(rng.uniform(0.16, 0.22))
    color, rail = wood(rng), float(rng.uniform(0.7, 0.95))
    cover, blanket = cloth(rng), cloth(rng)

    def build(stage: Stage, place: Frame) -> None:
        x, z, top = wide / 2, deep / 2, base + thick
        stage.solid(place.child((0, base - 0.08, 0)), (x, 0.08, z), color, power=16)
        legs(stage, place, (x, z), base, color)
        for side in (-1, 1):
            for up in (rail, rail * 0.8):
                stage.solid(place.child((side * x, up, 0)), (0.025, 0.025, z), color, power=16)
            for at in (-z, 0, z):
                stage.solid(
                    place.child((side * x, rail / 2, at)), (0.025, rail / 2, 0.025), color, power=8
                )
        if rng.random() < 0.7:
            for i in range(9):
                stage.solid(
                    place.child(((i / 4 - 1) * x, rail / 2, -z)),
                    (0.02, rail / 2, 0.02),
                    color,
                    power=8,
                )
            stage.solid(place.child((0, rail, -z)), (x, 0.03, 0.03), color, power=16)
        cushion(stage, place, (0, base + thick / 2, 0), (x * 0.97, thick / 2, z), cover, power=8)
        if rng.random() < 0.7:
            at = rng.uniform(0.1, 0.4) * x
            cushion(
                stage,
                place,
                (at, top - thick * 0.3, 0.02),
                (x * 0.5, thick * 0.4, z * 1.03),
                blanket,
                power=8,
            )
        axes = turn(yaw=1.57) @ turn(pitch=-0.5)
        cushion(
            stage, place, (-x + 0.28, top + 0.12, 0), (0.34, 0.1, 0.24), canvas.rgb("#ece8e0"), axes
        )
        pillows(stage, place, rng, int(rng.integers(1, 5)), x * 0.8, top, -z + 0.2, 0.3)

    return build, wide, deep
