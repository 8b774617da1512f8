"""What one version of torch does among the others: write classifier files, read those of all.

Run by `torch_versions` inside the environment of that version:

    python -m tests.fuzz.attacks._one_torch write|read FOLDER VERSION

The answer is left in FOLDER/write_VERSION.json or FOLDER/read_VERSION.json.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from flowerlib import cli, data, models, train
from flowerlib.classifier import Classifier
from flowerlib.cli import runs
from flowerlib.transforms import Preprocessing
from tests.fuzz.attacks.torch_versions import TOLERANCE, last_line

EXACT = {"device": "cpu", "precision": "fp32"}
FLAGS = ("--device", "cpu", "--precision", "fp32")


def write(folder: Path, version: str) -> dict[str, Any]:
    """Trains and saves two classifiers, and notes what they answer on the test photos.

    One comes from the command line, as a user makes it; the other has the body and the head with
    the most kinds of layers.
    """
    _command("--version")
    _command("doctor")
    run = folder / f"run_{version}"
    flags = ("--backbone", "small_densenet", "--weights", "small", "--no-cache", *FLAGS)
    _command("train", folder / "photos", "--out", run, *flags)
    shutil.move(run / "classifier.safetensors", _file(folder, version, "trained"))
    # Once in the precision that it chooses by itself.
    _command("predict", folder / "photos" / "test", "--model", _file(folder, version, "trained"))

    splits = data.image_folder(folder / "photos")
    preprocessing = Preprocessing(64, 64)
    backbone = models.backbone("mobilenet_v3_small", "none", seed=0)
    _fill_statistics(backbone, preprocessing, splits.train)
    other = train.transfer(
        splits,
        backbone,
        head="hidden",
        hidden=32,
        preprocessing=preprocessing,
        cache=False,
        **EXACT,
    )
    other.save(_file(folder, version, "mobilenet"))

    found: dict[str, Any] = {}
    for name in ("trained", "mobilenet"):
        classifier = Classifier.load(_file(folder, version, name))
        logits = classifier.logits(splits.test, **EXACT)
        found[name] = {
            "logits": logits.tolist(),
            "spread": float(logits.std(0).mean()),
            "weights": classifier.backbone.digest(),
            "description": _described(classifier),
        }
    return {"versions": runs.versions(), "classifiers": found}


def _fill_statistics(backbone: models.Backbone, preprocessing: Preprocessing, photos: Any) -> None:
    """Gives BatchNorm layers the statistics of the photos; untrained, all photos look alike."""
    pixels = [preprocessing.pixels(photos.image(index)) for index in range(len(photos))]
    for module in backbone.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the plain mean of all batches, here of one
    with torch.no_grad():
        images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
        backbone.train()(preprocessing.normalize(images))


def read(folder: Path, version: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Loads every file of every version and compares: {writer: {classifier: figures}}."""
    photos = data.image_folder(folder / "photos").test
    pairs: dict[str, dict[str, dict[str, Any]]] = {}
    for record in sorted(folder.glob("write_*.json")):
        writer = record.stem.removeprefix("write_")
        pairs[writer] = {}
        for name, wanted in json.loads(record.read_text(encoding="utf-8"))["classifiers"].items():
            file = _file(folder, writer, name)
            classifier = Classifier.load(file)
            logits, before = classifier.logits(photos, **EXACT), torch.tensor(wanted["logits"])
            now = json.loads(json.dumps(_described(classifier)))
            label, share = _said(photos.name(0), file)
            pairs[writer][name] = {
                "difference": float((logits - before).abs().max()),
                "answers_equal": torch.equal(logits.argmax(1), before.argmax(1))
                and label == classifier.class_names[int(before[0].argmax())]
                and abs(share - float(before[0].softmax(0).max())) <= TOLERANCE,
                "weights_equal": classifier.backbone.digest() == wanted["weights"],
                "description_equal": now == wanted["description"],
            }
    return pairs


def _described(classifier: Classifier) -> list[Any]:
    return [classifier.class_names, classifier.preprocessing.to_dict()]


def _said(photo: str, model: Path) -> tuple[str, float]:
    """The class and its probability that `flowerlib predict` prints, here without a new process."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        cli.main(["predict", photo, "--model", str(model), "--json", *FLAGS])
    best = json.loads(printed.getvalue())[0]["top"][0]
    return best["class"], best["probability"]


def _file(folder: Path, version: str, name: str) -> Path:
    return folder / f"{name}_{version}.safetensors"


def _command(*arguments: str | Path) -> str:
    """What `flowerlib …` prints; an error is ours."""
    command = [sys.executable, "-m", "flowerlib", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"flowerlib {arguments[0]}: {last_line(done.stderr)}")
    return done.stdout


if __name__ == "__main__":
    task, place, version = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    answer = {"write": write, "read": read}[task](place, version)
    (place / f"{task}_{version}.json").write_text(json.dumps(answer), encoding="utf-8")
