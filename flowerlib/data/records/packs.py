"""Files that hold many photos each: which there are, which splits they name, where photos lie."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from flowerlib.data import digests
from flowerlib.data.decoding import images
from flowerlib.data.folders import addresses
from flowerlib.data.folders.addresses import Place
from flowerlib.data.folders.layout import split_of
from flowerlib.data.stored import Source
from flowerlib.support import storage
from flowerlib.support.errors import InputError

SHARDS, PARQUET = ".tar", ".parquet"
INSIDE = "data"  # a folder of this name holds the files, as on the hub of Hugging Face


@dataclass
class Packed(Source):
    """Photos in some files, each by a number that says where it lies there.

    Attributes:
        files: their paths.
        file, start: int64 (N,), of each photo the number of its file, and its place there.
        states: what stands for each file as it was when it was looked at.
    """

    files: Sequence[str]
    file: np.ndarray
    start: np.ndarray
    states: Sequence[bytes]

    def __post_init__(self) -> None:
        self.place = os.path.dirname(os.path.abspath(self.files[0]))

    def __len__(self) -> int:
        return len(self.start)

    def marks(self) -> list[bytes]:
        places = self.start.astype(">i8").tobytes()
        states = [self.states[number][:8] for number in self.file.tolist()]
        return [
            state + places[8 * at : 8 * at + 8] if state else b"" for at, state in enumerate(states)
        ]


@dataclass
class Found:
    """What files hold: photos, and of each the cells for "label" and what else is asked for."""

    source: Packed
    cells: dict[str, list[object]]
    left_out: dict[str, int] = field(default_factory=dict)


def kind(path: Place) -> str | None:
    """`SHARDS` or `PARQUET`, if a path is that of such a file, of several, or of their folder."""
    place = addresses.at(path)
    name = os.fspath(place).lower()
    if name.endswith((SHARDS, PARQUET)) and not os.path.isdir(place):
        return SHARDS if name.endswith(SHARDS) else PARQUET
    found = _inside(place) if os.path.isdir(place) else []
    return found[0].suffix.lower() if found else None


def local(path: Place) -> Path:
    """The path of a table or of shards, which can be no address.

    Raises:
        InputError: it is one.
    """
    if isinstance(place := addresses.at(path), str):
        raise InputError(
            f"{place}: shards and tables are read from files of this computer; copy them to a "
            "disk, or mount the store."
        )
    return place


def files(path: Place) -> list[Path]:
    """The files of a folder, of a pattern with braces, or the one; sorted.

    Raises:
        InputError: one is not there.
    """
    text = os.fspath(local(path))
    if os.path.isdir(text):
        found = _inside(text)
        if len({file.suffix.lower() for file in found}) > 1:
            raise InputError(
                f"{text} holds shards and Parquet tables; put each kind into a folder of its own."
            )
        return found
    several = [text]
    if "{" in text and not os.path.exists(text):
        try:
            from braceexpand import braceexpand
        except ImportError:
            raise InputError(
                f"{text}: braces need the package braceexpand; pip install 'flowerlib[scale]', or "
                "give the folder."
            ) from None
        try:
            several = list(braceexpand(text))
        except ValueError:
            raise InputError(f"{text}: a brace is not closed; close it.") from None
    found = [storage.expand(Path(one)) for one in several]
    if missing := [file for file in found if not file.is_file()]:
        raise InputError(f"{missing[0]}: no such file; give a folder of shards, or their names.")
    return found


def states(found: Sequence[Path]) -> list[bytes]:
    """What stands for each file as it is now; to be asked for before the file is read."""
    return [digests.mark(os.path.abspath(file)) for file in found]


def splits(found: Sequence[Path]) -> list[str] | None:
    """The split that each file names, such as "test" in test-00.tar; None if no name holds one.

    Raises:
        InputError: a name holds two splits; or some names hold one, and others do not.
    """
    named = [_split(file) for file in found]
    if not any(named):
        return None
    if "" in named:
        lacking = found[named.index("")]
        other = next(file for file, split in zip(found, named, strict=True) if split)
        raise InputError(
            f"{other} names its split, and {lacking} does not; put train, valid or test into the "
            "names of all, or of none."
        )
    return named


def _split(file: Path) -> str:
    words = re.split(r"[^a-z]+", file.stem.lower())
    inside = sorted(set(filter(None, map(split_of, words))))
    if len(inside) > 1:
        raise InputError(
            f"{file} names two splits, {' and '.join(inside)}; leave one in the name, or none."
        )
    return inside[0] if inside else split_of(file.parent.name) or ""


def _inside(folder: Place, top: bool = True) -> list[Path]:
    """The shards or tables of a folder that holds nothing else: neither photos nor classes."""
    found: list[Path] = []
    inner: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name, ending = entry.name, os.path.splitext(entry.name)[1].lower()
                if name.startswith("."):
                    continue
                if entry.is_dir():
                    if not top or (name != INSIDE and not split_of(name)):
                        return []
                    inner.append(entry.path)
                elif ending in images.SUFFIXES:
                    return []
                elif ending in (SHARDS, PARQUET):
                    found.append(Path(entry.path))
    except OSError:  # it may not be read, which is said elsewhere
        return []
    for place in inner:
        if not (here := _inside(place, top=False)):
            return []
        found += here
    return sorted(found)
