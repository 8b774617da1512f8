"""Work in forked processes that can be killed at any moment; POSIX only.

Importing torch takes seconds, forking a process that has it a hundredth of one. But a process may
be forked only before it computes with torch (its threads do not come along), so an attack that
forks is made in a new process of its own, which leaves all computing to its children.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from tests.fuzz import Outcome

ROOT = Path(__file__).resolve().parents[2]
MOUNTS = "FLOWERLIB_TEST_MOUNTS"  # set for a process whose mounts nobody else sees
LONGEST = 300  # seconds; whoever works longer hangs, and is ended


def in_a_new_process(attack: Callable[[int, int, Path], Outcome], *arguments: Any) -> Outcome:
    """Calls `attack`, a module's function, in a new interpreter on one thread, without a GPU.

    What it mounts, nobody else sees; where that is not allowed, `MOUNTS` is not in its environment.
    """
    code = "from tests.fuzz import children; children.answer()"
    ask = pickle.dumps((attack.__module__, attack.__name__, arguments))
    start = mounts_of_its_own()
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    environment |= {MOUNTS: "1"} if start else {}
    command = [*start, sys.executable, "-c", code]
    done = subprocess.run(command, input=ask, stdout=subprocess.PIPE, cwd=ROOT, env=environment)
    if done.returncode:
        raise RuntimeError(f"the attack's process ended with {done.returncode}")
    return pickle.loads(done.stdout)


def mounts_of_its_own() -> list[str]:
    """What to write before a command so that its mounts are its own; empty if not allowed."""
    start = ["unshare", "--mount", "--propagation", "private"]
    if not shutil.which(start[0]):
        return []
    allowed = subprocess.run([*start, "true"], capture_output=True).returncode == 0
    return start if allowed else []


def answer() -> None:
    """What the new process does: stdin says which attack, its outcome goes to stdout."""
    # Imports what torch imports when it first trains or folds a network, and every child would for
    # itself: a second in which no file is written.
    torch.compiler.reset()
    module, name, arguments = pickle.load(sys.stdin.buffer)
    with contextlib.redirect_stdout(sys.stderr):
        outcome = getattr(importlib.import_module(module), name)(*arguments)
    sys.stdout.buffer.write(pickle.dumps(outcome))


class Child:
    """A forked process that does one piece of work.

    Args:
        work: called in the child; what it returns must be short, and be picklable.
    """

    def __init__(self, work: Callable[[], Any]) -> None:
        context = multiprocessing.get_context("fork")
        self.answers, sending = context.Pipe(duplex=False)
        self.process = context.Process(target=_work, args=(work, sending))
        self.process.start()
        sending.close()

    def ended(self) -> bool:
        """Whether it has come to its end; does not wait."""
        return not self.process.is_alive()

    def kill(self) -> bool:
        """Sends SIGKILL; whether that ended it before it was through."""
        self.process.kill()
        self._wait()
        self.answers.close()
        return self.process.exitcode == -signal.SIGKILL

    def result(self) -> Any:
        """Waits for what the work returned.

        Raises:
            RuntimeError: the work raised something, or hung; the message says what.
        """
        self._wait()
        with self.answers as answers:
            # All was written before it ended; grandchildren may still hold the other end open.
            try:
                worked, found = answers.recv() if answers.poll() else (False, None)
            except EOFError:  # nothing was written, and nobody holds the other end
                worked, found = False, None
        if not worked:
            ended = f"a process ended with {self.process.exitcode} and no word"
            raise RuntimeError(found or ended)
        return found

    def _wait(self) -> None:
        self.process.join()
        with contextlib.suppress(ProcessLookupError):  # what it started itself
            os.killpg(self.process.pid, signal.SIGKILL)


def _work(work: Callable[[], Any], answers: Connection) -> None:
    """What the child does."""
    try:
        os.setpgid(0, 0)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the last words of killed loaders
        signal.alarm(LONGEST)
        torch.set_num_threads(1)
        found = True, work()
    except BaseException as problem:
        where = traceback.extract_tb(problem.__traceback__)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        found = False, f"{type(problem).__name__} at {place}: {problem!s:.400}"
    answers.send(found)


def done(work: Callable[[], Any]) -> Any:
    """What `work` returns, called in a child."""
    return Child(work).result()


def wait_until(child: Child, seconds: float, sign: Callable[[], bool] | None = None) -> None:
    """Returns after so many seconds and then with the sign, or when the child has ended."""
    until = time.perf_counter() + seconds
    while not child.ended():
        left = until - time.perf_counter()
        if left <= 0 and (sign is None or sign()):
            return
        time.sleep(min(0.001, max(left, 0)) if sign is None or left > 0 else 0)


def command(*arguments: str) -> tuple[int, str, str]:
    """Runs a command of flowerlib in this process: exit code, what it printed, its complaint."""
    from flowerlib import cli

    out, complaint = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(complaint):
        code = cli.main(arguments)
    return code, out.getvalue(), complaint.getvalue()
