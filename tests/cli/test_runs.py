"""A run's folder: what it holds, and when it counts as finished."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from pathlib import Path

import pytest
from PIL import Image

from flowerlib import data, plots
from flowerlib.classifier import Classifier
from flowerlib.cli import runs
from flowerlib.cli.run_folder import LOCK, reserved
from flowerlib.data.file_counts import FileCounts
from flowerlib.support import storage
from flowerlib.support.errors import InputError
from tests.warm import Python, python

FILES = {
    "classifier.safetensors",
    "results.json",
    "history.csv",
    "curves.png",
    "confusion.png",
    "sanity.png",
}
SETTINGS = {"backbone": "small_densenet", "weights": "small", "say": lambda line: None}


@pytest.mark.usefixtures("own_cache")
def test_a_run_writes_everything_it_promises(flower_folder: Path, tmp_path: Path) -> None:
    said: list[str] = []
    passes: list[tuple[int, int]] = []
    splits = data.image_folder(flower_folder)
    assert splits.files == FileCounts(56, {})
    splits = dataclasses.replace(splits, files=FileCounts(56, {".heic": 3}), notes=("names\n",))
    found = runs.train(
        splits,
        tmp_path,
        progress=lambda done, total: passes.append((done, total)),
        **SETTINGS | {"say": said.append},
    )
    assert {(44, 44), (12, 12)} <= set(passes), "the pass over the test set, too"
    assert found["files"] == {"used": 56, "left_out": {".heic": 3}}
    origin = "weights that this project trained on drawn patterns"
    assert said[0] == f"backbone small_densenet · {origin}"
    assert said[2:4] == [
        "left out 3 of 59 files: 3 .heic; convert .heic to JPEG to use them",
        "note: names\\n",
    ]
    assert {path.name for path in tmp_path.iterdir()} == FILES | {"cache"}
    assert json.loads((tmp_path / "results.json").read_text()) == found
    assert found["num_images"] == {"train": 32, "valid": 12, "test": 12}
    assert (found["data"], found["pictures"], found["num_classes"]) == ("photos", "photos", 4)
    assert (found["backbone"], found["layers"]) == ("small_densenet", "multi-level")
    assert (found["weights"], found["seed"]) == ("small", 0)
    assert found["device"] in ("cpu", "cuda", "mps") and found["precision"] in ("fp32", "bf16")
    low, high = found["test"]["interval"]
    assert 0 <= low < high <= 1 and 0.7 <= found["test"]["accuracy"] <= 1
    assert 0 <= found["valid"]["accuracy"] <= 1
    phases = {key: value for key, value in found["seconds"].items() if key != "total"}
    assert {"backbone", "tuning", "features", "head", "test", "files"} == set(phases)
    assert sum(phases.values()) <= found["seconds"]["total"] + 0.01
    assert found["images_per_second"] > 0
    assert {"python", "flowerlib", "torch", "torchvision", "numpy"} <= set(found["versions"])
    for name in ("curves.png", "confusion.png", "sanity.png"):
        with Image.open(tmp_path / name) as image:
            image.load()
            assert image.width > 300
    again = Classifier.load(tmp_path / "classifier.safetensors").evaluate(splits.test)
    assert again.accuracy == found["test"]["accuracy"]
    assert any("photos · photos" in line for line in said)

    with pytest.raises(
        InputError, match="holds a finished run; choose another folder or add --force"
    ):
        runs.train(splits, tmp_path, **SETTINGS)
    second = runs.train(splits, tmp_path, force=True, **SETTINGS)
    assert second["images_per_second"] is None  # all features came from the cache
    assert second["test"] == found["test"]


@pytest.mark.usefixtures("own_cache")
def test_a_set_without_test_has_null_fields(flower_folder: Path, tmp_path: Path) -> None:
    full = data.image_folder(flower_folder)
    splits = data.Splits(full.train, full.valid, None, full.class_names, "x", "photos", "")
    found = runs.train(splits, tmp_path / "run", **SETTINGS)
    assert found["test"] == {"set": "test", "num_images": 0, "accuracy": None, "interval": None}
    assert found["num_images"]["test"] == 0
    written = json.loads((tmp_path / "run" / "results.json").read_text())
    assert written["test"]["accuracy"] is None and written["valid"]["accuracy"] > 0.5


@pytest.mark.usefixtures("own_cache")
def test_an_interrupted_second_run_is_not_taken_for_the_first(
    flower_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = data.image_folder(flower_folder)
    runs.train(splits, tmp_path / "run", **SETTINGS)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("flowerlib.plots.confusion", stop)
    with pytest.raises(KeyboardInterrupt):
        runs.train(splits, tmp_path / "run", force=True, **SETTINGS)
    assert not (tmp_path / "run" / "results.json").exists()


def never() -> data.Splits:
    raise AssertionError("photos were read for a folder that is of no use")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for below in ("file", "file/run"):
        with pytest.raises(InputError, match="cannot be created"):
            runs.train(never, tmp_path / below)


@pytest.mark.usefixtures("own_cache")
def test_two_runs_never_write_into_one_folder(
    flower_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second is refused at once, whatever it asks for, and the first ends as if alone."""
    splits, out = data.image_folder(flower_folder), tmp_path / "run"
    said: list[str] = []

    def late(*given: object) -> object:
        for asked in ({}, {"force": True}, {"resume": True}):
            with pytest.raises(InputError, match=r"Another run is writing into .*run; wait until"):
                runs.train(never, out, **asked, **SETTINGS)
            said.append("refused")
        return real(*given)

    real = plots.confusion
    monkeypatch.setattr("flowerlib.plots.confusion", late)
    found = runs.train(splits, out, **SETTINGS)
    assert said == ["refused"] * 3
    assert {path.name for path in out.iterdir()} == FILES
    assert json.loads((out / "results.json").read_text()) == found
    with pytest.raises(InputError, match="holds a finished run"):
        runs.train(never, out, **SETTINGS)


KILLED = """
import os, signal, sys, time
from pathlib import Path
from flowerlib.cli.run_folder import reserved

with reserved(Path(sys.argv[1])):
    print("mine", flush=True)
    time.sleep(60) if sys.argv[2:] else os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.usefixtures("own_cache")
def test_what_a_stopped_run_left_is_not_lost_by_forgetting_to_resume(tmp_path: Path) -> None:
    splits = data.garden("pets", per_class=(3, 2, 2), size=32)
    state = tmp_path / "run" / runs.STATE
    state.parent.mkdir()
    state.write_bytes(b"hours of work")
    with pytest.raises(InputError, match="add --resume to go on with it, or --force to start over"):
        runs.train(splits, state.parent, **SETTINGS)
    assert [file.name for file in state.parent.iterdir()] == [runs.STATE]
    assert state.read_bytes() == b"hours of work"
    runs.train(splits, state.parent, force=True, **SETTINGS)
    assert {file.name for file in state.parent.iterdir()} == FILES


HALF = """
import os, signal, sys
from pathlib import Path
from flowerlib.support import storage

with storage.atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half of it")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGKILL")
def test_a_run_removes_what_a_killed_one_left_of_its_files_and_nothing_else(tmp_path: Path) -> None:
    for name in (runs.STATE, "classifier.safetensors", "answers.csv"):
        assert python(["-c", HALF, str(tmp_path / name)]).code == -signal.SIGKILL
    (tmp_path / runs.STATE).write_bytes(b"hours of work")
    own = (tmp_path / f".{runs.STATE}.part", tmp_path / f".{runs.STATE}.of-another.part")
    for file in own:
        file.touch()
    assert len(list(tmp_path.glob(".*.part"))) == 5
    with reserved(tmp_path):
        left = {file.name for file in tmp_path.iterdir()} - {LOCK, runs.STATE}
        (other,) = left - {file.name for file in own}
        assert other.startswith(".answers.csv.")  # of a prediction that may be writing it
        # Nobody else writes these while the run holds its folder, so nothing of a living one goes.
        with storage.atomic_path(tmp_path / runs.STATE) as temporary:
            with pytest.raises(InputError, match="Another run"), reserved(tmp_path):
                pass
            assert temporary.exists()


def test_the_folder_of_a_living_process_is_refused_and_of_a_killed_one_free(tmp_path: Path) -> None:
    out = tmp_path / "run"
    killed = python(["-c", KILLED, str(out)])
    assert killed.code == -signal.SIGKILL and (out / LOCK).exists()
    with reserved(out):
        pass
    with Python(["-c", KILLED, str(out), "wait"]) as other:
        other.wait_for("mine")
        with pytest.raises(InputError, match="Another run is writing into"), reserved(out):
            pass
    with reserved(out):
        pass


def test_a_new_folder_is_removed_if_nothing_came_of_it(tmp_path: Path) -> None:
    with pytest.raises(AssertionError), reserved(tmp_path / "new"):
        raise AssertionError
    (tmp_path / "old").mkdir()
    with reserved(tmp_path / "old"):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["old"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="cannot be written to .*choose another with --out"):
            runs.train(never, tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_a_full_disk_is_reported_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("filelock.FileLock.acquire", full)
    with pytest.raises(InputError, match=r"cannot be written to \(No space left on device\)"):
        runs.train(never, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", [".", "runs", "train/daisy/runs/first", "../photos/x"])
def test_results_among_the_photos_are_refused(tmp_path: Path, below: str) -> None:
    photos = tmp_path / "photos"
    (photos / "train" / "daisy").mkdir(parents=True)
    with pytest.raises(InputError, match=r"lies inside the photos' folder .*--out .*photos_run"):
        runs.train(never, photos / below, photos=photos)
    assert not [path for path in photos.rglob("*") if path.name not in ("train", "daisy")]
