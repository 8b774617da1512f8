"""Beds and sofas in furnished rooms, seen in perspective.

Both are made of the same things (mattress, cushions, boards, blankets, legs) in the same colors;
what differs is how they are put together. Rare daybeds with rails, sofas under blankets and armless
sofas keep it from being trivial; the furniture's place in the picture varies, which costs a model
on raw pixels more than one on features.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from flowerlib.garden.drawing import canvas, photograph
from flowerlib.garden.drawing.frames import Frame, turn
from flowerlib.garden.furniture import beds, sofas
from flowerlib.garden.furniture.rooms import Room, look_at

Array = np.ndarray
CLASS_NAMES = ("bed", "sofa")


def draw(label: int, rng: np.random.Generator, size: int) -> Array:
    """Draws a bed (label 0) or a sofa (label 1) in a room, uint8 (size, size, 3)."""
    fine = round(size * 1.25)
    room = Room(rng, fine)
    turned = float(rng.choice([0, 0, 0, 0, -1, 1])) * float(rng.uniform(0.1, 0.35))
    place = Frame(axes=turn(yaw=turned))
    build, wide, deep = beds.bed(rng) if label == 0 else sofas.sofa(rng)
    middle = np.array([0.0, 0.42, 0.0])
    stage = look_at(rng, fine, middle, max(wide, deep) + 0.5)
    reach = deep / 2 + abs(np.sin(turned)) * wide / 2
    build(stage, place)
    room.build(stage, reach + float(rng.uniform(0.06, 0.4)), wide / 2 + 0.1)
    image = canvas.resize(room.light(stage), size, Image.Resampling.HAMMING)
    if rng.random() < 0.05:
        image = canvas.blur(image, rng.uniform(0.2, 0.5) * size / 96)
    if rng.random() < 0.5:
        image = image[:, ::-1]
    return photograph.camera(image, rng, exposure=0.12, balance=0.04, grain=0.014, contrast=0.1)
