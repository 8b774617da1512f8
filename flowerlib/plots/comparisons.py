"""Several trainings, recipes or settings in one figure: how they went, and what they cost.

Shown in: notebooks/02_dogs_vs_cats, notebooks/03_augmentation
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from flowerlib.plots.drawing import PLAIN, labels
from flowerlib.plots.figures import BLUE, GRAY, GREEN, ORANGE, RED, figure
from flowerlib.support.errors import InputError

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
        InputError: there is no training, or neither loss nor accuracy.
    """
    known = {what for rows in histories.values() for what in rows[0]}
    panels = [what for what in ("loss", "accuracy") if known & {f"train_{what}", f"valid_{what}"}]
    if not panels:
        raise InputError(
            "plots.compare_curves needs at least one training with a loss or accuracy."
        )
    made = figure(WIDTH, 1.0 + 2.1 * len(panels))
    axes = made.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for (name, rows), color in zip(histories.items(), _colors(len(histories)), strict=True):
        for axis, what in zip(axes, panels, strict=True):
            for part, phase, style in (("train", "training", ":"), ("valid", "validation", "-")):
                if f"{part}_{what}" not in rows[0]:
                    continue
                axis.plot(
                    [row["epoch"] for row in rows],
                    [row[f"{part}_{what}"] for row in rows],
                    color=color,
                    ls=style,
                    lw=2,
                    label=f"{name}, {phase}",
                )
    for axis, what in zip(axes, panels, strict=True):
        axis.set_ylabel("mean loss" if what == "loss" else what)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("epoch")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    entries = axes[0].get_legend_handles_labels()  # outside, where no curve can run through
    made.legend(*entries, frameon=False, fontsize=9, loc="outside lower left", ncols=2)
    axes[0].set_title(title, loc="left", fontsize=11, **PLAIN)
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
        style: dict[str, Any] = {"color": _colors(len(values))[number], "label": name}
        if len(row) == 1 < len(x):
            axes.axhline(row[0], ls=(4 * number, (4, 4)), lw=1.5, **style)  # equal levels show
        else:
            axes.plot(x, row, marker=markers[number % len(markers)], ms=5, **style)
    axes.set(xlabel=x_label, ylabel=y_label)
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
    axes.spines[["top", "right"]].set_visible(False)
    if len(values) > 1:
        axes.legend(frameon=False, fontsize=9)
    axes.set_title(textwrap.fill(title, LETTERS), loc="left", fontsize=11, **PLAIN)
    return axes


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
    axes = figure(WIDTH, 1.5 + (0.5 if runs else 0.32) * len(found)).subplots()
    for place, (name, (value, low, high)) in zip(
        range(len(found))[::-1], found.items(), strict=True
    ):
        first = place == len(found) - 1
        legend = ("95 % interval", "mean", "one run") if first else (None, None, None)
        axes.plot([low, high], [place] * 2, color=BLUE, lw=6, alpha=0.35, label=legend[0])
        if runs and name in runs:
            heights = place + np.linspace(-0.2, 0.2, len(runs[name]))
            axes.plot(runs[name], heights, ".", color=ORANGE, label=legend[2])
        axes.plot(value, place, "o", color=BLUE, label=legend[1] if runs else None)
    axes.axvline(0, color=GRAY, lw=1, ls=":")
    names, style = labels(list(found))
    axes.set_yticks(range(len(found))[::-1], names, **style)
    axes.set(xlabel=x_label, ylim=(-0.6, len(found) - 0.4))
    axes.spines[["top", "right"]].set_visible(False)
    if runs:
        made = cast(Figure, axes.figure)
        made.legend(frameon=False, fontsize=9, loc="outside lower left", ncols=3)
    axes.set_title(textwrap.fill(title, LETTERS), loc="left", fontsize=11, **PLAIN)
    return axes


def _colors(count: int) -> list[str]:
    return [COLORS[number % len(COLORS)] for number in range(count)]
