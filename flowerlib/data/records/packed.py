"""Shards and Parquet tables as lists of photos with their classes: the photos lie inside."""

from __future__ import annotations

import os
from collections.abc import Mapping

from flowerlib.data.folders.addresses import Place
from flowerlib.data.records import columns, packs, parquet, rows, shards
from flowerlib.data.records.rows import Rows
from flowerlib.data.stored import Stored
from flowerlib.support.errors import InputError

ARCHIVE = (
    "no photo has a class (a member .cls or .json with the same key); add them, or unpack it, if "
    "it is an archive of class folders"
)


def read(
    path: Place, asked: Mapping[str, str | None] | None = None, *, training: bool = True
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
    where, tar = os.fspath(path), packs.kind(path) == packs.SHARDS
    unused: dict[str, str] = {}  # columns, by what their cells are called below
    divided: list[str] | None = None  # by the files' names
    if tar:
        if other := sorted(given.keys() - {"label"}):
            raise InputError(
                f"{where} holds shards, so the {other[0]} column has no effect; leave it out."
            )
        divided = packs.splits(packs.files(path))
        inside = shards.read(path, given.get("label"))
    else:
        named = columns.chosen(where, parquet.columns(path), given)
        wanted = {role: name for role, name in named.items() if name}
        if "split" not in wanted:
            divided = packs.splits(packs.files(path))
        if "split" not in wanted and divided is None:
            first = parquet.first_rows(path)
            others = first.keys() - set(wanted.values())
            possible = columns.possible_splits({name: first[name] for name in others})
            unused = {f"unused {name}": name for name in possible}
        inside = parquet.read(path, wanted | unused)
    source, cells = inside.source, inside.cells
    found = rows.arrange(
        where,
        (),
        cells["label"],
        cells.get("split") if divided is None else [divided[at] for at in source.file.tolist()],
        cells.get("group"),
        places=[*map(source.name, range(len(source)))],
        training=training,
        inside=Stored(source),
    )
    found.left_out = inside.left_out
    columns.note_unused_splits(found, {unused[key]: cells[key] for key in unused}, training)
    if tar and len(source) and not any(cells["label"]):
        found.problems.insert(0, ARCHIVE)
    return found


def pictures(path: Place) -> Stored:
    """The photos of shards or Parquet tables, whose classes nobody needs.

    Raises:
        InputError: as in `read`, but for labels.
    """
    if packs.kind(path) == packs.SHARDS:
        return Stored(shards.read(path).source)
    image = columns.found(os.fspath(path), parquet.columns(path), "path")
    return Stored(parquet.read(path, {"path": str(image)}).source)
