"""The most memory that a piece of work takes, as the system sees it; Linux only."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

PROCESS = Path("/proc/self")


class Growth:
    """What `growth` found: bytes, or -1 where the system does not say."""

    bytes = -1


@contextlib.contextmanager
def growth() -> Iterator[Growth]:
    """Measures by how much the process grows at most while the body runs; memory mapped counts.

    Not what the body takes of memory that was freed before and is still the process's.
    """
    found = Growth()
    try:
        (PROCESS / "clear_refs").write_text("5")  # the peak starts over
        before = _status("VmRSS")
    except OSError:
        yield found
        return
    yield found
    found.bytes = max(0, _status("VmHWM") - before)


def _status(field: str) -> int:
    lines = (PROCESS / "status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))
