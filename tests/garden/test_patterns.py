"""Patterns: many classes, deterministic pictures, nothing of the lessons in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flowerlib.garden.patterns import picture as patterns

GARDEN = Path(patterns.__file__).parent
LESSON_KINDS = ("flowers", "pets", "furniture", "things")
ONE_OF_EACH_FAMILY = sorted({family: n for n, (family, _, _) in enumerate(patterns.TABLE)}.values())


def drawn(label: int, index: int = 0, size: int = 48) -> np.ndarray:
    return patterns.draw(label, np.random.default_rng([label, index]), size)


def test_there_are_200_classes_with_names_of_their_own():
    assert len(patterns.CLASS_NAMES) >= 200
    assert len(set(patterns.CLASS_NAMES)) == len(patterns.CLASS_NAMES)


@pytest.mark.parametrize("size", [32, 48, 96])
def test_a_picture_is_uint8_rgb_of_the_asked_size(size):
    for label in ONE_OF_EACH_FAMILY:
        picture = drawn(label, size=size)
        assert picture.dtype == np.uint8 and picture.shape == (size, size, 3)


def test_no_class_draws_an_empty_or_broken_picture():
    with np.errstate(invalid="raise"):
        for label in range(0, len(patterns.CLASS_NAMES), 5):
            assert drawn(label, size=32).std() > 2, patterns.CLASS_NAMES[label]


def test_the_same_arguments_give_the_same_pixels_and_others_do_not():
    for label in ONE_OF_EACH_FAMILY:
        assert np.array_equal(drawn(label, 1), drawn(label, 1))
        assert not np.array_equal(drawn(label, 1), drawn(label, 2))


def test_drawing_does_not_touch_numpys_global_random_state():
    before = np.random.get_state()[1].copy()
    drawn(ONE_OF_EACH_FAMILY[0])
    assert np.array_equal(before, np.random.get_state()[1])


def test_two_sizes_show_the_same_composition():
    """Halved, the large picture is closer to the small one than to another picture of its class."""
    closer = 0
    for label in ONE_OF_EACH_FAMILY:
        small, large, other = drawn(label, 0, 48), drawn(label, 0, 96), drawn(label, 1, 48)
        halved = large.reshape(48, 2, 48, 2, 3).mean((1, 3))
        closer += np.abs(halved - small).mean() < np.abs(halved - other).mean()
    assert closer >= 0.9 * len(ONE_OF_EACH_FAMILY)


def test_pictures_of_one_class_are_more_alike_than_pictures_of_two():
    """Alike in crude statistics: the spectrum, and how far neighboring pixels differ."""

    def statistics(picture: np.ndarray) -> np.ndarray:
        gray = picture.mean(-1) / 255
        spectrum = np.abs(np.fft.rfft2(gray - gray.mean()))
        radius = np.hypot(np.fft.fftfreq(48)[:, None], np.fft.rfftfreq(48)[None])
        rings = [spectrum[np.abs(radius - r) < 0.03].mean() for r in np.arange(0.05, 0.5, 0.05)]
        return np.log(rings)

    labels = range(0, len(patterns.CLASS_NAMES), 8)
    found = np.array([[statistics(drawn(label, i)) for i in range(4)] for label in labels])
    flat = found.reshape(-1, found.shape[-1])
    distance = np.linalg.norm(flat[:, None] - flat[None], axis=-1)
    number = np.repeat(np.arange(len(found)), 4)
    same = number[:, None] == number[None]
    within = distance[same & (distance > 0)].mean()
    assert within < 0.9 * distance[~same].mean()


def test_drawing_patterns_loads_no_kind_of_a_lesson_and_no_torch():
    program = (
        "import sys, numpy as np; from flowerlib.garden import patterns;"
        "patterns.draw(0, np.random.default_rng(0), 32); print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=GARDEN.parents[2],
    ).stdout.split()
    unwanted = {f"flowerlib.garden.{kind}" for kind in LESSON_KINDS} | {"torch"}
    assert not unwanted & set(loaded)
