"""Folders become splits: labels go by name, copies stay together, and what is wrong is named."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from flowerlib import data
from flowerlib.data import digests, sets
from flowerlib.data.decoding import images
from flowerlib.data.sources import oxford
from flowerlib.support.errors import InputError


def photo(path: Path, number: int) -> None:
    """A tiny picture whose content is decided by `number`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (4, 4, 3), np.uint8)
    Image.fromarray(pixels).save(path, format="PNG")


def tree(root: Path, parts: Iterable[str], classes: Iterable[str], count: int = 2) -> Path:
    for number, (part, name) in enumerate((part, name) for part in parts for name in classes):
        for index in range(count):
            photo(root / part / name / f"{index}.png", 100 * number + index)
    return root


def places(splits: data.Splits) -> dict[str, str]:
    """File name → the split it is in."""
    parts = {"train": splits.train, "valid": splits.valid, "test": splits.test}
    return {
        Path(photos.name(i)).name: part
        for part, photos in parts.items()
        if photos is not None
        for i in range(len(photos))
    }


@pytest.mark.parametrize("valid", ["valid", "val", "validation"])
def test_split_folders(tmp_path: Path, valid: str) -> None:
    splits = data.image_folder(tree(tmp_path, ("train", valid, "test"), ("b", "a")))
    assert splits.class_names == ("a", "b")
    assert splits.sizes() == {"train": 4, "valid": 4, "test": 4}
    assert splits.train.labels.tolist() == [0, 0, 1, 1]
    assert (splits.pictures, splits.name) == ("photos", tmp_path.name)
    assert "2 classes · 4 train, 4 valid, 4 test" in splits.describe()


def test_learn_and_test_without_valid(tmp_path: Path) -> None:
    splits = data.image_folder(tree(tmp_path, ("learn", "test"), ("bed", "sofa"), 10))
    sizes = splits.sizes()
    assert sizes["test"] == 20 and sizes["train"] + sizes["valid"] == 20 and sizes["valid"] >= 2
    assert splits.valid.counts().min() >= 1


def test_a_missing_test_set_stays_missing(tmp_path: Path) -> None:
    splits = data.image_folder(tree(tmp_path, ("train", "valid"), ("a", "b")))
    assert splits.test is None and splits.sizes()["test"] == 0
    assert "no test set" in splits.describe()


def test_labels_go_by_name(tmp_path: Path) -> None:
    names = [str(number) for number in range(1, 13)]
    tree(tmp_path, ("train", "valid", "test"), names, 1)
    (tmp_path / "cat_to_name.json").write_text(json.dumps({n: f"flower {n}" for n in names}))
    splits = data.image_folder(tmp_path)
    assert splits.class_names == tuple(f"flower {number}" for number in names)
    for photos in (splits.train, splits.valid, splits.test):
        assert photos is not None
        for index in range(len(photos)):
            assert photos.class_name(index) == f"flower {Path(photos.name(index)).parent.name}"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ('{"a": "rose"}', "must map every class folder"),
        ('{"a": "rose", "b": "lily", "a": "iris"}', "must map .*it has 'a' twice"),
        ('{"a": "rose", "b": "rose"}', "gives the same name to two classes"),
        ("[1]", "must map every class folder"),
        ("{", "must map every class folder"),
    ],
)
def test_a_wrong_list_of_names_is_refused(tmp_path: Path, names: str, message: str) -> None:
    tree(tmp_path, ("train", "valid"), ("a", "b"))
    (tmp_path / "cat_to_name.json").write_text(names)
    with pytest.raises(InputError, match=rf"cat_to_name\.json {message}"):
        data.image_folder(tmp_path)


def test_class_folders_only_are_split_by_content(tmp_path: Path) -> None:
    splits = data.image_folder(tree(tmp_path, (".",), ("a", "b"), 40))
    sizes = splits.sizes()
    assert sum(sizes.values()) == 80 and len(places(splits)) == 40  # both classes use 40 names
    assert 40 <= sizes["train"] <= 70
    assert data.image_folder(tmp_path, test=0).test is None
    for part in (splits.train, splits.valid, splits.test):
        assert part is not None and part.counts().min() >= 1


def test_the_split_does_not_look_at_names(tmp_path: Path) -> None:
    first = data.image_folder(tree(tmp_path / "one", (".",), ("a", "b"), 20))
    for name in ("a", "b"):
        for index in range(20):
            (tmp_path / f"two/{name}").mkdir(parents=True, exist_ok=True)
            shutil.copy(
                tmp_path / f"one/{name}/{index}.png", tmp_path / f"two/{name}/{99 - index}.png"
            )
    second = data.image_folder(tmp_path / "two")
    for ours, theirs in zip(
        (first.train, first.valid, first.test),
        (second.train, second.valid, second.test),
        strict=True,
    ):
        assert ours is not None and theirs is not None
        contents = [{part.digest(i) for i in range(len(part))} for part in (ours, theirs)]
        assert contents[0] == contents[1]


@settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(seed=st.integers(0, 10_000), old=st.integers(30, 60), new=st.integers(1, 20))
def test_old_photos_stay_where_they_are(seed: int, old: int, new: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, offset in (("a", 0), ("b", 10**6)):
            for index in range(old):
                photo(root / name / f"{name}{index}.png", seed * 1000 + offset + index)
        before = data.image_folder(root)
        for index in range(old, old + new):
            photo(root / "a" / f"a{index}.png", seed * 1000 + index)
        after = places(data.image_folder(root))
        moved = {name for name, part in places(before).items() if after[name] != part}
        assert len(moved) <= 2 and all(name[0] == "a" for name in moved)  # lent ones


@settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(contents=st.lists(st.integers(0, 6), min_size=3, max_size=14), seed=st.integers(0, 999))
def test_copies_land_on_the_same_side(contents: list[int], seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for index, number in enumerate(contents):
            photo(root / "a" / f"{index}.png", 10 * seed + number)
            photo(root / "b" / f"b{index}.png", 10**6 + index)
        if len(set(contents)) < 3:
            with pytest.raises(InputError, match="class a with fewer than 3 different photos"):
                data.image_folder(root)
            return
        where = places(data.image_folder(root))
        sides: dict[int, set[str]] = {}
        for index, number in enumerate(contents):
            sides.setdefault(number, set()).add(where[f"{index}.png"])
        assert all(len(side) == 1 for side in sides.values())
        assert {"train", "valid", "test"} == {where[f"{i}.png"] for i in range(len(contents))}


def test_an_empty_class_is_named(tmp_path: Path) -> None:
    tree(tmp_path, ("train", "valid"), ("a", "b"))
    (tmp_path / "train" / "c").mkdir()
    (tmp_path / "train" / "c" / "notes.txt").touch()
    with pytest.raises(InputError, match="class c without a single photo in train/; add some"):
        data.image_folder(tmp_path)


@pytest.mark.parametrize("part", ["valid", "test"])
def test_a_class_missing_in_one_split_is_named(tmp_path: Path, part: str) -> None:
    tree(tmp_path, ("train", "valid", "test"), ("a", "b", "c"))
    shutil.rmtree(tmp_path / part / "b")
    with pytest.raises(InputError, match=f"{part} lacks class b: every split needs the same"):
        data.image_folder(tmp_path)
    os.rename(tmp_path / "train" / "a", tmp_path / "train" / "z")
    with pytest.raises(InputError, match="lacks .*z and has class a, which train lacks"):
        data.image_folder(tmp_path)


def test_other_layouts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none: no such folder"):
        data.image_folder(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: not a folder"):
        data.image_folder(tmp_path / "file")
    with pytest.raises(InputError, match="holds no class folders"):
        data.image_folder(tmp_path)
    tree(tmp_path, (".",), ("a",), 5)
    with pytest.raises(InputError, match="holds only the class a; two are needed"):
        data.image_folder(tmp_path)
    tree(tmp_path, ("valid",), ("a", "b"))
    with pytest.raises(InputError, match="has valid/ but no train/ folder"):
        data.image_folder(tmp_path)


@pytest.mark.parametrize("shares", [(0, 0.1), (0.5, 0.5), (-0.1, 0.2), (float("nan"), 0.1)])
def test_impossible_shares_are_refused(tmp_path: Path, shares: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="must be shares that leave some train"):
        data.image_folder(tmp_path, valid=shares[0], test=shares[1])


def test_a_folder_to_evaluate_is_labelled_by_name(tmp_path: Path) -> None:
    tree(tmp_path, (".",), ("b", "a"), 2)
    photos = data.labeled_folder(tmp_path, ("c", "b", "a"))
    assert {photos.class_name(i) for i in range(4)} == {"a", "b"}
    assert photos.labels.tolist() == [2, 2, 1, 1]
    with pytest.raises(InputError, match="does not know class b; it knows classes a, c, so name"):
        data.labeled_folder(tmp_path, ("a", "c"))
    with pytest.raises(InputError, match="no such folder"):
        data.labeled_folder(tmp_path / "none", ("a",))


def test_the_garden_is_balanced_and_repeatable() -> None:
    first, again = (data.garden(per_class=(2, 1, 1), size=32, num_classes=3) for _ in range(2))
    assert first.pictures == "drawn" and first.sizes() == {"train": 6, "valid": 3, "test": 3}
    assert first.train.counts().tolist() == [2, 2, 2] and len(first.class_names) == 3
    assert np.array_equal(first.train.contents.array, again.train.contents.array)
    contents = {part.digest(i) for part in (first.train, first.valid, first.test) for i in range(3)}
    assert len(contents) == 9


def test_drawn_pictures_may_be_wide() -> None:
    wanted = {"per_class": (2, 1, 1), "size": 32}
    whole = data.garden("furniture", **wanted)
    wide = data.beds_and_sofas(pictures="drawn", height=20, **wanted)
    assert wide.train.image(0).size == (32, 20)
    middle = np.asarray(whole.train.image(3))[6:26]
    assert np.array_equal(np.asarray(wide.train.image(3)), middle)
    assert "32 × 20 px" in wide.describe() and "32 px" in whole.describe()
    for height in (0, 33):
        with pytest.raises(InputError, match="height must be 1 to 32"):
            data.garden("furniture", height=height, **wanted)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_classes": -1}, "num_classes must be a whole number from 1 up, not -1"),
        ({"num_classes": 0}, "num_classes must be a whole number from 1 up, not 0"),
        ({"per_class": (5, -2, 3)}, "per_class must be a whole number from 0 up, not -2"),
        ({"per_class": (2.5, 1, 1)}, "per_class must be a whole number from 0 up, not 2.5"),
        ({"per_class": (5, 2)}, r"three numbers, for train, valid and test, not \(5, 2\)"),
        ({"per_class": 5}, "three numbers, for train, valid and test, not 5"),
    ],
)
def test_a_garden_of_impossible_size_is_refused(wrong: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        data.garden("pets", size=32, **{"per_class": (2, 1, 1), **wrong})


def test_words_that_are_not_known_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWERLIB_DATA", str(Path(__file__).parent))
    with pytest.raises(InputError, match='pictures must be "auto", "photos" or "drawn"'):
        data.flowers(pictures="moon")
    with pytest.raises(InputError, match='split must be "udacity" or "official"'):
        data.flowers(split="random")
    with pytest.raises(InputError, match='No data set "roses" can be downloaded'):
        data.download("roses")
    with pytest.raises(InputError, match="photos of flowers were not found in .*FLOWERLIB_DATA"):
        data.flowers(pictures="photos")


def test_a_wrong_data_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWERLIB_DATA", str(tmp_path / "none"))
    for pictures in ("auto", "photos"):
        with pytest.raises(InputError, match="FLOWERLIB_DATA names .*none, which is not a folder"):
            data.flowers(pictures=pictures)


def test_facts_about_the_flowers() -> None:
    facts = oxford.facts()
    assert len(facts["names"]) == len(set(facts["names"])) == 102
    ids = [i for first, last, _ in facts["runs"] for i in range(first, last + 1)]
    assert sorted(ids) == list(range(1, 8190))
    assert {label for _, _, label in facts["runs"]} == set(range(1, 103))
    for split, sizes in (("udacity", (818, 819)), ("official", (1020, 1020))):
        first, second = (set(part) for part in facts[split].values())
        assert (len(first), len(second)) == sizes
        assert not first & second and first | second <= set(ids)
    label_of = {i: label for first, last, label in facts["runs"] for i in range(first, last + 1)}
    for part in facts["official"].values():
        assert set(Counter(label_of[i] for i in part).values()) == {10}, "of each class"


@pytest.fixture(scope="module")
def downloaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stand-in for the download: all 8189 names as empty files, enough to split them."""
    root = tmp_path_factory.mktemp("oxford")
    jpgs = root / "flowers-102" / "jpg"
    jpgs.mkdir(parents=True)
    for number in range(1, 8190):
        (jpgs / f"image_{number:05}.jpg").touch()
    return root


def numbers(photos: data.Photos) -> list[int]:
    return [int(Path(photos.name(i)).stem[6:]) for i in range(len(photos))]


def test_the_flowers_in_the_udacity_split(
    downloaded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWERLIB_DATA", str(downloaded))
    splits = data.flowers()
    assert (splits.pictures, len(splits.class_names)) == ("photos", 102)
    assert splits.sizes() == {"train": 6552, "valid": 818, "test": 819}
    assert set(numbers(splits.test)) == set(oxford.facts()["udacity"]["test"])
    assert splits.train.class_name(0) == splits.train.class_names[splits.train.labels[0]]
    assert data.flowers(pictures="drawn", per_class=(1, 1, 1), size=32).pictures == "drawn"


def test_some_of_the_flowers(downloaded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The classes with the most training photos first; drawn ones all have as many."""
    monkeypatch.setenv("FLOWERLIB_DATA", str(downloaded))
    every, some = data.flowers(), data.flowers(num_classes=3)
    counts = dict(zip(every.class_names, every.train.counts().tolist(), strict=True))
    found = [counts[name] for name in some.class_names]
    assert found == sorted(counts.values(), reverse=True)[:3]
    assert some.train.counts().tolist() == found
    drawn = data.flowers(pictures="drawn", per_class=(1, 1, 1), size=32, num_classes=3)
    assert drawn.sizes() == {"train": 3, "valid": 3, "test": 3}
    for wrong in (0, 103):
        with pytest.raises(InputError, match="num_classes must be 1 to 102"):
            data.flowers(num_classes=wrong)


def test_the_flowers_in_the_official_split(
    downloaded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By number, so in Udacity's folders it is the same as in Oxford's."""
    for source in (downloaded / "flowers-102" / "jpg").iterdir():
        number = int(source.stem[6:])
        place = tmp_path / "flowers" / ("train", "valid", "test")[number % 3] / str(number % 102)
        place.mkdir(parents=True, exist_ok=True)
        (place / source.name).touch()
    found = []
    for root in (downloaded, tmp_path):
        monkeypatch.setenv("FLOWERLIB_DATA", str(root))
        splits = data.flowers(split="official")
        assert splits.sizes() == {"train": 1020, "valid": 1020, "test": 6149}
        parts = (splits.train, splits.valid, splits.test)
        found.append([(numbers(part), part.labels.tolist()) for part in parts])
    assert found[0] == found[1]
    known = oxford.facts()["official"]
    assert [found[0][0][0], found[0][1][0]] == [known["train"], known["valid"]]


def test_an_incomplete_set_is_refused(downloaded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWERLIB_DATA", str(downloaded))
    file = downloaded / "flowers-102" / "jpg" / "image_00007.jpg"
    file.unlink()
    try:
        with pytest.raises(InputError, match="holds 8,188 of the 8,189 flower photos"):
            data.flowers()
    finally:
        file.touch()


@pytest.mark.parametrize(
    ("name", "kind", "folder", "layout"),
    [
        ("dogs_vs_cats", "pets", "dogscats", ("train", "valid", "test")),
        ("cifar10", "things", "cifar10", ("train", "test")),
        ("beds_and_sofas", "furniture", "bed_sofa", ("learn", "test")),
    ],
)
def test_named_sets_drawn_and_real(
    name: str,
    kind: str,
    folder: str,
    layout: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FLOWERLIB_DATA", str(tmp_path))
    drawn = getattr(sets, name)(per_class=(2, 1, 1), size=32)
    assert (drawn.pictures, drawn.name, len(drawn.train)) == (
        "drawn",
        kind,
        2 * len(drawn.class_names),
    )
    with pytest.raises(InputError, match=f"photos of {name} were not found in .*FLOWERLIB_DATA"):
        getattr(sets, name)(pictures="photos")
    tree(tmp_path / folder, layout, ("one", "two"), count=8)
    real = getattr(sets, name)()
    assert (real.pictures, real.class_names) == ("photos", ("one", "two"))
    sizes = real.sizes()
    assert sizes["test"] == 16 and sizes["train"] + sizes["valid"] == 16 * (len(layout) - 1)
    assert getattr(sets, name)(pictures="drawn", per_class=(1, 1, 1), size=32).pictures == "drawn"


def test_photos_are_digested_when_they_are_used(flower_folder: Path, tmp_path: Path) -> None:
    root = shutil.copytree(flower_folder / "train", tmp_path / "photos")
    splits = data.image_folder(root)
    assert splits.origin == "split by content"  # which looked at the content, too
    file = Path(splits.train.name(0))
    file.write_bytes(file.read_bytes() + b"changed")
    assert splits.train.digest(0) == images.digest(file)


def test_photos_that_have_not_changed_are_not_read_again_to_divide_them(
    flower_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = shutil.copytree(flower_folder / "train", tmp_path / "photos")
    monkeypatch.setattr(digests, "MOMENT", 0)  # they are new
    monkeypatch.setattr(digests, "MANY", 1)
    first, read = data.image_folder(root), []
    monkeypatch.setattr(images, "read", lambda *_: read.append(1))
    monkeypatch.setattr(images, "digest", lambda *_: read.append(1))
    again = data.image_folder(root)
    assert [again.test.name(i) for i in range(len(again.test))] == [
        first.test.name(i) for i in range(len(first.test))
    ]
    assert not read


def test_splits_of_some_classes() -> None:
    splits = data.garden("things", per_class=(2, 1, 1), size=32)
    last = splits.of_classes(splits.class_names[5:])
    assert last.sizes() == {"train": 10, "valid": 5, "test": 5}
    assert last.class_names == last.test.class_names == splits.class_names[5:]
    assert last.train.digest(0) == splits.train.digest(10)


def test_a_class_name_that_no_classifier_could_be_saved_with_is_refused_at_once(
    flower_folder: Path, tmp_path: Path
) -> None:
    root = tmp_path / "photos"
    shutil.copytree(flower_folder, root)
    for part in root.iterdir():
        (part / "rose").rename(part / "ro\tse")
    with pytest.raises(InputError, match="characters that cannot be shown; rename the class"):
        data.image_folder(root)


def test_the_projects_data_is_found_from_a_lessons_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLOWERLIB_DATA", raising=False)
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    lessons = project / "notebooks" / "solutions"
    for folder in (lessons, elsewhere, project / "data" / "flowers"):
        folder.mkdir(parents=True)
    for here in (project, project / "notebooks", lessons):
        monkeypatch.chdir(here)
        assert data.home() == project / "data"
        assert data.find("flowers") == project / "data" / "flowers"
    with pytest.raises(InputError, match=rf"cifar10 were not found in {project / 'data'};"):
        data.cifar10(pictures="photos")
    (lessons / "data").mkdir()
    assert data.home() == lessons / "data", "the nearest one"
    monkeypatch.chdir(elsewhere)
    assert data.home() == elsewhere / "data" and data.find("flowers") is None
    monkeypatch.setenv("FLOWERLIB_DATA", str(project))
    assert data.home() == project
