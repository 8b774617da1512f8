"""A run's folder: what it holds, and when it counts as finished."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from flowerlib import data, runs
from flowerlib.classifier import Classifier
from flowerlib.errors import InputError

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
    told: list[str] = []
    splits = data.image_folder(flower_folder)
    found = runs.train(splits, tmp_path, **SETTINGS | {"say": told.append})
    assert {path.name for path in tmp_path.iterdir()} == FILES | {"cache"}
    assert json.loads((tmp_path / "results.json").read_text()) == found
    assert found["num_images"] == {"train": 32, "valid": 12, "test": 12}
    assert (found["data"], found["world"], found["num_classes"]) == ("photos", "real", 4)
    assert found["backbone"] == "small_densenet.stages"
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
    assert any("real world · photos" in line for line in told)

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
    splits = data.Splits(full.train, full.valid, None, full.class_names, "x", "real", "")
    found = runs.train(splits, tmp_path / "run", **SETTINGS)
    assert found["test"] == {"accuracy": None, "interval": None}
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


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for below in ("file", "file/run"):
        with pytest.raises(InputError, match="cannot be created"):
            runs.prepare(tmp_path / below)
