"""The garden: same arguments, same pixels; any size; an honest cache; kinds kept apart."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flowerlib import garden
from flowerlib.garden import painter, sheets
from flowerlib.garden.drawing import canvas
from flowerlib.garden.flowers import species
from flowerlib.support.errors import InputError

FOLDER = Path(garden.__file__).parent


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWERLIB_CACHE", str(tmp_path))
    return tmp_path / "garden"


def imported(path: Path) -> set[str]:
    """Top-level names of all packages that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


# ---------------------------------------------------------------- pictures


@pytest.mark.parametrize("size", [32, 33, 96, 256])
def test_a_flower_has_the_asked_size(size):
    drawn = garden.picture("flowers", 3, 1, size=size)
    assert drawn.shape == (size, size, 3)
    assert drawn.dtype == np.uint8
    assert drawn.std() > 10  # not one flat color


def test_the_same_arguments_give_the_same_pixels_and_others_do_not():
    first = garden.picture("flowers", 5, 7, seed=2, size=48)
    assert np.array_equal(first, garden.picture("flowers", 5, 7, seed=2, size=48))
    for label, index, seed in ((6, 7, 2), (5, 8, 2), (5, 7, 3)):
        other = garden.picture("flowers", label, index, seed=seed, size=48)
        assert np.abs(first.astype(int) - other).mean() > 3


def test_sizes_share_the_composition():
    for index in range(4):
        small = garden.picture("flowers", 10, index, size=64).astype(float)
        large = garden.picture("flowers", 10, index, size=128).astype(float)
        shrunk = large.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
        assert np.corrcoef(small.ravel(), shrunk.ravel())[0, 1] > 0.9


def test_every_species_can_be_drawn():
    for label in range(102):
        assert garden.picture("flowers", label, 0, size=32).std() > 4


def test_pictures_of_a_species_vary_more_than_pixels_can_follow():
    labels, indices = np.repeat(np.arange(12), 6), np.tile(np.arange(6), 12)
    pixels = garden.pictures("flowers", labels, indices, size=32).reshape(72, -1).astype(float)
    distance = ((pixels[:, None] - pixels[None]) ** 2).sum(axis=-1)
    np.fill_diagonal(distance, np.inf)
    nearest = labels[distance.argmin(axis=1)]
    assert (nearest == labels).mean() < 0.7  # chance is 0.07


# ---------------------------------------------------------------- species


def test_there_are_102_species_with_names_of_their_own():
    names = garden.class_names("flowers")
    assert len(names) == len(set(names)) == 102
    assert all(name == name.lower() and len(name.split()) == 2 for name in names)


def test_no_two_species_are_equal_and_some_differ_in_one_trait_only():
    traits = [
        {**vars(one), "surface": None, "name": None, **vars(one.surface)} for one in species.table()
    ]
    differences = [
        {name for name in a if a[name] != b[name]} for i, a in enumerate(traits) for b in traits[:i]
    ]
    assert min(len(d) for d in differences) >= 1
    one_trait = ({"petals", "width"}, {"center_inner", "center_outer"})
    markings = {"veins", "stripe", "spots", "eye", "rim"}
    twins = [d for d in differences if d in one_trait or d <= markings]
    assert len(twins) >= 30


def test_every_hue_is_shared_by_several_species():
    hues = [one.hue for one in species.table()]
    assert min(hues.count(hue) for hue in set(hues)) >= 4


# ---------------------------------------------------------------- many pictures, cache


def test_pictures_equal_single_ones_and_come_back_from_the_cache(own_cache, monkeypatch):
    labels, indices = [0, 5, 101], [4, 0, 2]
    drawn = garden.pictures("flowers", labels, indices, size=32, seed=1)
    for row, label, index in zip(drawn, labels, indices, strict=True):
        assert np.array_equal(row, garden.picture("flowers", label, index, size=32, seed=1))
    assert len(list(own_cache.iterdir())) == 1

    def no_drawing(*arguments):
        raise AssertionError("drawn again in spite of the cache")

    monkeypatch.setattr("flowerlib.garden.flowers.draw", no_drawing)
    assert np.array_equal(drawn, garden.pictures("flowers", labels, indices, size=32, seed=1))


def test_the_cache_tells_arguments_and_sources_apart(own_cache, monkeypatch):
    garden.pictures("flowers", [1], [0], size=32)
    garden.pictures("flowers", [1], [0], size=33)
    garden.pictures("flowers", [1], [0], size=32, seed=1)
    garden.pictures("flowers", [1], [1], size=32)
    garden.pictures("flowers", [2], [0], size=32)
    assert len(list(own_cache.iterdir())) == 5
    monkeypatch.setattr(painter, "VERSIONS", "another drawing")
    garden.pictures("flowers", [1], [0], size=32)
    assert len(list(own_cache.iterdir())) == 6


# Mean brightness of each sixteenth of a first and of a last picture.
PIXELS = {
    "flowers": "4e3a28455445455d5247505c2e3d535516506315768e572b2766511f1f382810",
    "pets": "737660717474603a6f765541697b834d717f725b6a86634f43232f45606d4f44",
    "furniture": "948b898b86c7c4ba91b8b2a496848b8f95969686a1a49b6bb7b9afb1b7c4ccce",
    "things": "dcc6d7d35a6263622f212b3634363841d3d7d9e7db6894e7af4a4d7038303333",
    "patterns": "54534d3f54534b3f4d4b43373f3d35274f57694a6b747e67727456827b838877",
}


@pytest.mark.parametrize("kind", garden.KINDS)
def test_pictures_stay_what_they_were(kind):
    """The cache is keyed by `painter.DRAWING`: raise it, and renew these, when a picture changes.

    Means of many pixels: libraries may round a single one differently elsewhere.
    """
    found: list[float] = []
    for label in (0, len(garden.class_names(kind)) - 1):
        drawn = garden.picture(kind, label, 7, seed=3, size=64)
        found += drawn.reshape(4, 16, 4, 16, 3).mean((1, 3, 4)).ravel().tolist()
    assert np.abs(np.array(found) - list(bytes.fromhex(PIXELS[kind]))).max() < 2


def test_a_damaged_cache_file_is_drawn_again(own_cache):
    drawn = garden.pictures("flowers", [1, 2], [0, 0], size=32)
    (file,) = own_cache.iterdir()
    file.write_bytes(file.read_bytes()[:500])
    assert np.array_equal(drawn, garden.pictures("flowers", [1, 2], [0, 0], size=32))
    assert file.read_bytes()[:-4] == drawn.tobytes()


def test_an_interrupted_request_leaves_nothing_in_the_cache(own_cache, monkeypatch):
    def broken(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("flowerlib.garden.flowers.draw", broken)
    with pytest.raises(KeyboardInterrupt):
        garden.pictures("flowers", [1], [0], size=32)
    assert list(own_cache.iterdir()) == []


def test_workers_draw_what_this_process_draws():
    labels, indices = np.array([3, 50, 80, 7, 99]), np.array([0, 1, 2, 3, 4])
    alone = painter.draw_many("flowers", labels, indices, 0, 40)
    assert np.array_equal(alone, painter.draw_with_workers(2, "flowers", labels, indices, 0, 40))


def test_a_failing_worker_is_reported():
    with pytest.raises(RuntimeError, match="worker failed"):
        painter.draw_with_workers(1, "flowers", np.array([500]), np.array([0]), 0, 32)


def test_workers_do_not_import_from_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "random.py").write_text("raise SystemExit('wrong module')")
    monkeypatch.chdir(tmp_path)
    drawn = painter.draw_with_workers(1, "flowers", np.array([0]), np.array([0]), 0, 32)
    assert drawn.shape == (1, 32, 32, 3)


def test_no_pictures_at_all():
    assert garden.pictures("flowers", [], [], size=32).shape == (0, 32, 32, 3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("trees", 0, 0), "no kind 'trees'"),
        (("flowers", 102, 0), "0..101"),
        (("flowers", -1, 0), "0..101"),
        (("flowers", 0, -1), "index"),
        (("flowers", 0.5, 0), "whole number"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, words):
    with pytest.raises(InputError, match=words):
        garden.picture(*arguments)


@pytest.mark.parametrize("wrong", [{"size": 16}, {"size": 257}, {"size": 64.0}, {"seed": -1}])
def test_sizes_and_seeds_out_of_range_are_named(wrong):
    with pytest.raises(InputError):
        garden.picture("flowers", 0, 0, **wrong)


def test_lists_of_different_lengths_are_refused():
    with pytest.raises(InputError, match="equal length"):
        garden.pictures("flowers", [1, 2], [0])


# ---------------------------------------------------------------- sheets


def test_a_sheet_shows_every_species_once_on_paper():
    labels, indices, columns = sheets.layout(102, None)
    assert (labels, set(indices), columns) == (list(range(102)), {0}, 17)
    page = garden.sheet("flowers", size=32)
    assert page.dtype == np.uint8
    assert tuple(page[0, 0]) == sheets.PAPER
    assert page.shape[1] > page.shape[0] > 6 * 32


def test_a_sheet_of_few_classes_shows_each_in_rows_of_its_own():
    labels, indices, columns = sheets.layout(2, None)
    assert len(labels) % columns == 0
    assert labels == sorted(labels)
    assert len(set(zip(labels, indices, strict=True))) == len(labels) >= 24


def test_captions_make_a_sheet_taller():
    drawn = np.zeros((4, 48, 48, 3), dtype=np.uint8)
    plain = sheets.compose(drawn, 2)
    named = sheets.compose(drawn, 2, ["a", "b", "c", "a name much too long for its picture"])
    assert named.shape[0] > plain.shape[0]
    assert named.shape[1] == plain.shape[1]


# ---------------------------------------------------------------- layers


def test_the_garden_needs_numpy_and_pillow_only():
    allowed = set(sys.stdlib_module_names) | {"numpy", "PIL", "flowerlib"}
    for path in FOLDER.rglob("*.py"):
        assert imported(path) <= allowed, path.name
    code = "import sys; from flowerlib import garden; garden.picture('flowers', 0, 0, size=32); "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=FOLDER.parents[1]).returncode == 0


def test_patterns_share_no_drawing_code_with_the_kinds_of_the_lessons():
    """Backbones learn on patterns, which must not be drawn as a lesson's pictures are."""
    own = {"flowerlib.garden.patterns", "flowerlib.garden.drawing"}
    for path in (FOLDER / "patterns").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("flowerlib"):
                names = {alias.name for alias in node.names}
                assert ".".join(str(node.module).split(".")[:3]) in own, path.name
                if node.module == "flowerlib.garden.drawing":
                    assert names == {"canvas"}, path.name


@pytest.mark.parametrize("kind", garden.KINDS)
def test_every_kind_keeps_the_contract(kind):
    names = garden.class_names(kind)
    assert len(names) == len(set(names)) >= 2
    drawn = garden.picture(kind, len(names) - 1, 3, size=32)
    assert (drawn.shape, drawn.dtype) == ((32, 32, 3), np.uint8)
    assert np.array_equal(drawn, garden.picture(kind, len(names) - 1, 3, size=32))


# ---------------------------------------------------------------- primitives


def test_distances_are_negative_inside_and_zero_on_the_edge():
    x, y = np.float32([[0.0, 0.5, 1.0]]), np.float32([[0.0, 0.0, 0.0]])
    assert np.allclose(canvas.circle(x, y, 0.5), [[-0.5, 0.0, 0.5]])
    assert np.allclose(canvas.box(x, y, 0.5, 0.5), [[-0.5, 0.0, 0.5]])
    square = np.float32([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
    assert np.allclose(canvas.polygon(x, y, square), [[-0.5, 0.0, 0.5]], atol=1e-6)


def test_blur_keeps_the_mean_and_lowers_the_contrast():
    plane = np.random.default_rng(0).random((64, 64), dtype=np.float32)
    for radius in (1.0, 5.0):
        soft = canvas.blur(plane, radius)
        assert soft.shape == plane.shape
        assert abs(float(soft.mean() - plane.mean())) < 0.02
        assert soft.std() < 0.5 * plane.std()


def test_colors_from_oklch_are_the_known_ones():
    assert np.allclose(canvas.oklch(1, 0, 0), 1, atol=1e-3)
    assert np.allclose(canvas.oklch(0.628, 0.2577, 29.23), [1, 0, 0], atol=0.02)  # sRGB red
    assert np.allclose(canvas.hsv(1 / 3, 1, 1), [0, 1, 0])
