"""The stored notebooks are whole, fresh and in shape; no kernel is started here.

Every check is also shown a notebook that breaks its rule, since a check that cannot fail says
nothing.
"""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path

import nbformat
import pytest
import torch
from PIL import Image

from tools import notebook_checks as checks
from tools import notebooks, summary

STORED = notebooks.lessons() + notebooks.solutions()


@pytest.mark.parametrize("source", STORED, ids=lambda source: f"{source.parent.name}/{source.stem}")
def test_stored_notebook(source):
    assert checks.problems(source) == []


def test_every_notebook_has_its_text_and_there_are_some():
    stored = sorted(notebooks.NOTEBOOKS.glob("*.ipynb"))
    stored += sorted((notebooks.NOTEBOOKS / "solutions").glob("*.ipynb"))
    assert STORED
    assert [path.with_suffix(".py") for path in stored] == STORED


# --- a small lesson in good shape, and ways to break it ------------------------------------------

PROSE = "Words that carry the thought from one cell to the next, so that nobody has to guess. " * 3

ASKS = "# <details><summary>Check yourself: why?</summary>\n#\n# So.\n# </details>\n#\n" * 2

LESSON = f"""# %% [markdown]
# # Does a small lesson pass?
#
# You will see that it does.
#
# | | |
# |---|---|
# | **You will learn** | the shape |
# | **You should know** | nothing |
# | **Data** | none |
# | **Time** | seconds |
#
# {PROSE}

# %%
from flowerlib import lesson

# %% tags=["settings"]
epochs = 10
dropout = 0.2

# %%
lesson.banner(splits)

# %% [markdown]
# ## What is it?
# {PROSE}
#
{ASKS}#

# %%
lesson.show(axes, alt="A line that rises.")

# %% [markdown]
# ## How is it trained?
# With dropout of 0.2 in {PROSE}
#
{ASKS}#
# ## Is it good?
# {PROSE}
#
{ASKS}#

# %%
lesson.claim(accuracy > 0.9, "the accuracy is 91.4 %, a fraction of 0.914")

# %% [markdown]
# ## Is it better?
# The accuracy is 91.4 %. {PROSE}
#
{ASKS}#
# ## Does it hold?
# {PROSE}

# %%
lesson.headline("91.4 % are right")

# %% [markdown] tags=["source"]
# The article says 99.5 %.

# %% [markdown]
# ## What can go wrong
# {PROSE}
#
# ## Recap
# - one thing
#
# ## Exercises
# ### Exercise 07.1
# ### Exercise 07.2: harder
# ### Exercise 07.3
#
# ## Sources
# An article, 2020, 12.5 pages.

# %% tags=["nbval-ignore-output"]
lesson.footer()
"""

SOLUTION = """# %% [markdown]
# ## Exercise 07.1
# ## Exercise 07.2
# ## Exercise 07.3

# %%
print("solved")
"""


def stream(text, name="stdout"):
    return nbformat.v4.new_output("stream", name=name, text=text)


def picture():
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    return nbformat.v4.new_output(
        "display_data",
        data={"image/png": base64.b64encode(buffer.getvalue()).decode(), "text/plain": "A line."},
        metadata={"image/png": {"alt": "A line that rises."}},
    )


def headline():
    return nbformat.v4.new_output(
        "display_data",
        data={"text/plain": "Headline: 91.4 % are right"},
        metadata={"flowerlib": {"headline": "91.4 % are right"}},
    )


OUTPUTS = {
    "lesson.banner": lambda: [stream("drawn data · nothing\n")],
    "lesson.show": lambda: [picture()],
    "lesson.claim": lambda: [stream("✓ the accuracy is 91.4 %, a fraction of 0.914\n")],
    "lesson.headline": lambda: [headline()],
    "lesson.footer": lambda: [stream("drawn data · 3 s\n")],
    "print": lambda: [stream("solved\n")],
}


def store(source: Path) -> Path:
    """Writes the `.ipynb` that a run of `source` would leave, and returns its path."""
    notebook = notebooks.read_text(source)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, start=1):
        cell.execution_count = number
        cell.outputs = OUTPUTS.get(cell.source.partition("(")[0], list)()
    stamp(notebook)
    path = source.with_suffix(".ipynb")
    nbformat.write(notebook, path)
    return path


def stamp(notebook):
    notebook.metadata["flowerlib"] = {
        "code": notebooks.code_hash(notebook),
        "outputs": notebooks.outputs_hash(notebook),
        "pictures": "drawn",
        **notebooks.where(),
    }


@pytest.fixture
def lesson(tmp_path):
    """The `.py` of a lesson in good shape, rendered, with its solutions."""
    source = tmp_path / "notebooks" / "07_small.py"
    solution = source.parent / "solutions" / source.name
    solution.parent.mkdir(parents=True)
    source.write_text(LESSON, encoding="utf-8")
    solution.write_text(SOLUTION, encoding="utf-8")
    store(source)
    store(solution)
    return source


def test_a_lesson_in_good_shape_passes(lesson):
    assert checks.problems(lesson) == []
    assert checks.problems(lesson.parent / "solutions" / lesson.name) == []


def test_a_missing_ipynb_is_found(lesson):
    lesson.with_suffix(".ipynb").unlink()
    assert checks.problems(lesson) == [
        "07_small: there is no 07_small.ipynb; run make render.",
    ]


def test_solutions_are_held_to_their_rules(lesson):
    solution = lesson.parent / "solutions" / lesson.name
    solution.write_text(SOLUTION + "x = 1\n", encoding="utf-8")
    assert any("its code changed" in problem for problem in checks.problems(solution))


def code(notebook, call):
    """The code cell that begins with `call`."""
    return next(cell for cell in notebook.cells if cell.source.startswith(call))


def drop(notebook, call):
    notebook.cells.remove(code(notebook, call))


def add_code(notebook, source, **fields):
    notebook.cells.append(nbformat.v4.new_code_cell(source, **fields))


def replace(notebook, old, new):
    """Replaces a text wherever a cell's source holds it."""
    assert any(old in cell.source for cell in notebook.cells)
    for cell in notebook.cells:
        cell.source = cell.source.replace(old, new)


def edit_output(notebook, call, **fields):
    code(notebook, call).outputs[0].update(fields)


BREAKS = [
    (checks.same_content, lambda n: replace(n, "0.2", "0.3"), "differs between .py and .ipynb"),
    (checks.same_content, lambda n: code(n, "epochs").metadata.clear(), "differs between"),
    (checks.same_content, lambda n: drop(n, "lesson.footer"), "cells and the .ipynb"),
    (checks.fresh, lambda n: n.metadata.pop("flowerlib"), "no stamp of code"),
    (checks.fresh, lambda n: n.metadata["flowerlib"].update(code="0"), "its code changed"),
    (
        checks.fresh,
        lambda n: edit_output(n, "lesson.claim", text="✓ the accuracy is 99.9 %\n"),
        "not those of make render",
    ),
    (
        checks.fresh,
        lambda n: n.metadata["flowerlib"].update(pictures="photos"),
        "rendered on photos",
    ),
    (checks.counts, lambda n: code(n, "lesson.claim").update(execution_count=9), "counts are"),
    (checks.counts, lambda n: code(n, "lesson.claim").update(execution_count=None), "counts are"),
    (checks.kernel_name, lambda n: n.metadata["kernelspec"].update(name="mine"), "'mine'"),
    (
        checks.no_errors,
        lambda n: code(n, "lesson.claim").outputs.append(
            nbformat.v4.new_output("error", ename="ValueError", evalue="", traceback=[])
        ),
        "holds a traceback: ValueError",
    ),
    (
        checks.no_errors,
        lambda n: edit_output(n, "lesson.claim", name="stderr", text="UserWarning: old\n"),
        "wrote to standard error: UserWarning: old",
    ),
    (
        checks.no_widgets,
        lambda n: (
            code(n, "lesson.headline")
            .outputs[0]
            .data.update({"application/vnd.jupyter.widget-view+json": {}})
        ),
        "shows a widget",
    ),
    (checks.no_widgets, lambda n: n.metadata.update(widgets={}), "metadata holds widgets"),
    (checks.has_outputs, lambda n: code(n, "lesson.claim").update(outputs=[]), "has no output"),
    (
        checks.has_outputs,
        lambda n: [cell.update(outputs=[]) for cell in n.cells if cell.cell_type == "code"],
        "no outputs at all",
    ),
    (
        checks.whole_streams,
        lambda n: code(n, "lesson.claim").outputs.append(stream("and more\n")),
        "printed is in pieces",
    ),
    (
        checks.small_file,
        lambda n: edit_output(n, "lesson.claim", text="x" * checks.MAX_BYTES),
        "bytes; the limit is 1,000,000",
    ),
    (checks.alt_texts, lambda n: edit_output(n, "lesson.show", metadata={}), "has no alt text"),
    (
        checks.no_machine,
        lambda n: add_code(n, "open('/home/me/rose.jpg')"),
        "absolute path: /home/m",
    ),
    (checks.no_machine, lambda n: add_code(n, "open('C:\\\\photos')"), "absolute path: C:"),
    (checks.no_machine, lambda n: add_code(n, "!pip install torch"), "installs something"),
    (checks.no_machine, lambda n: add_code(n, "%pip install torch"), "installs something"),
    (
        checks.no_machine,
        lambda n: edit_output(n, "lesson.claim", text="saved /tmp/run"),
        "the output of code cell",
    ),
    (checks.plain_python, lambda n: add_code(n, "%matplotlib inline"), "is not plain Python"),
    (
        checks.few_volatile,
        lambda n: code(n, "lesson.show").metadata.update(tags=["nbval-ignore-output"]),
        "2 of 5 outputs are exempt",
    ),
    (
        checks.few_volatile,
        lambda n: replace(n, "lesson.show(", "# NBVAL_IGNORE_OUTPUT\nlesson.show("),
        "2 of 5 outputs are exempt",
    ),
    (
        checks.few_volatile,
        lambda n: code(n, "lesson.show").metadata.update(tags=["nbval-skip"]),
        "skipped by the tests",
    ),
    (checks.opening, lambda n: replace(n, "lesson pass?", "lesson."), "title is not a question"),
    (checks.opening, lambda n: replace(n, "it does.", "it does. And more."), "no promise of one"),
    (checks.opening, lambda n: replace(n, "You will see that it does.", ""), "no promise of one"),
    (checks.opening, lambda n: replace(n, "**Time**", "When"), "no row 'Time'"),
    (checks.opening, lambda n: n.cells.pop(0), "does not begin with a title"),
    (checks.sections, lambda n: replace(n, "## Recap", "## So"), "no section '## Recap'"),
    (checks.sections, lambda n: replace(n, "## Does it hold?", "x"), "no section '## Does it hold"),
    (checks.sections, lambda n: replace(n, "## Is it better?", "x"), "it has 3 sections before"),
    (
        checks.sections,
        lambda n: replace(n, "## Is it good?", "## Good"),
        "'Good' is not a question",
    ),
    (checks.sections, lambda n: replace(n, "## Sources", "## Extra\n## Sources"), "it closes with"),
    (checks.self_checks, lambda n: replace(n, "Check yourself: why?", "?"), "0 questions to check"),
    (
        checks.self_checks,
        lambda n: replace(n, "## Is it good?", "## Is it?\n## Is it good?"),
        "'Is it?' has 0 questions",
    ),
    (checks.settings_cell, lambda n: drop(n, "epochs"), "0 code cells are tagged 'settings'"),
    (checks.settings_cell, lambda n: replace(n, "epochs = 10", "print(10)"), "more than assign"),
    (checks.shown_data, lambda n: drop(n, "lesson.banner"), "not lesson.banner's"),
    (checks.shown_result, lambda n: drop(n, "lesson.headline"), "shows 0 headlines"),
    (checks.shown_result, lambda n: drop(n, "lesson.footer"), "does not call lesson.footer()"),
    (checks.exercises, lambda n: replace(n, "### Exercise 07.3", "x"), "it has 2 exercises"),
    (checks.exercises, lambda n: replace(n, "Exercise 07.1", "Exercise 07.4"), "are numbered"),
    (
        checks.exercises,
        lambda n: replace(n, "07.3", "07.3\n### Exercise 07.4"),
        "07.4 has no solut",
    ),
    (checks.budgets, lambda n: [add_code(n, "x") for _ in range(40)], "the limit is 40"),
    (checks.budgets, lambda n: [add_code(n, "x\n" * 7) for _ in range(12)], "have over 6 lines"),
    (checks.budgets, lambda n: add_code(n, "x\n" * 26), "has 26 lines; the limit is 25"),
    (checks.budgets, lambda n: replace(n, PROSE.strip(), "Few words."), "words a code cell"),
    (checks.budgets, lambda n: replace(n, PROSE.strip(), PROSE * 5), "words a code cell"),
    (checks.budgets, lambda n: replace(n, PROSE.strip(), PROSE * 50), "the limit is 2,200"),
    (checks.covered_numbers, lambda n: replace(n, "is 91.4 %.", "is 92.4 %."), "says 92.4"),
    (checks.covered_numbers, lambda n: replace(n, "dropout of 0.2", "dropout of 0.7"), "says 0.7"),
    (
        checks.covered_numbers,
        lambda n: code(n, "The article").metadata.clear(),
        "says 99.5, which no claim and no result covers",
    ),
    (checks.covered_numbers, lambda n: drop(n, "lesson.claim"), "says 91.4"),
]


@pytest.mark.parametrize(
    ("check", "damage", "problem"), BREAKS, ids=[f"{b[0].__name__}-{b[2]}" for b in BREAKS]
)
def test_a_broken_notebook_is_found(lesson, check, damage, problem):
    assert check(checks.read(lesson)) == []
    path = lesson.with_suffix(".ipynb")
    notebook = nbformat.read(path, as_version=4)
    damage(notebook)
    nbformat.write(notebook, path)
    found = check(checks.read(lesson))
    assert any(problem in sentence for sentence in found), found


def test_every_check_was_broken():
    assert {b[0] for b in BREAKS} == set(checks.LESSON_CHECKS)


def test_missing_solutions_are_found(lesson):
    (lesson.parent / "solutions" / lesson.name).unlink()
    assert checks.exercises(checks.read(lesson)) == ["there is no solutions/07_small.py."]


@pytest.mark.parametrize(
    ("written", "value", "covered"),
    [
        ("91.4", 0.9138, True),  # a percentage of a fraction
        ("0.914", 91.4, True),
        ("0.91", 0.914, True),  # fewer digits
        ("0.914", 0.91, False),  # more digits than are known
        ("91.5", 0.9138, False),
    ],
)
def test_how_a_number_is_covered(written, value, covered):
    assert checks.is_covered(written, [value]) is covered


@pytest.mark.parametrize(
    ("prose", "numbers"),
    [
        ("12.5 % of 819, at 0.003 and 62-82 min", ["12.5", "0.003"]),
        ("the 3 layers, Section 4, 1,020 photos, 2020.", []),
        ("10 % and 1,020.5", ["10", "1,020.5"]),
        ("version 2.15.0 of torch", []),
    ],
)
def test_which_numbers_need_cover(prose, numbers):
    assert checks.NUMBER.findall(prose) == numbers


# --- the tool ------------------------------------------------------------------------------------


def test_ids_follow_content_not_position(tmp_path):
    source = tmp_path / "a.py"
    source.write_text("# %%\nx = 1\n\n# %%\nx = 1\n\n# %%\ny = 2\n")
    before = [cell.id for cell in notebooks.read_text(source).cells]
    source.write_text("# %%\nnew = 0\n\n# %%\nx = 1\n\n# %%\nx = 1\n\n# %%\ny = 2\n")
    after = [cell.id for cell in notebooks.read_text(source).cells]
    assert len(set(before)) == 3
    assert after[1:] == before


def test_numbers_are_compared_only_where_they_can_be_met(lesson, monkeypatch):
    monkeypatch.setattr(notebooks, "NOTEBOOKS", lesson.parent)
    monkeypatch.setattr(notebooks.shutil, "which", lambda name: None)
    assert notebooks.why_figures_may_differ() is None
    monkeypatch.setattr(notebooks.shutil, "which", lambda name: "/bin/" + name)
    assert notebooks.why_figures_may_differ() == "here is a GPU"
    with monkeypatch.context() as other:  # a processor of the same name
        other.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
        assert "with instructions" in notebooks.why_figures_may_differ()
    here = {**notebooks.where(), "torch": "1.0"}
    monkeypatch.setattr(notebooks, "where", lambda: here)
    assert "was rendered with torch" in notebooks.why_figures_may_differ()


def test_render_and_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(notebooks, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(notebooks, "BUILD", tmp_path / "build")
    monkeypatch.setenv("FLOWERLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "build" / "ipython"))
    source = tmp_path / "01_tiny.py"
    source.write_text(
        "# %% [markdown]\n# # Is it tiny?\n#\n# It is.\n\n"
        '# %%\nfrom flowerlib import lesson\nlesson.headline("1 < 2")\n\n'
        '# %%\nimport os\nplace = os.environ["FLOWERLIB_DATA"]\n'
        "print(os.path.isabs(place), os.path.basename(place))\n",
        encoding="utf-8",
    )
    assert notebooks.main(["render"]) == 0
    stored = source.with_suffix(".ipynb").read_bytes()
    pair = checks.read(source)
    assert [problem for check in checks.PAIR_CHECKS for problem in check(pair)] == []
    assert "transient" not in stored.decode()
    assert "iopub" not in stored.decode()  # no time stamps

    # Another lesson fails: the report names the cell, the others still run, nothing stored changes.
    broken = tmp_path / "02_broken.py"
    broken.write_text("# %% [markdown]\n# # Why?\n\n# %%\nx = 0\n1 / x\n", encoding="utf-8")
    capsys.readouterr()
    shown = []
    monkeypatch.setattr(notebooks, "build_site", lambda folder: shown.append(folder) or "see there")
    monkeypatch.setenv("FLOWERLIB_DATA", "photos")  # a relative folder is relative to the caller
    assert notebooks.main(["run"]) == 1
    printed = capsys.readouterr().out
    assert source.with_suffix(".ipynb").read_bytes() == stored
    assert "1 / x" in printed
    assert "ZeroDivisionError" in printed
    table = printed.split("\n\nlesson")[1].splitlines()
    assert table[2].split()[:4] == ["01_tiny", "1", "<", "2"]
    assert table[3].split()[:2] == ["02_broken", "failed"]
    executed = {path.stem: path.read_text(encoding="utf-8") for path in shown[0].glob("*.ipynb")}
    assert set(executed) == {"01_tiny", "02_broken"}
    assert "True photos" in executed["01_tiny"]
    assert "ZeroDivisionError" in executed["02_broken"]
    assert "True no_photos" in source.with_suffix(".ipynb").read_text(encoding="utf-8")

    # A lesson that fails is not stored.
    assert notebooks.main(["render", "02_broken"]) == 1
    assert not broken.with_suffix(".ipynb").exists()
    assert notebooks.main(["run", "03_unknown"]) == 2


def test_a_row_says_what_a_lesson_found(lesson):
    notebook = nbformat.read(lesson.with_suffix(".ipynb"), as_version=4)
    row = summary.Row("07_small", notebook, 1.25)
    assert row.headline() == "91.4 % are right"
    assert row.banner() == "drawn data · nothing"
    assert summary.text_table([row]).splitlines()[-1] == "07_small  91.4 % are right      1.2"


def test_without_sphinx_a_run_says_where_its_notebooks_are(tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks.importlib.util, "find_spec", lambda name: None)
    assert "lessons. To read them as pages, install the extra docs" in notebooks.build_site(
        tmp_path / "lessons"
    )


def test_a_run_saved_in_jupyter_keeps_the_pair(lesson):
    """What JupyterLab does: it opens the pair, runs all cells, saves."""
    import jupytext

    (lesson.parent / "jupytext.toml").write_bytes(
        (notebooks.NOTEBOOKS / "jupytext.toml").read_bytes()
    )
    before = lesson.read_bytes()
    os.utime(lesson, (1, 1))  # make render leaves the .py as it was, and older
    jupyter = jupytext.TextFileContentsManager()
    jupyter.root_dir = str(lesson.parent)
    opened = jupyter.get("07_small.ipynb")
    notebook = opened["content"]
    assert "jupytext" in notebook.metadata, "it is not paired"
    code(notebook, "lesson.footer").outputs = [stream("drawn data · 4 s\n")]
    for cell in notebook.cells:
        cell.metadata["execution"] = {"iopub.execute_input": "2026-01-01T00:00:00Z"}
    jupyter.save({"type": "notebook", "format": "json", "content": notebook}, "07_small.ipynb")
    assert lesson.read_bytes() == before
    assert checks.problems(lesson) == []

    notebook = jupyter.get("07_small.ipynb")["content"]
    replace(notebook, "epochs = 10", "epochs = 11")
    jupyter.save({"type": "notebook", "format": "json", "content": notebook}, "07_small.ipynb")
    assert b"epochs = 11" in lesson.read_bytes(), "the .py is saved, too"
    (problem,) = checks.problems(lesson)
    assert problem.endswith("its code changed after its outputs were made; run make render.")


def test_what_differs_from_run_to_run_is_not_in_the_stamp(lesson):
    notebook = nbformat.read(lesson.with_suffix(".ipynb"), as_version=4)
    before = notebooks.outputs_hash(notebook)
    edit_output(notebook, "lesson.banner", text="drawn data · nothing\n")
    edit_output(notebook, "lesson.footer", text="another machine · 99 s\n")
    assert notebooks.outputs_hash(notebook) == before
    edit_output(notebook, "lesson.claim", text="✓ took 3.5 s\n")
    first = notebooks.outputs_hash(notebook)
    edit_output(notebook, "lesson.claim", text="✓ took 4.5 s\n")
    assert notebooks.outputs_hash(notebook) == first != before
