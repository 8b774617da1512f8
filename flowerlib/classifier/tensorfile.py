"""One safetensors file, written in order and verified when read; numpy only.

The format (https://huggingface.co/docs/safetensors) is eight bytes of length, a JSON header that
gives every tensor's type, shape and place, and the numbers themselves. Any safetensors library
reads what is written here. Reading is stricter than most of them: the header is checked as a whole,
without a byte of the numbers, and every tensor against the SHA-256 that the caller expects.

The messages of `TensorFileError` complete the sentence "FILE ...".
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from flowerlib.support import strict_json

# safetensors' name of a type → numpy's; no network of torchvision's holds any other.
TYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "I64": np.dtype("<i8")}
MAX_HEADER = 4 << 20  # bytes; the longest of torchvision's networks needs a fifth of it
PIECE = 1 << 20  # bytes looked at at a time, so that checks need no memory beside the tensor
METADATA = "__metadata__"
Shapes = Mapping[str, tuple[str, tuple[int, ...]]]  # type (as in TYPES) and shape by tensor
DAMAGED = "is no whole classifier file"


class TensorFileError(Exception):
    """The file is not what it should be."""


@dataclass(frozen=True)
class Entry:
    """One tensor as the header has it: its type as in `TYPES`, its shape, its bytes' place."""

    type: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """All that a file says before its numbers begin.

    Attributes:
        metadata: texts by name.
        entries: tensors by name, in the order of their bytes.
        start: where the numbers begin in the file.
    """

    metadata: dict[str, str]
    entries: dict[str, Entry]
    start: int


def sha256(array: np.ndarray) -> str:
    """SHA-256 of an array's bytes, little-endian and in C order, in hexadecimal."""
    return hashlib.sha256(_bytes(array)).hexdigest()


def write(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Writes arrays and texts to a file, the same bytes whenever they are the same.

    To write it whole or not at all, wrap this in `storage.atomic_path`.

    Raises:
        TensorFileError: a type that is not in `TYPES`, or a header too long to be read again.
        OSError: the disk is full, or something like it.
    """
    known = {dtype: name for name, dtype in TYPES.items()}
    header: dict[str, Any] = {METADATA: dict(metadata)}
    position = 0
    # Wide types first, so that every tensor begins at a multiple of its numbers' width.
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    for name in names:
        array = arrays[name]
        if array.dtype not in known:
            raise TensorFileError(f"cannot hold numbers of type {array.dtype}, as in {name}")
        end = position + array.nbytes
        header[name] = {
            "dtype": known[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [position, end],
        }
        position = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        raise TensorFileError(f"cannot hold a description of {len(text):,} bytes")
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for name in names:
            file.write(_bytes(arrays[name]))


def read_header(file: BinaryIO) -> Header:
    """Reads and checks all that comes before the numbers.

    Raises:
        TensorFileError: the header is cut, too long, no strict JSON, or does not fit the file.
    """
    size = os.fstat(file.fileno()).st_size
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or not 2 <= length <= size - 8:
        raise TensorFileError(f"{DAMAGED} (its header is missing or cut)")
    if length > MAX_HEADER:
        raise TensorFileError(f"{DAMAGED} (its header of {length:,} bytes is too long)")
    content = file.read(length)
    if len(content) < length or content[:1] != b"{":
        raise TensorFileError(f"{DAMAGED} (its header is missing or cut)")
    try:
        found = strict_json.strict_json(content.decode())
    except ValueError as problem:  # UnicodeDecodeError is one
        raise TensorFileError(f"{DAMAGED} (its header is no strict JSON: {problem})") from None
    metadata = found.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise TensorFileError(f"{DAMAGED} (its metadata are not texts)")
    entries = sorted(
        ((name, _entry(name, given)) for name, given in found.items()),
        key=lambda item: (item[1].begin, item[1].end),
    )
    position = 0
    for name, entry in entries:
        if entry.begin != position:
            raise TensorFileError(f"{DAMAGED} (tensor {name!a:.80} overlaps or leaves a gap)")
        position = entry.end
    if position != size - 8 - length:
        raise TensorFileError(
            f"{DAMAGED} (it holds {size - 8 - length:,} bytes of numbers instead of {position:,})"
        )
    return Header(metadata, dict(entries), 8 + length)


def check_shapes(entries: Mapping[str, Entry], wanted: Shapes) -> None:
    """Compares a header's tensors with those of a network.

    Raises:
        TensorFileError: a tensor is missing, unknown, or of another type or shape.
    """
    for name in [*wanted, *entries]:
        if name not in entries or name not in wanted:
            fault = "lacks" if name in wanted else "has the unknown"
            raise TensorFileError(f"is damaged: it {fault} tensor {name!a:.80}")
        if (entries[name].type, entries[name].shape) != wanted[name]:
            raise TensorFileError(f"is damaged: tensor {name!a:.80} has the wrong shape or type")


def read_into(file: BinaryIO, header: Header, name: str, out: np.ndarray, digest: str = "") -> None:
    """Fills an array with a tensor's numbers, in place.

    Args:
        out: C-contiguous, of the entry's type and shape.
        digest: the SHA-256 that the bytes must have; "" for none.

    Raises:
        TensorFileError: the file became shorter, a number is not finite, or the digest is another.
    """
    entry = header.entries[name]
    file.seek(header.start + entry.begin)
    target = _bytes(out)
    total = hashlib.sha256()
    for begin in range(0, len(target), PIECE):
        piece = target[begin : begin + PIECE]
        if file.readinto(piece) != len(piece):  # type: ignore[attr-defined]
            raise TensorFileError(f"{DAMAGED} (it became shorter while it was read)")
        if digest:
            total.update(piece)
        if not np.isfinite(np.frombuffer(piece, TYPES[entry.type])).all():
            raise TensorFileError(f"is damaged: tensor {name!a:.80} holds values not finite")
    if digest and total.hexdigest() != digest:
        raise TensorFileError(f"is damaged: tensor {name!a:.80} does not match its digest")


def _entry(name: str, given: Any) -> Entry:
    fault = TensorFileError(f"{DAMAGED} (the entry of tensor {name!a:.80} is garbled)")
    if not isinstance(given, dict) or set(given) != {"dtype", "shape", "data_offsets"}:
        raise fault
    kind, shape, place = given["dtype"], given["shape"], given["data_offsets"]
    if not isinstance(kind, str) or not isinstance(shape, list) or not isinstance(place, list):
        raise fault
    whole = all(type(number) is int and 0 <= number < 2**63 for number in [*shape, *place])
    if not whole or len(place) != 2 or len(shape) > 8:
        raise fault
    if kind not in TYPES:
        raise TensorFileError(
            f"is damaged: tensor {name!a:.80} has the wrong shape or type ({kind!a:.20})"
        )
    if place[1] - place[0] != math.prod(shape) * TYPES[kind].itemsize:
        raise fault
    return Entry(kind, tuple(shape), *place)


def _bytes(array: np.ndarray) -> memoryview:
    """The bytes of an array without a copy; it must be C-contiguous."""
    if array.dtype.newbyteorder("<") != array.dtype:
        raise TensorFileError("can be read and written on little-endian machines only")
    return array.reshape(-1).view(np.uint8).data
