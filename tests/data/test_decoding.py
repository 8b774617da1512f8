"""A photo is the same picture whichever way it is given, whatever kind of file it comes from."""

from __future__ import annotations

import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from flowerlib.data.decoding import decoder, images
from flowerlib.data.decoding.images import PhotoError, open_photo
from flowerlib.support.errors import InputError
from tests.fuzz.photos import KINDS, cmyk_jpeg
from tests.fuzz.pixels import (
    encoded,
    gray,
    on_white,
    orientation,
    png,
    png_block,
    saved,
    smooth,
    tiff,
    with_app1,
)

RANDOM = np.random.default_rng(0)
DEEP = RANDOM.integers(0, 65536, (20, 30))
NOISE = RANDOM.integers(0, 256, (20, 30, 3), np.uint8)
OPENED = [kind for kind in KINDS if kind.__name__ not in ("cut", "flipped_png", "zeroed")]


def ppm(values: np.ndarray, top: int) -> bytes:
    kind = b"P5" if values.ndim == 2 else b"P6"
    head = b"%s %d %d %d\n" % (kind, values.shape[1], values.shape[0], top)
    return head + values.astype(">u2" if top > 255 else "u1").tobytes()


def turned(kind: str, number: int) -> bytes:
    return saved(smooth(np.random.default_rng(1)), kind, exif=orientation(number))


def clear_16(values: np.ndarray) -> bytes:
    clear = struct.pack(">3H", *values[0, 0].tolist())
    return png(values, 16, 2, clear=clear)


GIVEN = {
    "jpeg": saved(smooth(RANDOM), "JPEG"),
    "jpeg, large": encoded(Image.fromarray(NOISE).resize((900, 600)), "JPEG"),
    "jpeg, gray": saved(smooth(RANDOM, 1)[..., 0], "JPEG"),
    "jpeg, cmyk": cmyk_jpeg(RANDOM)[1],
    "jpeg, progressive": saved(smooth(RANDOM), "JPEG", progressive=True),
    **{f"jpeg turned {n}": turned("JPEG", n) for n in range(1, 9)},
    **{f"{kind} turned": turned(kind, 6) for kind in ("PNG", "WEBP", "TIFF")},
    **{f"png, {n} bit": png(DEEP % 2**n, n, 0) for n in (1, 2, 4, 8, 16)},
    **{
        f"png, {n} bit, a shade clear": png(DEEP % 2**n, n, 0, clear=struct.pack(">H", 1))
        for n in (1, 2, 4, 8, 16)
    },
    "png, 16 bit, dark": png(DEEP % 200, 16, 0),
    "png, palette": png(DEEP % 4, 2, 3, bytes(range(12)), bytes([0, 90, 255, 30])),
    "png, rgb, a color clear": png(NOISE, 8, 2, clear=struct.pack(">3H", *NOISE[0, 0].tolist())),
    "png, rgb 16, a color clear": clear_16(RANDOM.integers(0, 65536, (20, 30, 3))),
    "png, rgba": png(RANDOM.integers(0, 256, (9, 9, 4)), 8, 6),
    "png, animated": encoded(
        Image.fromarray(NOISE), "PNG", save_all=True, append_images=[Image.fromarray(NOISE[::-1])]
    ),
    "tiff": tiff(NOISE, "<u1", 2),
    "tiff, 16 bit": tiff(DEEP, "<u2", 1),
    "tiff, 16 bit, big-endian": tiff(DEEP, ">u2", 1),
    "tiff, 16 bit, white is zero": tiff(DEEP, "<u2", 0),
    "tiff, 12 bit in 16": tiff(DEEP // 16, "<u2", 1),
    "tiff, 32 bit": tiff(DEEP * 65537, "<u4", 1),
    "tiff, float": tiff(DEEP / 65535, "<f4", 1),
    "gif": encoded(Image.fromarray(NOISE).quantize(8), "GIF", transparency=3),
    "webp": saved(NOISE, "WEBP", lossless=True),
    "bmp": saved(NOISE, "BMP"),
    "pgm, 16 bit": ppm(DEEP, 65535),
    "pgm, 16 bit, dark": ppm(DEEP % 200, 65535),
    "pgm, 12 bit": ppm(DEEP % 4096, 4095),
    "ppm, 16 bit": ppm(RANDOM.integers(0, 65536, (9, 9, 3)), 65535),
}


def loaded(image: Image.Image) -> Image.Image:
    image.load()
    return image


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", GIVEN)
def test_every_way_to_give_a_photo_gives_the_same_picture(tmp_path: Path, kind: str) -> None:
    file, content = tmp_path / "photo", GIVEN[kind]
    file.write_bytes(content)
    expected = np.asarray(open_photo(file))
    stream = io.BytesIO(content)
    stream.seek(0, io.SEEK_END)
    with open(file, "rb") as opened, Image.open(file) as pil, Image.open(file) as second:
        ways = {
            "str": open_photo(str(file)),
            "bytes": open_photo(content),
            "bytearray": open_photo(bytearray(content)),
            "file object": open_photo(opened),
            "stream at its end": open_photo(stream),
            "PIL": open_photo(pil),
            "PIL again": open_photo(pil),
            "PIL of a stream": open_photo(Image.open(io.BytesIO(content))),
            "PIL, loaded": open_photo(loaded(second)),
            "array": open_photo(expected),
            "for a small network": open_photo(file, shrink_to=8),
            "PIL, for a small network": open_photo(pil, shrink_to=8),
            "with its facts": images.open_with_facts(file)[0],
            "opened twice": open_photo(open_photo(file)),
        }
    for way, found in ways.items():
        assert found.mode == "RGB" and np.array_equal(np.asarray(found), expected), way


@pytest.mark.filterwarnings("ignore::UserWarning")  # of Image.open, about odd EXIF
@pytest.mark.parametrize("kind", OPENED, ids=lambda kind: kind.__name__)
def test_odd_photos_given_as_pil_images(tmp_path: Path, kind) -> None:
    for seed in range(12):
        ending, content, *rest = kind(np.random.default_rng(seed))
        if not isinstance(content, bytes) or len(rest) > 1 and rest[1]:
            continue
        (tmp_path / f"photo{ending}").write_bytes(content)
        expected = np.asarray(open_photo(tmp_path / f"photo{ending}"))
        for image in (Image.open(io.BytesIO(content)), loaded(Image.open(io.BytesIO(content)))):
            assert np.array_equal(np.asarray(open_photo(image)), expected)


def test_pil_images_made_in_memory() -> None:
    assert open_photo(Image.fromarray(NOISE)).tobytes() == NOISE.tobytes()
    deep = Image.fromarray(DEEP.astype(np.uint16))
    assert np.array_equal(np.asarray(open_photo(deep)), gray(np.round(DEEP / 257)))
    for mode in ("1", "L", "P", "CMYK", "YCbCr", "HSV", "RGBA", "RGBX", "RGBa", "LA", "I", "F"):
        assert open_photo(Image.fromarray(NOISE).convert("RGB").convert(_via(mode)).convert(mode))
    with pytest.raises(PhotoError, match="photo 3: the picture has no pixels"):
        open_photo(Image.new("RGB", (0, 5)), name="photo 3")
    closed = Image.open(io.BytesIO(GIVEN["jpeg"]))
    closed.close()
    with pytest.raises(PhotoError, match="closed|damaged"):
        open_photo(closed)


def _via(mode: str) -> str:
    return {"RGBa": "RGBA", "LA": "L", "I": "L", "F": "L"}.get(mode, "RGB")


def test_arrays() -> None:
    assert np.array_equal(np.asarray(open_photo(NOISE[..., 0])), gray(NOISE[..., 0]))
    assert np.array_equal(np.asarray(open_photo(NOISE[..., :1])), gray(NOISE[..., 0]))
    assert np.array_equal(np.asarray(open_photo(NOISE[::2, ::-1])), NOISE[::2, ::-1])
    rgba = RANDOM.integers(0, 256, (5, 7, 4), np.uint8)
    white = on_white(rgba[..., :3], rgba[..., 3])
    assert np.abs(np.asarray(open_photo(rgba)) - white).max() <= 1
    for wrong, reason in (
        (NOISE / 255, r"array of float64 .* uint8"),
        (DEEP.astype(np.uint16), "array of uint16"),
        (NOISE.transpose(2, 0, 1), r"shape \(3, 20, 30\).*height, width, 3"),
        (NOISE[None], r"shape \(1, 20, 30, 3\)"),
        (NOISE[:0], "no pixels"),
    ):
        with pytest.raises(PhotoError, match=reason):
            open_photo(wrong)


def test_what_is_no_photo_is_refused_with_what_to_give(tmp_path: Path) -> None:
    for wrong in (None, 3, 2.5, {"a": 1}, ["a.jpg"], object()):
        with pytest.raises(InputError, match="is no photo; give a path, a file's bytes"):
            open_photo(wrong)  # type: ignore[arg-type]
    (tmp_path / "a.txt").write_text("rose")
    with (
        open(tmp_path / "a.txt") as text,
        pytest.raises(InputError, match='open it with mode "rb"'),
    ):
        open_photo(text)  # type: ignore[arg-type]
    with pytest.raises(PhotoError, match="no file can have this name"):
        open_photo("a\0b.jpg")
    with pytest.raises(PhotoError, match="this is an address; download"):
        open_photo("https://example.org/rose.jpg")


# --- what is sound is read right ----------------------------------------------------------------


def test_12_bits_packed_or_stated_are_read_by_their_range(tmp_path: Path) -> None:
    values = DEEP[:, :30] // 16  # 0 to 4095
    expected = gray(np.round(values * 255 / 4095))
    pairs = values.reshape(20, 15, 2)
    packed = np.stack(
        [pairs[..., 0] >> 4, (pairs[..., 0] & 15) << 4 | pairs[..., 1] >> 8, pairs[..., 1] & 255], 2
    )
    content = tiff(packed.reshape(20, 45), "<u1", 1)
    content = content.replace(
        struct.pack("<HHIHH", 258, 3, 1, 8, 0), struct.pack("<HHIHH", 258, 3, 1, 12, 0)
    )
    content = content.replace(
        struct.pack("<HHII", 256, 4, 1, 45), struct.pack("<HHII", 256, 4, 1, 30)
    )
    assert np.abs(np.asarray(open_photo(content)) - expected).max() <= 1
    stated = Image.fromarray(values.astype(np.uint16))
    stated.save(tmp_path / "stated.tif", tiffinfo={281: 4095})
    assert np.abs(np.asarray(open_photo(tmp_path / "stated.tif")) - expected).max() <= 1
    stated.save(tmp_path / "own.tif", tiffinfo={281: int(values.max()) - 7})  # says nothing of bits
    assert np.asarray(open_photo(tmp_path / "own.tif")).max() <= 16
    assert np.abs(np.asarray(open_photo(ppm(values, 4095))) - expected).max() <= 1


def test_few_bits_in_many_are_reported(tmp_path: Path) -> None:
    def facts(content: bytes) -> decoder.Facts:
        (tmp_path / "photo").write_bytes(content)
        return images.open_with_facts(tmp_path / "photo")[1]

    rgb = RANDOM.integers(0, 4096, (9, 9, 3))
    for dark in (
        tiff(DEEP // 16, "<u2", 1),
        png(DEEP // 4, 16, 0),
        tiff(rgb, "<u2", 2),
        png(rgb, 16, 2),
    ):
        assert facts(dark).deep and facts(dark).dim
    assert facts(tiff(DEEP // 16, "<u2", 1)).used == pytest.approx(DEEP.max() // 16 / 65535)
    for bright in (tiff(DEEP, "<u2", 1), png(rgb * 16, 16, 2), saved(NOISE // 16, "PNG")):
        assert not facts(bright).dim


@pytest.mark.parametrize("top", [1.0, 1.004, 1.3])
def test_a_float_picture_a_little_above_one_is_no_black_one(top: float) -> None:
    values = np.linspace(0, 1, 600).reshape(20, 30)
    values[-1, -1] = top
    expected = gray(np.round(np.minimum(values, 1) * 255))
    assert np.abs(np.asarray(open_photo(tiff(values, "<f4", 1))) - expected).max() <= 1
    inverted = gray(np.round((1 - np.minimum(values, 1)) * 255))
    assert np.abs(np.asarray(open_photo(tiff(values, "<f4", 0))) - inverted).max() <= 1


def test_signed_16_bits() -> None:
    values = DEEP // 2
    found = np.asarray(open_photo(tiff(values, "<i2", 1)))
    assert np.abs(found - gray(np.round(values * 255 / 32767))).max() <= 1


def test_lab_is_turned_into_rgb() -> None:
    # White, black, and the red whose CIELAB values are 53, 80, 67 (all but a and b as they are).
    lab = np.array([[[255, 0, 0], [0, 0, 0], [136, 80, 67]]])
    found = np.asarray(open_photo(tiff(lab, "<u1", 8)))[0].astype(int)
    assert np.abs(found - [[255, 255, 255], [0, 0, 0], [255, 0, 0]]).max() <= 12


def test_premultiplied_alpha() -> None:
    color, alpha = np.array([200, 100, 40]), 128
    content = tiff(np.array([[[*(color * alpha // 255), alpha]]]), "<u1", 2, extra=1)
    assert (
        np.abs(np.asarray(open_photo(content))[0, 0] - (color * 128 + 255 * 127) / 255).max() <= 2
    )


def test_text_of_any_length_in_a_png_harms_nothing() -> None:
    plain = png(NOISE, 8, 2)
    long = zlib.compress(bytes(80 * 2**20))
    for more in (
        b"".join(png_block(b"zTXt", b"Comment%d\0\0" % n + long) for n in range(3)),
        png_block(b"iCCP", b"name\0\0" + long),
        png_block(b"acTL", struct.pack(">II", 0, 0)) * 2,
        png_block(b"eXIf", b"\0\x08\0\x02\x01\x12\0\x03"),
        png_block(b"tEXt", b"no end"),
    ):
        assert np.array_equal(np.asarray(open_photo(plain[:33] + more + plain[33:])), NOISE)
    assert np.array_equal(np.asarray(open_photo(plain[:-12])), NOISE)  # no end mark
    with pytest.raises(PhotoError, match="checksum"):
        open_photo(plain[:60] + bytes([plain[60] ^ 1]) + plain[61:])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("exif", "is_turned"),
    [
        (b"\x06", True),
        (b"twice", True),
        (b"", False),
        (b"garbage", False),
        (b"II+\0\x08\0\0\0" + bytes(20), False),
        (b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0" + bytes(4), True),
        (b"II*\0\x08\0\0\0\x01\0\x12\x01\x04\0\x01\0\0\0\x06\0\0\0", True),  # as a long number
        (b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x02\0\0\x006\0\0\0", False),  # as text
        (b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\0\0\0\0\0\0\0\0", False),  # no value
        (b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x09\0\0\0", False),
        (b"II*\0\x08\0\0\0\xff\xff\x0f\x01\x02\0\xff\xff\xff\xff", False),  # it ends too early
    ],
)
def test_odd_exif_harms_nothing(exif: bytes, is_turned: bool) -> None:
    six = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0" + bytes(4)
    block = b"Exif\0\0" + {b"\x06": six, b"twice": b"Exif\0\0" + six}.get(exif, exif)
    plain = saved(NOISE, "JPEG")
    content = with_app1(plain, block)
    picture = np.asarray(open_photo(plain))
    expected = np.rot90(picture, -1) if is_turned else picture
    assert np.array_equal(np.asarray(open_photo(content)), expected)


def test_the_orientation_in_other_places() -> None:
    plain = saved(NOISE, "JPEG")
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/>'
    content = with_app1(plain, xmp)
    assert open_photo(content).size == open_photo(Image.open(io.BytesIO(content))).size == (20, 30)


# --- settings of the whole process --------------------------------------------------------------


@pytest.mark.parametrize("tolerant", [False, True])
@pytest.mark.parametrize(
    "kind", ["jpeg, large", "jpeg, progressive", "png, 8 bit", "gif", "bmp", "tiff"]
)
def test_a_truncated_photo_is_refused_whatever_pillow_is_set_to(
    monkeypatch: pytest.MonkeyPatch, kind: str, tolerant: bool
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", tolerant)
    content = GIVEN[kind]
    expected = np.asarray(open_photo(content))
    assert np.array_equal(np.asarray(open_photo(Image.open(io.BytesIO(content)))), expected)
    cut = content[: len(content) * 2 // 3]
    if kind == "tiff":  # its directory is at the end
        cut = content.replace(
            struct.pack("<HHII", 273, 4, 1, 8), struct.pack("<HHII", 273, 4, 1, 999)
        )
    with pytest.raises(PhotoError, match="damaged"):
        open_photo(cut)
    with pytest.raises(PhotoError, match="truncated"):
        open_photo(Image.open(io.BytesIO(cut)))
    assert ImageFile.LOAD_TRUNCATED_IMAGES is tolerant


@pytest.mark.filterwarnings("error")
def test_pillows_limit_is_neither_used_nor_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in (100, None):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert open_photo(GIVEN["jpeg"]).size == (96, 64)
        assert limit == Image.MAX_IMAGE_PIXELS


def test_a_jpeg_over_the_limit_is_decoded_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(Image.fromarray(NOISE).resize((641, 480)), "JPEG", quality=95)
    whole = open_photo(content)
    monkeypatch.setattr(decoder, "MAX_PIXELS", 200_000)
    assert open_photo(content).size == (321, 240)
    assert open_photo(content, shrink_to=60).size == (81, 60)
    assert open_photo(content, shrink_to=100).size == (161, 120)
    half = np.asarray(open_photo(content)).astype(int)
    assert np.abs(half - np.asarray(whole.resize((321, 240), Image.Resampling.BOX))).mean() < 3
    with pytest.raises(PhotoError, match="641 x 480 pixels is over .*give its file's path"):
        open_photo(whole)
    monkeypatch.setattr(decoder, "MAX_PIXELS", 4_000)
    with pytest.raises(PhotoError, match="over the limit of 4,000; save it smaller"):
        open_photo(content)
    monkeypatch.setattr(decoder, "MAX_PIXELS", 200_000)
    with pytest.raises(PhotoError, match="over the limit"):
        open_photo(encoded(whole, "PNG"))


def test_one_pil_image_in_many_threads() -> None:
    expected = open_photo(GIVEN["jpeg, large"]).tobytes()
    for _ in range(20):
        image = Image.open(io.BytesIO(GIVEN["jpeg, large"]))
        with ThreadPoolExecutor(8) as pool:
            assert {found.tobytes() for found in pool.map(open_photo, [image] * 8)} == {expected}
