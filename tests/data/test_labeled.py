"""Which photos an evaluation measures: those for testing where that is known, and what it says."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from flowerlib import audit, cli, data
from flowerlib.classifier import Classifier
from flowerlib.support.errors import InputError
from tests.data import stores
from tests.data.test_records import pairs, write
from tests.flower_photos import NAMES as FLOWERS


def measured(place: Path | str, **options: object) -> tuple[int, list[str]]:
    """How many photos are measured, and what is said about the choice."""
    photos, counts, notes = data.labeled_photos(place, FLOWERS, **options)
    assert counts.used == len(photos)
    return len(photos), notes


@pytest.fixture(params=["csv", "parquet"])
def table(
    request: pytest.FixtureRequest, folder: Path, tmp_path: Path
) -> Callable[[str, Callable[[int], str]], Path]:
    """Writes a table of the 56 photos with one more column."""

    def made(name: str, cell: Callable[[int], str]) -> Path:
        cells = [cell(at) for at in range(56)]
        if request.param == "csv":
            lines = [(path, label, cells[at]) for at, (path, label) in enumerate(pairs(folder))]
            return write(tmp_path / "photos.csv", ("path", "label", name), *lines)
        pa = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        content = [path.read_bytes() for path, _ in pairs(folder)]
        labels = [label for _, label in pairs(folder)]
        rows = pa.table({"image": content, "label": labels, name: cells})
        parquet.write_table(rows, tmp_path / "photos.parquet")
        return tmp_path / "photos.parquet"

    return made


def by_thirds(*names: str) -> Callable[[int], str]:
    return lambda at: names[at % len(names)]


@pytest.mark.parametrize("column", ["split", "Split"])
def test_the_test_rows_of_a_table_are_measured(table, column: str) -> None:
    place = table(column, by_thirds("train", "val", "TEST"))
    assert measured(place) == (18, ["the test split is measured: 18 of 56 photos"])
    assert measured(place, split="valid") == (19, [])


def test_a_table_of_one_split_is_measured_and_its_name_is_said(table) -> None:
    note = "the test split is measured: 56 of 56 photos"
    assert measured(table("split", by_thirds("test"))) == (56, [note])
    (note,) = measured(table("split", by_thirds("train")))[1]
    assert note == "no photo is for testing: all 56 photos of the train split are measured"


def test_a_table_of_several_splits_without_test_is_refused(table) -> None:
    place = table("split", by_thirds("train", "valid"))
    with pytest.raises(InputError, match="holds the splits train and valid, but no test; say whi"):
        measured(place)
    assert measured(place, split="valid")[0] == 28


def test_all_rows_are_measured_where_nothing_divides_them(table) -> None:
    assert measured(table("color", by_thirds("red", "blue"))) == (
        56,
        ["no column says which rows are for testing: all 56 rows are measured"],
    )


@pytest.mark.parametrize("column", ["subset", "partition", "Set", "fold", "origin"])
def test_a_column_that_looks_like_a_split_is_not_measured_through(table, column: str) -> None:
    """Most of the rows may be those that the classifier was trained on."""
    place = table(column, by_thirds("train", "val", "test"))
    message = f'the column "{column}" looks like a split; name it as one'
    for options in ({}, {"split": "test"}):
        with pytest.raises(InputError, match=message):
            measured(place, **options)
    assert measured(place, columns={"split": column})[0] == 18
    (note,) = data.from_table(place).notes  # training may divide the photos itself
    assert f'the column "{column}" looks like a split and is not used' in note
    assert note in audit.check(place).notes


def test_a_split_with_one_strange_name_is_still_one(table) -> None:
    place = table("subset", by_thirds("train", "holdout"))
    with pytest.raises(InputError, match='"subset" looks like a split'):
        measured(place)
    with pytest.raises(InputError, match="has the split 'holdout'; say train, valid or test"):
        measured(place, columns={"split": "subset"})


@pytest.mark.parametrize(("column", "cells"), [("fold", "0 1 2"), ("is_valid", "True False")])
def test_a_column_that_is_only_called_like_a_split_is_said_to_be_unused(
    table, column: str, cells: str
) -> None:
    place = table(column, by_thirds(*cells.split()))
    unused = f'the column "{column}" is not used as a split, since it does not say train or test'
    assert measured(place) == (
        56,
        [unused, "no column says which rows are for testing: all 56 rows are measured"],
    )
    assert unused in data.from_table(place).notes
    assert unused in audit.check(place).notes


def test_the_test_folder_is_measured(flower_folder: Path, tmp_path: Path) -> None:
    assert measured(flower_folder) == (12, ["the test split is measured: 12 of 56 photos"])
    assert measured(flower_folder, split="train") == (32, [])
    assert measured(flower_folder / "test") == (12, [])
    with pytest.warns(UserWarning, match="the test split is measured: 12 of 56 photos"):
        assert len(data.labeled_folder(flower_folder, FLOWERS)) == 12
    shutil.copytree(flower_folder / "test", tmp_path / "only" / "test")
    assert measured(tmp_path / "only") == (12, ["the test split is measured: 12 of 12 photos"])
    for part in ("train", "valid"):
        shutil.copytree(flower_folder / part, tmp_path / "two" / part)
    with pytest.raises(InputError, match="holds the splits train and valid, but no test; say whi"):
        measured(tmp_path / "two")
    shutil.rmtree(tmp_path / "two" / "valid")
    (note,) = measured(tmp_path / "two")[1]
    assert note == "no photo is for testing: all 32 photos of the train split are measured"


@pytest.mark.filterwarnings("error")  # labeled_folder is called for class folders
def test_all_photos_of_class_folders_are_measured(folder: Path) -> None:
    note = "no folder says which photos are for testing: all 56 photos are measured"
    assert measured(folder) == (56, [note])
    assert len(data.labeled_folder(folder, FLOWERS)) == 56


def test_the_test_shards_are_measured(flower_folder: Path, folder: Path, tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        stores.write_shards(flower_folder / part, tmp_path / "divided" / part)
    note = "the test split is measured: 12 of 56 photos"
    assert measured(tmp_path / "divided") == (12, [note])
    note = "the test split is measured: 12 of 12 photos"
    assert measured(tmp_path / "divided" / "test") == (12, [note])
    note = "no name of a shard says which photos are for testing: all 56 photos are measured"
    assert measured(stores.write_shards(folder, tmp_path / "all")) == (56, [note])


@pytest.mark.usefixtures("own_cache")
def test_evaluate_says_what_it_measures(
    folder: Path, flower_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    small = ["--backbone", "small_resnet", "--preset", "quick"]
    assert cli.main(["train", str(flower_folder), "--out", str(run), *small]) == 0
    model = ["--model", str(run / "classifier.safetensors")]
    assert Classifier.load(model[1]).class_names == FLOWERS
    capsys.readouterr()
    for place, note in (
        (flower_folder, "the test split is measured: 12 of 56 photos"),
        (folder, "no folder says which photos are for testing: all 56 photos are measured"),
    ):
        assert cli.main(["evaluate", str(place), *model]) == 0
        out, err = capsys.readouterr()
        assert err == f"flowerlib: {place}: {note}\n" and out.startswith("accuracy ")
