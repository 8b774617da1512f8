"""Processes of Python that need not import torch first: forked from a server that has it.

A fresh interpreter takes four seconds of a core until flowerlib can train; such a process, a tenth.
They are right where a test needs a process of its own, and wrong where it needs a fresh one. Where
there is no fork, each of them is fresh.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import runpy
import socket
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

METHODS = multiprocessing.get_all_start_methods()
CONTEXT = multiprocessing.get_context("forkserver" if "forkserver" in METHODS else "spawn")
# The server computes nothing, since threads would not come along into a fork.
CONTEXT.set_forkserver_preload(["tests.preload"])


@dataclass
class Ended:
    """How a process ended; the code is minus the signal that ended it."""

    code: int
    out: str
    err: str


class Python:
    """`python ARGUMENTS`, where these begin with -c or -m; it runs while the caller goes on.

    Args:
        arguments: as on the command line.
        environment: its whole environment; as a default, this process's.
    """

    def __init__(self, arguments: list[str], environment: dict[str, str] | None = None) -> None:
        self.folder = tempfile.TemporaryDirectory()
        streams = [str(Path(self.folder.name, name)) for name in ("out", "err")]
        given = [str(argument) for argument in arguments], environment or dict(os.environ), streams
        self.process = CONTEXT.Process(target=_run, args=given)
        self.process.start()

    def __enter__(self) -> Python:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.join()
        self.folder.cleanup()

    @property
    def out(self) -> str:
        """What it has written to standard output so far."""
        return self._written("out")

    def kill(self) -> None:
        """Ends it at once, by SIGKILL."""
        self.process.kill()

    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.is_alive()

    def wait_for(self, line: str, timeout: float = 60) -> None:
        """Waits until it has written the line."""
        until = time.monotonic() + timeout
        while line not in self.out.splitlines():
            assert self.is_running() and time.monotonic() < until, self._written("err")
            time.sleep(0.01)

    def ended(self, timeout: float = 120) -> Ended:
        """Waits for its end."""
        self.process.join(timeout)
        assert self.process.exitcode is not None, f"still running after {timeout} seconds"
        return Ended(self.process.exitcode, self.out, self._written("err"))

    def _written(self, name: str) -> str:
        file = Path(self.folder.name, name)
        return file.read_text(encoding="utf-8") if file.exists() else ""


def _run(arguments: list[str], environment: dict[str, str], streams: list[str]) -> None:
    """What the process does."""
    os.environ.clear()
    os.environ.update(environment)
    for number, name in enumerate(streams, 1):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), number)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)
    option, program, *sys.argv[1:] = arguments
    if option == "-m":
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        sys.argv[0] = option
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})


def python(arguments: list[str], **variables: str) -> Ended:
    """Runs `python ARGUMENTS` to its end, with these variables in its environment as well."""
    with Python(arguments, {**os.environ, **variables}) as started:
        return started.ended()


def together(
    arguments: list[str], size: int = 2, own: dict[str, list[str]] | None = None
) -> list[Ended]:
    """Runs `python ARGUMENTS` in so many processes, started as torchrun starts them.

    Args:
        arguments: the same for all.
        size: how many.
        own: variables of the environment that each has a value of its own for.
    """
    port = str(_free_port())
    with contextlib.ExitStack() as stack:
        started = []
        for rank in range(size):
            variables = {name: values[rank] for name, values in (own or {}).items()}
            numbers = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank}
            place = {"LOCAL_WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            named = {name: str(value) for name, value in {**numbers, **place}.items()}
            environment = {**os.environ, **named, **variables}
            started.append(stack.enter_context(Python(arguments, environment)))
        return [process.ended() for process in started]


def _free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return some.getsockname()[1]
