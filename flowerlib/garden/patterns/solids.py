"""Solids in light for patterns: distance functions, marched by rays, with shadows.

Method: Hart, "Sphere tracing", The Visual Computer 12, 1996; shadows are soft by the rays' closest
miss.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from flowerlib.garden.patterns.noise import Array, Rng, coordinates, lookup, soft_step
from flowerlib.garden.patterns.paint import surface

Distance = Callable[[Array, Array, Array], Array]  # x, y (up), z -> distance, all of one shape


def sphere(rng: Rng, style: Rng) -> Distance:
    return lambda x, y, z: np.sqrt(x * x + y * y + z * z) - 1


def block(rng: Rng, style: Rng) -> Distance:
    a, b, c = style.uniform(0.4, 1, 3) * rng.uniform(0.8, 1.2, 3)
    corner = style.uniform(0, 0.3)

    def distance(x: Array, y: Array, z: Array) -> Array:
        x, y, z = np.abs(x) - a + corner, np.abs(y) - b + corner, np.abs(z) - c + corner
        outside = np.sqrt(np.maximum(x, 0) ** 2 + np.maximum(y, 0) ** 2 + np.maximum(z, 0) ** 2)
        return outside + np.minimum(np.maximum(np.maximum(x, y), z), 0) - corner

    return distance


def drum(rng: Rng, style: Rng) -> Distance:
    radius, height = style.uniform(0.3, 0.9), style.uniform(0.2, 1)
    top = style.uniform(0.2, 1.2)

    def distance(x: Array, y: Array, z: Array) -> Array:
        here = radius * (1 + (top - 1) * (y / height + 1) / 2)
        side = (np.sqrt(x * x + z * z) - here) * 0.8
        cap = np.abs(y) - height
        return np.minimum(np.maximum(side, cap), 0) + np.hypot(
            np.maximum(side, 0), np.maximum(cap, 0)
        )

    return distance


def torus(rng: Rng, style: Rng) -> Distance:
    big, small, sides = style.uniform(0.6, 0.85), style.uniform(0.12, 0.35), style.integers(2, 9)

    def distance(x: Array, y: Array, z: Array) -> Array:
        q, angle = np.hypot(x, z) - big, np.arctan2(z, x)
        return (np.hypot(q, y) - small * (1 + 0.25 * np.sin(sides * angle))) * 0.8

    return distance


def octahedron(rng: Rng, style: Rng) -> Distance:
    tall = style.uniform(0.6, 1.3)
    return lambda x, y, z: (np.abs(x) + np.abs(y) / tall + np.abs(z) - 1) * 0.57


def crystal(rng: Rng, style: Rng) -> Distance:
    normals = style.standard_normal((9, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    reach = style.uniform(0.5, 0.95, 9)

    def distance(x: Array, y: Array, z: Array) -> Array:
        result = np.abs(y) - 1.1
        for (a, b, c), d in zip(normals.astype(np.float32), reach.astype(np.float32), strict=True):
            result = np.maximum(result, np.abs(a * x + b * y + c * z) - d)
        return result

    return distance


def jelly(rng: Rng, style: Rng) -> Distance:
    frequency, phase = (
        style.uniform(2, 7, 3).astype(np.float32),
        rng.uniform(0, 6, 3).astype(np.float32),
    )
    amount = np.float32(style.uniform(0.08, 0.25))

    def distance(x: Array, y: Array, z: Array) -> Array:
        wobble = np.sin(frequency[0] * x + phase[0]) * np.sin(frequency[1] * y + phase[1])
        ball = np.sqrt(x * x + y * y + z * z) - 0.9
        return (ball + amount * wobble * np.sin(frequency[2] * z + phase[2])) * 0.6

    return distance


def twisted(rng: Rng, style: Rng) -> Distance:
    inner, turns = block(rng, style), np.float32(style.uniform(0.8, 2.5))

    def distance(x: Array, y: Array, z: Array) -> Array:
        cos, sin = np.cos(turns * y), np.sin(turns * y)
        return inner(cos * x - sin * z, y, sin * x + cos * z) * 0.6

    return distance


def hollow(rng: Rng, style: Rng) -> Distance:
    inner = sphere(rng, style) if style.random() < 0.5 else block(rng, style)
    reach = np.float32(style.uniform(0.35, 0.75))

    def distance(x: Array, y: Array, z: Array) -> Array:
        holes = np.sqrt(np.minimum(np.minimum(x * x + y * y, y * y + z * z), x * x + z * z))
        return np.maximum(inner(x, y, z), reach - holes)

    return distance


def pile(rng: Rng, style: Rng) -> Distance:
    """Several pieces heaped up: balls or boxes of different sizes."""
    count, boxes = int(style.integers(3, 7)), style.random() < 0.5
    middles = rng.uniform(-0.8, 0.8, (count, 3)).astype(np.float32)
    reach = rng.uniform(0.25, 0.55, (count, 3)).astype(np.float32)

    def distance(x: Array, y: Array, z: Array) -> Array:
        result = np.full(x.shape, 9, np.float32)
        for (a, b, c), (p, q, r) in zip(middles, reach, strict=True):
            u, v, w = np.abs(x - a), np.abs(y - b), np.abs(z - c)
            if boxes:
                piece = np.maximum(np.maximum(u - p, v - q), w - r)
            else:
                piece = np.sqrt(u * u + v * v + w * w) - p
            result = np.minimum(result, piece)
        return result

    return distance


def critter(rng: Rng, style: Rng) -> Distance:
    """Ellipsoids grown together along a body plan of the class: limbs, knobs, bodies."""
    count, blend = int(style.integers(4, 9)), np.float32(style.uniform(0.08, 0.3))
    middles = np.cumsum(style.normal(0, 0.35, (count, 3)), 0)
    middles = (middles - middles.mean(0)) / max(np.abs(middles).max(), 0.7) * 0.75
    middles = (middles + rng.normal(0, 0.1, (count, 3))).astype(np.float32)
    reach = (style.uniform(0.12, 0.5, (count, 3)) * rng.uniform(0.8, 1.2, (count, 3))).astype(
        np.float32
    )

    def distance(x: Array, y: Array, z: Array) -> Array:
        result = np.full(x.shape, 9, np.float32)
        for (a, b, c), (p, q, r) in zip(middles, reach, strict=True):
            u, v, w = (x - a) / p, (y - b) / q, (z - c) / r
            piece = (np.sqrt(u * u + v * v + w * w) - 1) * min(p, q, r)
            near = np.clip(0.5 + 0.5 * (result - piece) / blend, 0, 1)
            result = result + near * (piece - result) - blend * near * (1 - near)
        return result

    return distance


SOLIDS = {
    function.__name__: function
    for function in (
        sphere,
        block,
        drum,
        torus,
        octahedron,
        crystal,
        jelly,
        twisted,
        hollow,
        pile,
        critter,
    )
}


def turned_distance(rng: Rng, inner: Distance, lean: float) -> Distance:
    """The solid in a random pose: any turn about the vertical, a lean of about `lean` radians."""
    a, b = rng.uniform(0, 2 * np.pi), rng.normal(0, lean)
    ca, sa, cb, sb = (np.float32(v) for v in (np.cos(a), np.sin(a), np.cos(b), np.sin(b)))

    def distance(x: Array, y: Array, z: Array) -> Array:
        x, z = ca * x - sa * z, sa * x + ca * z
        x, y = cb * x - sb * y, sb * x + cb * y
        return inner(x, y, z)

    return distance


def march(
    distance: Distance, start: list[Array], ray: list[Array], steps: int, far: float
) -> tuple[Array, Array]:
    """Walks along the rays: how far each got (`far` if it missed), its closest miss as an angle."""
    travelled = np.full(start[0].shape, 0.02, np.float32)
    closest = np.full(start[0].shape, 1.0, np.float32)
    active = np.arange(start[0].size)
    for _ in range(steps):
        t = travelled[active]
        gap = distance(*(s[active] + t * r[active] for s, r in zip(start, ray, strict=True)))
        closest[active] = np.minimum(closest[active], gap / t)
        travelled[active] = t = t + np.maximum(gap, 0.003)
        active = active[(gap > 0.004) & (t < far)]
        if not active.size:
            break
    return travelled, closest


def render(rng: Rng, style: Rng, kind: str, size: int) -> Array:
    """One solid of the class on a textured ground before a backdrop, with its shadow: (S, S, 3)."""
    distance = turned_distance(rng, SOLIDS[kind](rng, style), 0.5)
    skin, coat, ground, backdrop = (surface(rng, style, size) for _ in range(4))
    patches = surface(rng, style, size, "clouds").mean(-1)
    x, y = coordinates(size)
    zoom, level = rng.uniform(0.9, 1.5), -rng.uniform(0.7, 1.0)
    view = [
        (x.ravel() - rng.uniform(0.35, 0.65)) / zoom,
        (rng.uniform(0.4, 0.6) - y.ravel()) / zoom,
    ]
    pitch = rng.uniform(0.05, 0.9)
    ray = [
        view[0],
        view[1] * np.cos(pitch) - np.sin(pitch),
        view[1] * np.sin(pitch) + np.cos(pitch),
    ]
    length = np.sqrt(sum(r * r for r in ray))
    ray = [(r / length).astype(np.float32) for r in ray]
    away = np.float32(3.2)
    eye = [np.float32(0), away * np.float32(np.sin(pitch)), -away * np.float32(np.cos(pitch))]
    start = [np.full(size * size, e, np.float32) for e in eye]

    # Only rays that pass within 1.9 of the middle can hit the solid.
    along = -sum(e * r for e, r in zip(eye, ray, strict=True))
    near = np.flatnonzero(away**2 - along**2 < 1.9**2)
    travelled, _ = march(distance, [s[near] for s in start], [r[near] for r in ray], 40, 6.0)
    hit = near[travelled < 5.9]
    reach = travelled[travelled < 5.9]

    to_light = np.array([rng.normal(0, 0.7), rng.uniform(0.5, 1.2), rng.normal(-0.5, 0.5)])
    to_light = (to_light / np.linalg.norm(to_light)).astype(np.float32)

    # Ground plane, seen where the ray goes down; its far end fades into the backdrop.
    slope = np.minimum(ray[1], -1e-3)
    depth = np.clip((level - eye[1]) / slope, 0, 40)
    gx, gz = depth * ray[0], eye[2] + depth * ray[2]
    color = lookup(ground, 0.5 + 0.22 * gx, 0.5 + 0.22 * gz)
    horizon = (soft_step(depth, 9.0, 6.0) * (ray[1] < 0) + (ray[1] >= 0))[:, None]
    color += horizon * (backdrop.reshape(-1, 3) - color)

    def shadow_at(points: list[Array]) -> Array:
        rays = [np.full(points[0].shape, v, np.float32) for v in to_light]
        _, closest = march(distance, points, rays, 14, 4.0)
        return np.clip(closest * 7, 0.15, 1)

    dark = np.flatnonzero((ray[1] < 0) & (np.hypot(gx, gz) < 3.5))
    shadow = shadow_at([gx[dark], np.full(dark.size, level, np.float32), gz[dark]])
    color[dark] *= (0.3 + 0.7 * shadow)[:, None]

    if hit.size:
        point = [s[hit] + reach * r[hit] for s, r in zip(start, ray, strict=True)]
        normal = np.zeros((3, hit.size), np.float32)
        for corner in ((1, -1, -1), (-1, -1, 1), (-1, 1, -1), (1, 1, 1)):
            value = distance(
                *(p + np.float32(0.01 * c) for p, c in zip(point, corner, strict=True))
            )
            normal += np.array(corner, np.float32)[:, None] * value
        normal /= np.linalg.norm(normal, axis=0) + 1e-6
        u = np.where(
            np.abs(normal[0]) > 0.7, point[2], point[0]
        )  # projected along the flattest axis
        v = np.where(np.abs(normal[1]) > 0.7, point[2], point[1])
        paint = lookup(skin, 0.5 + 0.35 * u, 0.5 + 0.35 * v)
        mix = soft_step(lookup(patches, 0.5 + 0.2 * u, 0.5 + 0.2 * v), rng.uniform(0.2, 1.0), 0.1)
        paint += mix[:, None] * (lookup(coat, 0.5 + 0.3 * v, 0.5 + 0.3 * u) - paint)
        lift = [p + np.float32(0.03) * n for p, n in zip(point, normal, strict=True)]
        facing = np.clip(normal.T @ to_light, 0, 1) * shadow_at(lift)
        half = to_light - np.stack([r[hit] for r in ray], 1)
        shine = np.clip((half * normal.T).sum(1) / np.linalg.norm(half, axis=1), 0, 1)
        sky = 0.5 + 0.5 * normal[1]
        color[hit] = paint * (0.25 + 0.2 * sky + 0.8 * facing)[:, None]
        color[hit] += (rng.uniform(0, 0.5) * shine ** rng.uniform(8, 60) * facing)[:, None]
    return color.reshape(size, size, 3).astype(np.float32)
