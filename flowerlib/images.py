"""Open one photo, the same way everywhere: training, evaluation, prediction, command line.

The policy, in the order in which it is applied:

* the whole file is decoded, so a truncated file is noticed here and not in the middle of training;
* the camera's EXIF orientation is applied;
* of an animation, the first frame is taken;
* 16-bit and floating-point pictures are scaled to 8 bits (Pillow alone would clip them to white);
* transparent pixels are laid on white, so that colors hidden below alpha = 0 never show;
* palette, grayscale and CMYK pictures become RGB.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from flowerlib.errors import InputError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm"})
MAX_PIXELS = 175_000_000  # about 500 MB decoded; Pillow itself refuses 179 million

# Pillow warns about large pictures, whose size is checked here. Said once and not around each call:
# `warnings.catch_warnings` in several threads can leave all warnings switched off.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

# Pillow can be told to accept truncated files; that setting would be a silent gray photo.
ImageFile.LOAD_TRUNCATED_IMAGES = False


class PhotoError(InputError):
    """A file that is not a usable photo. `path` and `reason` say which and why."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{path}: {reason}.")
        self.path = Path(path)
        self.reason = reason

    def __reduce__(self) -> tuple[type[PhotoError], tuple[Path, str]]:
        return PhotoError, (self.path, self.reason)


def open_photo(path: Path | str, shrink_to: int | None = None) -> Image.Image:
    """Decodes a file into an upright 8-bit RGB picture.

    Args:
        path: a file in any format that Pillow reads.
        shrink_to: if given, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, as long as its
            shorter side stays at least twice this many pixels; much faster for large photos.

    Returns:
        A PIL image in mode "RGB".

    Raises:
        PhotoError: the file is missing, not a picture, damaged, or larger than `MAX_PIXELS`.
    """
    path = Path(path)
    try:
        with Image.open(path) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise PhotoError(
                    path, f"{width} x {height} pixels is over the limit of {MAX_PIXELS:,}"
                )
            if shrink_to and image.format == "JPEG":
                image.draft(None, _draft_size(width, height, 2 * shrink_to))
            image.load()
            return to_rgb(ImageOps.exif_transpose(image))
    except PhotoError:
        raise
    except FileNotFoundError:
        raise PhotoError(path, "there is no such file") from None
    except IsADirectoryError:
        raise PhotoError(path, "this is a folder, not a photo") from None
    except UnidentifiedImageError:
        raise PhotoError(path, _not_a_picture(path)) from None
    except Image.DecompressionBombError:
        raise PhotoError(path, f"the picture is over the limit of {MAX_PIXELS:,} pixels") from None
    except PermissionError:
        raise PhotoError(path, "the file may not be read by this user") from None
    except Exception as problem:  # Pillow's decoders raise OSError, SyntaxError, struct.error, ...
        reason = (
            str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
        )
        raise PhotoError(path, f"the picture is damaged ({reason})") from None


def _draft_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """The smallest size with the photo's aspect whose shorter side is `short_side`."""
    scale = short_side / min(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def to_rgb(image: Image.Image) -> Image.Image:
    """Applies the policy on depth, transparency and color to an opened picture."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith(("I", "F")):
        image = _to_8_bit(image)
    has_alpha = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
    if has_alpha:
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image)
    return image.convert("RGB")


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Scales 16-bit integers by their range, and other wide pictures by their largest value."""
    values = np.asarray(image, dtype=np.float32)
    if not np.isfinite(values).all():
        values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    top = float(values.max(initial=0.0))
    if image.mode.startswith("I;16") or (image.mode == "I" and 255 < top <= 65535):
        top = 65535.0
    elif image.mode == "F" and top <= 1.0:
        top = 1.0
    elif top <= 255.0:
        top = 255.0
    return Image.fromarray(np.clip(values * (255.0 / top), 0, 255).round().astype(np.uint8))


def _not_a_picture(path: Path) -> str:
    """Says what a file that Pillow cannot identify looks like from its first bytes."""
    head = path.read_bytes()[:64]
    if not head:
        return "the file is empty"
    if head.lstrip()[:1] == b"<":
        return "this is a web page or XML, not a picture"
    if all(byte in b"\t\n\r\f" or 32 <= byte < 127 for byte in head):
        return "this is a text file, not a picture"
    return "no known picture format"


def is_photo_name(path: Path) -> bool:
    """True if the name ends like a picture's and is no hidden or resource file."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def photos_below(folder: Path | str) -> Iterator[Path]:
    """Gives every file below `folder` whose name ends like a picture's, in sorted order."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if is_photo_name(path := Path(root, name)):
                yield path


def digest(path: Path | str) -> bytes:
    """16 bytes that stand for a file's content (BLAKE2b).

    Raises:
        PhotoError: the file cannot be read.
    """
    try:
        return hashlib.blake2b(Path(path).read_bytes(), digest_size=16).digest()
    except OSError as problem:
        raise PhotoError(path, f"the file cannot be read ({problem.strerror})") from None
