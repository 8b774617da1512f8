"""What a lesson's page has beyond its cells: alt texts, downloads, launch links, cards.

With `executed_lessons`, a folder, pages show the notebooks in it (`make run` writes them) instead
of the committed ones.
"""

from __future__ import annotations

import base64
import html
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from site_settings import launch_links
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

DOWNLOADS = "_downloads/lessons"
UNKNOWN = "https://github.com/OWNER/flowerlib"  # what pages say as long as nobody knows
PICTURES = ("image/png", "image/jpeg")


def is_lesson(docname: str) -> bool:
    """Whether a page is a lesson or its solutions."""
    return bool(re.fullmatch(r"notebooks/(solutions/)?\d\w*", docname))


def number(docname: str) -> str:
    """ "04" of "notebooks/04_flowers"."""
    return Path(docname).name.split("_")[0]


def notebook_of(app: Sphinx, docname: str) -> Path:
    """The notebook that a page shows: an executed one if there is one, else the committed one."""
    executed = Path(app.config.executed_lessons or "/nonexistent", f"{Path(docname).name}.ipynb")
    if "solutions" not in docname and executed.is_file():
        return executed
    return Path(app.srcdir, f"{docname}.ipynb")


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def change_source(app: Sphinx, docname: str, source: list[str]) -> None:
    """Shows the notebook that `make run` executed, and the repository's name where it is known."""
    if is_lesson(docname):
        source[0] = notebook_of(app, docname).read_text(encoding="utf-8")
    elif docname.startswith("docs/") and app.config.repository_url:
        source[0] = source[0].replace(
            "https://github.com/OWNER/flowerlib", app.config.repository_url
        )


def always_again(app: Sphinx, env: Any, added: set, changed: set, removed: set) -> set[str]:
    """Executed notebooks change without their committed files changing."""
    return set(filter(is_lesson, env.found_docs)) if app.config.executed_lessons else set()


def pictures(notebook: dict[str, Any]) -> list[tuple[str, str]]:
    """(base64, alt text) of every picture among the outputs, in order."""
    return [
        (output["data"][mime], output.get("metadata", {}).get(mime, {}).get("alt", ""))
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        for mime in PICTURES
        if mime in output.get("data", {})
    ]


def complete_lesson(app: Sphinx, doctree: nodes.document) -> None:
    """Numbers a lesson, and gives each picture the alt text that `lesson.show` stored with it."""
    docname = app.env.docname
    if not is_lesson(docname):
        return
    title = next(iter(doctree.findall(nodes.title)), None)
    if title is not None and "solutions" not in docname:
        title.insert(0, nodes.Text(f"{int(number(docname))}. "))
    shown = [node for node in doctree.findall(nodes.image) if "/jupyter_execute/" in node["uri"]]
    found = pictures(read(notebook_of(app, docname)))
    for node, (_, alt) in zip(shown, found, strict=True):
        node["alt"] = alt


def add_links(app: Sphinx, page: str, template: str, context: dict, doctree: Any) -> None:
    """Hands the template what it lists above a lesson: file → address, service → address."""
    if not is_lesson(page):
        return
    files = [Path(page).with_suffix(end) for end in (".ipynb", ".py")]
    place = context["pathto"](DOWNLOADS, 1)
    context["lesson_files"] = {
        name: f"{place}/{file.relative_to('notebooks').as_posix()}"
        for name, file in zip(("notebook", "script"), files, strict=True)
    }
    url = app.config.repository_url
    online = context["pathto"]("docs/online")
    context["launch_links"] = (
        launch_links(url, f"{page}.ipynb")
        if url
        else {name: f"{online}#{name.lower()}" for name in ("Colab", "Binder", "Codespaces")}
    )


def name_folded_code(app: Sphinx, page: str, template: str, context: dict, doctree: Any) -> None:
    """Lets screen readers say what a folded cell shows: myst-nb gives all of them another name."""
    if is_lesson(page):
        label = ' aria-label="Toggle hidden content"'
        context["body"] = context["body"].replace(label, "")


def copy_downloads(app: Sphinx, exception: Exception | None) -> None:
    """Copies each lesson, as notebook and as script, below `_downloads`."""
    if exception is not None or app.builder.format != "html":
        return
    for docname in filter(is_lesson, app.env.found_docs):
        for end in (".ipynb", ".py"):
            source = Path(app.srcdir, docname + end)
            target = Path(app.outdir, DOWNLOADS, Path(docname + end).relative_to("notebooks"))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


class LessonCards(SphinxDirective):
    """`{lesson-cards}`: a card for each lesson, with its first picture, question and promise."""

    def run(self) -> list[nodes.Node]:
        lines = ["::::{grid} 1 2 2 3", ":gutter: 3", ""]
        for path in sorted(Path(self.env.srcdir, "notebooks").glob("[0-9]*.ipynb")):
            docname = f"notebooks/{path.stem}"
            notebook = read(notebook_of(self.env.app, docname))
            self.env.note_dependency(str(path))
            lines += self.card(docname, notebook)
        return self.parse_text_to_nodes("\n".join([*lines, "::::"]))

    def card(self, docname: str, notebook: dict[str, Any]) -> list[str]:
        title, promise = opening(notebook)
        picture, alt = thumbnail(notebook, Path(self.env.app.outdir, "_images", "cards"), docname)
        place = "../" * self.env.docname.count("/") + "_images/cards/" + picture
        image = [f'<img class="card-picture" alt="{alt}" src="{place}">', ""]
        return [
            f":::{{grid-item-card}} {int(number(docname))}. {title}",
            f":link: /{docname}",
            ":link-type: doc",
            "",
            *(image if picture else []),
            promise,
            ":::",
            "",
        ]


def opening(notebook: dict[str, Any]) -> tuple[str, str]:
    """The question in the title and the sentence below it."""
    text = "".join(notebook["cells"][0]["source"]) if notebook["cells"] else ""
    title, _, rest = text.partition("\n")
    promise = re.split(r"\n\s*\n", rest.strip())[0]
    return title.removeprefix("# ").strip(), " ".join(promise.split())


def thumbnail(notebook: dict[str, Any], folder: Path, docname: str) -> tuple[str, str]:
    """Writes the first picture of a lesson, small; its file name and alt text, "" if none."""
    from PIL import Image

    for encoded, alt in pictures(notebook)[:1]:
        image = Image.open(io.BytesIO(base64.b64decode("".join(encoded)))).convert("RGB")
        image.thumbnail((720, 720), Image.Resampling.LANCZOS)
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{Path(docname).name}.jpg"
        image.save(folder / name, quality=85)
        return name, html.escape(alt, quote=True)
    return "", ""


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("repository_url", "", "env", str)
    app.add_config_value("executed_lessons", "", "", str)
    app.add_directive("lesson-cards", LessonCards)
    app.connect("source-read", change_source)
    app.connect("env-get-outdated", always_again)
    app.connect("doctree-read", complete_lesson, priority=100)  # before titles are collected
    app.connect("html-page-context", add_links)
    app.connect("html-page-context", name_folded_code)
    app.connect("build-finished", copy_downloads)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
