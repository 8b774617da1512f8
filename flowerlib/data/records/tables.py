"""Tables of photos: a CSV file, a DataFrame, or files that hold the photos, too."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from flowerlib.data.records import packed, packs, rows
from flowerlib.data.records.columns import chosen, note_unused_splits
from flowerlib.data.records.rows import Rows
from flowerlib.support import storage
from flowerlib.support.errors import InputError, plural

ENDINGS = (".csv", ".tsv", ".txt")
DELIMITERS = ",;\t"


class DataFrame(Protocol):
    """A table of pandas, or of another library that gives its columns in the same way."""

    @property
    def columns(self) -> Iterable[object]: ...

    def __getitem__(self, column: object, /) -> Iterable[object]: ...


Table = str | os.PathLike[str] | Mapping[str, Iterable[object]] | DataFrame


def is_table(path: Path | str) -> bool:
    """Whether a path is that of a table, by its ending or since it is a file; shards are, too."""
    name = os.fspath(path).lower()
    if packs.kind(path):
        return True
    return name.endswith(ENDINGS[:2]) or (name.endswith(ENDINGS) and os.path.isfile(path))


def read(
    table: Table,
    columns: Mapping[str, str | None] | None = None,
    *,
    folder: str | os.PathLike[str] | None = None,
    training: bool = True,
) -> Rows:
    """Reads a table of photos.

    Args:
        table: a CSV file (UTF-8; commas, semicolons or tabs), or its columns; or shards or Parquet,
            as `packed.read` takes them.
        columns: the names of the columns of "path", "label", "split" and "group"; those that are
            not named are looked for by their usual names.
        folder: that relative paths start from; that of the file, or the working directory.
        training: whether the photos are to be trained on, or only to be evaluated.

    Raises:
        InputError: the file cannot be read, or a column is not there.
    """
    if isinstance(table, (str, os.PathLike)) and packs.kind(os.fspath(table)):
        return packed.read(os.fspath(table), columns, training=training)
    if isinstance(table, (str, os.PathLike)):
        file = packs.local(os.fspath(table))
        where, places, cells = str(file), *_read_csv(file)
        folder = file.parent if folder is None else folder
    else:
        where, cells = "the table", _cells(table)
        places = [f"row {number}" for number in range(len(next(iter(cells.values()), [])))]
    named = chosen(where, [*cells], columns)
    found = {role: cells[name] if name is not None else None for role, name in named.items()}
    arranged = rows.arrange(
        where,
        found["path"] or [],
        found["label"] or [],
        found["split"],
        found["group"],
        places=places,
        folder="" if folder is None else storage.expand(folder),
        training=training,
    )
    if named["split"] is None:
        others = cells.keys() - set(named.values())
        note_unused_splits(arranged, {name: cells[name] for name in others}, training)
    return arranged


def _cells(table: Mapping[str, Iterable[object]] | DataFrame) -> dict[str, Sequence[object]]:
    names = table if isinstance(table, Mapping) else getattr(table, "columns", None)
    if names is None:
        raise InputError(
            f"A {type(table).__name__} is no table; give the path of a CSV file or a DataFrame."
        )
    return {str(name): list(table[name]) for name in names}


def _read_csv(file: Path) -> tuple[list[str], dict[str, Sequence[object]]]:
    """The lines' names, and the cells by column."""
    content = _decoded(file)
    head = content.split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=head.count)
    reader = csv.reader(
        io.StringIO(content, newline=""), delimiter=delimiter, skipinitialspace=True
    )
    places: list[str] = []
    lines: list[list[str]] = []
    try:
        names = [name.strip() for name in next(reader, [])]
        if not any(names):
            raise InputError(
                f"{file} {'is empty' if not content.strip() else 'begins with an empty line'}; "
                "write the names of the columns first, such as path,label, then a line a photo."
            )
        for cells in reader:
            if not any(cells):
                continue
            if len(cells) != len(names):
                raise InputError(
                    f"{file}: line {reader.line_num} has {len(cells)} "
                    f"{plural(len(cells), 'cell')}, not {len(names)} as "
                    "the first line has; quote what holds a comma."
                )
            places.append(f"line {reader.line_num}")
            lines.append(cells)
    except csv.Error as problem:
        raise InputError(f"{file}: line {reader.line_num} is no CSV ({problem}).") from None
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f'{file} has two columns "{twice[0]}"; rename one.')
    return places, {name: [cells[at] for cells in lines] for at, name in enumerate(names)}


def _decoded(file: Path) -> str:
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; give a CSV file, or a folder of photos.") from None
    except OSError as problem:
        raise InputError(f"{file} cannot be read ({problem.strerror}).") from None
    if content.startswith((b"PK\3\4", b"\xd0\xcf\x11\xe0")):
        raise InputError(f"{file} is a spreadsheet or an archive; save the table as CSV.")
    try:
        wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{file} is not UTF-8; save the table as CSV in UTF-8.") from None
