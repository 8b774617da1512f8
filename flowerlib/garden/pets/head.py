"""The heads of cats and dogs: skull, muzzle and ears in fur; eyes, nose, tongue and whiskers."""

from __future__ import annotations

import numpy as np

from flowerlib.garden.drawing import canvas
from flowerlib.garden.drawing.frames import Frame, turn
from flowerlib.garden.drawing.solids import Stage
from flowerlib.garden.pets.body import Pet

Array = np.ndarray


def skull(pet: Pet, stage: Stage, head: Frame) -> None:
    """Everything on the head that is furry."""
    long, broad = pet.muzzle, pet.snout
    pet.part(stage, head, (0, 0.02, 0), (0.45, 0.41, 0.42), "body", None, 0.1)
    broad_cheek = 0.42 if pet.cat else 0.36
    pet.part(stage, head, (0, -0.14, 0.10), (broad_cheek, 0.20, 0.25), "body")
    pet.part(
        stage,
        head,
        (0, -0.13, 0.22 + long * 0.5),
        (broad, 0.15, 0.16 + long * 0.62),
        "muzzle",
        turn(pitch=0.12),
        0.09,
    )
    pad = broad * 0.62
    for side in (-1, 1):
        pet.part(
            stage,
            head,
            (side * pad * 0.75, -0.19, 0.33 + long),
            (pad, 0.085, 0.10),
            "muzzle",
            None,
            0.05,
        )
    pet.part(
        stage,
        head,
        (0, -0.28, 0.27 + long * 0.85),
        (broad * 0.6, 0.07, 0.11),
        "muzzle",
        None,
        0.04,
    )
    if pet.fluff > 0.6:  # a ruff
        pet.part(stage, head, (0, -0.24, -0.02), (0.52, 0.2, 0.24), "body")
    _ears(pet, stage, head)


def _pointed(u: Array, v: Array) -> Array:
    """Negative inside the outline of a pointed ear; the tip is at v = 1."""
    return np.abs(u) - np.maximum((1 - v) * np.float32(0.5), 0) ** np.float32(0.8)


def _rounded(u: Array, v: Array) -> Array:
    """Negative inside the outline of a rounded ear."""
    return u * u + np.where(v > 0, v * v, np.float32(0.15) * v * v) - 1


def _ears(pet: Pet, stage: Stage, head: Frame) -> None:
    size, kind, tilt = pet.ear_size, pet.breed.ear, pet.ear_tilt
    color, inner = pet.color["ear"], canvas.mix(pet.color["ear"], canvas.rgb("#d99a8c"), 0.55)

    outline = _rounded if kind == "rounded" else _pointed

    def fur(u: Array, v: Array, front: float) -> Array:
        deep = canvas.smoothstep(0.05, -0.35, outline(u * 1.25, v * 1.1 + 0.12))
        amount = deep * np.float32(front > 0)
        return np.stack([color[i] + amount * (inner[i] - color[i]) for i in range(3)])

    for side in (-1, 1):
        if kind == "floppy":
            axes = turn(yaw=side * 0.35, roll=side * (0.22 + 0.5 * tilt), pitch=-0.1)
            pet.part(
                stage,
                head,
                (side * 0.43, 0.10 - size * 0.45, 0.02),
                (0.085, size * 0.85, 0.20),
                "ear",
                axes,
                0.035,
            )
            continue
        wide = size * (0.72 if kind == "rounded" else 0.62)
        if kind == "folded":
            axes = turn(yaw=side * 0.3, pitch=2.0, roll=-side * 0.25)
            place = (side * 0.27, 0.36, 0.22 + size * 0.2)
            stage.leaf(
                head.child(place, axes),
                (wide * 0.9, size * 0.6),
                outline,
                color,
                blend=0.03,
                coat=1.0,
            )
            pet.part(stage, head, (side * 0.27, 0.34, 0.02), (0.15, 0.1, 0.14), "ear")
            continue
        axes = turn(yaw=side * 0.42, pitch=-0.12) @ turn(roll=-side * (0.32 + tilt))
        reach = size * (0.62 if kind == "pointed" else 0.4)
        place = (side * (0.25 + reach * 0.3), 0.30 + reach * 0.75, 0.02)
        stage.leaf(head.child(place, axes), (wide, size), outline, fur, blend=0.03, coat=1.0)


def face(pet: Pet, stage: Stage, head: Frame) -> None:
    """Eyes, nose and tongue: what is not furry."""
    size, dark = pet.eye, canvas.rgb("#17120f")
    apart = 0.185 + 0.3 * (size - 0.1)
    gaze = pet.rng.uniform(-0.12, 0.12, 2)
    open_by = 0.92 if pet.slit == 0 else 0.8
    pupil = (pet.slit, 0.85) if pet.slit else (0.62, 0.66)
    iris = pet.iris

    def eye(u: Array, v: Array, w: Array) -> Array:
        u, v = u - np.float32(gaze[0]), v - np.float32(gaze[1])
        edge = canvas.smoothstep(1.15, 0.75, (u / pupil[0]) ** 2 + (v / pupil[1]) ** 2)
        glint = canvas.smoothstep(0.13, 0.04, (u + 0.28) ** 2 + (v - 0.34) ** 2)
        ring = np.float32(1.05) - np.float32(0.35) * (u * u + v * v)
        return np.stack(
            [
                np.maximum((iris[i] * ring) * (1 - edge) + dark[i] * edge, glint * np.float32(1.5))
                for i in range(3)
            ]
        )

    tilt = 0.2 if pet.cat else -0.08
    lid = pet.color["body"] * np.float32(0.92)
    droop = float(pet.rng.uniform(0.92, 1.3))
    for side in (-1, 1):
        axes = turn(yaw=side * 0.38, pitch=-0.08, roll=side * tilt)
        spot = head.child((side * apart, 0.06, 0.355 + 0.055 * pet.fluff), axes)
        stage.solid(
            spot.child((0, 0, -0.022)), (size * 1.13, size * open_by * 1.13, size * 0.75), dark
        )
        stage.solid(spot, (size, size * open_by, size * 0.78), eye, shine=0.5)
        stage.solid(
            spot.child((0, size * droop, -0.01), turn(pitch=0.4, roll=-side * tilt)),
            (size * 1.25, size * 0.42, size * 0.75),
            lid,
            blend=0.01,
            coat=1.0,
        )
    front = 0.40 + pet.muzzle + 0.04 * pet.fluff + 0.3 * (pet.nose - 0.05)
    tip = head.child((0, -0.085, front))
    stage.solid(tip, (pet.nose, pet.nose * 0.72, pet.nose * 0.7), pet.nose_color, shine=0.7)
    if pet.tongue:
        stage.solid(
            head.child((0, -0.37, 0.36 + pet.muzzle * 0.9), turn(pitch=-0.35)),
            (0.085, 0.16, 0.035),
            canvas.rgb("#d9737c"),
            shine=0.2,
        )


def strokes(pet: Pet, head: Frame) -> list[tuple[list[Array], float, float]]:
    """Thin lines on the face: (points in the world, brightness, width in head units)."""
    rng, long = pet.rng, pet.muzzle
    lines: list[tuple[list[tuple[float, float, float]], float, float]] = []
    front = 0.40 + long + 0.04 * pet.fluff
    lines.append(([(0, -0.13, front + 0.03), (0, -0.2, front + 0.03)], 0.08, 0.018))
    for side in (-1, 1):
        lip = [
            (0, -0.2, front + 0.03),
            (side * 0.06, -0.245, front + 0.02),
            (side * 0.13, -0.24, front - 0.04),
        ]
        lines.append((lip, 0.08, 0.018))
        if not pet.whiskers:
            continue
        length = rng.uniform(0.4, 0.62) if pet.cat else rng.uniform(0.12, 0.25)
        for lift in (-0.12, 0.0, 0.13):
            begin = (side * pet.snout * 0.8, -0.19, front - 0.03)
            far = (
                begin[0] + side * length,
                begin[1] + lift + rng.uniform(-0.04, 0.04),
                begin[2] - 0.1,
            )
            middle = ((begin[0] + far[0]) / 2, (begin[1] + far[1]) / 2 + 0.04, begin[2] + 0.02)
            lines.append(([begin, middle, far], 0.95, 0.006))
    return [([head.point(p) for p in line], tone, width) for line, tone, width in lines]
