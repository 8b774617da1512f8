"""What executed lessons found, as a table; README's list of lessons."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowerlib.support import tables

START, END = "<!-- lessons: make render -->", "<!-- end of lessons -->"


@dataclass
class Row:
    """One executed lesson: its name, its notebook with outputs, the seconds that it took."""

    name: str
    notebook: Any
    seconds: float
    failed: bool = False

    def headline(self) -> str:
        """What `lesson.headline` said, or that the lesson failed."""
        if self.failed:
            return "failed"
        for cell in self.notebook.cells:
            for output in cell.get("outputs", []):
                if text := output.get("metadata", {}).get("flowerlib", {}).get("headline"):
                    return text
        return ""

    def banner(self) -> str:
        """The line of `lesson.banner` that names the data."""
        for cell in self.notebook.cells:
            for output in cell.get("outputs", []):
                if re.match(r"(drawn data|photos) ·", output.get("text", "")):
                    return output.text.splitlines()[0]
        return ""


def text_table(rows: list[Row]) -> str:
    """Lesson, headline result, seconds, as aligned text."""
    lines = [(row.name, row.headline(), row.seconds) for row in rows]
    return tables.table(lines, ["lesson", "headline result", "seconds"], digits=1).text()


def with_lessons(readme: str, sources: list[Path]) -> str:
    """README with its list of lessons as they are: name, link and question of each."""
    lines = ["| lesson | question |", "|---|---|"]
    for source in sources:
        title = re.search(r"^# # (.+)$", source.read_text(encoding="utf-8"), re.MULTILINE)
        link = f"[{source.stem}](notebooks/{source.stem}.ipynb)"
        lines.append(f"| {link} | {title[1] if title else ''} |")
    before, _, rest = readme.partition(START)
    after = rest.partition(END)[2]
    return "\n".join([before + START, *lines, END + after])
