"""Several processes that work on one task, on one machine or many, by torch.distributed.

Alone, every function here does nothing or gives back what it got, so the code that calls them is
the same for one process and for many. Processes work together within `started`, where torchrun (or
whoever sets the same environment) has started them; each of them then runs the same code, and every
function that exchanges something has to be called by all of them.

Alone stands for one process; main, for the process of rank 0, which prints and writes.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, ParamSpec, TypeVar

from flowerlib.support.errors import InputError

if TYPE_CHECKING:
    import torch

# What programs of others need; the rest serves the library.
__all__ = ["barrier", "from_main", "gather", "is_main", "rank", "size", "started"]

Made = TypeVar("Made")
Given = ParamSpec("Given")

PLACE = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
NEEDED = (*PLACE, "MASTER_ADDR", "MASTER_PORT")
# One process may work for long while the others wait, and torchrun ends those of a dead one.
PATIENCE = datetime.timedelta(days=2)


@dataclass(frozen=True)
class _Team:
    """This process among those that work together.

    Attributes:
        rank, size: its number, and how many there are.
        store: what counts failures; None alone.
    """

    rank: int = 0
    size: int = 1
    store: torch.distributed.Store | None = None


_ALONE = _Team()
_team = _ALONE


def rank() -> int:
    """This process's number, 0 to `size()` - 1."""
    return _team.rank


def size() -> int:
    """How many processes work together; 1 outside of `started`."""
    return _team.size


def is_main() -> bool:
    """Whether this process is the one that prints and writes."""
    return _team.rank == 0


def requested() -> bool:
    """Whether the environment asks for several processes, as torchrun sets it."""
    return _number("WORLD_SIZE", 1) > 1


def restarted() -> bool:
    """Whether torchrun has started these processes again, after one of them had failed."""
    return _number("TORCHELASTIC_RESTART_COUNT", 0) > 0


@contextlib.contextmanager
def started() -> Iterator[None]:
    """Within it, the processes that the environment names work together.

    Tensors on processors go through gloo and those on CUDA devices through NCCL; each process has
    the CUDA device of its number on this machine. The process is taken for ours alone: its number
    of threads is set, and SIGTERM ends it by `SystemExit`, so that what it has begun is cleaned up.

    Raises:
        InputError: the environment is incomplete.
    """
    global _team
    if not requested():
        yield
        return
    if missing := [name for name in NEEDED if name not in os.environ]:
        raise InputError(
            f"WORLD_SIZE asks for {os.environ['WORLD_SIZE']} processes, but {', '.join(missing)} "
            "is not set; start them with torchrun, or unset WORLD_SIZE to work alone."
        )
    import torch
    import torch.distributed as dist

    signal.signal(signal.SIGTERM, _terminated)
    rank, size, local_rank, local_size = (_number(name, 0) for name in PLACE)
    torch.set_num_threads(threads(local_size))
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank % torch.cuda.device_count())
        backend = "cpu:gloo,cuda:nccl"
    store = dist.TCPStore(
        os.environ["MASTER_ADDR"],
        _number("MASTER_PORT", 0),
        is_master=rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True",
        wait_for_workers=False,
        timeout=PATIENCE,
    )
    # torchrun's store outlives the processes: started again, they must not find each other's old
    # addresses in it.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    common = dist.PrefixStore(f"flowerlib/{attempt}", store)
    dist.init_process_group(backend, store=common, rank=rank, world_size=size, timeout=PATIENCE)
    _team = _Team(rank, size, common)
    yield
    # Not after an error: the others may be gone, and it would wait for them.
    _team = _ALONE
    dist.destroy_process_group()


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


def share(count: int) -> range:
    """This process's share of so many things: every `size()`-th, so that all shares are alike."""
    return range(_team.rank, count, _team.size)


def mine(rows: torch.Tensor) -> torch.Tensor:
    """This process's share of the rows of a tensor."""
    return rows[_team.rank :: _team.size]


def all_rows(rows: torch.Tensor) -> torch.Tensor:
    """The rows of which each process has its share (see `mine`), in their order, for all."""
    if _team.size == 1:
        return rows
    shares = gather(rows.cpu())  # a CUDA device means another one in another process
    found = rows.new_empty(sum(map(len, shares)), *rows.shape[1:])
    for number, one in enumerate(shares):
        found[number :: _team.size] = one.to(rows.device)
    return found


def barrier() -> None:
    """Waits until all processes are here."""
    gather(None)


def all_reduce_sum(values: torch.Tensor) -> torch.Tensor:
    """The sum of a tensor over all processes, in its place: the same numbers in each of them."""
    if _team.size > 1:
        import torch.distributed as dist

        dist.all_reduce(values)
    return values


def broadcast(values: torch.Tensor, source: int = 0) -> torch.Tensor:
    """Gives all processes the numbers that one has, in the place of their own.

    Args:
        values: of the same shape and kind in all of them, contiguous.
        source: the rank of the process that has them.
    """
    if _team.size > 1:
        import torch
        import torch.distributed as dist

        dist.broadcast(values.view(torch.uint8), source)  # bytes: of any kind of numbers
    return values


def gather(thing: Made) -> list[Made]:
    """What each process has, in the order of their ranks."""
    if _team.size == 1:
        return [thing]
    import torch.distributed as dist

    found: list[Made] = [thing] * _team.size
    dist.all_gather_object(found, thing)
    return found


def from_each(make: Callable[[], Made]) -> list[Made]:
    """What a function gives in each process, in the order of their ranks, for all.

    Raises:
        InputError: in all processes, where the function has raised one in some; it names the
            problems of all.
    """
    if _team.size == 1:
        return [make()]
    mine: tuple[Made | None, str]
    try:
        mine = make(), ""
    except InputError as problem:
        mine = None, str(problem)
    found = gather(mine)
    if problems := [text for _, text in found if text]:
        raise InputError("\n".join(dict.fromkeys(problems)))
    return [made for made, _ in found]  # type: ignore[misc]


def from_main(make: Callable[[], Made]) -> Made:
    """What a function gives in the main process, for all; it is not called in the others.

    Within it, the main process is alone: nothing that it calls waits for the others.
    """
    if _team.size == 1:
        return make()
    import torch.distributed as dist

    box: list[Made | None] = [None]
    if is_main():
        with _alone():
            box = [make()]
    dist.broadcast_object_list(box)
    return box[0]  # type: ignore[return-value]


def by_main(function: Callable[Given, Made]) -> Callable[Given, Made]:
    """Turns a function into one that the main process runs alone, and whose result all get."""

    @functools.wraps(function)
    def run(*args: Given.args, **kwargs: Given.kwargs) -> Made:
        return from_main(lambda: function(*args, **kwargs))

    return run


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    global _team
    team, _team = _team, _ALONE
    try:
        yield
    finally:
        _team = team


def first_to_fail() -> bool:
    """Whether no other process has failed before, so that this one says what went wrong."""
    if _team.store is None:
        return True
    try:
        return bool(_team.store.add("failed", 1) == 1)
    except RuntimeError:  # the process that answered has ended, and has said why
        return False


def lost(problem: BaseException) -> bool:
    """Whether an error means that another process has gone."""
    signs = ("closed by peer", "reset by peer", "Broken pipe", "remote process exited")
    return _team.size > 1 and any(sign in str(problem) for sign in signs)


def _terminated(number: int, frame: object) -> NoReturn:
    sys.exit(128 + number)


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdigit() else default
