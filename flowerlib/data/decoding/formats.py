"""Which kinds of picture are read, by whose first bytes, and what other files seem to be."""

from __future__ import annotations

import contextlib
import functools
import io
import struct
from collections.abc import Callable

from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")  # Pillow's names

# What opens a file object, and what says by the first bytes whether it can.
Decoder = tuple[Callable[..., ImageFile.ImageFile], Callable[[bytes], object] | None]


@functools.cache
def _decoders() -> tuple[Decoder, ...]:
    """What opens each of `FORMATS`, and tells by the first bytes whether it can.

    Not by `Image.open`: that looks at the settings of the whole process for the number of pixels,
    and warns. A JPEG's further views are left alone.
    """
    Image.init()
    found = {name: Image.OPEN[name] for name in FORMATS if name in Image.OPEN}
    found["JPEG"] = (JpegImageFile, found["JPEG"][1])
    return tuple(found.values())


def identified(content: bytes) -> ImageFile.ImageFile | None:
    """Opens a picture, whose pixels are not decoded yet; None if no decoder takes it for one."""
    for opener, accepts in _decoders():
        if accepts is not None and accepts(content[:16]) is True:
            with contextlib.suppress(SyntaxError, IndexError, TypeError, struct.error):
                return opener(io.BytesIO(content), "")
    return None


SIGNATURES = {
    b"\xff\xd8\xff": "the JPEG is damaged near its beginning",
    b"\x89PNG": "the PNG is damaged near its beginning",
    b"GIF8": "the GIF is damaged near its beginning",
    b"RIFF": "this is no readable WebP picture",
    b"II*\0": "this is a damaged TIFF or one of an unusual kind",
    b"MM\0*": "this is a damaged TIFF or one of an unusual kind",
    b"%PDF": "this is a PDF, not a picture",
    b"%!PS": "this is PostScript, not a picture",
    b"8BPS": "this is a Photoshop file; export it as JPEG or PNG",
    b"PK\3\4": "this is a zip archive, not a picture",
}


def not_a_picture(head: bytes) -> str:
    """Says what a file that no decoder identifies looks like from its first bytes."""
    if not head:
        return "the file is empty"
    for signature, meaning in SIGNATURES.items():
        if head.startswith(signature):
            return meaning
    if head[4:8] == b"ftyp":  # the family of HEIC, AVIF and MP4
        brand = head[8:12].decode("ascii", "replace").strip()
        return f'this is a HEIC picture or a video (kind "{brand}"); convert it to JPEG'
    if head.lstrip()[:1] == b"<":
        return "this is a web page or XML, not a picture"
    if all(byte in b"\t\n\r\f" or 32 <= byte < 127 for byte in head):
        return "this is a text file, not a picture"
    return "no known picture format"
