"""Color, relief, shapes and layers for patterns: fields become surfaces in light."""

from __future__ import annotations

import colorsys

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from flowerlib.garden.patterns.fields import FIELDS
from flowerlib.garden.patterns.noise import Array, Rng, coordinates, fractal, lookup, soft_step


def palette(rng: Rng) -> Array:
    """A color ramp (256, 3) through 3 to 6 stops: few hues, mostly muted, lightness well spread."""
    count = int(rng.integers(3, 7))
    # Half of all ramps start warm (wood, soil, skin, stone), the rest green, blue or anywhere.
    ranges = ((0.0, 0.13), (0.02, 0.16), (0.2, 0.4), (0.5, 0.68), (0.0, 1.0))
    base = rng.uniform(*ranges[int(rng.choice(5, p=(0.25, 0.25, 0.15, 0.15, 0.2)))])
    hues = (base + rng.choice([0, 0, 0.04, -0.05, 0.1, 0.5, 0.33], count)) % 1
    saturation = rng.beta(1.6, 2.2, count) * rng.uniform(0.3, 1.3)
    value = np.clip(np.linspace(rng.uniform(0, 0.4), rng.uniform(0.5, 1), count), 0, 1)
    value = np.clip(value + rng.normal(0, 0.12, count), 0.02, 1)
    if rng.random() < 0.35:
        value = value[::-1]
    if rng.random() < 0.3:
        value = rng.permutation(value)
    stops = [
        colorsys.hsv_to_rgb(*hsv)
        for hsv in zip(hues, np.clip(saturation, 0, 1), value, strict=True)
    ]
    where = np.sort(np.r_[0, rng.random(count - 2), 1])
    ramp = [np.interp(np.linspace(0, 1, 256), where, np.array(stops)[:, c]) for c in range(3)]
    return np.stack(ramp, -1).astype(np.float32)


def colored(field: Array, ramp: Array) -> Array:
    """The ramp's colors at a field in [0, 1]: (S, S, 3)."""
    return ramp[np.clip(field * 255, 0, 255).astype(np.uint8)]


def light_direction(rng: Rng) -> Array:
    """A unit vector (x right, y down, z to the viewer), mostly from above."""
    angle, height = rng.normal(-np.pi / 2, 0.9), rng.uniform(0.3, 1.1)
    return np.array([np.cos(angle), np.sin(angle), height], np.float32) / np.hypot(1, height)


def relief(color: Array, height: Array, light: Array, depth: float, gloss: float = 0.0) -> Array:
    """The surface lit as if `height` (0 to 1) stood out by `depth` of the picture's side."""
    down, right = np.gradient(height * (depth * height.shape[0]))
    length = np.sqrt(1 + down**2 + right**2)
    shade = (light[2] - light[0] * right - light[1] * down) / length
    # A level surface keeps its color; slopes gain or lose light.
    lit = color * (0.4 + 0.6 * np.clip(shade / light[2], 0, 2.5))[..., None]
    if gloss:
        half = (light + (0, 0, 1)) / np.linalg.norm(light + (0, 0, 1))
        shine = np.clip((half[2] - half[0] * right - half[1] * down) / length, 0, 1) ** 30
        lit += gloss * shine[..., None]
    return lit


def surface(rng: Rng, style: Rng, size: int, name: str | None = None) -> Array:
    """A lit texture (size, size, 3) of the named field, or of one that the class's style picks."""
    names = sorted(FIELDS)
    name = name or names[int(style.integers(len(names)))]
    field = FIELDS[name](rng, style, size)
    color = colored(field, palette(rng))
    if rng.random() < 0.6:  # a second scale of color, as stains and growth make it
        stain = fractal(rng, size, int(rng.integers(2, 5)), 0.5)[..., None]
        other = colored(1 - field, palette(rng))
        color = color + rng.uniform(0.2, 0.8) * stain * (other - color)
    if rng.random() < 0.4:  # nearly plain, as much of the world is
        color = color + rng.uniform(0.4, 0.95) * (color.mean((0, 1)) - color)
    rough = fractal(rng, size, 24, 0.8, 4)
    height = field * rng.choice([-1, 1]) + rng.uniform(0, 0.5) * rough
    depth = 0.06 * rng.random() ** 2
    return relief(color, height, light_direction(rng), depth, rng.uniform(0, 0.3))


def blurred(image: Array, radius: float) -> Array:
    """A Gaussian blur of (S, S) or (S, S, 3) floats in [0, 1]; the radius is in pixels."""
    if radius < 0.3:
        return image
    picture = Image.fromarray((np.clip(image, 0, 1) * 255).astype(np.uint8))
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(float(radius))), np.float32) / 255


def in_perspective(rng: Rng, flat: Array) -> Array:
    """The texture on a plane that leans away from the viewer, far parts blurred by averaging."""
    size = flat.shape[0]
    x, y = coordinates(size)
    turn = rng.normal(0, 0.4)
    u, v = x - 0.5, y - 0.5
    u, v = u * np.cos(turn) - v * np.sin(turn), u * np.sin(turn) + v * np.cos(turn)
    depth = 1 / (rng.uniform(0.55, 0.9) + rng.uniform(0.6, 1.0) * v).clip(0.08)
    angle = rng.uniform(0, 6.3)
    px, py = u * depth, depth
    near = lookup(
        flat, np.cos(angle) * px - np.sin(angle) * py, np.sin(angle) * px + np.cos(angle) * py
    )
    far = soft_step(depth, 2.2, 2.0)[..., None]
    return near + far * (blurred(near, size / 50) - near)


# ---- outlines: points (n, 2) around 0 with a radius near 1 --------------------------------------


def outline(rng: Rng, kind: str) -> Array:
    """The outline of one shape of the named kind, turned at random."""
    t = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    if kind == "blob":
        orders = np.arange(1, 6)[:, None]
        bend = (
            rng.normal(0, 0.22, (5, 1))
            / orders**0.7
            * np.cos(orders * t + rng.uniform(0, 6.3, (5, 1)))
        )
        radius = 1 + bend.sum(0)
    elif kind == "ellipse":
        radius = 1 / np.hypot(np.cos(t), np.sin(t) / rng.uniform(0.3, 1))
    elif kind == "box":
        corner = rng.uniform(3, 20)
        radius = (
            np.abs(np.cos(t)) ** corner + np.abs(np.sin(t) / rng.uniform(0.3, 1)) ** corner
        ) ** (-1 / corner)
    elif kind == "shard":
        t = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8))))
        radius = rng.uniform(0.6, 1.2, len(t))
    elif kind == "lens":
        t = np.linspace(-1, 1, 48)
        width = rng.uniform(0.15, 0.5) * (1 - np.abs(t) ** rng.uniform(1.3, 3))
        points = np.r_[np.c_[t, width], np.c_[t, -width][::-1]]
        points[:, 1] += rng.uniform(-0.3, 0.3) * points[:, 0] ** 2
        return turned(points, rng.uniform(0, 6.3))
    elif kind == "crescent":
        bite = rng.uniform(0.2, 0.8)
        outer, inner = (
            np.c_[np.cos(t[:49]), np.sin(t[:49])],
            np.c_[np.cos(t[:49]), bite * np.sin(t[:49])],
        )
        return turned(np.r_[outer, inner[::-1]], rng.uniform(0, 6.3))
    elif kind == "gear":
        teeth = rng.integers(5, 14)
        radius = 0.85 + 0.15 * np.tanh(4 * np.sin(teeth * t))
    elif kind == "worm":
        s = np.linspace(-1, 1, 40)
        spine = np.c_[s, 0.35 * np.sin(rng.uniform(1.5, 4) * s + rng.uniform(0, 6))]
        width = rng.uniform(0.08, 0.25) * np.sqrt(np.clip(1 - s**4, 0, 1))
        return turned(
            np.r_[spine + np.c_[0 * s, width], (spine - np.c_[0 * s, width])[::-1]],
            rng.uniform(0, 6.3),
        )
    else:
        raise KeyError(kind)
    return turned(np.c_[radius * np.cos(t), radius * np.sin(t)], rng.uniform(0, 6.3))


OUTLINES = ("blob", "ellipse", "box", "shard", "lens", "crescent", "gear", "worm")


def turned(points: Array, angle: float) -> Array:
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])


def mask_of(points: Array, size: int) -> Array:
    """Coverage (size, size) in [0, 1] of a polygon whose points are in units of the side."""
    image = Image.new("L", (2 * size, 2 * size), 0)
    ImageDraw.Draw(image).polygon([tuple(p) for p in points * (2 * size)], fill=255)
    return np.asarray(image.resize((size, size), Image.Resampling.BOX), np.float32) / 255


def paste(
    canvas: Array,
    texture: Array,
    points: Array,
    light: Array,
    *,
    roundness: float = 0.6,
    shadow: float = 0.4,
    blur: float = 0.0,
) -> None:
    """Lays a textured, rounded, shadowed shape on the canvas, in place.

    Args:
        canvas: (S, S, 3) floats.
        texture: (S, S, 3) floats, cut out where the shape lies.
        points: outline (n, 2) in units of the side.
        light: unit vector, see `light_direction`.
        roundness: how far the middle stands out; 0 is a flat cut-out.
        shadow: darkness of the shadow on what lies below, 0 to 1.
        blur: radius of the shape's own blur in units of the side, as out-of-focus parts have.
    """
    size = canvas.shape[0]
    extent = float(np.ptp(points, axis=0).max())
    margin = 0.12 * extent + 3 * blur + 2 / size
    low = np.clip(((points.min(0) - margin) * size).astype(int), 0, size)
    high = np.clip(((points.max(0) + margin) * size).astype(int) + 1, 0, size)
    side = int(max(high - low))
    if min(high - low) < 2:
        return
    window = (slice(low[1], high[1]), slice(low[0], high[0]))
    inside = (slice(0, high[1] - low[1]), slice(0, high[0] - low[0]))
    mask = mask_of((points * size - low) / side, side)
    color = texture[window]
    if roundness:
        height = np.sqrt(blurred(mask, 0.13 * extent * size) * mask)[inside]
        color = relief(color, height, light, roundness * extent * 0.9, 0.1 * roundness)
    if shadow:
        shift = np.round(-light[:2] * 0.06 * extent * size).astype(int)
        fallen = np.roll(blurred(mask, 0.03 * extent * size), (shift[1], shift[0]), (0, 1))
        canvas[window] *= 1 - shadow * fallen[inside][..., None]
    cover = blurred(mask, blur * size)[inside][..., None]
    canvas[window] += cover * (color - canvas[window])


def strokes(
    rng: Rng, canvas: Array, mask: Array, color: Array, count: int, length: float, heading: Array
) -> Array:
    """The canvas with `count` hairs drawn where the mask is set, colored from `color` (S, S, 3).

    `heading` (S, S) is the direction of growth in radians; lengths are in units of the side.
    """
    size = canvas.shape[0]
    ys, xs = np.nonzero(mask > 0.5)
    if not len(xs):
        return canvas
    image = Image.fromarray((np.clip(canvas, 0, 1) * 255).astype(np.uint8)).resize(
        (2 * size, 2 * size)
    )
    pen = ImageDraw.Draw(image)
    chosen = rng.integers(len(xs), size=count)
    chosen = chosen[np.argsort(ys[chosen])]
    bend = heading[ys[chosen], xs[chosen]] + rng.normal(0, 0.25, count)
    reach = length * size * rng.uniform(0.5, 1.3, count)
    tint = np.clip(color[ys[chosen], xs[chosen]] * rng.uniform(0.7, 1.35, (count, 1)), 0, 1) * 255
    ends = np.c_[
        xs[chosen], ys[chosen], xs[chosen] + reach * np.cos(bend), ys[chosen] + reach * np.sin(bend)
    ]
    for line, rgb in zip((2 * ends).tolist(), tint.astype(int).tolist(), strict=True):
        pen.line(line, fill=tuple(rgb), width=1 if size < 96 else 2)
    return np.asarray(image.resize((size, size), Image.Resampling.BOX), np.float32) / 255


def eye(rng: Rng, canvas: Array, x: float, y: float, radius: float, iris: Array) -> None:
    """A glossy ringed dot at (x, y), in units of the side, in place."""
    size = canvas.shape[0]
    u, v = coordinates(size)
    distance = np.hypot(u - x, (v - y) * rng.uniform(1, 1.3)) / radius
    edge = 2.5 / (radius * size)
    rings = [(1.15, np.zeros(3)), (1.0, iris), (rng.uniform(0.35, 0.7), np.zeros(3) + 0.03)]
    for reach, color in rings:
        cover = (1 - soft_step(distance, reach, edge))[..., None]
        canvas += cover * (color - canvas)
    glint = 1 - soft_step(
        np.hypot(u - x + 0.3 * radius, v - y + 0.35 * radius) / radius, 0.22, edge
    )
    canvas += glint[..., None] * (1 - canvas)


def finish(rng: Rng, canvas: Array) -> Array:
    """Uneven light, tint, contrast, blur and sensor noise; float canvas to uint8 (S, S, 3)."""
    size = canvas.shape[0]
    x, y = coordinates(size)
    angle = rng.uniform(0, 6.3)
    falloff = rng.uniform(0, 0.6) * ((x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle))
    falloff -= rng.uniform(0, 0.6) * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
    canvas = canvas * (1 + falloff)[..., None] * (1 + rng.normal(0, 0.06, 3).astype(np.float32))
    if rng.random() < 0.4:  # dappled light
        dapple = soft_step(fractal(rng, size, int(rng.integers(2, 6)), 0.4, 3), 0.45, 0.3)
        canvas = canvas * (rng.uniform(0.5, 0.9) + 0.5 * dapple)[..., None]
    mean = float(canvas.mean())
    canvas = (
        (canvas - mean) * rng.uniform(0.8, 1.3) + np.clip(mean, 0.36, 0.62) + rng.normal(0, 0.07)
    )
    canvas = np.clip(canvas, 0, 1) ** np.float32(np.exp(rng.normal(0, 0.2)))
    canvas = blurred(canvas, rng.choice([0, 0, 0.004, 0.01]) * size)
    noise = rng.normal(0, rng.uniform(0, 0.03), (64, 64, 3)).astype(np.float32)
    rows = np.arange(size) % 64
    canvas = canvas + noise[rows][:, rows]
    return (np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8)
