"""Nearest pictures."""

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
