"""What lessons show: the same text on every run, in a notebook and in a terminal."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from types import SimpleNamespace

import matplotlib
import nbformat
import numpy as np
import pytest

from flowerlib import lesson
from flowerlib.lesson import outputs as sent
from flowerlib.lesson.nbval import PATTERNS
from flowerlib.support.errors import InputError
from tools import notebooks

SPLITS = SimpleNamespace(
    data_kind="drawn data", describe=lambda: "drawn data · flowers · 102 classes"
)


def test_a_true_claim_is_printed(capsys):
    lesson.claim(np.float64(0.9) > 0.8, "0.9 is above 0.8")
    assert capsys.readouterr().out == "✓ 0.9 is above 0.8\n"


@pytest.mark.parametrize("condition", [False, 0, None, np.bool_(False)])
def test_a_false_claim_fails_with_its_sentence(condition, capsys):
    with pytest.raises(lesson.FalseClaim, match="snow is black"):
        lesson.claim(condition, "snow is black")
    assert capsys.readouterr().out == ""
    assert issubclass(lesson.FalseClaim, AssertionError)


def test_a_false_claim_fails_under_optimization_too():
    code = "from flowerlib import lesson; lesson.claim(False, 'snow is black')"
    result = subprocess.run([sys.executable, "-O", "-c", code], capture_output=True, text=True)
    assert result.returncode == 1
    assert "FalseClaim: This does not hold: snow is black" in result.stderr


SENTENCES = {"better": "A is ahead.", "worse": "B is ahead.", "unclear": "Nobody knows."}


@pytest.mark.parametrize(
    ("interval", "sentence"),
    [
        ((0.02, 0.01, 0.03), "→ A is ahead. (+0.020, 95 % interval +0.010 to +0.030)"),
        ((-0.02, -0.03, -0.01), "→ B is ahead. (-0.020, 95 % interval -0.030 to -0.010)"),
        ((0.02, -0.01, 0.05), "→ Nobody knows. (+0.020, 95 % interval -0.010 to +0.050)"),
        ((0.02, 0.0, 0.04), "→ Nobody knows. (+0.020, 95 % interval +0.000 to +0.040)"),
        ((np.float64(0.0), 0.0, 0.0), "→ Nobody knows. (+0.000, 95 % interval +0.000 to +0.000)"),
    ],
)
def test_a_verdict_is_the_sentence_that_the_interval_supports(interval, sentence, capsys):
    assert lesson.verdict(*interval, **SENTENCES) is None
    assert capsys.readouterr().out == sentence + "\n"


def test_a_verdict_within_a_margin(capsys):
    """A difference too small to matter is neither better nor worse, however sure."""
    lesson.verdict(0.02, 0.01, 0.03, **SENTENCES, margin=0.01)
    lesson.verdict(0.03, 0.02, 0.04, **SENTENCES, margin=0.01)
    lesson.verdict(-0.03, -0.04, -0.02, **SENTENCES, margin=0.01)
    printed = [line.partition(" (")[0] for line in capsys.readouterr().out.splitlines()]
    assert printed == ["→ Nobody knows.", "→ A is ahead.", "→ B is ahead."]


@pytest.mark.parametrize("numbers", [(0.5, 0.6, 0.7), (0.5, 0.6, 0.4), (float("nan"), 0, 1)])
def test_a_verdict_needs_an_interval_around_its_number(numbers):
    with pytest.raises(InputError, match="low <= difference <= high"):
        lesson.verdict(*numbers, **SENTENCES)


def test_banner_tells_data_and_backbone_but_no_path(capsys):
    backbone = SimpleNamespace(name="densenet121", weights="/data/w/dense.pth", num_features=1024)
    lesson.banner(SPLITS, backbone)
    assert capsys.readouterr().out.splitlines() == [
        "drawn data · flowers · 102 classes",
        "backbone densenet121 · dense.pth weights · 1,024 features a picture",
    ]


def test_table_aligns_rounds_and_leaves_volatile_columns_out(capsys):
    rows = [
        {"name": "scratch", "accuracy": 0.51249, "photos": 819, "seconds": 12.5},
        {"name": "frozen", "accuracy": np.float32(0.914), "photos": None, "seconds": 1.0},
    ]
    lesson.table(rows, caption="Test", digits={"accuracy": 2}, volatile=["seconds"])
    assert capsys.readouterr().out.splitlines() == [
        "Test",
        "name     accuracy  photos",
        "-------  --------  ------",
        "scratch      0.51     819",
        "frozen       0.91       –",
    ]


def test_a_volatile_column_must_exist():
    with pytest.raises(InputError, match="volatile 'b' is not among"):
        lesson.table([{"a": 1}], volatile=["b"])


def test_source_is_shown_as_it_is(capsys):
    lesson.show_source(lesson.claim)
    shown = capsys.readouterr().out
    assert shown.startswith("def claim(condition: Any, sentence: str) -> None:\n")
    assert shown.rstrip().endswith('outputs.say(f"✓ {sentence}")')
    with pytest.raises(InputError, match="no Python source"):
        lesson.show_source(len)


def test_figures_need_alt_text_and_are_closed(capsys):
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2)
    with pytest.raises(InputError, match="alt text"):
        lesson.show(figure, alt=" ")
    lesson.show(axes, alt="Two empty frames.")  # an array of axes
    assert capsys.readouterr().out == "Two empty frames.\n"
    assert not plt.fignum_exists(figure.number)
    with pytest.raises(InputError, match="no axes"):
        lesson.show(3, alt="Three.")


def test_pictures_of_photos_are_stored_as_jpeg():
    from matplotlib.figure import Figure

    noise = np.random.default_rng(0).random((300, 300, 3))
    figure = Figure()
    figure.subplots().imshow(noise)
    data, metadata = sent.picture(figure, "Noise.", dpi=110)
    assert list(data) == ["image/jpeg", "text/plain"]
    assert metadata == {"image/jpeg": {"alt": "Noise."}}


def test_machine_names_no_person_and_no_host():
    import getpass
    import platform

    words = lesson.machine().replace(",", " ").split()
    assert platform.system() in words
    assert platform.node() not in words
    assert getpass.getuser() not in words


def test_live_does_nothing_in_a_terminal(capsys):
    report = lesson.live()
    report(SimpleNamespace(rows=[{"epoch": 1}], epochs=1))
    assert capsys.readouterr().out == ""


def test_it_works_without_ipython_and_matplotlib():
    code = (
        "import sys; from flowerlib import lesson; lesson.claim(True, 'yes'); lesson.headline('h');"
        "lesson.table([{'a': 1}]); lesson.live();"
        "print({'IPython', 'matplotlib', 'torch'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", code], capture_output=True, encoding="utf-8"
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "set()"


# --- in a notebook -------------------------------------------------------------------------------

CELLS = {
    "setup": """
import types
from matplotlib.figure import Figure
from flowerlib import lesson, plots
from flowerlib.train import History

def curves(history):
    axes = Figure(figsize=(2, 1)).subplots()
    axes.plot([row["loss"] for row in history.rows])
    return axes

plots.curves = curves

def train(report, epochs, stop):
    history = History(epochs, best_epoch=1, num_valid=8)
    for epoch in range(stop):
        row = {"epoch": epoch + 1, "loss": 1 / (epoch + 1), "valid_accuracy": 0.5}
        history.rows.append({**row, "seconds": 0.1 * epoch})
        report(history)
""",
    "live": "train(lesson.live(), epochs=3, stop=3)\nprint('trained')",
    "stopped": "train(lesson.live(), epochs=30, stop=2)\nprint('trained')",
    "after": "x = 1",
    "claim": "lesson.claim(1 < 2, '1 < 2')",
    "headline": "lesson.headline('91 % right')",
    "source": "lesson.show_source(lesson.claim)",
    "table": "lesson.table([{'a': '<b>', 'seconds': 0.123}], volatile=['seconds'])",
    "long": "lesson.table([{'a': n} for n in range(40)], scroll=True)",
    "show": "lesson.show(curves(types.SimpleNamespace(rows=[{'loss': 1}])), alt='A dot.')",
    "footer": "lesson.footer()",
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """What every cell of CELLS left in an executed notebook."""
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in CELLS.values()]
    notebooks.execute(notebook, tmp_path_factory.mktemp("notebook"))
    return dict(zip(CELLS, (cell.outputs for cell in notebook.cells), strict=True))


def kinds(shown):
    """For every output what it is: its mime types, or its text."""
    return [list(out.data) if "data" in out else out.text for out in shown]


def test_live_leaves_one_picture_and_one_table(outputs):
    assert kinds(outputs["live"]) == [
        ["image/png", "text/plain"],
        ["text/plain", "text/html"],
        "trained\n",
    ]
    picture, table, _ = outputs["live"]
    assert picture.metadata["image/png"]["alt"] == picture.data["text/plain"]
    assert table.data["text/plain"].splitlines() == [
        "accuracy 0.500 (95 % interval 0.215 to 0.785) on 8 photos of valid, on which the epoch 1 "
        "was chosen",
        "epoch   loss  valid_accuracy",
        "-----  -----  --------------",
        "    1  1.000           0.500",
        "    2  0.500           0.500",
        "    3  0.333           0.500",
    ]
    assert 'class="volatile">0.200</td>' in table.data["text/html"]


def test_live_ends_with_the_cell_when_training_stops_early(outputs):
    assert kinds(outputs["stopped"]) == [
        ["image/png", "text/plain"],
        "trained\n",
        ["text/plain", "text/html"],
    ]
    assert len(outputs["stopped"][2].data["text/plain"].splitlines()) == 5
    assert outputs["after"] == []


def test_what_the_others_leave(outputs):
    assert kinds(outputs["claim"]) == ["✓ 1 < 2\n"]
    (said,) = outputs["headline"]
    assert said.metadata["flowerlib"]["headline"] == "91 % right"
    assert said.data["text/plain"] == "Headline: 91 % right"
    (source,) = outputs["source"]
    assert source.data["text/markdown"].startswith("````python\ndef claim(")
    (table,) = outputs["table"]
    assert table.data["text/plain"].split() == ["a", "---", "<b>"]
    assert "&lt;b&gt;" in table.data["text/html"]
    (long,) = outputs["long"]
    assert long.data["text/html"].startswith('<div style="max-height: 22em; overflow-y: auto"')
    assert long.data["text/html"].count("<tr>") == 41
    assert len(long.data["text/plain"].splitlines()) == 42
    assert kinds(outputs["show"]) == [["image/png", "text/plain"]]
    (footer,) = outputs["footer"]
    assert "data not stated · " in footer.text
    assert " · torch " in footer.text


def test_nbval_compares_all_but_volatile_columns():
    """The pattern for volatile columns fits what lesson.table writes."""
    import re

    config = PATTERNS.read_text(encoding="utf-8")
    patterns = re.findall(r"^regex: (.*)$\n^replace: (.*)$", config, re.MULTILINE)
    assert len(patterns) == 5

    def compared(text):
        for pattern, replacement in patterns:
            text = re.sub(pattern, replacement, text)
        return text

    cell = '<td align="right" class="volatile">{}</td><td align="right">{}</td>'
    assert compared(cell.format("0.123", 7)) == compared(cell.format("9.876", 7))
    assert compared(cell.format("0.123", 7)) != compared(cell.format("0.123", 8))
    assert compared("took 1.5 s at 203 img/s") == compared("took 12 s at 35.1 img/s")
    assert compared("0.914 of 819") != compared("0.915 of 819")


def test_elsewhere_a_verdict_may_be_another():
    """With the last digits of its numbers, another sentence may be the true one."""
    import re

    config = (notebooks.REPOSITORY / "tests/nbval_sanitize_elsewhere.cfg").read_text("utf-8")
    (pattern, replacement), *_ = re.findall(r"^regex: (.*)$\n^replace: (.*)$", config, re.MULTILINE)
    first, second = (
        f"x\n→ {printed} (+0.1, 95 % interval 0 to 1)\ny" for printed in ("A is.", "B is.")
    )
    assert re.sub(pattern, replacement, first) == re.sub(pattern, replacement, second)
    assert re.sub(pattern, replacement, "✓ A is.") == "✓ A is."


def test_recorded_figures_are_quoted(tmp_path, monkeypatch, capsys):
    found = {"headline": "0.97", "seconds": 41.2, "claims": 9, "backbone": "net", "cores": 2}
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "lessons_real.json").write_text(json.dumps({"05_x": found}))
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    lesson.measured("05_x")
    printed = "Recorded on real photos, net, 2 processor cores, 41 s in all, 9 claims held: 0.97\n"
    assert capsys.readouterr().out == printed
    with pytest.raises(InputError, match="holds no figures of 06_y"):
        lesson.measured("06_y")


def test_a_lesson_prints_in_an_old_code_page(monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", terminal)
    lesson.claim(True, "Gänse · 2 → 3")
    assert terminal.buffer.getvalue().decode("cp1252") == "ok Gänse · 2 -> 3\n"
