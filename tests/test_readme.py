"""README says what results/ hold, is short, and its links lead somewhere."""

from __future__ import annotations

import re

import pytest

from benchmarks import __main__ as benchmarks
from tools import notebooks


@pytest.mark.parametrize("name", benchmarks.TABLES)
def test_the_tables_are_made_from_results(repository, name):
    text = (repository / name).read_text(encoding="utf-8")
    assert text.count(benchmarks.START) == len(benchmarks.TABLES[name])
    for make in benchmarks.TABLES[name]:
        assert f"{benchmarks.START}\n{make()}\n{benchmarks.END}" in text


def test_it_is_short_and_its_links_lead_somewhere(repository):
    text = (repository / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 150
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert links
    assert [link for link in links if not (repository / link).exists()] == []


def test_it_shows_the_commands_that_the_makefile_has(repository):
    text = (repository / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z]+):.*##", (repository / "Makefile").read_text(), re.MULTILINE)
    named = set(re.findall(r"make ([a-z]+)", text)) - {"help"}
    assert {"run", "test"} <= named <= set(targets)
    assert "make --no-print-directory test" in (repository / ".ci" / "run").read_text()


def test_the_times_of_the_lessons_are_those_of_the_records(repository):
    text = (repository / "notebooks" / "README.md").read_text(encoding="utf-8")
    assert notebooks.with_times(text) == text
    assert len(re.findall(r"\| \d+ s, \d+ s \|$", text, re.MULTILINE)) == 5
    assert notebooks.with_times(text.replace(" s, ", "1 s, ")) == text
