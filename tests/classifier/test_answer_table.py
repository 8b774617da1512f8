"""Tables of answers: complete or absent, the same after a kill, a row for what cannot be read."""

from __future__ import annotations

import csv
import io
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from flowerlib import cli
from flowerlib.classifier import Classifier, answer_table, write_answers
from flowerlib.data import Photos
from flowerlib.data.records import packed
from flowerlib.support.errors import InputError
from tests.project.test_threads import fresh
from tests.warm import together


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return fresh()


@pytest.fixture
def photos(flower_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Eleven photos, two of which cannot be read; parts hold four."""
    monkeypatch.setattr(answer_table, "PART", 4)
    folder = tmp_path / "photos"
    folder.mkdir()
    for file in sorted(flower_folder.rglob("daisy_*.jpg"))[:10]:
        shutil.copy(file, folder)
    broken = folder / "daisy_03.jpg"
    broken.write_bytes(broken.read_bytes()[:-300])
    return [*(str(file) for file in sorted(folder.iterdir())), str(folder / "gone.jpg")]


def read(table: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8"))))


def test_answers_are_those_of_predict(
    classifier: Classifier, photos: list[str], tmp_path: Path
) -> None:
    steps: list[tuple[int, int]] = []
    out = tmp_path / "answers.csv"
    report = lambda done, count: steps.append((done, count))  # noqa: E731
    assert write_answers(classifier, photos, out, top_k=2, progress=report) == 2
    rows = read(out)
    assert [row["photo"] for row in rows if row["rank"] != "2"] == photos
    assert [row["photo"] for row in rows if row["error"]] == [photos[3], photos[10]]
    assert "damaged" in rows[6]["error"] and "no such file" in rows[-1]["error"]
    expected = classifier.predict(photos[0], 2)
    assert [row["class"] for row in rows[:2]] == list(expected.names)
    assert float(rows[0]["probability"]) == pytest.approx(expected.probabilities[0], abs=1e-6)
    assert steps == [(4, 11), (8, 11), (11, 11)]
    assert not (tmp_path / "answers.csv.parts").exists()


def test_it_goes_on_where_it_was_stopped(
    classifier: Classifier, photos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_answers(classifier, photos, tmp_path / "whole.csv")
    out, parts, seen = tmp_path / "answers.csv", tmp_path / "answers.csv.parts", []
    predict = Classifier.predict

    def stopped(self: Classifier, some: list[str], *given: object, **named: object) -> object:
        seen.extend(some)
        if len(seen) > 8:
            raise KeyboardInterrupt
        return predict(self, some, *given, **named)

    monkeypatch.setattr(Classifier, "predict", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_answers(classifier, photos, out)
    assert not out.exists() and len(list(parts.glob("*.csv"))) == 2
    with pytest.raises(InputError, match="other photos, or of another model"):
        write_answers(classifier, photos[1:], out)
    seen.clear()
    write_answers(classifier, photos, out)
    assert seen == photos[8:]  # the rest alone
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def stop_after_the_last_part(done: int, count: int) -> None:
    if done == count:
        raise KeyboardInterrupt


def test_a_photo_that_changed_while_it_was_stopped_gets_no_old_answer(
    classifier: Classifier, photos: list[str], tmp_path: Path
) -> None:
    out, parts = tmp_path / "answers.csv", tmp_path / "answers.csv.parts"
    with pytest.raises(KeyboardInterrupt):
        write_answers(classifier, photos, out, progress=stop_after_the_last_part)
    shutil.copy(photos[5], photos[0])
    with pytest.raises(InputError, match="photos that have changed since"):
        write_answers(classifier, photos, out)
    assert not out.exists()
    shutil.rmtree(parts)
    write_answers(classifier, photos, out)
    assert read(out)[0]["probability"] == read(out)[5]["probability"]


def test_a_shard_that_changed_while_it_was_stopped_gets_no_old_answer(
    classifier: Classifier,
    photos: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def pack(*files: str) -> None:
        with tarfile.open(tmp_path / "shards" / "0.tar", "w") as shard:
            for number, file in enumerate(files):
                shard.add(file, f"{number}.jpg")

    classifier.save(tmp_path / "c.safetensors")
    (tmp_path / "shards").mkdir()
    pack(*photos[:2])
    arguments = ["--model", str(tmp_path / "c.safetensors"), "--out", str(tmp_path / "a.csv")]
    given = Photos(packed.pictures(tmp_path / "shards"), [0, 0], ("photo",))
    with pytest.raises(KeyboardInterrupt):
        out = tmp_path / "a.csv"
        write_answers(classifier, given, out, top_k=1, progress=stop_after_the_last_part)
    pack(*photos[:2][::-1])
    assert cli.main(["predict", str(tmp_path / "shards"), *arguments]) == 2
    assert "photos that have changed since" in capsys.readouterr().err


def test_other_files_among_the_parts_harm_nothing(
    classifier: Classifier, photos: list[str], tmp_path: Path
) -> None:
    parts = tmp_path / "answers.csv.parts"
    parts.mkdir()
    (parts / ".000000.csv.0123abcd.part").write_text("of a process that was killed")
    write_answers(classifier, photos, tmp_path / "answers.csv")
    assert not parts.exists()
    parts = tmp_path / "more.csv.parts"
    parts.mkdir()
    (parts / ".DS_Store").write_text("of a computer on which somebody looked into the folder")
    write_answers(classifier, photos, tmp_path / "more.csv")
    assert [file.name for file in parts.iterdir()] == [".DS_Store"]
    assert read(tmp_path / "more.csv") == read(tmp_path / "answers.csv")


@pytest.mark.skipif(os.name == "nt", reason="no such names on Windows")
def test_any_name_is_one_cell(classifier: Classifier, photos: list[str], tmp_path: Path) -> None:
    names = ["a\rb.jpg", "c\nd.jpg", 'e"f.jpg', "g,h.jpg", " i .jpg", "j;\tk.jpg", "\r\n.jpg"]
    odd = [shutil.copy(photos[0], tmp_path / name) for name in names]
    write_answers(classifier, odd, tmp_path / "answers.csv")
    content = (tmp_path / "answers.csv").read_bytes().decode()
    rows = list(csv.DictReader(io.StringIO(content, newline="")))
    assert [row["photo"] for row in rows] == list(map(str, odd))
    assert "\r\n" not in content.replace("\r\n.jpg", "")


def test_paths_are_taken_in_any_form(
    classifier: Classifier, photos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_answers(classifier, photos, tmp_path / "one.csv")
    write_answers(classifier, (Path(photo) for photo in photos), str(tmp_path / "two.csv"))
    assert read(tmp_path / "one.csv") == read(tmp_path / "two.csv")
    with pytest.raises(InputError, match="the one path '.*; give a list of paths"):
        write_answers(classifier, photos[0], tmp_path / "none.csv")
    with pytest.raises(InputError, match="no photo to look at"):
        write_answers(classifier, [], tmp_path / "none.csv")
    assert not list(tmp_path.glob("none*"))


def test_parquet_holds_the_same(classifier: Classifier, photos: list[str], tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write_answers(classifier, photos, tmp_path / "answers.csv")
    assert write_answers(classifier, photos, tmp_path / "answers.parquet") == 2
    table = parquet.read_table(tmp_path / "answers.parquet")
    rows = read(tmp_path / "answers.csv")
    assert table.column_names == list(answer_table.COLUMNS)
    assert table.column("class").to_pylist() == [row["class"] or None for row in rows]
    assert table.column("error").to_pylist() == [row["error"] or None for row in rows]


@pytest.mark.parametrize("name", ["answers.txt", "answers"])
def test_other_endings_are_refused(name: str, classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must end in \.csv or \.parquet"):
        write_answers(classifier, ["a.jpg"], tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_two_processes_write_the_table_of_one(
    classifier: Classifier, photos: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    model, folder = tmp_path / "model.safetensors", str(Path(photos[0]).parent)
    classifier.save(model)
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    assert cli.main(["predict", folder, "--model", str(model), "--out", str(one)]) == 1
    program = (
        "import sys; from flowerlib.classifier import answer_table; answer_table.PART = 3; "
        "from flowerlib import cli; sys.exit(cli.main(sys.argv[1:]))"
    )
    arguments = ["predict", folder, "--model", str(model), "--out", str(two)]
    both = together(["-c", program, *arguments])
    assert [ended.code for ended in both] == [1, 1], both
    assert two.read_bytes() == one.read_bytes()
    said = [line for ended in both for line in (ended.out + ended.err).splitlines()]
    assert sum("cannot be read" in line for line in said) == 1
    assert sum("9 of 10 photos answered in" in line for line in said) == 1
    refused = together(["-m", "flowerlib", *arguments[:-2]])
    assert sum("--out" in ended.err for ended in refused) == 1  # the first to fail says it


def test_a_folder_that_is_not_there_is_named(
    classifier: Classifier, photos: list[str], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"there is no folder .*none; make it"):
        write_answers(classifier, photos, tmp_path / "none" / "answers.csv")
    assert not (tmp_path / "none").exists()


def test_an_ending_in_capitals(classifier: Classifier, photos: list[str], tmp_path: Path) -> None:
    assert write_answers(classifier, photos[:1], tmp_path / "ANSWERS.CSV", top_k=1) == 0
    assert [row["photo"] for row in read(tmp_path / "ANSWERS.CSV")] == photos[:1]
