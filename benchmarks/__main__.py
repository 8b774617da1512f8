"""Measures what results/ holds, and writes README's table from it.

    python -m benchmarks            all but the long ones
    python -m benchmarks flowers    one of them
    python -m benchmarks table      only rewrite the tables of the Markdown pages
    python -m benchmarks list       names and expected minutes

With FLOWERLIB_BENCH_DRY=1 those that compare two sides run on a handful of photos, and record
nothing.

The real photos and weights are looked for in FLOWERLIB_SHARED, or in shared/data beside the
checkout: flowers/, and weights/mobilenet_v2_features.safetensors. Each training run is a fresh
process, so start-up counts.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import processes
from flowerlib.cli import WAITING

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results"
SHARED = Path(os.environ.get("FLOWERLIB_SHARED", ROOT.parent / "shared" / "data")).resolve()
WEIGHTS = SHARED / "weights" / "mobilenet_v2_features.safetensors"
MOBILENET = ("--backbone", "mobilenet_v2", "--weights", str(WEIGHTS))
START, END = "<!-- table: python -m benchmarks table -->", "<!-- end of table -->"


def run(cache: Path, name: str, *arguments: str) -> dict:
    """`flowerlib train` in a fresh process; its results with wall time and peak memory added."""
    found = {**processes.train(*arguments, cache=cache), "processor": processor()}
    write(name, found)
    return found


def flowers() -> None:
    """All 8,189 real flower photos: cold cache, warm cache, the source's head, preset best."""
    _need_photos()
    with tempfile.TemporaryDirectory() as folder:
        data, cache = str(SHARED / "flowers"), Path(folder)
        run(cache, "flowers_linear_cold", data, *MOBILENET)
        run(cache, "flowers_linear_warm", data, *MOBILENET, "--seed", "1")
        for _ in range(2):  # it sees other features, which the first run computes
            run(cache, "flowers_hidden_warm", data, *MOBILENET, "--head", "hidden")
        run(cache / "other", "flowers_best_cold", data, *MOBILENET, "--preset", "best")


def garden() -> None:
    """The offline flowers: frozen small DenseNet, trained and random weights, everything cold."""
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), "garden_linear_cold", "garden")
        run(Path(folder), "garden_random_weights", "garden", "--weights", "none")


def garden_seeds() -> None:
    """What the garden shows, drawn with five seeds: pixels, scratch, frozen, random weights."""
    from benchmarks import garden

    write("garden_seeds", {**garden.measure(), "processor": processor()})


def scratch() -> None:
    """The flower lesson's network from random weights, trained well, beside the frozen one."""
    from benchmarks import scratch as work

    write("scratch", {**work.measure(), "processor": processor()})


def real_lessons() -> None:
    """Every lesson on real photos; FLOWERLIB_LESSONS="04_flowers" for some of them.

    FLOWERLIB_BACKBONE=mobilenet_v2 for another of `lessons.BACKBONES` than the default network.
    """
    from benchmarks import lessons

    backbone = os.environ.get("FLOWERLIB_BACKBONE", "efficientnet_lite0")
    names = os.environ.get("FLOWERLIB_LESSONS", "").split()
    if backbone not in lessons.BACKBONES:
        sys.exit(f"No lessons are recorded with {backbone}; known: {', '.join(lessons.BACKBONES)}.")
    _, record = lessons.BACKBONES[backbone]
    known = read(record) if (RESULTS / f"{record}.json").is_file() else {}
    for name, found in lessons.measure(SHARED, backbone, names):
        known[name] = found
        write(record, dict(sorted(known.items())))  # after each: the next takes minutes


def extraction() -> None:
    """`features.extract` beside a beginner's loop; FLOWERLIB_NETWORKS="resnet50" for some."""
    from benchmarks import throughput

    _need_photos()
    record = f"extraction_{own_kind()}"
    known = read(record) if (RESULTS / f"{record}.json").is_file() else {}
    for name in os.environ.get("FLOWERLIB_NETWORKS", " ".join(throughput.COUNTS)).split():
        print(f" {name}", flush=True)
        weights = str(WEIGHTS) if name == "mobilenet_v2" else "none"
        known[name] = throughput.measure(name, SHARED, weights)
        write(record, known)  # after each: the next takes minutes


def frontier() -> None:
    """Accuracy against wall time on the real flowers, and its figure."""
    from benchmarks import frontier as work
    from flowerlib import plots

    _need_photos()
    found = work.measure(SHARED, WEIGHTS)
    write("frontier", {**found, "processor": processor()})
    points = found["points"]
    axes = plots.frontier(
        [point["seconds"] for point in points],
        [point["valid_accuracy"] for point in points],  # it decides, as in the table
        [point["name"] for point in points],
        "Features of more stages are worth more than larger photos",
    )
    axes.set(xlabel="seconds, cold process to test accuracy", ylabel="validation accuracy")
    if not os.environ.get("FLOWERLIB_BENCH_DRY"):
        plots.save(axes, RESULTS / "frontier.png")


def growth() -> None:
    """Time and memory from a thousand to a million photos, and their figure."""
    from benchmarks import growth as work
    from flowerlib import plots

    _need_photos()
    found = work.measure(SHARED, WEIGHTS)
    write("growth", found)
    if not os.environ.get("FLOWERLIB_BENCH_DRY"):
        plots.save(work.figure(found["rows"]), RESULTS / "growth.png")


def million() -> None:
    """Answers for a million photos, or for FLOWERLIB_PHOTOS, by FLOWERLIB_PROCESSES processes."""
    from benchmarks import million as work
    from flowerlib import plots

    found = work.measure(SHARED if (SHARED / "flowers").is_dir() else None)
    write("million", {**found, "processor": processor()})
    if not os.environ.get("FLOWERLIB_BENCH_DRY"):
        plots.save(work.figure(found["rows"]), ROOT / "docs" / "images" / "million.png")


def listing() -> None:
    """Photos in shards listed by one process and by two."""
    from benchmarks import listing as work

    write("listing", work.measure())


def scale_model() -> None:
    """A hundred million photos on 64 GPUs, simulated from what a core does here; and its figure."""
    from benchmarks import scale_model as work
    from flowerlib import plots

    _need_photos()
    found = work.measure(SHARED, WEIGHTS)
    write("scale_model", {**found, "processor": processor()})
    if not os.environ.get("FLOWERLIB_BENCH_DRY"):
        plots.save(work.figure(found["rows"]), ROOT / "docs" / "images" / "scale_model.png")


def small_heads() -> None:
    """Heads of small sets, on an idle machine and on a busy one."""
    from benchmarks import small_heads as work

    write("small_heads", work.measure())


def gpu() -> None:
    """All flowers on one GPU, where there is one."""
    import torch

    from benchmarks import gpu as work

    if not torch.cuda.is_available():
        print("  there is no CUDA device here: left out")
        return
    _need_photos()
    write("gpu", work.measure(SHARED, WEIGHTS))


def own_kind() -> str:
    """What this processor computes in: a key of `KINDS`."""
    from flowerlib.features import engine

    return engine.choose_precision("auto", "cpu")


def for_its_kind(name: str) -> Callable[[], None]:
    """A benchmark with a record for each kind of processor."""
    return lambda: compared(f"{name}_{own_kind()}", name)()


def compared(name: str, module: str, function: str = "measure") -> Callable[[], None]:
    """A benchmark that calls a function of a module with the photos and the weights."""

    def measure() -> None:
        _need_photos()
        work = getattr(importlib.import_module(f"benchmarks.{module}"), function)
        write(name, work(SHARED, WEIGHTS))

    return measure


def _need_photos() -> None:
    if not WEIGHTS.is_file():
        sys.exit(f"The real photos and weights are not in {SHARED}; set FLOWERLIB_SHARED.")


def write(name: str, found: dict) -> None:
    """Stores one measured run; a dry one is only shown."""
    if os.environ.get("FLOWERLIB_BENCH_DRY"):
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(found, indent=2, ensure_ascii=False) + "\n"
    (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")
    print(f"results/{name}.json written", flush=True)


def processor() -> str:
    """The kind of processor, and how many cores this process may use."""
    from flowerlib import lesson

    return f"{lesson.machine()}, {os.cpu_count()} cores"


def read(name: str) -> dict:
    """One measured run."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


# The kinds of processors that were measured, by what networks of convolutions are computed in.
KINDS = {"bf16": "AVX-512 with bf16", "fp32": "AVX2"}


def short_table() -> str:
    """README's results as Markdown: three tasks, as published and by the defaults."""
    rows = {kind: read(f"defaults_{kind}")["rows"] for kind in KINDS}

    def line(task: str, published: str, row: str) -> str:
        one = rows["bf16"][row]
        accuracy, (low, high) = one["test_accuracy"], one["test_interval"]
        times = " | ".join(f"{of[row]['seconds']:.0f} s" for of in rows.values())
        return f"| {task} | {published} | {accuracy:.1%} [{low:.1%}, {high:.1%}] | {times} |"

    lines = [
        "| photos | as published | test accuracy here, 95 % interval | "
        + " | ".join(f"time, {kind}" for kind in KINDS.values())
        + " |",
        "|---|---|---|---|---|",
        line("Oxford's 102 flowers", "91.4 %, 62 to 82 min on a GPU", "flowers"),
        line("dogs and cats, 2,000 photos", "84 %, own network", "dogs and cats"),
        line("beds and sofas, 200 photos", "97 %, 30 s", "beds and sofas"),
    ]
    return "\n".join(lines).replace("%", " %").replace("  %", " %")


def defaults_table() -> str:
    """What `flowerlib train` reaches with its defaults, as Markdown."""
    lines = [
        "| photos | train, valid, test | processor | test accuracy, 95 % interval | wall time "
        "| peak memory |",
        "|---|---|---|---|---|---|",
    ]
    records = {kind: read(f"defaults_{kind}")["rows"] for kind in KINDS}
    for name, first in records["bf16"].items():
        if "test_accuracy" not in first:
            continue
        sizes = ", ".join(f"{first['num_images'][part]:,}" for part in ("train", "valid", "test"))
        for kind, processor in KINDS.items():
            row = records[kind][name]
            low, high = row["test_interval"]
            lines.append(
                f"| {name} | {sizes} | {processor} "
                f"| {row['test_accuracy']:.1%} [{low:.1%}, {high:.1%}] "
                f"| {row['seconds']:.0f} s | {row['peak_memory_mb']:,} MB |"
            )
    return "\n".join(lines).replace("%", " %").replace("  %", " %")


def table() -> str:
    """All results of the command line as Markdown, made from results/."""
    flowers = {
        "flowers_linear_cold": "Oxford flowers, frozen mobilenet_v2, linear head, nothing cached",
        "flowers_linear_warm": "the same again, features cached",
        "flowers_hidden_warm": "the flower article's head and settings, last layer only, cached",
        "flowers_best_cold": "mobilenet_v2, last stage tuned (`--preset best`), nothing cached",
    }
    drawn = {
        "garden_linear_cold": "drawn flowers, frozen small DenseNet (20 + 5 pictures per class)",
        "garden_random_weights": "the same network with random weights",
    }
    cold = read("cold")["rows"]

    def line(what: str, accuracy: float, interval: list[float], seconds: float) -> str:
        low, high = interval
        return f"| {what} | {accuracy:.1%} [{low:.1%}, {high:.1%}] | {seconds:.0f} s |"

    def runs(records: dict[str, str]) -> list[str]:
        found = {what: read(name) for name, what in records.items()}
        return [
            line(what, run["test"]["accuracy"], run["test"]["interval"], run["wall_seconds"])
            for what, run in found.items()
        ]

    def waited(row: str, what: str) -> str:
        found = cold[row]
        seconds = found["median_seconds"]
        return line(what, found["test_accuracy"], found["test_interval"], seconds)

    lines = [
        "| what was trained | test accuracy, 95 % interval | wall time |",
        "|---|---|---|",
        "| flower article, as published: densenet121, hidden head, GPU | 91.4 % | 62 to 82 min |",
        *runs(flowers),
        "| dogs-and-cats article, as published: CNN from scratch | 84 % | |",
        waited("dogs vs cats", "dogs and cats, 2,000 photos, frozen mobilenet_v2, nothing cached"),
        "| beds-and-sofas article, as published: deep MLP head on resnet50 | 97 % | 30 s |",
        waited(
            "beds and sofas, to the printed table",
            "beds and sofas, 200 photos, frozen mobilenet_v2, nothing cached",
        ),
        *runs(drawn),
    ]
    return "\n".join(lines).replace("%", " %").replace("  %", " %")


def frontier_table() -> str:
    """The points of the frontier as Markdown, fastest first."""
    lines = [
        "| image side, px | seconds | validation accuracy, 95 % interval "
        "| test accuracy, 95 % interval | |",
        "|---|---|---|---|---|",
    ]
    for point in sorted(read("frontier")["points"], key=lambda point: point["seconds"]):
        low, high = point["test_interval"]
        lines.append(
            f"| {point['name']} | {point['seconds']:.0f} "
            f"| {_on_valid(point['valid_accuracy'])} "
            f"| {point['test_accuracy']:.1%} [{low:.1%}, {high:.1%}] "
            f"| {'on the frontier' if point['on_frontier'] else ''} |"
        )
    return "\n".join(lines).replace("%", " %").replace("  %", " %")


def speed_table() -> str:
    """How fast photos become features, and heads are solved, as Markdown."""
    lines = [
        "| | processor | plain | flowerlib | speedup, 95 % interval "
        "| of what the processor can do |",
        "|---|---|---|---|---|---|",
    ]
    records = {kind: read(f"extraction_{kind}") for kind in KINDS}
    for name in records["bf16"]:
        for kind, processor in KINDS.items():
            found = records[kind][name]
            speeds = found["images_per_second"]
            theirs, ours = (
                _speed(speeds[side]) for side in ("eager fp32 torchvision", "flowerlib")
            )
            lines.append(
                f"| features, {name} | {processor} | {theirs} | {ours} "
                f"| {_ratio(found['ratio'])} | {found['share_of_roof']:.0%} |".replace("%", " %")
            )
    heads = read("heads")
    processor = KINDS["bf16" if heads["machine"]["bf16_in_hardware"] else "fp32"]
    theirs, ours = (
        heads[side]["median_seconds"] for side in ("LogisticRegressionCV", "flowerlib logistic")
    )
    lines.append(
        f"| a linear head, five penalties | {processor} | {theirs:.0f} s | {ours:.1f} s "
        f"| {_ratio(heads['ratio'])} | |"
    )
    return "\n".join(lines)


def steps_table() -> str:
    """What each step of the fast path brings, as Markdown."""
    lines = [
        "| step | processor | photos/s without it | with it | speedup, 95 % interval "
        "| change in accuracy, points, 95 % interval |",
        "|---|---|---|---|---|---|",
    ]
    for kind, processor in KINDS.items():
        record = read(f"steps_{kind}")
        for step, found in record["steps"].items():
            without, with_it = (
                record["photos"] / found[side]["median_seconds"] for side in ("without", "with")
            )
            gain = found["accuracy_gain"]
            low, high = (100 * value for value in gain["interval"])
            lines.append(
                f"| {step} | {processor} | {without:.0f} | {with_it:.0f} "
                f"| {_ratio(found['ratio'], 2)} "
                f"| {100 * gain['mean']:+.2f} [{low:+.2f}, {high:+.2f}] |"
            )
    return "\n".join(lines)


def recipes_table() -> str:
    """Whole recipes beside `flowerlib train --preset quick`, as Markdown."""
    lines = [
        "| | its best validation accuracy, 95 % interval | its seconds | flowerlib's seconds "
        "| speedup |",
        "|---|---|---|---|---|",
    ]
    for name, key, label in (
        ("source_recipe", "the source's recipe", "the flower article's recipe"),
        ("fastai", "fastai fine_tune", "fastai fine_tune"),
    ):
        found = read(name)
        run = found[key]["runs"][0]
        best = max(row["valid_accuracy"] for row in run["rows"])
        more = "" if run["reached"] else "more than "
        lines.append(
            f"| {label}, {len(run['rows'])} epochs | {_on_valid(best)} | {run['seconds']:,.0f} "
            f"| {found['flowerlib train']['median_seconds']:.0f} "
            f"| {more}{found['ratio']['median']:.0f} |"  # one slow run: an interval would mislead
        )
    return "\n".join(lines).replace("%", " %").replace("  %", " %")


def _on_valid(accuracy: float) -> str:
    """An accuracy on the validation photos of the flowers, with its interval."""
    from flowerlib import metrics

    photos = read("flowers_linear_cold")["num_images"]["valid"]
    low, high = metrics.wilson_interval(round(accuracy * photos), photos)
    return f"{accuracy:.1%} [{low:.1%}, {high:.1%}]"


def _speed(photos: float) -> str:
    return f"{photos:.0f} photos/s" if photos >= 10 else f"{photos:.1f} photos/s"


def _ratio(found: dict, digits: int = 1) -> str:
    low, high = found["interval"]
    return f"{found['median']:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def garden_table() -> str:
    """What the garden shows, and what its small networks know of photos, as Markdown."""
    found = read("garden_seeds")
    lines = [
        f"| drawn pictures, mean over {len(found['seeds'])} seeds | test accuracy, 95 % interval |",
        "|---|---|",
    ]
    for name, row in found["rows"].items():
        if "seconds" not in name:
            (low, high), mean = row["interval"], row["mean"]
            lines.append(f"| {name} | {mean:.1%} [{low:.1%}, {high:.1%}] |")
    small = {name: read(f"pretrain_small_{name}")["evaluation"] for name in ("densenet", "resnet")}
    lines += [
        "",
        "| real photos, 128 px, ridge head: test accuracy, 95 % interval | small DenseNet "
        "| its random weights | small ResNet | its random weights | ImageNet's mobilenet_v2 |",
        "|---|---|---|---|---|---|",
    ]
    for title, name in (
        ("dogs and cats, 500 + 500 to learn from", "dogscats"),
        ("beds and sofas, 100 + 100", "bed_sofa"),
        ("flowers, 20 of each of 102", "flowers"),
    ):
        key = f"{name}, real, 128 px"
        measured = [
            rows[key][who] for rows in small.values() for who in ("pretrained", "random weights")
        ]
        cells = []
        for row in [*measured, small["densenet"][key]["teacher"]]:
            low, high = row["interval"]
            cells.append(f"{row['accuracy']:.1%} [{low:.1%}, {high:.1%}]")
        lines.append(f"| {' | '.join([title, *cells])} |")
    return "\n".join(lines).replace("%", " %").replace("  %", " %")


def hours_table() -> str:
    """What a hundred million photos would take, as Markdown."""
    from benchmarks import scale_model as work

    return work.hours_table(read("scale_model"))


def inputs_table() -> str:
    """What that rests on, as Markdown."""
    from benchmarks import scale_model as work

    return work.inputs_table(read("scale_model"))


def fine_tuning_table() -> str:
    """What fine-tuning earns, as Markdown."""
    from benchmarks import fine_tuning as work

    return work.table(read("fine_tuning"))


# File → the tables between its marks, in their order.
TABLES = {
    "README.md": [short_table],
    "docs/results.md": [defaults_table, table, fine_tuning_table],
    "docs/how_fast.md": [frontier_table, steps_table, speed_table, recipes_table],
    "docs/scale.md": [hours_table, inputs_table],
    "data/README.md": [garden_table],
}


def write_table() -> None:
    """Puts each table between the marks of its file."""
    for name, tables in TABLES.items():
        parts = (ROOT / name).read_text(encoding="utf-8").split(START)
        for at, (make, part) in enumerate(zip(tables, parts[1:], strict=True), start=1):
            parts[at] = f"\n{make()}\n{END}{part.split(END)[1]}"
        (ROOT / name).write_text(START.join(parts), encoding="utf-8", newline="\n")


# Name → what it runs, and how many minutes that takes on two cores.
BENCHMARKS: dict[str, tuple[Callable[[], None], int]] = {
    "garden": (garden, 1),
    "flowers": (flowers, 5),
    "backbones": (compared("backbones", "equalities", "backbones"), 3),
    "garden_seeds": (garden_seeds, 10),
    "scratch": (scratch, 15),
    "agreement": (compared("predict_equals_evaluate", "equalities", "agreement"), 2),
    "lessons": (real_lessons, 15),
    "frontier": (frontier, 10),
    "extraction": (extraction, 18),
    "steps": (for_its_kind("steps"), 9),
    "heads": (compared("heads", "linear_heads"), 8),
    "small_heads": (small_heads, 3),
    "defaults": (for_its_kind("defaults"), 6),
    "cold": (compared("cold", "cold"), 12),
    "growth": (growth, 12),
    "million": (million, 60),
    "listing": (listing, 2),
    "scale_model": (scale_model, 1),
    "fine_tuning": (compared("fine_tuning", "fine_tuning"), 45),
    "eight_bits": (compared("eight_bits", "eight_bits"), 12),
    "together": (compared("together", "together"), 5),
    "gpu": (gpu, 2),
    "source_recipe": (compared("source_recipe", "rivals", "source"), 35),
    "fastai": (compared("fastai", "rivals", "fastai"), 30),
    "table": (write_table, 0),
}
LONG = 20  # minutes; what takes longer runs only when named


def main() -> None:
    """Runs the benchmarks named on the command line, or all that are not long."""
    for name, value in WAITING.items():  # as `flowerlib` does
        os.environ.setdefault(name, value)
    names = sys.argv[1:] or [name for name, (_, minutes) in BENCHMARKS.items() if minutes <= LONG]
    if names == ["list"]:
        for name, (_, minutes) in BENCHMARKS.items():
            print(f"{name:15} {minutes:3} min{'  only when named' if minutes > LONG else ''}")
        return
    if unknown := [name for name in names if name not in BENCHMARKS]:
        sys.exit(f"Unknown benchmark {unknown[0]}; known: {', '.join(BENCHMARKS)}.")
    for name in names:
        work, minutes = BENCHMARKS[name]
        print(f"{name}: about {minutes} min", flush=True)
        work()


if __name__ == "__main__":
    main()
