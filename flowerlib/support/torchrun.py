"""What torchrun, or who else starts processes that work together, tells each by its environment."""

from __future__ import annotations

import os
from dataclasses import dataclass

from flowerlib.support.errors import InputError

PLACE = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
NEEDED = (*PLACE, "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Place:
    """The number of this process and of all that are started together; the same on this machine."""

    rank: int
    size: int
    local_rank: int
    local_size: int


def requested() -> bool:
    """Whether the environment asks for several processes."""
    return number("WORLD_SIZE", 1) > 1


def restarted() -> bool:
    """Whether torchrun has started these processes again, after one of them had failed."""
    return number("TORCHELASTIC_RESTART_COUNT", 0) > 0


def place() -> Place:
    """Where this process stands.

    Raises:
        InputError: the environment is incomplete.
    """
    if missing := [name for name in NEEDED if name not in os.environ]:
        raise InputError(
            f"WORLD_SIZE asks for {os.environ['WORLD_SIZE']} processes, but {', '.join(missing)} "
            "is not set; start them with torchrun, or unset WORLD_SIZE to work alone."
        )
    return Place(*(number(name, 0) for name in PLACE))


def threads(local_size: int) -> int:
    """Threads for each of so many processes of this machine: their share of the processors.

    `OMP_NUM_THREADS` decides where it is set; but not to 1, which is what torchrun sets it to where
    it was not set.
    """
    given = os.environ.get("OMP_NUM_THREADS", "1")
    if given.isdigit() and int(given) > 1:
        return int(given)
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (usable or 1) // local_size)


def number(name: str, default: int) -> int:
    """A whole number of the environment; `default` where there is none."""
    text = os.environ.get(name, "")
    return int(text) if text.isdigit() else default
