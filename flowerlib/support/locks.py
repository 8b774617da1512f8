"""A lock for the threads of a process that may be forked at any moment."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager


class ProcessLock:
    """A lock that each process has for itself; as `with LOCK():`, a thread waits its turn.

    A thread of the parent may hold a plain lock while the process is forked. In the new process
    that thread does not run, so nobody would ever let go.

    Args:
        make: `threading.Lock`, or `threading.RLock` for a thread that takes it twice.
    """

    def __init__(self, make: Callable[[], AbstractContextManager[object]] = threading.Lock) -> None:
        self._make = make
        self._by_process: dict[int, AbstractContextManager[object]] = {}

    def __call__(self) -> AbstractContextManager[object]:
        """The lock of this process."""
        process = os.getpid()
        if process not in self._by_process:  # of two that are made at once, one counts
            self._by_process.setdefault(process, self._make())
        return self._by_process[process]
