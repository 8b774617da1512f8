"""SIGKILL to one of two processes that torchrun has started: the other ends, too, and both go on.

Each attack fine-tunes a small network by two processes with a cache of their own, and kills one of
them at a random moment. Half of the time torchrun starts both again (`--max-restarts`), half of the
time the same command is given once more, with `--resume`. The weights must be those of a run that
nobody killed, and the folder of the run must hold the same files. Linux only.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from tests import flower_photos
from tests.fuzz import Outcome

FULL = 50
CLOSE = 1e-5  # sums of two processes are added in the order in which they arrive
LONGEST = 300  # seconds; whoever works longer hangs, and is ended


class Training:
    """A training by two processes, from its start to its end."""

    def __init__(self, folder: Path, photos: Path, *more: str, restarts: int = 0) -> None:
        self.folder, self.out = folder, folder / "run"
        start = ["--standalone", "--nproc-per-node", "2", "--max-restarts", str(restarts)]
        command = [sys.executable, "-m", "torch.distributed.run", *start, "-m", "flowerlib"]
        command += ["train", str(photos), "--backbone", "small_resnet", "--fine-tune", "all"]
        command += ["--epochs", "4", "--batch-size", "8", "--out", str(self.out), *more]
        environment = os.environ | {
            "FLOWERLIB_CACHE": str(folder / "cache"),
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
        }
        folder.mkdir(exist_ok=True)
        with open(folder / "said.txt", "a", encoding="utf-8") as said:
            self.torchrun = subprocess.Popen(
                command, stdout=said, stderr=said, env=environment, start_new_session=True
            )
        while len(self.workers()) < 2 and self.torchrun.poll() is None:
            time.sleep(0.01)
        self.begun = time.perf_counter()

    def workers(self) -> list[int]:
        """The processes that torchrun has started and that have not ended."""
        try:
            listed = Path(f"/proc/{self.torchrun.pid}/task/{self.torchrun.pid}/children")
            return [int(number) for number in listed.read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            return []

    def strike(self, after: float, dice: random.Random) -> str | None:
        """Kills one of the two so many seconds after both began; where it was, or None."""
        time.sleep(max(0.0, self.begun + after - time.perf_counter()))
        workers = self.workers()
        where = self.stage()
        if len(workers) < 2 or where is None:
            return None
        os.kill(dice.choice(workers), signal.SIGKILL)
        return where

    def stage(self) -> str | None:
        """What the processes are about to finish; None if that is all done."""
        if (self.out / "results.json").exists():
            return None
        if (self.out / "training.pt").exists():
            return "between epochs"
        return "in its first epoch" if self.out.exists() else "at its start"

    def end(self) -> int:
        """Waits; the exit code."""
        try:
            return self.torchrun.wait(LONGEST)
        except subprocess.TimeoutExpired:
            os.killpg(self.torchrun.pid, signal.SIGKILL)
            return self.torchrun.wait()

    def last_words(self) -> str:
        """The last line that was printed."""
        lines = (self.folder / "said.txt").read_text(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else "nothing said"


def difference(found: Path, right: Path) -> str | None:
    """How a finished run differs from the right one, or None."""
    names, wanted = ({file.name for file in folder.iterdir()} for folder in (found, right))
    if names != wanted:
        return f"other files: {sorted(names ^ wanted)}"
    mine, theirs = (load_file(folder / "classifier.safetensors") for folder in (found, right))
    for name, values in theirs.items():
        if not np.allclose(mine[name], values, atol=CLOSE):
            return f"{name} differs by {np.abs(mine[name] - values).max():.1e}"
    return None


def attack(count: int, seed: int, folder: Path) -> Outcome:
    """Kills one process of each of `count` trainings; see the module."""
    outcome, dice, kills = Outcome(), random.Random(seed), 0
    photos = flower_photos.draw(folder / "photos")
    undisturbed = Training(folder / "right", photos)
    if undisturbed.end():
        raise RuntimeError(undisturbed.last_words())
    lasting = time.perf_counter() - undisturbed.begun
    while kills < count:
        place = folder / "struck"
        restarts = dice.choice((0, 1))
        converted = Path("cache", "networks")  # it takes longer than the training
        shutil.copytree(undisturbed.folder / converted, place / converted)
        training = Training(place, photos, restarts=restarts)
        where = training.strike(dice.uniform(0, lasting), dice)
        code = training.end()
        lasting *= 0.95 if where is None else 1.02  # other work on the machine comes and goes
        if where is not None and not restarts:
            if code == 0:
                outcome.failures.append(f"{kills}, {where}: ended well without one of the two")
            training = Training(place, photos, "--resume")
            code = training.end()
        fault = training.last_words() if code else difference(training.out, undisturbed.out)
        if where is not None:
            kills += 1
            way = "started again by torchrun" if restarts else "resumed"
            outcome.ends[f"killed {where}, {'broken' if fault else f'{way}, equal'}"] += 1
        outcome.failures += [f"{kills}, {where}, {restarts} restarts: {fault}"] if fault else []
        shutil.rmtree(place)
    outcome.facts["kills"] = kills
    return outcome
