"""Look at one photo without refusing anything: what it is, and what is odd about it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass

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


def examine(place: str, split: str, class_name: str, read: Callable[[], bytes | None]) -> File:
    """Decodes one photo whole, and says what it is; `read` gives the content of its file."""
    content = None
    try:
        content = read() or b""
        image, facts = images.open_with_facts(content, place)
    except images.PhotoError as error:
        sha256 = "" if content is None else hashlib.sha256(content).hexdigest()
        return File(place, split, class_name, sha256, len(content or b""), error.reason)
    odd = tuple(_oddities(place, content, facts, copies.thumbnail(image)))
    sha256 = hashlib.sha256(content).hexdigest()
    return File(place, split, class_name, sha256, len(content), None, odd, facts.turned)


def _oddities(place: str, content: bytes, facts: images.Facts, thumbnail: np.ndarray) -> list[str]:
    short, long = sorted(facts.size)
    endings = ENDINGS.get(facts.format, {f".{facts.format.lower()}"})
    # A JPEG's end mark follows its last scan; inside a scan neither mark can occur.
    unended = content.rfind(b"\xff\xd9") <= content.rfind(b"\xff\xda")
    kinds = {
        "JPEG without an end mark, perhaps cut and padded": facts.format == "JPEG" and unended,
        "ending of the name does not fit the content": (
            os.path.splitext(place)[1].lower() in images.SUFFIXES - endings
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
