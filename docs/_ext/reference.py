"""The reference: which lessons use a function, read from their code; signatures as plain blocks."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.nodes import make_refnode


def uses(code: str) -> set[str]:
    """Full names of everything in flowerlib that a lesson's code mentions, as it imports it."""
    tree = ast.parse(code)
    imported = {  # the name in the lesson → the full name
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "flowerlib"
        for alias in node.names
    }
    found = set(imported.values())
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (name := dotted(node)):
            first, *rest = name.split(".")
            if first in imported:
                found.add(".".join([imported[first], *rest]))
    return found


def dotted(node: ast.expr) -> str:
    """ "data.flowers" for the expression `data.flowers`; "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (left := dotted(node.value)):
        return f"{left}.{node.attr}"
    return ""


def read_lessons(app: Sphinx) -> None:
    """Reads which lessons use what, in the order of the course."""
    table: dict[str, list[str]] = defaultdict(list)
    for path in sorted(Path(app.srcdir, "notebooks").glob("[0-9]*.py")):
        code = re.sub(r"^[%!].*$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for name in uses(code):
            table[name].append(path.stem)
    app.used_in_lessons = table


def add_lessons(app: Sphinx, what: str, name: str, item: object, options: object, lines: list):
    """Ends a docstring with links to the lessons that use the documented thing."""
    if what == "data" and type(item).__doc__ and lines and lines[0] in type(item).__doc__:
        lines.clear()  # a constant has no docstring; this is what its type says of itself
    stems = app.used_in_lessons.get(name, [])
    if stems and what not in ("module", "method", "property", "attribute"):
        links = ", ".join(f":doc:`{stem} </notebooks/{stem}>`" for stem in stems)
        lines += ["", f":Used in lessons: {links}", ""]


def link_names(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Links code such as `metrics.accuracy` in the prose of pages to the reference."""
    objects = app.env.get_domain("py").objects
    for node in list(doctree.findall(nodes.literal)):
        text = node.astext().removesuffix("()")
        if isinstance(node.parent, nodes.reference) or "." not in text:  # `train` is also a split
            continue
        name = "flowerlib." + text.removeprefix("flowerlib.")
        if (found := objects.get(name)) and found.docname != docname:
            builder = app.builder
            link = make_refnode(builder, docname, found.docname, found.node_id, node.deepcopy())
            node.replace_self(link)


def list_parameters(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Makes lines of long signatures plain blocks: Sphinx's are a list that names nothing."""

    def plain(found: re.Match) -> str:
        lines = found[2].replace("<dd>", "<div>").replace("</dd>", "</div>")
        return f'{found[1]}<div class="sig-parameters">{lines}</div>'

    if "body" in context:
        pattern = r'(<span class="sig-paren">\(</span>\s*)<dl>(.*?)</dl>'
        context["body"] = re.sub(pattern, plain, context["body"], flags=re.DOTALL)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", read_lessons)
    app.connect("autodoc-process-docstring", add_lessons, priority=900)  # after napoleon
    app.connect("doctree-resolved", link_names)
    app.connect("html-page-context", list_parameters)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
