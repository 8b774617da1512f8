"""What each step of the fast path brings: without it beside with it, in seconds and in accuracy.

Both sides are `features.extract` on the same photos, fresh processes that time themselves; one of
them has the step undone. The accuracies are those of a linear head on either side's features of all
photos, on the same random splits.
"""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import paired, processes

BACKBONE = "mobilenet_v2"
COUNT = 800  # photos of a timed run
SPLITS = 5
JUDGED = 819  # photos of a split to choose the penalty on, and as many to judge

# By the precision that the processor computes in.
STEPS = {
    "fp32": ("ONNX Runtime instead of plain torch", "one photo at a time instead of four"),
    "bf16": ("16 bits instead of 32", "ReLU on integers"),
}


def measure(shared: Path, weights: Path) -> dict:
    """For each step the paired ratio of seconds, and the paired difference of accuracies."""
    from flowerlib.features import engine

    steps = STEPS[engine.choose_precision("auto", "cpu")]
    given = {"folder": str(shared / "flowers"), "weights": str(weights)}
    count = 16 if paired.dry() else COUNT

    def block() -> dict:
        found: dict = {"steps": {}}
        for step in steps:
            print(f" {step}", flush=True)
            run = partial(processes.call, extract, **given, count=count, out="")
            found["steps"][step] = paired.compare(
                partial(run, step=""), partial(run, step=step), names=("with", "without")
            )
        with tempfile.TemporaryDirectory() as folder:
            files = {step: str(Path(folder, f"{at}.npz")) for at, step in enumerate(("", *steps))}
            for step, file in files.items():
                print(f" all photos without {step or 'nothing'}", flush=True)
                most = count if paired.dry() else 0
                processes.call(extract, **given, count=most, out=file, step=step)
            for step in steps:
                pair = {"first": files[""], "second": files[step]}
                measured = processes.call(differences, **pair)
                found["steps"][step]["accuracy_with"] = measured["accuracy_with"]
                found["steps"][step]["accuracy_gain"] = measured["accuracy_gain"]
        return found

    # Once: neighbors make a pair, so a machine that slows down slows both sides.
    return {"photos": count, "splits": SPLITS, **paired.steady(block, tries=1)}


def extract(folder: str, weights: str, count: int, out: str, step: str) -> dict:
    """Features of `count` photos, all if 0, with a step undone; to the file `out`, if named."""
    from flowerlib import data, features, models

    splits = data.image_folder(folder)
    assert splits.test is not None
    every = data.join(splits.train, splits.valid, splits.test)
    if count:
        every = every.subset(np.linspace(0, len(every) - 1, count).astype(int))
    backbone = models.backbone(BACKBONE, weights, layers="multi-level")
    preprocessing = models.default_preprocessing(backbone)
    options = undo(step)
    start = time.perf_counter()
    found = features.extract(backbone, every, preprocessing, cache=False, **options)
    seconds = time.perf_counter() - start
    if out:
        np.savez(out, values=found.values.numpy(), labels=found.labels.numpy())
    return {"seconds": seconds, "precision": found.precision}


def undo(step: str) -> dict:
    """Takes a step out of this process's flowerlib; returns options for `features.extract`."""
    from flowerlib.features import rounding, runtime

    if step == "16 bits instead of 32":
        return {"precision": "fp32"}
    if step == "ONNX Runtime instead of plain torch":
        runtime.suits = lambda network: False
    elif step == "one photo at a time instead of four":
        runtime.PIXELS *= 4
    elif step == "ReLU on integers":
        rounding.IntegerReLU.forward = lambda layer, maps: layer.activation(maps)
    elif step:
        raise ValueError(f"no such step: {step}")
    return {}


def differences(first: str, second: str) -> dict:
    """By how much a linear head is more accurate on the first file's features, over splits."""
    import torch

    from flowerlib import metrics, solvers

    sides = []
    for file in (first, second):
        given = np.load(file)
        values, labels = torch.from_numpy(given["values"]), torch.from_numpy(given["labels"])
        judged = min(JUDGED, len(labels) // 4)
        accuracies = []
        for seed in range(SPLITS):
            order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
            valid, test, train = order[:judged], order[judged : 2 * judged], order[2 * judged :]
            head = solvers.logistic(
                values[train], labels[train], values[valid], labels[valid],
                int(labels.max()) + 1, refit=True,
            ).head  # fmt: skip
            with torch.inference_mode():
                accuracies.append(metrics.accuracy(head(values[test]), labels[test]))
        sides.append(accuracies)
    gains = [one - other for one, other in zip(*sides, strict=True)]
    mean, low, high = metrics.mean_interval(gains)
    return {
        "accuracy_with": round(float(np.mean(sides[0])), 4),
        "accuracy_gain": {"mean": round(mean, 4), "interval": [round(low, 4), round(high, 4)]},
    }
