"""Fresh processes: how long they take, how much memory they need, what they answer."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowerlib import cli

ROOT = Path(__file__).resolve().parent.parent
# Memory is reported before the process ends: the end of torch's libraries needs 100 MB more.
CALL = """
import json, sys
from benchmarks.processes import peak_memory_mb
from {module} import {name} as function
found = function(**json.loads(sys.argv[1]))
print(json.dumps({{**found, "peak_memory_mb": peak_memory_mb()}}))
"""


class OverLimit(Exception):
    """A process was ended because it took longer than it was given."""


@dataclass(frozen=True)
class Finished:
    """A process that ended well.

    Attributes:
        seconds: wall time from before its start until after its end.
        peak_memory_mb: its largest resident memory, without that of its children; None where
            /proc does not tell.
        peak_anonymous_mb: the same without the pages of files, looked at every 20 ms.
        output: what it printed.
    """

    seconds: float
    peak_memory_mb: int | None
    peak_anonymous_mb: int | None
    output: str


def run(command: list[str], *, cache: Path | None = None, limit: float | None = None) -> Finished:
    """Runs a command in a fresh process.

    Its environment is that of a user: how threads wait, which `python -m benchmarks` sets for
    itself, is taken out again, so each program has what it sets itself.

    Args:
        command: program and arguments.
        cache: the folder of flowerlib's cache, if not the usual one.
        limit: seconds, after which the process is ended.

    Raises:
        OverLimit: it took longer than `limit`.
        SystemExit: it failed.
    """
    environment = {name: value for name, value in os.environ.items() if name not in cli.WAITING}
    if cache:
        environment["FLOWERLIB_CACHE"] = str(cache)
    peaks: dict[str, int] = {}
    start = time.perf_counter()
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        # A thread looks after the memory, so that the wall time is exact.
        watch = threading.Thread(target=_watch, args=(process, peaks), daemon=True)
        watch.start()
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            process.kill()
            raise OverLimit(f"ended after {limit:.0f} s") from None
        seconds = time.perf_counter() - start
        watch.join()
    if process.returncode:
        line = " ".join(command)
        sys.exit(f"exit code {process.returncode} of: {line if len(line) < 300 else line[:300]}")
    return Finished(seconds, peaks.get("VmHWM"), peaks.get("RssAnon"), output)


def _watch(process: subprocess.Popen, peaks: dict[str, int]) -> None:
    """Notes the largest figures of memory in MB until the process ends."""
    while process.returncode is None:
        found = _memory_mb(process.pid)
        if not found:
            return
        for name, value in found.items():
            peaks[name] = max(value, peaks.get(name, 0))
        time.sleep(0.02)


def _memory_mb(process: int | str) -> dict[str, int]:
    """Figures of a process's memory in MB, such as VmHWM and RssAnon; none without /proc."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return {}
    fields = (line.split() for line in lines if line.endswith(" kB"))
    return {name.rstrip(":"): int(value) // 1000 for name, value, _ in fields}


def peak_memory_mb() -> int | None:
    """The largest resident memory of this process so far; None where /proc does not tell."""
    return _memory_mb("self").get("VmHWM")


def call(
    function: Callable[..., dict],
    *,
    cache: Path | None = None,
    limit: float | None = None,
    python: str = sys.executable,
    **arguments: Any,
) -> dict:
    """Calls a function of a module in a fresh process.

    Args:
        function: takes and returns what JSON can hold; must print nothing (it may write to stderr).
        cache, limit: as in `run`.
        python: the interpreter.
        arguments: of the function.

    Returns:
        What the function returned, with the process's peaks of memory.
    """
    code = CALL.format(module=function.__module__, name=function.__name__)
    command = [python, "-c", code, json.dumps(arguments)]
    finished = run(command, cache=cache, limit=limit)
    found = json.loads(finished.output.splitlines()[-1])
    return {**found, "peak_anonymous_mb": finished.peak_anonymous_mb}


def train(*arguments: str, cache: Path) -> dict:
    """`flowerlib train`: its results.json, with wall time and peak memory added."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "flowerlib", "train", *arguments, "--out", folder]
        finished = run(command, cache=cache)
        found = json.loads(Path(folder, "results.json").read_text(encoding="utf-8"))
    found["wall_seconds"] = round(finished.seconds, 1)
    found["peak_memory_mb"] = finished.peak_memory_mb
    return found


def train_cold(*arguments: str) -> dict:
    """`flowerlib train` with an empty cache: seconds of the whole command, accuracies, memory."""
    with tempfile.TemporaryDirectory() as folder:
        found = train(*arguments, cache=Path(folder))
    return {
        "seconds": found["wall_seconds"],
        "valid_accuracy": found["valid"]["accuracy"],
        "test_accuracy": found["test"]["accuracy"],
        "test_interval": found["test"]["interval"],
        "peak_memory_mb": found["peak_memory_mb"],
        "precision": found["precision"],
        "num_images": found["num_images"],
        "phases": found["seconds"],
    }


def train_after_imports(arguments: list[str]) -> dict:
    """`flowerlib train` where everything that it imports is there already: {"seconds": …}."""
    cli.settle()
    from flowerlib.train import transfer  # noqa: F401

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        start = time.perf_counter()
        code = cli.main(["train", *arguments, "--out", folder])
        seconds = time.perf_counter() - start
    if code:
        sys.exit(code)
    return {"seconds": seconds}
