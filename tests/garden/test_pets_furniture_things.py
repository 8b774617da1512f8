"""Pets, furniture and things: stable pixels, one composition at all sizes, no easy cue."""

from __future__ import annotations

import time
import warnings

import numpy as np
import pytest
from PIL import Image

from flowerlib import garden
from flowerlib.garden.drawing import canvas, facets, lighting, rays, solids
from flowerlib.garden.drawing.frames import Frame, turn
from flowerlib.garden.drawing.solids import Stage
from flowerlib.garden.pets import breeds
from flowerlib.garden.things import picture as things

KINDS = ("pets", "furniture", "things")


def drawn(kind: str, count: int, size: int, start: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (N, size, size, 3) and labels (N,): `count` a class."""
    labels = np.repeat(np.arange(len(garden.class_names(kind))), count)
    indices = np.tile(np.arange(start, start + count), len(labels) // count)
    images = [
        garden.picture(kind, int(label), int(index), size=size)
        for label, index in zip(labels, indices, strict=True)
    ]
    return np.stack(images), labels


# ---------------------------------------------------------------- the contract of a kind


def test_the_class_names():
    assert garden.class_names("pets") == ("cat", "dog")
    assert garden.class_names("furniture") == ("bed", "sofa")
    names = garden.class_names("things")
    assert len(names) == len(set(names)) == 10
    assert set(things.PLACES) == set(things.MODELS) == set(names)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [32, 51, 96])
def test_pictures_are_rgb_of_the_asked_size_and_drawn_without_a_warning(kind, size):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images, _ = drawn(kind, 3, size)
    assert images.shape[1:] == (size, size, 3)
    assert images.dtype == np.uint8
    assert all(image.std() > 8 for image in images)  # none is one flat color


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_arguments_give_the_same_pixels_and_others_do_not(kind):
    one = garden.picture(kind, 1, 4, seed=2, size=48)
    assert np.array_equal(one, garden.picture(kind, 1, 4, seed=2, size=48))
    for label, index, seed in ((0, 4, 2), (1, 5, 2), (1, 4, 3)):
        other = garden.picture(kind, label, index, seed=seed, size=48)
        assert np.abs(one.astype(int) - other).mean() > 5


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_has_the_same_composition_at_every_size(kind):
    """Large and small versions, both brought to 16 px, agree far better than two pictures do."""

    def tiny(image: np.ndarray) -> np.ndarray:
        shrunk = Image.fromarray(image).resize((16, 16), Image.Resampling.BOX)
        return np.asarray(shrunk, dtype=np.float64)

    same, different = [], []
    for index in range(6):
        small, large = (garden.picture(kind, index % 2, index, size=s) for s in (32, 96))
        stranger = garden.picture(kind, index % 2, index + 50, size=96)
        same.append(np.abs(tiny(small) - tiny(large)).mean())
        different.append(np.abs(tiny(small) - tiny(stranger)).mean())
    assert np.mean(same) < 0.35 * np.mean(different)


# ---------------------------------------------------------------- difficulty


@pytest.mark.parametrize("kind", ["pets", "furniture"])
def test_the_mean_color_does_not_tell_the_classes_apart(kind):
    images, labels = drawn(kind, 40, 32)
    color = images.mean((1, 2))
    gap = np.abs(color[labels == 0].mean(0) - color[labels == 1].mean(0))
    error = color.std(0) / np.sqrt(20)  # standard error of the difference of two means of 40
    assert (gap < 4 * error).all()


def test_a_nearest_neighbor_on_pixels_fails_on_pets():
    train, train_labels = drawn("pets", 60, 32)
    test, test_labels = drawn("pets", 25, 32, start=1000)
    flat = [images.reshape(len(images), -1).astype(np.float64) for images in (train, test)]
    distance = ((flat[1][:, None, :] - flat[0][None, :, :]) ** 2).sum(-1)
    accuracy = (train_labels[distance.argmin(1)] == test_labels).mean()
    assert accuracy < 0.75


def test_a_linear_model_on_pixels_is_mediocre_on_furniture():
    train, train_labels = drawn("furniture", 100, 32)
    test, test_labels = drawn("furniture", 60, 32, start=1000)
    flat = [images.reshape(len(images), -1) / 255 for images in (train, test)]
    flat = [pixels - flat[0].mean(0) for pixels in flat]
    dual = np.linalg.solve(flat[0] @ flat[0].T + 100 * np.eye(200), 2.0 * train_labels - 1)
    accuracy = ((flat[1] @ flat[0].T @ dual > 0) == test_labels).mean()
    assert 0.55 < accuracy < 0.85


def test_no_single_trait_of_an_animal_decides():
    """Every kind of ear but one, and every kind of tail, occurs in both; so do all patterns."""
    cats, dogs = ({breed.ear for breed in group} for group in breeds.BREEDS)
    assert {"pointed", "rounded", "folded"} <= cats & dogs
    pets = [
        [breeds.Traits(label, np.random.default_rng(seed)) for seed in range(150)]
        for label in (0, 1)
    ]
    patterns = [{pet.pattern for pet in group} for group in pets]
    assert patterns[0] == patterns[1]
    for trait in ("ear_size", "muzzle", "snout", "slim", "leg", "fluff"):
        low, high = (sorted(getattr(p, trait) for p in group) for group in pets)
        assert low[0] < high[-1] and high[0] < low[-1], trait


# ---------------------------------------------------------------- solids


def stage_of(size: int = 40) -> Stage:
    return Stage(size, eye=(0, 0, 10), target=(0, 0, 0), spread=0.2)


@pytest.mark.parametrize("power", [2, 4, 8, 16])
def test_a_solid_lies_where_its_equation_says(power):
    stage = stage_of()
    half, frame = (0.9, 0.6, 0.7), Frame((0.2, -0.1, 0.3), turn(0.5, -0.3, 0.2))
    stage.solid(frame, half, np.array([1, 0, 0], np.float32), power=power)
    seen = stage.depth < rays.FAR
    assert 0.05 < seen.mean() < 0.9
    local = np.einsum("ji,jhw->ihw", frame.axes, stage.place() - frame.origin[:, None, None])
    total = sum(np.abs(local[i] / half[i]) ** power for i in range(3))
    assert np.median(np.abs(total[seen] - 1)) < 1e-3
    assert np.quantile(np.abs(total[seen] - 1), 0.95) < 0.3  # the rest is at the outline
    length = (stage.surface[solids.NORMAL] ** 2).sum(0)
    assert np.allclose(length[seen], 1, atol=1e-3)
    assert (stage.surface[3][seen] == 1).all()


def test_the_nearer_of_two_solids_is_seen_whatever_came_first():
    red, blue = np.eye(3, dtype=np.float32)[[0, 2]]
    for order in ((red, blue), (blue, red)):
        stage = stage_of()
        for color in order:
            stage.solid(Frame((0, 0, 1 if color is red else -1)), (0.5, 0.5, 0.5), color)
        assert np.array_equal(stage.surface[solids.COLOR][:, 20, 20], red)


def test_a_solid_behind_the_camera_or_beside_the_picture_changes_nothing():
    stage = stage_of()
    for place in ((0, 0, 14), (40, 0, 0), (0, -30, 0)):
        stage.solid(Frame(place), (1, 1, 1), np.ones(3, np.float32), power=4)
    assert (stage.depth == rays.FAR).all()


def test_a_point_is_drawn_where_the_screen_says():
    stage = Stage(64, eye=(3, 2, 8), target=(0, 0.5, 0), spread=0.3, roll=0.2)
    place = np.array([0.5, 0.9, -0.4])
    stage.solid(Frame(place), (0.06, 0.06, 0.06), np.ones(3, np.float32))
    rows, columns = np.nonzero(stage.depth < rays.FAR)
    column, row, depth = stage.screen(place)
    assert abs(columns.mean() + 0.5 - column) < 0.6 and abs(rows.mean() + 0.5 - row) < 0.6
    assert abs(stage.depth.min() - depth) < 0.1


def test_a_sparsely_painted_plane_looks_like_a_densely_painted_one():
    stages = []
    for sparse in (False, True):
        stage = Stage(40, eye=(1, 2, 8), target=(0, 0.5, 0), spread=0.4)
        stage.solid(Frame((0, 0.6, 0)), (0.6, 0.6, 0.6), np.ones(3, np.float32))
        seen = stage.plane(1, 0.0, lambda x, y, z: np.stack([x, y, z]), sparse=sparse)
        assert 0.1 < seen.mean() < 0.9
        assert (stage.surface[solids.NORMAL][:, seen] == np.array([[0], [1], [0]])).all()
        stages.append(stage)
    dense, sparse_one = stages
    assert np.array_equal(dense.surface, sparse_one.surface)
    assert np.array_equal(dense.depth, sparse_one.depth)


def test_light_falls_from_the_lamp_and_throws_a_shadow():
    stage = Stage(80, eye=(0, 3, 8), target=(0, 0.5, 0), spread=0.3)
    white = np.ones(3, np.float32)
    stage.plane(1, 0.0, lambda x, y, z: np.ones((3, *x.shape), np.float32))
    stage.solid(Frame((0, 0.6, 0)), (0.6, 0.6, 0.6), white)
    lamp = np.array([1.0, 1.0, 0.3]) / np.sqrt(2.09)
    image = lighting.light(stage, lamp, white * 0.7, white * 0.3, white * 0.2, reach=0.8)
    column, row, _ = stage.screen(np.array([0, 0.6, 0]))
    side, line = 10, int(row)
    assert image[line, int(column) + side, 0] > 1.3 * image[line, int(column) - side, 0]
    left, right = (stage.screen(np.array([x, 0.0, -0.1])) for x in (-0.75, 0.75))
    assert image[int(left[1]), int(left[0]), 0] < 0.9 * image[int(right[1]), int(right[0]), 0]


# ---------------------------------------------------------------- facets


def test_a_box_of_facets_covers_what_it_should_and_shows_its_near_side():
    model = facets.Model()
    model.box((-1, 1), (0, 1), 0.5, np.array([0, 1, 0], np.float32))
    for face, tone in zip(model.faces[:2], ((1, 0, 0), (0, 0, 1)), strict=True):
        face.color = np.array(tone, np.float32)  # the flanks: +z red, -z blue
    for yaw, near in ((0.0, 0), (np.pi, 2)):
        view = things.rotation(yaw, 0.0, 0.0)
        color, cover, bounds = facets.render(
            model, 32, view, np.array([0, 1, 0]), fill=0.8, move=(0, 0), distance=3, ambient=0.5
        )
        assert color[16, 16, near] > 0.1 and color[16, 16].sum() == color[16, 16, near]
        assert np.allclose(bounds[0], -0.8, atol=0.02) and np.allclose(bounds[2], 0.8, atol=0.02)
        assert abs(cover.mean() - 0.8 * 0.4) < 0.03  # twice as wide as high


@pytest.mark.parametrize("name", things.CLASS_NAMES)
def test_every_thing_is_a_solid_model_that_fills_its_picture(name):
    for seed in range(4):
        model = things.build(name, np.random.default_rng(seed))
        view = things.rotation(0.7 + seed, 0.3, 0.0)
        _, cover, _ = facets.render(
            model, 32, view, np.array([0, 1, 0]), fill=0.9, move=(0, 0), distance=2, ambient=0.5
        )
        assert 0.02 < cover.mean() < 0.8
        assert cover.max() > 0.9


# ---------------------------------------------------------------- speed, noise


@pytest.mark.parametrize(
    ("kind", "size", "limit"), [("pets", 96, 40), ("furniture", 96, 30), ("things", 32, 12)]
)
def test_a_picture_takes_milliseconds(kind, size, limit):
    """The best of many, against several times what it takes on a slow and busy machine."""
    times = []
    for index in range(12):
        start = time.process_time()
        garden.picture(kind, index % 2, index, size=size)
        times.append(time.process_time() - start)
    assert min(times) * 1000 < limit


def test_smooth_canvas_noise_does_not_depend_on_the_size():
    """Pictures count on it: what is drawn afterwards must not move with the picture's size."""
    left = [np.random.default_rng(0) for _ in range(2)]
    for rng, size in zip(left, (40, 120), strict=True):
        canvas.noise(rng, size, 20)
    assert left[0].random() == left[1].random()
