"""What a first user gets: `flowerlib train` and `predict` with no options, nothing cached."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from statistics import median
from unittest import mock

from benchmarks import paired, processes

RUNS = 3  # of `predict`; a training is long enough to vary less, and runs once
# What is trained → the command's arguments; {shared} holds all photos.
SETS = {
    "flowers": ["{shared}/flowers"],
    "flowers, official split": ["flowers", "--split", "official"],
    "dogs and cats": ["{shared}/dogscats"],
    "beds and sofas": ["{shared}/bed_sofa"],
}


def measure(shared: Path, weights: Path) -> dict:
    """Seconds and accuracies of each set, and the median of the seconds of `predict`.

    Args:
        shared: holds flowers/, bed_sofa/ and dogscats/.
        weights: not used; the default backbone brings its own.
    """
    return paired.steady(lambda: {"rows": _rows(shared)}, tries=1)


def _rows(shared: Path) -> dict:
    rows: dict[str, dict] = {}
    for name, arguments in SETS.items():
        # Where `flowerlib train flowers` finds them; gone again for the next benchmark.
        with mock.patch.dict(os.environ, FLOWERLIB_DATA=str(shared)):
            rows[name] = processes.train_cold(*(text.format(shared=shared) for text in arguments))
        print(f"  {name}: {rows[name]['seconds']:.1f} s", flush=True)
    rows["predict, one photo"] = _predict(shared)
    return rows


def _predict(shared: Path) -> dict:
    """`flowerlib predict` of one photo in a fresh process, after a training of beds and sofas."""
    cli = [sys.executable, "-m", "flowerlib"]
    with tempfile.TemporaryDirectory() as folder:
        cache, model = Path(folder, "cache"), Path(folder, "run")
        processes.run([*cli, "train", str(shared / "bed_sofa"), "--out", str(model)], cache=cache)
        photo = next((shared / "bed_sofa" / "test" / "bed").iterdir())
        command = [*cli, "predict", str(photo), "--model", str(model / "classifier.safetensors")]
        runs = [processes.run(command, cache=cache) for _ in range(RUNS)]
    return {
        "seconds": [round(run.seconds, 2) for run in runs],
        "median_seconds": round(median(run.seconds for run in runs), 2),
        "peak_memory_mb": max(run.peak_memory_mb or 0 for run in runs) or None,
    }
