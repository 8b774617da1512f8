"""Every figure of the project: takes data, returns matplotlib Axes, saves nothing.

A notebook shows the figure where a cell ends in it or in its axes; a script shows nothing.

Titles say what is seen, axes are labelled with units, and the colors can be distinguished by
color-blind readers (Okabe and Ito, "Color universal design", 2008).

Shown in: notebooks/04_flowers
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from flowerlib import metrics
from flowerlib.plots.drawing import PLAIN, Drawing, labels, tidy
from flowerlib.support import storage
from flowerlib.support.errors import InputError, plural

if TYPE_CHECKING:
    from flowerlib.classifier import Prediction
    from flowerlib.train import History

BLUE, ORANGE, GREEN, RED, GRAY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#7F7F7F"
LETTER = 0.07  # inches of a tick label's letter, about
MOST_BARS = 20  # more are too thin to be read
TITLE_LETTERS = 22  # of a line above a photo in a grid


def figure(width: float = 7.0, height: float = 4.0) -> Figure:
    """An empty figure of that many inches, unknown to pyplot, so that nothing has to be closed."""
    return Drawing(width, height)


def save(axes: Axes | np.ndarray, path: Path | str, dpi: int = 120) -> None:
    """Writes the figure that the axes belong to as PNG, whole or not at all."""
    first = axes if isinstance(axes, Axes) else np.asarray(axes).flat[0]
    made = cast(Figure, first.figure)
    shown = made.canvas, made.dpi
    try:
        made.set_dpi(dpi)
        with storage.atomic_path(path) as temporary:
            # `savefig` would draw it twice
            FigureCanvasAgg(made).print_png(temporary, pil_kwargs={"compress_level": 3})
    finally:
        made.set_canvas(shown[0])
        made.set_dpi(shown[1])


def curves(history: History) -> np.ndarray:
    """Loss and accuracy after every epoch, side by side; for a solved head, over its penalties.

    Returns:
        Two Axes: losses, accuracy. A dotted line marks the epoch that was chosen.
    """
    rows, solved = history.rows, history.what == "penalty"
    x = [row["penalty" if solved else "epoch"] for row in rows]
    left, right = axes = figure(9.0, 3.4).subplots(1, 2)
    left.plot(x, [row["train_loss"] for row in rows], "o-", color=BLUE, ms=4, label="training")
    left.plot(x, [row["valid_loss"] for row in rows], "s-", color=ORANGE, ms=4, label="validation")
    right.plot(x, [row["valid_accuracy"] for row in rows], "s-", color=ORANGE, ms=4)
    below = "penalty, strong to weak" if solved else "epoch"
    title, best = "Valid accuracy", history.best
    if best:
        title += f": {best['valid_accuracy']:.1%}"
        if ends := history.interval(best):
            title += f" (95 % interval {ends[0]:.1%} to {ends[1]:.1%})"
        photos = plural(history.num_valid, "photo")
        title += f" on {history.num_valid or 'the'} {photos} that the {history.what} was chosen on"
    tidy(left, "Loss", below, "mean loss (nats)").legend(frameon=False)
    tidy(right, textwrap.fill(title, 48), below, "share right")
    for axis in axes:
        if solved:
            axis.set_xscale("log")
            axis.set_xticks(x, [f"{penalty:.0e}".replace("e-0", "e-") for penalty in x])
            axis.minorticks_off()
            axis.invert_xaxis()
        else:
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        if best:
            axis.axvline(x[history.best_epoch - 1], color=GRAY, lw=1, ls=":")
    return axes


def photo_and_bars(photo: Any, prediction: Prediction, truth: str | None = None) -> np.ndarray:
    """A photo beside the bars of its most probable classes.

    Args:
        photo: PIL image or array (H, W, 3).
        prediction: the classifier's answer.
        truth: the right class, if known; its bar is green, and the title says right or wrong.

    The first 20 classes of the answer are drawn.

    Returns:
        Two Axes: photo, bars.
    """
    shares, names = prediction.probabilities[:MOST_BARS], prediction.names[:MOST_BARS]
    height = max(3.4, 0.6 + 0.3 * len(names))
    (*texts, truth_text), style = labels([*names, truth or ""], longest=30)
    width = 8.2 + LETTER * max(0, max(map(len, texts)) - 12)
    left, right = axes = figure(width, height).subplots(1, 2, width_ratios=(1, 1.3))
    left.imshow(photo)
    left.set_axis_off()
    colors = [GREEN if name == truth else (GRAY if truth else BLUE) for name in names]
    places = np.arange(len(names))[::-1]
    right.barh(places, shares, color=colors, height=0.66)
    for place, share in zip(places, shares, strict=True):
        inside = share > 0.85
        right.text(
            share - 0.015 if inside else share + 0.015,
            place,
            f"{share:.1%}",
            ha="right" if inside else "left",
            va="center",
            color="white" if inside else "black",
            fontsize=9,
        )
    right.set_yticks(places, texts, **style)
    right.set_xlim(0, 1)
    title = f"{texts[0]}, {shares[0]:.0%} sure"
    if truth is not None:
        title += " — right" if names[0] == truth else f" — wrong, it is {truth_text}"
    tidy(right, textwrap.fill(title, 44), "probability", style=style)
    right.tick_params(axis="y", length=0)
    return axes


def photo_grid(
    photos: Sequence[Any], titles: Sequence[str] | None = None, columns: int = 6, title: str = ""
) -> np.ndarray:
    """Photos in rows, each with a short title, which is wrapped if it is long.

    Args:
        photos: PIL images or arrays (H, W, 3) in [0, 1] or uint8.
        titles: one for each photo.
        columns: photos in a row.
        title: of the whole figure.

    Raises:
        InputError: there is no photo.
    """
    if not len(photos):
        raise InputError("plots.photo_grid needs photos, and got none.")
    texts, style = labels(titles or [], longest=60)
    texts = [textwrap.fill(text, TITLE_LETTERS) for text in texts]
    height = 1.5 + max((0.08 + 0.14 * (text.count("\n") + 1) for text in texts), default=0)
    rows = -(-len(photos) // columns)
    made = figure(1.45 * columns, height * rows + (0.35 if title else 0))
    axes: np.ndarray = made.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, photo in zip(axes, photos, strict=False):
        axis.imshow(photo)
    for axis, text in zip(axes, texts, strict=False):
        axis.set_title(text, fontsize=8, **style)
    if title:
        made.suptitle(title, fontsize=11, x=0.01, ha="left", **PLAIN)
    return axes


def confusion(matrix: Any, class_names: Sequence[str], name: str = "", most: int = 12) -> Axes:
    """A confusion matrix; with many classes, the pairs that are confused most often, as bars.

    Args:
        matrix: counts (C, C), row = truth, column = answer.
        class_names: C names.
        name: of the set of photos, such as "test"; the title begins with it.
        most: how many pairs are shown when C is above 20.

    Raises:
        InputError: the matrix has not one row and one column for each name, or counts no photo.
    """
    counts = np.asarray(matrix)
    if counts.shape != (len(class_names), len(class_names)):
        raise InputError(
            f"plots.confusion needs a row and a column for each of {len(class_names)} class names, "
            f"not counts {counts.shape}."
        )
    right, total = int(np.trace(counts)), int(counts.sum())
    low, high = metrics.wilson_interval(right, total)
    summary = f"{name}: " * bool(name) + f"{right:,} of {total:,} right, {right / total:.1%} "
    summary += f"(95 % interval {low:.1%} to {high:.1%})"
    if len(class_names) > 20:
        return _confused_pairs(counts, class_names, most, summary)
    names, style = labels(class_names, longest=30)
    side = 2.2 + 0.42 * len(class_names)
    margin = LETTER * max(map(len, names))
    axes = figure(side + 0.6 + margin, side + 0.7 * margin).subplots()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*counts.shape):
        if counts[row, column]:
            color = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=color)
    places = range(len(class_names))
    axes.set_xticks(places, names, rotation=45, ha="right", **style)
    axes.set_yticks(places, names, **style)
    return tidy(axes, textwrap.fill(summary, int(9 * side)), "answer", "truth")


def _confused_pairs(
    counts: np.ndarray, class_names: Sequence[str], most: int, summary: str
) -> Axes:
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    cells = zip(*np.unravel_index(order, wrong.shape), strict=True)
    pairs = [(row, column) for row, column in cells if wrong[row, column] > 0]
    axes = figure(7.6, 1.2 + 0.32 * max(len(pairs), 2)).subplots()
    places = np.arange(len(pairs))[::-1]
    axes.barh(places, [wrong[pair] for pair in pairs], color=RED, height=0.66)
    texts, style = labels([class_names[at] for pair in pairs for at in pair], longest=30)
    arrows = [" → ".join(pair) for pair in zip(texts[::2], texts[1::2], strict=True)]
    axes.set_yticks(places, arrows, **style)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    title = f"{summary}; the most frequent mistakes" if pairs else f"{summary}; no mistakes"
    return tidy(axes, textwrap.fill(title, 80), "photos (truth → answer)")


def frontier(
    seconds: Sequence[float], values: Sequence[float], names: Sequence[str], title: str = ""
) -> Axes:
    """Accuracy against time, one point a setting; a line joins those that nothing beats.

    A setting is on the line if every faster one is less accurate. Time has a logarithmic axis.

    Args:
        seconds, values: of each setting; accuracy is in [0, 1].
        names: what stands beside each point.
        title: says what is seen.
    """
    axes = figure(7.0, 4.2).subplots()
    best: list[int] = []
    for index in np.argsort(seconds, kind="stable"):
        if not best or values[index] > values[best[-1]]:
            best.append(int(index))
    axes.plot([seconds[i] for i in best], [values[i] for i in best], color=BLUE, lw=1.5, zorder=1)
    texts, style = labels(names)
    for index, name in enumerate(texts):
        color = BLUE if index in best else GRAY
        axes.plot(seconds[index], values[index], "o", color=color, zorder=2)
        offset, side = ((-6, 5), "right") if index in best else ((6, -10), "left")
        axes.annotate(
            name,
            (seconds[index], values[index]),
            xytext=offset,
            textcoords="offset points",
            ha=side,
            fontsize=8,
            color=color,
            **style,
        )
    axes.set_xscale("log")
    ticks = [tick * power for power in (0.1, 1, 10, 100, 1000) for tick in (1, 1.5, 2, 3, 5, 7)]
    inside = [tick for tick in ticks if min(seconds) / 1.5 <= tick <= 1.5 * max(seconds)]
    axes.set_xticks(inside, [f"{tick:g}" for tick in inside])
    axes.minorticks_off()
    axes.margins(x=0.12, y=0.1)
    return tidy(axes, title, "seconds", "accuracy")


def accuracies(names: Sequence[str], values: Sequence[float], intervals: Sequence[Any]) -> Axes:
    """Accuracies as points with their 95 % intervals, one row each, best on top as given."""
    axes = figure(7.0, 1.1 + 0.42 * len(names)).subplots()
    places = np.arange(len(names))[::-1]
    for place, value, (low, high) in zip(places, values, intervals, strict=True):
        axes.plot([low, high], [place, place], color=BLUE, lw=3, alpha=0.45, solid_capstyle="round")
        axes.plot(value, place, "o", color=BLUE)
        axes.text(high + 0.012, place, f"{value:.1%}", va="center", fontsize=9)
    texts, style = labels(names)
    axes.set_yticks(places, texts, **style)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlim(0, 1.1)
    return tidy(axes, "", "accuracy, with 95 % interval")
