"""Rotations and frames of reference: where a solid sits, and which way it faces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Array = np.ndarray
Place = Sequence[float] | Array


def turn(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> Array:
    """Rotation matrix (3, 3); its columns are the turned x, y and z axes.

    Args:
        yaw: radians about y; positive turns z (the front) towards x.
        pitch: radians about x; positive bows the front down.
        roll: radians about z; positive turns x towards y.
    """
    (cy, sy), (cp, sp), (cr, sr) = ((np.cos(a), np.sin(a)) for a in (yaw, pitch, roll))
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return about_y @ about_x @ about_z


class Frame:
    """A place to build at: an origin and three axes, in world coordinates."""

    def __init__(self, origin: Place = (0, 0, 0), axes: Array | None = None) -> None:
        self.origin = np.asarray(origin, dtype=np.float64)
        self.axes = np.eye(3) if axes is None else axes

    def point(self, place: Place) -> Array:
        """World coordinates (3,) of a place given in this frame."""
        return self.origin + self.axes @ np.asarray(place, dtype=np.float64)

    def child(self, origin: Place, axes: Array | None = None) -> Frame:
        """A frame that sits in this one."""
        return Frame(self.point(origin), self.axes if axes is None else self.axes @ axes)
