"""L-BFGS on functions whose lowest points are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import optimize
from torch import Tensor

from flowerlib.solvers import lbfgs
from flowerlib.solvers.lbfgs import Evaluation, minimize

CURVATURE = torch.logspace(0, 3, 30)
LOWEST = torch.linspace(-1, 1, 30)


def bowl(point: Tensor) -> Evaluation:
    """1 + a parabola that is a thousand times steeper along some axes than along others."""
    away = point - LOWEST
    value = 1 + float((CURVATURE * away.square()).sum()) / 2
    return Evaluation(value, CURVATURE * away, lambda gradient: gradient)


def valley(point: Tensor) -> Evaluation:
    """1 + log cosh: flat far away, so that a whole Newton step leads too far."""
    away = (point - LOWEST).double()
    value = 1 + float(away.cosh().log().sum())
    estimate = (1 - away.tanh().square()).float().clamp(min=1e-6)
    return Evaluation(value, away.tanh().float(), lambda gradient: gradient / estimate)


@pytest.mark.parametrize("function", [bowl, valley])
def test_the_lowest_point_is_found(function: lbfgs.Function) -> None:
    point, value, left = minimize(function, torch.full((30,), 3.0), [], 1e-7)
    assert value == pytest.approx(1, abs=1e-5) and left <= 1e-7
    assert torch.allclose(point, LOWEST, atol=1e-2)


def test_no_more_passes_than_scipys() -> None:
    passes = [0]

    def counted(point: Tensor) -> Evaluation:
        passes[0] += 1
        return bowl(point)

    def scipys(point: np.ndarray) -> tuple[float, np.ndarray]:
        found = bowl(torch.tensor(point, dtype=torch.float32))
        return found.value, found.gradient.double().numpy()

    options = {"ftol": 1e-7, "gtol": 0, "maxcor": lbfgs.MEMORY}
    theirs = optimize.minimize(
        scipys, np.full(30, 3.0), jac=True, method="L-BFGS-B", options=options
    )
    minimize(counted, torch.full((30,), 3.0), [], 1e-7)
    assert passes[0] <= 1.5 * theirs.nfev


def test_an_estimate_of_the_curvature_saves_steps() -> None:
    def exact(point: Tensor) -> Evaluation:
        return bowl(point)._replace(divide=lambda gradient: gradient / CURVATURE)

    pairs: lbfgs.Pairs = []
    point, _, left = minimize(exact, torch.full((30,), 3.0), pairs, 1e-7)
    assert len(pairs) <= lbfgs.CALM + 1  # the first already leads to the lowest point
    assert torch.allclose(point, LOWEST, atol=1e-4) and left <= 1e-7


def test_remembered_steps_go_on_in_place() -> None:
    pairs: lbfgs.Pairs = []
    start = torch.full((30,), 3.0)
    minimize(bowl, start, pairs, 1e-7)
    assert len(pairs) == lbfgs.MEMORY
    count = [0]

    def counted(point: Tensor) -> Evaluation:
        count[0] += 1
        return bowl(point)

    minimize(counted, start, [], 1e-4)
    alone, count[0] = count[0], 0
    minimize(counted, start, pairs, 1e-4)
    assert count[0] < alone


def test_what_is_left_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lbfgs, "MAX_STEPS", 3)
    _, _, left = minimize(bowl, torch.full((30,), 3.0), [], 1e-7)
    assert left > 1e-7


def test_the_lowest_point_as_start_is_left_alone() -> None:
    point, value, left = minimize(bowl, LOWEST, [], 1e-5)
    assert torch.equal(point, LOWEST) and value == 1 and left == 0
