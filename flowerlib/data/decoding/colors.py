"""Turn decoded pixels of any kind into 8-bit RGB: depth, transparency, color model."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageCms

BITS, PHOTOMETRIC, ORIENTATION, LARGEST, SAMPLE_FORMAT = TAGS = (258, 262, 274, 281, 339)  # of TIFF


@dataclass(frozen=True)
class Stored:
    """How a picture was stored, as far as decoding needs it."""

    format: str
    layout: str  # Pillow's word for the pixels, such as "L;4"; its mode if that is not known
    known: bool  # the layout is that of the file
    tags: Mapping[int, Any]  # those of `TAGS`, of a TIFF


def as_rgb(image: Image.Image, stored: Stored) -> tuple[Image.Image, float]:
    """Applies the policy on depth, transparency and color; see `Facts.used` for the second."""
    clear, used = image.info.get("transparency"), 1.0
    if image.mode.startswith(("I", "F")):
        image, used = _to_8_bit(image, stored)
    elif ";16" in stored.layout:
        colors = image.split()[: 1 if image.mode == "LA" else 3]  # without the alpha
        used = max(np.asarray(color).max(initial=0) for color in colors) / 255
    if image.mode == "RGB" and isinstance(clear, tuple):  # Pillow took the upper byte of 16 bits
        if stored.layout.startswith("RGB;16") or max(clear) > 255:
            image = _with_transparency(image, tuple(shade >> 8 for shade in clear))
    elif image.mode == "L" and isinstance(clear, int):  # of few bits, which Pillow scaled up
        image = _with_transparency(image, clear * _step(image, stored, clear))
    if image.mode == "LAB":
        image = ImageCms.applyTransform(image, _lab_to_rgb()) or image
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == "RGB" else image.convert("RGB"), used


def _with_transparency(image: Image.Image, clear: Any) -> Image.Image:
    if clear == image.info["transparency"]:
        return image
    image = image.copy()  # it may be the caller's
    image.info["transparency"] = clear
    return image


def _step(image: Image.Image, stored: Stored, clear: int) -> int:
    """What the shades of a gray PNG were multiplied by on decoding: 1, 17 or 85.

    A PIL image that was read already does not tell how many bits a pixel had; its pixels do.
    """
    if stored.known or stored.format != "PNG" or not 0 < clear < 16:
        return {"L;2": 85, "L;4": 17}.get(stored.layout, 1)
    values = np.asarray(image)
    return next((s for s in (85, 17) if clear * s <= 255 and not (values % s).any()), 1)


def _to_8_bit(image: Image.Image, stored: Stored) -> tuple[Image.Image, float]:
    """Scales a picture of wide pixels to 8 bits; a transparent shade becomes a channel."""
    raw = np.asarray(image)
    if image.mode == "I" and _first(stored, BITS) == 32 and _first(stored, SAMPLE_FORMAT, 1) == 1:
        raw = raw.view(np.uint32)  # Pillow knows signed ones only
    values = raw.astype(np.float32)
    np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    limit = _limit(image.mode, stored, float(values.max()))
    if stored.tags.get(PHOTOMETRIC) == 0:  # zero is white
        np.subtract(limit, values, out=values)
    used = min(float(values.max()) / limit, 1.0)
    values *= 255.0 / limit
    np.rint(np.clip(values, 0, 255, out=values), out=values)
    gray = Image.fromarray(values.astype(np.uint8))
    if isinstance(clear := image.info.get("transparency"), int):
        opaque = Image.fromarray(np.where(raw == clear, 0, 255).astype(np.uint8))
        gray = Image.merge("LA", (gray, opaque))
    return gray, used


def _limit(mode: str, stored: Stored, top: float) -> float:
    """The value that becomes white, where `top` is the picture's largest one.

    By the format where that says it; otherwise by the usual ranges of numbers, and a little more,
    which resampling adds at edges.
    """
    bits, stated = _first(stored, BITS), _first(stored, LARGEST)
    if mode.startswith("I;16") or (mode == "I" and stored.format in ("PNG", "PPM")):
        limit = 2.0**bits - 1 if bits else 65535.0
        # TIFF's largest value counts only as a number of bits: it may be this picture's own.
        if stated and stated & (stated + 1) == 0 and max(top, 255) <= stated:
            limit = min(limit, float(stated))
        return limit
    if mode == "I" and bits == 16:  # signed
        return 32767.0
    if mode == "F" and top <= 2.0:
        return 1.0
    if top <= 255.0:
        return 255.0
    return 65535.0 if mode == "I" and top <= 65535.0 else top


def _first(stored: Stored, tag: int, default: int = 0) -> int:
    """The first number of a TIFF's tag."""
    value = stored.tags.get(tag, default)
    value = value[0] if isinstance(value, tuple) and value else value
    return value if isinstance(value, int) else default


@functools.cache
def _lab_to_rgb() -> ImageCms.ImageCmsTransform:
    lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, rgb, "LAB", "RGB")
