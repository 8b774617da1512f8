"""The pretext task: 256 classes of patterns, solids, growths and heaps that no lesson uses.

The small backbones that come with the project learned on these pictures alone. A class is a family
(a way to draw) and a variant (a fixed draw of that family's parameters); color, pose, light, blur,
occlusion and noise change from picture to picture. Heaps of occluding, textured, shaded shapes
("dead leaves") share the statistics of natural images: Lee, Mumford & Huang, "Occlusion models for
natural images", IJCV 41, 2001; Baradad et al., "Learning to see by looking at noise", 2021.
"""

from __future__ import annotations

import numpy as np

from flowerlib.garden.patterns import growths, scenes
from flowerlib.garden.patterns.fields import FIELDS
from flowerlib.garden.patterns.paint import OUTLINES, finish
from flowerlib.garden.patterns.solids import SOLIDS


def _table() -> list[tuple]:
    """Every class as (family, what the family draws, variant)."""
    table = [(scenes.texture, name, k) for name in sorted(FIELDS) for k in range(2)]
    table += [
        (scenes.solid, name, k) for name in SOLIDS for k in range(6 if name == "critter" else 3)
    ]
    table += [(scenes.heap, name, k) for name in OUTLINES for k in range(3)]
    table += [(scenes.assembly, name, k) for name in ("hairy", "bare") for k in range(18)]
    for family, variants in (
        (scenes.mixed_heap, 28),
        (scenes.hills, 16),
        (scenes.recess, 14),
        (growths.flame, 12),
        (growths.branches, 10),
        (growths.shell, 12),
        (growths.collage, 10),
    ):
        table += [(family, family.__name__.replace("_", " "), k) for k in range(variants)]
    return table


TABLE = _table()
CLASS_NAMES: tuple[str, ...] = tuple(
    f"{name} {k + 1}"
    if family.__name__.replace("_", " ") == name
    else f"{family.__name__} of {name} {k + 1}"
    for family, name, k in TABLE
)


def draw(label: int, rng: np.random.Generator, size: int) -> np.ndarray:
    """Draws one picture of a class: uint8 (size, size, 3), RGB.

    Args:
        label: position in `CLASS_NAMES`.
        rng: source of all that varies within the class; the same state gives the same picture.
        size: side in pixels, 32 to 256.
    """
    family, name, _ = TABLE[label]
    style = np.random.default_rng([label, 20011])
    return finish(rng, family(rng, style, size, name))
