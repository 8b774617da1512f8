"""Files that hold many photos each, such as shards: which there are, and which splits they name."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from flowerlib.data.decoding import images
from flowerlib.data.folders import addresses
from flowerlib.data.folders.addresses import Place
from flowerlib.data.folders.layout import split_of
from flowerlib.support import storage
from flowerlib.support.errors import InputError

SHARDS, PARQUET = ".tar", ".parquet"
INSIDE = ("data",)  # a folder of this name holds the files, as on the hub of Hugging Face


def kind(path: Place) -> str | None:
    """`SHARDS` or `PARQUET`, if a path is that of such a file, of several, or of their folder."""
    name = os.fspath(path).lower()
    if name.endswith((SHARDS, PARQUET)) and not os.path.isdir(path):
        return SHARDS if name.endswith(SHARDS) else PARQUET
    found = _inside(storage.expand(Path(path))) if os.path.isdir(path) else []
    return found[0].suffix.lower() if found else None


def files(path: Place) -> list[Path]:
    """The files of a folder, of a pattern with braces, or the one; sorted.

    Raises:
        InputError: one is not there.
    """
    if isinstance(place := addresses.at(path), str):
        raise InputError(
            f"{place}: shards and tables are read from files of this computer; copy them to a "
            "disk, or mount the store."
        )
    text = os.fspath(place)
    if os.path.isdir(text):
        return _inside(place)
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


def splits(found: Sequence[Path]) -> list[str] | None:
    """The split that each file names, such as "test" in test-00.tar; None if no name holds one.

    Raises:
        InputError: some names hold a split, and others do not.
    """
    named = [_split(file) for file in found]
    if not any(named):
        return None
    if "" in named:
        lacking, other = (
            found[named.index("")],
            next(file for file, split in zip(found, named, strict=True) if split),
        )
        raise InputError(
            f"{other} names its split, and {lacking} does not; put train, valid or test into the "
            "names of all, or of none."
        )
    return named


def _split(file: Path) -> str:
    words = re.split(r"[^a-z]+", file.stem.lower())
    return next(filter(None, map(split_of, words)), None) or split_of(file.parent.name) or ""


def _inside(folder: Path) -> list[Path]:
    """The shards or tables of a folder that holds nothing else: neither photos nor classes."""
    found: list[Path] = []
    try:
        inner = sorted(one for one in folder.iterdir() if one.is_dir() and one.name[0] != ".")
        if any(one.name not in INSIDE and not split_of(one.name) for one in inner):
            return []
        for place in (folder, *inner):
            entries = sorted(place.iterdir())
            here = [file for file in entries if file.suffix.lower() in (SHARDS, PARQUET)]
            photos = any(file.suffix.lower() in images.SUFFIXES for file in entries)
            if photos or (place in inner and not here):
                return []
            found += here
    except OSError:  # it may not be read, which is said elsewhere
        return []
    return [file for file in found if file.suffix.lower() == found[0].suffix.lower()]
