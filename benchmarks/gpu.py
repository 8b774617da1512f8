"""All flowers on one GPU: from the photos' files to the test accuracy, everything loaded before.

Warm means that the process has imported everything and has passed some photos through the same
network already; features are not cached. Opening the photos, which the processor does, is measured
alone as well: while that takes as long as everything, a faster GPU gains nothing.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from benchmarks import paired

RUNS = 5
FEW = 512  # photos that warm up the device


def measure(shared: Path, weights: Path, device: str = "cuda") -> dict:
    """Seconds of `train.transfer` and `evaluate`, and of opening the photos alone.

    Args:
        shared: holds flowers/.
        weights: of mobilenet_v2.
        device: "cuda"; on another one it works as well, for a test.
    """
    import torch

    from flowerlib import data, features, models, train
    from flowerlib.features.engine import choose_device

    device = choose_device(device)  # refuses one that is not there
    splits = data.image_folder(shared / "flowers")
    assert splits.test is not None
    if paired.dry():
        splits = splits.of_classes(splits.class_names[:3])
    backbone = models.multi_level(models.backbone("mobilenet_v2", weights))
    preprocessing = models.default_preprocessing(backbone)
    every = data.join(splits.train, splits.valid, splits.test)
    few = every.subset(range(0, len(every), max(1, len(every) // FEW)))
    features.extract(backbone, few, preprocessing, device=device, cache=False)
    runs = []
    for _ in range(1 if paired.dry() else RUNS):
        start = time.perf_counter()
        classifier = train.transfer(splits, backbone, device=device, cache=False)
        found = classifier.evaluate(splits.test, device=device, cache=False)
        runs.append({"seconds": time.perf_counter() - start, "test_accuracy": found.accuracy})
        runs[-1]["phases"] = {**classifier.results["seconds"], "test": found.seconds}

    def opened(index: int) -> None:
        preprocessing.pixels(every.image(index, shrink_to=preprocessing.resize))

    start = time.perf_counter()
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # as many as `Engine.stream` has
        for _ in pool.map(opened, range(len(every))):
            pass
    opening = time.perf_counter() - start
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "precision": classifier.results["precision"],
        "photos": len(every),
        "median_seconds": round(median(run["seconds"] for run in runs), 3),
        "opening_alone_seconds": round(opening, 3),
        "runs": runs,
        "machine": paired.machine(),
    }
