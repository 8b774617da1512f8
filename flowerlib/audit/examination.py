"""Look at one photo without refusing anything: what it is, and what is odd about it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowerlib.data import depth
from flowerlib.data.decoding import images
from flowerlib.data.splitting import copies

SMALL_SIDE = 32  # pixels
LONG_ASPECT = 4.0
ENDINGS = {  # other formats have one ending, their name
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"},
    "PNG": {".png", ".apng"},
    "PPM": {".ppm", ".pgm", ".pbm", ".pnm", ".pfm"},
    "TIFF": {".tif", ".tiff"},
}


@dataclass(frozen=True)
class File:
    """One photo: where it lies, what it holds, what is odd about it.

    Attributes:
        path: below the folder, with /; or the whole one, if a table names a photo elsewhere.
        split, class_name: where it lies; the split is "" where there are class folders only.
        sha256, size: of the content; "" and 0 if its bytes cannot be read.
        problem: why it is no usable photo, or None.
        oddities: kinds of what is suspicious.
        turned: its EXIF orientation is applied on opening.
    """

    path: str
    split: str
    class_name: str
    sha256: str = ""
    size: int = 0
    problem: str | None = None
    oddities: tuple[str, ...] = ()
    turned: bool = False


def examine(root: Path, split: str, class_name: str, path: Path) -> File:
    """Decodes one photo whole, and says what it is."""
    inside = path.is_relative_to(root)
    place = (path.relative_to(root) if inside else path).as_posix()
    content, size = _content(path)
    try:
        image, facts = images.open_with_facts(path)
    except images.PhotoError as error:
        return File(place, split, class_name, content, size, error.reason)
    odd = tuple(_oddities(path, facts, copies.thumbnail(image)))
    return File(place, split, class_name, content, size, None, odd, facts.turned)


def _content(path: Path) -> tuple[str, int]:
    """The file's SHA-256 and size; "" and 0 if it cannot be read, which opening it will explain."""
    try:
        if not path.is_file():  # a pipe would never end
            return "", 0
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest(), stream.tell()
    except OSError:
        return "", 0


def _oddities(path: Path, facts: images.Facts, thumbnail: np.ndarray) -> list[str]:
    short, long = sorted(facts.size)
    endings = ENDINGS.get(facts.format, {f".{facts.format.lower()}"})
    kinds = {
        "JPEG without an end mark, perhaps cut and padded": (
            facts.format == "JPEG" and not _has_end(path)
        ),
        "ending of the name does not fit the content": (
            path.suffix.lower() in images.SUFFIXES - endings
        ),
        "almost one color": float(thumbnail.std()) < copies.FLAT,
        f"smaller than {SMALL_SIDE} pixels": short < SMALL_SIDE,
        f"more than {LONG_ASPECT:.0f} times as long as wide": long > LONG_ASPECT * short,
        "several frames or pages, the first is taken": facts.frames,
        "more than 8 bits a channel, scaled to 8": facts.deep,
        depth.KIND: facts.dim,
        "CMYK, turned into RGB": facts.stored.startswith("CMYK"),
    }
    return [kind for kind, true in kinds.items() if true]


def _has_end(path: Path) -> bool:
    """Whether a JPEG's end mark follows its last scan; inside a scan neither mark can occur."""
    content = path.read_bytes()
    return content.rfind(b"\xff\xd9") > content.rfind(b"\xff\xda")
