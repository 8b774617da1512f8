"""Repeated runs are drawn where they are, with the interval of their mean."""

from __future__ import annotations

import pytest

from flowerlib import metrics, plots
from flowerlib.support.errors import InputError

RUNS = {"frozen": [0.5, 0.6, 0.55], "trained": [0.3, 0.5, 0.4]}


def test_every_run_is_a_dot_beside_the_interval_of_their_mean() -> None:
    axes = plots.repeated_runs({"as they are": RUNS, "scaled": {"trained": [0.1, 0.2]}})
    lines = [list(line.get_xdata()) for line in axes.lines]
    mean, low, high = metrics.mean_interval(RUNS["frozen"])
    assert lines[:3] == [[0.5, 0.6, 0.55], [low, high], [mean]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["frozen", "trained"]
    places = [line.get_ydata()[0] for line in axes.lines if len(line.get_xdata()) in (2, 3)]
    assert places[0] < places[2] < places[4], "rows from top to bottom, groups beside each other"
    (legend,) = axes.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["as they are", "scaled"]


def test_equal_runs_do_not_hide_each_other() -> None:
    axes = plots.repeated_runs({"": {"a": [0.5, 0.6, 0.5, 0.5]}})
    heights = list(axes.lines[0].get_ydata())
    assert len({heights[0], heights[2], heights[3]}) == 3
    assert heights[1] == 0 and abs(sum(heights)) < 1e-9


def test_one_group_needs_no_legend() -> None:
    axes = plots.repeated_runs({"": RUNS}, title="$5", label="test accuracy")
    assert axes.figure.legends == [] and axes.get_title(loc="left") == "$5"
    assert axes.get_xlabel().startswith("test accuracy;")


@pytest.mark.parametrize("groups", [{}, {"a": {}}, {"a": {"b": [0.5]}}])
def test_one_run_is_no_repetition(groups: dict) -> None:
    with pytest.raises(InputError):
        plots.repeated_runs(groups)
