"""Light for a stage of solids: a lamp, the sky, shadows, dark creases, gloss."""

from __future__ import annotations

import numpy as np
from PIL import Image

from flowerlib.garden.drawing import canvas, photograph
from flowerlib.garden.drawing.rays import FAR
from flowerlib.garden.drawing.solids import COLOR, NORMAL, SHINE, Stage

Array = np.ndarray
SMOOTH = Image.Resampling.BILINEAR


def light(
    stage: Stage,
    lamp: Array,
    key: Array,
    sky: Array,
    ground: Array,
    *,
    reach: float,
    dark: float = 0.75,
    crease: float = 0.5,
) -> Array:
    """Lights the stage, (H, W, 3) float32, display values (highlights may exceed 1).

    Args:
        lamp: unit vector (3,) towards the lamp, world coordinates.
        key, sky, ground: colors of the lamp's light and of the light from above and below.
        reach: length of the shadows that objects throw on what is near, world units.
        dark, crease: strength of the shadows and of the darkening in corners.
    """
    nx, ny, nz = stage.surface[NORMAL]
    facing = nx * np.float32(lamp[0]) + ny * np.float32(lamp[1]) + nz * np.float32(lamp[2])
    lit = canvas.clip01(facing * np.float32(0.82) + np.float32(0.18))
    shadow, hollow = _shadow(stage, lamp, reach), _hollow(stage, reach)
    lit *= np.float32(1) - np.float32(dark) * canvas.resize(shadow, stage.size, SMOOTH)
    open_sky = np.float32(1) - np.float32(crease) * canvas.resize(hollow, stage.size, SMOOTH)
    up = (ny * np.float32(0.5) + np.float32(0.5)) * open_sky
    color, shine = stage.surface[COLOR], stage.surface[SHINE]
    out = np.empty((stage.size, stage.size, 3), dtype=np.float32)
    for i in range(3):
        around = open_sky * np.float32(ground[i]) + up * np.float32(sky[i] - ground[i])
        out[..., i] = color[i] * (around + lit * np.float32(key[i]))
    glossy = shine > 0
    if glossy.any():  # a mirror halfway between lamp and camera
        between = np.asarray(lamp) - stage.ahead
        between = (between / np.sqrt((between**2).sum())).astype(np.float32)
        toward = sum(stage.surface[i][glossy] * between[i] for i in range(3))
        gloss = np.maximum(toward, 0) ** 24 * shine[glossy] * lit[glossy]
        out[glossy] += gloss[:, None]
    return out


def _hollow(stage: Stage, reach: float) -> Array:
    """How far a pixel lies behind the middle of opposite neighbors, 0..1, at half size."""
    half = np.ascontiguousarray(stage.depth[::2, ::2])
    step = max(1, round(len(half) / 36))
    hollow, limit = np.zeros_like(half), np.float32(0.35 * reach)
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        one = photograph.shift(half, step * down, step * right)
        other = photograph.shift(half, -step * down, -step * right)
        near = (np.abs(one - half) < limit) & (np.abs(other - half) < limit)  # no outline
        hollow += near * np.maximum(half + half - one - other, np.float32(0))
    return canvas.blur(np.minimum(hollow * np.float32(5 / reach), np.float32(1)), 0.7)


def _shadow(stage: Stage, lamp: Array, reach: float, steps: int = 9) -> Array:
    """How much of the lamp is hidden, 0..1, at half size: looks a few steps towards it.

    Only what the camera sees can throw a shadow; the depth of a step on the screen is taken
    at the middle of the scene.
    """
    depth = np.ascontiguousarray(stage.depth[::2, ::2])
    sideways, upwards, ahead = stage.basis @ np.asarray(lamp, dtype=np.float64)
    seen = depth[depth < FAR]
    middle = float(np.median(seen)) if seen.size else 1.0
    hidden = np.zeros_like(depth)
    for step in range(1, steps + 1):
        far = reach * (step / steps) ** 1.5
        down = round(-upwards / middle * far * len(depth) / 2)
        right = round(sideways / middle * far * len(depth) / 2)
        toward = photograph.shift(depth, -down, -right)
        gap = depth + np.float32(ahead * far) - toward  # positive: something is in front
        thick = np.float32(0.25 * reach + 0.9 * far)
        weight = np.float32(1 - 0.6 * step / steps)
        blocked = (toward > 0) & (gap > np.float32(0.03 * reach)) & (gap < thick)
        np.maximum(hidden, blocked * weight, out=hidden)
    return canvas.blur(hidden, max(stage.size * 0.006, 0.4))
