"""Lessons with other seeds."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from tools import notebooks


def with_seeds(source: Path, offset: int) -> Any:
    """The lesson with `offset` added to the numbers in SEED and SEEDS of its settings cell.

    Raises:
        LookupError: no seed stands there, or some would stay as they are.
    """
    notebook = notebooks.read_text(source)
    cell = next(cell for cell in notebook.cells if "settings" in cell.metadata.get("tags", []))
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
