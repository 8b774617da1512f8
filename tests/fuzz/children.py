"""Work in forked processes that can be killed at any moment; POSIX only.

Importing torch takes seconds, forking a process that has it a hundredth of one. But a process may
be forked only before it computes with torch (its threads do not come along), so an attack that
forks is made in a new process of its own, which leaves all computing to its children.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import pickle
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fuzz import Outcome

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 300  # seconds; whoever works longer hangs, and is ended


def in_a_new_process(attack: Callable[[int, int, Path], Outcome], *arguments: Any) -> Outcome:
    """Calls `attack`, a module's function, in a new interpreter on one thread, without a GPU."""
    code = "from tests.fuzz import children; children.answer()"
    ask = pickle.dumps((attack.__module__, attack.__name__, arguments))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, input=ask, stdout=subprocess.PIPE, cwd=ROOT, env=environment)
    if done.returncode:
        raise RuntimeError(f"the attack's process ended with {done.returncode}")
    return pickle.loads(done.stdout)


def answer() -> None:
    """What the new process does: stdin says which attack, its outcome goes to stdout."""
    # torch imports this when it first trains or folds a network, and every child would for itself:
    # a second in which no file is written.
    importlib.import_module("torch._dynamo")
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
        self.reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _work(work, writing)
        os.close(writing)
        self.status: int | None = None

    def ended(self) -> bool:
        """Whether it has come to its end; does not wait."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._end(status) if pid else None
        return self.status is not None

    def kill(self) -> bool:
        """Sends SIGKILL; whether that ended it before it was through."""
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
            self._end(os.waitpid(self.pid, 0)[1])
        killed = os.WIFSIGNALED(self.status) and os.WTERMSIG(self.status) == signal.SIGKILL
        os.close(self.reading)
        return killed

    def result(self) -> Any:
        """Waits for what the work returned.

        Raises:
            RuntimeError: the work raised something, or hung; the message says what.
        """
        if self.status is None:
            self._end(os.waitpid(self.pid, 0)[1])
        # All was written before it ended; grandchildren may still hold the other end open.
        os.set_blocking(self.reading, False)
        content = b""
        with contextlib.suppress(BlockingIOError), open(self.reading, "rb") as pipe:
            content = pipe.read() or b""
        if not content:
            raise RuntimeError(f"a process ended with status {self.status} and no word")
        worked, found = pickle.loads(content)
        if not worked:
            raise RuntimeError(found)
        return found

    def _end(self, status: int) -> None:
        self.status = status
        with contextlib.suppress(ProcessLookupError):  # what it started itself
            os.killpg(self.pid, signal.SIGKILL)


def _work(work: Callable[[], Any], writing: int) -> None:
    """Never returns."""
    try:
        os.setpgid(0, 0)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the last words of killed loaders
        signal.alarm(LONGEST)
        import torch

        torch.set_num_threads(1)
        found = True, work()
    except BaseException as problem:
        where = traceback.extract_tb(problem.__traceback__)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        found = False, f"{type(problem).__name__} at {place}: {problem!s:.400}"
    os.write(writing, pickle.dumps(found))
    os._exit(0)


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
