"""Measures what results/ holds, and writes README's table from it.

    python -m benchmarks            all of it
    python -m benchmarks flowers    one of them
    python -m benchmarks table      only write README's table anew

The real photos and weights are looked for in FLOWERLIB_SHARED, or in shared/data beside the
checkout: flowers/, and weights/mobilenet_v2_features.safetensors. Each training run is a fresh
process, so start-up counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results"
SHARED = Path(os.environ.get("FLOWERLIB_SHARED", ROOT.parent / "shared" / "data"))
WEIGHTS = SHARED / "weights" / "mobilenet_v2_features.safetensors"
MOBILENET = ("--backbone", "mobilenet_v2", "--weights", str(WEIGHTS))
START, END = "<!-- table: python -m benchmarks table -->", "<!-- end of table -->"


def run(cache: Path, name: str, *arguments: str) -> dict:
    """`flowerlib train` in a fresh process; its results with wall time and peak memory added."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "flowerlib.cli", "train", *arguments, "--out", folder]
        start = time.perf_counter()
        environment = {**os.environ, "FLOWERLIB_CACHE": str(cache)}
        with subprocess.Popen(command, env=environment) as process:
            peak = _watch(process)
        wall = time.perf_counter() - start
        if process.returncode:
            sys.exit(f"{name}: flowerlib ended with exit code {process.returncode}")
        found = json.loads(Path(folder, "results.json").read_text(encoding="utf-8"))
    found["wall_seconds"] = round(wall, 1)
    found["peak_memory_mb"] = peak
    found["processor"] = processor()
    write(name, found)
    return found


def _watch(process: subprocess.Popen) -> int | None:
    """Waits for a process; its peak resident memory in MB, or None where /proc does not tell."""
    peak = None
    while process.poll() is None:
        try:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1000
        except (OSError, StopIteration):
            pass
        time.sleep(0.05)
    return peak


def flowers() -> None:
    """All 8,189 real flower photos: cold cache, warm cache, the source's head."""
    if not WEIGHTS.is_file():
        sys.exit(f"The real photos and weights are not in {SHARED}; set FLOWERLIB_SHARED.")
    with tempfile.TemporaryDirectory() as folder:
        data, cache = str(SHARED / "flowers"), Path(folder)
        run(cache, "flowers_linear_cold", data, *MOBILENET)
        run(cache, "flowers_linear_warm", data, *MOBILENET, "--seed", "1")
        run(cache, "flowers_hidden_warm", data, *MOBILENET, "--head", "hidden")


def garden() -> None:
    """The offline flowers: frozen small DenseNet, trained and random weights, everything cold."""
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), "garden_linear_cold", "garden")
        run(Path(folder), "garden_random_weights", "garden", "--weights", "none")


def garden_seeds() -> None:
    """What the garden shows, on worlds of five seeds: pixels, scratch, frozen, random weights."""
    from benchmarks import garden

    write("garden_seeds", {**garden.measure(), "processor": processor()})


def agreement() -> None:
    """Prediction, photo by photo, against evaluation on all test photos, in fp32."""
    from flowerlib import data, models, train

    splits = data.image_folder(SHARED / "flowers")
    small = data.Splits(
        splits.train.per_class(3),
        splits.valid.per_class(1),
        splits.test,
        splits.class_names,
        splits.name,
        splits.world,
        splits.origin,
    )
    backbone = models.backbone("mobilenet_v2", WEIGHTS)
    classifier = train.transfer(small, backbone, precision="fp32", cache=False)
    evaluated = classifier.evaluate(splits.test, precision="fp32", cache=False).logits
    worst, spread = 0.0, float(evaluated.abs().max())
    for index, path in enumerate(splits.test.source):
        logits = classifier.predict(path, 1, precision="fp32").logits
        worst = max(worst, float((logits - evaluated[index]).abs().max()))
    found = {"photos": len(evaluated), "largest_difference": worst, "largest_logit": spread}
    write("predict_equals_evaluate", found)


def backbones() -> None:
    """The large backbones with random weights: equal to torchvision's own, frozen, one epoch."""
    import torch
    from torchvision import models as torchvision_models

    from flowerlib import data, features, models, train

    splits = data.image_folder(SHARED / "flowers")
    part = data.Splits(
        splits.train.per_class(2),
        splits.valid.per_class(1),
        None,
        splits.class_names,
        "flowers",
        "real",
        "2 + 1 photos a class",
    )
    rows = []
    for name in ("densenet121", "resnet50", "resnet101"):
        torch.manual_seed(0)
        whole = torchvision_models.get_model(name, weights=None).eval()
        cut = models.backbone(name, "none").eval()
        last = getattr(whole, "fc", None) or whole.classifier
        cut.body.load_state_dict(whole.state_dict(), strict=False)
        images = torch.randn(2, 3, 224, 224)
        with torch.inference_mode():
            gap = float((last(cut(images)) - whole(images)).abs().max())
        before = cut.digest()
        trained = train.transfer(part, cut, head="hidden", epochs=1, cache=False)
        row = {"backbone": name, "difference_to_torchvision": gap, "frozen": before == cut.digest()}
        prep = models.default_preprocessing(cut)
        photos = part.train.subset(range(96))
        for precision in ("fp32", "bf16"):
            speed = features.extract(cut, photos, prep, precision=precision, cache=False)
            row[f"images_per_second_{precision}"] = round(speed.images_per_second, 1)
        row["seconds_one_epoch"] = round(sum(trained.results["seconds"].values()), 1)
        rows.append(row)
    write("backbones", {"rows": rows, "processor": processor(), "threads": torch.get_num_threads()})


def real_lessons() -> None:
    """Every lesson on real photos; FLOWERLIB_LESSONS="03_flowers" for some of them."""
    from benchmarks import lessons

    file = RESULTS / "lessons_real.json"
    known = read("lessons_real") if file.is_file() else {}
    known |= lessons.measure(SHARED, os.environ.get("FLOWERLIB_LESSONS", "").split())
    write("lessons_real", dict(sorted(known.items())))


def write(name: str, found: dict) -> None:
    """Stores one measured run."""
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


def table() -> str:
    """README's results as Markdown, made from results/."""
    lines = [
        "| what was trained | test accuracy, 95 % interval | wall time |",
        "|---|---|---|",
        "| the source: densenet121, hidden head, on a GPU | 91.4 % | 62 to 82 min |",
    ]
    told = {
        "flowers_linear_cold": "Oxford flowers, frozen mobilenet_v2, linear head, nothing cached",
        "flowers_linear_warm": "the same again, features cached",
        "flowers_hidden_warm": "the same features, the source's head and settings",
        "garden_linear_cold": "the garden's flowers, small DenseNet (20 + 5 pictures a class)",
        "garden_random_weights": "the same network with random weights",
    }
    for name, what in told.items():
        found = read(name)
        low, high = found["test"]["interval"]
        lines.append(
            f"| {what} | {found['test']['accuracy']:.1%} [{low:.1%}, {high:.1%}] "
            f"| {found['wall_seconds']:.0f} s |"
        )
    return "\n".join(lines).replace("%", " %").replace("  %", " %")


def write_table() -> None:
    """Puts the table between its two marks in README.md."""
    file = ROOT / "README.md"
    before, rest = file.read_text(encoding="utf-8").split(START)
    after = rest.split(END)[1]
    file.write_text(f"{before}{START}\n{table()}\n{END}{after}", encoding="utf-8")


BENCHMARKS = {
    "garden": garden,
    "flowers": flowers,
    "backbones": backbones,
    "garden_seeds": garden_seeds,
    "agreement": agreement,
    "lessons": real_lessons,
    "table": write_table,
}


def main() -> None:
    """Runs the benchmarks named on the command line, or all of them."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    names = sys.argv[1:] or list(BENCHMARKS)
    if unknown := [name for name in names if name not in BENCHMARKS]:
        sys.exit(f"Unknown benchmark {unknown[0]}; known: {', '.join(BENCHMARKS)}.")
    for name in names:
        BENCHMARKS[name]()


if __name__ == "__main__":
    main()
