"""Photos in Parquet tables, their files' content in a column, as Hugging Face stores them.

Parquet packs rows in groups that are read from their beginning, so one photo costs all before it in
its group, unless it comes after the last one that was read. Each thread has a place of its own.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flowerlib.data import digests
from flowerlib.data.decoding import images
from flowerlib.data.decoding.images import PhotoError
from flowerlib.data.folders.addresses import Place
from flowerlib.data.records import packs
from flowerlib.data.records.shards import marked
from flowerlib.data.stored import Source
from flowerlib.support.errors import InputError

if TYPE_CHECKING:
    import pyarrow
    from pyarrow import parquet as arrow

BATCH = 16  # photos that are unpacked at once
BUFFER = 2**20  # bytes that are read of a file at once


class _Place(threading.local):
    """Where a thread stands in a table: the group, and the rows that were unpacked last."""

    group: tuple[int, int] | None = None
    first: int = 0
    unpacked: pyarrow.Array | None = None
    coming: Iterator[pyarrow.RecordBatch] | None = None


@dataclass
class Tables(Source):
    """Photos by their rows in Parquet files.

    Attributes:
        files: the tables.
        column: that holds the contents, such as "image.bytes".
        ends: for each file, the number of rows up to the end of each of its groups.
        states: what stands for each file as it was when it was looked at.
    """

    files: Sequence[str]
    column: str
    ends: Sequence[np.ndarray]
    states: Sequence[bytes]
    _place: _Place = field(default_factory=_Place)

    def __post_init__(self) -> None:
        self.place = os.path.dirname(os.path.abspath(self.files[0]))
        self._starts = np.cumsum([0, *(int(ends[-1]) if len(ends) else 0 for ends in self.ends)])

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_place": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__ |= {**state, "_place": _Place()}

    def __len__(self) -> int:
        return int(self._starts[-1])

    def _at(self, row: int) -> tuple[int, int]:
        """The number of a photo's file, and its row there."""
        file = int(np.searchsorted(self._starts, row, side="right")) - 1
        return file, row - int(self._starts[file])

    def name(self, row: int) -> str:
        file, inside = self._at(row)
        return f"{self.files[file]}#{inside}"

    def read(self, row: int) -> bytes:
        import pyarrow

        file, inside = self._at(row)
        group = int(np.searchsorted(self.ends[file], inside, side="right"))
        first = int(self.ends[file][group - 1]) if group else 0
        try:
            found = self._unpacked(file, group, inside - first)
        except (OSError, pyarrow.ArrowException, StopIteration) as problem:
            self._place.group = None
            raise PhotoError(
                self.name(row), f"the table cannot be read here ({_in_short(problem)})"
            ) from None
        if found is None:
            raise PhotoError(
                self.name(row), "there is no content in the row; store the photos' bytes, not paths"
            )
        return found

    def _unpacked(self, file: int, group: int, at: int) -> bytes | None:
        place = self._place
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

    def marks(self) -> list[bytes]:
        rows = [np.arange(int(ends[-1])) for ends in self.ends if len(ends)]
        states = [
            state
            for state, ends in zip(self.states, self.ends, strict=True)
            for _ in range(int(ends[-1]) if len(ends) else 0)
        ]
        return marked(states, np.concatenate(rows))


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
            f"{file} is no whole Parquet file ({_in_short(problem)}); write or copy it again."
        ) from None


@dataclass
class Found:
    """What tables hold.

    Attributes:
        source: the photos.
        cells: of each photo, what the other columns hold that were asked for.
        splits: of each photo, as the files' names say; None if they do not.
    """

    source: Tables
    cells: dict[str, list[object]]
    splits: list[str] | None


def columns(path: Place) -> list[str]:
    """The names of the columns of the tables at a path."""
    return list(open_table(packs.files(path)[0]).schema_arrow.names)


def read(path: Place, image: str, others: Sequence[str]) -> Found:
    """Reads all of some Parquet tables but their photos.

    Args:
        path: a file, a pattern with braces, or a folder.
        image: the column of the photos: contents, or a struct with a field `bytes`.
        others: columns whose cells are wanted; numbers of classes are turned into their names.

    Raises:
        InputError: a file cannot be read, or the columns are not there or hold something else.
    """
    import pyarrow

    files = packs.files(path)
    divided = packs.splits(files)
    states = [digests.mark(os.path.abspath(file)) for file in files]
    cells: dict[str, list[object]] = {name: [] for name in others}
    splits: list[str] = []
    ends, column = [], ""
    for number, file in enumerate(files):
        table = open_table(file)
        schema = table.schema_arrow
        if lacking := [name for name in (image, *others) if name not in schema.names]:
            raise InputError(
                f'{file} has no column "{lacking[0]}"; it has {", ".join(schema.names)}.'
            )
        column = _column(file, image, schema.field(image).type)
        try:
            read = table.read(columns=[*others], use_threads=False)
        except (OSError, pyarrow.ArrowException) as problem:
            raise InputError(
                f"{file} is damaged ({_in_short(problem)}); write or copy it again."
            ) from None
        for name in others:
            values, names = read.column(name).to_pylist(), _class_names(schema, name)
            cells[name] += values if names is None else _named(file, name, values, names)
        about = table.metadata
        sizes = [about.row_group(group).num_rows for group in range(about.num_row_groups)]
        ends.append(np.cumsum(sizes, dtype=np.int64))
        splits += [divided[number]] * sum(sizes) if divided else []
    source = Tables([str(file) for file in files], column, ends, states)
    return Found(source, cells, splits if divided else None)


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


def _class_names(schema: pyarrow.Schema, name: str) -> Sequence[str] | None:
    """The names of the classes that a column's numbers stand for, as Hugging Face notes them."""
    try:
        about = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        names = about["info"]["features"][name]["names"]
    except (ValueError, KeyError, TypeError):
        return None
    return [str(one) for one in names] if isinstance(names, list) else None


def _named(file: Path, column: str, values: list[object], names: Sequence[str]) -> list[object]:
    """The cells of a column, classes by their names; -1 stands for no class."""
    known: dict[object, str | None] = {**dict(enumerate(names)), -1: None, None: None}
    if strange := [value for value in values if value not in known]:
        raise InputError(
            f'{file}: the column "{column}" holds {strange[0]!r:.40}, but its {len(names)} classes '
            "are numbered from 0; write the table again."
        )
    return [known[value] for value in values]


def _in_short(problem: BaseException) -> str:
    lines = str(problem).strip().splitlines()
    return lines[0][:100] if lines else type(problem).__name__
