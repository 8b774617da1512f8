"""Preprocessing agrees with torchvision's and survives JSON; views depend on the seed only."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from torchvision.transforms import v2

from flowerlib.support.errors import InputError
from flowerlib.transforms import IMAGENET_MEAN, IMAGENET_STD, Augmentation, Preprocessing


def picture(width: int, height: int) -> Image.Image:
    """Smooth waves, so that half a pixel's shift changes little and a wrong crop much."""
    y, x = np.mgrid[:height, :width]
    waves = [127 + 120 * np.sin(x / width * 5 + k + y / height * (2 + k)) for k in range(3)]
    return Image.fromarray(np.stack(waves, -1).astype(np.uint8))


@pytest.mark.parametrize("size", [(500, 400), (400, 500), (256, 256), (90, 260)])
@pytest.mark.parametrize("name", ["bilinear", "bicubic"])
def test_agrees_with_torchvision(size: tuple[int, int], name: str) -> None:
    image = picture(*size)
    how = v2.InterpolationMode(name)
    theirs = v2.Compose(
        [
            v2.Resize(256, how),
            v2.CenterCrop(224),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )(image)
    ours = Preprocessing(filter=name)(image)
    assert ours.shape == (3, 224, 224) and ours.dtype == torch.float32
    assert float((ours - theirs).abs().mean()) < 0.02


def test_a_photo_of_the_right_size_is_only_cut() -> None:
    image = picture(96, 128)
    expected = np.asarray(image)[16:112]
    assert np.array_equal(Preprocessing(96, 96).pixels(image), expected)


@pytest.mark.parametrize("edges", [(268, 256), (339, 256), (401, 337), (300, 411), (256, 257)])
def test_the_crop_is_where_torchvision_cuts_it(edges: tuple[int, int]) -> None:
    """Half a pixel aside would blur every other photo."""
    noise = np.random.default_rng(0).integers(0, 256, (edges[1], edges[0], 3), np.uint8)
    image = Image.fromarray(noise)
    theirs = v2.Compose([v2.Resize(256), v2.CenterCrop(224)])(image)
    difference = Preprocessing().pixels(image).astype(int) - np.asarray(theirs)
    assert np.abs(difference).max() <= (0 if min(edges) == 256 else 2)


@settings(max_examples=300, deadline=None)
@given(
    width=st.integers(1, 1500),
    height=st.integers(1, 1500),
    sizes=st.tuples(st.integers(1, 400), st.integers(1, 400)),
)
def test_any_size_gives_the_crop(width: int, height: int, sizes: tuple[int, int]) -> None:
    preprocessing = Preprocessing(max(sizes), min(sizes))
    found = preprocessing.pixels(Image.new("RGB", (width, height)))
    assert found.shape == (min(sizes), min(sizes), 3)


@pytest.mark.parametrize("side", [47, 55, 58, 94, 110])
def test_rounding_never_leaves_the_photo(side: int) -> None:
    # Here (side - crop / (resize / side)) / 2 comes out a hair below zero.
    for crop in (64, 96, 224):
        assert Preprocessing(crop, crop).pixels(Image.new("RGB", (side, side))).shape[0] == crop


def test_squashed_shows_the_whole_photo() -> None:
    image = picture(300, 100)
    squashed = Preprocessing(256, 64).squashed()
    theirs = v2.Resize((64, 64))(image)
    assert np.array_equal(squashed.pixels(image), np.asarray(theirs))
    still = Augmentation(squashed, rotation=0, flip=0, crop_scale=(1, 1))
    assert torch.allclose(still(image), squashed(image), atol=0.02)
    slope = np.tile(np.linspace(0, 255, 300).astype(np.uint8), (100, 1))  # brighter to the right
    quarter = Augmentation(squashed, rotation=0, flip=0, crop_scale=(0.25, 0.25))
    view = np.asarray(quarter.view(Image.fromarray(slope).convert("RGB")))
    assert int(view[32, -1, 0]) - int(view[32, 0, 0]) == pytest.approx(255 / 2, abs=4)


def test_padded_shows_the_whole_photo_on_white() -> None:
    image = picture(300, 100)
    padded = Preprocessing(256, 60).padded()
    found = padded.pixels(image)
    assert np.array_equal(found[20:40], np.asarray(v2.Resize((20, 60))(image)))
    assert (found[:20] == 255).all() and (found[40:] == 255).all()
    still = Augmentation(padded, rotation=0, flip=0, crop_scale=(1, 1))
    assert torch.allclose(still(image)[:, 22:38], padded(image)[:, 22:38], atol=0.05)


def test_a_crop_says_nothing_of_other_resize_modes() -> None:
    """So its key in the cache, and the classifiers in its files, are those of earlier releases."""
    usual = Preprocessing()
    assert "resize_mode" not in usual.to_dict() and usual.with_resize_mode("crop") == usual
    for one in (usual, usual.squashed(), usual.padded()):
        assert Preprocessing.from_dict(json.loads(json.dumps(one.to_dict()))) == one


def test_undo_gives_the_pixels_back() -> None:
    preprocessing = Preprocessing(64, 64)
    image = picture(64, 64)
    assert np.allclose(preprocessing.undo(preprocessing(image)), np.asarray(image) / 255, atol=1e-6)


def test_json_there_and_back() -> None:
    before = Preprocessing(300, 288, (0.5, 0.4, 0.3), (0.1, 0.2, 0.3), "bicubic")
    after = Preprocessing.from_dict(json.loads(json.dumps(before.to_dict())))
    assert after == before and hash(after) == hash(before)


@pytest.mark.parametrize(
    "change",
    [
        {"crop": 300},
        {"resize": 0},
        {"resize": 25.6},
        {"std": (1, 1, 0)},
        {"mean": (1, 1)},
        {"mean": "abc"},
        {"mean": None},
        {"filter": "magic"},
        {"more": 1},
        {"resize_mode": 1},
        {"resize_mode": "squeeze"},  # the word of earlier versions, under their name alone
        {"resize_mode": "pad", "fit": "pad"},
        {"fit": "stretch"},
        {"resize_mode": "pad"},  # beside a resize that is not the crop
    ],
)
def test_nonsense_is_refused(change: dict) -> None:
    with pytest.raises(InputError, match="Preprocessing"):
        Preprocessing.from_dict(Preprocessing().to_dict() | change)


def test_a_view_depends_on_the_generator_only() -> None:
    augment = Augmentation(Preprocessing(64, 48))
    image = picture(100, 80)
    views = [augment(image, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert views[0].shape == (3, 48, 48)
    assert torch.equal(views[0], views[1]) and not torch.equal(views[0], views[2])


def test_no_variation_is_the_center_square() -> None:
    preprocessing = Preprocessing(64, 64)
    still = Augmentation(preprocessing, rotation=0, flip=0, crop_scale=(1, 1))
    assert torch.allclose(still(picture(100, 64)), preprocessing(picture(100, 64)), atol=0.02)
    mirror = Augmentation(preprocessing, rotation=0, flip=1, crop_scale=(1, 1))
    assert torch.allclose(mirror(picture(100, 64)).flip(2), still(picture(100, 64)), atol=0.02)


@pytest.mark.parametrize("size", [(40, 30), (30, 41), (33, 33), (224, 10), (500, 1), (448, 2)])
def test_padding_is_pillows_where_that_works(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    image = Image.fromarray(noise)
    found = Preprocessing(32, 32).padded().pixels(image)
    assert found.shape == (32, 32, 3)
    if min(size) / max(size) * 32 > 0.5:
        usual = ImageOps.pad(image, (32, 32), Image.Resampling.BILINEAR, color="white")
        assert np.array_equal(found, np.asarray(usual))
    else:  # one line of the strip is left
        assert (found != 255).any((1, 2)).sum() == 1


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 900), (900, 1), (3000, 2), (449, 1)])
@pytest.mark.parametrize("mode", ["crop", "squash", "pad"])
def test_tiny_and_thin_photos(size: tuple[int, int], mode: str) -> None:
    image, preprocessing = Image.new("RGB", size, "red"), Preprocessing().with_resize_mode(mode)
    assert preprocessing.pixels(image).shape == (224, 224, 3)
    assert Augmentation(preprocessing).view(image).size == (224, 224)


def test_a_view_of_a_panorama_needs_memory_as_its_photo_does(monkeypatch) -> None:
    made, new = [], Image.new

    def counted(mode, size, *rest):
        made.append(size[0] * size[1])
        return new(mode, size, *rest)

    panorama = Image.new("RGB", (4000, 60), "green")
    monkeypatch.setattr(Image, "new", counted)
    view = Augmentation(Preprocessing(32, 32).padded()).view(panorama)
    assert view.size == (32, 32) and max(made) <= 4000 * 60
