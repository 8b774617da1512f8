"""Where a batch does not fit into memory, its parts do, or one sentence says that none does."""

from __future__ import annotations

import pytest
import torch

from flowerlib.support import memory
from flowerlib.support.errors import InputError


@pytest.mark.parametrize("most", [1, 2, 3, 7, 8])
def test_rows_are_halved_until_they_fit(most: int) -> None:
    tried: list[int] = []

    def compute(rows: torch.Tensor) -> torch.Tensor:
        tried.append(len(rows))
        if len(rows) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB\nA hint.")
        return rows * 2

    rows = torch.arange(14.0).view(7, 2)
    assert torch.equal(memory.in_parts(compute, rows), rows * 2)
    assert len(tried) == 1 if most >= 7 else len(tried) > 1


def test_a_single_row_that_does_not_fit_is_refused() -> None:
    def compute(rows: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9")

    with pytest.raises(InputError, match="does not suffice for a single photo .*; take smaller"):
        memory.in_parts(compute, torch.zeros(5, 2))


def test_another_error_is_passed_on() -> None:
    def compute(rows: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        memory.in_parts(compute, torch.zeros(5, 2))
