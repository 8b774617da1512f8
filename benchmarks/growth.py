"""Time and memory of each stage as the number of photos grows, from a thousand to a million.

A thousand and eight thousand photos are measured. There are no more real ones, so for a hundred
thousand each photo's file is repeated, with other bytes behind its end, and for a head on a million
its features are, with noise. Features of a million photos are simulated: the line through the two
largest numbers, prolonged. Each row says which it is.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import linear_heads, paired, processes

MEASURED, REPEATED, MOST = (1000, 8000), 100_000, 1_000_000
BACKBONE, LAYERS = linear_heads.BACKBONE, "multi-level"  # as `flowerlib train` takes it


def measure(shared: Path, weights: Path) -> dict:
    """One row a (stage, number of photos): seconds, peak memory in MB, and how they were found.

    Args:
        shared: holds flowers/.
        weights: of mobilenet_v2.
    """
    measured, repeated, most = MEASURED, REPEATED, MOST
    if paired.dry():
        measured, repeated, most = (64, 128), 400, 2000

    def block() -> dict:
        rows: list[dict] = []
        with tempfile.TemporaryDirectory() as copies:
            repeat_files(shared / "flowers", Path(copies), repeated)
            for count in (*measured, repeated):
                how = "measured" if count in measured else "files repeated"
                photos = str(shared / "flowers") if count in measured else copies
                with tempfile.TemporaryDirectory() as cache:
                    for stage in ("features, cold cache", "features, warm cache"):
                        given = {"folder": photos, "weights": str(weights), "count": count}
                        found = processes.call(extract, cache=Path(cache), **given)
                        _add(rows, stage, count, found, how)
        with tempfile.TemporaryDirectory() as folder:
            file = str(Path(folder, "features.npz"))
            size = linear_heads.prepare_file(shared, weights, file, LAYERS)
            for count in (*measured, repeated, most):
                how = "measured" if count <= size["train"] else "features repeated, 5 % noise"
                found = processes.call(solve, cache=Path(folder), file=file, count=count)
                _add(rows, "head", count, found, how)
        return {"rows": rows}

    found = paired.steady(block, tries=1)
    rows = found["rows"]
    for stage in stages(rows):
        if all(row["photos"] < most for row in rows if row["stage"] == stage):
            rows.append(simulated(rows, stage, most))
    found["stages"] = {
        "features": "opening photos, network, cache; memory is that of the whole process",
        "head": "penalty sweep, 102 classes, 2,624 features; an eighth more features to choose on",
        "peak_memory_mb": "what the process holds for itself: without the pages of files, which "
        "the system takes back when it needs them",
        "peak_resident_mb": "with them",
    }
    return found


def figure(rows: list[dict]) -> np.ndarray:
    """Two axes: seconds and memory held against photos; hollow marks are simulated."""
    from flowerlib import plots
    from flowerlib.plots import figures

    axes = plots.figure(9.5, 3.9).subplots(1, 2)
    colors = (figures.BLUE, figures.GREEN, figures.ORANGE)
    for stage, color in zip(stages(rows), colors, strict=True):
        known = sorted(
            (row for row in rows if row["stage"] == stage), key=lambda row: row["photos"]
        )
        for axis, name, unit in ((axes[0], "seconds", 1), (axes[1], "peak_memory_mb", 1000)):
            photos, values = [row["photos"] for row in known], [row[name] / unit for row in known]
            axis.plot(photos, values, color=color, label=stage)
            for x, y, row in zip(photos, values, known, strict=True):
                face = "white" if "simulated" in row["how"] else color
                axis.plot(x, y, "o", color=color, markerfacecolor=face)
    axes[0].set_title("Time grows with the photos", loc="left", fontsize=11)
    most = np.ceil(max(row["peak_memory_mb"] for row in rows) / 100) / 10
    title = f"Memory stays below {most:g} GB: features lie in files"
    axes[1].set_title(title, loc="left", fontsize=11)
    axes[0].set_yscale("log")
    axes[1].set_ylim(bottom=0)
    axes[0].set(xlabel="photos (hollow: simulated)", ylabel="seconds")
    axes[1].set(xlabel="photos (hollow: simulated)", ylabel="peak memory, GB")
    axes[0].legend(frameon=False)
    for axis in axes:
        axis.set_xscale("log")
        axis.spines[["top", "right"]].set_visible(False)
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.yaxis.set_major_formatter("{x:,g}")
    return axes


def _add(rows: list[dict], stage: str, count: int, found: dict, how: str) -> None:
    row = {"stage": stage, "photos": count, "seconds": round(found["seconds"], 3)}
    row["peak_memory_mb"] = found["peak_anonymous_mb"]
    rows.append({**row, "peak_resident_mb": found["peak_memory_mb"], "how": how})
    print(f"  {rows[-1]}", file=sys.stderr, flush=True)


def stages(rows: list[dict]) -> list[str]:
    """The names of the stages, in the order of their first row."""
    return list(dict.fromkeys(row["stage"] for row in rows))


def simulated(rows: list[dict], stage: str, count: int) -> dict:
    """The row of a stage for `count` photos: the line through its two largest numbers, prolonged.

    A negative slope, which only noise can cause, is taken for none.
    """
    known = [row for row in rows if row["stage"] == stage and "simulated" not in row["how"]]
    one, two = sorted(known, key=lambda row: row["photos"])[-2:]
    made: dict = {"stage": stage, "photos": count}
    for name in ("seconds", "peak_memory_mb"):
        if one[name] is None or two[name] is None:
            made[name] = None
            continue
        slope = max(0.0, (two[name] - one[name]) / (two["photos"] - one["photos"]))
        made[name] = round(two[name] + slope * (count - two["photos"]), 1)
    made["how"] = f"simulated: line through {one['photos']:,} and {two['photos']:,} photos"
    return made


def repeat_files(folder: Path, out: Path, count: int) -> None:
    """Writes `count` photos that are all different to a program, though not to the eye.

    Behind the end of each JPEG, where decoders stop to read, stands the number of the copy.
    """
    from flowerlib.data.folders import listing

    originals = [Path(file).read_bytes() for file in listing.read(folder).folder.below()]
    for number in range(count):
        name = out / f"{number // 1000:03}" / f"{number:06}.jpg"
        name.parent.mkdir(exist_ok=True)
        name.write_bytes(originals[number % len(originals)] + number.to_bytes(4, "big"))


def extract(folder: str, weights: str, count: int) -> dict:
    """Features of `count` of the photos in a folder, through the cache of the environment."""
    from flowerlib import features, models
    from flowerlib.data import Photos
    from flowerlib.data.folders import listing

    files = [*listing.read(folder).folder.below()]
    picked = [files[at] for at in np.linspace(0, len(files) - 1, count).astype(int)]
    photos = Photos(picked, np.zeros(count, int), ["photo"])
    backbone = models.backbone(BACKBONE, weights, layers=LAYERS)
    start = time.perf_counter()
    preprocessing = models.default_preprocessing(backbone)
    features.extract(backbone, photos, preprocessing, compact=True)
    return {"seconds": time.perf_counter() - start}


def solve(file: str, count: int) -> dict:
    """The linear head on `count` features of train, repeated with 5 % noise where there are less.

    As many again, an eighth, serve as validation set.
    """
    import torch

    from flowerlib import solvers
    from flowerlib.features import engine
    from flowerlib.support import storage

    given = {name: torch.from_numpy(values) for name, values in np.load(file).items()}
    generator = torch.Generator().manual_seed(0)
    kind = engine.KINDS[engine.choose_precision("auto", "cpu")]  # as features.extract has them

    def drawn(name: str, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        known, labels = given[name], given[f"{name}_labels"]
        at = torch.arange(number) * 7919 % len(known)  # 7919 is prime: every class has its share
        values = storage.empty(number, known.shape[1], kind)
        size = 0.05 * float(known.std()) if number > len(known) else 0.0
        for part, rows in zip(values.split(1000), at.split(1000), strict=True):
            noise = torch.randn(part.shape, generator=generator)
            torch.add(known[rows], noise, alpha=size, out=part)
        return values, labels[at]

    train, labels = drawn("train", count)
    valid, valid_labels = drawn("valid", max(1, count // 8))
    classes = int(given["train_labels"].max()) + 1
    start = time.perf_counter()
    solvers.logistic(train, labels, valid, valid_labels, classes)
    return {"seconds": time.perf_counter() - start}
