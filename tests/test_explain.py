"""Nearest pictures and worst answers."""

from __future__ import annotations

import pytest
import torch

from flowerlib import explain


def test_nearest_goes_by_direction_not_by_length() -> None:
    values = torch.tensor([[1.0, 0], [0, 5], [3, 3], [-1, 0]])
    found, likeness = explain.nearest(torch.tensor([[10.0, 0.1]]), values, 3)
    assert found.tolist() == [[0, 2, 1]]
    assert likeness[0].tolist() == pytest.approx([0.99995, 0.71414, 0.01], abs=1e-4)
    with pytest.raises(ValueError, match="between 1 and 4"):
        explain.nearest(values, values, 5)


def test_top_losses_are_the_sure_mistakes() -> None:
    logits = torch.tensor([[5.0, 0], [0, 5], [1, 0], [0, 9]])
    worst, losses = explain.top_losses(logits, torch.tensor([0, 0, 1, 0]), 3)
    assert worst.tolist() == [3, 1, 2]
    assert losses[0] == pytest.approx(9.0001, abs=1e-3)
    with pytest.raises(ValueError, match="between 1 and 4"):
        explain.top_losses(logits, torch.zeros(4, dtype=torch.int64), 0)
