"""Pictures of known pixels, and their files; PNG and TIFF are written byte by byte."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

Random = np.random.Generator


def size(random: Random) -> tuple[int, int]:
    return int(random.integers(2, 40)), int(random.integers(2, 40))


def noise(random: Random, channels: int = 3, high: int = 256) -> np.ndarray:
    return random.integers(0, high, (*size(random), channels))


def smooth(random: Random, channels: int = 3) -> np.ndarray:
    """A slope of colors, which lossy formats keep nearly as it is."""
    down, across = np.mgrid[0:1:64j, 0:1:96j]
    ends = random.integers(20, 236, (3, channels))
    slope = ends[0] + (ends[1] - ends[0]) * down[..., None] * 0.5
    return np.round(slope + (ends[2] - slope) * across[..., None] * 0.5).astype(np.uint8)


def gray(values: np.ndarray) -> np.ndarray:
    return np.repeat(np.asarray(values).reshape(*values.shape[:2], 1), 3, axis=2)


def on_white(color: np.ndarray, alpha: np.ndarray, top: int = 255) -> np.ndarray:
    """color * alpha + white * (1 - alpha), in 8 bits."""
    share = alpha[..., None] / top
    return np.round((color * share + top * (1 - share)) * (255 / top))


def saved(pixels: np.ndarray, kind: str, mode: str | None = None, **options) -> bytes:
    image = Image.fromarray(np.ascontiguousarray(pixels).astype(np.uint8), mode)
    return encoded(image, kind, **options)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    memory = io.BytesIO()
    image.save(memory, kind, **options)
    return memory.getvalue()


LOSSLESS: dict[str, tuple[str, dict]] = {
    ".png": ("PNG", {}),
    ".webp": ("WEBP", {"lossless": True, "exact": True}),
    ".tif": ("TIFF", {}),
    ".bmp": ("BMP", {}),
    ".ppm": ("PPM", {}),
}


def png(
    values: np.ndarray, bits: int, color: int, palette: bytes = b"", clear: bytes | None = None
) -> bytes:
    """A PNG written by hand; `color` is PNG's type: 0 gray, 2 RGB, 3 palette, 4 LA, 6 RGBA."""
    rows = values.reshape(len(values), -1)
    if bits >= 8:
        lines = [row.astype(f">u{bits // 8}").tobytes() for row in rows]
    else:
        planes = ((rows[:, :, None] >> np.arange(bits)[::-1]) & 1).reshape(len(rows), -1)
        lines = [line.tobytes() for line in np.packbits(planes.astype(bool), axis=1)]
    head = struct.pack(">IIBBBBB", values.shape[1], len(values), bits, color, 0, 0, 0)
    blocks = [(b"IHDR", head)]
    blocks += [(b"PLTE", palette)] if palette else []
    blocks += [(b"tRNS", clear)] if clear is not None else []
    blocks += [(b"IDAT", zlib.compress(b"".join(b"\0" + line for line in lines))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_block(name, body) for name, body in blocks)


def png_block(name: bytes, body: bytes) -> bytes:
    """A block of a PNG, with its checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def with_app1(jpeg: bytes, body: bytes) -> bytes:
    """A JPEG with a block of EXIF or XMP at its beginning."""
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


TURNS = {  # how an upright picture is stored under each EXIF orientation
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(upright, 2).transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


def orientation(number: int) -> Image.Exif:
    """EXIF that says how the picture was turned when it was stored; see `TURNS`."""
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


def tiff(values: np.ndarray, dtype: str, photometric: int, extra: int | None = None) -> bytes:
    """An uncompressed TIFF written by hand; `dtype` such as ">u2" gives byte order and samples."""
    order, kind, width = dtype[0], "uif".index(dtype[1]) + 1, 8 * int(dtype[2])
    data = values.astype(dtype).tobytes()
    samples = 1 if values.ndim == 2 else values.shape[2]
    tags = [
        (256, "I", [values.shape[1]]),
        (257, "I", [len(values)]),
        (258, "H", [width] * samples),
        (259, "H", [1]),
        (262, "H", [photometric]),
        (273, "I", [8]),  # the pixels come right after the header
        (277, "H", [samples]),
        (278, "I", [len(values)]),
        (279, "I", [len(data)]),
        *([(338, "H", [extra])] if extra is not None else []),
        (339, "H", [kind] * samples),
    ]
    at = 8 + len(data) + len(data) % 2
    beyond = at + 2 + 12 * len(tags) + 4
    table, rest = struct.pack(order + "H", len(tags)), b""
    for tag, form, numbers in tags:
        body = struct.pack(f"{order}{len(numbers)}{form}", *numbers)
        head = struct.pack(order + "HHI", tag, {"H": 3, "I": 4}[form], len(numbers))
        if len(body) > 4:
            table += head + struct.pack(order + "I", beyond + len(rest))
            rest += body
        else:
            table += head + body.ljust(4, b"\0")
    start = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, at)
    return start + data + b"\0" * (len(data) % 2) + table + bytes(4) + rest
