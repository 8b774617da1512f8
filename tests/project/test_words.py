"""Texts for readers use the field's terms: each word below has a standard one, named beside it."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

EVERYWHERE = {
    "kingdom": "class",
    "world": "drawn data, photos",
    "the source": "the name of the article",
    "slips?": "bug",
    "told": "printed, named, reported",
    "anew": "again, from scratch",
    "misplaced": "mislabeled",
    "tall heads?": "deep MLP head",
    "efforts?": "preset",
    "squeezed?": "squash",
}
PROSE = {"doubled": "duplicate", "spread": "standard deviation", "stretch(?:ed)?": "temperature"}
PROSE_FILES = (
    "*.md",
    "docs/**/*.md",
    "notebooks/**/*.md",
    "notebooks/**/*.py",
    "data/*.md",
    "results/lessons_*.json",  # lessons show headlines of theirs
)
# Where a word has another meaning: names of networks, functions and old settings.
ALLOWED = re.compile(
    r"""squeeze-and-excitation|squeezenet|\bsqueeze=|\.squeeze|"squeeze"|\bworld[_ ]size""", re.I
)


def sentences(path: Path) -> list[tuple[int, str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [(number, ALLOWED.sub("", line)) for number, line in enumerate(lines, 1)]


def found_in(path: Path, words: dict[str, str], root: Path) -> list[str]:
    return [
        f"{path.relative_to(root)}:{number}: {match[0]!r}; better: {better}"
        for number, line in sentences(path)
        for word, better in words.items()
        if (match := re.search(rf"(?<![\w`]){word}(?![\w`])", line, re.IGNORECASE))
    ]


def test_prose_uses_the_words_of_the_field(repository: Path) -> None:
    files = {path for pattern in PROSE_FILES for path in repository.glob(pattern)}
    files -= {repository / "CHANGELOG.md"}  # it names what was renamed
    assert len(files) > 20
    words = EVERYWHERE | PROSE
    found = [line for path in sorted(files) for line in found_in(path, words, repository)]
    assert not found, "\n".join(found)


def test_the_library_uses_the_words_of_the_field(repository: Path) -> None:
    files = [*repository.glob("flowerlib/**/*.py")]
    files = [path for path in files if "garden" not in path.parts]
    assert len(files) > 50
    found = [line for path in sorted(files) for line in found_in(path, EVERYWHERE, repository)]
    assert not found, "\n".join(found)


def test_tests_and_benchmarks_use_them_too(repository: Path) -> None:
    folders = [repository / name for name in ("benchmarks", "tests", "tools")]
    files = {path for folder in folders for path in folder.rglob("*.py")} - {Path(__file__)}
    words = {word: better for word, better in EVERYWHERE.items() if word != "the source"}
    found = [line for path in sorted(files) for line in found_in(path, words, repository)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("text", ["As told above", "a Tall Head", "the real world:"])
def test_a_retired_word_is_found(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.md").write_text(f"fine\n{text}\n", encoding="utf-8")
    assert found_in(tmp_path / "a.md", EVERYWHERE, tmp_path)


def test_html_holds_no_markdown(repository: Path) -> None:
    """Pages show the text of a <summary> as it is, backticks included."""
    pages = repository.glob("notebooks/**/*.py")
    lines = [line for page in pages for line in page.read_text(encoding="utf-8").splitlines()]
    summaries = [line for line in lines if "<summary>" in line]
    assert summaries and not [line for line in summaries if "`" in line]


def test_no_number_at_the_start_of_a_line_becomes_a_list(repository: Path) -> None:
    """A paragraph whose line begins with "24. " is shown as item 24 of a list."""
    pages = [*repository.glob("notebooks/**/*.py"), *repository.glob("docs/*.md")]
    found = [
        f"{page.name}:{number}: {line}"
        for page in pages
        for before, (number, line) in itertools.pairwise([(0, ""), *sentences(page)])
        if re.match(r"(?:# )?\d+[.)](?: |$)", line)
        and not re.match(r"(?:# )?(?:\d+[.)] |   |#*$)", before[1])
    ]
    assert len(pages) > 20 and not found, "\n".join(found)
