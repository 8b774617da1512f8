"""Odd and damaged photo files made from known pixels, with the answer that is right for each.

What they must look like is computed with numpy from the values that went in: nothing of the answer
comes from the decoder under test.

    for photo in odd_photos(5000, seed=1):
        verdict = judge(photo, folder, opener)  # None, or a sentence about what was wrong

Left out are lossy files with damage in the middle of their pixels: no decoder can notice it, only a
manifest of digests does.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tests.fuzz.pixels import (
    LOSSLESS,
    TURNS,
    Random,
    encoded,
    gray,
    noise,
    on_white,
    orientation,
    png,
    png_block,
    saved,
    size,
    smooth,
    tiff,
    with_app1,
)


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

    def put(self, path: Path) -> None:
        """Puts the file in its place."""
        if callable(self.content):
            self.content(path)
        else:
            path.write_bytes(self.content)


def judge(photo: OddPhoto, folder: Path, opener: Callable, error: type[Exception]) -> str | None:
    """Puts the file into `folder`, opens it, and says what was wrong with the answer, or None."""
    path = folder / photo.name
    photo.put(path)
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


# --- files that must open -----------------------------------------------------------------------
# Each gives (ending, content, pixels, refused, tolerance), the last two if needed.


def turned(random: Random) -> tuple:
    pixels, turn = noise(random), int(random.integers(1, 9))
    ending = str(random.choice([".png", ".webp", ".tif"]))
    kind, options = LOSSLESS[ending]
    return ending, saved(TURNS[turn](pixels), kind, exif=orientation(turn), **options), pixels


def turned_jpeg(random: Random) -> tuple:
    pixels, turn = smooth(random), int(random.integers(1, 9))
    options = {"exif": orientation(turn), "quality": 95, "subsampling": 0}
    return ".jpg", saved(TURNS[turn](pixels), "JPEG", **options), pixels, None, 6


def broken_exif(random: Random) -> tuple:
    pixels = smooth(random)
    content = saved(pixels, "JPEG", quality=95, subsampling=0)
    start = [b"", b"II*\0", b"II*\0\x08\0\0\0\xff\xff", b"MM\0*\0\0\0\x08"][random.integers(4)]
    block = b"Exif\0\0" + start + random.bytes(int(random.integers(0, 80)))
    return ".jpg", with_app1(content, block), pixels, None, 6


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


NO_PICTURES = (  # with a part of the reason that refusing them gives
    (b"<!DOCTYPE html><html><body>404 not found</body></html>", "this is a web page or XML"),
    (b"\n<!DOCTYPE html><html>404</html>", "this is a web page or XML"),
    (
        b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
        "this is a web page or XML",
    ),
    (b"{'error': 'access denied, please log in again'}" * 4, "this is a text file"),
    (b"Dear reader,\nthis is a letter.\n", "this is a text file"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64, "this is a text file"),
    (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "PostScript, not a picture"),
    (b"%PDF-1.7\n1 0 obj<<>>endobj", "a PDF"),
    (b"8BPS\0\1" + bytes(60), "Photoshop"),
    (b"PK\3\4" + bytes(60), "a zip archive"),
    (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(60), 'a HEIC picture or a video (kind "heic"'),
    (bytes(range(128, 256)), "no known picture format"),
    (b"\xff\xd8\xff\xe0" + bytes(20), "the JPEG is damaged near its beginning"),
    (b"", "the file is empty"),
)


def no_picture(random: Random) -> tuple:
    content, reason = NO_PICTURES[random.integers(len(NO_PICTURES))]
    return str(random.choice([".jpg", ".png", ".webp"])), content, None, reason


def bomb(random: Random) -> tuple:
    """Small files that claim to be huge."""
    wide, high = (int(side) for side in random.integers(20_000, 2**31 - 1, 2))
    small = png(np.zeros((2, 2), int), 8, 0)
    head = png_block(b"IHDR", struct.pack(">II", wide, high) + small[24:29])
    return ".png", small[:8] + head + small[33:], None, "over"


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
    no_picture,
    bomb,
    folder_named_like_a_photo,
    broken_link,
    pipe,
    unreadable,
)
