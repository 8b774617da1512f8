"""The same photos through every door give the same splits, features and accuracy."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, Subset
from torchvision import datasets
from torchvision.transforms import v2

from flowerlib import audit, cli, data, features, models, train
from flowerlib.data import Photos, Splits
from flowerlib.support.errors import InputError
from flowerlib.transforms import Augmentation, Preprocessing

EXACT = {"precision": "fp32", "device": "cpu"}
PARTS = ("train", "valid", "test")


def pairs(folder: Path) -> list[tuple[Path, str]]:
    return [(path, path.parent.name) for path in sorted(folder.rglob("*.jpg"))]


def write(file: Path, *lines: object) -> Path:
    with open(file, "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(lines)  # type: ignore[arg-type]
    return file


@dataclasses.dataclass
class Feature:
    """As Hugging Face describes a column of pictures, or of classes by their names."""

    decode: bool = True
    names: list[str] = dataclasses.field(default_factory=list)


class HuggingFace:
    """Behaves like a data set of Hugging Face: rows are dicts, pictures come decoded or not."""

    def __init__(self, folder: Path, decode: bool = True) -> None:
        self.folder, self.pairs = folder, pairs(folder)
        self.names = sorted({name for _, name in self.pairs})
        self.features = {"image": Feature(decode), "label": Feature(names=self.names)}
        del self.features["label"].decode

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, at: int | str) -> object:
        if isinstance(at, str):
            return [self.names.index(name) for _, name in self.pairs]
        path, name = self.pairs[at]
        content = {"bytes": path.read_bytes(), "path": path.name}
        image = Image.open(path) if self.features["image"].decode else content
        return {"image": image, "label": self.names.index(name)}

    def cast_column(self, name: str, feature: Feature) -> HuggingFace:
        assert name == "image"
        return HuggingFace(self.folder, feature.decode)


def doors(folder: Path, tmp_path: Path) -> Iterator[tuple[str, Splits]]:
    """The photos of a folder through every door that leads to their files."""
    rows = [(path.relative_to(folder.parent), name) for path, name in pairs(folder)]
    table = shutil.copytree(folder, tmp_path / folder.name).parent / "photos.csv"
    yield "table", data.from_table(write(table, ("path", "label"), *rows))
    mixed = [rows[at] for at in np.random.default_rng(0).permutation(len(rows))]
    columns = {"file": [path for path, _ in mixed], "class": [name for _, name in mixed]}
    yield "columns", data.from_table(columns, folder=folder.parent)
    yield "items", data.from_items(mixed, folder=folder.parent)
    yield "torchvision", data.from_dataset(datasets.ImageFolder(folder))
    yield "Hugging Face", data.from_dataset(HuggingFace(folder))
    flat = tmp_path / "flat"
    flat.mkdir()
    for path, name in pairs(folder):
        shutil.copy(path, flat / f"{name}.{path.stem[-2:]}.jpg")
    yield "file names", data.from_file_names(flat)


def contents(photos: Photos) -> dict[bytes, str]:
    return {photos.digest(at): photos.class_name(at) for at in range(len(photos))}


def test_every_door_gives_the_same_splits(folder: Path, tmp_path: Path) -> None:
    expected = data.image_folder(folder)
    for door, splits in doors(folder, tmp_path):
        assert splits.class_names == expected.class_names, door
        for part in PARTS:
            found, wanted = getattr(splits, part), getattr(expected, part)
            assert contents(found) == contents(wanted) and len(found) == len(wanted), door
        assert "split by content" in splits.describe()


@pytest.mark.usefixtures("own_cache")
def test_every_door_gives_the_same_accuracy(folder: Path, tmp_path: Path) -> None:
    def measured(splits: Splits) -> tuple[float, float, int]:
        classifier = train.transfer(splits, "small_densenet", **EXACT)
        found = classifier.evaluate(splits.test, **EXACT).accuracy
        results = classifier.results
        return found, results["valid"]["accuracy"], results["features_computed"]

    test, valid, computed = measured(data.image_folder(folder))
    assert test > 0.5 and computed > 0
    for door, splits in doors(folder, tmp_path):
        assert measured(splits) == (test, valid, 0), f"{door}: nothing is computed twice"


def test_pictures_in_memory_give_the_same_features_and_accuracy(folder: Path) -> None:
    every, names = pairs(folder), ["daisy", "iris", "lily", "rose"]
    given = [PARTS[at % 3] for at in range(len(every))]
    opened = [np.array(Image.open(path)) for path, _ in every]
    labels = [name for _, name in every]
    whole = [
        (Image.fromarray(p), names.index(name)) for p, name in zip(opened, labels, strict=True)
    ]
    tensors = [
        (torch.from_numpy(p).permute(2, 0, 1), name) for p, name in zip(opened, labels, strict=True)
    ]
    scaled = [(tensor / 255, name) for tensor, name in tensors]

    def by_split(items: list) -> dict[str, list]:
        return {p: [x for x, q in zip(items, given, strict=True) if p == q] for p in PARTS}

    backbone = models.backbone("small_densenet", "small")

    def measured(splits: Splits) -> tuple[list[float], float]:
        found = features.extract(
            backbone, splits.train, Preprocessing(64, 64), cache=False, **EXACT
        )
        classifier = train.transfer(splits, backbone, cache=False, **EXACT)
        accuracy = classifier.evaluate(splits.test, cache=False, **EXACT).accuracy
        return found.values.flatten().tolist(), accuracy

    files = data.from_items(every, splits=given)
    values, accuracy = measured(files)
    assert accuracy > 0.5
    for splits in (
        data.from_arrays(np.stack(opened), labels, splits=given),
        data.from_dataset(by_split(whole), names),
        data.from_dataset(by_split(tensors)),
        data.from_dataset(by_split(scaled)),
    ):
        assert splits.class_names == files.class_names
        assert measured(splits) == (pytest.approx(values, abs=1e-5), accuracy)
    memory = [
        data.from_arrays(np.stack(opened), labels), data.from_dataset(whole, names),
        data.from_dataset(scaled),
    ]  # fmt: skip
    for part in PARTS:  # divided by content: the same, where the content is the same pixels
        assert len({frozenset(contents(getattr(splits, part))) for splits in memory}) == 1


# --- groups -------------------------------------------------------------------------------------


def drawn(count: int, seed: int = 0) -> np.ndarray:
    """Pictures that are no near copies of each other, uint8 (count, 24, 24, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 6, 6, 3), np.uint8)
    return coarse.repeat(4, 1).repeat(4, 2)


def sides(splits: Splits, pictures: np.ndarray, groups: list) -> dict[object, set[str]]:
    """Group → the splits in which it is."""
    group_of = {data.Photos(pictures[[at]], [0], ["a"]).digest(0): g for at, g in enumerate(groups)}
    found: dict[object, set[str]] = {}
    for part in PARTS:
        for digest in getattr(splits, part).digests():
            found.setdefault(group_of[digest.ljust(16, b"\0")], set()).add(part)
    return found


@pytest.mark.parametrize("seed", range(8))
def test_a_group_is_never_on_both_sides(seed: int) -> None:
    """Patients with photos of one class, of several, of all."""
    random = np.random.default_rng(seed)
    pictures, labels = drawn(240, seed), random.integers(0, 3, 240)
    groups = [f"patient {number}" for number in random.integers(0, 24, 240)]
    splits = data.from_arrays(pictures, labels, groups=groups)
    found = sides(splits, pictures, groups)
    assert len(found) == 24 and all(len(parts) == 1 for parts in found.values())
    assert sum(splits.sizes().values()) == 240
    for part in PARTS:
        assert getattr(splits, part).counts().min() >= 1
    again = data.from_arrays(pictures[::-1], labels[::-1], groups=groups[::-1])
    assert sides(again, pictures, groups) == found


def test_groups_of_the_owner_are_not_called_near_copies() -> None:
    pictures, labels = drawn(30), [0, 1] * 15
    origin = data.from_arrays(pictures, labels, groups=["one", "two", "three"] * 10).origin
    assert origin == "split by content; 30 photos in 3 given groups, each on one side"


def test_too_few_groups_and_groups_on_both_sides_are_refused() -> None:
    pictures, labels = drawn(30), [0, 1] * 15
    groups = ["one", "two", "three"] * 10
    assert data.from_arrays(pictures, labels, groups=groups).train.counts().min() >= 1
    with pytest.raises(InputError, match="classes 0, 1 belong to too few groups to be in every"):
        data.from_arrays(pictures, labels, groups=["one", "two"] * 15)
    given = ["train", "valid", "test"] * 10
    assert data.from_arrays(pictures, labels, groups=groups, splits=given).sizes()["test"] == 10
    with pytest.raises(InputError, match="the group three is in train and in test; put each"):
        data.from_arrays(pictures, labels, groups=groups, splits=["train"] * 20 + ["test"] * 10)
    with pytest.raises(
        InputError, match="1 of 30 photos has no group, such as photo 3; fill it in"
    ):
        data.from_arrays(pictures, labels, groups=[*groups[:3], None, *groups[4:]])
    with pytest.raises(InputError, match="30 photos but 2 groups"):
        data.from_arrays(pictures, labels, groups=groups[:2])


def test_a_missing_valid_set_respects_the_groups() -> None:
    pictures, labels = drawn(60), [0, 1] * 30
    groups = [f"g{at // 4}" for at in range(60)]
    given = ["test" if at < 8 else "train" for at in range(60)]
    splits = data.from_arrays(pictures, labels, groups=groups, splits=given)
    assert splits.sizes()["test"] == 8 and splits.sizes()["valid"] >= 4
    assert all(len(parts) == 1 for parts in sides(splits, pictures, groups).values())


def test_groups_of_a_folder_are_read_from_its_paths(tmp_path: Path) -> None:
    for at, pixels in enumerate(drawn(80)):
        file = tmp_path / "ab"[at % 2] / f"plant{at // 4:02}_{at}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(file)

    def plant(path: str) -> str:
        return Path(path).name[:7]

    splits = data.image_folder(tmp_path, groups=plant)
    where: dict[str, set[str]] = {}
    for part in PARTS:
        for path in getattr(splits, part).paths:
            where.setdefault(plant(path), set()).add(part)
    assert len(where) == 20 and all(len(parts) == 1 for parts in where.values())
    given = data.to_folders(data.image_folder(tmp_path), tmp_path.parent / "divided")
    with pytest.raises(InputError, match="the group one is in .* and in .*; put each group into"):
        data.image_folder(given, groups=lambda path: "one")


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (lambda path: None, "_0.png: there is no group for this photo"),
        (lambda path: float("nan"), "there is no group for"),
        (lambda path: "", "there is no group for"),
        (lambda path: re.search(r"(\d+)_", path), "re.Match object.*a text or a number"),
        (lambda path: [path], r"\['.*a text or a number"),
    ],
)
def test_what_is_no_group_is_refused(tmp_path: Path, groups, message: str) -> None:
    """All without a group would be one, and matches of a pattern are all different."""
    for at, pixels in enumerate(drawn(12)):
        file = tmp_path / "ab"[at % 2] / f"{at // 4:02}_{at}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(file)
    with pytest.raises(InputError, match=message):
        data.image_folder(tmp_path, groups=groups)


# --- tables -------------------------------------------------------------------------------------


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of 24 photos of two classes, with splits and groups, in a file of its own."""
    lines = [("file_name", "Class", "split", "group")]
    (tmp_path / "img").mkdir()
    for at, pixels in enumerate(drawn(24)):
        Image.fromarray(pixels).save(tmp_path / "img" / f"{at}.png")
        split = ("train", "Training", "val", "TEST")[at // 2 % 4]
        lines.append((f"img/{at}.png", ("cat", "dog")[at % 2], split, f"day {at // 2}"))
    return write(tmp_path / "photos.csv", *lines)


def changed(table: Path, old: str, new: str) -> Path:
    text = table.read_text(encoding="utf-8")
    assert old in text
    table.write_text(text.replace(old, new), encoding="utf-8")
    return table


def test_a_table_divides_its_photos(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    splits = data.from_table(table)
    assert splits.sizes() == {"train": 12, "valid": 6, "test": 6}
    assert splits.class_names == ("cat", "dog") and splits.train.counts().tolist() == [6, 6]
    assert splits.name == "photos" and "split as given" in splits.describe()
    assert splits.files == data.FileCounts(24, {})
    assert Path(splits.train.name(0)) == table.parent / "img" / "0.png"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_tables_of_other_programs(table: Path, delimiter: str, encoding: str) -> None:
    text = table.read_text(encoding="utf-8").replace("cat", "Pâquerette").replace(",", delimiter)
    table.write_bytes((text.replace("\n", "\r\n") + "\r\n").encode(encoding))
    assert data.from_table(table).class_names == ("Pâquerette", "dog")


def test_other_columns_are_named(table: Path) -> None:
    changed(table, "file_name,Class,split,group", "datei,art,teil,tag")
    with pytest.raises(InputError, match="no column for the path; it has datei, art, teil, tag"):
        data.from_table(table)
    splits = data.from_table(table, path="datei", label="art", split="teil", group="tag")
    assert splits.sizes()["test"] == 6
    divided = data.from_table(table, path="datei", label="art")
    assert "split by content" in divided.describe()
    with pytest.raises(InputError, match='no column "species"; it has datei, art'):
        data.from_table(table, path="datei", label="species")


def test_a_data_frame_is_a_table(table: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(table).sample(frac=1, random_state=0)
    frame["Class"] = frame["Class"].map({"cat": 1.0, "dog": 2.0})  # a column with a gap is float
    splits = data.from_table(frame, folder=table.parent)
    assert splits.class_names == ("1", "2") and splits.sizes()["train"] == 12
    frame.iloc[3, 1] = None
    with pytest.raises(InputError, match="1 of 24 rows has no label, such as row 3; fill it in"):
        data.from_table(frame, folder=table.parent)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("img/7.png,dog", "img/7.png,", "1 of 24 rows has no label, such as line 9"),
        ("img/7.png,dog", ",dog", "1 of 24 rows has no path, such as line 9"),
        ("img/7.png", "img/none.png", "1 of 24 photos is not there, such as .*none.png in line 9"),
        ("img/7.png", "img\\7.png", 'in line 9; write "/" instead of "\\\\"'),
        ("img/7.png", "img/6.png", "repeats a photo, .*6.png, in line 8 and line 9 as cat and as"),
        ("img/7.png,dog", "img/5.png,dog", "repeats a photo, .*5.png, in line 7 and line 9; list"),
        ("img/7.png,dog,TEST", "img/7.png,dog,fold 1", "line 9 has the split 'fold 1'; say train"),
        ("img/7.png,dog,TEST", "img/7.png,dog,", "1 of 24 rows has no split"),
        ("day 3", "day 4", "the group day 4 is in test and in train; put each group into one"),
        ("img/7.png,dog", "img/7.png", "line 9 has 3 cells, not 4 as the first line has"),
        ("Class", "split", 'two columns "split"'),
        ("Class", "image", "more than one for the path: file_name, image"),
        ("dog", "cat", "holds only the class cat; two are needed"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(table: Path, old: str, new: str, message: str) -> None:
    changed(table, old, new)
    with pytest.raises(InputError, match=message) as problem:
        data.from_table(table)
    text = str(problem.value)
    assert text.startswith(str(table)) and "\n" not in text and text.endswith(".")


def test_files_that_are_no_tables_are_refused(tmp_path: Path) -> None:
    for content, message in (
        (b"PK\3\4...", "is a spreadsheet or an archive; save the table as CSV"),
        (b"path,label\n\xff.jpg,cat\n", "is not UTF-8"),
        (b"", r"a\.csv is empty; write the names of the columns first, such as path,label"),
        (b"\n \n", r"a\.csv is empty; write"),
        (b"\npath,label\na.jpg,cat\n", r"a\.csv begins with an empty line; write the names"),
        (b"path,label,split\na.jpg\n", "line 2 has 1 cell, not 3 as the first line has"),
        (b"path,label\n", "lists no photo"),
    ):
        (tmp_path / "a.csv").write_bytes(content)
        with pytest.raises(InputError, match=message) as problem:
            data.from_table(tmp_path / "a.csv")
        assert "\n" not in str(problem.value) and str(problem.value).endswith(".")
    with pytest.raises(InputError, match="none.csv: no such file; give a CSV file, or a folder"):
        data.from_table(tmp_path / "none.csv")
    with pytest.raises(InputError, match="A int is no table"):
        data.from_table(3)  # type: ignore[arg-type]


def test_a_class_only_in_test_is_refused_and_one_that_test_lacks_is_noted(table: Path) -> None:
    lines = table.read_text(encoding="utf-8")
    changed(table, "img/6.png,cat,TEST", "img/6.png,bird,TEST")
    with pytest.raises(InputError, match="no photo of bird is in train"):
        data.from_table(table)
    table.write_text(lines.replace("img/0.png,cat", "img/0.png,bird"), encoding="utf-8")
    notes = data.from_table(table).notes
    assert notes == ("valid has no photo of class bird", "test has no photo of class bird")


# --- pairs, names, arrays, data sets ------------------------------------------------------------


def test_items_that_are_no_pairs_are_refused(tmp_path: Path) -> None:
    for items, message in (
        (["a.jpg", "b.jpg"], "item 0 is 'a.jpg'; give pairs of a path and a class"),
        ([("a.jpg", "cat", 3)], "item 0 is "),
        ([(Image.new("RGB", (4, 4)), "cat")], "item 0 has Image in place of a path; data.from_d"),
        ([("a.jpg", "cat"), ("b.jpg", None)], "1 of 2 rows has no label, such as item 1"),
        ([("a.jpg", "cat"), ("b.jpg", "dog")], "2 of 2 photos are not there, such as a.jpg in it"),
        ([], "lists no photo"),
    ):
        with pytest.raises(InputError, match=message):
            data.from_items(items)
    with pytest.raises(InputError, match="the items: 2 rows but 1 split; give one for each"):
        data.from_items([("a.jpg", "cat"), ("b.jpg", "dog")], splits=["train"])
    with pytest.raises(InputError, match="the items: 2 rows but 0 splits"):
        data.from_items([("a.jpg", "cat"), ("b.jpg", "dog")], splits=[])


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("cat.123.jpg", "cat"),
        ("great_pyrenees_17.jpg", "great_pyrenees"),
        ("cat (3).jpg", "cat"),
        ("type2-004.jpg", "type2"),
        ("Löwe 5.jpg", "Löwe"),
    ],
)
def test_classes_from_the_names_of_files(tmp_path: Path, name: str, label: str) -> None:
    pictures = drawn(12)
    for at, pixels in enumerate(pictures):
        other = f"other_{at}.jpg" if at % 2 else name.replace(name[-5], str(at))
        Image.fromarray(pixels).save(tmp_path / other)
    assert label in data.from_file_names(tmp_path).class_names


def test_names_by_a_pattern_with_groups(tmp_path: Path) -> None:
    for at, pixels in enumerate(drawn(48)):
        name = f"p{at // 4:02}_{('benign', 'malignant')[at % 2]}.png"
        Image.fromarray(pixels).save(tmp_path / name.replace("_", f"_{at:02}_"))
    pattern = r"(?P<group>p\d+)_\d+_(?P<label>[a-z]+)"
    splits = data.from_file_names(tmp_path, pattern)
    assert splits.class_names == ("benign", "malignant")
    where = {}
    for part in PARTS:
        for path in getattr(splits, part).paths:
            where.setdefault(Path(path).name[:3], set()).add(part)
    assert len(where) == 12 and all(len(parts) == 1 for parts in where.values())
    with pytest.raises(InputError, match=r"needs a group \(\?P<label>"):
        data.from_file_names(tmp_path, r"p\d+")
    with pytest.raises(InputError, match="is no regular expression"):
        data.from_file_names(tmp_path, "(")
    with pytest.raises(InputError, match="48 of 48 names do not fit the pattern, such as p00_00"):
        data.from_file_names(tmp_path)
    (tmp_path / "more").mkdir()
    shutil.copy(next(tmp_path.glob("*.png")), tmp_path / "more" / "a.png")
    (tmp_path / "notes.txt").touch()
    counted = data.from_file_names(tmp_path, pattern).files
    assert counted == data.FileCounts(48, {"in more/": 1, ".txt": 1})


def test_arrays_that_are_no_pictures_are_refused() -> None:
    pictures = drawn(12)
    gray = data.from_arrays(pictures[..., 0], ["a", "b"] * 6)
    assert gray.train.contents.array.shape[1:] == (24, 24, 3)
    for given, labels, names, message in (
        (pictures / 255, [0, 1] * 6, None, "of float64; give uint8"),
        (pictures, [0, 1] * 5, None, "12 pictures but 10 labels"),
        (pictures, [0, 2] * 6, ["a", "b"], "Picture 1 has the label 2"),
        (pictures, ["a", "c"] * 6, ["a", "b"], "photos of class c, which class_names lacks"),
        (pictures, ["a", None] * 6, None, "Photo 1 has no label"),
        (pictures, [[0, 1]] * 6, None, r"\[0, 1\] .*is no class of a photo"),
        (pictures, [1] * 12, None, "holds only the class 1; two are needed"),
        (pictures, [("a", "b"), ("a", "c")] * 6, None, r"\('a', 'b'\) .*is no class of a photo"),
        ([pictures[0], pictures[1, 1:]], ["a", "b"], None, "not of one size; .*data.from_dataset"),
    ):
        with pytest.raises(InputError, match=message):
            data.from_arrays(given, labels, names)
    with pytest.raises(InputError, match="photo 1 has the split 'fold'; say train"):
        data.from_arrays(pictures, [0, 1] * 6, splits=["train", "fold"] * 6)
    with pytest.raises(InputError, match="no photo of 1 is in train, from which classes"):
        data.from_arrays(pictures, [0, 1] * 6, splits=["train", "test"] * 6)


def test_labels_in_bytes_are_texts() -> None:
    """As HDF5 files hold them."""
    labels = np.array(["cat", "Löwe"] * 10, object)
    given = np.array([label.encode() for label in labels])
    assert data.from_arrays(drawn(20), given).class_names == ("Löwe", "cat")


def test_names_that_are_one_number_have_one_order() -> None:
    """A set's order differs from process to process."""
    program = (
        "from flowerlib.data.records.assembly import positions; "
        "print(positions(['1', '01', '2', '001', '0001'])[1])"
    )
    for seed in "1234":
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        found = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, env=environment
        )
        assert found.stdout.decode().strip() == "('0001', '001', '01', '1', '2')"


class Random(Dataset):
    """Another view at every visit, as with random transforms."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, at: int) -> tuple[torch.Tensor, int]:
        return (torch.rand(3, 8, 8) * 255).byte(), at % 2


class Endless(Dataset):
    """Says nothing of its length."""

    def __getitem__(self, at: int) -> tuple[str, int]:
        return "a.jpg", at % 2


class Items(Dataset):
    """Ten of torchvision's way, with `targets` and `classes`."""

    classes = ["cat", "dog"]

    def __init__(self, transform=None) -> None:
        self.pictures, self.targets, self.transform = drawn(40), [0, 1] * 20, transform
        self.visits: list[int] = []

    def __len__(self) -> int:
        return 40

    def __getitem__(self, at: int) -> tuple[object, int]:
        self.visits.append(at)
        image = Image.fromarray(self.pictures[at])
        return self.transform(image) if self.transform else image, self.targets[at]


def test_data_sets_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    items = Items()
    splits = data.from_dataset(items)
    assert splits.class_names == ("cat", "dog") and sum(splits.sizes().values()) == 40
    assert max(map(items.visits.count, range(1, 40))) <= 2, "for its digest and its thumbnail"
    splits.train.digests()
    assert max(map(items.visits.count, range(1, 40))) <= 2
    assert np.array_equal(
        np.asarray(splits.train.image(0)), items.pictures[int(splits.train.name(0)[8:])]
    )
    part = Subset(items, range(3, 33))
    assert data.from_dataset(part, ["cat", "dog"]).train.class_names == ("cat", "dog")
    tensors = Items(v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]))
    assert contents(data.from_dataset(tensors).train) == contents(splits.train)


def test_labels_that_a_data_set_transforms_keep_no_names() -> None:
    """Its names are those of the labels before: here a cat would be called a dog."""
    items = Items()
    items.target_transform = lambda label: 1 - label
    items.targets = [1 - label for label in items.targets]
    assert data.from_dataset(items).class_names == ("0", "1")
    assert data.from_dataset(items, ["dog", "cat"]).class_names == ("dog", "cat")


class Turned(Items):
    """A class of somebody's own gives other labels than the list that it has, too, says."""

    def __getitem__(self, at: int) -> tuple[object, int]:
        image, label = super().__getitem__(at)
        return image, 1 - label


def test_labels_are_those_of_the_items() -> None:
    turned = data.from_dataset(Turned(), ["dog", "cat"])
    plain = data.from_dataset(Items())
    for part in PARTS:
        ours, theirs = getattr(turned, part), getattr(plain, part)
        name = [ours.class_name(at) for at in range(len(ours))]
        assert dict(zip(contents(ours), name, strict=True)) == {
            digest: theirs.class_name(at) for at, digest in enumerate(contents(theirs))
        }
    assert data.from_dataset(Turned()).class_names == ("0", "1"), "its names are of other labels"


def test_folders_of_torchvision_that_somebody_changed_are_asked_for_their_items(
    folder: Path,
) -> None:
    class Binary(datasets.ImageFolder):
        def __getitem__(self, at: int) -> tuple[Image.Image, int]:
            image, label = super().__getitem__(at)
            return image.convert("L"), int(label == 0)

    found = data.from_dataset(Binary(folder), ["others", "first"])
    assert sum(found.train.counts()) == len(found.train) and found.train.counts()[1] < 14
    pixels = np.asarray(found.train.image(0))
    assert (pixels[..., 0] == pixels[..., 1]).all()

    def gray(path: str) -> Image.Image:
        return Image.open(path).convert("L")

    pixels = np.asarray(data.from_dataset(datasets.ImageFolder(folder, loader=gray)).train.image(0))
    assert (pixels[..., 0] == pixels[..., 1]).all()
    named = datasets.ImageFolder(folder, transform=v2.Identity())
    named.samples = [(path, (label + 1) % 2) for path, label in named.samples[:28]]
    named.targets = named.targets[:28]
    labels = [label for _, label in named.samples]
    whole = data.from_dataset({"train": named, "valid": named})
    assert sorted(whole.train.labels.tolist()) == sorted(labels)
    assert whole.train.labels[0] == 0 and int(whole.train.name(0)[8:]) == labels.index(0)


def test_a_part_of_a_folder_is_read_as_the_folder_is(tmp_path: Path) -> None:
    for at, pixels in enumerate(drawn(40)):
        file = tmp_path / ("cat", "dog")[at % 2] / f"{at:02}.jpg"
        file.parent.mkdir(exist_ok=True)
        exif = Image.Exif()
        exif[274] = 6  # turned by the camera, which torchvision ignores
        Image.fromarray(pixels[:12]).save(file, exif=exif)
    whole = datasets.ImageFolder(str(tmp_path))
    parts = torch.utils.data.random_split(whole, [30, 10], torch.Generator().manual_seed(0))
    splits = data.from_dataset({"train": parts[0], "test": Subset(parts[1], range(10))})
    assert splits.class_names == ("cat", "dog")
    every = [*splits.train.paths, *splits.valid.paths, *splits.test.paths]
    assert sorted(every) == sorted(path for path, _ in whole.samples)
    assert splits.test.image(0).size == (12, 24)
    for part in (splits.train, splits.valid, splits.test):
        names = [Path(path).parent.name for path in part.paths]
        assert [part.class_name(at) for at in range(len(part))] == names


def test_paths_in_a_data_set_are_read(tmp_path: Path) -> None:
    pairs = []
    for at, pixels in enumerate(drawn(24)):
        Image.fromarray(pixels).save(tmp_path / f"{at}.png")
        pairs.append((tmp_path / f"{at}.png", "ab"[at % 2]))
    texts = [(str(path), label) for path, label in pairs]
    found = data.from_dataset(pairs)
    assert contents(found.train) == contents(data.from_dataset(texts).train)
    assert contents(found.train) == contents(data.from_items(pairs).train)


def test_a_file_in_a_data_set_that_changes_has_other_features(tmp_path: Path) -> None:
    """In a notebook, somebody mends a photo, and trains again on the same splits."""
    pairs = []
    for at, pixels in enumerate(drawn(24)):
        Image.fromarray(pixels).save(tmp_path / f"{at}.png")
        pairs.append((tmp_path / f"{at}.png", "ab"[at % 2]))
    photos = data.from_dataset(pairs).train
    backbone = models.freeze(models.backbone("small_resnet", "small"))
    how = models.default_preprocessing(backbone)
    before = features.extract(backbone, photos, how, **EXACT)
    for (path, _), pixels in zip(pairs, drawn(24, seed=5), strict=True):
        Image.fromarray(pixels).save(path)
    after = features.extract(backbone, photos, how, **EXACT)
    assert (before.values != after.values).any(1).all()


def test_random_views_are_no_data_set() -> None:
    """Those of one photo would lie on both sides, and be cut once more."""
    photos = data.garden("pets", per_class=(8, 1, 1), size=32).train
    views = data.RandomViews(photos, Augmentation(Preprocessing(32, 32)), 3)
    for given in (views, {"train": views, "test": photos}, Subset(views, range(12))):
        with pytest.raises(InputError, match="Random views are no data set: .* splits.train"):
            data.from_dataset(given)


def test_a_data_sets_paths_stay_where_they_were_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the next working directory, other photos may have the same names."""
    for folder, seed in (("here", 0), ("there", 1)):
        (tmp_path / folder).mkdir()
        for at, pixels in enumerate(drawn(24, seed)):
            Image.fromarray(pixels).save(tmp_path / folder / f"{at}.png")
    monkeypatch.chdir(tmp_path / "here")
    splits = data.from_dataset([(f"{at}.png", "ab"[at % 2]) for at in range(24)])
    before = [np.asarray(splits.train.image(at)) for at in range(len(splits.train))]
    monkeypatch.chdir(tmp_path / "there")
    for at, pixels in enumerate(before):
        assert np.array_equal(np.asarray(splits.train.image(at)), pixels)


def test_photos_are_a_data_set_themselves() -> None:
    """Their items may be those of another data set: fetched while one is fetched."""
    pictures = [Image.fromarray(pixels) for pixels in drawn(40)]
    items = data.from_dataset([(picture, "ab"[at % 2]) for at, picture in enumerate(pictures)])
    for photos in (items.train, Subset(items.train, range(20))):
        found = data.from_dataset(photos)
        assert found.class_names == ("a", "b")
        assert sum(found.sizes().values()) == len(photos)
    wrapped = [items.train[at] for at in range(20)]  # as items of a data set of somebody's own

    class Wrapped(Dataset):
        def __len__(self) -> int:
            return len(wrapped)

        def __getitem__(self, at: int) -> tuple[torch.Tensor, int]:
            return items.train[at]

    assert contents(data.from_dataset(Wrapped()).train) == contents(
        data.from_dataset(wrapped).train
    )


def test_a_data_set_of_several_labels_a_picture_is_refused() -> None:
    pictures = [Image.fromarray(pixels) for pixels in drawn(6)]
    for label in (torch.tensor([0, 1]), np.array([1, 0]), [0, 1], (1, 0)):
        with pytest.raises(InputError, match="is no class of a photo"):
            data.from_dataset([(picture, label) for picture in pictures])
    numbered = [(picture, np.array(at % 2)) for at, picture in enumerate(pictures)]
    assert data.from_dataset(numbered, ["a", "b"]).class_names == ("a", "b")


def test_what_is_wrong_with_a_data_set_is_said() -> None:
    normalized = v2.Compose(
        [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5] * 3, [0.5] * 3)]
    )
    whole = Items()
    for given, options, message in (
        (Random(), {}, "another picture each time it is asked for the first one"),
        (Items(normalized), {}, "is float32 from -.* leave its transform out"),
        ([], {}, "has no items"),
        ([(3, "cat"), (4, "dog")], {}, "Item 0 of the data set is int, which is no picture"),
        (["cat", "dog"], {}, "items are str"),
        ([{"x": 1}], {}, "have no image; they have x. Say which is the image: image="),
        ([{"image": 1, "label": 2}], {"label": "kind"}, "have no kind; they have image, label"),
        ([(1,)], {}, "have 1 parts; none is the label"),
        (3, {}, "takes a map-style data set"),
        (Endless(), {}, "takes a map-style data set"),
        ({}, {}, "takes a map-style data set"),
        ({"train": whole, "fold": whole}, {}, "'fold' is no split"),
        ({"train": whole, "test": []}, {}, "The data set test has no items"),
        (whole, {"class_names": ["cat"]}, "Picture 1 has the label 1"),
    ):
        with pytest.raises(InputError, match=message) as problem:
            data.from_dataset(given, **options)
        assert "\n" not in str(problem.value)


# --- the command line ---------------------------------------------------------------------------


def flowers_table(folder: Path, tmp_path: Path) -> Path:
    rows = [(f"{path}", name, PARTS[at % 3]) for at, (path, name) in enumerate(pairs(folder))]
    return write(tmp_path / "flowers.csv", ("datei", "label", "split"), *rows)


@pytest.mark.usefixtures("own_cache")
def test_the_command_line_takes_a_table(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, run = flowers_table(folder, tmp_path), tmp_path / "run"
    usual = ["--path-column", "datei"]
    small = ["--backbone", "small_densenet", "--preset", "quick", "--precision", "fp32"]
    assert cli.main(["train", str(table), "--out", str(run), *small, *usual]) == 0
    assert "flowers (split as given)" in capsys.readouterr().out
    found = json.loads((run / "results.json").read_text())
    assert found["files"] == {"used": 56, "left_out": {}} and found["num_images"]["test"] == 18
    evaluate = ["evaluate", str(table), "--model", str(run / "classifier.safetensors"), *usual]
    assert cli.main([*evaluate, "--precision", "fp32", "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["accuracy"] == found["test"]["accuracy"]
    assert measured["files"] == {"used": 18, "left_out": {}}
    assert cli.main([*evaluate, "--split", "test", "--label-column", "datei"]) == 2
    assert "the classifier does not know" in capsys.readouterr().err


def test_check_looks_over_a_table(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = flowers_table(folder, tmp_path)
    lines = table.read_text().splitlines()
    assert cli.main(["check", str(table), "--path-column", "datei"]) == 0
    assert "56 photos checked, nothing serious" in capsys.readouterr().out
    lines += ["none.jpg,rose,test", f"{pairs(folder)[0][0]},rose,test", ",rose,test"]
    table.write_text("\n".join(lines))
    report = audit.check(table, columns={"path": "datei"})
    assert report.serious and [file.path for file in report.unreadable] == ["none.jpg"]
    assert "there is no such file" in str(report.unreadable[0].problem)
    assert "1 of 59 rows has no path" in report.class_problems[0]
    assert "1 of 59 rows repeats a photo" in report.class_problems[1]
    out = ["--out", str(tmp_path / "run")]
    for arguments, message in (
        (
            ["train", str(table), "--out", str(tmp_path / "run"), "--path-column", "datei"],
            "no path",
        ),
        (["train", str(table), "--out", str(tmp_path / "run")], "no column for the path; it has"),
        (["check", str(table), "--label-column", "art"], 'no column "art"; it has datei, label'),
        (["check", str(tmp_path / "no.csv")], "no.csv: no such file; give a CSV file, or a folder"),
        (["train", str(folder), *out, "--group-column", "x"], "no table"),
        (["train", str(table), *out, "--split", "official"], "no effect"),
    ):
        assert cli.main(arguments) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("own_cache")
def test_a_column_that_looks_like_a_split_is_not_passed_over(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = table.read_text(encoding="utf-8").splitlines()
    assert ",split," in lines[0] and not data.from_table(table).notes
    head = lines[0].replace(",split,", ",subset,")
    table.write_text("\n".join([head, *lines[1:]]), encoding="utf-8")
    (note,) = data.from_table(table).notes
    assert 'the column "subset" looks like a split and is not used' in note
    assert note in audit.check(table).notes
    assert cli.main(["train", str(table), "--backbone", "small_resnet", "--preset", "quick",
                     "--out", str(tmp_path / "out")]) == 0  # fmt: skip
    assert f"note: {note}" in capsys.readouterr().out
    assert not data.from_table(table, split="subset").notes


@pytest.mark.parametrize("split", [False, True])
def test_check_says_what_training_says_of_groups(tmp_path: Path, split: bool) -> None:
    """Groups that cannot be divided; and near copies that need not be, since they are one group."""
    random = np.random.default_rng(0)
    rows: list[tuple[str, ...]] = [("path", "label", "group", *["split"] * split)]
    for at, pixels in enumerate(drawn(24)):
        Image.fromarray(pixels).save(tmp_path / f"{at}.png")
        rows.append((f"{at}.png", "ab"[at % 2], f"g{at % 2}", *["train"] * split))
    table = write(tmp_path / "few.csv", *rows)
    with pytest.raises(InputError, match="belong to too few groups") as refused:
        data.from_table(table)
    (problem,) = audit.check(table).class_problems
    assert f"{table}: {problem}." == str(refused.value)
    several = [(*row[:2], f"g{at // 4}", *row[3:]) for at, row in enumerate(rows[1:])]
    table = write(tmp_path / "enough.csv", rows[0], *several)
    assert data.from_table(table).sizes()["valid"] and not audit.check(table).serious
    near = drawn(24)  # of each class one scene, by several patients
    for at in range(24):
        noise = random.integers(-3, 4, near[at].shape)
        pixels = (near[at % 2].astype(int) + noise).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{at}.png")
    with pytest.raises(InputError, match="belong to too few groups") as refused:
        data.from_table(table)
    (problem,) = audit.check(table).class_problems
    assert f"{table}: {problem}." == str(refused.value)


def test_a_folder_of_splits_is_evaluated_by_name(flower_folder: Path) -> None:
    names = ("daisy", "iris", "lily", "rose")
    photos, counts, _ = data.labeled_photos(flower_folder, names, split="test")
    assert counts.used == len(photos) == 12 and "test" in photos.name(0)
    with pytest.raises(InputError, match="has no folder of the split test"):
        data.labeled_photos(flower_folder / "train", names, split="test")
    with pytest.raises(InputError, match="is no table, so columns have no effect"):
        data.labeled_photos(flower_folder / "train", names, columns={"path": "x"})
