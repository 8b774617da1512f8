"""Splits written as folders are read back as the same splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowerlib import data
from flowerlib.data import Photos, Splits
from flowerlib.support.errors import InputError


def drawn(names: tuple[str, ...] = ("cat", "dog"), test: bool = True) -> Splits:
    """Two parts or three with two pictures of each class."""
    parts = []
    for seed in range(3):
        pictures = np.random.default_rng(seed).integers(0, 255, (4, 6, 5, 3), dtype=np.uint8)
        parts.append(Photos(pictures, [0, 1, 0, 1], names))
    return Splits(parts[0], parts[1], parts[2] if test else None, names, "pets", "drawn", "drawn")


def test_pictures_classes_and_parts_come_back(tmp_path: Path) -> None:
    splits = drawn()
    folder = data.to_folders(splits, tmp_path / "pets")
    assert folder == tmp_path / "pets"
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    assert found[:4] == [
        "test/cat/0001.png",
        "test/cat/0003.png",
        "test/dog/0002.png",
        "test/dog/0004.png",
    ]
    back = data.image_folder(folder)
    assert back.class_names == ("cat", "dog") and back.sizes() == splits.sizes()
    for part in ("train", "valid", "test"):
        before, after = getattr(splits, part), getattr(back, part)
        wanted = sorted((before.class_name(i), before.image(i).tobytes()) for i in range(4))
        assert sorted((after.class_name(i), after.image(i).tobytes()) for i in range(4)) == wanted


def test_torchvision_reads_them(tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    found = ImageFolder(data.to_folders(drawn(), tmp_path / "pets") / "train")
    assert found.classes == ["cat", "dog"] and len(found) == 4


def test_files_are_copied_as_they_are(tmp_path: Path) -> None:
    first = data.to_folders(drawn(), tmp_path / "first")
    Image.open(first / "train/cat/0001.png").save(first / "train/cat/0001.jpg")
    (first / "train/cat/0001.png").unlink()
    second = data.to_folders(data.image_folder(first), tmp_path / "second")
    contents = [sorted(p.read_bytes() for p in f.rglob("*.*")) for f in (first, second)]
    assert contents[0] == contents[1]
    assert len(list(second.rglob("*.jpg"))) == 1


def test_without_a_test_set_there_is_no_such_folder(tmp_path: Path) -> None:
    folder = data.to_folders(drawn(test=False), tmp_path / "pets")
    assert sorted(path.name for path in folder.iterdir()) == ["train", "valid"]


def test_an_empty_folder_is_filled_and_a_full_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pets").mkdir()
    data.to_folders(drawn(), tmp_path / "pets")
    with pytest.raises(InputError, match="pets is not empty; choose a new folder"):
        data.to_folders(drawn(), tmp_path / "pets")


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "a\\b", "x:y", "con."])
def test_a_class_that_cannot_be_a_folder_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be the name of a folder"):
        data.to_folders(drawn(("cat", name)), tmp_path / "pets")
    assert list(tmp_path.iterdir()) == []


def test_what_fails_halfway_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(InputError, match="Cannot write .*pets: No space left on device"):
        data.to_folders(drawn(), tmp_path / "pets")
    assert list(tmp_path.iterdir()) == []
