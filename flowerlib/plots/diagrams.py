"""Diagrams of a network that is reused, and what one picture becomes inside it.

Narrow enough to be read on a phone.

Shown in: notebooks/01_cat_or_dog
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor

from flowerlib.plots.drawing import PLAIN, tidy
from flowerlib.plots.figures import BLUE, GRAY, ORANGE, RED, figure
from flowerlib.support.errors import InputError

WIDTH = 5.6  # inches
ROW = 0.46  # inches of a box with the gap below it
MIDDLE = 0.38  # of the diagram's width, where the boxes are centered

Stage = tuple[str, Sequence[int]]


def transfer_diagram(
    stages: Sequence[Stage],
    *,
    image: Sequence[int],
    head: str,
    removed: str = "",
    frozen: int | None = None,
    title: str = "",
) -> Axes:
    """A backbone from the picture down to its features, where it is cut, and the new head.

    Boxes are as wide as the maps are large. Blue ones are frozen, orange ones learn.

    Args:
        stages: name and shape of the output, (C, H, W) or (D,), of each stage, features last.
        image: shape of the input, (3, H, W).
        head: what the new head is called, such as "new head: 2 classes".
        removed: what was cut off, such as "old last layer: 1000 classes"; nothing if empty.
        frozen: how many stages, from the first, are frozen; all if None.
        title: says what is seen.

    Raises:
        InputError: there is no stage, or `frozen` is no number of stages.
    """
    if not stages:
        raise InputError("plots.transfer_diagram needs at least one stage.")
    frozen = len(stages) if frozen is None else frozen
    if not 0 <= frozen <= len(stages):
        raise InputError(f"plots.transfer_diagram: frozen must be 0 to {len(stages)}.")
    rows = len(stages) + 3
    axes = figure(WIDTH, ROW * rows + 0.3).subplots()
    side = image[-1]
    _box(axes, 0, "image", image, "#DDDDDD", side)
    for row, (name, shape) in enumerate(stages, 1):
        _box(axes, row, name, shape, BLUE if row <= frozen else ORANGE, side)
    bottom = len(stages) + 1
    if removed:
        axes.axhline(-bottom + 0.45, color=RED, lw=1.5, ls=(0, (4, 3)))
        axes.text(0.99, -bottom + 0.36, "cut here", color=RED, ha="right", va="top", fontsize=9)
        outline = {"facecolor": "none", "edgecolor": GRAY, "linestyle": ":"}
        axes.add_patch(_patch(bottom + 1, 0.62, removed, **outline))
        _write(axes, bottom + 1, removed, GRAY)
    axes.add_patch(_patch(bottom, 0.62, head, facecolor=ORANGE))
    _write(axes, bottom, head, "black")
    meanings = {"frozen": BLUE, "learns": ORANGE} if frozen else {"learns": ORANGE}
    samples = [Rectangle((0, 0), 1, 1, color=color) for color in meanings.values()]
    axes.legend(samples, meanings, loc="lower right", frameon=False, fontsize=9, handlelength=1)
    axes.set(xlim=(0, 1), ylim=(-rows + 0.5, 0.55))
    axes.set_axis_off()
    return tidy(axes, title)


def _box(axes: Axes, row: int, name: str, shape: Sequence[int], color: str, side: int) -> None:
    """One row: a box as wide as the maps, their shape in it or beside, the name on the right."""
    share = shape[-1] / side if len(shape) == 3 else 0
    width = 0.16 + 0.56 * np.sqrt(share)
    axes.add_patch(_patch(row, width, name, facecolor=color))
    channels, *size = shape
    text = " × ".join(map(str, [*size, channels])) if size else f"{channels} numbers"
    beside = MIDDLE + width / 2 + 0.02
    if width > 0.25:
        _write(axes, row, text, "white" if color == BLUE else "black")
        axes.text(max(0.76, beside), -row, name, va="center", fontsize=9, **PLAIN)
    else:
        axes.text(beside, -row, f"{name}: {text}", va="center", fontsize=9, **PLAIN)


def _patch(row: int, width: float, label: str, **style: str) -> Rectangle:
    style = {"edgecolor": "white", "label": label} | style
    return Rectangle((MIDDLE - width / 2, -row - 0.34), width, 0.68, **style)  # type: ignore[arg-type]


def _write(axes: Axes, row: int, text: str, color: str) -> None:
    axes.text(MIDDLE, -row, text, ha="center", va="center", fontsize=9, color=color, **PLAIN)


def feature_maps(
    picture: np.ndarray, maps: Mapping[str, Tensor], *, most: int = 5, title: str = ""
) -> np.ndarray:
    """A picture, and beside it the feature maps that vary most at the end of each stage.

    Each map is drawn from its own darkest to its own brightest value.

    Args:
        picture: (H, W, 3).
        maps: name of the stage → its maps (C, H, W).
        most: how many maps of a stage are shown.
        title: says what is seen.

    Returns:
        Axes of the maps, (stages, most).

    Raises:
        InputError: there are no maps, or maps of another shape.
    """
    if not maps:
        raise InputError("plots.feature_maps needs maps of at least one stage.")
    for name, values in maps.items():
        if values.ndim != 3:
            raise InputError(
                f"plots.feature_maps: the maps of {name} have shape {tuple(values.shape)}, "
                "not (C, H, W)."
            )
    made = figure(1.15 * (most + 1.6), 1.2 * len(maps) + 0.4)
    grid = made.add_gridspec(len(maps), most + 1, width_ratios=[1.4] + [1] * most)
    shown = made.add_subplot(grid[:, 0])
    shown.imshow(picture)
    shown.set_axis_off()
    rows = range(len(maps))
    axes = np.array([[made.add_subplot(grid[row, 1 + at]) for at in range(most)] for row in rows])
    for line, (name, values) in zip(axes, maps.items(), strict=True):
        order = values.float().flatten(1).var(1).argsort(descending=True, stable=True)
        for axis, channel in zip(line, order.tolist(), strict=False):
            axis.imshow(values[channel].detach().float().cpu().numpy(), cmap="gray")
        for axis in line:
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        size = f"{values.shape[1]} × {values.shape[2]}"
        line[0].set_ylabel(f"{name}\n{size}", fontsize=9, **PLAIN)
    if title:
        made.suptitle(title, fontsize=11, x=0.01, ha="left", **PLAIN)
    return axes
