"""Shards and Parquet tables as lists of photos with their classes: the photos lie inside."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import overload

from flowerlib.data.folders.addresses import Place
from flowerlib.data.records import columns, packs, parquet, rows, shards
from flowerlib.data.records.rows import Rows
from flowerlib.data.records.shards import Shards
from flowerlib.data.stored import Source, Stored
from flowerlib.support.errors import InputError


def read(
    path: Place,
    asked: Mapping[str, str | None] | None = None,
    *,
    training: bool = True,
) -> Rows:
    """The photos of shards or Parquet tables, with what is wrong with them.

    Args:
        path: a file, a pattern with braces, or a folder.
        asked: of a table, the names of the columns of "path", "label", "split" and "group"; of
            shards with `json`, that of "label".
        training: whether the photos are to be trained on, or only to be evaluated.

    Raises:
        InputError: a file cannot be read, or a column is not there.
    """
    given = {role: name for role, name in (asked or {}).items() if name is not None}
    where, groups = os.fspath(path), None
    left_out: dict[str, int] = {}
    source: Source
    labels: Sequence[object]
    if packs.kind(path) == packs.SHARDS:
        if other := sorted(given.keys() - {"label"}):
            raise InputError(
                f"{where} holds shards, so the {other[0]} column has no effect; leave it out."
            )
        packed = shards.read(path, given.get("label"))
        source, labels, splits, left_out = (
            packed.source, packed.labels, packed.splits, packed.left_out,
        )  # fmt: skip
    else:
        named = columns.chosen(where, parquet.columns(path), given)
        wanted = [name for role, name in named.items() if name is not None and role != "path"]
        table = parquet.read(path, str(named["path"]), wanted)
        cells = {role: table.cells[name] for role, name in named.items() if name in wanted}
        source, labels, groups = table.source, cells["label"], cells.get("group")
        splits = [rows.text(one) for one in cells["split"]] if "split" in cells else table.splits
    found = rows.arrange(
        where,
        (),
        labels,
        splits,
        groups,
        places=Names(source),
        training=training,
        inside=Stored(source),
    )
    found.left_out = left_out
    if isinstance(source, Shards) and len(source) and not any(labels):
        found.problems.insert(
            0,
            "no photo has a class (a member .cls or .json with the same key); add them, or unpack "
            "it, if it is an archive of class folders",
        )
    return found


def pictures(path: Place) -> Stored:
    """The photos of shards or Parquet tables, whose classes nobody needs.

    Raises:
        InputError: as in `read`, but for labels.
    """
    if packs.kind(path) == packs.SHARDS:
        return Stored(shards.read(path).source)
    image = columns.found(os.fspath(path), parquet.columns(path), "path")
    return Stored(parquet.read(path, str(image), ()).source)


class Names(Sequence[str]):
    """The photos' names in a source, each made when it is asked for."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    @overload
    def __getitem__(self, at: int) -> str: ...

    @overload
    def __getitem__(self, at: slice) -> list[str]: ...

    def __getitem__(self, at: int | slice) -> str | list[str]:
        row = range(len(self))[at]
        return [*map(self._source.name, row)] if isinstance(row, range) else self._source.name(row)

    def __iter__(self) -> Iterator[str]:
        return map(self._source.name, range(len(self)))
