"""How many threads torch uses for work of ours, without changing what others have.

torch computes with OpenMP, which keeps the number of threads for each calling thread apart. So the
number is limited in the thread that works, for as long as it works, and not by
`torch.set_num_threads`, which would change it for the whole process.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Iterator

import torch
from threadpoolctl import ThreadpoolController

WORTH_A_THREAD = 2**27  # multiplications: some 4 milliseconds
_BORN = os.getpid()
_HERE = threading.local()  # .forked: the process in which this thread was left alone


def _leave_alone() -> None:
    """Leaves this thread of a forked process with one thread of torch's, as its loaders' workers.

    MKL, which multiplies matrices, knows no number for each thread, and would wait for the threads
    of the parent. OpenMP does, so what one thread has set holds for no other.
    """
    if getattr(_HERE, "forked", 0) != os.getpid():
        torch.set_num_threads(1)
        _HERE.forked = os.getpid()


@functools.cache
def _libraries() -> ThreadpoolController:
    """The thread pools that are loaded; torch is, since it is imported above."""
    return ThreadpoolController()


def one_thread() -> contextlib.AbstractContextManager[None]:
    """Inside it, torch computes on the calling thread alone.

    Small work is faster so, above all on a busy machine, and a forked process can do it: the
    threads of its parent's pool are not there, and waiting for them would never end.
    """
    return limited_to(0)


@contextlib.contextmanager
def limited_to(work: int) -> Iterator[None]:
    """Inside it, torch uses as many threads of the calling thread's as the work is worth.

    Threads that share an operation wait for each other at its end, and on a busy machine one of
    them may not run for a while. Where the process called `torch.set_num_threads`, products keep
    that number: MKL knows no other.

    Args:
        work: multiplications in a typical operation, such as N * D * C.
    """
    if os.getpid() != _BORN:
        _leave_alone()
    now = torch.get_num_threads()  # the first call in a thread sets the number, so it comes first
    wanted = max(1, work // WORTH_A_THREAD)
    with (
        _libraries().limit(limits=wanted, user_api="openmp")
        if wanted < now
        else contextlib.nullcontext()
    ):
        yield
