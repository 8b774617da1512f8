"""The command line: quick answers, one sentence for what is wrong, nothing half-written."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from flowerlib import cli
from flowerlib.classifier import Classifier

SMALL = ["--backbone", "small_densenet"]


@pytest.fixture(scope="module")
def run(flower_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the flower folder, made by the command."""
    root = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOWERLIB_CACHE", str(root / "cache"))
        assert cli.main(["train", str(flower_folder), *SMALL, "--out", str(root / "out")]) == 0
    return root / "out"


@pytest.fixture
def model(run: Path) -> str:
    return str(run / "classifier.safetensors")


@pytest.fixture
def photos(flower_folder: Path, tmp_path: Path) -> Path:
    """A copy of the flower folder, to be damaged."""
    return Path(shutil.copytree(flower_folder, tmp_path / "photos"))


@pytest.fixture
def refused(capsys: pytest.CaptureFixture, tmp_path: Path, own_cache: Path):  # noqa: ANN201 - a function that runs a command and gives its one sentence
    def call(*arguments: object) -> str:
        capsys.readouterr()
        before = {path for path in tmp_path.rglob("*") if own_cache not in path.parents}
        assert cli.main([str(argument) for argument in arguments]) == 2
        after = {path for path in tmp_path.rglob("*") if own_cache not in path.parents}
        assert after - before - {own_cache} == set()  # nothing half-written, no empty folder
        assert not list(tmp_path.rglob("*.part"))
        err = capsys.readouterr().err
        assert (
            err.startswith("flowerlib: ") and err.count("\n") == 1 and err.endswith((".\n", "?\n"))
        )
        assert "Traceback" not in err
        return err

    return call


# ------------------------------------------------------------ quick answers


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["--help"], 0, "doctor"),
        (["--version"], 0, "flowerlib 0."),
        (["train", "--help"], 0, "--backbone"),
        (["train", "x"], 2, "--out"),
        (["train", "x", "--out", "y", "--epochs", "0"], 2, "from 1 up"),
        (["bake"], 2, "invalid choice"),
    ],
)
def test_help_and_errors_do_not_wait_for_torch(
    arguments: list[str], code: int, expected: str
) -> None:
    program = (
        "import sys, time\n"
        "from flowerlib import cli\n"
        "try: cli.main(sys.argv[1:])\n"
        "finally: print('CPU', time.process_time(), sorted({'torch', 'numpy'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True
    )
    assert found.returncode == code
    assert expected in found.stdout + found.stderr
    word, seconds, modules = found.stdout.splitlines()[-1].split(maxsplit=2)
    assert word == "CPU" and modules == "[]" and float(seconds) < 0.5


@pytest.mark.parametrize(
    "wrong",
    [
        ["--epochs", "0"],
        ["--epochs", "2.5"],
        ["--dropout", "1"],
        ["--dropout", "-0.1"],
        ["--lr", "0"],
        ["--lr", "nan"],
        ["--lr", "inf"],
        ["--batch-size", "none"],
        ["--hidden", "0"],
        ["--seed", "-1"],
        ["--seed", "99999999999999999999"],
        ["--head", "deep"],
        ["--device", "tpu"],
    ],
)
def test_bad_numbers_are_refused(wrong: list[str], capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", "x", "--out", "y", *wrong])
    assert stop.value.code == 2
    assert f"argument {wrong[0]}" in capsys.readouterr().err


# ------------------------------------------------------------ good input


def test_train(run: Path, flower_folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert {path.name for path in run.iterdir()} == {
        *("config.toml", "classifier.safetensors", "results.json", "history.csv"),
        *("curves.png", "confusion.png", "sanity.png"),
    }
    found = json.loads((run / "results.json").read_text())
    for field in (
        *("data", "pictures", "backbone", "weights", "num_classes", "num_images", "valid", "test"),
        *("seconds", "images_per_second", "device", "precision", "versions", "seed"),
    ):
        assert found[field] is not None, field
    assert set(found["num_images"]) == {"train", "valid", "test"}
    assert found["test"]["accuracy"] >= 0.75 and len(found["test"]["interval"]) == 2
    assert found["seconds"]["total"] > 0


@pytest.mark.usefixtures("own_cache")
def test_train_a_hidden_head_without_test_set(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    shutil.rmtree(photos / "test")
    arguments = ["--head", "hidden", "--hidden", "16", "8", "--epochs", "3", "--batch-size", "8"]
    arguments += ["--resize-mode", "pad"]
    out = tmp_path / "out"
    assert (
        cli.main(["train", str(photos), *SMALL, *arguments, "--seed", "4", "--out", str(out)]) == 0
    )
    found = json.loads((out / "results.json").read_text())
    assert found["test"]["accuracy"] is None and found["test"]["interval"] is None
    assert found["head"]["hidden"] == [16, 8] and found["seed"] == 4
    assert found["preprocessing"]["resize_mode"] == "pad"
    assert Classifier.load(out / "classifier.safetensors").preprocessing.resize_mode == "pad"
    with open(out / "history.csv", newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3"]
    assert "no test set" in capsys.readouterr().out


@pytest.mark.usefixtures("own_cache")
def test_train_fine_tunes_the_whole_network(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    arguments = ["--backbone", "small_resnet", "--weights", "small", "--preset", "quick"]
    arguments += ["--fine-tune", "all", "--epochs", "1", "--lr", "1e-4", "--mix", "cutmix"]
    assert cli.main(["train", str(photos), *arguments, "--out", str(out)]) == 0
    found = json.loads((out / "results.json").read_text())
    tuning = found["fine_tuning"]
    assert (tuning["what"], tuning["epochs"], tuning["lr"], tuning["mix"]) == (
        *("all", 1, 1e-4, "cutmix"),
    )
    assert found["weights"] == "small, fine-tuned"
    said = capsys.readouterr().out
    assert found["valid"]["chosen_on_it"] == "epoch and penalty"
    penalty = found["head"]["penalty"]
    assert f"on which the epoch 1 and the penalty {penalty:g} were chosen" in said
    assert f"changed accuracy on valid by {tuning['difference'][0]:+.3f} (95 % interval" in said
    config = (out / "config.toml").read_text()
    assert 'fine-tune = "all"' in config and 'mix = "cutmix"' in config


def test_predict_as_text_json_and_csv(
    model: str, flower_folder: Path, capsys: pytest.CaptureFixture
) -> None:
    rose = flower_folder / "test" / "rose"
    files = sorted(map(str, rose.iterdir()))
    assert cli.main(["predict", str(rose), "--model", model, "--top-k", "2", "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert [answer["photo"] for answer in answers] == files
    assert all(len(answer["top"]) == 2 for answer in answers)
    names = [answer["top"][0]["class"] for answer in answers]
    assert names.count("rose") >= 2

    assert cli.main(["predict", *files, "--model", model, "--top-k", "2", "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["rank"] for row in rows] == ["1", "2"] * 3
    assert [row["class"] for row in rows[::2]] == names
    for row, answer in zip(rows[::2], answers, strict=True):
        assert float(row["probability"]) == pytest.approx(answer["top"][0]["probability"], abs=0.01)

    assert cli.main(["predict", files[0], "--model", model]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == files[0] and len(lines) == 5  # four classes, though five is the default
    assert lines[1].endswith(names[0]) and "%" in lines[1]


@pytest.mark.parametrize("form", ["--csv", "--json", "text"])
def test_one_unreadable_photo_among_many(
    model: str, photos: Path, capsys: pytest.CaptureFixture, form: str
) -> None:
    rose = photos / "test" / "rose"
    good, cut, empty = sorted(rose.iterdir())
    cut.write_bytes(cut.read_bytes()[:300])
    empty.write_bytes(b"")
    missing = photos / "none.jpg"
    arguments = [str(rose), str(missing), "--model", model, "--top-k", "1"]
    assert cli.main(["predict", *arguments, *[form] * (form != "text")]) == 1
    out, err = capsys.readouterr()
    named = [f"{cut}: ", f"{empty}: the file is empty", f"{missing}: there is no such file"]
    for line, start in zip(err.splitlines(), [*named, "3 of 4 photos left out."], strict=True):
        assert line.startswith(f"flowerlib: {start}")
    if form == "--json":
        answers = json.loads(out)
        assert [answer["photo"] for answer in answers] == [*map(str, (good, cut, empty, missing))]
        assert ["top" in answer for answer in answers] == [True, False, False, False]
        assert answers[2]["error"] == "the file is empty"
    else:
        assert str(good) in out and not any(str(path) in out for path in (cut, empty, missing))


def test_every_argument_of_predict_is_answered_or_named(
    model: str, photos: Path, capsys: pytest.CaptureFixture
) -> None:
    good = min((photos / "test" / "rose").iterdir())
    empty, long = photos / "empty", "a" * 300
    empty.mkdir()
    assert cli.main(["predict", str(good), str(empty), long, "--model", model]) == 1
    out, err = capsys.readouterr()
    assert out.startswith(str(good))
    lines = err.splitlines()
    assert lines[0] == f"flowerlib: {empty}: there is no photo in this folder."
    assert lines[1].startswith(f"flowerlib: {long}: the file cannot be read (")
    assert lines[2] == "flowerlib: 1 of 2 photos left out."


def test_evaluate_as_text_table_and_json(
    run: Path, model: str, flower_folder: Path, capsys: pytest.CaptureFixture
) -> None:
    test = str(flower_folder / "test")
    assert cli.main(["evaluate", test, "--model", model, "--json", "--table"]) == 0
    found = json.loads(capsys.readouterr().out)
    expected = json.loads((run / "results.json").read_text())["test"]
    assert found["accuracy"] == expected["accuracy"] and found["interval"] == expected["interval"]
    assert found["num_images"] == len(found["photos"]) == 12
    passed = sum(row["verdict"] == "pass" for row in found["photos"])
    assert passed / 12 == found["accuracy"]
    assert all(
        (row["truth"] == row["answer"]) == (row["verdict"] == "pass") for row in found["photos"]
    )
    assert all(Path(row["photo"]).parent.name == row["truth"] for row in found["photos"])

    assert cli.main(["evaluate", test, "--model", model, "--table"]) == 0
    text = capsys.readouterr().out
    assert text.count("pass") == passed and text.count("FAIL") == 12 - passed
    low, high = found["interval"]
    assert text.splitlines()[-1] == (
        f"accuracy {found['accuracy']:.3f} (95 % interval {low:.3f} to {high:.3f}) on 12 photos of "
        f"{test}; "
        "none of these files is among those that it learned from"
    )


def test_evaluate_names_the_split_that_was_asked_for(
    model: str, flower_folder: Path, capsys: pytest.CaptureFixture
) -> None:
    arguments = ["evaluate", str(flower_folder), "--model", model, "--split", "train"]
    assert cli.main(arguments) == 0
    assert f"photos of {flower_folder}, train; it learned from all" in capsys.readouterr().out
    assert cli.main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["split"] == "train"


@pytest.mark.usefixtures("own_cache")
def test_evaluate_says_how_far_it_is(
    model: str, flower_folder: Path, capsys: pytest.CaptureFixture
) -> None:
    assert cli.main(["evaluate", str(flower_folder / "test"), "--model", model]) == 0
    shown = capsys.readouterr()
    assert "measured: 12 photos in" in shown.err and "measured" not in shown.out


def test_what_is_left_out_of_a_folder_is_reported(
    model: str, photos: Path, capsys: pytest.CaptureFixture
) -> None:
    for name in ("a.heic", "rose/b.heic", "rose/.hidden.jpg"):
        (photos / "test" / name).touch()
    expected = f"flowerlib: {photos / 'test'}: left out 3 of 15 files: 2 .heic, 1 hidden; convert"
    for command in ("evaluate", "predict"):
        assert cli.main([command, str(photos / "test"), "--model", model, "--json"]) == 0
        out, err = capsys.readouterr()
        assert err.startswith(expected) and err.count("\n") == 1
        found = json.loads(out)
        if command == "evaluate":
            assert found["files"] == {"used": 12, "left_out": {".heic": 2, "hidden": 1}}
    assert cli.main(["check", str(photos / "test")]) == 0
    assert "left out 3 of 15 files: 2 .heic, 1 hidden" in capsys.readouterr().out


def test_doctor_and_garden(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["doctor"]) == 0
    assert "torch and torchvision belong together" in capsys.readouterr().out
    sheet = tmp_path / "sheet.png"
    arguments = ["--kind", "furniture", "--columns", "3", "--size", "32", "--out", str(sheet)]
    assert cli.main(["garden", *arguments]) == 0
    with Image.open(sheet) as image:
        image.load()
        size = f"{image.width} x {image.height} pixels"
        assert image.width >= 96
    assert size in capsys.readouterr().out


@pytest.mark.skipif(os.name != "posix", reason="wants a pipe that closes early")
def test_a_reader_that_has_seen_enough_is_no_error(model: str, flower_folder: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "flowerlib",
        "predict",
        str(flower_folder),
        "--model",
        model,
    ]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert started.stdout and started.stderr
    started.stdout.close()
    assert "Traceback" not in started.stderr.read()
    started.stderr.close()
    assert started.wait(60) == 141, "as of a process that SIGPIPE has ended"


# ------------------------------------------------------------ bad input


def test_train_on_folders_that_cannot_be_used(refused, photos: Path, tmp_path: Path) -> None:
    out = ["--out", tmp_path / "out", *SMALL]
    assert "none: no such folder" in refused("train", tmp_path / "none", *out)
    shutil.rmtree(photos / "valid" / "iris")
    assert "valid lacks class iris" in refused("train", photos, *out)
    (photos / "valid" / "iris").mkdir()
    assert "class iris without a single photo" in refused("train", photos, *out)


@pytest.mark.parametrize("content", [b"Dear reader", b"", b"cut"])
def test_train_with_photos_that_cannot_be_read(
    refused, photos: Path, tmp_path: Path, content: bytes
) -> None:
    victim = photos / "train" / "lily" / "lily_03.jpg"
    victim.write_bytes(victim.read_bytes()[:-400] if content == b"cut" else content)
    refusal = refused("train", photos, *SMALL, "--out", tmp_path / "out")
    assert "1 unreadable photo: " in refusal and "lily_03.jpg: " in refusal


def test_train_with_wrong_networks(refused, photos: Path, tmp_path: Path) -> None:
    out = ["--out", tmp_path / "out"]
    refusal = refused("train", photos, "--backbone", "resnet5", "--weights", "none", *out)
    assert 'no backbone called "resnet5"; did you mean resnet' in refusal
    other = tmp_path / "other.safetensors"
    save_file({"conv1.weight": torch.zeros(1)}, other)
    refusal = refused("train", photos, *SMALL, "--weights", other, *out)
    assert "other.safetensors does not hold weights of small_densenet" in refusal
    other.write_bytes(b"nothing")
    assert "cannot be read as weights" in refused("train", photos, *SMALL, "--weights", other, *out)
    assert "has no ImageNet weights" in refused(
        "train", photos, *SMALL, "--weights", "imagenet", *out
    )
    assert "no such weights file" in refused("train", photos, *SMALL, "--weights", "none.pt", *out)


def test_options_without_effect_are_refused(refused, photos: Path, tmp_path: Path) -> None:
    out = ["--out", tmp_path / "out", *SMALL]
    for option in ("--hidden", "--dropout", "--epochs", "--lr", "--batch-size"):
        value = "0.5" if option in ("--dropout", "--lr") else "8"
        for head in ([], ["--head", "ridge"]):
            refusal = refused("train", photos, option, value, *head, *out)
            assert f"{option.strip('-').replace('-', '_')} has no effect" in refusal
            assert 'choose the head "hidden"' in refusal
    refusal = refused("train", photos, "--epochs", "50", "--lr", "0.1", "--hidden", "9", "9", *out)
    assert "hidden, epochs, lr have no effect on the linear head" in refusal
    assert "--mix has no effect without --fine-tune all" in refused(
        "train", photos, "--mix", "cutmix", "--fine-tune", "last", *out
    )
    assert "hidden has no effect on the linear head" in refused(
        "train", photos, "--fine-tune", "all", "--hidden", "9", *out
    )
    assert 'fine_tune "all" needs the linear head, not the hidden one' in refused(
        "train", photos, "--fine-tune", "all", "--head", "hidden", *out
    )
    assert "split official has no effect on" in refused(
        "train", photos, "--split", "official", *out
    )
    assert "split udacity has no effect on" in refused("train", photos, "--split", "udacity", *out)
    assert "split official has no effect" in refused("train", "garden", "--split", "official", *out)


def test_train_into_places_that_cannot_be_used(
    refused, run: Path, photos: Path, tmp_path: Path
) -> None:
    refusal = refused("train", photos, *SMALL, "--out", run)
    assert "holds a finished run; choose another folder or add --force" in refusal
    (tmp_path / "file").touch()
    refusal = refused("train", photos, *SMALL, "--out", tmp_path / "file" / "out")
    assert "cannot be created" in refusal
    assert "cannot be created" in refused("train", photos, *SMALL, "--out", tmp_path / "file")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_train_into_a_folder_without_permission(refused, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "locked").chmod(0o500)
    assert "cannot be written to" in refused("train", photos, *SMALL, "--out", tmp_path / "locked")
    assert "cannot be created" in refused(
        "train", photos, *SMALL, "--out", tmp_path / "locked" / "out"
    )


@pytest.mark.usefixtures("own_cache")
def test_force_overwrites(photos: Path, tmp_path: Path) -> None:
    arguments = ["train", str(photos), *SMALL, "--out", str(tmp_path / "out")]
    assert cli.main(arguments) == 0
    first = (tmp_path / "out" / "results.json").read_bytes()
    assert cli.main(arguments) == 2
    assert (tmp_path / "out" / "results.json").read_bytes() == first
    assert cli.main([*arguments, "--force", "--seed", "1"]) == 0
    assert json.loads((tmp_path / "out" / "results.json").read_text())["seed"] == 1


def test_an_existing_folder_is_left_in_place(refused, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    refused("train", tmp_path / "none", "--out", tmp_path / "out")
    assert (tmp_path / "out").is_dir()


def test_nothing_given_is_not_the_folder_here(
    refused, model: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a shell gives a variable that nobody set: "$PHOTOS"."""
    monkeypatch.chdir(photos)
    out = tmp_path / "out"
    assert "An empty path was given" in refused("train", "", *SMALL, "--out", out)
    assert "An empty path was given" in refused(
        "train", photos, *SMALL, "--weights", "", "--out", out
    )
    assert 'no backbone called ""' in refused("train", photos, "--backbone", "", "--out", out)
    assert "column" in refused("train", photos, *SMALL, "--label-column", "", "--out", out)
    assert "An empty path was given" in refused("evaluate", "", "--model", model)
    for typed in (
        ["predict", "", "--model", model],
        ["check", ""],
        ["train", str(photos), "--out", ""],
        ["predict", "rose.jpg", "--model", ""],
    ):
        with pytest.raises(SystemExit, match="2"):
            cli.main(typed)


def test_predict_on_what_cannot_be_used(refused, model: str, photos: Path, tmp_path: Path) -> None:
    photo = photos / "test" / "rose" / "rose_11.jpg"
    assert "none.jpg: there is no such file" in refused(
        "predict", tmp_path / "none.jpg", "--model", model
    )
    refusal = refused("predict", photo, "--model", model, "--top-k", "5")
    assert "top_k is 5, but this classifier knows 4 classes" in refusal
    assert "no such classifier file" in refused("predict", photo, "--model", tmp_path / "none")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(Path(model).read_bytes()[:100_000])
    assert "is no whole classifier file" in refused("predict", photo, "--model", cut)
    photo.write_text("Dear reader")
    assert "this is a text file" in refused("predict", photo, "--model", model)
    (tmp_path / "nothing").mkdir()
    assert "There is no photo below" in refused("predict", tmp_path / "nothing", "--model", model)


def test_evaluate_on_what_cannot_be_used(refused, model: str, photos: Path, tmp_path: Path) -> None:
    assert "no such folder" in refused("evaluate", tmp_path / "none", "--model", model)
    (photos / "test" / "rose").rename(photos / "test" / "tulip")
    refusal = refused("evaluate", photos / "test", "--model", model)
    assert "the classifier does not know class tulip" in refusal


def test_flowers_without_photos(refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWERLIB_DATA", str(tmp_path))
    refusal = refused("train", "flowers", "--out", tmp_path / "out")
    assert (
        "The photos of flowers were not found" in refusal
        and "flowerlib download flowers" in refusal
    )
    monkeypatch.setenv("FLOWERLIB_DATA", str(tmp_path / "none"))
    assert "FLOWERLIB_DATA names" in refused("train", "flowers", "--out", tmp_path / "out")


def test_a_garden_that_cannot_be_drawn(refused, tmp_path: Path) -> None:
    assert "32 to 256 pixels" in refused("garden", "--size", "8", "--out", tmp_path / "a.png")
    refusal = refused(
        "garden", "--kind", "furniture", "--size", "32", "--out", tmp_path / "none" / "a.png"
    )
    assert "Cannot write" in refusal


def test_a_broken_torch_is_named_with_its_cure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr("flowerlib.cli.doctor.examine", broken)
    assert cli.main(["doctor"]) == 2
    assert "pip install --upgrade --force-reinstall torch torchvision" in capsys.readouterr().err
    monkeypatch.setattr("flowerlib.cli.doctor.examine", lambda: [][0])
    with pytest.raises(IndexError):  # a fault of the program itself is not hidden
        cli.main(["doctor"])
