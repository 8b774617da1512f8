"""Seconds until valid accuracy reaches 0.914, flowers: ours, cold, beside whole other recipes.

The other side takes up to an hour, so it runs once, between cold runs of ours. Where it does not
reach the goal within its epochs, the ratio is a lower bound, and the record says so.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks import fastai_recipe, paired, processes, source_recipe

GOAL = 0.914  # the source's own accuracy
BUILD = processes.ROOT / "build" / "benchmarks"
PRESET = ("--preset", "quick")


def source(shared: Path, weights: Path) -> dict:
    """The source's recipe in plain torchvision; FLOWERLIB_BENCH_EPOCHS stops it earlier than 10.

    Where it was stopped, the next call goes on: its state is in build/benchmarks/ until it is done.
    """
    epochs = _epochs(1 if paired.dry() else 10)
    BUILD.mkdir(parents=True, exist_ok=True)
    state = BUILD / ("dry.pt" if paired.dry() else "source_recipe.pt")
    if paired.dry():
        state.unlink(missing_ok=True)

    def theirs(folder: Path) -> dict:
        return processes.call(
            source_recipe.train,
            folder=str(folder),
            weights=str(weights),
            epochs=epochs,
            goal=GOAL,
            state=str(state),
            started=time.time(),
        )

    found = _measure(shared, weights, theirs, "the source's recipe", epochs)
    if found["the source's recipe"]["runs"][0]["reached"] or epochs >= 10:
        state.unlink(missing_ok=True)
    return found


def fastai(shared: Path, weights: Path) -> dict:
    """fastai's fine_tune: one frozen epoch, then FLOWERLIB_BENCH_EPOCHS (2) of the whole network.

    FLOWERLIB_BENCH_PYTHON names an interpreter that has fastai, if this one has not.
    """
    python = os.environ.get("FLOWERLIB_BENCH_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import fastai"], stderr=subprocess.DEVNULL).returncode:
        sys.exit(
            "fastai is not installed: pip install 'fastai>=2.8' beside torch, or name an "
            "interpreter that has it in FLOWERLIB_BENCH_PYTHON."
        )
    epochs = _epochs(1 if paired.dry() else 2)
    with tempfile.TemporaryDirectory() as scratch:
        unfolded = str(Path(scratch, "unfolded.pt"))
        processes.call(
            fastai_recipe.unfold,
            folder=str(shared / "flowers" / "train"),
            weights=str(weights),
            out=unfolded,
            count=8 if paired.dry() else 96,
        )

        def theirs(folder: Path) -> dict:
            return processes.call(
                fastai_recipe.train,
                python=python,
                folder=str(folder),
                weights=unfolded,
                epochs=epochs,
                goal=GOAL,
                started=time.time(),
                batch_size=8 if paired.dry() else 64,
            )

        return _measure(shared, weights, theirs, "fastai fine_tune", epochs + 1)


def _measure(shared: Path, weights: Path, theirs, name: str, epochs: int) -> dict:
    """Ours twice, theirs once, ours twice; and what to think of the ratio."""
    with photos(shared) as folder:
        network = ("--backbone", "mobilenet_v2", "--weights", str(weights))
        arguments = [str(folder), *network, *(PRESET if has_preset() else ())]

        def block() -> dict:
            return paired.compare(
                partial(processes.train_cold, *arguments),
                partial(theirs, folder),
                names=("flowerlib train", name),
                pairs=4,
                once=True,
            )

        found = paired.steady(block, tries=1)
    last = found[name]["runs"][0]
    ours = min(run["valid_accuracy"] for run in found["flowerlib train"]["runs"])
    if last["reached"]:
        verdict = f"reached {GOAL} on valid in epoch {len(last['rows'])}"
    else:
        verdict = f"{GOAL} on valid not reached in {epochs} epochs: the ratio is a lower bound"
    return {
        "goal": GOAL,
        "verdict": verdict,
        "ours_reached": ours >= GOAL,
        "ours_options": list(PRESET) if has_preset() else [],
        **found,
    }


def has_preset() -> bool:
    """Whether `flowerlib train` can be asked to be quick."""
    command = [sys.executable, "-m", "flowerlib", "train", "--help"]
    return "--preset" in processes.run(command).output


@contextmanager
def photos(shared: Path) -> Iterator[Path]:
    """The folder of the flower photos; for a dry run, links to a few of them."""
    if not paired.dry():
        yield shared / "flowers"
        return
    with tempfile.TemporaryDirectory() as scratch:
        for part, count in (("train", 10), ("valid", 3), ("test", 3)):
            for name in ("1", "2", "17"):
                folder = Path(scratch, part, name)
                folder.mkdir(parents=True)
                files = sorted((shared / "flowers" / part / name).iterdir())
                for file in files[:count]:
                    (folder / file.name).symlink_to(file)
        yield Path(scratch)


def _epochs(default: int) -> int:
    return int(os.environ.get("FLOWERLIB_BENCH_EPOCHS", default))
