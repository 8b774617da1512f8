"""What a user waits for: whole commands in fresh processes, with their peak memory.

Cold means a fresh process and an empty feature cache; the photos' files may be in the system's
memory already, as they are on a machine where they were just downloaded or looked at.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks import paired, processes, rivals

DRAWS = 10  # of the quick preset: its accuracy is given as a mean

# Learn from 200 photos, judge the 200 others, print a table: one cold process. As in lesson 5,
# whole photos are squashed and padded, and the penalty is fixed in advance.
BEDS = """
import json, sys
import torch
from flowerlib import data, features, metrics, models, solvers
from flowerlib.support import tables
splits = data.image_folder(sys.argv[1], valid=0.2)
backbone = models.backbone("mobilenet_v2", sys.argv[2])
usual = models.default_preprocessing(backbone)
every = data.join(splits.train, splits.valid, splits.test)
ways = usual.squashed(), usual.padded()
values = torch.cat([features.extract(backbone, every, way).values for way in ways], 1)
labels, known = torch.from_numpy(every.labels), len(every) - len(splits.test)
mine = values[:known], labels[:known]
head = solvers.logistic(*mine, *mine, len(splits.class_names), penalties=(1e-4,)).head
answers, labels = head(values[known:]).argmax(1), labels[known:]
right = int((answers == labels).sum())
rows = [
    {
        "class": name,
        "photos": int((labels == label).sum()),
        "right": int(((labels == label) & (answers == label)).sum()),
    }
    for label, name in enumerate(splits.class_names)
]
print(tables.table(rows).text())
accuracy, interval = right / len(labels), metrics.wilson_interval(right, len(labels))
print(json.dumps({"test_accuracy": accuracy, "test_interval": interval}))
"""


def measure(shared: Path, weights: Path) -> dict:
    """Every row of the table of waiting times.

    Args:
        shared: holds flowers/, bed_sofa/ and dogscats/.
        weights: of mobilenet_v2.
    """

    def block() -> dict:
        with rivals.photos(shared) as flowers, tempfile.TemporaryDirectory() as scratch:
            return {"rows": _rows(shared, flowers, weights, Path(scratch))}

    return paired.steady(block, tries=1)  # it takes a quarter of an hour


def _rows(shared: Path, flowers: Path, weights: Path, scratch: Path) -> dict:
    network = ("--backbone", "mobilenet_v2", "--weights", str(weights))
    rows: dict[str, dict] = {}

    def row(name: str, side: Callable[[], dict], times: int) -> None:
        runs = [side() for _ in range(1 if paired.dry() else times)]
        rows[name] = summary(runs)
        print(f"  {name}: {rows[name]['median_seconds']:.2f} s", flush=True)

    python, cli = [sys.executable], [sys.executable, "-m", "flowerlib"]
    row("python -c pass", partial(_command, [*python, "-c", "pass"]), 9)
    row("import flowerlib", partial(_command, [*python, "-c", "import flowerlib"]), 9)
    row("flowerlib --help", partial(_command, [*cli, "--help"]), 9)
    row("import torch", partial(_command, [*python, "-c", "import torch"]), 5)
    row("flowers, all photos", partial(processes.train_cold, str(flowers), *network), 3)
    if rivals.has_preset():
        for preset, times in (("quick", DRAWS), ("standard", 3), ("best", 1)):
            seeds = iter(range(times))
            row(
                f"flowers, --preset {preset}",
                lambda preset=preset, seeds=seeds: processes.train_cold(
                    str(flowers), *network, "--preset", preset, "--seed", str(next(seeds))
                ),
                times,
            )
    if not paired.dry():
        row(
            "dogs vs cats",
            partial(processes.train_cold, str(shared / "dogscats"), *network),
            paired.PAIRS,
        )
    beds = partial(_beds, str(shared / "bed_sofa"), str(weights))
    row("beds and sofas, to the printed table", beds, paired.PAIRS)
    warm = partial(_warm, scratch, str(flowers), *network)
    warm()  # fills the cache
    row("flowers, warm cache, linear head", partial(warm, "--seed", "1"), 3)
    last = partial(warm, "--layers", "last")
    last()  # whose features are others; the hidden head sees them, too
    row("flowers, warm cache, linear head, last layer", partial(last, "--seed", "1"), 3)
    row("flowers, warm cache, hidden head", partial(warm, "--head", "hidden"), 3)
    model = scratch / "run"
    processes.run(
        [*cli, "train", str(flowers), *network, "--out", str(model)], cache=scratch / "cache"
    )
    photo = str(next((flowers / "test" / "1").iterdir()))
    predict = [*cli, "predict", photo, "--model", str(model / "classifier.safetensors")]
    row("flowerlib predict, one photo", partial(_command, predict), paired.PAIRS)
    return rows


def summary(runs: list[dict]) -> dict:
    """Medians of a row's runs, all of its seconds, and accuracies as means."""
    seconds = [run["seconds"] for run in runs]
    found: dict = {"median_seconds": round(median(seconds), 3)}
    found["seconds"] = [round(value, 3) for value in seconds]
    peaks = [run["peak_memory_mb"] for run in runs]
    found["peak_memory_mb"] = None if None in peaks else max(peaks)
    for name in ("valid_accuracy", "test_accuracy"):
        if name in runs[0]:
            found[name] = round(sum(run[name] for run in runs) / len(runs), 4)
            found[f"{name}_runs"] = [round(run[name], 4) for run in runs]
    if "after_imports" in runs[0]:
        found["after_imports"] = round(median(run["after_imports"] for run in runs), 3)
    for name in ("phases", "precision", "num_images", "test_interval"):
        if name in runs[0]:
            found[name] = runs[0][name]
    return found


def _command(command: list[str]) -> dict:
    finished = processes.run(command)
    return {"seconds": finished.seconds, "peak_memory_mb": finished.peak_memory_mb}


def _beds(folder: str, weights: str) -> dict:
    with tempfile.TemporaryDirectory() as cache:
        finished = processes.run([sys.executable, "-c", BEDS, folder, weights], cache=Path(cache))
    return {
        "seconds": finished.seconds,
        "peak_memory_mb": finished.peak_memory_mb,
        **json.loads(finished.output.splitlines()[-1]),
    }


def _warm(scratch: Path, *arguments: str) -> dict:
    found = processes.train(*arguments, cache=scratch / "cache")
    imported = processes.call(
        processes.train_after_imports, cache=scratch / "cache", arguments=arguments
    )
    return {
        "seconds": found["wall_seconds"],
        "after_imports": imported["seconds"],
        "phases": found["seconds"],
        "test_accuracy": found["test"]["accuracy"],
        "peak_memory_mb": found["peak_memory_mb"],
        "precision": found["precision"],
    }
