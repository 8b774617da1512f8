"""What fine-tuning brings, and what single options of it bring, on few real photos.

Small on purpose: some minutes on one core. Everything is taken out of the training folders: some
photos to learn from, some to choose the epoch with, and others, which nothing else uses, to judge
with. Defaults were chosen by the same judges, so these are validation figures, not test figures.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from benchmarks import paired

SEEDS = (0, 1)
USUAL = "fine_tune"
VARIANTS: dict[str, dict[str, object]] = {
    USUAL: {},
    "label_smoothing 0": {"label_smoothing": 0.0},
    "augment trivial": {"augment": "trivial"},
    "mix both": {"mix": "both"},
    "averaging ema": {"averaging": "ema"},
}


def measure(shared: Path, weights: Path) -> dict:
    """Both sets, every way against the frozen network, every variant against the usual options.

    Args:
        shared: holds cifar10/ and flowers/.
        weights: of mobilenet_v2.
    """
    from benchmarks.__main__ import processor

    small = ("small_resnet", "small", list(VARIANTS))
    large = ("mobilenet_v2", str(weights), [USUAL, "fine_tune last"])
    return {
        "sets": {
            "cifar10": _set(shared / "cifar10", 10, (80, 40, 160), *small),
            "flowers": _set(shared / "flowers", 20, (10, 6, 30), *large),
        },
        "seeds": list(SEEDS),
        "preset": "quick",
        "layers": "last",
        "precision": "fp32",
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "processor": processor(),
    }


def _set(
    folder: Path,
    num_classes: int,
    per_class: tuple[int, int, int],
    name: str,
    weights: str,
    ways: list[str],
) -> dict:
    """Trains and judges each way with each seed."""
    import torch

    from flowerlib import metrics, models

    splits = _drawn(folder, 3 if paired.dry() else num_classes, per_class)
    backbone = models.backbone(name, weights)
    right: dict[str, list[torch.Tensor]] = {}
    seconds: dict[str, list[float]] = {}
    for way in ["frozen", *ways]:
        for seed in SEEDS:
            start = time.process_time()
            answers = _judged(splits, backbone, way, seed)
            right.setdefault(way, []).append(answers)
            seconds.setdefault(way, []).append(time.process_time() - start)
            counts = int(answers.sum()), len(answers)
            accuracy = metrics.format_accuracy(*counts, f"{folder.name} to judge on")
            print(f"  {way}, seed {seed}: {accuracy}", flush=True)
    rows = {}
    for way, answers in right.items():
        cells = torch.stack(answers).double()
        accuracy, *interval = metrics.crossed_interval(cells)
        rows[way] = {"accuracy": accuracy, "interval": interval}
        rows[way]["processor_seconds"] = [round(value, 1) for value in seconds[way]]
        for other in {"frozen", USUAL if USUAL in right else "frozen"} - {way}:
            gain, *interval = metrics.crossed_interval(cells - torch.stack(right[other]).double())
            rows[way][f"minus {other}"] = {"mean": gain, "interval": interval}
    return {
        "backbone": name,
        "num_classes": len(splits.class_names),
        "num_images": {"learn": len(splits.train), "choose": len(splits.valid)},
        "judged_on": len(splits.test),
        "rows": rows,
    }


def _drawn(folder: Path, num_classes: int, per_class: tuple[int, int, int]):
    """Learn, choose and judge: so many photos of each of the largest classes, out of train."""
    from flowerlib import data

    every = data.image_folder(folder).train
    largest = np.argsort(-every.counts(), kind="stable")[:num_classes]
    every = every.of_classes(sorted(every.class_names[label] for label in largest))
    parts: list[list[int]] = [[], [], []]
    random = np.random.default_rng(0)
    for label in range(num_classes):
        order = random.permutation(np.flatnonzero(every.labels == label))
        for part, some in zip(parts, np.split(order, np.cumsum(per_class))[:3], strict=True):
            part.extend(some.tolist())
    learn, choose, judge = (every.subset(sorted(part)) for part in parts)
    return data.Splits(learn, choose, judge, every.class_names, folder.name, "photos", "")


def _judged(splits, backbone, way: str, seed: int):
    """For each photo of the judges, whether the trained classifier is right."""
    from flowerlib import train
    from flowerlib.train import FineTuning

    options = {"preset": "quick", "layers": "last", "precision": "fp32", "seed": seed}
    if way in VARIANTS:
        made = train.fine_tune(splits, backbone, FineTuning(**VARIANTS[way]), **options)
    else:
        fine_tune = "last" if way == "fine_tune last" else "none"
        made = train.transfer(splits, backbone, fine_tune=fine_tune, **options)
    found = made.evaluate(splits.test, precision="fp32")
    return found.logits.argmax(1) == found.labels
