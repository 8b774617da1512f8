"""Odd and damaged photo files made from known pixels, with the answer that is right for each.

PNG and TIFF files are written byte by byte here, and what they must look like is computed with
numpy from the values that went in: nothing of the answer comes from the decoder under test.

    for photo in odd_photos(5000, seed=1):
        verdict = judge(photo, folder, opener)  # None, or a sentence about what was wrong

Left out are lossy files with damage in the middle of their pixels: no decoder can notice it, only a
manifest of digests does.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

Random = np.random.Generator


@dataclass(frozen=True)
class OddPhoto:
    """One file and its right answer.

    Attributes:
        name: of the file, with the ending it goes by.
        content: its bytes, or a function that puts something else in the file's place.
        pixels: uint8 (H, W, 3) that opening must give, up to `tolerance`; None if it must refuse.
        refused: a part of the reason that refusing must give, or None if it must open. Where both
            are set, either is right (a cut may take nothing but an end mark).
    """

    name: str
    content: bytes | Callable[[Path], None]
    pixels: np.ndarray | None = None
    refused: str | None = None
    tolerance: int = 0


def judge(photo: OddPhoto, folder: Path, opener: Callable, error: type[Exception]) -> str | None:
    """Puts the file into `folder`, opens it, and says what was wrong with the answer, or None."""
    path = folder / photo.name
    if callable(photo.content):
        photo.content(path)
    else:
        path.write_bytes(photo.content)
    try:
        image = opener(path)
    except error as problem:
        if photo.refused is None:
            return f"{photo.name}: refused ({problem})"
        return None if photo.refused in str(problem) else f"{photo.name}: wrong reason: {problem}"
    except Exception as problem:
        return f"{photo.name}: {type(problem).__name__} {problem}"
    if photo.pixels is None:
        return f"{photo.name}: opened, but must be refused ({photo.refused})"
    found = np.asarray(image).astype(int)
    if image.mode != "RGB" or found.shape != photo.pixels.shape:
        return f"{photo.name}: {image.mode} {found.shape} instead of RGB {photo.pixels.shape}"
    worst = int(np.abs(found - photo.pixels).max())
    return None if worst <= photo.tolerance else f"{photo.name}: pixels are off by {worst}"


def odd_photos(count: int, seed: int = 0) -> Iterator[OddPhoto]:
    """Gives `count` files, every kind in turn, each with sizes and pixels of its own."""
    kinds = [kind for kind in KINDS if kind is not unreadable or os.geteuid() != 0]
    for number in range(count):
        random = np.random.default_rng([seed, number])
        made = kinds[number % len(kinds)](random)
        stem = kinds[number % len(kinds)].__name__
        yield OddPhoto(f"{number:05}_{stem}{made[0]}", *made[1:])


# --- known pixels -------------------------------------------------------------------------------


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
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in blocks
    )


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


# --- files that must open -----------------------------------------------------------------------
# Each gives (ending, content, pixels, refused, tolerance), the last two if needed.

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


def turned(random: Random) -> tuple:
    pixels, exif = noise(random), Image.Exif()
    exif[0x0112] = orientation = int(random.integers(1, 9))
    ending = str(random.choice([".png", ".webp", ".tif"]))
    kind, options = LOSSLESS[ending]
    return ending, saved(TURNS[orientation](pixels), kind, exif=exif, **options), pixels


def turned_jpeg(random: Random) -> tuple:
    pixels, exif = smooth(random), Image.Exif()
    exif[0x0112] = orientation = int(random.integers(1, 9))
    content = saved(TURNS[orientation](pixels), "JPEG", exif=exif, quality=95, subsampling=0)
    return ".jpg", content, pixels, None, 6


def broken_exif(random: Random) -> tuple:
    pixels = smooth(random)
    content = saved(pixels, "JPEG", quality=95, subsampling=0)
    start = [b"", b"II*\0", b"II*\0\x08\0\0\0\xff\xff", b"MM\0*\0\0\0\x08"][random.integers(4)]
    block = b"Exif\0\0" + start + random.bytes(int(random.integers(0, 80)))
    marker = b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
    return ".jpg", content[:2] + marker + content[2:], pixels, None, 6


def plain(random: Random) -> tuple:
    pixels = noise(random)
    ending = str(random.choice(list(LOSSLESS)))
    kind, options = LOSSLESS[ending]
    return ending, saved(pixels, kind, **options), pixels


def mislabeled(random: Random) -> tuple:
    ending, content, pixels = plain(random)
    others = [other for other in (*LOSSLESS, ".jpg", ".gif") if other != ending]
    return str(random.choice(others)), content, pixels


def jpeg(random: Random) -> tuple:
    pixels = smooth(random)
    options = {"progressive": bool(random.integers(2)), "icc_profile": random.bytes(200)}
    content = saved(pixels, "JPEG", quality=95, subsampling=0, **options)
    return ".jpg", content + random.bytes(int(random.integers(0, 50))), pixels, None, 6


def gray_jpeg(random: Random) -> tuple:
    pixels = smooth(random, 1)
    return ".jpeg", saved(pixels[..., 0], "JPEG", quality=95), gray(pixels), None, 4


def two_views(random: Random) -> tuple:
    """MPO, as phones and stereo cameras write it."""
    views = [smooth(random) for _ in range(2)]
    images = [Image.fromarray(view) for view in views]
    content = encoded(images[0], "MPO", save_all=True, append_images=images[1:], quality=95)
    return ".jpg", content, views[0], None, 14


def _ink(pixels: np.ndarray) -> np.ndarray:
    """CMYK → RGB: each ink, and black, takes its share of the light."""
    inks = pixels.astype(float)
    return np.round((255 - inks[..., :3]) * (255 - inks[..., 3:]) / 255)


def cmyk_jpeg(random: Random) -> tuple:
    pixels = smooth(random, 4)  # Pillow writes it inverted, as Photoshop does
    return ".jpg", saved(pixels, "JPEG", "CMYK", quality=97, subsampling=0), _ink(pixels), None, 6


def ycck_jpeg(random: Random) -> tuple:
    """What Photoshop writes: all inverted, then 255 - CMY as luma and chroma (Adobe TN 5116)."""
    pixels = smooth(random, 4)
    luma = np.asarray(Image.fromarray(pixels[..., :3].copy()).convert("YCbCr")).astype(int)
    planes = np.concatenate([luma, 255 - pixels[..., 3:].astype(int)], axis=2)
    content = saved(255 - planes, "JPEG", "CMYK", quality=97, subsampling=0)
    at = content.index(b"Adobe")
    return ".jpg", content[: at + 11] + b"\x02" + content[at + 12 :], _ink(pixels), None, 8


def cmyk_tiff(random: Random) -> tuple:
    pixels = noise(random, 4)
    return ".tif", tiff(pixels, str(random.choice(["<u1", ">u1"])), 5), _ink(pixels), None, 1


def few_bits(random: Random) -> tuple:
    bits = int(random.choice([1, 2, 4, 8]))
    values = noise(random, 1, 2**bits)[..., 0]
    shades = gray(values * 255 // (2**bits - 1))
    if random.integers(2):
        return ".png", png(values, bits, 0), shades
    clear = int(values[0, 0])
    shades[values == clear] = 255
    return ".png", png(values, bits, 0, clear=struct.pack(">H", clear)), shades


def palette(random: Random) -> tuple:
    bits = int(random.choice([1, 2, 4, 8]))
    values = noise(random, 1, 2**bits)[..., 0]
    colors = random.integers(0, 256, (2**bits, 3))
    alpha = random.integers(0, 256, 2**bits) if random.integers(2) else np.full(2**bits, 255)
    content = png(values, bits, 3, colors.astype(np.uint8).tobytes(), bytes(alpha.tolist()))
    return ".png", content, on_white(colors[values], alpha[values]), None, 1


def clear_color(random: Random) -> tuple:
    pixels = noise(random)
    clear = pixels[0, 0]
    content = png(pixels, 8, 2, clear=struct.pack(">3H", *clear.tolist()))
    return ".png", content, np.where((pixels == clear).all(2, keepdims=True), 255, pixels)


def transparent(random: Random) -> tuple:
    pixels = noise(random, 4)
    pixels[0, 0] = (255, 0, 0, 0)  # a hidden color
    ending = str(random.choice([".png", ".webp", ".tif"]))
    kind, options = LOSSLESS[ending]
    white = on_white(pixels[..., :3], pixels[..., 3])
    return ending, saved(pixels, kind, "RGBA", **options), white, None, 1


def gray_and_alpha(random: Random) -> tuple:
    pixels = noise(random, 2)
    white = on_white(gray(pixels[..., 0]), pixels[..., 1])
    return ".png", png(pixels, 8, 4), white, None, 1


def deep_png(random: Random) -> tuple:
    channels, color = [(1, 0), (2, 4), (3, 2), (4, 6)][random.integers(4)]
    values = noise(random, channels, 65536)
    shown = gray(values[..., :1]) if channels < 3 else values[..., :3]
    if channels in (2, 4):
        return ".png", png(values, 16, color), on_white(shown, values[..., -1], 65535), None, 2
    answer, clear = np.round(shown / 257), None
    if random.integers(2):
        clear, answer[0, 0] = struct.pack(f">{channels}H", *values[0, 0].tolist()), 255
        answer[(shown == shown[0, 0]).all(2)] = 255
    # Pillow drops the low byte of RGB, so that a color may be off by one.
    return ".png", png(values, 16, color, clear=clear), answer, None, 1


def dark_deep_png(random: Random) -> tuple:
    values = noise(random, 1, 300)  # black nearly, though it would be bright in 8 bits
    return ".png", png(values, 16, 0), gray(np.round(values / 257)), None, 0


def deep_tiff(random: Random) -> tuple:
    order = str(random.choice(["<", ">"]))
    if random.integers(2):
        values = noise(random, 3, 65536)
        return ".tif", tiff(values, order + "u2", 2), np.round(values / 257), None, 1
    values = noise(random, 1, 65536)[..., 0]
    return ".tiff", tiff(values, order + "u2", 1), gray(np.round(values / 257))


def white_is_zero(random: Random) -> tuple:
    wide = bool(random.integers(2))
    values = noise(random, 1, 65536 if wide else 256)[..., 0]
    shown = 255 - np.round(values / 257 if wide else values)
    return ".tif", tiff(values, "<u2" if wide else "<u1", 0), gray(shown), None, 1


def wide_tiff(random: Random) -> tuple:
    """32 bits a pixel: integers scaled by the largest, floating point from 0 to 1."""
    order = str(random.choice(["<", ">"]))
    values = noise(random, 1, 65536)[..., 0]
    if random.integers(2):
        values[0, 0] = 65535
        content = tiff(values * 65537, order + "u4", 1)
        refused = "unusual kind" if order == ">" else None  # Pillow has no decoder for it
    else:
        content, refused = tiff(values / 65535, order + "f4", 1), None
    return ".tif", content, gray(np.round(values / 257)), refused, 1


def animated(random: Random) -> tuple:
    ending = str(random.choice([".png", ".webp", ".tif"]))
    height, width = size(random)
    frames = [random.integers(0, 256, (height, width, 3)).astype(np.uint8) for _ in range(3)]
    images = [Image.fromarray(frame) for frame in frames]
    kind, options = LOSSLESS[ending]
    content = encoded(images[0], kind, save_all=True, append_images=images[1:], **options)
    return ending, content, frames[0]


def gif(random: Random) -> tuple:
    colors = random.integers(0, 256, (4, 3))
    frames = [random.integers(0, 4, (30, 20)).astype(np.uint8) for _ in range(3)]
    images = [Image.fromarray(frame, "P") for frame in frames]
    for image in images:
        image.putpalette(colors.astype(np.uint8).tobytes())
    options: dict = {"optimize": False}
    shown = colors.copy()
    if random.integers(2):
        options["transparency"] = clear = int(random.integers(4))
        shown[clear] = 255
    if random.integers(2):
        options |= {"save_all": True, "append_images": images[1:], "disposal": 2}
    return ".gif", encoded(images[0], "GIF", **options), shown[frames[0]]


def thin(random: Random) -> tuple:
    pixels = random.integers(0, 256, (1, int(random.integers(1, 3000)), 3))
    pixels = pixels if random.integers(2) else pixels.swapaxes(0, 1)
    return ".png", png(pixels, 8, 2), pixels


# --- files that must be refused, or open unharmed -----------------------------------------------


def cut(random: Random) -> tuple:
    pixels = random.integers(0, 256, (48, 64, 3))
    ending = str(random.choice([*LOSSLESS, ".jpg"]))
    if ending == ".jpg":
        content = saved(pixels, "JPEG", progressive=bool(random.integers(2)))
    else:
        content = saved(pixels, LOSSLESS[ending][0], **LOSSLESS[ending][1])
    keep = int(random.integers(1, len(content) - 16 if ending == ".png" else len(content)))
    return ending, content[:keep], None, ""


def flipped_png(random: Random) -> tuple:
    """Every block of a PNG has a checksum: damage is noticed, or was in a block without pixels."""
    pixels = noise(random)
    content = bytearray(png(pixels, 8, 2))
    content[random.integers(len(content))] ^= 1 << int(random.integers(8))
    return ".png", bytes(content), pixels, ""


def zeroed(random: Random) -> tuple:
    """The first block never came from the disk, as after a crash."""
    _, content, *_ = plain(random) if random.integers(2) else jpeg(random)
    keep = int(random.integers(16, len(content) - 1))
    return ".jpg", bytes(keep) + content[keep:], None, "no known picture format"


def empty(random: Random) -> tuple:
    return str(random.choice([".jpg", ".png", ".gif"])), b"", None, "the file is empty"


def no_picture(random: Random) -> tuple:
    content, reason = [
        (b"<!DOCTYPE html><html><body>404 not found</body></html>", "a web page or XML"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "a web page or XML"),
        (b"{'error': 'access denied, please log in again'}" * 4, "a text file"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "PostScript"),
        (b"%PDF-1.7\n1 0 obj<<>>endobj", "a PDF"),
        (b"8BPS\0\1" + random.bytes(60), "Photoshop"),
        (b"PK\3\4" + random.bytes(60), "a zip archive"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + random.bytes(60), "HEIC"),
        (b"\x80" + random.bytes(100), "no known picture format"),
        (b"\xff\xd8\xff\xe0" + bytes(20), "the JPEG is damaged"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64, "a text file"),
    ][random.integers(11)]
    return str(random.choice([".jpg", ".png", ".webp"])), content, None, reason


def bomb(random: Random) -> tuple:
    """Small files that claim to be huge."""
    wide, high = (int(side) for side in random.integers(20_000, 2**31 - 1, 2))
    small = png(np.zeros((2, 2), int), 8, 0)
    head = b"IHDR" + struct.pack(">II", wide, high) + small[24:29]
    return (
        ".png",
        small[:12] + head + struct.pack(">I", zlib.crc32(head)) + small[33:],
        None,
        "over",
    )


def folder_named_like_a_photo(random: Random) -> tuple:
    return ".jpg", lambda path: path.mkdir(), None, "a folder"


def broken_link(random: Random) -> tuple:
    if random.integers(2):
        return ".jpg", lambda path: path.symlink_to("nowhere.jpg"), None, "leads nowhere"
    return ".jpg", lambda path: path.symlink_to(path.name), None, ""  # to itself


def pipe(random: Random) -> tuple:
    return ".jpg", lambda path: os.mkfifo(path), None, "a pipe or a device"


def unreadable(random: Random) -> tuple:
    def lock(path: Path) -> None:
        path.write_bytes(saved(noise(random), "PNG"))
        path.chmod(0)

    return ".png", lock, None, "may not be read"


KINDS: tuple[Callable[[Random], tuple], ...] = (
    turned,
    turned_jpeg,
    broken_exif,
    plain,
    mislabeled,
    jpeg,
    gray_jpeg,
    two_views,
    cmyk_jpeg,
    ycck_jpeg,
    cmyk_tiff,
    few_bits,
    palette,
    clear_color,
    transparent,
    gray_and_alpha,
    deep_png,
    dark_deep_png,
    deep_tiff,
    white_is_zero,
    wide_tiff,
    animated,
    gif,
    thin,
    cut,
    flipped_png,
    zeroed,
    empty,
    no_picture,
    bomb,
    folder_named_like_a_photo,
    broken_link,
    pipe,
    unreadable,
)
