"""Rows as a table: aligned plain text for terminals, HTML for notebooks and pages."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowerlib.support.console import one_line
from flowerlib.support.errors import InputError


@dataclass(frozen=True)
class Table:
    """Columns and rows as texts, ready to be laid out; columns of numbers are aligned `right`."""

    columns: list[str]
    rows: list[list[str]]
    right: list[bool]

    def text(self, caption: str | None = None, leave_out: Sequence[str] = ()) -> str:
        """The table in columns of equal width, two spaces apart, without those in `leave_out`."""
        places = [j for j, name in enumerate(self.columns) if name not in leave_out]
        widths = {j: max(len(line[j]) for line in [self.columns, *self.rows]) for j in places}
        rule = ["-" * widths.get(j, 0) for j in range(len(self.columns))]
        lines = [caption] if caption else []
        for line in [self.columns, rule, *self.rows]:
            padded = [
                line[j].rjust(widths[j]) if self.right[j] else line[j].ljust(widths[j])
                for j in places
            ]
            lines.append("  ".join(padded).rstrip())
        return "\n".join(lines)

    def html(self, caption: str | None = None, volatile: Sequence[str] = ()) -> str:
        """The table as HTML; cells of the `volatile` columns are marked with that class."""
        # `align` is old HTML, but it survives the sanitizers of web viewers, which CSS does not.
        # JupyterLab's own style puts every cell to the right, and only CSS is above that.
        left = 'align="left" style="text-align: left"'
        heads = ['align="right"' if flag else left for flag in self.right]
        cells = [
            f'{head} class="volatile"' if name in volatile else head
            for head, name in zip(heads, self.columns, strict=True)
        ]
        title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
        lines = [f"<table>{title}<thead>{_line('th', heads, self.columns)}</thead>", "<tbody>"]
        lines += [_line("td", cells, row) for row in self.rows]
        return "\n".join([*lines, "</tbody></table>"])


def table(
    rows: Sequence[Mapping[str, Any] | Sequence[Any]],
    columns: Sequence[str] | None = None,
    *,
    digits: int | Mapping[str, int] = 3,
) -> Table:
    """Makes a table of rows.

    Args:
        rows: dicts, or sequences together with `columns`.
        columns: names and order of the columns; by default the keys of the first row.
        digits: digits after the point of floats, one number or one a column (3 where not named).

    Raises:
        InputError: no columns can be found, or a row has not one value for every column.
    """
    if columns is None:
        if not rows or not isinstance(rows[0], Mapping):
            raise InputError("A table needs `columns`, or rows that are dicts.")
        columns = list(rows[0])
    texts: list[list[str]] = []
    numbers = [bool(rows)] * len(columns)
    for number, row in enumerate(rows):
        values = [row.get(name) for name in columns] if isinstance(row, Mapping) else list(row)
        if len(values) != len(columns):
            raise InputError(
                f"Row {number} of a table has {len(values)} values for {len(columns)} columns."
            )
        places = [digits if isinstance(digits, int) else digits.get(name, 3) for name in columns]
        cells = [_cell(value, d) for value, d in zip(values, places, strict=True)]
        texts.append([text for text, _ in cells])
        numbers = [
            so_far and is_number for so_far, (_, is_number) in zip(numbers, cells, strict=True)
        ]
    return Table([str(name) for name in columns], texts, numbers)


def _cell(value: Any, digits: int) -> tuple[str, bool]:
    """The text of a value, and whether it is a number or missing."""
    if hasattr(value, "item"):  # a scalar of numpy or torch
        value = value.item()
    if value is None:
        return "–", True
    if isinstance(value, bool):
        return ("yes" if value else "no"), False
    if isinstance(value, float):
        return f"{value:.{digits}f}", True
    return one_line(value), isinstance(value, int)


def _line(tag: str, attributes: list[str], texts: list[str]) -> str:
    cells = zip(attributes, texts, strict=True)
    inner = "".join(f"<{tag} {given}>{html.escape(text)}</{tag}>" for given, text in cells)
    return f"<tr>{inner}</tr>"
