"""The listing of flowerlib fits a screen, and each file a few of them."""

from __future__ import annotations

from pathlib import Path

ENTRIES, LINES = 18, 300


def test_the_top_of_flowerlib_is_short(repository: Path) -> None:
    entries = [e.name for e in (repository / "flowerlib").iterdir() if e.name != "__pycache__"]
    assert len(entries) <= ENTRIES, sorted(entries)


def test_no_file_is_longer_than_a_few_screens(repository: Path) -> None:
    files = (repository / "flowerlib").rglob("*.py")
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert not {path.name: lines for path, lines in lengths.items() if lines > LINES}
