"""The bodies of cats and dogs: one skeleton for both, in three poses."""

from __future__ import annotations

import numpy as np

from flowerlib.garden.drawing import canvas
from flowerlib.garden.drawing.frames import Frame, turn
from flowerlib.garden.drawing.solids import Stage
from flowerlib.garden.pets.breeds import Traits

Array = np.ndarray


class Pet(Traits):
    """One animal; `build` puts its body on a stage."""

    def build(self, stage: Stage, pose: str, root: Frame) -> None:
        """Puts the body on a stage; the head comes after it, at `neck`."""
        length = np.float32(0.03 * self.fluff + 0.004)
        stage.fuzz = length * (canvas.noise(self.grain, stage.size, 72) * 2 - 1)
        {"sit": self._sit, "stand": self._stand, "lie": self._lie}[pose](stage, root)

    def neck(self, pose: str) -> tuple[float, float, float]:
        """Where the head sits, in the body's coordinates."""
        if pose == "sit":
            return (0.0, 1.02 + 0.55 * self.leg + (0.08 if self.cat else 0.14), 0.22)
        return (0.0, 0.62 * self.leg + 0.80, 0.92) if pose == "stand" else (0.0, 0.92, 0.62)

    def part(
        self,
        stage: Stage,
        frame: Frame,
        place: tuple,
        half: tuple,
        part: str,
        axes: Array | None = None,
        blend: float = 0.12,
    ) -> None:
        puff = 1 + 0.12 * self.fluff
        stage.solid(
            frame.child(place, axes),
            [h * puff for h in half],
            self.color[part],
            blend=blend,
            coat=1.0,
        )

    def limb(
        self, stage: Stage, frame: Frame, start: tuple, end: tuple, thick: float, part: str
    ) -> None:
        """A leg: an ellipsoid from `start` to `end`, in the frame's coordinates."""
        a, b = np.array(start), np.array(end)
        along = b - a
        length = float(np.sqrt((along**2).sum()))
        y = along / length
        x = np.array([y[1], -y[0], 0.0]) if abs(y[2]) < 0.9 else np.array([0.0, y[2], -y[1]])
        x /= np.sqrt((x**2).sum())
        z = (x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0])
        axes = np.stack([x, y, z], axis=1)
        self.part(stage, frame, tuple((a + b) / 2), (thick, length * 0.62, thick), part, axes, 0.1)

    def _tail(self, stage: Stage, frame: Frame, place: tuple, lift: float) -> None:
        kind, rng = self.breed.tail, self.rng
        count, thick = (1, 0.1) if kind == "stub" else (4, 0.16 if kind == "bushy" else 0.085)
        if kind == "curled":
            thick, lift = 0.13, 1.2
        position = np.array(place)
        swing, bend = float(rng.uniform(-0.5, 0.5)), float(rng.uniform(0.05, 0.35))
        if kind == "curled":
            bend = 0.62
        angle = lift
        for i in range(count):
            step = (
                np.array(
                    [np.sin(swing) * np.cos(angle), np.sin(angle), -np.cos(swing) * np.cos(angle)]
                )
                * 0.27
            )
            before, position = position, position + step
            position[1] = max(position[1], 0.09)
            fat = thick * (1 - 0.1 * i) if kind != "bushy" else thick * (0.8 + 0.15 * min(i, 2))
            self.limb(
                stage, frame, tuple(before), tuple(position), fat, "tail" if i > 0 else "body"
            )
            angle += 1.4 * bend
            swing += 0.4 * np.sign(swing)

    def _sit(self, stage: Stage, root: Frame) -> None:
        w, leg = self.slim, 0.55 * self.leg
        self.part(stage, root, (0, 0.42, -0.42), (0.42 * w, 0.42, 0.46), "body")
        self.part(
            stage,
            root,
            (0, 0.55 + leg * 0.5, -0.08),
            (0.35 * w, 0.55, 0.36),
            "body",
            turn(pitch=0.3),
            0.2,
        )
        self.part(stage, root, (0, 0.55 + leg, 0.13), (0.30 * w, 0.34, 0.27), "belly", None, 0.1)
        self.limb(stage, root, (0, 0.60 + leg, 0.0), (0, 0.95 + leg, 0.12), 0.26, "body")
        for side in (-1, 1):
            self.part(stage, root, (side * 0.34 * w, 0.30, -0.22), (0.17, 0.30, 0.36), "body")
            self.part(stage, root, (side * 0.38 * w, 0.08, 0.12), (0.11, 0.09, 0.20), "paw")
            self.limb(
                stage,
                root,
                (side * 0.17 * w, 0.50 + leg, 0.18),
                (side * 0.16, 0.12, 0.36),
                0.115,
                "leg",
            )
            self.part(stage, root, (side * 0.16, 0.08, 0.44), (0.12, 0.085, 0.16), "paw")
        self._tail(stage, root, (0.1, 0.14, -0.8), 0.1 if self.cat else 0.35)

    def _stand(self, stage: Stage, root: Frame) -> None:
        w, leg = self.slim, 0.62 * self.leg
        self.part(stage, root, (0, leg + 0.30, 0.42), (0.30 * w, 0.36, 0.38), "body")
        self.part(stage, root, (0, leg + 0.26, -0.05), (0.29 * w, 0.30, 0.55), "belly", None, 0.2)
        self.part(stage, root, (0, leg + 0.30, -0.10), (0.29 * w, 0.29, 0.60), "body", None, 0.2)
        self.part(stage, root, (0, leg + 0.28, -0.55), (0.28 * w, 0.33, 0.34), "body", None, 0.2)
        stride = self.rng.uniform(-0.16, 0.16, 4)
        for i, (side, z) in enumerate(((-1, 0.5), (1, 0.5), (-1, -0.6), (1, -0.6))):
            foot = (side * 0.17 * w, 0.1, z + stride[i])
            self.limb(stage, root, (side * 0.18 * w, leg + 0.2, z), foot, 0.115, "leg")
            self.part(stage, root, (foot[0], 0.08, foot[2] + 0.06), (0.11, 0.085, 0.15), "paw")
        self.limb(stage, root, (0, leg + 0.35, 0.55), (0, leg + 0.62, 0.78), 0.22, "body")
        self._tail(stage, root, (0, leg + 0.42, -0.78), float(self.rng.uniform(-0.5, 1.1)))

    def _lie(self, stage: Stage, root: Frame) -> None:
        w = self.slim
        self.part(stage, root, (0, 0.36, 0.30), (0.32 * w, 0.38, 0.40), "body")
        self.part(stage, root, (0, 0.33, -0.25), (0.36 * w, 0.33, 0.60), "body", None, 0.2)
        self.part(stage, root, (0, 0.34, -0.65), (0.38 * w, 0.36, 0.40), "body", None, 0.2)
        self.part(stage, root, (0, 0.36, 0.52), (0.24 * w, 0.28, 0.24), "belly", None, 0.1)
        for side in (-1, 1):
            self.part(stage, root, (side * 0.34 * w, 0.24, -0.55), (0.16, 0.25, 0.36), "body")
            self.part(stage, root, (side * 0.40 * w, 0.08, -0.2), (0.11, 0.09, 0.2), "paw")
            self.limb(stage, root, (side * 0.2, 0.11, 0.55), (side * 0.19, 0.10, 0.95), 0.1, "leg")
            self.part(stage, root, (side * 0.19, 0.09, 1.1), (0.115, 0.09, 0.16), "paw")
        self._tail(stage, root, (0.15, 0.14, -1.0), 0.05)
