"""Diagrams of networks, feature maps, and figures that compare trainings show what they got."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from flowerlib import plots
from flowerlib.support.errors import InputError

STAGES = [("block 1", (32, 24, 24)), ("block 2", (64, 12, 12)), ("features", (64,))]


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_the_diagram_names_every_part_and_colors_what_learns() -> None:
    axes = plots.transfer_diagram(
        STAGES,
        image=(3, 96, 96),
        removed="old last layer: 1000 classes",
        head="new head: 2 classes",
    )
    shown = "\n".join(texts(axes))
    for words in ("96 × 96", "block 1", "24 × 24 × 32", "block 2", "cut here", "old last layer"):
        assert words in shown
    faces = {patch.get_label(): to_hex(patch.get_facecolor()) for patch in axes.patches}
    assert faces["block 1"] == faces["block 2"] == plots.BLUE.lower()
    assert faces["new head: 2 classes"] == plots.ORANGE.lower()


def test_unfrozen_stages_have_the_color_of_the_head() -> None:
    axes = plots.transfer_diagram(STAGES, image=(3, 96, 96), head="head", frozen=1)
    faces = {patch.get_label(): to_hex(patch.get_facecolor()) for patch in axes.patches}
    assert faces["block 1"] == plots.BLUE.lower()
    assert faces["block 2"] == faces["head"] == plots.ORANGE.lower()
    assert "cut here" not in "\n".join(texts(axes))  # nothing was removed


def test_boxes_are_as_wide_as_the_maps_are_large() -> None:
    axes = plots.transfer_diagram(STAGES, image=(3, 96, 96), head="head")
    widths = {patch.get_label(): patch.get_width() for patch in axes.patches}
    assert widths["image"] > widths["block 1"] > widths["block 2"]


def test_a_diagram_needs_stages() -> None:
    with pytest.raises(InputError, match="needs at least one stage"):
        plots.transfer_diagram([], image=(3, 96, 96), head="head")
    with pytest.raises(InputError, match="frozen must be 0 to 3"):
        plots.transfer_diagram(STAGES, image=(3, 96, 96), head="head", frozen=4)


def test_the_maps_that_vary_most_are_shown() -> None:
    maps = torch.zeros(6, 4, 4)
    maps[4, 0], maps[1, 0] = 3.0, 1.0
    axes = plots.feature_maps(
        np.zeros((8, 8, 3)), {"block 1": maps, "block 2": maps[:, :2, :2]}, most=2
    )
    assert axes.shape == (2, 2)
    np.testing.assert_array_equal(axes[0, 0].images[0].get_array(), maps[4])
    np.testing.assert_array_equal(axes[0, 1].images[0].get_array(), maps[1])
    assert axes[0, 0].get_ylabel() == "block 1\n4 × 4"


def test_feature_maps_need_maps() -> None:
    with pytest.raises(InputError, match="needs maps"):
        plots.feature_maps(np.zeros((8, 8, 3)), {})
    with pytest.raises(InputError, match=r"of block 1 have shape \(4, 4\), not"):
        plots.feature_maps(np.zeros((8, 8, 3)), {"block 1": torch.zeros(4, 4)})


ROWS = [
    {"epoch": i, "train_loss": 1 / i, "valid_loss": 2 / i, "valid_accuracy": i / 4} for i in (1, 2)
]


def test_trainings_are_compared_in_one_figure() -> None:
    rows = [dict(row, train_accuracy=0.9) for row in ROWS]
    losses, accuracy = plots.compare_curves({"own": rows, "borrowed": ROWS}, title="Which?")
    lines = {line.get_label(): line for line in losses.lines}
    assert list(lines["own, training"].get_ydata()) == [1, 0.5]
    assert list(lines["borrowed, validation"].get_ydata()) == [2, 1]
    assert lines["own, training"].get_color() == lines["own, validation"].get_color()
    assert lines["own, training"].get_linestyle() != lines["own, validation"].get_linestyle()
    shown = [line.get_label() for line in accuracy.lines]
    assert shown == ["own, training", "own, validation", "borrowed, validation"]
    assert losses.get_title(loc="left") == "Which?"


def test_accuracies_alone_have_one_panel_and_many_a_legend_beside() -> None:
    rows = [{"epoch": 1, "valid_accuracy": 0.5}, {"epoch": 2, "valid_accuracy": 0.6}]
    (accuracy,) = plots.compare_curves({"a": rows, "b": rows, "c": rows})
    assert accuracy.get_ylabel() == "accuracy" and accuracy.get_legend() is None
    (legend,) = accuracy.figure.legends
    assert [text.get_text()[0] for text in legend.get_texts()] == ["a", "b", "c"]
    with pytest.raises(InputError, match="a loss or accuracy"):
        plots.compare_curves({"a": [{"epoch": 1}]})


def test_time_bars_add_up() -> None:
    seconds = {"own": {"training": 9.0}, "tuned": {"head": 4.0, "stage": 2.5}}
    axes = plots.time_bars(seconds, title="What costs")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["own", "tuned"]
    ends = sorted(bar.get_x() + bar.get_width() for bar in axes.patches)
    assert ends == [4.0, 6.5, 9.0]
    assert {"9.0 s", "6.5 s"} <= set(texts(axes))
    assert axes.get_xlabel() == "seconds"


def test_lines_over_the_same_x() -> None:
    axes = plots.lines(
        [0.1, 1, 10], {"valid": [0.2, 0.5, 0.4], "guessing": [0.1]}, x_label="penalty", log="x"
    )
    line, level = axes.lines
    assert line.get_ydata().tolist() == [0.2, 0.5, 0.4]
    assert set(level.get_ydata()) == {0.1}
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.1", "1", "10"]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["valid", "guessing"]


def test_differences_with_intervals_and_single_runs() -> None:
    axes = plots.differences(
        {"flips": (0.1, 0.05, 0.15), "hue": (-0.3, -0.4, -0.2)},
        runs={"flips": [0.06, 0.1, 0.14], "hue": [-0.3, -0.31, -0.29]},
    )
    assert [label.get_text() for label in axes.get_yticklabels()] == ["flips", "hue"]
    interval, dots, mean = axes.lines[:3]
    assert interval.get_xdata().tolist() == [0.05, 0.15]
    assert dots.get_xdata().tolist() == [0.06, 0.1, 0.14]
    assert len(set(dots.get_ydata())) == 3, "no dot hides another"
    assert mean.get_xdata().tolist() == [0.1]
    legend = [text.get_text() for text in axes.figure.legends[0].get_texts()]
    assert legend == ["95 % interval", "one run", "mean"]


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(InputError, match="needs at least one training"):
        plots.compare_curves({})
    with pytest.raises(InputError, match="own has no epoch yet"):
        plots.compare_curves({"own": []})
    with pytest.raises(InputError, match="needs seconds"):
        plots.time_bars({})
    with pytest.raises(InputError, match="needs lines of 2 values"):
        plots.lines([1, 2], {"valid": [1, 2, 3]}, x_label="x")
    with pytest.raises(InputError, match="at least one difference"):
        plots.differences({})
