"""What beds and sofas have in common: fabrics, cushions, legs, throw pillows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from flowerlib.garden.drawing import canvas
from flowerlib.garden.drawing.frames import Frame, turn
from flowerlib.garden.drawing.solids import Stage

Array = np.ndarray
Cloth = Array | Callable[[Array, Array, Array], Array]
Plan = tuple[Callable[[Stage, Frame], None], float, float]  # builds it; its width x, its depth z


def cloth(rng: np.random.Generator, plain: float = 0.93) -> Cloth:
    """A fabric: plain, striped or checked; the same choice for beds and sofas."""
    light, hue = float(rng.uniform(0.4, 0.92)), float(rng.uniform(0, 360))
    chroma = float(rng.choice([0.03, 0.11])) * float(rng.random())
    first = canvas.oklch(light, chroma, hue)
    if rng.random() < plain:
        return first
    paler = light + (0.14 if light < 0.65 else -0.14)  # the same hue, or it would look loud
    second = canvas.oklch(paler, chroma * 0.6, hue)
    count, kind = float(rng.uniform(7, 16)), int(rng.integers(3))
    level = float(rng.uniform(-0.4, 0.6))

    def paint(u: Array, v: Array, w: Array) -> Array:
        waves = np.sin((w if kind == 1 else u) * np.float32(count))
        if kind == 2:
            waves = np.maximum(waves, np.sin(w * np.float32(count)))
        amount = canvas.smoothstep(level - 0.15, level + 0.15, waves)
        return np.moveaxis(canvas.mix(first, second, amount), -1, 0)

    return paint


def cushion(
    stage: Stage, frame: Frame, place: tuple, half: tuple, cloth: Cloth,
    axes: Array | None = None, power: int = 4,
) -> None:  # fmt: skip
    stage.solid(frame.child(place, axes), half, cloth, power=power, coat=1.0)


def legs(stage: Stage, frame: Frame, half: tuple[float, float], high: float, color: Array) -> None:
    for x in (-1, 1):
        for z in (-1, 1):
            place = (x * (half[0] - 0.07), high / 2, z * (half[1] - 0.07))
            stage.solid(frame.child(place), (0.03, high / 2, 0.03), color, power=8)


def pillows(
    stage: Stage, frame: Frame, rng: np.random.Generator, count: int, width: float, y: float,
    z: float, lean: float,
) -> None:  # fmt: skip
    """A row of throw pillows along x, leaning backwards."""
    for _ in range(count):
        half = rng.uniform(0.15, 0.21)
        axes = turn(yaw=rng.normal(0, 0.2), pitch=-lean + rng.normal(0, 0.1)) @ turn(
            roll=rng.choice([0, 0, 0.78]) + rng.normal(0, 0.1)
        )
        place = (rng.uniform(-1, 1) * max(width - half, 0.05), y + half * 0.9, z)
        cushion(stage, frame, place, (half, half, 0.085), cloth(rng, 0.8), axes)
