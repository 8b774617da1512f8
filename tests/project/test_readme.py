"""README says what results/ hold, is short, and its links lead somewhere."""

from __future__ import annotations

import json
import re

import pytest

from benchmarks import __main__ as benchmarks
from tools import notebook_checks, notebooks, summary


@pytest.mark.parametrize("name", benchmarks.TABLES)
def test_the_tables_are_made_from_results(repository, name):
    text = (repository / name).read_text(encoding="utf-8")
    assert text.count(benchmarks.START) == len(benchmarks.TABLES[name])
    for make in benchmarks.TABLES[name]:
        assert f"{benchmarks.START}\n{make()}\n{benchmarks.END}" in text


@pytest.mark.parametrize("name", benchmarks.TABLES)
def test_every_measured_accuracy_in_a_table_has_an_interval(name):
    for make in benchmarks.TABLES[name]:
        for table in make().split("\n\n"):
            head, _, *rows = (
                [cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()
            )
            every = "accuracy" in head[0]  # then each column holds accuracies
            columns = [at for at, title in enumerate(head) if at and (every or "accuracy" in title)]
            assert all("interval" in head[0 if every else at] for at in columns)
            for row in rows:
                published = "as published" in row[0]  # articles give none
                assert published or all("[" in row[at] for at in columns if row[at]), row


def test_it_is_short_and_its_links_lead_somewhere(repository):
    text = (repository / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 150
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert links
    assert [link for link in links if not (repository / link).exists()] == []


def test_its_table_of_modules_names_each_once(repository):
    text = (repository / "README.md").read_text(encoding="utf-8").partition("## Inside")[2]
    rows = [line.split("|")[2] for line in text.splitlines() if line.startswith("|")]
    named = [name for row in rows for name in re.findall(r"`([a-z_]+)`", row)]
    named.remove("flowerlib")  # the heading
    package = repository / "flowerlib"
    there = {path.stem for path in package.glob("*.py")} - {"__init__", "__main__"}
    there |= {path.parent.name for path in package.glob("*/__init__.py")}
    assert sorted(named) == sorted(there)


def test_it_shows_the_commands_that_the_makefile_has(repository):
    text = (repository / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z]+):.*##", (repository / "Makefile").read_text(), re.MULTILINE)
    named = set(re.findall(r"make ([a-z]+)", text)) - {"help"}
    assert {"run", "test"} <= named <= set(targets)
    assert "make --no-print-directory test" in (repository / ".ci" / "run").read_text()


# Of a lesson, on drawn data and on photos; a new one has no record of photos yet.
TIMES = re.compile(r"\| \d+ s, (?:\d+ min|–) \|$", re.MULTILINE)


def test_the_times_of_the_lessons_are_those_of_the_records(repository):
    text = (repository / "notebooks" / "README.md").read_text(encoding="utf-8")
    assert notebooks.with_times(text) == text
    assert len(TIMES.findall(text)) == len(notebooks.lessons())
    assert notebooks.with_times(text.replace(" s, ", "1 s, ")) == text


def test_it_lists_every_lesson_with_its_question(repository):
    text = (repository / "README.md").read_text(encoding="utf-8")
    assert summary.with_lessons(text, notebooks.lessons()) == text
    assert len(re.findall(r"^\| \[\d\w+\]\(notebooks/", text, re.MULTILINE)) >= 5


UNIT = r"%|s\b|ms\b|seconds?\b|minutes?\b|min\b|hours?\b|[KMG]B\b|points?\b|times\b"
FIGURE = re.compile(rf"(?<![\w.])\d[\d,]*(?:\.\d+(?:\s?(?:{UNIT}))?|\s?(?:{UNIT}))")


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "data/README.md",
        "notebooks/README.md",
        "docs/how_fast.md",
        "docs/results.md",
        "docs/scale.md",
    ],
)
def test_figures_in_the_prose_are_those_of_the_records(repository, name):
    """What a paragraph says was measured is in the records that a comment at its end names."""
    text = (repository / name).read_text(encoding="utf-8")
    made = f"{re.escape(benchmarks.START)}.*?{re.escape(benchmarks.END)}"
    text = re.sub(made, "", text, flags=re.DOTALL)
    text = TIMES.sub("|", text)  # checked above
    missing = []
    for paragraph in re.split(r"\n\s*\n", text):
        if re.search(r"^\| source \||Python \d", paragraph, re.MULTILINE):
            continue  # published facts with their source, what must be installed
        prose, _, mark = paragraph.partition("<!-- ")
        named = re.search(r"from: ([\w/, ]+\w)", mark)
        places = named[1].split(", ") if named else []
        known = [number for place in places for number in _numbers(_at(place))]
        for figure in FIGURE.findall(notebook_checks.without_code(prose)):
            if figure not in mark and not _covers(known, figure):
                missing.append(figure)
    assert missing == []


def _at(place):
    """A record, or what is below names in it: "cold/rows/import torch"."""
    name, *keys = place.split("/")
    found = benchmarks.read(name)
    for key in keys:
        found = found[key]
    return found


def _numbers(record):
    """All numbers in a record, whether in lists or under names."""
    if isinstance(record, dict):
        record = list(record.values())
    if isinstance(record, list):
        return [number for part in record for number in _numbers(part)]
    return [record] if isinstance(record, int | float) else []


def _covers(known, figure):
    """Some number, as it is, in percent, or in thousands of its unit, rounds to the figure."""
    written = re.match(r"[\d,.]+", figure)[0].replace(",", "")
    digits = len(written.partition(".")[2])
    return any(
        abs(round(value * scale, digits) - float(written)) < 1e-9
        for value in known
        for scale in (1, 100, 0.001)
    )


def test_records_of_the_same_command_agree():
    """`--preset quick` is 112 pixels on the frontier, unless its record says that it is older."""
    points = {point["name"]: point for point in benchmarks.read("frontier")["points"]}
    for name in ("fastai", "source_recipe"):
        record = benchmarks.read(name)
        for run in record["flowerlib train"]["runs"]:
            gap = abs(run["valid_accuracy"] - points["112"]["valid_accuracy"])
            assert gap < 0.005 or record.get("older")
    for name, side in (("quick", "112"), ("standard", "224")):
        if row := benchmarks.read("cold")["rows"].get(f"flowers, --preset {name}"):
            assert abs(row["valid_accuracy"] - points[side]["valid_accuracy"]) < 0.005


def test_a_deeper_network_is_not_recorded_as_the_faster_one():
    for kind in benchmarks.KINDS:
        rows = benchmarks.read(f"extraction_{kind}")
        for shallow, deep in (("mobilenet_v2", "resnet50"), ("resnet50", "resnet101")):
            speeds = (rows[name]["images_per_second"]["flowerlib"] for name in (shallow, deep))
            assert next(speeds) > next(speeds)
    assert "per_second" not in json.dumps(benchmarks.read("backbones"))
