"""Drawing primitives that all kinds share: coordinates, soft shapes, noise, light, a camera.

A picture in the making is a float32 array (H, W, 3), RGB, display values 0..1. Shapes are signed
distances (negative inside) that `cover` turns into a coverage 0..1 with a soft edge, so nothing has
to be drawn larger and shrunk. Nothing here uses a matrix product: their last bits depend on the
number of threads, and a picture may depend on its arguments only.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image

Array = np.ndarray
TAU = np.float32(2 * np.pi)


# ---------------------------------------------------------------- coordinates


@lru_cache(maxsize=32)
def grid(size: int) -> tuple[Array, Array]:
    """Pixel centers as x (right) and y (down), each (size, size) float32 in -1..1; read-only."""
    line = (np.arange(size, dtype=np.float32) + 0.5) * (2.0 / size) - 1.0
    x, y = np.meshgrid(line, line)
    x.flags.writeable = y.flags.writeable = False
    return x, y


def affine(
    x: Array,
    y: Array,
    *,
    center: tuple[float, float] = (0.0, 0.0),
    scale: float = 1.0,
    angle: float = 0.0,
    squash: float = 1.0,
) -> tuple[Array, Array]:
    """Coordinates as seen by a shape that sits at `center`, `scale` large, turned by `angle`.

    Args:
        angle: radians; positive turns the shape clockwise on the screen (y points down).
        squash: height of the shape against its width, before turning: cos of its tilt.
    """
    cosine, sine = np.float32(np.cos(angle) / scale), np.float32(np.sin(angle) / scale)
    x, y = x - np.float32(center[0]), y - np.float32(center[1])
    return x * cosine + y * sine, (y * cosine - x * sine) * np.float32(1.0 / squash)


def polar(x: Array, y: Array) -> tuple[Array, Array]:
    """Radius and angle (radians, -pi..pi, from the x axis towards y), float32."""
    return np.sqrt(x * x + y * y), np.arctan2(y, x)


# ---------------------------------------------------------------- values and soft shapes


def clip01(value: Array) -> Array:
    """`value` limited to 0..1."""
    return np.clip(value, np.float32(0), np.float32(1))


def smoothstep(low: float | Array, high: float | Array, value: Array) -> Array:
    """0 below `low`, 1 above `high`, smooth between; `low` > `high` falls instead of rising."""
    t = clip01((value - low) / (np.float32(1e-9) + high - low))
    return t * t * (np.float32(3) - np.float32(2) * t)


def cover(distance: Array, softness: float) -> Array:
    """Coverage 0..1 of a shape given its signed distance; the edge is `softness` wide.

    On a grid in -1..1 a pixel is 2 / size wide: 1.5 pixels of softness look sharp and not jagged.
    """
    return clip01(np.float32(0.5) - distance * np.float32(1.0 / softness))


def circle(x: Array, y: Array, radius: float | Array) -> Array:
    """Signed distance to a circle around the origin."""
    return np.sqrt(x * x + y * y) - np.float32(radius)


def ellipse(x: Array, y: Array, width: float, height: float) -> Array:
    """Signed distance, nearly, to an ellipse with half axes `width` and `height`."""
    u, v = x * np.float32(1 / width), y * np.float32(1 / height)
    k = np.sqrt(u * u + v * v)
    slope = np.sqrt((u / np.float32(width)) ** 2 + (v / np.float32(height)) ** 2)
    return k * (k - np.float32(1)) / (slope + np.float32(1e-6))


def box(x: Array, y: Array, width: float, height: float, round_by: float = 0.0) -> Array:
    """Signed distance to a rectangle with half sides `width`, `height` and rounded corners."""
    dx, dy = np.abs(x) - np.float32(width - round_by), np.abs(y) - np.float32(height - round_by)
    outside = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0))
    return outside + np.minimum(np.maximum(dx, dy), 0) - np.float32(round_by)


def segment(
    x: Array,
    y: Array,
    start: tuple[float, float],
    end: tuple[float, float],
    radius: float,
    end_radius: float | None = None,
) -> Array:
    """Signed distance, nearly, to a thick line with round ends; it may taper to `end_radius`."""
    run = (end[0] - start[0], end[1] - start[1])
    length2 = np.float32(run[0] ** 2 + run[1] ** 2 + 1e-12)
    px, py = x - np.float32(start[0]), y - np.float32(start[1])
    along = clip01((px * np.float32(run[0]) + py * np.float32(run[1])) / length2)
    distance = np.hypot(px - along * np.float32(run[0]), py - along * np.float32(run[1]))
    end_radius = radius if end_radius is None else end_radius
    return distance - (np.float32(radius) + along * np.float32(end_radius - radius))


def polygon(x: Array, y: Array, corners: Array) -> Array:
    """Signed distance to a closed polygon; `corners` is (N, 2), in either turning sense."""
    corners = np.asarray(corners, dtype=np.float32)
    nearest = np.full(x.shape, np.inf, dtype=np.float32)
    inside = np.zeros(x.shape, dtype=bool)
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        ex, ey, px, py = b[0] - a[0], b[1] - a[1], x - a[0], y - a[1]
        along = clip01((px * ex + py * ey) / (ex * ex + ey * ey + np.float32(1e-12)))
        np.minimum(nearest, (px - ex * along) ** 2 + (py - ey * along) ** 2, out=nearest)
        crosses = (a[1] <= y) != (b[1] <= y)  # even-odd rule: a ray to the right changes sides
        if ey != 0:
            inside ^= crosses & (px < py * (ex / ey))
    return np.where(inside, -1, 1).astype(np.float32) * np.sqrt(nearest)


def paint(image: Array, color: Array, coverage: Array) -> None:
    """Lays `color` ((3,) or (H, W, 3)) over `image` in place, as opaque as `coverage` (H, W)."""
    image += coverage[..., None] * (np.asarray(color, dtype=np.float32) - image)


# ---------------------------------------------------------------- resizing, blur, noise


def resize(plane: Array, size: int, method: Image.Resampling = Image.Resampling.BICUBIC) -> Array:
    """A float plane (h, w), or image (h, w, C), resampled to (size, size[, C]) float32."""
    if plane.ndim == 3:
        channels = [resize(plane[..., c], size, method) for c in range(plane.shape[2])]
        return np.stack(channels, axis=-1)
    picture = Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32))
    return np.asarray(picture.resize((size, size), method))


def blur(image: Array, radius: float) -> Array:
    """Gaussian-like blur of a square plane or image (float); `radius` is sigma in pixels.

    Large radii are blurred on a smaller copy, where they are small.
    """
    if radius < 0.2:
        return image
    size = image.shape[0]
    if radius > 3:
        small = max(4, int(np.ceil(size * 2.0 / radius)))
        shrunk = resize(image, small, Image.Resampling.BILINEAR)
        return resize(blur(shrunk, 1.7), size, Image.Resampling.BICUBIC)
    reach = int(np.ceil(2.5 * radius))
    taps = np.exp(-0.5 * (np.arange(reach + 1) / radius) ** 2)
    taps = (taps / (2 * taps.sum() - taps[0])).astype(np.float32)
    inside = np.clip(np.arange(-reach, size + reach), 0, size - 1)  # the edge pixels go on outside
    for axis in (0, 1):
        wide = image.take(inside, axis=axis)
        at = [slice(None)] * image.ndim

        def shifted(by: int, wide: Array = wide, at: list = at, axis: int = axis) -> Array:
            at[axis] = slice(reach + by, reach + by + size)
            return wide[tuple(at)]

        out = shifted(0) * taps[0]
        for step in range(1, reach + 1):
            out += (shifted(step) + shifted(-step)) * taps[step]
        image = out
    return image


def noise(rng: np.random.Generator, size: int, cells: float) -> Array:
    """Smooth value noise (size, size) float32 in about 0..1, with `cells` bumps across."""
    count = max(2, int(np.ceil(cells)) + 1)
    return resize(rng.random((count, count), dtype=np.float32), size)


def fractal_noise(
    rng: np.random.Generator, size: int, cells: float = 3, octaves: int = 4, gain: float = 0.55
) -> Array:
    """Clouds: octaves of `noise`, each twice as fine and `gain` as strong; about 0..1, mean 0.5."""
    total, weight, height = np.zeros((size, size), dtype=np.float32), 0.0, 1.0
    for octave in range(octaves):
        if cells * 2**octave > size:  # finer than a pixel: nothing to see
            break
        total += np.float32(height) * noise(rng, size, cells * 2**octave)
        weight += height
        height *= gain
    return total / np.float32(max(weight, 1e-6))


# ---------------------------------------------------------------- color


def rgb(hex_code: str) -> Array:
    """Color (3,) float32 0..1 from "#rrggbb"."""
    return np.array([int(hex_code[i : i + 2], 16) for i in (1, 3, 5)], dtype=np.float32) / 255


def hsv(hue: float, saturation: float, value: float) -> Array:
    """Color (3,) float32 from hue (turns, any number), saturation and value in 0..1."""
    k = (np.array([5.0, 3.0, 1.0]) + hue * 6) % 6
    return (value - value * saturation * np.clip(np.minimum(k, 4 - k), 0, 1)).astype(np.float32)


def oklch(lightness: float, chroma: float, hue: float) -> Array:
    """Color (3,) float32 from Oklab's lightness 0..1, chroma 0..0.35 and hue (degrees).

    Steps that are equal in these numbers look equal, so palettes come out even. Colors outside the
    screen's gamut are clipped. Source: B. Ottosson, "A perceptual color space" (2020).
    """
    a, b = chroma * np.cos(np.radians(hue)), chroma * np.sin(np.radians(hue))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = np.array(
        [
            4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
            -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
            -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
        ]
    ).clip(0, 1)
    display = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return display.astype(np.float32)


def mix(first: Array, second: Array, amount: float | Array) -> Array:
    """Colors from `first` (amount 0) to `second` (amount 1); an (H, W) amount gives an image."""
    amount = np.asarray(amount, dtype=np.float32)
    if amount.ndim:
        amount = amount[..., None]
    return first + amount * (second - first)
