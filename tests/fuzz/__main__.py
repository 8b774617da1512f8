"""Runs attacks, prints what they came to, and records full runs in results/."""

from __future__ import annotations

import importlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz import Outcome

ROOT = Path(__file__).resolve().parents[2]
NAMES = tuple(
    sorted(file.stem for file in Path(__file__).with_name("attacks").glob("[a-z]*.py"))
)  # a module, an attack


def record(name: str, count: int, outcome: Outcome, seconds: float) -> dict:
    """What results/torture_NAME.json says of a full run."""
    import torch

    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1000
    return {
        "name": f"torture_{name}",
        "attacks": count,
        "ends": dict(sorted(outcome.ends.items())),
        "failures": outcome.failures,
        **outcome.facts,
        "seconds": round(seconds, 1),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000,
        "peak_memory_of_child_processes_mb": children,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "system": platform.system(),
    }


def main(arguments: list[str]) -> int:
    """`NAME...` for full runs, `NAME COUNT` for a smaller one, nothing for all of them."""
    count = int(arguments.pop()) if arguments and arguments[-1].isdigit() else None
    if unknown := [name for name in arguments if name not in NAMES]:
        print(f"No attack {unknown[0]}; known: {', '.join(NAMES)}.")
        return 2
    names = arguments or NAMES
    if len(names) > 1:  # a process for each, so that its peak memory is its own
        counted = [] if count is None else [str(count)]
        command = [sys.executable, "-m", "tests.fuzz"]
        ends = [subprocess.run([*command, name, *counted], cwd=ROOT).returncode for name in names]
        return int(any(ends))
    name = names[0]
    module = importlib.import_module(f"tests.fuzz.attacks.{name}")
    attacks = count or module.FULL
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FLOWERLIB_CACHE"] = str(Path(folder, "cache"))
        outcome = module.attack(attacks, 0, Path(folder))
    found = record(name, attacks, outcome, time.perf_counter() - start)
    print(json.dumps(found, indent=1))
    if count is None:
        path = ROOT / "results" / f"torture_{name}.json"
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return int(bool(outcome.failures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
