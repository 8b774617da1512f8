"""Several trainings in one figure: how they went, and what they cost.

Shown in: notebooks/02_dogs_vs_cats
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from flowerlib.plots.drawing import PLAIN, labels
from flowerlib.plots.figures import BLUE, GRAY, GREEN, ORANGE, RED, figure
from flowerlib.support.errors import InputError

COLORS = (ORANGE, BLUE, GREEN, RED, GRAY)
WIDTH = 5.6  # inches: to be read on a phone

Rows = Sequence[Mapping[str, float]]


def compare_curves(histories: Mapping[str, Rows], *, title: str = "") -> np.ndarray:
    """Loss and accuracy of several trainings after every epoch, one above the other.

    A training has one color; its training curve is dotted, its validation curve solid.

    Args:
        histories: name → rows with epoch and any of train_loss, valid_loss, train_accuracy,
            valid_accuracy, such as those of a `train.History`.
        title: says what is seen.

    Returns:
        Two Axes: losses, accuracy.

    Raises:
        InputError: there is no training.
    """
    if not histories:
        raise InputError("plots.compare_curves needs at least one training.")
    above, below = axes = figure(WIDTH, 5.2).subplots(2, 1, sharex=True)
    for (name, rows), color in zip(histories.items(), _colors(len(histories)), strict=True):
        for axis, what in ((above, "loss"), (below, "accuracy")):
            for part, told, style in (("train", "training", ":"), ("valid", "validation", "-")):
                if f"{part}_{what}" not in rows[0]:
                    continue
                axis.plot(
                    [row["epoch"] for row in rows],
                    [row[f"{part}_{what}"] for row in rows],
                    color=color,
                    ls=style,
                    lw=2,
                    label=f"{name}, {told}",
                )
    above.set_ylabel("mean loss")
    below.set(xlabel="epoch", ylabel="accuracy")
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axis in (above, below):
        axis.spines[["top", "right"]].set_visible(False)
    above.legend(frameon=False, fontsize=9)
    above.set_title(title, loc="left", fontsize=11, **PLAIN)
    return axes


def time_bars(seconds: Mapping[str, Mapping[str, float]], *, title: str = "") -> Axes:
    """What each method cost in seconds, one bar a method, its parts one after the other.

    Args:
        seconds: name of the method → name of the part → seconds.
        title: says what is seen.

    Raises:
        InputError: there is no method.
    """
    if not seconds:
        raise InputError("plots.time_bars needs seconds of at least one method.")
    parts = list(dict.fromkeys(part for row in seconds.values() for part in row))
    colors = dict(zip(parts, _colors(len(parts)), strict=True))
    made = figure(WIDTH, 1.6 + 0.5 * len(seconds))
    axes = made.subplots()
    drawn: set[str] = set()
    for place, row in zip(range(len(seconds))[::-1], seconds.values(), strict=True):
        end = 0.0
        for part, value in row.items():
            label = None if part in drawn else part
            axes.barh(place, value, left=end, height=0.6, color=colors[part], label=label)
            drawn.add(part)
            end += value
        axes.annotate(
            f"{end:.1f} s",
            (end, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    names, style = labels(list(seconds))
    axes.set_yticks(range(len(seconds))[::-1], names, **style)
    axes.set_xlabel("seconds")
    axes.margins(x=0.14)
    axes.spines[["top", "right"]].set_visible(False)
    made.legend(frameon=False, fontsize=9, loc="outside lower left", ncols=2)
    axes.set_title(title, loc="left", fontsize=11, **PLAIN)
    return axes


def _colors(count: int) -> list[str]:
    return [COLORS[number % len(COLORS)] for number in range(count)]
