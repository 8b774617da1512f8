"""Tests ask what users can see: no test takes a private name of the project's.

What a test needs to reach has a public name within its module, with a docstring; all else is free
to change while the tests stay as they are.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PRIVATE = re.compile(r"_[A-Za-z0-9]\w*")
PATCHES = ("setattr", "delattr", "getattr", "hasattr")
# Names of others that have no public one, and what the tests do with them.
OTHERS = {
    "_forward_hooks": "of torch: that none stays behind",
    "_forward_impl": "of torchvision's networks: replaced, as a user may",
    "_modules": "of torch: modules that hold themselves, as no file may say",
    "_replace": "of named tuples",
    "_repr_png_": "the method that IPython calls",
}


def private_names(source: str) -> Iterator[str]:
    """The private names that a program takes from elsewhere, in texts with programs, too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
                yield from filter(PRIVATE.fullmatch, [node.attr])
        elif isinstance(node, ast.ImportFrom):
            yield from filter(PRIVATE.fullmatch, [alias.name for alias in node.names])
        elif isinstance(node, ast.Call) and _name(node.func) in PATCHES:
            texts = [given.value for given in node.args[:2] if isinstance(given, ast.Constant)]
            words = [word for text in texts for word in str(text).split(".")]
            yield from filter(PRIVATE.fullmatch, words)
        elif isinstance(node, ast.Constant) and "import " in str(node.value):
            try:
                yield from private_names(str(node.value))
            except (SyntaxError, ValueError):  # a text, or no text at all
                continue


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def test_no_test_takes_a_private_name(repository: Path) -> None:
    files = {
        path.relative_to(repository).as_posix(): path
        for path in (repository / "tests").rglob("*.py")
        if path != Path(__file__)
    }
    assert len(files) > 100
    found = {
        (name, private)
        for name, path in files.items()
        for private in private_names(path.read_text(encoding="utf-8"))
    }
    assert sorted(one for one in found if one[1] not in OTHERS) == []
    assert {private for _, private in found} == OTHERS.keys()


@pytest.mark.parametrize(
    "line",
    [
        "copies._alike(1)",
        "from flowerlib.data.splitting.copies import _alike",
        "monkeypatch.setattr(copies, '_alike', None)",
        "monkeypatch.setattr('flowerlib.data.splitting.copies._alike', None)",
        "run('from flowerlib import data; data._alike')",
        "classifier.backbone._kept",
    ],
)
def test_private_names_are_found(line: str) -> None:
    assert len([*private_names(line)]) == 1
    assert not [*private_names("self._kept, copies.__name__, 'an import of _names'")]
