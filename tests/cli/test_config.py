"""A run's options as a file: read, written, refused by name."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from flowerlib import cli
from flowerlib.cli import config


def options(*typed: str):  # noqa: ANN201
    return cli.parser().parse_args(["train", *typed])


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    typed = ["garden", "--out", "x", "--head", "hidden", "--hidden", "32", "16", "--lr", "0.01"]
    given = options(*typed, "--seed", "3", "--no-cache")
    file = tmp_path / "config.toml"
    file.write_text(config.text(given), encoding="utf-8")
    bare = options("--out", "y", "--config", str(file))
    again = cli.parser().parse_args(["train", *config.arguments(file, bare), "--out", "y"])
    same = [vars(each) for each in (given, again)]
    for found in same:
        for name in config.OF_THE_CALL:
            found.pop(name, None)
    assert same[0] == same[1]


def test_what_is_typed_wins(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('data = "flowers"\nhidden = [8, 8]\nseed = 5\ncache = false\n')
    bare = options("garden", "--out", "y")
    typed = ["train", *config.arguments(file, bare), "garden", "--out=y"]
    found = cli.parser().parse_args(typed)
    assert (found.data, found.hidden, found.seed, found.cache) == ("garden", [8, 8], 5, False)
    assert cli.parser().parse_args([*typed, "--cache"]).cache


def test_a_folder_is_written_from_its_root(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    text = config.text(options("photos", "--out", "x"))
    assert tomllib.loads(text)["data"] == str(tmp_path / "photos")


def test_a_word_stays_a_word_where_a_folder_is_called_so(tmp_path: Path, monkeypatch) -> None:
    """Such as that of an earlier run, called after what was tried in it."""
    words = {"head": "hidden", "preset": "quick", "backbone": "resnet18", "weights": "none"}
    for name in (*words.values(), "garden", "label"):
        (tmp_path / name).mkdir()
    (tmp_path / "mine.pt").touch()
    monkeypatch.chdir(tmp_path)
    typed = [typed for key, word in words.items() for typed in (f"--{key}", word)]
    text = config.text(options("garden", *typed, "--label-column", "label", "--out", "x"))
    found = tomllib.loads(text)
    assert {key: found[key] for key in words} == words
    assert (found["data"], found["label-column"]) == ("garden", "label")
    text = config.text(options("garden", "--weights", "mine.pt", "--out", "x"))
    assert tomllib.loads(text)["weights"] == str(tmp_path / "mine.pt")


def test_a_folder_called_like_weights_and_shards_are_written_from_their_root(
    tmp_path: Path, monkeypatch
) -> None:
    """Elsewhere, other photos may lie below the same name."""
    (tmp_path / "imagenet").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for given, place in (
        ("imagenet", tmp_path / "imagenet"),
        ("shards/train-{000..099}.tar", tmp_path / "shards/train-{000..099}.tar"),
        ("~/photos-*.parquet", tmp_path / "photos-*.parquet"),
        ("s3://bucket/photos", "s3://bucket/photos"),
    ):
        assert tomllib.loads(config.text(options(given, "--out", "x")))["data"] == str(place)


def test_a_name_that_is_no_utf_8_is_left_to_the_command_line(tmp_path: Path) -> None:
    text = config.text(options("photos\udce9", "--seed", "4", "--out", "x"))
    assert "# data is left out" in text
    found = tomllib.loads(text.encode("utf-8").decode())
    assert "data" not in found and found["seed"] == 4


def test_a_file_of_a_windows_editor_and_a_value_with_a_dash(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('data = "x.csv"\nlabel-column = "-kind"\n', encoding="utf-8-sig")
    found = cli.parser().parse_args(
        ["train", *config.arguments(file, options("--out", "y")), "--out=y"]
    )
    assert (found.data, found.label_column) == ("x.csv", "-kind")


def test_odd_names_survive(tmp_path: Path) -> None:
    folder = tmp_path / 'a "b" \\ c\x7f é\U0001f33c'
    folder.mkdir()
    found = tomllib.loads(config.text(options(str(folder), "--out", "x")))
    assert found["data"] == str(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sed = 3", "has no option sed"),
        ('out = "x"', "give out on the command line"),
        ("seed = ", "is not a TOML file"),
        ("fine-tune = false", "fine_tune is false, but takes a value"),
        ("backbone = true", "backbone is true, but takes a value"),
        ("batch-size = 3\nbatch_size = 4", "batch_size is there twice"),
    ],
)
def test_a_wrong_file_is_refused_in_a_sentence(capsys, tmp_path, text, message) -> None:
    file = tmp_path / "c.toml"
    file.write_text(text)
    code = cli.main(["train", "garden", "--out", str(tmp_path / "out"), "--config", str(file)])
    assert code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_data_there_is_a_sentence(capsys, tmp_path) -> None:
    assert cli.main(["train", "--out", str(tmp_path / "out")]) == 2
    assert "train needs photos" in capsys.readouterr().err


def test_a_file_that_is_not_there(capsys, tmp_path) -> None:
    code = cli.main(["train", "--out", "x", "--config", str(tmp_path / "none.toml")])
    assert code == 2
    assert "cannot be read" in capsys.readouterr().err
