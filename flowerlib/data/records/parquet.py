"""Photos in Parquet tables, their files' content in a column, as Hugging Face stores them.

Parquet packs rows in groups that are read from their beginning, so one photo costs all before it in
its group, unless it comes after the last one that was read. Each thread has a place of its own.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flowerlib.data.decoding import images
from flowerlib.data.decoding.images import PhotoError
from flowerlib.data.folders.addresses import Place
from flowerlib.data.records import packs
from flowerlib.data.records.packs import Found, Packed
from flowerlib.support.errors import InputError, reason

if TYPE_CHECKING:
    import pyarrow
    from pyarrow import parquet as arrow

BATCH = 16  # photos that are unpacked at once
BUFFER = 2**20  # bytes that are read of a file at once
FIRST_ROWS = 100  # which show what a column holds


class _Position(threading.local):
    """Where a thread stands in a table: the group, and the rows that were unpacked last."""

    group: tuple[int, int] | None = None
    first: int = 0
    unpacked: pyarrow.Array | None = None
    coming: Iterator[pyarrow.RecordBatch] | None = None


@dataclass
class Tables(Packed):
    """Photos by their rows in Parquet files.

    Attributes:
        column: that holds the contents, such as "image.bytes".
        ends: for each file, the number of rows up to the end of each of its groups.
    """

    in_groups = True

    column: str
    ends: Sequence[np.ndarray]
    _position: _Position = field(default_factory=_Position)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "_position"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__ |= {**state, "_position": _Position()}

    def name(self, row: int) -> str:
        return f"{self.files[self.file[row]]}#{self.start[row]}"

    def read(self, row: int) -> bytes:
        import pyarrow

        file, inside = int(self.file[row]), int(self.start[row])
        group = int(np.searchsorted(self.ends[file], inside, side="right"))
        first = int(self.ends[file][group - 1]) if group else 0
        try:
            found = self._unpacked(file, group, inside - first)
        except (InputError, OSError, pyarrow.ArrowException, StopIteration) as problem:
            self._position.group = None
            fault = f"the table cannot be read here ({reason(problem)})"
            raise PhotoError(self.name(row), fault) from None
        if found is None:
            fault = "there is no content in the row; store the photos' bytes, not paths"
            raise PhotoError(self.name(row), fault)
        return found

    def _unpacked(self, file: int, group: int, at: int) -> bytes | None:
        place = self._position
        if place.group != (file, group) or at < place.first or place.coming is None:
            place.coming = open_table(self.files[file]).iter_batches(
                BATCH, row_groups=[group], columns=[self.column], use_threads=False
            )
            place.group, place.first, place.unpacked = (file, group), 0, None
        while place.unpacked is None or at >= place.first + len(place.unpacked):
            place.first += 0 if place.unpacked is None else len(place.unpacked)
            place.unpacked = _leaf(next(place.coming).column(0))
        content = place.unpacked[at - place.first]
        if content.is_valid and len(content.as_buffer()) > images.MAX_BYTES:
            raise OSError(f"over {images.MAX_BYTES:,} bytes")
        return content.as_py()


def _leaf(column: pyarrow.Array) -> pyarrow.Array:
    """The contents in a column of pyarrow, which may be those of its only field."""
    import pyarrow

    return column.field(0) if pyarrow.types.is_struct(column.type) else column


def open_table(file: str | Path) -> arrow.ParquetFile:
    """A Parquet file, which is read piece by piece.

    Raises:
        InputError: pyarrow is missing, or it is no Parquet file.
    """
    try:
        import pyarrow
        from pyarrow import parquet as arrow
    except ImportError:
        raise InputError(
            "Parquet needs the package pyarrow, which is not installed; pip install "
            "'flowerlib[scale]'."
        ) from None
    try:
        return arrow.ParquetFile(file, buffer_size=BUFFER, pre_buffer=False)
    except (OSError, pyarrow.ArrowException) as problem:
        raise InputError(
            f"{file} is no whole Parquet file ({reason(problem)}); write or copy it again."
        ) from None


def columns(path: Place) -> list[str]:
    """The names of the columns of the tables at a path."""
    return list(open_table(packs.files(path)[0]).schema_arrow.names)


def first_rows(path: Place) -> dict[str, list[object]]:
    """The first cells of the columns of texts, numbers and truth values, by the columns' names."""
    import pyarrow

    file = packs.files(path)[0]
    table = open_table(file)
    schema, types = table.schema_arrow, pyarrow.types
    plain = (types.is_string, types.is_large_string, types.is_dictionary, types.is_integer)
    names = [
        one.name
        for one in schema
        if any(is_kind(one.type) for is_kind in (*plain, types.is_boolean))
    ]
    try:
        batch = next(table.iter_batches(FIRST_ROWS, columns=names, use_threads=False), None)
    except (OSError, pyarrow.ArrowException) as problem:
        raise _damaged(file, problem) from None
    if batch is None:
        return {}
    return {name: _cells(file, name, batch.column(name).to_pylist(), schema) for name in names}


def read(path: Place, names: Mapping[str, str]) -> Found:
    """Reads all of some Parquet tables but their photos.

    Args:
        path: a file, a pattern with braces, or a folder.
        names: the column of "path", which holds contents, or structs with a field `bytes`; and
            those of "label", "split", "group" and others that are wanted.

    Raises:
        InputError: a file cannot be read, or the columns are not there or hold something else.
    """
    import pyarrow

    files = packs.files(path)
    states = packs.states(files)
    cells: dict[str, list[object]] = {role: [] for role in names if role != "path"}
    rows: list[np.ndarray] = []
    ends, column = [], ""
    for file in files:
        table = open_table(file)
        schema = table.schema_arrow
        if lacking := [name for name in names.values() if name not in schema.names]:
            raise InputError(
                f'{file} has no column "{lacking[0]}"; it has {", ".join(schema.names)}.'
            )
        column = _column(file, names["path"], schema.field(names["path"]).type)
        try:
            wanted = [names[role] for role in cells]
            read = table.read(columns=wanted, use_threads=False)
        except (OSError, pyarrow.ArrowException) as problem:
            raise _damaged(file, problem) from None
        for role, inside in cells.items():
            inside += _cells(file, names[role], read.column(names[role]).to_pylist(), schema)
        about = table.metadata
        sizes = [about.row_group(group).num_rows for group in range(about.num_row_groups)]
        ends.append(np.cumsum(sizes, dtype=np.int64))
        rows.append(np.arange(sum(sizes)))
    source = Tables(
        [str(file) for file in files],
        np.repeat(np.arange(len(files)), [len(one) for one in rows]),
        np.concatenate(rows),
        states,
        column,
        ends,
    )
    return Found(source, cells)


def _column(file: Path, name: str, kind: pyarrow.DataType) -> str:
    """The column of the contents, perhaps inside the one of this name."""
    import pyarrow

    if pyarrow.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        name, kind = f"{name}.bytes", kind.field("bytes").type
    if not (pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind)):
        raise InputError(
            f'{file}: the column "{name}" holds {kind}, which is no content of photos; name the '
            "one that does (path=... in Python, --path-column ... in a shell)."
        )
    return name


def _cells(file: Path, column: str, values: list[object], schema: pyarrow.Schema) -> list[object]:
    """The cells of a column; classes by their names, which Hugging Face notes beside the schema."""
    try:
        about = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        names = about["info"]["features"][column]["names"]
    except (ValueError, KeyError, TypeError):
        return values
    known: dict[object, object] = {**dict(enumerate(names)), -1: None, None: None}
    if strange := [value for value in values if value not in known]:
        raise InputError(
            f'{file}: the column "{column}" holds {strange[0]!r:.40}, but its {len(names)} classes '
            "are numbered from 0; write the table again."
        )
    return [known[value] for value in values]


def _damaged(file: Path, problem: BaseException) -> InputError:
    return InputError(f"{file} is damaged ({reason(problem)}); write or copy it again.")
