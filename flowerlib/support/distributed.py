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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from flowerlib.support import torchrun
from flowerlib.support.errors import InputError
from flowerlib.support.tasks import Task

if TYPE_CHECKING:
    import torch

# What programs of others need; the rest serves the library.
__all__ = ["barrier", "by_all", "from_main", "gather", "is_main", "rank", "size", "started"]

Made = TypeVar("Made")
Thing = TypeVar("Thing")
Given = ParamSpec("Given")

# One process may work for long while the others wait, and torchrun ends those of a dead one.
PATIENCE = datetime.timedelta(days=2)


@dataclass(frozen=True)
class _Team:
    """This process among those that work together.

    Attributes:
        rank, size: its number, and how many there are.
        helpers: how many do a share of what this one gives to all, itself included.
        store: what counts failures; None alone.
    """

    rank: int = 0
    size: int = 1
    helpers: int = 1
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
    if not torchrun.requested():
        yield
        return
    place = torchrun.place()
    import torch
    import torch.distributed as dist

    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    torch.set_num_threads(torchrun.threads(place.local_size))
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(place.local_rank % torch.cuda.device_count())
        backend = "cpu:gloo,cuda:nccl"
    store = dist.TCPStore(
        os.environ["MASTER_ADDR"],
        torchrun.number("MASTER_PORT", 0),
        is_master=place.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True",
        wait_for_workers=False,
        timeout=PATIENCE,
    )
    # torchrun's store outlives the processes: started again, they must not find each other's old
    # addresses in it.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    common = dist.PrefixStore(f"flowerlib/{attempt}", store)
    dist.init_process_group(
        backend, store=common, rank=place.rank, world_size=place.size, timeout=PATIENCE
    )
    _team = _Team(place.rank, place.size, store=common)
    yield
    # Not after an error: the others may be gone, and it would wait for them.
    _team = _ALONE
    dist.destroy_process_group()


def share(count: int, *, together: bool = False) -> range:
    """This process's share of so many things: every `size()`-th, so that all shares are alike.

    If they are to lie `together`, it is a run of them.
    """
    if together:
        return range(count * _team.rank // _team.size, count * (_team.rank + 1) // _team.size)
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

    Within it, the main process is alone: nothing that it calls waits for the others, but for
    `by_all`, where they help.
    """
    if _team.size == 1:
        return make()
    import torch.distributed as dist

    if is_main():
        with _alone():
            found = make()
        return _of_main(found)
    while isinstance(received := _of_main(None), Task):
        dist.gather_object(received.share(_team.rank, _team.size))
    return received  # type: ignore[return-value]


def by_all(work: Callable[[Thing], Made], things: Sequence[Thing]) -> list[Made]:
    """What a function makes of each of some things; within `from_main`, every process does a share.

    Elsewhere, whoever calls it does all.

    Args:
        work: a function of a module, perhaps with `functools.partial`, so that it can be pickled.
        things: in the order in which one process would take them.

    Raises:
        InputError: the function has raised one; it is that of the first such thing.
    """
    task, size = Task(work, things), _team.helpers
    if size == 1:
        return task.whole([task.share(0, 1)])
    import torch.distributed as dist

    _of_main(task)
    mine = task.share(0, size)
    shares = [mine] * size  # places for all
    dist.gather_object(mine, shares)
    return task.whole(shares)


def _of_main(thing: Made) -> Made:
    """What the main process has, for all."""
    import torch.distributed as dist

    box = [thing]
    dist.broadcast_object_list(box)
    return box[0]


def by_main(function: Callable[Given, Made]) -> Callable[Given, Made]:
    """Turns a function into one that the main process runs alone, and whose result all get."""

    @functools.wraps(function)
    def run(*args: Given.args, **kwargs: Given.kwargs) -> Made:
        return from_main(lambda: function(*args, **kwargs))

    return run


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    global _team
    team, _team = _team, _Team(helpers=_team.size)
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
