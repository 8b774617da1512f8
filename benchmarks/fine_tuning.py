"""What fine-tuning brings, and what single options of it bring, on few real photos.

Small on purpose: three quarters of an hour on one core. Everything is taken out of the training
folders: some photos to learn from, some to choose the epoch with, and others, which nothing else
uses, to judge with. Defaults were chosen by the same judges, so these are validation figures, not
test figures.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from benchmarks import paired

SEEDS = range(5)
NETWORK = "efficientnet_lite0"
USUAL = "fine_tune"
VARIANTS: dict[str, dict[str, object]] = {
    USUAL: {},
    "lr 1e-4": {"lr": 1e-4},
    "lr 1e-3": {"lr": 1e-3},
    "layer_decay 1": {"layer_decay": 1.0},
    "unfreeze_epochs 3": {"unfreeze_epochs": 3},
    "schedule one-cycle": {"schedule": "one-cycle"},
    "label_smoothing 0.1": {"label_smoothing": 0.1},
    "augment trivial": {"augment": "trivial"},
    "mix both": {"mix": "both"},
    "averaging ema": {"averaging": "ema"},
}
WAYS = ("frozen", "fine_tune last", *VARIANTS)


def measure(shared: Path, weights: Path) -> dict:
    """Both sets, every way against the frozen network, every variant against the usual options.

    Args:
        shared: holds flowers/ and dogscats/.
        weights: not used; the default network brings its own.
    """
    from benchmarks.__main__ import processor

    return {
        "network": NETWORK,
        "sets": {
            "flowers": _set(shared / "flowers", 10, (8, 6, 30)),
            "dogs and cats": _set(shared / "dogscats", 2, (30, 15, 150)),
        },
        "seeds": list(SEEDS),
        "preset": "quick",
        "layers": "last",
        "precision": "fp32",
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "processor": processor(),
    }


def _set(folder: Path, num_classes: int, per_class: tuple[int, int, int]) -> dict:
    """Trains and judges each way with each seed."""
    import torch

    from flowerlib import metrics, models

    splits = _drawn(folder, min(3, num_classes) if paired.dry() else num_classes, per_class)
    backbone = models.backbone(NETWORK)
    right: dict[str, list[torch.Tensor]] = {}
    seconds: dict[str, list[float]] = {}
    for way in WAYS:
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
        for other in sorted({"frozen", USUAL} - {way}):
            gain, *interval = metrics.crossed_interval(cells - torch.stack(right[other]).double())
            rows[way][f"minus {other}"] = {"mean": gain, "interval": interval}
    return {
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


def table(record: dict) -> str:
    """Each way's accuracy on both sets, and its difference from the usual options, as Markdown."""
    sets = record["sets"]
    lines = [
        "| | "
        + " | ".join(f"{name}: accuracy, 95 % interval | points above the default" for name in sets)
        + " |",
        "|---" * (1 + 2 * len(sets)) + "|",
    ]
    names = {"frozen": "frozen", "fine_tune last": "`--fine-tune last`"}
    names[USUAL] = "`--fine-tune all`, the default options"
    for way in WAYS:
        cells = [names.get(way, f"with {way}")]
        for found in sets.values():
            row = found["rows"][way]
            low, high = row["interval"]
            cells.append(f"{row['accuracy']:.1%} [{low:.1%}, {high:.1%}]".replace("%", " %"))
            gain = row.get(f"minus {USUAL}")
            values = [100 * value for value in (gain["mean"], *gain["interval"])] if gain else []
            cells.append("{:+.1f} [{:+.1f}, {:+.1f}]".format(*values) if gain else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
