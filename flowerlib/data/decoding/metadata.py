"""What a photo's file holds beside its pixels: left out of JPEG and PNG, except how to turn it.

Cameras and editors write it in many ways, some of them wrong, while every viewer shows the picture.
So no decoder gets to see it, and of all of it only the orientation is read.
"""

from __future__ import annotations

import contextlib
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

PNG_START = b"\x89PNG\r\n\x1a\n"
END = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))
RAW_EXIF, MAX_EXIF = "Raw profile type exif", 2**20


class Unreadable(ValueError):
    """Why some content is not a usable photo, in words that follow the photo's name."""


def lean_jpeg(content: bytes) -> tuple[bytes, dict[str, Any]]:
    """A JPEG without its metadata, and those that may hold an orientation, as Pillow calls them."""
    parts, at = [content[:2]], 2
    about: dict[str, Any] = {}
    while (at := content.find(b"\xff", at)) >= 0 and at + 4 <= len(content):
        marker = content[at + 1]
        if marker in (0x00, 0xFF):  # fillers
            at += 1
        elif marker in (0x01, *range(0xD0, 0xDA)):  # they stand alone
            at += 2
        elif marker == 0xDA:  # here the pixels begin
            parts.append(content[at:])
            break
        else:
            end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
            # Of the applications' segments, JFIF's and Adobe's say how colors are meant.
            if marker in (0xE0, 0xEE) or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
                parts.append(content[at:end])
            elif marker == 0xE1 and content[at + 4 : at + 8] == b"Exif":
                about.setdefault("exif", content[at + 4 : end])
            elif marker == 0xE1 and content[at + 4 : at + 15] == b"http://ns.a":
                about.setdefault("xmp", content[at + 4 : end])
            at = end
    return b"".join(parts), about


def lean_png(content: bytes) -> tuple[bytes, dict[str, Any]]:
    """The same for a PNG, whose blocks are checked on the way."""
    parts: list[bytes] = [PNG_START]
    about: dict[str, Any] = {}
    for kind, block in blocks(content):
        body = block[8:-4]
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            if zlib.crc32(block[4:-4]) != int.from_bytes(block[-4:], "big"):
                raise Unreadable("the picture is damaged (a block does not fit its checksum)")
            parts.append(block)
        elif kind == b"eXIf":
            about["exif"] = body
        elif kind == b"acTL" and int.from_bytes(body[:4], "big") > 1:
            about["animated"] = True
        elif kind == b"iTXt" and body.startswith(b"XML:com.adobe.xmp\0\0"):
            about["xmp"] = body
        elif kind == b"zTXt" and body.startswith(RAW_EXIF.encode() + b"\0\0"):
            with contextlib.suppress(zlib.error):
                text = zlib.decompressobj().decompress(body[len(RAW_EXIF) + 2 :], MAX_EXIF)
                about[RAW_EXIF] = text.decode("latin-1")
    return b"".join(parts), about


def blocks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and whole block of each block of a PNG; only the end mark may be missing."""
    at = len(PNG_START)
    while at + 8 <= len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        kind = content[at + 4 : at + 8]
        if kind == b"IEND":
            yield kind, END
            return
        if end > len(content):
            raise Unreadable("the picture is damaged (image file is truncated)")
        yield kind, content[at:end]
        at = end
    yield b"IEND", END


def orientation(about: Mapping[Any, Any]) -> int:
    """The camera's orientation, 1 to 8, from metadata as Pillow calls them; 1 if there is none.

    Metadata that cannot be read count as none: the picture itself may be sound.
    """
    exif = about.get("exif", b"")
    if not exif and isinstance(text := about.get(RAW_EXIF), str):
        # By ImageMagick: "\nexif\n", the length, and lines of hexadecimal digits.
        with contextlib.suppress(ValueError):
            exif = bytes.fromhex("".join(text.split("\n")[3:]))
    if isinstance(exif, bytes) and (found := _orientation_in(exif)):
        return found
    xmp = about.get("xmp", b"")
    if isinstance(xmp, bytes) and (match := re.search(rb'tiff:Orientation(="|>)([1-8])', xmp)):
        return int(match[2])
    return 1


def _orientation_in(exif: bytes) -> int | None:
    """What an EXIF block says, if it says it well: in its first directory, as a whole number."""
    while exif.startswith(b"Exif\0\0"):
        exif = exif[6:]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, start)
        for number in range(count):
            at = start + 2 + 12 * number
            tag, kind, values = struct.unpack_from(order + "HHI", exif, at)
            if tag == 274 and kind in (3, 4) and values:
                (found,) = struct.unpack_from(order + ("H" if kind == 3 else "I"), exif, at + 8)
                return found if 1 <= found <= 8 else None
    except struct.error:  # it ends too early
        pass
    return None
