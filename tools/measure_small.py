"""Measures the small backbones, frozen, on real photos and on the garden; adds it to their logs.

    python tools/measure_small.py --photos FOLDER --teacher FILE

FOLDER holds `dogscats/{train,test}`, `bed_sofa/{learn,test}` and `flowers/{train,test}`, one folder
a class. Beside each small backbone stand the same network with random weights, and the teacher. The
head is ridge regression on standardized features, its penalty chosen by leave-one-out on the
training pictures; the test pictures are used for the figure alone. Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pretrain_small import ARCHITECTURES, MEAN, ROOT, STD, build, read_teacher
from safetensors.torch import load_file
from sklearn.linear_model import RidgeClassifierCV
from torch import nn

sys.path.insert(0, str(ROOT))

from flowerlib import garden, metrics  # noqa: E402
from flowerlib.support.storage import atomic_path  # noqa: E402

# name: training folder, test folder, photos a class to learn from, at most so many a class to test
PHOTOS = {
    "dogscats": ("train", "test", 500, 250),
    "bed_sofa": ("learn", "test", 100, 100),
    "flowers": ("train", "test", 20, 1000),
}
# kind: pictures a class to learn from, pictures a class to test
GARDEN = {"flowers": (20, 8), "pets": (200, 200), "furniture": (100, 100)}
Task = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # pictures, labels; learn, then test


def photo(path: Path, side: int) -> np.ndarray:
    """The center of a photo whose short side is 9/8 of the crop's: uint8 (side, side, 3)."""
    with Image.open(path) as image:
        image = image.convert("RGB")
        scale = side * 9 / 8 / min(image.size)
        width, height = (max(side, round(edge * scale)) for edge in image.size)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - side) // 2, (height - side) // 2
    return np.asarray(image.crop((left, top, left + side, top + side)))


def read_folder(folder: Path, per_class: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """At most `per_class` photos of each class, chosen with a fixed seed, and their labels."""
    pictures, labels = [], []
    for label, part in enumerate(sorted(p for p in folder.iterdir() if p.is_dir())):
        files = sorted(part.iterdir())
        random.Random(label).shuffle(files)
        pictures += [photo(file, side) for file in files[:per_class]]
        labels += [label] * min(per_class, len(files))
    return np.stack(pictures), np.array(labels)


def real_task(folder: Path, name: str, side: int) -> Task:
    learn, test, many, few = PHOTOS[name]
    return (
        *read_folder(folder / name / learn, many, side),
        *read_folder(folder / name / test, few, side),
    )


def garden_task(kind: str) -> Task:
    learn, test = GARDEN[kind]
    classes = len(garden.class_names(kind))
    labels, indices = np.divmod(np.arange(classes * (learn + test)), learn + test)
    drawn = garden.pictures(kind, labels, indices, seed=0, size=96)
    first = indices < learn
    return drawn[first], labels[first], drawn[~first], labels[~first]


def features(body: Callable, pictures: np.ndarray) -> np.ndarray:
    """uint8 pictures (N, S, S, 3) through a frozen body: float (N, D), float32 arithmetic."""
    found = []
    with torch.inference_mode():
        for start in range(0, len(pictures), 32):
            images = torch.from_numpy(pictures[start : start + 32]).permute(0, 3, 1, 2).float()
            images = ((images / 255 - MEAN) / STD).contiguous(memory_format=torch.channels_last)
            found.append(body(images).flatten(1))
    return torch.cat(found).numpy()


def measure(body: Callable, task: Task) -> dict:
    """Test accuracy of a ridge head on frozen features, its 95 % interval, and images a second."""
    learn, learn_labels, test, test_labels = task
    started = time.perf_counter()
    known, new = features(body, learn), features(body, test)
    seconds = time.perf_counter() - started
    mean, std = known.mean(0), known.std(0) + 1e-6
    head = RidgeClassifierCV(alphas=np.logspace(1, 5, 9)).fit((known - mean) / std, learn_labels)
    correct = int((head.predict((new - mean) / std) == test_labels).sum())
    low, high = metrics.wilson_interval(correct, len(test))
    return {
        "accuracy": round(correct / len(test), 4),
        "interval": [round(low, 4), round(high, 4)],
        "learned_from": len(learn),
        "tested_on": len(test),
        "images_per_second": round((len(learn) + len(test)) / seconds),
    }


def small(name: str, pretrained: bool) -> nn.Module:
    """A small backbone, from its weights file or with random weights, in eval mode."""
    torch.manual_seed(0)
    model = build(ARCHITECTURES[name])
    if pretrained:
        weights = load_file(ROOT / "flowerlib" / "models" / "weights" / f"{name}.safetensors")
        missing, unknown = model.load_state_dict(weights, strict=False)
        if unknown or any(not key.endswith("num_batches_tracked") for key in missing):
            raise SystemExit(f"The weights of {name} do not fit its architecture: {missing}")
    return model.eval().to(memory_format=torch.channels_last)


def large(path: Path) -> Callable:
    """The teacher with pooling."""
    teacher = read_teacher(path).to(memory_format=torch.channels_last)
    return lambda images: teacher(images).mean((2, 3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--backbone", choices=sorted(ARCHITECTURES), nargs="*")
    parser.add_argument("--sides", type=int, nargs="*", default=[96, 128], help="of real photos")
    options = parser.parse_args()
    tasks = {
        f"{name}, real, {side} px": real_task(options.photos, name, side)
        for name in PHOTOS
        for side in options.sides
    }
    tasks |= {f"{kind}, garden, 96 px": garden_task(kind) for kind in GARDEN}
    teacher = {title: measure(large(options.teacher), task) for title, task in tasks.items()}
    for name in options.backbone or sorted(ARCHITECTURES):
        log = ROOT / "results" / f"pretrain_{name}.json"
        record = json.loads(log.read_text())
        record["evaluation"] = {
            title: {
                "pretrained": measure(small(name, True), task),
                "random weights": measure(small(name, False), task),
                "teacher": teacher[title],
            }
            for title, task in tasks.items()
        }
        for title, found in record["evaluation"].items():
            for who, figures in found.items():
                correct = round(figures["accuracy"] * figures["tested_on"])
                accuracy = metrics.format_accuracy(correct, figures["tested_on"], f"test, {title}")
                print(f"{name}, {who}: {accuracy}", flush=True)
        with atomic_path(log) as path:
            path.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
