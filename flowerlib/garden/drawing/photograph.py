"""Light and shadow on flat layers, and the camera that takes the picture."""

from __future__ import annotations

import numpy as np

from flowerlib.garden.drawing.canvas import Array, blur, clip01, grid


def light_direction(rng: np.random.Generator, low: float = 0.45, high: float = 0.85) -> Array:
    """Unit vector (3,) towards a lamp: any compass direction, height (z) between `low`, `high`."""
    turn, z = rng.uniform(0, 2 * np.pi), rng.uniform(low, high)
    flat = np.sqrt(1 - z * z)
    return np.array([flat * np.cos(turn), flat * np.sin(turn), z], dtype=np.float32)


def shade(height: Array, light: Array, relief: float = 1.0) -> Array:
    """Brightness (H, W), about 1 where flat, of a height field lit from `light` (unit vector).

    Args:
        height: (size, size), in units of the grid (the picture is 2 wide).
        relief: exaggerates the heights.
    """
    step = 2.0 / height.shape[0]
    slope_y, slope_x = np.gradient(height, np.float32(step / relief))
    facing = light[2] - slope_x * light[0] - slope_y * light[1]
    return np.maximum(facing, 0) / np.sqrt(1 + slope_x**2 + slope_y**2) / light[2]


def shadow(coverage: Array, light: Array, distance: float, softness: float) -> Array:
    """Where a shape's shadow falls: its coverage moved away from the lamp and blurred, 0..1.

    Args:
        distance: how far the shape floats above the ground, in grid units (the picture is 2 wide).
        softness: sigma of the blur, in grid units.
    """
    size = coverage.shape[0]
    move = [round(float(-light[a] / light[2] * distance * size / 2)) for a in (1, 0)]
    return blur(shift(coverage, *move), softness * size / 2)


def shift(plane: Array, down: int, right: int) -> Array:
    """`plane` (H, W) moved by whole pixels; what comes in from outside is 0."""
    height, width = plane.shape
    out = np.zeros_like(plane)
    if abs(down) < height and abs(right) < width:
        target = (
            slice(max(down, 0), height + min(down, 0)),
            slice(max(right, 0), width + min(right, 0)),
        )
        source = (
            slice(max(-down, 0), height + min(-down, 0)),
            slice(max(-right, 0), width + min(-right, 0)),
        )
        out[target] = plane[source]
    return out


def camera(
    image: Array,
    rng: np.random.Generator,
    *,
    exposure: float = 0.12,
    balance: float = 0.05,
    grain: float = 0.02,
    vignette: float = 0.15,
    contrast: float = 0.15,
) -> Array:
    """Takes the photo: random exposure, white balance, vignette, soft tone curve, sensor noise.

    Args:
        image: (size, size, 3) float; may exceed 1 (highlights roll off softly).
        exposure, balance: standard deviations of the gain of all, of each channel (log scale).
        grain: upper limit of the noise's standard deviation; the noise is stronger in the dark.
        vignette: upper limit of the darkening in the corners.
        contrast: standard deviation of the slope around mid gray.

    Returns:
        uint8 (size, size, 3).
    """
    size = image.shape[0]
    gain = np.exp(rng.normal(0, exposure) + rng.normal(0, balance, 3)).astype(np.float32)
    x, y = grid(size)
    corner = np.float32(1) - np.float32(rng.uniform(0, vignette) / 2) * (x * x + y * y)
    image = image * (corner[..., None] * gain)
    slope, gray = np.float32(np.exp(rng.normal(0, contrast))), np.float32(0.45)
    image = (image - gray) * slope + gray
    bright = np.maximum(image - np.float32(0.8), 0)  # above 0.8 approach 1 without reaching it
    image = np.minimum(image, np.float32(0.8)) + bright / (1 + bright * np.float32(5))
    sigma = np.float32(rng.uniform(0.2, 1.0) * grain)
    speckle = rng.standard_normal((size, size, 3), dtype=np.float32)
    image = image + speckle * (sigma * (np.float32(1.2) - clip01(image)))
    return (clip01(image) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
