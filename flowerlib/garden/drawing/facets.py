"""Small models of flat faces, and a camera that draws them with Pillow: fast at thumbnail size.

Model coordinates: x forward, y up, z to the left; meters. Faces are drawn from the far to the near;
each may carry decals (windows, lamps), drawn right after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

Array = np.ndarray
Point = tuple[float, float, float]
TURN = [2 * np.pi * i / 12 for i in range(12)]
DISC = [(float(np.cos(a)), float(np.sin(a))) for a in TURN]
GLASS = np.array([0.16, 0.22, 0.30], dtype=np.float32)


@dataclass
class Face:
    """A flat polygon, or with `width` a line; `cull` hides it when it is seen from behind."""

    points: list[Point]
    color: Array
    cull: bool = True
    width: float = 0.0
    bias: float = 0.0  # meters by which it counts as nearer when the order is decided
    glow: float = 0.0  # 1: not shaded at all
    decals: list[Face] = field(default_factory=list)


class Model:
    """A list of faces with shortcuts for the usual parts."""

    def __init__(self) -> None:
        self.faces: list[Face] = []

    def plate(self, points: list[Point], color: Array, bias: float = 0.0) -> None:
        """A thin sheet, seen from both sides: a wing, a sail."""
        self.faces.append(Face(points, color, cull=False, bias=bias))

    def rod(self, points: list[Point], color: Array, width: float, bias: float = 0.0) -> None:
        """A line of a width in meters: a mast, a frame tube."""
        self.faces.append(Face(points, color, cull=False, width=width, bias=bias))

    def prism(
        self,
        profile: Sequence[tuple[float, float]],
        half: float,
        color: Array,
        *,
        at: tuple[float, float, float] = (0, 0, 0),
        paint: dict[int, Array] | None = None,
        side: Sequence[tuple[Sequence[tuple[float, float]], Array]] = (),
        front: Sequence[tuple[int, Sequence[tuple[float, float]], Array]] = (),
        narrow: dict[int, float] | None = None,
    ) -> None:
        """A side view (x, y), counter-clockwise seen from +z, widened to z = -half..half.

        Args:
            paint: other colors for some edges of the profile, by number.
            side: decals (polygon of (x, y), color) on both flanks.
            front: decals on edges: (edge, [(along the edge 0..1, across -1..1)], color).
            narrow: factor of the half width at some corners, by number.
        """
        dx, dy, dz = at
        narrow = narrow or {}
        wide = [half * narrow.get(i, 1.0) for i in range(len(profile))]
        left = [(x + dx, y + dy, w + dz) for (x, y), w in zip(profile, wide, strict=True)]
        right = [(x + dx, y + dy, dz - w) for (x, y), w in zip(profile, wide, strict=True)]
        for sign, points in ((1, left), (-1, right[::-1])):
            decals = [
                Face([(x + dx, y + dy, dz + sign * half) for x, y in shape], tone, cull=False)
                for shape, tone in side
            ]
            self.faces.append(Face(points, color, decals=decals))
        count = len(profile)
        for i in range(count):
            j = (i + 1) % count
            face = Face([left[j], left[i], right[i], right[j]], (paint or {}).get(i, color))
            for edge, shape, tone in front:
                if edge == i:
                    a, b = np.array(left[i]), np.array(left[j])
                    spots = []
                    for along, across in shape:
                        spot = a + (b - a) * along
                        spots.append((float(spot[0]), float(spot[1]), dz + half * across))
                    face.decals.append(Face(spots, tone, cull=False))
            self.faces.append(face)

    def box(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        half: float,
        color: Array,
        **more: object,
    ) -> None:
        """A box from x[0] to x[1] and y[0] to y[1]; edges: 0 bottom, 1 front, 2 top, 3 rear."""
        corners = [(x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1])]
        self.prism(corners, half, color, **more)  # type: ignore[arg-type]

    def tube(
        self, rings: Sequence[tuple[float, float, float]], color: Array, *,
        z: float = 0.0, flat: float = 1.0, sides: int = 8, paint: dict[int, Array] | None = None,
    ) -> None:  # fmt: skip
        """A body of revolution along x: rings of (x, height of the center, radius)."""
        angles = [2 * np.pi * (i + 0.5) / sides for i in range(sides)]
        loops = [
            [(x, y + r * float(np.sin(a)), z + r * flat * float(np.cos(a))) for a in angles]
            for x, y, r in rings
        ]
        for k, (one, two) in enumerate(zip(loops, loops[1:], strict=False)):
            tone = (paint or {}).get(k, color)
            for i in range(sides):
                j = (i + 1) % sides
                self.faces.append(Face([one[i], one[j], two[j], two[i]], tone))
        self.faces.append(Face(loops[0][::-1], color))
        self.faces.append(Face(loops[-1], color))

    def wheel(
        self, x: float, y: float, z: float, radius: float, tyre: Array, hub: Array, *,
        side: int = 1, thick: float = 0.2,
    ) -> None:  # fmt: skip
        """A solid wheel whose outer side looks towards +z (side 1) or -z (side -1)."""
        ring = [(x + radius * c, y + radius * s, z) for c, s in DISC]
        inner = [(x + 0.55 * radius * c, y + 0.55 * radius * s, z) for c, s in DISC]
        ring = ring if side > 0 else ring[::-1]
        back = [(a, b, c - side * thick) for a, b, c in ring]
        decal = Face(inner, hub, cull=False)
        self.faces.append(Face(back, tyre * 0.8, cull=False, bias=0.1))
        self.faces.append(Face(ring, tyre, decals=[decal], bias=0.6))

    def hoop(self, x: float, y: float, radius: float, color: Array, width: float) -> None:
        """A thin wheel in the middle plane (z = 0) that one can look through."""
        points = [(x + radius * c, y + radius * s, 0.0) for c, s in DISC]
        self.rod([*points, points[0]], color, width)


def render(
    model: Model, size: int, view: Array, lamp: Array, *, fill: float, move: tuple[float, float],
    distance: float, ambient: float,
) -> tuple[Array, Array, tuple[float, float, float, float]]:  # fmt: skip
    """Draws a model: color (size, size, 3), coverage (size, size), and its bounds on the screen.

    Args:
        view: rotation (3, 3) from model to camera coordinates (x right, y up, z to the viewer).
        lamp: unit vector (3,) towards the light, in model coordinates.
        fill: how much of the picture's width or height the model takes.
        move: where its middle lies (right, down), in -1..1.
        distance: from camera to model, in model lengths: small means strong perspective.

    Returns:
        The bounds are left, top, right, bottom in -1..1.
    """
    flat: list[Face] = []
    for face in model.faces:
        flat.append(face)
        flat.extend(face.decals)
    counts = [len(face.points) for face in flat]
    points = np.array([p for face in flat for p in face.points], dtype=np.float64)
    middle = (points.min(0) + points.max(0)) / 2
    length = float(np.sqrt(((points.max(0) - points.min(0)) ** 2).sum()))
    seen = ((points - middle)[:, None, :] * view).sum(-1)
    depth = distance * length - seen[:, 2]
    plane = seen[:, :2] / depth[:, None] * np.array([1, -1])
    low, high = plane.min(0), plane.max(0)
    zoom = 2 * fill / float((high - low).max())
    plane = (plane - (low + high) / 2) * zoom + np.array(move)
    bounds = (*plane.min(0).tolist(), *plane.max(0).tolist())
    scale = 4 if size <= 64 else 2
    pixels = ((plane + 1) * (size * scale / 2)).tolist()

    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    first, second, third = (points[np.minimum(starts + k, len(points) - 1)] for k in (0, 1, 2))
    a, b = second - first, third - first
    normal = np.stack(
        [
            a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1],
            a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2],
            a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0],
        ],
        axis=1,
    )
    normal /= np.sqrt((normal**2).sum(1, keepdims=True)) + 1e-9
    eye = middle + view[2] * distance * length
    facing = (normal * (eye - first)).sum(1)
    bright = (normal * lamp).sum(1) * np.where(facing < 0, -1, 1)
    bright = (ambient + (1 - ambient) * (0.35 + 0.65 * np.maximum(bright, -0.2))).tolist()
    far = (np.add.reduceat(depth, starts) / np.array(counts)).tolist()
    visible = (facing > 0).tolist()

    image = Image.new("RGBA", (size * scale, size * scale))
    pen = ImageDraw.Draw(image)
    order, at = [], 0
    while at < len(flat):
        face = flat[at]
        order.append((far[at] - face.bias, at))
        at += 1 + len(face.decals)
    order.sort(reverse=True)
    for _, at in order:
        face = flat[at]
        if face.cull and not visible[at]:
            continue
        for i in range(at, at + 1 + len(face.decals)):
            part = flat[i]
            light = max(part.glow, bright[i if not part.width else at]) if not part.width else 0.9
            color = tuple(min(255, int(255 * c * light)) for c in part.color.tolist())
            begin = int(starts[i])
            line = [tuple(p) for p in pixels[begin : begin + counts[i]]]
            if part.width:
                thick = part.width / far[i] * zoom * size * scale / 2
                pen.line(line, fill=(*color, 255), width=max(2, round(thick)), joint="curve")
            else:
                pen.polygon(line, fill=(*color, 255))
    small = np.asarray(image.resize((size, size), Image.Resampling.BOX), dtype=np.float32)
    return small[..., :3] / np.float32(255), small[..., 3] / np.float32(255), bounds
