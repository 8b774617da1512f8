"""What to do where a batch does not fit into memory: the same in parts."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from flowerlib.support.errors import InputError

TEXTS = ("out of memory", "can't allocate memory", "not enough memory")


def ran_out(problem: RuntimeError) -> bool:
    """Whether memory ran out; torch has an error of its own for it on GPUs, else only a text."""
    lower = str(problem).lower()
    return isinstance(problem, torch.OutOfMemoryError) or any(text in lower for text in TEXTS)


def in_parts(compute: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """What a function gives for rows, which are halved as often as memory does not suffice.

    Args:
        compute: rows (n, ...) → values (n, ...), of each row the same whatever others are there.
        rows: (N, ...).

    Raises:
        InputError: memory does not suffice for a single row.
    """
    try:
        return compute(rows)
    except RuntimeError as problem:
        if not ran_out(problem):
            raise
        if len(rows) <= 1:
            reason = str(problem).splitlines()[0]
            raise InputError(
                f"Memory does not suffice for a single photo ({reason:.100}); "
                "take smaller images, another backbone, or the device cpu."
            ) from None
    # Outside of `except`: what the failed pass holds is free now.
    middle = len(rows) // 2
    return torch.cat([in_parts(compute, part) for part in (rows[:middle], rows[middle:])])
