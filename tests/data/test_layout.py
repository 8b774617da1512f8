"""Which folders are splits, which are classes; what is ambiguous is refused with the mend."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from flowerlib import audit, data
from flowerlib.data.file_counts import FileCounts
from flowerlib.data.folders import layout, naming
from flowerlib.support.errors import InputError
from tests.data.test_data import photo, tree

NFC = unicodedata.normalize("NFC", "Pâquerette")
NFD = unicodedata.normalize("NFD", "Pâquerette")


def flat(root: Path, *names: str, count: int = 9) -> Path:
    for offset, name in enumerate(names):
        for number in range(count):
            photo(root / name / f"{number}.png", 5000 + 100 * offset + number)
    return root


@pytest.mark.parametrize(
    ("name", "split"),
    [("Training", "train"), ("TRAIN", "train"), ("training_set", "train"), ("learn", "train")]
    + [("train-images", "train"), ("Val", "valid"), ("validate", "valid"), ("dev", "valid")]
    + [("Testing", "test"), ("TestSet", "test"), ("test data", "test")]
    + [("trains", None), ("invalid", None), ("contest", None), ("seg_train", None), ("", None)],
)
def test_usual_names_of_splits(name: str, split: str | None) -> None:
    assert layout.split_of(name) == split


@pytest.mark.parametrize(
    "names",
    [("Training", "Testing"), ("TRAIN", "Test"), ("training_set", "test_set"), ("Learn", "test")],
)
def test_split_folders_of_other_names(tmp_path: Path, names: tuple[str, str]) -> None:
    flat(tree(tmp_path, names, ("ants", "bees"), 5), "single_prediction", count=4)
    with pytest.warns(UserWarning, match="left out 4 of 24 files: 4 in single_prediction/, which"):
        splits = data.image_folder(tmp_path)
    assert splits.class_names == ("ants", "bees")
    assert splits.sizes()["test"] == 10 and sum(splits.sizes().values()) == 20
    report = audit.check(tmp_path)
    assert report.counts.keys() == {"train", "test"} and report.file_counts == splits.files


def test_splits_inside_the_classes_are_refused(tmp_path: Path) -> None:
    """Taken as classes, the photos of test/ would be learned from."""
    tree(tmp_path, ("cat", "dog"), ("train", "test"), 5)
    assert refused(tmp_path) == (
        f"{tmp_path}: cat/ and dog/ hold the same splits (test, train); put the classes into the "
        "splits, as in test/cat/."
    )


def refused(root: Path) -> str:
    """The sentence of training; that of check is among its problems."""
    with pytest.raises(InputError) as problem:
        data.image_folder(root)
    sentence = str(problem.value)
    try:
        found = [f"{root}: {message}" for message in audit.check(root).class_problems]
    except InputError as error:
        found = [str(error)]
    assert sentence.rstrip(".") in {one.rstrip(".") for one in found}
    return sentence


def test_two_folders_for_one_split_are_refused(tmp_path: Path) -> None:
    tree(tmp_path, ("train", "Training", "test"), ("a", "b"))
    assert "Training/ and train/ are both the train set; put them together" in refused(tmp_path)


def test_splits_of_unusual_names_are_not_taken_for_classes(tmp_path: Path) -> None:
    tree(tmp_path, ("seg_train/seg_train", "seg_test/seg_test"), ("forest", "sea"))
    assert "seg_test/ and seg_train/ look like splits" in refused(tmp_path)


def test_classes_with_the_same_folders_inside_are_noted(tmp_path: Path) -> None:
    tree(tmp_path, ("cat", "dog"), ("indoors", "outdoors"), 9)
    with pytest.warns(UserWarning, match="cat/ and dog/ are taken as classes"):
        splits = data.image_folder(tmp_path)
    assert splits.class_names == ("cat", "dog") and len(splits.notes) == 1
    assert "cat/ and dog/ are taken as classes, though the same folders" in splits.notes[0]
    assert "cat/ and dog/ are taken as classes" in audit.check(tmp_path).text()


def test_folders_inside_a_class_belong_to_it(tmp_path: Path) -> None:
    tree(flat(tmp_path, "dog"), ("cat",), ("lion", "tiger"), 9)
    splits = data.image_folder(tmp_path)
    assert splits.notes == ("photos in folders inside cat/ belong to that class",)
    assert sum(splits.sizes().values()) == 27


def test_a_test_set_of_another_name_is_reported(tmp_path: Path) -> None:
    tree(tmp_path, ("train", "exam"), ("a", "b"), 5)
    with pytest.warns(UserWarning, match="10 in exam/, which is no split"):
        assert data.image_folder(tmp_path).test is None


@pytest.mark.parametrize("name", ["train", "valid", "Test"])
def test_a_class_may_have_the_name_of_a_split(tmp_path: Path, name: str) -> None:
    splits = data.image_folder(flat(tmp_path, "bus", "car", name))
    assert set(splits.class_names) == {"bus", "car", name}
    assert splits.notes == (
        f"{name}/ is taken as a class, since there are photos and no folders in it",
    )
    assert audit.check(tmp_path).notes == list(splits.notes)


def test_a_class_that_could_be_a_split_is_refused(tmp_path: Path) -> None:
    tree(flat(tmp_path, "bus", "car"), ("train",), ("steam", "electric"))
    message = refused(tmp_path)
    assert (
        "train/ can be the train set, or a class beside bus/ and car/; move bus/ and car/"
        in message
    )
    (tmp_path / "train").rename(tmp_path / "valid")
    assert "has valid/ but no train/ folder; if valid is a class" in refused(tmp_path)


def test_photos_without_labels_are_no_test_set(tmp_path: Path) -> None:
    flat(tree(tmp_path, ("train",), ("a", "b"), 5), "test", count=4)
    with pytest.warns(UserWarning, match="4 in test/ without class folders"):
        splits = data.image_folder(tmp_path)
    assert splits.test is None and sum(splits.sizes().values()) == 10


def test_splits_without_classes_are_refused(tmp_path: Path) -> None:
    message = refused(flat(tmp_path, "train", "test"))
    assert "test/ and train/ without class folders inside; a split needs" in message


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    (tree(tmp_path, ("train",), ("a", "b")) / "test").mkdir()
    assert "no photo in test/; add some or remove it." in refused(tmp_path)
    (tmp_path / "test" / "a.heic").touch()
    assert "(left out 1 of 5 files: 1 .heic; convert .heic to JPEG" in refused(tmp_path)


def test_a_class_without_usable_photos_says_what_is_there(tmp_path: Path) -> None:
    flat(tmp_path, "cat", "dog")
    (tmp_path / "fox").mkdir()
    (tmp_path / "fox" / "a.heic").touch()
    message = refused(tmp_path)
    assert "class fox without a single photo; add some or remove it (left out 1 of 19" in message


def test_photos_beside_the_class_folders_are_reported(tmp_path: Path) -> None:
    flat(tmp_path, ".", "cat", "dog")
    with pytest.warns(UserWarning, match="left out 9 of 27 files: 9 beside the class folders"):
        splits = data.image_folder(tmp_path)
    assert splits.files is not None and splits.files.used == sum(splits.sizes().values()) == 18
    assert audit.check(tmp_path).file_counts == splits.files
    with pytest.warns(UserWarning, match="9 beside the class folders"):
        assert len(data.labeled_folder(tmp_path, ("dog", "cat"))) == 18


def test_one_level_too_much_or_too_little_is_reported(tmp_path: Path) -> None:
    flat(tmp_path / "deep" / "photos", "cat", "dog")
    assert refused(tmp_path / "deep").endswith(f"did you mean {tmp_path}/deep/photos?")
    tree(tmp_path / "split" / "data", ("train", "test"), ("cat", "dog"))
    assert refused(tmp_path / "split").endswith(f"did you mean {tmp_path}/split/data?")
    tree(tmp_path / "inner", ("train/data", "test/data"), ("cat", "dog"))
    message = "holds only the class data; if the folders in it are the classes, move them to train/"
    assert message in refused(tmp_path / "inner")
    flat(tmp_path / "flat", ".")
    assert "holds no class folders, only 9 photos; put each" in refused(tmp_path / "flat")


def test_two_spellings_of_a_name_are_one_class(tmp_path: Path) -> None:
    assert NFC != NFD
    tree(tmp_path, ("train",), (NFC, "rose"))
    tree(tmp_path, ("valid",), (NFD, "rose"))
    assert data.image_folder(tmp_path).class_names == (NFC, "rose")
    for name in (NFC, NFD):  # of the classifier
        assert len(data.labeled_folder(tmp_path / "valid", (name, "rose"))) == 4
    (tmp_path / "cat_to_name.json").write_text(json.dumps({NFD: NFD, "rose": "r"}))
    assert data.image_folder(tmp_path).class_names == (NFC, "r")


def test_two_spellings_in_one_folder_are_refused(tmp_path: Path) -> None:
    flat(tmp_path, NFC, NFD, "rose")
    if len([*tmp_path.iterdir()]) < 3:
        pytest.skip("this file system takes both for the same")
    assert f"two folders are called {NFC}, in two spellings" in refused(tmp_path)


def test_names_that_look_alike_are_noted(tmp_path: Path) -> None:
    flat(tmp_path, "rose", "Rose", "rose ", "tulip")
    if len([*tmp_path.iterdir()]) < 4:
        pytest.skip("this file system takes some for the same")
    (note,) = data.image_folder(tmp_path).notes
    assert note.startswith("classes 'Rose', 'rose', 'rose ' differ only in upper case or spaces")
    assert audit.check(tmp_path).notes == [note]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_names_in_every_encoding_of_editors(tmp_path: Path, encoding: str) -> None:
    flat(tmp_path, "1", "2")
    text = json.dumps({"1": "Pâquerette", "2": "rose"}, ensure_ascii=False)
    (tmp_path / "cat_to_name.json").write_text(text, encoding=encoding)
    splits = data.image_folder(tmp_path)
    assert splits.class_names == (NFC, "rose") and splits.files == FileCounts(18, {})


def test_one_name_for_two_classes_is_reported_by_check_too(tmp_path: Path) -> None:
    flat(tmp_path, "1", "2", "3")
    (tmp_path / "cat_to_name.json").write_text(json.dumps({"1": "rose", "2": "a", "3": "rose"}))
    message = "gives the same name to two classes (1, 3); put their photos together"
    with pytest.raises(InputError) as problem:
        data.image_folder(tmp_path)
    assert message in str(problem.value) and message in audit.check(tmp_path).class_problems[0]
    (tmp_path / "cat_to_name.json").write_text(json.dumps({"1": "rose", "2": "a", "3": "Rose "}))
    assert "classes 'rose', 'Rose ' differ only" in data.image_folder(tmp_path).notes[0]
    (tmp_path / "cat_to_name.json").write_text(json.dumps({"1": "rose", "2": "a", "3": ["x"]}))
    with pytest.raises(InputError, match="must map every class folder to a name"):
        data.image_folder(tmp_path)


def test_names_beside_the_folder_are_read_by_training_and_evaluation(tmp_path: Path) -> None:
    root = tree(tmp_path / "flowers", ("train", "valid", "test"), ("1", "2"))
    tree(tmp_path / "mine", (".",), ("2",))
    file = tmp_path / "cat_to_name.json"
    file.write_text(json.dumps({"1": "pink primrose", "2": "globe thistle", "3": "iris"}))
    splits = data.image_folder(root)
    assert splits.class_names == ("pink primrose", "globe thistle")
    assert splits.notes == (f"class names are from {file}",)
    for place, labels in ((root / "test", [0, 0, 1, 1]), (tmp_path / "mine", [1, 1])):
        assert data.labeled_folder(place, splits.class_names).labels.tolist() == labels
    # One that was trained without these names goes by the folders'.
    assert data.labeled_folder(root / "test", ("1", "2")).labels.tolist() == [0, 0, 1, 1]
    assert naming.names_file(root / "test") == naming.names_file(tmp_path / "mine") == file
    file.write_text(json.dumps({"1": "zero", "x": "other"}))  # of another set
    assert data.image_folder(root).class_names == ("1", "2")
    assert data.image_folder(root).notes == (f"{file} is not used: it lacks classes",)


@pytest.mark.parametrize("name", ["garden", "flowers"])
def test_a_folder_with_the_name_of_a_data_set_is_not_taken_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(flat(tmp_path, f"{name}/a", f"{name}/b"))
    with pytest.raises(InputError, match=rf"{name} is a data set, and a folder here: write \./"):
        data.from_name(name)
    assert data.from_name(f"./{name}").class_names == ("a", "b")
