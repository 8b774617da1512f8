"""Every claim of the lessons can turn out false: a listed mistake makes it so.

Making all mistakes takes longer than running the lessons, so that is marked slow.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import mistakes
from tests.project.mistakes import runner
from tools import notebooks

LESSONS = notebooks.lessons() + notebooks.solutions()


def name_of(source: Path) -> str:
    return f"{source.parent.name}/{source.stem}"


def claims(cell: str) -> list[str]:
    """The sentences that a cell claims; what it puts in between braces is left out."""
    found = []
    for call in ast.walk(ast.parse(cell)):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "lesson.claim":
            sentence = call.args[1]
            parts = sentence.values if isinstance(sentence, ast.JoinedStr) else [sentence]
            text = [part.value if isinstance(part, ast.Constant) else "{}" for part in parts]
            found.append("".join(text))
    return found


@pytest.mark.parametrize("source", LESSONS, ids=name_of)
def test_every_claim_has_a_mistake(source: Path) -> None:
    cells = [cell.source for cell in notebooks.read_text(source).cells if cell.cell_type == "code"]
    said = [sentence for cell in cells for sentence in claims(cell)]
    known = mistakes.of(source)
    without = [text for text in said if not any(one.claim in text for one in known)]
    assert not without, "no mistake makes these false"
    for mistake in known:
        assert sum(mistake.claim in text for text in said) == 1, mistake.claim
        assert runner.start(cells, mistake) <= runner.claimed(cells, mistake), mistake.what


def test_a_mistake_that_changes_nothing_is_told(tmp_path: Path) -> None:
    source = tmp_path / "01_x.py"
    source.write_text(
        "# %%\nfrom flowerlib import lesson\nx = 1\n\n"
        '# %%\nlesson.claim(x == 1, "x is one")\nlesson.claim(x < 3, "x is "\n    "small")\n'
    )
    chosen = [
        mistakes.Mistake("x is one", "another number", "x = 2"),
        mistakes.Mistake("x is small", "a number that is small, too", "x = 2"),
        mistakes.Mistake("x is small", "no number", "x = y"),
    ]
    assert runner.unnoticed(source, chosen) == [
        "a number that is small, too: the claim still holds",
        "no number: NameError: name 'y' is not defined",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("source", LESSONS, ids=name_of)
def test_every_mistake_makes_its_claim_false(source: Path) -> None:
    command = [sys.executable, "-m", "tests.project.mistakes.runner", str(source)]
    run = subprocess.run(command, cwd=notebooks.REPOSITORY, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
