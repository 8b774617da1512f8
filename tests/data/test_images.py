"""The policy on what a photo file may be, and what each kind of file turns into."""

from __future__ import annotations

import os
import pickle
import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowerlib.data.decoding import images
from flowerlib.data.decoding.images import PhotoError, open_photo
from tests.fuzz.photos import NO_PICTURES, OddPhoto, judge
from tests.fuzz.pixels import TURNS, orientation

QUADRANTS = np.zeros((16, 24, 3), np.uint8)  # red, green / blue, yellow: every turn looks different
QUADRANTS[:8, :12], QUADRANTS[:8, 12:] = (255, 0, 0), (0, 255, 0)
QUADRANTS[8:, :12], QUADRANTS[8:, 12:] = (0, 0, 255), (255, 255, 0)


def pixels(path: Path) -> np.ndarray:
    image = open_photo(path)
    assert image.mode == "RGB"
    return np.asarray(image)


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_exif_orientation_is_applied(tmp_path: Path, turn: int, suffix: str) -> None:
    stored = Image.fromarray(np.ascontiguousarray(TURNS[turn](QUADRANTS)))
    file, exif = tmp_path / f"turned{suffix}", orientation(turn)
    stored.save(file, exif=exif, **({"quality": 95, "subsampling": 0} if suffix == ".jpg" else {}))
    found = pixels(file)
    assert found.shape == QUADRANTS.shape
    assert np.abs(found.astype(int) - QUADRANTS).max() <= (90 if suffix == ".jpg" else 0)
    corners = found[4::8, 6::12].astype(int)  # the middle of each quadrant, clear of JPEG's edges
    assert np.abs(corners - QUADRANTS[4::8, 6::12]).max() <= 4


def test_transparency_is_laid_on_white_and_hidden_colors_stay_hidden(tmp_path: Path) -> None:
    rgba = np.zeros((2, 3, 4), np.uint8)
    rgba[:, 0] = (255, 0, 0, 0)  # red, invisible
    rgba[:, 1] = (0, 0, 255, 255)
    rgba[:, 2] = (0, 0, 0, 128)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    found = pixels(tmp_path / "a.png")
    assert found[0, 0].tolist() == [255, 255, 255]
    assert found[0, 1].tolist() == [0, 0, 255]
    assert found[0, 2].tolist() == [127, 127, 127]


def test_gray_with_alpha(tmp_path: Path) -> None:
    la = np.array([[[0, 0], [0, 255], [200, 255]]], np.uint8)
    Image.fromarray(la, "LA").save(tmp_path / "la.png")
    assert pixels(tmp_path / "la.png")[0, :, 0].tolist() == [255, 0, 200]


def test_palette_with_a_transparent_color(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.save(tmp_path / "p.png", transparency=1)
    assert pixels(tmp_path / "p.png").tolist() == [[[255, 0, 0], [255, 255, 255], [0, 0, 255]]]


def test_rgb_with_a_transparent_color(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2), (255, 0, 0)).save(tmp_path / "t.png", transparency=(255, 0, 0))
    found = pixels(tmp_path / "t.png")
    assert found.tolist() == np.full((2, 2, 3), 255).tolist()


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "c.jpg", quality=95)
    red, green, blue = pixels(tmp_path / "c.jpg")[4, 4].tolist()
    assert red > 200 and green < 60 and blue < 60


@pytest.mark.parametrize("name", ["deep.png", "deep.tif"])
def test_16_bit_gray_keeps_its_shades(tmp_path: Path, name: str) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(4, 0)
    Image.fromarray(ramp).save(tmp_path / name)
    found = pixels(tmp_path / name)[0, :, 0].astype(int)
    assert np.abs(found - np.arange(256)).max() <= 1  # clipped, it would be white from 1 on


@pytest.mark.parametrize("top", [1.0, 255.0, 4000.0])
def test_float_tiff_is_scaled(tmp_path: Path, top: float) -> None:
    ramp = np.linspace(0, top, 64, dtype=np.float32)[None].repeat(2, 0)
    ramp[1, 0] = np.nan
    Image.fromarray(ramp).save(tmp_path / "f.tif")
    found = pixels(tmp_path / "f.tif")
    assert found[0, 0, 0] == 0 and found[0, -1, 0] == 255 and found[1, 0, 0] == 0
    assert abs(int(found[0, 32, 0]) - 130) <= 1


def test_an_animation_is_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=50)
    assert pixels(tmp_path / "a.gif")[0, 0].tolist() == [255, 0, 0]


def noise_jpeg(path: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(path)
    return path


def test_a_truncated_jpeg_is_refused_by_name(tmp_path: Path) -> None:
    file = noise_jpeg(tmp_path / "cut.jpg")
    file.write_bytes(file.read_bytes()[:-600])
    with Image.open(file) as image:
        image.verify()  # the usual check sees nothing
    with pytest.raises(PhotoError, match=r"cut\.jpg: the picture is damaged \(.*truncated"):
        open_photo(file)


@pytest.mark.parametrize(("content", "reason"), NO_PICTURES)
def test_what_is_no_picture_is_said(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "letter.jpg"
    file.write_bytes(content)
    with pytest.raises(PhotoError, match=rf"letter\.jpg: .*{re.escape(reason)}"):
        open_photo(file)


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="there is no such file"):
        open_photo(tmp_path / "none.jpg")
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(PhotoError, match="folder.jpg: this is a folder"):
        open_photo(tmp_path / "folder.jpg")


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    Image.new("1", (17_600, 10_000)).save(tmp_path / "huge.png")
    with pytest.raises(PhotoError, match="17600 x 10000 pixels is over the limit of 175,000,000"):
        open_photo(tmp_path / "huge.png")
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")  # Pillow's own limit
    with pytest.raises(PhotoError, match="over the limit"):
        open_photo(tmp_path / "bomb.png")


def test_the_error_survives_a_worker_process() -> None:
    copy = pickle.loads(pickle.dumps(PhotoError("a.jpg", "the file is empty")))
    assert (copy.path, copy.reason, str(copy)) == (
        Path("a.jpg"),
        "the file is empty",
        "a.jpg: the file is empty.",
    )


def test_the_digest_is_the_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"rose")
    (tmp_path / "b").write_bytes(b"rose")
    (tmp_path / "c").write_bytes(b"rosf")
    first, copy, other = (images.digest(tmp_path / name) for name in "abc")
    assert first == copy != other and len(first) == 16
    with pytest.raises(PhotoError, match="there is no such file"):
        images.digest(tmp_path / "none")


def test_opening_in_threads_leaves_warnings_as_they_were(tmp_path: Path) -> None:
    files = [noise_jpeg(tmp_path / f"{number}.jpg") for number in range(8)]
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(open_photo, files * 25))
    assert warnings.filters == before


def test_a_wrong_answer_about_an_odd_photo_is_noticed(tmp_path: Path) -> None:
    red = np.full((2, 2, 3), (255, 0, 0), np.uint8)
    file = tmp_path / "red.png"
    Image.fromarray(red).save(file)
    content = file.read_bytes()
    wrong = {
        "pixels are off by 255": OddPhoto("a.png", content, red[..., ::-1]),
        "instead of RGB": OddPhoto("b.png", content, red[:1]),
        "must be refused": OddPhoto("c.png", content, None, "empty"),
        "wrong reason": OddPhoto("d.png", b"", None, "a text file"),
        "refused": OddPhoto("e.png", b"", red),
    }
    for word, photo in wrong.items():
        assert word in str(judge(photo, tmp_path, open_photo, PhotoError))


def test_the_facts_of_a_file_are_reported(tmp_path: Path) -> None:
    picture = Image.fromarray(QUADRANTS)
    picture.save(tmp_path / "turned.png", format="JPEG", exif=orientation(6))
    image, facts = images.open_with_facts(tmp_path / "turned.png")
    assert facts == images.Facts("JPEG", (16, 24), "RGB", turned=True, frames=False)
    assert np.array_equal(np.asarray(image), pixels(tmp_path / "turned.png"))
    frames = [picture, picture.rotate(180)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert images.open_with_facts(tmp_path / "a.gif")[1].frames
    frames[0].save(tmp_path / "m.jpg", format="MPO", save_all=True, append_images=frames[1:])
    facts = images.open_with_facts(tmp_path / "m.jpg")[1]
    assert (facts.format, facts.frames) == ("JPEG", False)
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "deep.png")
    assert images.open_with_facts(tmp_path / "deep.png")[1].deep and not facts.deep


def test_no_pipe_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(PhotoError, match="a pipe or a device"):
        images.digest(tmp_path / "pipe.jpg")
