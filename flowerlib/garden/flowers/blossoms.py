"""The petals of whole flowers in space: heads, spikes of bells, globes of florets."""

from __future__ import annotations

import numpy as np

from flowerlib.garden.drawing.canvas import Array
from flowerlib.garden.flowers.petals import Petals, joined
from flowerlib.garden.flowers.species import Species

GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))  # between one seed and the next, Vogel (1979)
Frame = tuple[Array, Array, Array]  # two unit vectors in the flower's plane, and its normal


def frame(tilt: float, toward: float, spin: float = 0.0) -> Frame:
    """Frame of a flower that faces us, tipped by `tilt` towards the screen direction `toward`."""
    ct, st, cp, sp = np.cos(tilt), np.sin(tilt), np.cos(toward), np.sin(toward)
    first = np.array([ct * cp * cp + sp * sp, (ct - 1) * sp * cp, -st * cp])
    second = np.array([(ct - 1) * sp * cp, ct * sp * sp + cp * cp, -st * sp])
    normal = np.array([st * cp, st * sp, ct])
    cs, ss = np.cos(spin), np.sin(spin)
    return first * cs + second * ss, second * cs - first * ss, normal


def ring(
    rng: np.random.Generator,
    space: Frame,
    center: Array,
    angles: Array,
    *,
    length: float,
    rise: float,
    curl: float,
    wild: float = 1.0,
    foot: float = 0.06,
    bright: float = 1.0,
) -> Petals:
    """Petals around `center` (3,) at `angles`, each a little different from the next.

    Args:
        wild: how much the petals of one ring differ; 0 for not at all.
        foot: distance from the center to where they are attached, in lengths.
    """
    count = len(angles)
    e1, e2, normal = space
    angles = angles + rng.normal(0, 0.05 * wild, count)
    up = (rise + rng.normal(0, 0.09 * wild, count))[:, None]
    out = np.cos(angles)[:, None] * e1 + np.sin(angles)[:, None] * e2
    lengths = length * np.exp(rng.normal(0, 0.05 * wild, count))
    return Petals(
        foot=center[:2] + out[:, :2] * foot * length,
        axis=np.cos(up) * out + np.sin(up) * normal,
        across=-np.sin(angles)[:, None] * e1 + np.cos(angles)[:, None] * e2,
        normal=np.cos(up) * normal - np.sin(up) * out,
        length=lengths,
        curl=curl + rng.normal(0, 0.18 * wild, count),
        bend=rng.normal(0, 0.06 * wild, count),
        bright=bright * np.exp(rng.normal(0, 0.04 * wild, count)),
    )


def head(
    species: Species, rng: np.random.Generator, center: Array, radius: float, space: Frame
) -> tuple[list[Petals], list[Petals]]:
    """Petals of a single flower, from back to front: those behind its center, those before it."""
    layers, per_ring = species.layers, species.petals
    if species.form == "lily":  # six petals in two rings of three
        per_ring = species.petals // layers
    step = 2 * np.pi / per_ring
    behind: list = []
    before: list = []
    for k in range(layers):
        shrink = {"double": 0.20, "daisy": 0.16, "cup": 0.05}.get(species.form, 0.06) * k
        angles = np.arange(per_ring) * step + k * step / 2
        if species.form == "double":
            angles = angles + k * 0.3
        petals = ring(
            rng, space, center, angles, length=radius * (1 - shrink),
            rise=species.rise + (0.24 * k if species.form == "double" else 0.03 * k),
            curl=species.curl, bright=1.0 - 0.03 * (layers - 1 - k),
        )  # fmt: skip
        # Those that lean towards us hide the center; in a cup the farther ones come first.
        near = petals.normal[:, 2] < 0.05
        order = np.roll(np.arange(per_ring), int(rng.integers(per_ring)))
        if species.form == "cup":
            near |= petals.axis[:, 1] > 0.35
            order = np.argsort(-petals.normal[:, 2])
        behind.append(petals.take(order[~near[order]]))
        if near.any():
            before.insert(0, petals.take(order[near[order]]))
    return behind, before


def bells(species: Species, rng: np.random.Generator, foot: Array, top: Array) -> Petals:
    """Hanging bells along a stem, older and larger ones below; the nearest come last."""
    count = 15
    run = top - foot
    t = np.linspace(0.0, 1.0, count)
    turn = np.arange(count) * GOLDEN_ANGLE + rng.uniform(0, 2 * np.pi)
    side, depth = np.cos(turn), np.sin(turn)
    length = float(np.hypot(*run)) * 0.27 * (1 - 0.62 * t) * np.exp(rng.normal(0, 0.06, count))
    swing = rng.normal(0, 0.12, count)
    axis = np.stack([0.75 * side + swing, np.full(count, 0.8) - 0.5 * t, 0.45 * depth], axis=1)
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    across = np.stack([-axis[:, 1], axis[:, 0], np.zeros(count)], axis=1)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    aside = np.stack([0.12 * side, np.full(count, -0.1)], axis=1) * length[:, None]
    petals = Petals(
        foot=foot + run * t[:, None] + aside, axis=axis, across=across,
        normal=np.cross(axis, across), length=length, curl=np.zeros(count),
        bend=rng.normal(0, 0.05, count), bright=0.85 + 0.2 * depth,
    )  # fmt: skip
    order = np.argsort(depth)
    return petals.take(order[depth[order] > -0.85])


def spike(species: Species, rng: np.random.Generator, foot: Array, top: Array) -> Petals:
    """Petals of small open flowers that spiral around a stem, smaller towards the top."""
    count = 28
    run = top - foot
    florets = []
    for i in range(count):
        t, turn = 1 - i / (count - 1), i * GOLDEN_ANGLE
        size = float(np.hypot(*run)) * 0.17 * (1 - 0.6 * t) * float(np.exp(rng.normal(0, 0.06)))
        side, depth, spin = np.cos(turn), np.sin(turn), float(rng.uniform(0, 2 * np.pi))
        if depth < -0.75:
            continue
        middle = np.array([*(foot + run * t), 0.0]) + np.array([side * size * 0.75, 0.0, depth])
        space = frame(min(1.2, np.arccos(max(depth, -0.2))), 0.0 if side > 0 else np.pi, spin)
        angles = np.arange(species.petals) * (2 * np.pi / species.petals)
        florets.append((depth, ring(rng, space, middle, angles, length=size, rise=0.25, curl=0.0,
                                    wild=0.7, bright=0.88 + 0.12 * depth)))  # fmt: skip
    florets.sort(key=lambda item: item[0])
    return joined([petals for _, petals in florets])


def globe(
    species: Species, rng: np.random.Generator, center: Array, radius: float, space: Frame
) -> Petals:
    """Petals of florets on a ball, spread evenly by the golden angle; only those that face us."""
    count = 60
    k = np.arange(count) + 0.5
    z = 1 - 2 * k / count
    flat, turn = np.sqrt(1 - z * z), k * GOLDEN_ANGLE
    # The ball turns with the flower.
    points = (flat * np.cos(turn))[:, None] * space[0] + (flat * np.sin(turn))[:, None] * space[1]
    points = points + z[:, None] * space[2]
    angles = np.arange(species.petals) * (2 * np.pi / species.petals)
    florets = []
    for p in points[np.argsort(points[:, 2])]:
        spin = float(rng.uniform(0, 2 * np.pi))
        if p[2] < -0.1:
            continue
        facing = frame(float(np.arccos(min(p[2], 1.0))), float(np.arctan2(p[1], p[0])), spin)
        middle = np.array([*(center[:2] + p[:2] * radius * 0.78), 0.0])
        florets.append(ring(rng, facing, middle, angles, length=radius * 0.34, rise=0.2, curl=0.1,
                            wild=0.6, bright=0.75 + 0.28 * max(p[2], 0)))  # fmt: skip
    return joined(florets)
