"""One process with two threads beside two processes with one thread each, started by torchrun.

Both train the same on the same two cores, from an empty cache: what starting and exchanging costs.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import paired, processes

PROCESSES, PAIRS = 2, 3
ALONE = [sys.executable, "-m", "flowerlib"]
TOGETHER = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
TOGETHER += ["--nproc-per-node", str(PROCESSES), "-m", "flowerlib"]
NAMES = ("one process, two threads", "two processes, one thread each")


def measure(shared: Path, weights: Path) -> dict:
    """Whole commands in turn: seconds, phases, accuracies, and how far the heads differ.

    Args:
        shared: holds flowers/.
        weights: of mobilenet_v2.
    """
    arguments = [str(shared / "flowers"), "--backbone", "mobilenet_v2", "--weights", str(weights)]
    heads: dict[str, np.ndarray] = {}

    def side(name: str, start: list[str]) -> dict:
        with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryDirectory() as out:
            before = cpu_seconds()
            finished = processes.run(
                [*start, "train", *arguments, "--out", out, "--force"], cache=Path(cache)
            )
            used = cpu_seconds() - before
            found = json.loads(Path(out, "results.json").read_text(encoding="utf-8"))
            heads[name] = head_of(Path(out, "classifier.safetensors"))
        return {
            "seconds": round(finished.seconds, 1),
            "cpu_seconds": round(used, 1),
            "phases": found["seconds"],
            "valid_accuracy": found["valid"]["accuracy"],
            "test_accuracy": found["test"]["accuracy"],
            "test_interval": found["test"]["interval"],
            "threads": found["threads"],
            "precision": found["precision"],
        }

    def block() -> dict:
        return paired.compare(
            lambda: side(NAMES[0], ALONE),
            lambda: side(NAMES[1], TOGETHER),
            names=NAMES,
            pairs=PAIRS,
        )

    found = paired.steady(block, tries=1)
    one, two = (heads[name] for name in NAMES)
    found["head_difference"] = float(np.linalg.norm(one - two) / np.linalg.norm(one))
    return found


def cpu_seconds() -> float:
    """Of all processes that this one has started and that have ended: less hurt by other load."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def head_of(classifier: Path) -> np.ndarray:
    """The weight (C, D) of a classifier's head."""
    from flowerlib.classifier import Classifier

    return Classifier.load(classifier).head[0].weight.numpy()
