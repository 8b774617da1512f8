"""Test accuracy against wall time on the real flowers: how large should the photos be?

Each point is a fresh process with an empty cache, from its start to the test accuracy. The
settings on the frontier are what `--preset` offers; valid alone decides.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks import paired, processes

# Side of the images in pixels, what the head sees, and whether the last stage is tuned.
SETTINGS = (
    *((side, "multi-level", False) for side in (96, 112, 128, 160, 192, 224, 256)),
    *((side, "last", False) for side in (128, 160, 224)),
    (256, "multi-level", True),
)
USUAL = 224


def point(folder: str, weights: str, side: int, layers: str, tuned: bool, few: int) -> dict:
    """Trains a linear head on mobilenet_v2 at this size, and tests it."""
    from flowerlib import data, models, train

    splits = data.image_folder(folder)
    if few:
        splits = splits.of_classes(splits.class_names[:few])
    backbone = models.backbone("mobilenet_v2", weights)
    classifier = train.transfer(
        splits,
        backbone,
        layers=layers,
        preset="best" if tuned else "standard",
        preprocessing=models.default_preprocessing(backbone).scaled(side / USUAL),
    )
    assert splits.test is not None
    found = classifier.evaluate(splits.test)
    return {
        "valid_accuracy": classifier.results["valid"]["accuracy"],
        "valid_interval": classifier.results["valid"]["interval"],
        "test_accuracy": found.accuracy,
        "test_interval": list(found.interval),
        "precision": classifier.results["precision"],
    }


def measure(shared: Path, weights: Path) -> dict:
    """All points, those on the frontier of valid accuracy marked, and the figure."""
    points = []
    few = 3 if paired.dry() else 0
    for side, layers, tuned in SETTINGS:
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as cache:
            found = processes.call(
                point,
                cache=Path(cache),
                folder=str(shared / "flowers"),
                weights=str(weights),
                side=side,
                layers=layers,
                tuned=tuned,
                few=few,
            )
        seconds = round(time.perf_counter() - start, 1)
        name = f"{side}{', last layer alone' * (layers == 'last')}{', tuned' * tuned}"
        points.append({"name": name, "seconds": seconds, **found})
        low, high = found["valid_interval"]
        accuracy = f"valid accuracy {found['valid_accuracy']:.3f} [{low:.3f}, {high:.3f}]"
        print(f"  {name}: {seconds} s, {accuracy}", flush=True)
    for one in points:
        one["on_frontier"] = not any(
            other["seconds"] < one["seconds"] and other["valid_accuracy"] >= one["valid_accuracy"]
            for other in points
        )
    return {"backbone": "mobilenet_v2", "points": points}
