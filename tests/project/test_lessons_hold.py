"""What lessons say holds with other seeds, too.

This takes as long as the lessons do, so it is marked slow.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.project import lesson_runs
from tools import notebooks

LESSONS = notebooks.lessons() + notebooks.solutions()
OFFSETS = (100, 200)  # added to the seeds


def name_of(source: Path) -> str:
    return f"{source.parent.name}/{source.stem}"


@pytest.mark.slow
@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("source", LESSONS, ids=name_of)
def test_it_holds_with_other_seeds(source: Path, offset: int) -> None:
    notebook = lesson_runs.with_seeds(source, offset)
    notebooks.execute(notebook, source.parent)  # raises where a claim is false
    printed = [out.get("text", "") for cell in notebook.cells for out in cell.get("outputs", [])]
    assert any(text.startswith("✓") for text in printed), "nothing was claimed"


@pytest.mark.parametrize("source", LESSONS, ids=name_of)
def test_every_lesson_has_seeds(source: Path) -> None:
    changed = lesson_runs.with_seeds(source, 100)
    assert notebooks.code_hash(changed) != notebooks.code_hash(notebooks.read_text(source))


def test_seeds_are_changed_where_they_stand(tmp_path: Path) -> None:
    source = tmp_path / "01_x.py"
    source.write_text('# %% tags=["settings"]\nSEED = 0  # here\nSEEDS = (0, 12, 3)\nLR = 0.1\n')
    notebook = lesson_runs.with_seeds(source, 100)
    assert notebook.cells[0].source == "SEED = 100  # here\nSEEDS = (100, 112, 103)\nLR = 0.1"
    source.write_text('# %% tags=["settings"]\nLR = 0.1\n')
    with pytest.raises(LookupError, match="no SEED"):
        lesson_runs.with_seeds(source, 100)


def test_seeds_follow_seed_or_are_numbers(tmp_path: Path) -> None:
    source = tmp_path / "01_x.py"
    source.write_text('# %% tags=["settings"]\nSEED = 0\nSEEDS = range(SEED, SEED + 4)\n')
    assert lesson_runs.with_seeds(source, 100).cells[0].source.startswith("SEED = 100\n")
    source.write_text('# %% tags=["settings"]\nSEED = 0\nSEEDS = range(4)\n')
    with pytest.raises(LookupError, match="SEEDS do not follow SEED"):
        lesson_runs.with_seeds(source, 100)
