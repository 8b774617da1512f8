"""SECURITY.md says what the attacks' records say; run as a module, this file remakes it."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "SECURITY.md"
START, END = "<!-- table: python -m tests.project.test_security -->", "<!-- end of table -->"
# What is left out of an end's name.
BRIEF = {"kills": r"^.*: ", "caches": r"[:,].*$", "processes": r"^killed [^,]*, "}


def table(folder: Path = REPOSITORY / "results") -> str:
    """One row for each record of a full run: attacks, how they ended, promises broken."""
    rows = ["| attack | full run | how it ended | promises broken |", "|---|---|---|---|"]
    for path in sorted(folder.glob("torture_*.json")):
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        name = path.stem.removeprefix("torture_")
        ends: Counter[str] = Counter()
        for end, count in record["ends"].items():
            ends[re.sub(BRIEF.get(name, "^$"), "", end)] += count
        listed = "; ".join(f"{count:,} {end}" for end, count in ends.most_common())
        more = f"; SIGKILL {record['kills']:,} times" if "kills" in record else ""
        rows.append(
            f"| `{name}` | {record['attacks']:,} | {listed}{more} | {len(record['failures'])} |"
        )
    return "\n".join(rows)


def remade(page: str) -> str:
    """The page with its table recomputed."""
    before, rest = page.split(START)
    return f"{before}{START}\n{table()}\n{END}{rest.split(END)[1]}"


def test_the_table_is_made_from_the_records():
    page = PAGE.read_text(encoding="utf-8")
    assert page == remade(page), "run: python -m tests.project.test_security"


def test_every_attack_has_its_record_and_its_promise():
    page = PAGE.read_text(encoding="utf-8")
    promised = page.split("## What is promised")[1].split("## What is not promised")[0]
    attacks = {path.stem for path in (REPOSITORY / "tests" / "fuzz" / "attacks").glob("[a-z]*.py")}
    for name in attacks:
        assert (REPOSITORY / "results" / f"torture_{name}.json").is_file(), name
        assert f"`{name}`" in promised, name
    assert attacks >= {"artifacts", "checkpoints", "photos", "kills", "caches", "archives"}


def test_the_limit_in_the_text_is_the_one_in_the_code():
    from flowerlib.data.decoding import images

    page = PAGE.read_text(encoding="utf-8")
    assert f"{images.MAX_PIXELS // 1_000_000} million pixels" in page
    assert len(images.FORMATS) == 8 and "eight decoders" in page


def test_it_is_short_names_no_address_and_its_links_lead_somewhere():
    page = PAGE.read_text(encoding="utf-8")
    assert len(page.splitlines()) < 100
    assert not re.search(r"\w@\w", page)
    links = re.findall(r"\]\(([^)#:]+)\)", page)
    assert links and all((REPOSITORY / link).exists() for link in links)


if __name__ == "__main__":
    PAGE.write_text(remade(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
