"""Figures show the data that they were given."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import pyplot, rc_context, rcParams
from PIL import Image

from flowerlib import plots
from flowerlib.classifier import Prediction
from flowerlib.plots import drawing
from flowerlib.support.errors import InputError
from flowerlib.train import History, RateSearch

ROWS = [
    {"epoch": i, "train_loss": 1 / i, "valid_loss": 0.5 / i + 0.1, "valid_accuracy": 0.2 * i}
    for i in (1, 2, 3)
]


def test_curves_draw_every_epoch() -> None:
    left, right = plots.curves(History(3, ROWS, 2, num_valid=50))
    lines = {line.get_label(): line.get_ydata() for line in left.lines}
    assert list(lines["training"]) == [row["train_loss"] for row in ROWS]
    assert list(lines["validation"]) == [row["valid_loss"] for row in ROWS]
    assert list(right.lines[0].get_ydata()) == [row["valid_accuracy"] for row in ROWS]
    lines = right.get_title(loc="left").splitlines()
    assert " ".join(lines) == (
        "Valid accuracy: 40.0% (95 % interval 27.6% to 53.8%) "
        "on 50 photos that the epoch was chosen on"
    )
    assert max(map(len, lines)) <= 48  # what fits above the axes
    assert left.get_xlabel() == "epoch" and left.get_ylabel() == "mean loss (nats)"


def test_curves_of_a_solved_head_run_over_penalties() -> None:
    rows = [dict(row, penalty=10.0 ** -row["epoch"]) for row in ROWS]
    left, _ = plots.curves(History(3, rows, 1))
    assert left.get_xscale() == "log" and list(left.lines[0].get_xdata()) == [0.1, 0.01, 0.001]


@pytest.mark.parametrize(
    ("truth", "title"), [("b", "wrong, it is b"), ("a", "right"), (None, "sure")]
)
def test_bars_are_the_probabilities(truth: str | None, title: str) -> None:
    answer = Prediction("x", ("a", "b"), (0.9, 0.1), torch.zeros(2))
    left, right = plots.photo_and_bars(np.zeros((4, 4, 3), np.uint8), answer, truth)
    assert [bar.get_width() for bar in right.patches] == [0.9, 0.1]
    assert [label.get_text() for label in right.get_yticklabels()] == ["a", "b"]
    assert title in right.get_title(loc="left") and len(left.images) == 1


def test_a_small_confusion_matrix_shows_every_count() -> None:
    axes = plots.confusion(torch.tensor([[5, 1], [0, 4]]), ["cat", "dog"])
    texts = {(int(t.get_position()[1]), int(t.get_position()[0])): t.get_text() for t in axes.texts}
    assert texts == {(0, 0): "5", (0, 1): "1", (1, 1): "4"}
    assert axes.get_title(loc="left").split() == (
        "9 of 10 right, 90.0% (95 % interval 59.6% to 98.2%)".split()
    )
    named = plots.confusion([[5, 1], [0, 4]], ["cat", "dog"], "valid").get_title(loc="left")
    assert named.startswith("valid: 9 of 10 right, 90.0%")
    with pytest.raises(InputError, match=r"each of 3 class names, not counts \(2, 2\)"):
        plots.confusion([[5, 1], [0, 4]], ["cat", "dog", "cow"])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("answer", "truth")


def test_a_large_one_shows_the_frequent_mistakes() -> None:
    matrix = np.diag(np.full(30, 7))
    matrix[3, 4], matrix[9, 2] = 5, 2
    axes = plots.confusion(matrix, [f"c{i}" for i in range(30)])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["c3 → c4", "c9 → c2"]
    assert [bar.get_width() for bar in axes.patches] == [5, 2]
    perfect = plots.confusion(np.diag(np.full(30, 7)), [str(i) for i in range(30)])
    assert "no mistakes" in perfect.get_title(loc="left")


def test_long_titles_of_photos_do_not_run_into_each_other() -> None:
    photos = [np.zeros((4, 4, 3), np.uint8)] * 2
    short = plots.photo_grid(photos, ["rose", "tulip"])
    long = plots.photo_grid(photos, ["brass raydaisy, not straw wheelwort"] * 2)
    assert long[0].get_title() == "brass raydaisy, not\nstraw wheelwort"
    heights = [axes[0].figure.get_size_inches()[1] for axes in (short, long)]
    assert heights[1] > heights[0]


def test_grids_and_accuracies() -> None:
    axes = plots.photo_grid([np.zeros((4, 4, 3), np.uint8)] * 5, list("abcde"), columns=3)
    assert [bool(axis.images) for axis in axes] == [True] * 5 + [False]
    assert [axis.get_title() for axis in axes[:5]] == list("abcde")
    rows = plots.accuracies(["x", "y"], [0.9, 0.5], [(0.8, 0.95), (0.4, 0.6)])
    assert [t.get_text() for t in rows.texts] == ["90.0%", "50.0%"]


def test_figures_are_saved_whole_and_stay_out_of_pyplot(tmp_path: Path) -> None:
    plots.save(plots.curves(History(3, ROWS, 2)), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        image.load()
        assert image.width > 500 and len(image.convert("RGB").getcolors(1 << 20)) > 10
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert not pyplot.get_fignums()


def test_the_frontier_joins_what_nothing_faster_beats() -> None:
    axes = plots.frontier([10, 40, 20, 30], [0.5, 0.9, 0.8, 0.7], ["a", "d", "b", "c"])
    (line,) = [line for line in axes.lines if len(line.get_xdata()) > 1]
    assert list(line.get_xdata()) == [10, 20, 40] and list(line.get_ydata()) == [0.5, 0.8, 0.9]
    assert {text.get_text() for text in axes.texts} == {"a", "b", "c", "d"}


def test_saving_draws_what_matplotlib_would_and_leaves_the_figure_as_it_was(tmp_path: Path) -> None:
    first, second = (plots.curves(History(3, ROWS, 2)) for _ in range(2))
    figure = first[0].figure
    before = figure.canvas, figure.dpi
    plots.save(first, tmp_path / "ours.png", dpi=90)
    assert (figure.canvas, figure.dpi) == before
    second[0].figure.savefig(tmp_path / "theirs.png", dpi=90)
    ours, theirs = (np.asarray(Image.open(tmp_path / f"{n}.png")) for n in ("ours", "theirs"))
    assert np.array_equal(ours, theirs)


HARD_NAMES = ["from $1_{ to $5", "cost $2 and $^^", r"\frac{a}b_", "a" * 300, "100 %", "{}"]


def drawn(axes: object, path: Path) -> None:
    """Draws a figure with every warning as an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.save(axes, path)


@pytest.mark.parametrize("count", [1, 2, 6, 20, 21, 1000])
def test_any_class_names_in_any_number_are_drawn(tmp_path: Path, count: int) -> None:
    names = [HARD_NAMES[i] if i < len(HARD_NAMES) else f"class {i}" for i in range(count)]
    matrix = np.ones((count, count), int)
    drawn(plots.confusion(matrix, names), tmp_path / "confusion.png")
    answer = Prediction("x", tuple(names), (1 / count,) * count, torch.zeros(count))
    for truth in (None, names[0], names[-1]):
        axes = plots.photo_and_bars(np.zeros((4, 4, 3), np.uint8), answer, truth)
        drawn(axes, tmp_path / "bars.png")


def test_every_function_draws_names_with_signs_of_formulas(tmp_path: Path) -> None:
    photos = [np.zeros((4, 4, 3), np.uint8)] * len(HARD_NAMES)
    for title in HARD_NAMES:
        drawn(plots.photo_grid(photos, HARD_NAMES, title=title[:60]), tmp_path / "grid.png")
    ones = [0.5] * len(HARD_NAMES)
    drawn(plots.accuracies(HARD_NAMES, ones, [(0.4, 0.6)] * len(ones)), tmp_path / "acc.png")
    times = [1.0 + i for i in range(len(ones))]
    drawn(plots.frontier(times, ones, HARD_NAMES, title="$x_"), tmp_path / "frontier.png")


def test_no_photo_is_one_sentence() -> None:
    with pytest.raises(InputError, match="got none"):
        plots.photo_grid([])


def test_signs_that_no_font_has_are_written_as_numbers_with_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "FALLBACKS", ())
    with pytest.warns(
        UserWarning, match="DejaVu Sans .*no glyph for a sign of 'ひまわり'"
    ) as found:
        axes = plots.confusion(np.eye(3, dtype=int), ["玫瑰", "ひまわり", "rose\ufe0f"])
    assert len(found) == 1
    texts = [label.get_text() for label in axes.get_yticklabels()]
    assert texts[:2] == ["\\u73ab\\u7470", "\\u3072\\u307e\\u308f\\u308a"]
    assert texts[2].rstrip("\ufe0f") == "rose"
    drawn(axes, tmp_path / "a.png")
    answer = Prediction("x", ("ひまわり",), (1.0,), torch.zeros(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.photo_and_bars(np.zeros((4, 4, 3), np.uint8), answer)


def test_an_installed_font_that_has_the_sign_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "FALLBACKS", ("no such family", "DejaVu Sans"))
    with rc_context({"font.family": ["cmr10"]}):
        texts, style = drawing.labels(["Жук"])
    assert texts == ["Жук"] and style["fontfamily"] == ["cmr10", "DejaVu Sans"]


def test_figures_show_themselves_at_the_end_of_a_cell_and_change_no_setting() -> None:
    before = dict(rcParams)
    left, right = both = plots.curves(History(3, ROWS, 2))
    one = plots.accuracies(["x"], [0.9], [(0.8, 0.95)])
    for shown in (both, left, one, one.figure, plots.figure().subplots(2, 2)):
        assert shown._repr_png_().startswith(b"\x89PNG")
    assert repr(both) == "<2 axes of one figure>"
    assert plots.figure().add_subplot(projection="polar").name == "polar"
    assert dict(rcParams) == before and not pyplot.get_fignums()


def test_learning_rates_mark_the_suggestion() -> None:
    search = RateSearch((1e-3, 1e-2, 1e-1, 1.0), (2.0, 1.5, 1.0, 3.0))
    axes = plots.learning_rates(search)
    assert search.suggestion == pytest.approx(1e-2)
    assert "1.0e-02" in axes.get_title(loc="left") and axes.get_xscale() == "log"
    curve, mark = axes.get_lines()
    assert list(curve.get_ydata()) == [2.0, 1.5, 1.0, 3.0]
    assert list(mark.get_xdata()) == pytest.approx([1e-2, 1e-2])
