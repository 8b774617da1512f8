"""Time and memory of each stage as the number of photos grows, from a thousand to a million.

A thousand and eight thousand photos are measured. There are no more real ones, so for a hundred
thousand the head is solved on repeated features, with noise, and for a million the stages are
simulated: the line through their two largest numbers, prolonged. Each row says which it is.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import linear_heads, paired, processes

MEASURED, REPEATED, SIMULATED = (1000, 8000), 100_000, 1_000_000
FEATURES = 1280 * 4 / 1e6  # MB a photo


def measure(shared: Path, weights: Path) -> dict:
    """One row a (stage, number of photos): seconds, peak memory in MB, and how they were found.

    Args:
        shared: holds flowers/.
        weights: of mobilenet_v2.
    """
    measured = (64, 128) if paired.dry() else MEASURED
    repeated = 2000 if paired.dry() else REPEATED

    def block() -> dict:
        rows: list[dict] = []
        given = {"folder": str(shared / "flowers"), "weights": str(weights)}
        for count in measured:
            with tempfile.TemporaryDirectory() as folder:
                for stage in ("features, cold cache", "features, warm cache"):
                    found = processes.call(extract, cache=Path(folder), count=count, **given)
                    _add(rows, stage, count, found, "measured")
        with tempfile.TemporaryDirectory() as folder:
            file = str(Path(folder, "features.npz"))
            size = linear_heads.prepare_file(shared, weights, file)
            for count in (*measured, repeated):
                how = "measured" if count <= size["train"] else "features repeated, 5 % noise"
                found = processes.call(solve, file=file, count=count)
                _add(rows, "head", count, found, how)
        return {"rows": rows}

    found = paired.steady(block, tries=1)
    rows = found["rows"]
    for stage in stages(rows):
        if all(row["photos"] < REPEATED for row in rows if row["stage"] == stage):
            rows.append(simulated(rows, stage, REPEATED))
        rows.append(simulated(rows, stage, SIMULATED))
    found["stages"] = {
        "features": "opening photos, network, cache; peak memory of the whole process",
        "head": "penalty sweep, 102 classes, 1,280 features; an eighth more features to choose on",
    }
    return found


def figure(rows: list[dict]) -> np.ndarray:
    """Two axes: seconds and peak memory against photos; hollow marks are simulated."""
    from flowerlib import plots

    axes = plots.figure(9.5, 3.9).subplots(1, 2)
    colors = (plots.BLUE, plots.GREEN, plots.ORANGE)
    for stage, color in zip(stages(rows), colors, strict=True):
        known = sorted(
            (row for row in rows if row["stage"] == stage), key=lambda row: row["photos"]
        )
        for axis, name, unit in ((axes[0], "seconds", 1), (axes[1], "peak_memory_mb", 1000)):
            photos, values = [row["photos"] for row in known], [row[name] / unit for row in known]
            axis.loglog(photos, values, color=color, label=stage)
            for x, y, row in zip(photos, values, known, strict=True):
                face = "white" if "simulated" in row["how"] else color
                axis.plot(x, y, "o", color=color, markerfacecolor=face)
    axes[0].set_title("Time grows with the photos", loc="left", fontsize=11)
    axes[1].set_title("Memory grows with what is kept of each photo", loc="left", fontsize=11)
    axes[0].set(xlabel="photos (hollow: simulated)", ylabel="seconds")
    axes[1].set(xlabel="photos (hollow: simulated)", ylabel="peak memory, GB")
    axes[0].legend(frameon=False)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.yaxis.set_major_formatter("{x:,g}")
    return axes


def _add(rows: list[dict], stage: str, count: int, found: dict, how: str) -> None:
    row = {"stage": stage, "photos": count, "seconds": round(found["seconds"], 3)}
    rows.append({**row, "peak_memory_mb": found["peak_memory_mb"], "how": how})
    print(f"  {rows[-1]}", file=sys.stderr, flush=True)


def stages(rows: list[dict]) -> list[str]:
    """The names of the stages, in the order of their first row."""
    return list(dict.fromkeys(row["stage"] for row in rows))


def simulated(rows: list[dict], stage: str, count: int) -> dict:
    """The row of a stage for `count` photos: the line through its two largest numbers, prolonged.

    A negative slope, which only noise can cause, is taken for none. Memory grows at least by the
    features themselves, which every stage holds: with few photos the peak lies elsewhere.
    """
    known = [row for row in rows if row["stage"] == stage and "simulated" not in row["how"]]
    one, two = sorted(known, key=lambda row: row["photos"])[-2:]
    made: dict = {"stage": stage, "photos": count}
    for name in ("seconds", "peak_memory_mb"):
        if one[name] is None or two[name] is None:
            made[name] = None
            continue
        least = FEATURES if name == "peak_memory_mb" else 0.0
        slope = max(least, (two[name] - one[name]) / (two["photos"] - one["photos"]))
        made[name] = round(two[name] + slope * (count - two["photos"]), 1)
    made["how"] = f"simulated: line through {one['photos']:,} and {two['photos']:,} photos"
    return made


def extract(folder: str, weights: str, count: int) -> dict:
    """Features of `count` flower photos, through the cache that the environment names."""
    from flowerlib import data, features, models, photos

    splits = data.image_folder(folder)
    everyone = photos.join(splits.train, splits.valid, splits.test)
    picked = np.linspace(0, len(everyone) - 1, count).astype(int)
    backbone = models.backbone("mobilenet_v2", weights)
    start = time.perf_counter()
    features.extract(backbone, everyone.subset(picked), models.default_preprocessing(backbone))
    return {"seconds": time.perf_counter() - start}


def solve(file: str, count: int) -> dict:
    """The linear head on `count` features of train, repeated with 5 % noise where there are less.

    As many again, an eighth, serve as validation set.
    """
    import torch

    from flowerlib import solvers

    given = np.load(file)
    generator = torch.Generator().manual_seed(0)

    def drawn(name: str, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        at = np.arange(number) * 7919 % len(given[name])  # 7919 is prime: every class has its share
        values = torch.from_numpy(given[name][at])
        if number > len(given[name]):
            size = 0.05 * float(values[:1000].std())
            for part in values.split(1000):  # in place: noise for all at once would be a peak
                part.add_(torch.randn(part.shape, generator=generator), alpha=size)
        return values, torch.from_numpy(given[f"{name}_labels"][at])

    train, labels = drawn("train", count)
    valid, valid_labels = drawn("valid", max(1, count // 8))
    classes = int(given["train_labels"].max()) + 1
    start = time.perf_counter()
    solvers.logistic(train, labels, valid, valid_labels, classes)
    return {"seconds": time.perf_counter() - start}
