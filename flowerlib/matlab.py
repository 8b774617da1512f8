"""Reads the numbers of a MATLAB 5 file, such as Oxford's lists of labels and splits."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from flowerlib.errors import InputError

NUMBERS = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
MATRIX, COMPRESSED = 14, 15
MAX_BYTES = 1 << 24


def numbers(file: Path) -> dict[str, np.ndarray]:
    """The numeric variables of a .mat file by name, each as one row (N,) of int64.

    Raises:
        InputError: the file is missing, damaged, or of another format.

    Source: The MathWorks, "MAT-file format", level 5.
    """
    try:
        with open(file, "rb") as stream:
            content = stream.read(MAX_BYTES)
        order = {b"IM": "<", b"MI": ">"}[content[126:128]]
        found = {}
        for kind, element in _elements(content[128:], order):
            if kind == COMPRESSED:
                [(kind, element)] = _elements(
                    zlib.decompressobj().decompress(element, MAX_BYTES), order
                )
            if kind == MATRIX:
                name, values = _matrix(element, order)
                found[name] = values
        return found
    except OSError as problem:
        raise InputError(f"{file} cannot be read: {problem.strerror}.") from None
    except (ValueError, LookupError, zlib.error, TypeError) as problem:
        raise InputError(f"{file} is damaged, or no MATLAB 5 file ({problem}).") from None


def _elements(data: bytes, order: str) -> list[tuple[int, bytes]]:
    """What stands in a row: (type, content); content of up to 4 bytes shares the tag's 8 bytes."""
    found, at = [], 0
    while at < len(data):
        kind, size = (int(n) for n in np.frombuffer(data, f"{order}u4", 2, at))
        if kind >> 16:
            kind, size, start = kind & 0xFFFF, kind >> 16, at + 4
            at += 8
        else:
            start = at + 8
            at = start + size + (0 if kind == COMPRESSED else -size % 8)
        if start + size > len(data):
            raise ValueError("cut off")
        found.append((kind, data[start : start + size]))
    return found


def _matrix(element: bytes, order: str) -> tuple[str, np.ndarray]:
    """Name and values of one variable: flags, dimensions, name, real part."""
    (_, _), (_, _), (_, name), (kind, content), *_ = _elements(element, order)
    values = np.frombuffer(content, order + NUMBERS[kind])
    if not np.all(np.isfinite(values)) or not np.all(values == np.round(values)):
        raise ValueError(f"{ascii(name.decode('latin1'))} holds other than whole numbers")
    return name.decode("latin1"), values.astype(np.int64)
