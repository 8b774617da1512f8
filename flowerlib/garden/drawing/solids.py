"""Soft three-dimensional solids under a camera: what pets and furniture are built of.

A `Stage` holds, for every pixel, how far away the nearest surface is, which way it faces and what
color it has. Solids are put on it one after the other; then `lighting` turns it into a picture.
World coordinates: x right, y up, z towards the viewer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from flowerlib.garden.drawing import canvas
from flowerlib.garden.drawing.frames import Frame, Place
from flowerlib.garden.drawing.rays import FAR, powers, superellipsoid

Array = np.ndarray
Color = Array | Callable[[Array, Array, Array], Array]
NORMAL, COLOR, COAT, SHINE = slice(0, 3), slice(3, 6), 6, 7  # planes of Stage.surface


class Stage:
    """Pixels that look at a world from a camera, and the surfaces that they see.

    Args:
        size: pixels a side.
        eye, target: where the camera stands, and what it looks at (world coordinates).
        spread: tangent of half the angle of view.
        roll: radians by which the camera is held askew.
    """

    def __init__(
        self,
        size: int,
        eye: Place,
        target: Place,
        spread: float,
        roll: float = 0.0,
    ) -> None:
        self.size, self.spread = size, spread
        self.eye = np.asarray(eye, dtype=np.float64)
        ahead = np.asarray(target, dtype=np.float64) - self.eye
        ahead /= np.sqrt((ahead**2).sum())
        right = np.cross(ahead, (0.0, 1.0, 0.0))
        right /= np.sqrt((right**2).sum())
        up = np.cross(right, ahead)
        cosine, sine = np.cos(roll), np.sin(roll)
        right, up = right * cosine + up * sine, up * cosine - right * sine
        self.basis = np.stack([right / spread, up / spread, ahead])  # world to screen
        # The ray through (x, y) is ahead + x * right + y * down; a step of 1 is a depth of 1.
        self.ahead = ahead
        self.pixels = np.stack([ahead, right * spread, -up * spread], axis=1)
        line = canvas.grid(size)[0][0]
        self.x, self.y = line[None, :], line[:, None]
        self.depth = np.full((size, size), FAR)
        self.surface = np.zeros((8, size, size), dtype=np.float32)
        self.surface[2] = 1
        self.fuzz: Array | None = None  # (size, size), about -1..1: makes outlines furry

    def rays(self) -> Array:
        """Direction (3, H, W) of the ray of every pixel; a step of 1 is a depth of 1."""
        return np.stack(self._across(np.eye(3), (slice(None), slice(None))))

    def _across(self, ways: Array, window: tuple) -> list[Array]:
        """Scalar products (h, w) of directions (n, 3) with the rays of a window's pixels."""
        x, y = self.x[:, window[1]], self.y[window[0]]
        terms = (ways @ self.pixels).astype(np.float32)
        return [(a + b * x) + c * y for a, b, c in terms]

    def screen(self, place: Array) -> tuple[float, float, float]:
        """Column, row (pixels) and depth at which a place (3,) in the world is seen."""
        sideways, upwards, depth = self.basis @ (np.asarray(place) - self.eye)
        half = self.size / 2
        return half * (1 + sideways / depth), half * (1 - upwards / depth), depth

    def place(self) -> Array:
        """World coordinates (3, H, W) of what every pixel sees."""
        return self.rays() * self.depth + self.eye.astype(np.float32)[:, None, None]

    def plane(
        self,
        axis: int,
        at: float,
        color: Callable[[Array, Array, Array], Array],
        shine: float = 0,
        sparse: bool = False,
    ) -> Array:
        """Puts up the endless plane where coordinate `axis` is `at`; color(x, y, z) paints it.

        Args:
            sparse: color gets (and gives) only the pixels that show the plane, (n,) and (3, n):
                faster, for paint that depends on nothing but the place.

        Returns:
            Which pixels show it, bool (size, size).
        """
        rays = self.rays()
        gap = np.float32(at - self.eye[axis])
        facing = rays[axis] * np.sign(gap)
        depth = np.abs(gap) / np.maximum(facing, np.float32(1e-6))
        seen = (depth < self.depth) & (facing > 1e-6)
        if not seen.any():
            return seen
        if sparse:
            near = depth[seen]
            x, y, z = (
                ray[seen] * near + eye
                for ray, eye in zip(rays, self.eye.astype(np.float32), strict=True)
            )
            self.surface[COLOR, seen] = color(x, y, z)
        else:
            depth = np.where(seen, depth, np.float32(1))
            x, y, z = rays * depth + self.eye.astype(np.float32)[:, None, None]
            np.copyto(self.surface[COLOR], color(x, y, z), where=seen)
        for i, value in ((0, 0), (1, 0), (2, 0), (COAT, 0), (SHINE, shine)):
            self.surface[i][seen] = value
        self.surface[axis][seen] = -np.sign(gap)
        np.copyto(self.depth, depth, where=seen)
        return seen

    def solid(
        self,
        frame: Frame,
        half: Sequence[float],
        color: Color,
        *,
        power: int = 2,
        blend: float = 0.0,
        coat: float = 0.0,
        shine: float = 0.0,
    ) -> None:
        """Puts a rounded solid at a frame's origin: where |x|^power + |y|^power + |z|^power < 1.

        Args:
            half: half sizes (3,) along the frame's axes.
            color: (3,), or a function of the solid's own coordinates (-1..1) to (3, h, w).
            power: 2 is an ellipsoid, 4 a cushion, 8 a mattress, 16 a box with soft edges.
            blend: depth over which it melts into what is already there.
            coat, shine: how strongly it takes a fur pattern, and how glossy it is.
        """
        half_sizes = np.asarray(half, dtype=np.float64)
        window = self._window(frame, half_sizes, power)
        if window is None:
            return
        to_local = (frame.axes / half_sizes).T  # world directions to the solid's own
        start = to_local @ (self.eye - frame.origin)
        old = self.depth[window]
        if power == 2:
            fuzz = None
            if self.fuzz is not None and coat and blend > 0.02:
                fuzz = self.fuzz[window] * np.float32(2 / max(half))
            depth, hit = self._ellipsoid(start, to_local @ self.pixels, window, fuzz)
        else:
            ways = self._across(to_local, window)
            depth, hit = superellipsoid(start.tolist(), ways, power)
        hit &= depth < old + np.float32(blend)
        if not hit.any():
            return
        near = np.where(hit, depth, np.float32(0))
        if power > 2 or callable(color):
            ways = ways if power > 2 else self._across(to_local, window)
            local = [np.float32(s) + near * way for s, way in zip(start, ways, strict=True)]
        if power == 2:  # the gradient of a quadratic form is linear along a ray
            fixed = (to_local.T @ start).astype(np.float32)
            slopes = self._across(to_local.T @ to_local, window)
            normal = [near * slope + at for slope, at in zip(slopes, fixed, strict=True)]
        else:
            # Where nothing is hit the coordinates are anything; they must not overflow.
            steep = [powers(np.clip(v, -2, 2), power)[0] for v in local]
            normal = [
                sum(np.float32(to_local[j, i]) * steep[j] for j in range(3)) for i in range(3)
            ]
        paint = color(*local) if callable(color) else np.reshape(color, (3, 1, 1))
        self._put(window, depth, normal, hit, paint, coat, shine, blend)

    def leaf(
        self,
        frame: Frame,
        half: Sequence[float],
        outline: Callable[[Array, Array], Array],
        color: Array | Callable[[Array, Array, float], Array],
        *,
        bulge: float = 0.6,
        blend: float = 0.0,
        coat: float = 0.0,
    ) -> None:
        """Puts a thin flat shape in the x-y plane of a frame, where outline(u, v) is negative.

        Args:
            half: half width and half height; u and v run over -1..1 in them.
            color: (3,), or a function of (u, v, side), side 1 in front and -1 behind.
            bulge: how much its shading curves, as if it were thick in the middle.
        """
        half_sizes = np.array([half[0], half[1], 1e-3])
        window = self._window(frame, half_sizes, 16)
        if window is None:
            return
        to_local = (frame.axes / half_sizes).T
        start = to_local @ (self.eye - frame.origin)
        ways = self._across(to_local, window)
        if abs(start[2]) < 1:
            return  # seen from the edge
        depth = np.float32(-start[2]) / np.where(np.abs(ways[2]) < 1e-3, np.float32(1e-3), ways[2])
        u, v = (np.float32(start[i]) + depth * ways[i] for i in (0, 1))
        hit = (outline(u, v) < 0) & (depth > 0) & (depth < self.depth[window] + np.float32(blend))
        if not hit.any():
            return
        side = float(np.sign(start[2]))
        sideways, upwards = np.float32(bulge) * u, np.float32(bulge * 0.5) * v
        across, along, ahead = frame.axes.T.astype(np.float32)
        normal = [
            ahead[i] * np.float32(side) + sideways * across[i] + upwards * along[i]
            for i in range(3)
        ]
        paint = color(u, v, side) if callable(color) else np.reshape(color, (3, 1, 1))
        self._put(window, np.where(hit, depth, FAR), normal, hit, paint, coat, 0, blend)

    def _window(self, frame: Frame, half: Array, power: int) -> tuple[slice, slice] | None:
        """Rows and columns that a solid can cover; None if it is out of the picture."""
        middle = self.basis @ (frame.origin - self.eye)
        sides = np.abs(self.basis @ (frame.axes * half))
        reach = np.sqrt((sides**2).sum(1)) if power == 2 else sides.sum(1)
        if middle[2] + reach[2] < 0.05:
            return None
        nearest = middle[2] - reach[2]
        if nearest < 0.05:  # reaches behind the camera: its outline has no simple bounds
            return slice(0, self.size), slice(0, self.size)
        grow = middle[2] / nearest if power > 2 else 1 + 0.6 * (middle[2] / nearest - 1)
        bounds = []
        for i, sign in ((1, -1), (0, 1)):
            at, wide = sign * middle[i] / middle[2], reach[i] / middle[2]
            low, high = at - wide * grow, at + wide * grow
            if power > 2 or grow > 1.1:  # the nearest part is also seen further from the middle
                low, high = min(low, low * grow), max(high, high * grow)
            low, high = (self.size / 2 * (1 + edge) for edge in (low, high))
            first, last = max(int(low), 0), min(int(high) + 2, self.size)
            if first >= last:
                return None
            bounds.append(slice(first, last))
        return bounds[0], bounds[1]

    def _ellipsoid(
        self, start: Array, ways: Array, window: tuple, fuzz: Array | None
    ) -> tuple[Array, Array]:
        """First depth where the rays meet an ellipsoid; all terms are polynomials in x and y."""
        x, y = self.x[:, window[1]], self.y[window[0]]
        g, toward = (ways.T @ ways).astype(np.float32), (start @ ways).astype(np.float32)
        square = (g[0, 0] + (2 * g[0, 1] + g[1, 1] * x) * x) + (2 * g[0, 2] + g[2, 2] * y) * y
        square += (2 * g[1, 2] * y) * x
        inverse = np.float32(1) / square
        nearest = -((toward[0] + toward[1] * x) + toward[2] * y) * inverse
        outside = np.float32((start * start).sum() - 1)
        inside = nearest * nearest
        inside -= (outside if fuzz is None else outside - fuzz) * inverse
        hit = (inside > 0) & (nearest > 0)
        return nearest - np.sqrt(np.maximum(inside, np.float32(0))), hit

    def _put(
        self, window: tuple, depth: Array, normal: list, hit: Array, color: Array,
        coat: float, shine: float, blend: float,
    ) -> None:  # fmt: skip
        """Writes a surface where it is in front, or mixes it in where it is about as near."""
        old, surface = self.depth[window], self.surface[(slice(None), *window)]
        length = normal[0] * normal[0] + normal[1] * normal[1] + normal[2] * normal[2]
        inverse = np.float32(1) / np.sqrt(length + np.float32(1e-12))
        if blend:
            weight = canvas.clip01((old - depth) * np.float32(0.5 / blend) + np.float32(0.5))
            weight *= hit
            rest = np.float32(1) - weight
            surface *= rest
            surface[COLOR] += weight * color
            surface[COAT] += weight * np.float32(coat)
            inverse *= weight
            for i in range(3):
                surface[i] += normal[i] * inverse
            rounding = np.float32(blend) * weight * rest
            np.copyto(old, old * rest + depth * weight - rounding, where=hit)
            return
        for i in range(3):
            np.copyto(surface[i], normal[i] * inverse, where=hit)
        np.copyto(surface[COLOR], color, where=hit)
        np.copyto(surface[COAT], np.float32(coat), where=hit)
        np.copyto(surface[SHINE], np.float32(shine), where=hit)
        np.copyto(old, depth, where=hit)
