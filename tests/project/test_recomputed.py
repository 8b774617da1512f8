"""Every accuracy that a run tells, in words, files and figures, counted again from predictions.

The counting here knows nothing of `flowerlib.metrics`: it opens each file, asks for one answer at
a time, and compares names.
"""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowerlib import cli, data, plots, solvers
from flowerlib.classifier import Classifier
from flowerlib.cli import runs
from flowerlib.data import Splits
from flowerlib.features import extract

EXACT = {"precision": "fp32", "device": "cpu"}
SETTINGS = {"backbone": "small_densenet", "weights": "small", **EXACT}
SENTENCE = re.compile(r"(\d\.\d{3}) \(95 % interval (\d\.\d{3}) to (\d\.\d{3})\) on (\d+) photos")
DRAWN = re.compile(r"([\d.]+)%\s\(95\s%\sinterval\s([\d.]+)%\sto\s([\d.]+)%\)")


def wilson(right: int, count: int) -> tuple[float, float]:
    """Where (share - p)^2 = z^2 p (1 - p) / count, as a quadratic equation in p."""
    z = 1.959964
    roots = np.roots([1 + z * z / count, -(2 * right + z * z) / count, (right / count) ** 2])
    return tuple(np.sort(np.clip(roots.real, 0, 1)))


def counted(classifier: Classifier, folder: Path) -> tuple[int, int]:
    """Photos below a folder of class folders whose answer is the folder's name, and all."""
    files = sorted(folder.glob("*/*"))
    names = [classifier.predict(file, 1, **EXACT).name for file in files]
    return sum(name == file.parent.name for name, file in zip(names, files, strict=True)), len(
        files
    )


def same(found: dict[str, Any], right: int, count: int) -> None:
    assert found["num_images"] == count and found["accuracy"] == right / count
    assert found["interval"] == pytest.approx(wilson(right, count), abs=1e-9)


def check_sentence(text: str, right: int, count: int) -> None:
    """A sentence names this accuracy, its interval and the number of photos, and no other."""
    (found,) = SENTENCE.findall(text)
    expected = [f"{value:.3f}" for value in (right / count, *wilson(right, count))]
    assert list(found) == [*expected, str(count)]


def drawn(title: str, right: int, count: int) -> None:
    (found,) = DRAWN.findall(title)
    expected = [f"{100 * value:.1f}" for value in (right / count, *wilson(right, count))]
    assert list(found) == expected


def valid_counted(splits: Splits, head: str, found: dict[str, Any], classifier: Classifier) -> int:
    """Right answers on valid of the head as it was before it learned from them."""
    train, valid = (
        extract(classifier.backbone, part, classifier.preprocessing, **EXACT)
        for part in (splits.train, splits.valid)
    )
    network = classifier.head
    if head != "hidden":
        solve = solvers.logistic if head == "linear" else solvers.ridge
        network = solve(train.values, train.labels, valid.values, valid.labels, 4).head
    answers = network(valid.values).detach().numpy().argmax(1)
    return int((answers == splits.valid.labels).sum())


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("with_test", [True, False])
@pytest.mark.parametrize("head", ["linear", "ridge", "hidden"])
def test_every_accuracy_of_a_run(
    flower_folder: Path, tmp_path: Path, head: str, with_test: bool, monkeypatch: Any
) -> None:
    splits = data.image_folder(flower_folder)
    if not with_test:
        splits = Splits(splits.train, splits.valid, None, splits.class_names, "x", "photos", "")
    titles: dict[str, list[str]] = {}
    save = plots.save

    def kept(axes: Any, path: Path) -> None:
        titles[path.name] = [axis.get_title(loc="left") for axis in np.ravel([axes])]
        save(axes, path)

    monkeypatch.setattr("flowerlib.plots.save", kept)
    lines: list[str] = []
    options = SETTINGS | {"head": head, "say": lines.append}
    if head == "hidden":
        options |= {"hidden": 16, "epochs": 3}
    found = runs.train(splits, tmp_path / "run", **options)
    classifier = Classifier.load(tmp_path / "run" / "classifier.safetensors")
    assert json.loads((tmp_path / "run" / "results.json").read_text()) == found

    valid, count = valid_counted(splits, head, found, classifier), len(splits.valid)
    same(found["valid"], valid, count)
    assert found["valid"]["set"] == "valid"
    assert found["valid"]["chosen_on_it"] == ("epoch" if head == "hidden" else "penalty")
    (line,) = [line for line in lines if " photos of valid" in line]
    check_sentence(line, valid, count)
    drawn(titles["curves.png"][1], valid, count)
    with open(tmp_path / "run" / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        right = round(float(row["valid_accuracy"]) * count)
        ends = [float(row["valid_low"]), float(row["valid_high"])]
        assert ends == pytest.approx(wilson(right, count), abs=1e-9)
    assert any(float(row["valid_accuracy"]) == valid / count for row in rows)

    (title,) = titles["confusion.png"]
    if not with_test:
        assert title.startswith(f"valid, on which the {found['valid']['chosen_on_it']}")
        assert f"{valid} of {count} right" in " ".join(title.split())
        drawn(title, valid, count)
        assert found["test"] == {"set": "test", "num_images": 0, "accuracy": None, "interval": None}
        return
    right, total = counted(classifier, flower_folder / "test")
    same(found["test"], right, total)
    assert found["test"]["unseen"]["accuracy"] == right / total
    (line,) = [line for line in lines if " photos of test" in line]
    check_sentence(line, right, total)
    assert title.startswith("test: ") and f"{right} of {total} right" in " ".join(title.split())
    drawn(title, right, total)
    assert found["test"]["top5"] == 1.0  # of four classes
    low, _ = wilson(total, total)
    assert found["test"]["top5_interval"] == pytest.approx([low, 1.0], abs=1e-9)


@pytest.mark.usefixtures("own_cache")
def test_every_accuracy_of_evaluate(
    flower_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "run"
    options = ["--backbone", "small_densenet", "--precision", "fp32", "--device", "cpu"]
    assert cli.main(["train", str(flower_folder), "--out", str(out), *options]) == 0
    model = out / "classifier.safetensors"
    classifier = Classifier.load(model)
    capsys.readouterr()
    for part in ("test", "valid", "train"):
        right, count = counted(classifier, flower_folder / part)
        command = ["evaluate", str(flower_folder / part), "--model", str(model), *options[2:]]
        assert cli.main([*command, "--json", "--table"]) == 0
        found = json.loads(capsys.readouterr().out)
        same(found, right, count)
        unknown = [row["verdict"] for row in found["photos"] if not row["learned"]]
        assert found["unseen"]["num_images"] == len(unknown) == (count if part == "test" else 0)
        if unknown:
            same(found["unseen"], unknown.count("pass"), len(unknown))
        assert cli.main(command) == 0
        check_sentence(capsys.readouterr().out, right, count)
        assert math.isfinite(found["calibration_error"])
