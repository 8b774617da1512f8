"""One experiment, repeated: every run as a dot, beside the mean with its interval.

Shown in: notebooks/06_first_five_last_five
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from flowerlib import metrics
from flowerlib.plots.comparisons import WIDTH
from flowerlib.plots.drawing import labels, tidy
from flowerlib.plots.figures import BLUE, GRAY, GREEN, ORANGE, figure
from flowerlib.support.errors import InputError

COLORS = (GRAY, BLUE, ORANGE, GREEN)
BETWEEN = 0.24  # of a row, from one group to the next
STEP = 0.05  # of a row, from one of several equal runs to the next


def repeated_runs(
    groups: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    title: str = "",
    label: str = "accuracy",
) -> Axes:
    """Draws every run as a dot, and the mean of a row's runs with its 95 % interval as a line.

    Args:
        groups: name of the group, which has one color → name of the row → one value a run, two or
            more. A row may be missing from a group.
        title: says what is seen.
        label: of the horizontal axis: what was measured.

    Raises:
        InputError: there is no group, or a row has fewer than two runs.
    """
    rows = list(dict.fromkeys(row for group in groups.values() for row in group))
    if not rows:
        raise InputError("plots.repeated_runs needs runs of at least one row.")
    made = figure(WIDTH, 1.5 + (0.3 + 0.2 * len(groups)) * len(rows))
    axes = made.subplots()
    for number, (name, group) in enumerate(groups.items()):
        color = COLORS[number % len(COLORS)]
        shift = BETWEEN * (number - (len(groups) - 1) / 2)
        for row, runs in group.items():
            place = rows.index(row) + shift
            mean, low, high = metrics.mean_interval([float(run) for run in runs])
            axes.plot(runs, place + _stacked(runs), "o", color=color, ms=5, alpha=0.6)
            axes.plot([low, high], [place, place], color=color, lw=2)
            axes.plot(mean, place, "|", color=color, ms=14, mew=3)
        axes.plot([], [], "o-", color=color, label=name)
    texts, style = labels(rows)
    axes.set_yticks(range(len(rows)), texts, **style)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    if len(groups) > 1:
        made.legend(frameon=False, fontsize=9, loc="outside lower left", ncols=len(groups))
    return tidy(axes, title, f"{label}; dots are runs, lines are 95 % intervals")


def _stacked(runs: Sequence[float]) -> np.ndarray:
    """Shifts (N,), so that dots of equal runs do not hide each other."""
    values = np.asarray(runs, dtype=float)
    before = np.array([np.sum(values[:index] == value) for index, value in enumerate(values)])
    total = np.array([np.sum(values == value) for value in values])
    return STEP * (before - (total - 1) / 2)
