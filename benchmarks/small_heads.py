"""How long a small head takes: on the machine as it is, and on one with a load of four.

Small sets are what lessons and first tries have, and a laptop in a classroom does other things,
too. Seconds are those of the solver alone, the first call in a fresh process included.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks import paired, processes

LOAD = 4  # processes that compute at the same time
RUNS = 5  # fresh processes
REPEATS = 4  # solves in each
# 20 classes, as wide as multi-level features of mobilenet_v2.
CLASSES, PER_CLASS, VALID_PER_CLASS, WIDTH = 20, 25, 10, 2624
# Those of the lesson on flowers.
LESSON_CLASSES, LESSON_PER_CLASS, LESSON_BACKBONE = 102, (20, 5, 5), "small_densenet"


def measure() -> dict:
    """Seconds of `solvers.logistic` with five penalties and the refit, for both sets."""
    runs = 1 if paired.dry() else RUNS

    def block() -> dict:
        found: dict[str, dict] = {}
        with tempfile.TemporaryDirectory() as folder:
            for name, prepare in (("drawn features", draw), ("a lesson's head", extract)):
                file = str(Path(folder, f"{prepare.__name__}.npz"))
                sizes = processes.call(prepare, file=file)
                found[name] = {key: sizes[key] for key in ("train", "valid", "width", "classes")}
                for state, count in states().items():
                    with busy(count):
                        solved = [processes.call(solve, file=file) for _ in range(runs)]
                    found[name][state] = {**summed(solved), "busy_processes": count}
                    print(f"  {name}, {state}: {found[name][state]}", flush=True)
        return found

    return paired.steady(block, tries=1)


def summed(runs: list[dict]) -> dict:
    """The median and the longest of all solves, and of the processor's seconds."""
    found = {}
    for name in ("seconds", "processor_seconds"):
        every = [value for run in runs for value in run[name]]
        found[f"median_{name}"] = round(float(np.median(every)), 3)
        found[f"longest_{name}"] = round(max(every), 3)
    return {**found, "solves": len(every), "load": max(run["load"] for run in runs)}


def lacking() -> int:
    """How many processes the machine lacks to be as busy as `LOAD`."""
    return max(0, LOAD - round(os.getloadavg()[0]))


def states() -> dict[str, int]:
    """How many busy processes to start beside the solver; a busy machine needs none."""
    return {"as it is": 0, "busy": lacking()} if lacking() else {"busy": 0}


@contextlib.contextmanager
def busy(count: int) -> Iterator[list[subprocess.Popen]]:
    """Inside it, so many other processes compute without a pause."""
    with contextlib.ExitStack() as stack:
        processes_beside = []
        for _ in range(count):
            process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.callback(process.wait)
            stack.callback(process.kill)
            processes_beside.append(process)
        yield processes_beside


def draw(file: str) -> dict:
    """Writes features of overlapping classes, rectified like those of a network."""
    centers = np.random.default_rng(99).normal(size=(CLASSES, WIDTH)) * 0.2
    arrays = {}
    for seed, part, count in ((0, "train", PER_CLASS), (1, "valid", VALID_PER_CLASS)):
        labels = np.repeat(np.arange(CLASSES), count)
        noise = np.random.default_rng(seed).normal(size=(len(labels), WIDTH))
        values = np.maximum(centers[labels] + noise, 0).astype(np.float32)
        arrays |= {part: values, f"{part}_labels": labels}
    return _written(file, arrays)


def extract(file: str) -> dict:
    """Writes the features that the lesson on flowers solves for, of drawn flowers."""
    from flowerlib import data, features, models

    splits = data.garden("flowers", num_classes=LESSON_CLASSES, per_class=LESSON_PER_CLASS)
    backbone = models.backbone(LESSON_BACKBONE)
    preprocessing = models.default_preprocessing(backbone)
    arrays = {}
    for part, photos in (("train", splits.train), ("valid", splits.valid)):
        found = features.extract(backbone, photos, preprocessing, precision="fp32", cache=False)
        arrays |= {part: found.values.numpy(), f"{part}_labels": found.labels.numpy()}
    return _written(file, arrays)


def _written(file: str, arrays: dict[str, np.ndarray]) -> dict:
    np.savez(file, **arrays)
    sizes = {part: len(arrays[part]) for part in ("train", "valid")}
    classes = int(arrays["train_labels"].max()) + 1
    return {**sizes, "width": arrays["train"].shape[1], "classes": classes}


def solve(file: str) -> dict:
    """Solves a few times in this process; wall and processor seconds of each."""
    import torch

    from flowerlib import solvers

    given = [torch.from_numpy(value) for value in np.load(file).values()]
    classes = int(given[1].max()) + 1
    found: dict = {"seconds": [], "processor_seconds": []}
    for _ in range(REPEATS):
        start, used = time.perf_counter(), time.process_time()
        solvers.logistic(*given, classes, refit=True)
        found["seconds"].append(time.perf_counter() - start)
        found["processor_seconds"].append(time.process_time() - used)
    return {**found, "load": round(os.getloadavg()[0], 1)}
