"""Answers for a million photos by several processes: memory of each against photos done, photos/s.

There are not that many photos here, so each shard but the first is a link to the first one: for the
program, other photos under other names; on the disk, a hundred. Each is listed, read, decoded and
answered like any other. They are small, and so is the network, since what surrounds both is
measured. Any number will do: FLOWERLIB_PHOTOS=20000 python -m benchmarks million.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import processes

PER_SHARD, MILLION, DRY = 100, 1_000_000, 2048
BACKBONE, SIDE = "small_resnet", 48  # the smallest; pixels of a photo's longer side
ROWS = 60  # in the record
PAUSE = 0.5  # seconds between two looks


def measure(shared: Path | None = None) -> dict:
    """One run of `flowerlib predict --out` over links to a shard.

    Args:
        shared: holds flowers/; drawn pictures if None.

    Returns:
        Rows of (photos done, seconds, memory of each process in MB), and what follows from them.
    """
    dry = bool(os.environ.get("FLOWERLIB_BENCH_DRY"))
    count = int(os.environ.get("FLOWERLIB_PHOTOS", DRY if dry else MILLION))
    size = int(os.environ.get("FLOWERLIB_PROCESSES", "2"))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        photos = _real(shared / "flowers") if shared else drawn()
        link_shards(root / "shards", photos, count)
        disk = sum(file.lstat().st_blocks * 512 for file in (root / "shards").iterdir())
        model = _model(root)
        rows, seconds = _watched(root, model, size)
        answers = sum(1 for _ in open(root / "answers.csv", encoding="utf-8")) - 1
    assert answers == count, (answers, count)
    kilobytes = np.mean([len(content) for content in photos]) / 1000
    return {
        "photos": count,
        "what": f"{'flowers' if shared else 'drawn'}: {len(photos)} files of {SIDE} pixels and "
        f"{kilobytes:.1f} kB on average, in links to one shard; network {BACKBONE}",
        "processes": size,
        "disk_mb": round(disk / 1e6, 1),
        "seconds": round(seconds, 1),
        **summed(rows),
        "rows": thinned(rows),
    }


def link_shards(out: Path, photos: list[bytes], count: int, classes: int = 1) -> None:
    """`count` photos in shards: the first is written, the others are links to it."""
    out.mkdir(parents=True)
    whole, rest = divmod(count, PER_SHARD)
    for number in range(whole + bool(rest)):
        shard, here = out / f"{number:06}.tar", PER_SHARD if number < whole else rest
        if number and here == PER_SHARD:
            shard.symlink_to("000000.tar")
            continue
        with tarfile.open(shard, "w") as archive:
            for at in range(here):
                content = photos[at % len(photos)]
                for ending, inside in (("jpg", content), ("cls", b"photo %d" % (at % classes))):
                    about = tarfile.TarInfo(f"{at:04}.{ending}")
                    about.size = len(inside)
                    archive.addfile(about, io.BytesIO(inside))


def _real(folder: Path) -> list[bytes]:
    from flowerlib.data.folders import listing

    files = [*listing.read(folder).folder.below()]
    picked = np.linspace(0, len(files) - 1, min(len(files), PER_SHARD)).astype(int)
    return [_encoded(Image.open(files[at]).convert("RGB")) for at in picked]


def drawn() -> list[bytes]:
    """Flowers of the garden as JPEG."""
    from flowerlib import garden

    pictures = (garden.picture("flowers", index, index, size=SIDE) for index in range(16))
    return [_encoded(Image.fromarray(picture)) for picture in pictures]


def _encoded(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.thumbnail((SIDE, SIDE))
    picture.save(stream, "JPEG")
    return stream.getvalue()


def _model(root: Path) -> Path:
    """A classifier that is quickly trained; what it answers does not matter."""
    from flowerlib import data, train
    from flowerlib.transforms import Preprocessing

    splits = data.garden("pets", per_class=(8, 4, 4), size=SIDE)
    small = Preprocessing(SIDE, SIDE)
    train.transfer(splits, BACKBONE, preprocessing=small).save(root / "classifier.safetensors")
    return root / "classifier.safetensors"


def _watched(root: Path, model: Path, size: int) -> tuple[list[dict], float]:
    """Runs the command; looks at its parts and processes until it has ended."""
    start = ["-m", "flowerlib"]
    if size > 1:
        options = ["--standalone", "--nproc-per-node", str(size)]
        start = ["-m", "torch.distributed.run", *options, *start]
    command = [sys.executable, *start, "predict", str(root / "shards")]
    command += ["--model", str(model), "--out", str(root / "answers.csv")]
    rows: list[dict] = []
    begin = time.perf_counter()
    with open(root / "said", "w") as said:
        running = subprocess.Popen(command, stdout=said, stderr=said, cwd=processes.ROOT)
        while running.poll() is None:
            time.sleep(PAUSE)
            parts = sum(1 for _ in (root / "answers.csv.parts").glob("??????.csv"))
            workers = children(running.pid) if size > 1 else [running.pid]
            memory = [processes._memory_mb(worker) for worker in workers]
            if parts and len(memory) == size and all("RssAnon" in one for one in memory):
                if not rows or 512 * parts > rows[-1]["photos"]:
                    rows.append(
                        {
                            "photos": 512 * parts,
                            "seconds": round(time.perf_counter() - begin, 1),
                            "anonymous_mb": [one["RssAnon"] for one in memory],
                            "resident_mb": [one["VmRSS"] for one in memory],
                        }
                    )
    if running.returncode:
        sys.exit((root / "said").read_text())
    return rows, time.perf_counter() - begin


def children(process: int) -> list[int]:
    """The processes that a process has started, as Linux tells."""
    try:
        listed = Path(f"/proc/{process}/task/{process}/children").read_text()
    except OSError:
        return []
    return [int(number) for number in listed.split()]


def summed(rows: list[dict]) -> dict:
    """Photos/s between the first and the last row, and how memory grows over the second half."""
    first, last = rows[0], rows[-1]
    speed = (last["photos"] - first["photos"]) / max(last["seconds"] - first["seconds"], 1e-9)
    late = rows[len(rows) // 2 :]
    photos = np.array([row["photos"] for row in late]) / 1e6
    growth = [
        float(np.polyfit(photos, [row["anonymous_mb"][at] for row in late], 1)[0])
        if len(late) > 2
        else 0.0
        for at in range(len(last["anonymous_mb"]))
    ]
    return {
        "seconds_to_first_part": first["seconds"],
        "photos_per_second": round(speed, 1),
        "largest_anonymous_mb": max(max(row["anonymous_mb"]) for row in rows),
        "growth_mb_per_million": [round(one, 1) for one in growth],
    }


def thinned(rows: list[dict]) -> list[dict]:
    """At most `ROWS` of the rows, the first and the last among them."""
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(ROWS, len(rows))).astype(int))
    return [rows[at] for at in chosen]


def figure(rows: list[dict]) -> np.ndarray:
    """Two axes: seconds against photos, and the memory of each process."""
    from flowerlib import plots
    from flowerlib.plots import figures

    axes = plots.figure(9.5, 3.4).subplots(1, 2)
    photos = [row["photos"] / 1000 for row in rows]
    axes[0].plot(photos, [row["seconds"] / 60 for row in rows], color=figures.BLUE)
    axes[0].set_title("Time grows with the photos", loc="left", fontsize=11)
    axes[0].set(xlabel="thousand photos", ylabel="minutes")
    memory = np.array([row["anonymous_mb"] for row in rows])
    axes[1].plot(photos, memory, color=figures.GREEN, linewidth=1)
    axes[1].set_title("Memory does not", loc="left", fontsize=11)
    axes[1].set(xlabel="thousand photos", ylabel="MB, each process")
    for axis in axes:
        axis.set_ylim(0, 1.1 * axis.get_ylim()[1])
        axis.spines[["top", "right"]].set_visible(False)
        axis.xaxis.set_major_formatter("{x:,.0f}")
    return axes
