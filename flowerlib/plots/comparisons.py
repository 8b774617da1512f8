"""Several trainings, recipes or settings in one figure: how they went, and what they cost.

Shown in: notebooks/02_dogs_vs_cats, notebooks/03_augmentation
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from flowerlib.plots.drawing import labels, tidy
from flowerlib.plots.figures import BLUE, GRAY, GREEN, ORANGE, RED, figure
from flowerlib.support.errors import InputError

if TYPE_CHECKING:
    from flowerlib.train import RateSearch

COLORS = (ORANGE, BLUE, GREEN, RED, GRAY)
WIDTH = 5.6  # inches: to be read on a phone
LETTERS = 62  # of a title's line
MOST_TICKS = 10

Rows = Sequence[Mapping[str, float]]


def compare_curves(histories: Mapping[str, Rows], *, title: str = "") -> np.ndarray:
    """Loss and accuracy of several trainings after every epoch, one above the other.

    A training has one color; its training curve is dotted, its validation curve solid.

    Args:
        histories: name → rows with epoch and any of train_loss, valid_loss, train_accuracy,
            valid_accuracy, such as those of a `train.History`.
        title: says what is seen.

    Returns:
        Two Axes: losses, accuracy. Only one if no row holds a loss, or none an accuracy.

    Raises:
        InputError: there is no training, one without an epoch, or neither loss nor accuracy.
    """
    if empty := [name for name, rows in histories.items() if not rows]:
        raise InputError(f"plots.compare_curves: {empty[0]} has no epoch yet.")
    known = {what for rows in histories.values() for what in rows[0]}
    panels = [what for what in ("loss", "accuracy") if known & {f"train_{what}", f"valid_{what}"}]
    if not panels:
        raise InputError(
            "plots.compare_curves needs at least one training with a loss or accuracy."
        )
    made = figure(WIDTH, 1.0 + 2.1 * len(panels))
    axes: np.ndarray = made.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, what in zip(axes, panels, strict=True):
        for (name, rows), color in zip(histories.items(), itertools.cycle(COLORS), strict=False):
            epochs = [row["epoch"] for row in rows]
            for part, phase, style in (("train", "training", ":"), ("valid", "validation", "-")):
                if f"{part}_{what}" in rows[0]:
                    values = [row[f"{part}_{what}"] for row in rows]
                    axis.plot(epochs, values, color=color, ls=style, lw=2, label=f"{name}, {phase}")
        tidy(axis, title if axis is axes[0] else "", y="mean loss" if what == "loss" else what)
    axes[-1].set_xlabel("epoch")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    entries = axes[0].get_legend_handles_labels()  # outside, where no curve can run through
    made.legend(*entries, frameon=False, fontsize=9, loc="outside lower left", ncols=2)
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
    colors = dict(zip(parts, itertools.cycle(COLORS), strict=False))
    made = figure(WIDTH, 1.6 + 0.5 * len(seconds))
    axes = made.subplots()
    rows = range(len(seconds))[::-1]
    for place, row in zip(rows, seconds.values(), strict=True):
        end = 0.0
        for part, value in row.items():
            axes.barh(place, value, left=end, height=0.6, color=colors[part])
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
    axes.set_yticks(rows, names, **style)
    axes.margins(x=0.14)
    samples = [Patch(facecolor=color) for color in colors.values()]
    made.legend(samples, parts, frameon=False, fontsize=9, loc="outside lower left", ncols=2)
    return tidy(axes, title, "seconds")


def lines(
    x: Sequence[float],
    values: Mapping[str, Sequence[float]],
    *,
    x_label: str,
    y_label: str = "accuracy",
    title: str = "",
    log: str = "",
) -> Axes:
    """One line for each name, over the same x; a name with a single value is a level, dashed.

    Args:
        x: where the values belong, N numbers; they are the ticks, too, if they are few and about
            evenly spaced.
        values: name → N values, or one that does not depend on x.
        x_label, y_label: what the axes are of.
        title: says what is seen.
        log: "x", "y" or "xy": the axes that are logarithmic.

    Raises:
        InputError: there is no line, or one has another number of values.
    """
    if not values or any(len(row) not in (1, len(x)) for row in values.values()):
        raise InputError(f"plots.lines needs lines of {len(x)} values, or of one.")
    axes = figure(WIDTH, 3.4).subplots()
    markers = "os^Dv"
    for number, (name, row) in enumerate(values.items()):
        style: dict[str, Any] = {"color": COLORS[number % len(COLORS)], "label": name}
        if len(row) == 1 < len(x):
            axes.axhline(row[0], ls=(4 * number, (4, 4)), lw=1.5, **style)  # equal levels show
        else:
            axes.plot(x, row, marker=markers[number % len(markers)], ms=5, **style)
    if "x" in log:
        axes.set_xscale("log")
    if "y" in log:
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 300 * low else (1,)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
    steps = np.diff(np.log(x) if "x" in log else x)
    if len(x) <= MOST_TICKS and np.ptp(np.abs(steps)) < np.abs(steps).mean():
        axes.set_xticks(x, [f"{value:g}" for value in x])
        axes.minorticks_off()
    if len(values) > 1:
        axes.legend(frameon=False, fontsize=9)
    return tidy(axes, textwrap.fill(title, LETTERS), x_label, y_label)


def differences(
    found: Mapping[str, tuple[float, float, float]],
    *,
    runs: Mapping[str, Sequence[float]] | None = None,
    x_label: str = "difference in accuracy, with 95 % interval",
    title: str = "",
) -> Axes:
    """Differences with their 95 % intervals, one row each, and a line where nothing differs.

    Args:
        found: name → difference, lower and upper end, such as `metrics.paired_difference` gives.
        runs: name → the difference of each run, drawn as dots.
        x_label: what the difference is of.
        title: says what is seen.

    Raises:
        InputError: there is no difference.
    """
    if not found:
        raise InputError("plots.differences needs at least one difference.")
    made = figure(WIDTH, 1.5 + (0.5 if runs else 0.32) * len(found))
    axes = made.subplots()
    rows = range(len(found))[::-1]
    for place, (name, (value, low, high)) in zip(rows, found.items(), strict=True):
        first = place == rows[0]
        legend = ("95 % interval", "mean", "one run") if first else (None, None, None)
        axes.plot([low, high], [place] * 2, color=BLUE, lw=6, alpha=0.35, label=legend[0])
        if runs and name in runs:
            heights = place + np.linspace(-0.2, 0.2, len(runs[name]))
            axes.plot(runs[name], heights, ".", color=ORANGE, label=legend[2])
        axes.plot(value, place, "o", color=BLUE, label=legend[1] if runs else None)
    axes.axvline(0, color=GRAY, lw=1, ls=":")
    names, style = labels(list(found))
    axes.set_yticks(rows, names, **style)
    axes.set_ylim(-0.6, len(found) - 0.4)
    if runs:
        made.legend(frameon=False, fontsize=9, loc="outside lower left", ncols=3)
    return tidy(axes, textwrap.fill(title, LETTERS), x_label)


def learning_rates(search: RateSearch) -> Axes:
    """Training loss at rising learning rates.

    Args:
        search: from `train.find_learning_rate`.

    Returns:
        Axes; a dotted line marks the suggestion.
    """
    axes: Axes = figure(7.0, 3.4).subplots()
    axes.plot(search.rates, search.losses, "-", color=BLUE)
    axes.axvline(search.suggestion, color=GRAY, lw=1, ls=":")
    axes.set_xscale("log")
    title = f"A tenth of the rate with the lowest loss: {search.suggestion:.1e}"
    return tidy(axes, title, "learning rate", "mean training loss (nats)")
