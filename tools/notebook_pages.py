"""Executed lessons as web pages that need nothing but themselves: no script, no host, no font."""

from __future__ import annotations

import base64
import html
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowerlib.support import tables

STYLE = """
:root { --ink: #24292f; --soft: #57606a; --line: #d8dee4; --paper: #ffffff; --shade: #f6f8fa;
  --accent: #0b6e4f; --wrong: #b3261e; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink: #dfe3e8; --soft: #9aa4af; --line: #30363d;
  --paper: #14181d; --shade: #1c2229; --accent: #56c596; --wrong: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 5rem; max-width: 56rem; background: var(--paper);
  color: var(--ink); font: 1.0625rem/1.6 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 2rem; line-height: 1.2; margin: .5rem 0 1rem; text-wrap: balance; }
h2 { font-size: 1.4rem; line-height: 1.3; margin: 2.75rem 0 .75rem; }
h3 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
a { color: var(--accent); }
a.anchor-link { display: none; }
img { max-width: 100%; height: auto; border-radius: 4px; }
pre, code { font: .875rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
:not(pre) > code { background: var(--shade); padding: .1em .3em; border-radius: 4px; }
pre { margin: 0; padding: .7rem .9rem; overflow-x: auto; white-space: pre; }
.jp-InputArea, .input_area, .highlight { background: var(--shade); border-radius: 6px; }
.input { margin: 1.25rem 0 .5rem; border-left: 3px solid var(--line); border-radius: 6px; }
.output_wrapper, .output { margin: .5rem 0; }
.output pre { padding: .25rem .9rem; }
.output_error pre { color: var(--wrong); }
.prompt { display: none; }
table { border-collapse: collapse; margin: 1rem 0; font-size: .95rem;
  font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding-bottom: .4rem; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { border-bottom: 2px solid var(--line); }
thead:not(:has(th:not(:empty))) { display: none; }
th:not([align]), td:not([align]) { text-align: left; }
.soft { color: var(--soft); font-size: .95rem; }
.card { display: grid; grid-template-columns: 11rem 1fr; gap: 1.25rem; align-items: start;
  padding: 1.25rem 0; border-top: 1px solid var(--line); }
.card h2 { margin: 0 0 .35rem; font-size: 1.2rem; }
.card p { margin: .25rem 0; }
.card .wrong { color: var(--wrong); font-weight: 600; }
@media (max-width: 34rem) { .card { grid-template-columns: 1fr; } }
"""


@dataclass
class Row:
    """One executed lesson: its name, its notebook with outputs, the seconds that it took."""

    name: str
    notebook: Any
    seconds: float
    failed: bool = False

    def title(self) -> str:
        """The question that the lesson asks."""
        for cell in self.notebook.cells:
            if match := re.search(r"^# (.+)$", cell.source, re.MULTILINE):
                return match[1].strip()
        return self.name

    def promise(self) -> str:
        """The paragraph below the title."""
        first = self.notebook.cells[0].source if self.notebook.cells else ""
        paragraphs = [part.strip() for part in re.split(r"\n\s*\n", first)]
        return " ".join(paragraphs[1].split()) if len(paragraphs) > 1 else ""

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
        """The line of `lesson.banner` that tells world and data."""
        for cell in self.notebook.cells:
            for output in cell.get("outputs", []):
                if re.match(r"(garden|real) world\b", output.get("text", "")):
                    return output.text.splitlines()[0]
        return ""

    def thumbnail(self) -> str:
        """The first picture as a small `<img>`, or nothing."""
        from PIL import Image

        for cell in self.notebook.cells:
            for output in cell.get("outputs", []):
                for mime in ("image/png", "image/jpeg"):
                    if encoded := output.get("data", {}).get(mime):
                        picture = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
                        picture.thumbnail((352, 352), Image.Resampling.LANCZOS)
                        small = io.BytesIO()
                        picture.save(small, "JPEG", quality=85)
                        text = base64.b64encode(small.getvalue()).decode("ascii")
                        return f'<img alt="" src="data:image/jpeg;base64,{text}">'
        return ""


def write_page(row: Row, folder: Path) -> Path:
    """Writes one executed lesson as `<name>.html`."""
    from nbconvert import HTMLExporter
    from pygments.formatters import HtmlFormatter

    # The basic template gives the cells only. The lab template would bring scripts from a host.
    body, _ = HTMLExporter(template_name="basic").from_notebook_node(row.notebook)
    colors = HtmlFormatter(style="default").get_style_defs(".highlight")
    dark = HtmlFormatter(style="monokai").get_style_defs(".highlight")
    colors += "\n@media (prefers-color-scheme: dark) {\n" + dark + "\n}"
    colors += "\n.highlight { background: var(--shade) !important; }"
    back = '<p class="soft"><a href="index.html">All lessons</a></p>'
    path = folder / f"{row.name}.html"
    path.write_text(_page(row.title(), back + body, colors), encoding="utf-8")
    return path


def write_index(rows: list[Row], folder: Path) -> Path:
    """Writes `index.html`: a card a lesson, with its question, promise, result and seconds."""
    cards = []
    for row in rows:
        mark = ' class="wrong"' if row.failed else ""
        cards.append(
            f'<section class="card"><a href="{row.name}.html">{row.thumbnail()}</a><div>'
            f'<h2><a href="{row.name}.html">{html.escape(row.title())}</a></h2>'
            f"<p>{html.escape(_plain(row.promise()))}</p>"
            f"<p{mark}>{html.escape(row.headline())}</p>"
            f'<p class="soft">{html.escape(row.banner())}</p>'
            f'<p class="soft">{html.escape(row.name)} · {row.seconds:.0f} s</p></div></section>'
        )
    total = sum(row.seconds for row in rows)
    count = "One lesson" if len(rows) == 1 else f"{len(rows)} lessons"
    lead = f'<p class="soft">{count}, executed on this machine in {total:.0f} s.</p>'
    body = f"<h1>The lessons</h1>\n{lead}\n" + "\n".join(cards)
    path = folder / "index.html"
    path.write_text(_page("The lessons", body, ""), encoding="utf-8")
    return path


def text_table(rows: list[Row]) -> str:
    """Lesson, headline result, seconds, as aligned text."""
    lines = [(row.name, row.headline(), row.seconds) for row in rows]
    return tables.table(lines, ["lesson", "headline result", "seconds"], digits=1).text()


def _plain(text: str) -> str:
    """Markdown of one paragraph without its signs."""
    text = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text)
    return re.sub(r"[*_`]", "", text)


def _page(title: str, body: str, colors: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}{colors}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )
