"""Photos in tar shards, as WebDataset writes them: indexed once, then read from their places.

A sample is a run of members with the same key, which is all before the first dot of the name:
`rose_1.jpg` and `rose_1.cls`, or `rose_1.json`. WebDataset itself reads shards from beginning to
end; photos are needed in any order here (by class and split, in any share of several processes), so
only the offsets are kept. Nothing but the picture, `cls` and `json` is read, and nothing is run.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from flowerlib.data.decoding import images
from flowerlib.data.decoding.images import PhotoError
from flowerlib.data.folders.addresses import Place
from flowerlib.data.records import packs
from flowerlib.data.records.packs import Found, Packed
from flowerlib.data.records.rows import text
from flowerlib.support import distributed
from flowerlib.support.console import one_line
from flowerlib.support.errors import InputError

NAME = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)")  # key and ending, as WebDataset takes them
PICTURES = frozenset(ending[1:] for ending in images.SUFFIXES)
LABELS = ("label", "class", "class_name", "classname", "category", "target")  # in a json
LABELED = {"cls", "json"}  # endings of what holds a label
MOST = 2**20  # bytes of a json


@dataclass
class Shards(Packed):
    """Photos by offset and size in bytes, int64 (N,), in tar files; `members` are their names."""

    size: np.ndarray
    members: Sequence[str]

    def name(self, row: int) -> str:
        return f"{self.files[self.file[row]]}/{self.members[row]}"

    def read(self, row: int) -> bytes:
        start, size = int(self.start[row]), int(self.size[row])
        images.check_size(size, self.name(row))
        try:
            with open(self.files[self.file[row]], "rb", buffering=0) as shard:
                shard.seek(start)
                content = shard.read(size)
        except OSError as problem:
            fault = f"the shard cannot be read ({problem.strerror})"
            raise PhotoError(self.name(row), fault) from None
        if len(content) != size:
            raise PhotoError(self.name(row), "the shard is shorter than it was")
        return content


def read(path: Place, label: str | None = None) -> Found:
    """Notes where each photo lies in the shards of a folder or of a pattern, and its label.

    Of several processes that work together, each looks into its share of the shards.

    Args:
        path: a tar file, a pattern with braces, or a folder.
        label: the name of the label in each `json`; by default one of the usual names.

    Raises:
        InputError: a shard is cut off, compressed or damaged, a key has no picture or two, or a
            label cannot be read.
    """
    files = packs.files(path)
    states = packs.states(files)
    found = distributed.by_all(functools.partial(look_into, label=label), files)
    file = np.repeat(np.arange(len(files), dtype=np.int64), [len(one.labels) for one in found])
    source = Shards(
        [str(shard) for shard in files],
        file,
        np.concatenate([one.start for one in found]),
        states,
        np.concatenate([one.size for one in found]),
        [member for one in found for member in one.members],
    )
    cells: dict[str, list[object]] = {"label": [label for one in found for label in one.labels]}
    left_out: Counter[str] = Counter()
    for one in found:
        left_out.update(one.left_out)
    return Found(source, cells, dict(left_out))


@dataclass
class Listed:
    """What a shard holds, as `Shards` has it; another process gets it as few large pieces."""

    start: np.ndarray
    size: np.ndarray
    members: list[str]
    labels: list[str]
    left_out: Counter[str]


def look_into(shard: Path, label: str | None) -> Listed:
    """Reads the headers and labels of one shard.

    Raises:
        InputError: as `read`; or this machine cannot open it.
    """
    pictures: list[tarfile.TarInfo] = []
    labels: list[str] = []
    left_out: Counter[str] = Counter()
    try:
        with open(shard, "rb") as stream:
            for sample in _samples(shard, stream, left_out):
                pictures += [sample[ending] for ending in sample.keys() & PICTURES]
                known = (_label(shard, stream, sample, kind, label) for kind in ("json", "cls"))
                labels.append(sys.intern(next(filter(None, known), "")))  # pickled once each
                left_out.update(f".{ending}" for ending in sample.keys() - PICTURES - LABELED)
    except OSError as problem:
        raise InputError(
            f"{shard} cannot be read ({problem.strerror}); make it readable on every machine that "
            "takes part."
        ) from None
    return Listed(
        np.array([one.offset_data for one in pictures], np.int64),
        np.array([one.size for one in pictures], np.int64),
        [one.name for one in pictures],
        labels,
        left_out,
    )


def _samples(
    shard: Path, stream: IO[bytes], left_out: Counter[str]
) -> Iterator[dict[str, tarfile.TarInfo]]:
    """The members of each key by their endings, with one picture among them."""

    def named() -> Iterator[tuple[str, str, tarfile.TarInfo]]:
        for member in _members(shard, stream):
            match = NAME.fullmatch(member.name)
            if match and not (member.name.startswith("__") and member.name.endswith("__")):
                yield match[1], match[2].lower(), member
            else:
                left_out["without an ending"] += 1

    for key, members in itertools.groupby(named(), lambda member: member[0]):
        sample: dict[str, tarfile.TarInfo] = {}
        fault = ""
        for _, ending, member in members:
            if ending in sample:
                fault = "two members that end alike; give each photo a key of its own"
            sample[ending] = member
        pictures = sample.keys() & PICTURES
        if len(pictures) > 1:
            fault = "two pictures; give each photo a key of its own"
        elif not pictures:
            fault = f"no picture ({', '.join(sorted(sample))}); add one, or leave the key out"
        if fault:
            raise InputError(f"{shard}: the key {one_line(key)} has {fault}.")
        yield sample


def _members(shard: Path, stream: IO[bytes]) -> Iterator[tarfile.TarInfo]:
    """The files in a shard, which must be whole."""
    try:
        end, last = 0, "its beginning"
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                last = one_line(member.name)
                size = -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                end = member.offset_data + size * member.isreg()
                if member.isreg() and not member.issparse():
                    yield member
            # tarfile takes any nonsense, and the end of the file, for the end of the archive.
            stream.seek(end)
            if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError
    except tarfile.TarError:
        stream.seek(0)
        if stream.read(4).startswith((b"\x1f\x8b", b"BZh", b"\xfd7zX", b"\x28\xb5\x2f\xfd")):
            raise InputError(
                f"{shard} is compressed, and photos are read from their places; unpack it to a "
                "plain .tar."
            ) from None
        raise InputError(
            f"{shard} is cut off or damaged behind {last}; write or copy it again."
        ) from None


def _label(
    shard: Path, stream: IO[bytes], sample: dict[str, tarfile.TarInfo], kind: str, name: str | None
) -> str:
    """The label in the `cls` or the `json` of a sample; "" if there is none."""
    if kind not in sample or (name and kind == "cls"):
        return ""
    where = f"{shard}/{one_line(sample[kind].name)}"
    stream.seek(sample[kind].offset_data)
    content = stream.read(min(sample[kind].size, MOST))
    try:
        found = content.decode("utf-8") if kind == "cls" else json.loads(content)
    except (ValueError, RecursionError):
        what = "no text in UTF-8" if kind == "cls" else "no JSON"
        raise InputError(f"{where} is {what}; write the label again.") from None
    if isinstance(found, dict):
        found = next((found[key] for key in ([name] if name else LABELS) if key in found), None)
    if found is None or isinstance(found, (str, int, float)):
        return text(found)
    raise InputError(f"{where} has {found!r:.40} for a label; give a name or a number.")
