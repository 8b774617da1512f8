"""How long up to a hundred million photos would take on up to 64 GPUs: computed, not measured.

What one core does for a photo is measured here. What nobody has here (GPUs, their machines, what
connects them) is assumed, in `ASSUMED`: put your own figures there, and run it again. Stages that
overlap count as the longest of them; all others follow each other. Nothing fails, nothing waits for
a slower neighbor, and a store gives every machine the same: real runs take longer.
"""

from __future__ import annotations

import functools
import json
import os
import pickle
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

RESULTS = Path(__file__).resolve().parent.parent / "results"
SIZES, GPUS = (1_000_000, 10_000_000, 100_000_000), (1, 2, 4, 8, 16, 32, 64)
WIDTH, CLASSES = 2624, 102  # of the head in results/growth.json

TITLES = {"predict": "Answers", "train": "Training"}

ASSUMED = {
    "network_photos_per_second": (3000, "photos/s", "one GPU, an EfficientNet-Lite at 224 px"),
    "cores_per_gpu": (16, "cores", "each as fast as the measured one"),
    "gpus_per_machine": (8, "GPUs", ""),
    "machine_bytes_per_second": (25e9, "bytes/s", "network of a machine, 200 Gbit/s"),
    "store_bytes_per_second": (40e9, "bytes/s", "what the store of the photos gives to all"),
    "reduce_latency": (2e-3, "s", "of one all-reduce, whatever its size"),
    "evaluations": (500, "", "of loss and gradient for a head, over five penalties"),
}


def measure(shared: Path, weights: Path) -> dict:
    """Measures what a core does for a photo, and computes the rest.

    Args:
        shared: holds flowers/.
        weights: not needed; as other benchmarks are called.
    """
    del weights
    known = {**measured(shared), **recorded()}
    known |= {
        name: {"value": value, "unit": unit, "how": f"assumed: {what}".rstrip(": ")}
        for name, (value, unit, what) in ASSUMED.items()
    }
    values = {name: one["value"] for name, one in known.items()}
    rows = [
        {
            "photos": photos,
            "gpus": gpus,
            "command": command,
            **simulated(command, photos, gpus, values),
        }
        for command in TITLES
        for photos in SIZES
        for gpus in GPUS
    ]
    return {"inputs": known, "rows": rows}


def simulated(command: str, photos: int, gpus: int, known: dict[str, float]) -> dict:
    """Hours by stage, which of them is the longest, and the gigabytes that a machine must hold.

    Args:
        command: "predict", or "train", of shards whose names say the split.
        photos, gpus: how many; one process for each GPU.
        known: the inputs.
    """
    machines = -(-gpus // known["gpus_per_machine"])
    cores = gpus * known["cores_per_gpu"]
    reading = min(machines * known["machine_bytes_per_second"], known["store_bytes_per_second"])
    row, each = known["feature_bytes"], min(gpus, known["gpus_per_machine"])
    together = {  # while the network computes, threads read and open the next photos
        "reading": photos * known["bytes_per_photo"] / reading,
        "opening": photos * known["open_seconds"] / cores,
        "network": photos / (gpus * known["network_photos_per_second"]),
    }
    longest = max(together, key=lambda name: together[name])
    shared = gpus * known["list_efficiency"] if gpus > 1 else 1.0
    alone = {
        "listing": photos * (known["list_seconds"] / shared + known["gather_seconds"] * (gpus > 1)),
        "arranging by one process": photos * known[f"{command}_arrange_seconds"],
    }
    if command == "train":
        alone["digests"] = max(photos * known["digest_seconds"] / cores, together["reading"])
        # Every process gets the features of all photos, over the network of its machine.
        alone["exchange of features"] = (
            each * photos * row / known["machine_bytes_per_second"] if gpus > 1 else 0.0
        )
        share = 2 * (gpus - 1) / gpus * known["gradient_bytes"] / known["machine_bytes_per_second"]
        reduce = known["evaluations"] * (share + known["reduce_latency"] * (gpus > 1))
        alone["head"] = photos * known["head_core_seconds"] / cores + reduce
        alone["near copies by one process"] = (
            photos * known["sketch_seconds"] / known["cores_per_gpu"]
        )
    stages = {**{name: seconds for name, seconds in together.items()}, **alone}
    total = together[longest] + sum(alone.values())
    limit = max({longest: together[longest], **alone}.items(), key=lambda item: item[1])[0]
    held = each * photos * (known["place_bytes"] + row * (command == "train")) / 1e9
    return {
        "hours": round(total / 3600, 3),
        "limit": limit,
        "hours_by_stage": {name: round(seconds / 3600, 4) for name, seconds in stages.items()},
        "gigabytes_per_machine": round(held, 1),
    }


def measured(shared: Path, count: int = 400, listed: int = 20_000) -> dict:
    """Seconds of one core for a photo, in the processor's time: other programs disturb it less."""
    from benchmarks import million
    from flowerlib.classifier import answer_table
    from flowerlib.data import Photos
    from flowerlib.data.decoding import images
    from flowerlib.data.records import packs, shards
    from flowerlib.data.records.building import from_shards
    from flowerlib.data.splitting import copies
    from flowerlib.data.stored import Stored
    from flowerlib.support.tasks import Task
    from flowerlib.transforms import Preprocessing

    if os.environ.get("FLOWERLIB_BENCH_DRY"):
        count, listed = 20, 500
    preprocessing = Preprocessing(256, 224)
    originals = million._real(shared / "flowers")
    with tempfile.TemporaryDirectory() as folder:
        for part in ("train", "valid", "test"):
            million.link_shards(Path(folder, part), originals, listed // 3, CLASSES)
        listing = _seconds(lambda: shards.read(folder))
        tracemalloc.start()
        stored = Stored(shards.read(folder).source)
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        found, listed = shards.read(folder), len(stored)
        with mock.patch.object(shards, "read", lambda *_: found):
            arranging = _seconds(lambda: from_shards(folder))
        planning = _seconds(lambda: answer_table._digest([*map(stored.name, range(listed))]))
        task = Task(functools.partial(shards.look_into, label=None), packs.files(folder))
        shares = [task.share(rank, 2) for rank in range(2)]
        gathering = _seconds(lambda: task.whole(_sent(shares))) + _seconds(lambda: _sent(stored))
        photos = Photos(stored, np.zeros(listed, int), ["photo"]).subset(range(min(count, listed)))
        contents = [photos.contents.content(at) or b"" for at in range(len(photos))]
        digesting = _seconds(
            lambda: [
                images.digest_of(photos.contents.content(at) or b"") for at in range(len(photos))
            ]
        )
        opening = _seconds(
            lambda: [preprocessing.pixels(images.open_photo(content)) for content in contents]
        )
        sketching = _seconds(
            lambda: [copies.thumbnail(images.sketch(one, copies.SIDE)) for one in contents]
        )

    def one(value: float, unit: str, what: str) -> dict:
        return {"value": float(f"{value:.3g}"), "unit": unit, "how": f"measured: {what}"}

    sizes, each = [len(content) for content in contents], 1 / len(photos)
    return {
        "bytes_per_photo": one(np.mean(sizes), "bytes", "the flowers"),
        "list_seconds": one(listing / listed, "s", f"headers of {listed:,} photos in shards"),
        "gather_seconds": one(gathering / listed, "s", "the same sent to one process, and to all"),
        "train_arrange_seconds": one(arranging / listed, "s", "names, labels, splits of a list"),
        "predict_arrange_seconds": one(planning / listed, "s", "names and states of a list"),
        "place_bytes": one(held / listed, "bytes", "a process's memory for where photos lie"),
        "digest_seconds": one(digesting * each, "s", "reading from a shard in memory, BLAKE2b"),
        "open_seconds": one(opening * each, "s", "decoding, resizing to 256, cutting to 224 px"),
        "sketch_seconds": one(sketching * each, "s", "decoding for a thumbnail"),
    }


def recorded() -> dict:
    """What other records hold, and what follows from them."""
    growth = json.loads((RESULTS / "growth.json").read_text(encoding="utf-8"))
    head = max(
        (row for row in growth["rows"] if row["stage"] == "head"), key=lambda row: row["photos"]
    )
    cores = int(growth["machine"]["processor"].split()[-2])
    listing = json.loads((RESULTS / "listing.json").read_text(encoding="utf-8"))
    return {
        "list_efficiency": {
            "value": listing["efficiency"],
            "unit": "",
            "how": "from results/listing.json: two processes, beside two times as fast as one",
        },
        "head_core_seconds": {
            "value": float(f"{head['seconds'] * cores / head['photos']:.3g}"),
            "unit": "s",
            "how": f"from results/growth.json: a head on {head['photos']:,} photos, {cores} cores",
        },
        "feature_bytes": {
            "value": 2 * WIDTH,
            "unit": "bytes",
            "how": f"computed: {WIDTH:,} numbers of 16 bits",
        },
        "gradient_bytes": {
            "value": 4 * CLASSES * (WIDTH + 1),
            "unit": "bytes",
            "how": f"computed: {CLASSES} classes, {WIDTH:,} features and one more, 32 bits",
        },
    }


def _sent(thing: object) -> Any:
    """A thing as another process gets it."""
    return pickle.loads(pickle.dumps(thing))


def _seconds(work: Callable[[], object]) -> float:
    """Of this thread's processor time; the shortest of three."""
    found = []
    for _ in range(3):
        start = time.thread_time()
        work()
        found.append(time.thread_time() - start)
    return min(found)


def figure(rows: list[dict]) -> np.ndarray:
    """Hours by stage against GPUs, for the most photos: answers, and a training."""
    from flowerlib import plots
    from flowerlib.plots import figures

    most = max(row["photos"] for row in rows)
    axes = plots.figure(11.0, 4.2).subplots(1, 2, sharey=True)
    colors = dict(
        zip(
            ("network", "opening", "reading", "digests", "head"),
            (figures.BLUE, figures.GREEN, figures.ORANGE, "#56B4E9", "#CC79A7"),
            strict=True,
        )
    ) | {
        "exchange of features": figures.RED,
        "listing": figures.GRAY,
        "arranging by one process": "#8C510A",
        "near copies by one process": "black",
    }
    for axis, (command, what) in zip(axes, TITLES.items(), strict=True):
        some = [row for row in rows if row["photos"] == most and row["command"] == command]
        gpus = [row["gpus"] for row in some]
        for name in some[0]["hours_by_stage"]:
            hours = [max(row["hours_by_stage"][name], 1e-3) for row in some]
            axis.plot(gpus, hours, color=colors[name], label=name)
        axis.plot(gpus, [row["hours"] for row in some], "k--", linewidth=1, label="all together")
        title = f"{what}: longest on {gpus[-1]} GPUs is {some[-1]['limit']}"
        axis.set_title(title, loc="left", fontsize=10)
        axis.set(xscale="log", yscale="log", xlabel="GPUs")
        axis.set_xticks(gpus, [str(one) for one in gpus], minor=False)
        axis.minorticks_off()
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel(f"hours for {most:,} photos, simulated")
    axes[0].set_ylim(bottom=2e-3)
    axes[1].legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return axes


def inputs_table(record: dict) -> str:
    """What the simulation rests on, as Markdown."""
    lines = ["| | value | how it is known |", "|---|---|---|"]
    for name, one in record["inputs"].items():
        value, unit = one["value"], one["unit"]
        size = next(
            (s for s in ((1e9, "G"), (1e6, "M"), (1, ""), (1e-3, "m")) if value >= s[0]), None
        )
        scale, prefix = size or (1e-6, "μ")
        if unit not in ("bytes", "bytes/s", "s"):
            scale, prefix = 1, ""
        shown = f"{value / scale:,.3g}" if value / scale < 1000 else f"{value / scale:,.0f}"
        lines.append(f"| {name.replace('_', ' ')} | {shown} {prefix}{unit} | {one['how']} |")
    return "\n".join(lines).replace("  |", " |")


def hours_table(record: dict) -> str:
    """Hours for the most photos by number of GPUs, and what takes longest, as Markdown."""
    lines = [
        "| photos | GPUs | answers | longest stage | training | longest stage | held in training |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = {(row["command"], row["photos"], row["gpus"]): row for row in record["rows"]}
    for photos in SIZES:
        for gpus in (1, 8, 64):
            answers, training = (rows[command, photos, gpus] for command in TITLES)
            lines.append(
                f"| {photos:,} | {gpus} | {_hours(answers)} | {answers['limit']} "
                f"| {_hours(training)} | {training['limit']} "
                f"| {training['gigabytes_per_machine']:,.0f} GB |"
            )
    return "\n".join(lines)


def _hours(row: dict) -> str:
    return f"{row['hours']:.{2 if row['hours'] >= 0.1 else 3}f} h"
