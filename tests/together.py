"""Several processes of Python that work together, started as torchrun starts them, but sooner."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass


@dataclass
class Ended:
    """How a process ended."""

    code: int
    out: str
    err: str


def environment(rank: int, size: int, port: int) -> dict[str, str]:
    """What torchrun tells a process on a single machine."""
    names = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": size}
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return {**os.environ, **{name: str(value) for name, value in names.items()}, **place}


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return some.getsockname()[1]


def together(
    arguments: list[str],
    size: int = 2,
    timeout: float = 120,
    own: dict[str, list[str]] | None = None,
) -> list[Ended]:
    """Runs `python arguments...` in so many processes, and waits for all of them.

    Args:
        arguments: the same for all.
        size: how many.
        timeout: seconds until all are ended.
        own: variables of the environment that each has a value of its own for.
    """
    port = free_port()
    started = []
    for rank in range(size):
        variables = {name: values[rank] for name, values in (own or {}).items()}
        started.append(
            subprocess.Popen(
                [sys.executable, *arguments],
                env={**environment(rank, size, port), **variables},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    try:
        return [_ended(process, timeout) for process in started]
    finally:
        for process in started:
            process.kill()


def _ended(process: subprocess.Popen[str], timeout: float) -> Ended:
    out, err = process.communicate(timeout=timeout)
    return Ended(process.returncode, out, err)
