"""Runs lessons with something changed: other seeds, or a mistake made on purpose."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import nbformat

from tools import notebooks


def cell_with(notebook: Any, *, tag: str = "", function: str = "") -> int:
    """The position of the code cell with a tag, or of that which defines a function or class."""
    for position, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        if tag and tag in cell.metadata.get("tags", []):
            return position
        body = ast.parse(cell.source).body if function else []
        if function in [getattr(statement, "name", None) for statement in body]:
            return position
    raise LookupError(f"no cell has the tag {tag!r}" if tag else f"no cell defines {function}")


def with_seeds(source: Path, offset: int) -> Any:
    """The lesson with `offset` added to the numbers in SEED and SEEDS of its settings cell.

    Raises:
        LookupError: no seed stands there, or some would stay as they are.
    """
    notebook = notebooks.read_text(source)
    cell = notebook.cells[cell_with(notebook, tag="settings")]
    lines = cell.source.splitlines()
    changed = 0
    for statement in ast.parse(cell.source).body:
        names = [getattr(target, "id", "") for target in getattr(statement, "targets", [])]
        if names not in (["SEED"], ["SEEDS"]):
            continue
        value = statement.value
        numbers = [value] if isinstance(value, ast.Constant) else getattr(value, "elts", [])
        if not numbers and "SEED" not in [getattr(part, "id", "") for part in ast.walk(value)]:
            raise LookupError(f"in the settings of {source.stem}, SEEDS do not follow SEED")
        for number in reversed(numbers):  # from the right, since the line grows
            line, begin, end = number.lineno - 1, number.col_offset, number.end_col_offset
            lines[line] = f"{lines[line][:begin]}{number.value + offset}{lines[line][end:]}"
            changed += 1
    if not changed:
        raise LookupError(f"the settings of {source.stem} hold no SEED")
    cell.source = "\n".join(lines)
    return notebook


def with_mistake(source: Path, code: str, after: str = "") -> Any:
    """The lesson with a cell more: behind the one that defines `after`, or before all others."""
    notebook = notebooks.read_text(source)
    position = cell_with(notebook, function=after) + 1 if after else 0
    notebook.cells.insert(position, nbformat.v4.new_code_cell(code))
    return notebook
