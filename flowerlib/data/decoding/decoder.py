"""Turn the content of a photo's file, or a picture in memory, into an upright 8-bit RGB picture.

The policy, in the order in which it is applied:

* the content decides what a file is, not its name, and only the decoders of `formats.FORMATS` may
  try (of all that Pillow has, one starts a PostScript interpreter on what it is given);
* a decoder sees only the parts of a JPEG or PNG that hold pixels: odd metadata harms nothing;
* the whole file is decoded, so a truncated file is noticed here and not in the middle of training;
* the camera's orientation is applied;
* of an animation or of several pages, the first is taken;
* pictures of more than 8 bits are scaled to 8 bits by the range of their format, which a TIFF may
  state (Pillow alone would clip them to white);
* transparent pixels are laid on white, so that colors hidden below alpha = 0 never show;
* palette, grayscale, CMYK and Lab pictures become RGB; color profiles (ICC) are not applied.

Nothing here depends on Pillow's settings for the whole process, and nothing changes them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from flowerlib.data.decoding import colors, formats, metadata
from flowerlib.data.decoding.colors import Stored
from flowerlib.data.decoding.metadata import Unreadable
from flowerlib.support.errors import reason
from flowerlib.support.locks import ProcessLock

MAX_PIXELS = 175_000_000  # about 700 MB decoded
STRICT = ("jpeg", "zip", "gif", "raw", "packbits")  # Pillow's others say themselves what is missing
DIM = 0.25  # share of the range below which a deep picture probably holds fewer bits

# Two threads that load the same lazy PIL image would read its file alternately.
LOADING = ProcessLock()


@dataclass(frozen=True)
class Facts:
    """What a file was before it became an RGB picture.

    Attributes:
        format: by content, in Pillow's words, such as "JPEG".
        size: (width, height) in pixels, upright.
        stored: the pixels as stored, in Pillow's words, such as "RGB", "CMYK" or "I;16B".
        turned: the camera's orientation had to be applied.
        frames: there are more frames or pages, and the first was taken.
        used: the largest value as a share of the range that the pixels were scaled by, in [0, 1];
            1 for pictures of 8 bits.
    """

    format: str
    size: tuple[int, int]
    stored: str
    turned: bool
    frames: bool
    used: float = 1.0

    @property
    def deep(self) -> bool:
        """More than 8 bits a channel were scaled down to 8."""
        return ";16" in self.stored or self.stored.startswith(("I", "F"))

    @property
    def dim(self) -> bool:
        """Almost black, probably because fewer bits were written than the format holds."""
        return self.deep and self.used <= DIM


def from_content(
    content: bytes, shrink_to: int | None = None, *, rough: bool = False
) -> tuple[Image.Image, Facts]:
    """Decodes a file's content.

    Args:
        content: of a file in one of `formats.FORMATS`.
        shrink_to: a JPEG of more than `MAX_PIXELS` is decoded at 1/2, 1/4 or 1/8 of its size: the
            smallest whose shorter side keeps this many pixels; the largest within the limit if
            None. (All others are decoded in full size. At 1/2 and below they would come up to four
            times as fast, but differ from the same picture given as a PIL image or an array.)
        rough: shrink smaller JPEGs, too: for a look at what a photo shows, not for a network.

    Returns:
        A PIL image in mode "RGB" and what the file was.

    Raises:
        Unreadable: not a picture, damaged, or too large.
    """
    turn, frames, lean = 1, False, content
    if content.startswith(b"\xff\xd8\xff"):
        lean, about = metadata.lean_jpeg(content)
        turn = metadata.orientation(about)
    elif content.startswith(metadata.PNG_START):
        lean, about = metadata.lean_png(content)
        turn, frames = metadata.orientation(about), "animated" in about
    with _reasons():
        image = formats.identified(lean)
        if image is None:
            raise Unreadable(formats.not_a_picture(content[:64]))
        stored = _stored(image)
        if stored.format not in ("JPEG", "PNG"):
            turn, frames = metadata.orientation(image.info), getattr(image, "is_animated", False)
        # Pillow turns a TIFF on loading.
        turned = turn in TURNS or stored.tags.get(colors.ORIENTATION) in TURNS
        _fit_into_limit(image, shrink_to, rough)
        tiles = list(image.tile)
        image.load()
        if ImageFile.LOAD_TRUNCATED_IMAGES:  # then Pillow does not say that pixels are missing
            _refuse_incomplete(image, tiles, lean)
        picture, used = colors.as_rgb(image, stored)
        picture = _upright(picture, turn)
    return picture, Facts(stored.format, picture.size, stored.layout, turned, bool(frames), used)


def from_picture(image: Image.Image) -> Image.Image:
    """Turns a PIL image of any mode, read from a file or made in memory, into what its file gives.

    A file that was not read yet is read now. The image's pixels stay as they are.

    Raises:
        Unreadable: it is closed, damaged, empty, or has more than `MAX_PIXELS`.
    """
    if not all(image.size):
        raise Unreadable("the picture has no pixels")
    if image.width * image.height > MAX_PIXELS:
        raise Unreadable(_over_the_limit(image, "give its file's path, or a smaller copy"))
    with _reasons("the picture cannot be used"), LOADING():
        stored, tiles = _stored(image), list(getattr(image, "tile", ()))
        content = _content(image) if tiles and ImageFile.LOAD_TRUNCATED_IMAGES else b""
        image.load()
        if content:
            _refuse_incomplete(image, tiles, content)
    with _reasons("the picture cannot be used"):
        picture, _ = colors.as_rgb(image, stored)
        return _upright(picture, metadata.orientation(image.info))


def from_array(array: np.ndarray) -> Image.Image:
    """Turns a uint8 array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) into a PIL image.

    Channels are red, green, blue and opacity, as Pillow has them (OpenCV begins with blue).

    Raises:
        Unreadable: another shape or type, or it is empty.
    """
    if array.dtype != np.uint8:
        raise Unreadable(
            f"an array of {array.dtype} is no picture; give uint8, 0 to 255, such as "
            "(array * 255).round().astype(np.uint8) for floats from 0 to 1"
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim != 2 and (array.ndim != 3 or array.shape[2] not in (3, 4)):
        raise Unreadable(f"an array of shape {array.shape} is no picture; give (height, width, 3)")
    if not array.size:
        raise Unreadable("the picture has no pixels")
    return from_picture(Image.fromarray(np.ascontiguousarray(array)))


@contextlib.contextmanager
def _reasons(what: str = "the picture is damaged") -> Iterator[None]:
    """What goes wrong inside becomes an Unreadable."""
    try:
        yield
    except Unreadable:
        raise
    except Image.DecompressionBombError:
        raise Unreadable("the picture is over the limit of Pillow's MAX_IMAGE_PIXELS") from None
    except MemoryError:
        raise Unreadable("there is not enough memory for this picture") from None
    except Exception as problem:  # Pillow's decoders raise OSError, SyntaxError, struct.error, ...
        raise Unreadable(f"{what} ({reason(problem)})") from None


def _stored(image: Image.Image) -> Stored:
    """To be asked before the pixels are decoded."""
    tile = getattr(image, "tile", None)
    layout = tile[0][3] if tile else None
    if isinstance(layout, tuple):
        layout = layout[0] if layout else None
    known = isinstance(layout, str) and bool(layout)
    tags = getattr(image, "tag_v2", {})
    kind = "JPEG" if image.format == "MPO" else image.format or ""
    needed = {tag: tags[tag] for tag in colors.TAGS if tag in tags}
    return Stored(kind, str(layout) if known else image.mode, known, needed)


def _fit_into_limit(image: ImageFile.ImageFile, shrink_to: int | None, rough: bool) -> None:
    """Has a very large JPEG, or any if `rough`, decoded smaller; refuses others over the limit."""
    width, height = image.size
    fits = [scale for scale in (1, 2, 4, 8) if width * height <= MAX_PIXELS * scale**2]
    jpeg = isinstance(image, JpegImageFile)
    # A progressive one is in memory as a whole while it is decoded.
    if 1 not in fits and (not fits or not jpeg or image.info.get("progressive")):
        raise Unreadable(_over_the_limit(image, "save it smaller"))
    if not jpeg or (1 in fits and not rough):
        return
    scale = fits[0]
    if shrink_to:
        scale = max([scale, *(s for s in fits if min(width, height) // s >= shrink_to)])
    image.draft(None, (width // scale, height // scale))


def _over_the_limit(image: Image.Image, mend: str) -> str:
    return f"{image.width} x {image.height} pixels is over the limit of {MAX_PIXELS:,}; {mend}"


def _content(image: Any) -> bytes:
    """The whole file of a PIL image that was not read yet."""
    place = image.fp.tell()
    image.fp.seek(0)
    content = image.fp.read()
    image.fp.seek(place)
    return content


def _refuse_incomplete(image: Image.Image, tiles: list[Any], content: bytes) -> None:
    """Decodes the pixels once more, in a way that does not take what is missing for gray."""
    for codec, (left, top, right, bottom), start, options in tiles:
        data, options = content[start:], options if isinstance(options, tuple) else (options,)
        if codec == "zip":
            data = b"".join(
                block[8:-4] for kind, block in metadata.blocks(content) if kind == b"IDAT"
            )
        if codec in STRICT:
            options += getattr(image, "decoderconfig", ())
            try:
                Image.frombytes(image.mode, (right - left, bottom - top), data, codec, options)
            except ValueError:
                raise Unreadable("the picture is damaged (image file is truncated)") from None


TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _upright(image: Image.Image, turn: int) -> Image.Image:
    if turn not in TURNS:
        return image
    image = image.transpose(TURNS[turn])
    image.info.clear()  # or the metadata would have it turned once more
    return image
