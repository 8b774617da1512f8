"""Rooms to put furniture in: floor, walls, windows, pictures, rugs, lamps, plants, tables."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from flowerlib.garden.drawing import canvas, lighting, solids
from flowerlib.garden.drawing.frames import Frame, turn
from flowerlib.garden.drawing.solids import Stage

Array = np.ndarray
Paint = Callable[[Array, Array, Array], Array]  # x, y, z (n,) of the pixels it shows, to (3, n)


def any_color(
    rng: np.random.Generator, light: tuple[float, float], chroma: tuple[float, float]
) -> Array:
    """A random color (3,) of any hue, between two lightnesses and two chromas (Oklab)."""
    return canvas.oklch(rng.uniform(*light), rng.uniform(*chroma), rng.uniform(0, 360))


def wood(rng: np.random.Generator) -> Array:
    """A random color (3,) of wood, from birch to walnut, sometimes painted white or black."""
    if rng.random() < 0.25:
        return canvas.rgb("#e8e4dc") if rng.random() < 0.6 else canvas.rgb("#2b2826")
    return canvas.oklch(rng.uniform(0.38, 0.78), rng.uniform(0.04, 0.09), rng.uniform(50, 80))


def look_at(rng: np.random.Generator, size: int, middle: Array, width: float) -> Stage:
    """A camera at the eye's height or above, aimed at `middle`, as for a catalog.

    Args:
        width: about how wide the thing to show is, meters.
    """
    side, rise = float(rng.uniform(-0.5, 0.5)), float(rng.uniform(0.27, 0.44))
    distance = float(rng.uniform(3.3, 4.4))
    away = np.array([np.sin(side) * np.cos(rise), np.sin(rise), np.cos(side) * np.cos(rise)])
    target = middle + rng.uniform(-1, 1, 3) * (0.3, 0.24, 0.12)
    spread = width * float(rng.uniform(0.48, 0.56)) / distance
    return Stage(size, middle + away * distance, target, spread, float(rng.normal(0, 0.012)))


class Room:
    """A room whose back wall stands at z = -depth; `build` puts it on a stage.

    Attributes:
        lamp, key, sky, ground: the light in the room, as `lighting.light` takes it.
    """

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        self.rng = rng
        self.texture = canvas.noise(rng, size, 64) - np.float32(0.5)
        self.wall = any_color(rng, (0.74, 0.95), (0.0, 0.04))
        side = float(rng.choice([-1, 1]))
        lamp = np.array(
            [side * rng.uniform(0.3, 0.9), rng.uniform(0.6, 1.0), rng.uniform(0.2, 0.8)]
        )
        self.lamp = lamp / np.sqrt((lamp**2).sum())
        warm = rng.uniform(-0.02, 0.09)
        strong = rng.uniform(0.5, 0.7)
        self.key = np.array([1 + warm, 1.0, 1 - warm], np.float32) * np.float32(strong)
        self.sky = np.array([0.57, 0.57, 0.58], np.float32) * np.float32(rng.uniform(0.92, 1.08))
        self.ground = self.sky * np.array([0.74, 0.68, 0.62], np.float32)

    def build(self, stage: Stage, depth: float, clear: float) -> None:
        """Puts up the walls and the floor, and some things that stand around.

        Call it last: walls are painted only where nothing stands before them.

        Args:
            depth: how far behind the origin the back wall is.
            clear: half the width that must stay free for the furniture.
        """
        self._things(stage, depth, clear)
        floor = stage.plane(1, 0.0, self._floor(), sparse=True)
        stage.surface[solids.COLOR] *= np.float32(1) + np.float32(0.08) * self.texture * floor
        stage.plane(2, -depth, self._papered(), sparse=True)
        if self.rng.random() < 0.6:
            width = max(abs(float(stage.eye[0])) + 0.4, clear + float(self.rng.uniform(0.5, 1.8)))
            plain = self.wall * np.float32(self.rng.uniform(0.88, 1.0))
            for side in (-1, 1):
                stage.plane(0, side * width, lambda x, y, z: plain[:, None], sparse=True)

    def _floor(self) -> Paint:
        rng = self.rng
        kind = ("planks", "planks", "tiles", "carpet")[int(rng.integers(4))]
        color = wood(rng) if kind == "planks" else any_color(rng, (0.55, 0.85), (0.0, 0.035))
        width = float(rng.uniform(0.12, 0.25)) if kind == "planks" else float(rng.uniform(0.4, 0.7))
        along = rng.random() < 0.5
        rug = any_color(rng, (0.5, 0.9), (0.0, 0.06)) if rng.random() < 0.6 else None
        edge = any_color(rng, (0.35, 0.9), (0.0, 0.07))
        middle, half = rng.uniform(-0.2, 0.6, 2), rng.uniform(0.9, 1.6, 2)
        round_rug, bands = rng.random() < 0.3, float(rng.choice([0, 0, 0, 0, 0, 11]))

        def paint(x: Array, y: Array, z: Array) -> Array:
            out = np.repeat(color[:, None], len(x), axis=1)
            if kind != "carpet":
                across = (x if along else z) * np.float32(1 / width)
                board = np.floor(across)
                gap = np.abs(across - board - np.float32(0.5))
                if kind == "tiles":
                    other = (z if along else x) * np.float32(1 / width)
                    gap = np.maximum(gap, np.abs(other - np.floor(other) - np.float32(0.5)))
                else:
                    out *= np.float32(0.91) + np.float32(0.13) * np.sin(board * 12.9) ** 2
                out *= 1 - np.float32(0.15) * canvas.smoothstep(0.45, 0.5, gap)
            if rug is not None:
                u, v = x - np.float32(middle[0]), z - np.float32(middle[1])
                if round_rug:
                    inside = canvas.circle(u, v, half[0])
                else:
                    inside = canvas.box(u, v, half[0], half[1])
                border = canvas.cover(np.abs(inside + 0.12) - 0.04, 0.03)
                if bands:
                    stripes = canvas.smoothstep(0.2, 0.5, np.sin(v * np.float32(bands)))
                    border = np.maximum(border, stripes * np.float32(0.3))
                pile = rug[:, None] + border * (edge - rug)[:, None]
                out += canvas.cover(inside, 0.03) * (pile - out)
            return out

        return paint

    def _papered(self) -> Paint:
        """The back wall with what hangs on it."""
        rng, wall = self.rng, self.wall
        hanging = []
        x = -3.0
        while x < 3.0:  # windows, pictures and mirrors, from left to right
            kind = ("gap", "window", "picture", "gap", "gap", "gap")[int(rng.integers(6))]
            half = rng.uniform(0.4, 0.65) if kind == "window" else rng.uniform(0.18, 0.4)
            color = any_color(rng, (0.45, 0.9), (0.0, 0.09))
            frame = wood(rng)
            x += half + rng.uniform(0.15, 0.45)
            if kind != "gap":
                height = rng.uniform(0.45, 0.7) if kind == "window" else rng.uniform(0.18, 0.35)
                hanging.append((kind, x, rng.uniform(1.6, 1.8), half, height, color, frame))
            x += half
        stripes = float(rng.choice([0, 0, 0, 0, 0, 22]))
        panel = float(rng.choice([0, 0, 0, 1.0]))
        below = wall * np.float32(rng.uniform(0.75, 0.92))
        sky = canvas.oklch(rng.uniform(0.88, 0.97), 0.03, 235) * np.float32(1.25)

        def paint(x: Array, y: Array, z: Array) -> Array:
            out = np.repeat(wall[:, None], len(x), axis=1)
            if stripes:
                waves = canvas.smoothstep(-0.2, 0.2, np.sin(x * np.float32(stripes)))
                out *= np.float32(1) - np.float32(0.04) * waves
            if panel:
                out += canvas.cover(y - np.float32(panel), 0.02) * (below[:, None] - out)
            for kind, at, up, half, height, color, frame in hanging:
                near = (np.abs(x - np.float32(at)) < half + 0.03) & (np.abs(y - up) < height + 0.03)
                if not near.any():
                    continue
                u, v = x[near] - np.float32(at), y[near] - np.float32(up)
                inside = canvas.cover(canvas.box(u, v, half - 0.05, height - 0.05), 0.02)
                if kind == "window":
                    inside *= np.float32(1) - canvas.cover(np.abs(u) - np.float32(0.02), 0.02)
                    pane = sky[:, None] * (np.float32(0.9) + np.float32(0.2) * v)
                else:
                    wave = np.sin(u * 9 + color[0] * 20) * 0.08 - v
                    hills = canvas.smoothstep(-0.02, 0.02, wave)
                    pane = color[:, None] * (1 - np.float32(0.35) * hills)
                hung = frame[:, None] + inside * (pane - frame[:, None])
                cover = canvas.cover(canvas.box(u, v, half, height), 0.02)
                out[:, near] += cover * (hung - out[:, near])
            out += canvas.cover(y - np.float32(0.1), 0.015) * (np.float32(0.92) - out)
            return out

        return paint

    def _things(self, stage: Stage, depth: float, clear: float) -> None:
        """Side tables, lamps and plants beside the furniture, sometimes a table before it."""
        rng = self.rng
        for side in (-1, 1):
            kind = ("nothing", "table", "lamp", "plant", "table")[int(rng.integers(5))]
            x = side * (clear + rng.uniform(0.3, 0.45))
            z = -depth + rng.uniform(0.3, 0.5)
            if kind == "table":
                high = rng.uniform(0.22, 0.3)
                stage.solid(Frame((x, high, z)), (0.23, high, 0.22), wood(rng), power=16)
                if rng.random() < 0.7:
                    self._shade(stage, x, 2 * high + 0.32, z, 0.15)
                    stage.solid(Frame((x, 2 * high + 0.12, z)), (0.06, 0.13, 0.06), wood(rng))
            elif kind == "lamp":
                stage.solid(Frame((x, 0.75, z)), (0.02, 0.75, 0.02), wood(rng), power=8)
                self._shade(stage, x, 1.5, z, 0.2)
            elif kind == "plant":
                pot = any_color(rng, (0.45, 0.9), (0.0, 0.07))
                stage.solid(Frame((x, 0.18, z)), (0.17, 0.18, 0.17), pot, power=4)
                green = canvas.oklch(rng.uniform(0.42, 0.6), 0.09, rng.uniform(125, 150))
                for _ in range(6):
                    lean = turn(yaw=rng.uniform(0, 6.3), pitch=rng.uniform(0.1, 0.8))
                    leaf = Frame((x, 0.35, z), lean).child((0, 0.32, 0))
                    stage.solid(leaf, (0.09, 0.34, 0.025), green * rng.uniform(0.8, 1.2))
        if rng.random() < 0.05:
            z, high = rng.uniform(1.2, 1.5), rng.uniform(0.16, 0.2)
            x = rng.uniform(-0.5, 0.5)
            top = wood(rng)
            stage.solid(Frame((x, 2 * high, z)), (0.42, 0.03, 0.25), top, power=16, shine=0.15)
            for i in (-1, 1):
                stage.solid(Frame((x + i * 0.34, high, z)), (0.03, high, 0.18), top, power=16)

    def _shade(self, stage: Stage, x: float, y: float, z: float, half: float) -> None:
        glow = canvas.oklch(0.93, 0.05, self.rng.uniform(60, 95)) * np.float32(1.35)
        stage.solid(Frame((x, y, z)), (half, half * 0.85, half), glow, power=4)

    def light(self, stage: Stage) -> Array:
        """The lit picture (H, W, 3) float32; cloth (coat > 0) gets soft wrinkles."""
        size = stage.size
        grain = np.random.default_rng(self.rng.integers(2**62))
        cloth = stage.surface[solids.COAT] * np.float32(0.16)
        for i in (0, 1):
            stage.surface[i] += cloth * (canvas.noise(grain, size, 17) - np.float32(0.5))
        return lighting.light(
            stage, self.lamp, self.key, self.sky, self.ground, reach=0.5, dark=0.6, crease=0.4
        )
