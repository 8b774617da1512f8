"""The objective's value, gradient and curvature against torch's derivatives."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from flowerlib.solvers import objective
from flowerlib.solvers.objective import CrossEntropy, Penalized, kronecker
from tests.solvers.drawn_features import CLASSES, WIDTH, clouds


def drawn() -> tuple[Tensor, Tensor, Tensor]:
    """Features with a column of ones, labels, and a weight."""
    values, labels = clouds(50, 0)
    values = torch.cat([torch.ones(50, 1), (values - values.mean(0)) / 30], 1)
    weight = torch.randn(CLASSES, WIDTH + 1, generator=torch.Generator().manual_seed(1))
    return values, labels, weight


@pytest.mark.parametrize("chunk", [2**20, 7 * CLASSES], ids=["at once", "in 8 chunks"])
def test_the_gradient_is_the_derivative(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(objective, "CHUNK", chunk)
    values, labels, weight = drawn()
    found = Penalized(CrossEntropy(values, labels), 0.1)(weight)
    weight.requires_grad_()
    loss = F.cross_entropy(values @ weight.T, labels) + 0.05 * weight[:, 1:].square().sum()
    loss.backward()
    assert found.value == pytest.approx(loss.item())
    assert weight.grad is not None
    assert torch.allclose(found.gradient, weight.grad, atol=1e-6)


def test_the_curvature_is_the_second_derivative_and_the_errors() -> None:
    values, labels, weight = drawn()
    _, _, curvature = CrossEntropy(values, labels)(weight)
    logits = (values @ weight.T).double()
    second = torch.autograd.functional.hessian(
        lambda offset: F.cross_entropy(logits + offset, labels),
        torch.zeros(CLASSES, dtype=torch.float64),
    )
    errors = logits.softmax(1) - F.one_hot(labels, CLASSES)
    assert torch.allclose(curvature, second + errors.T @ errors / len(labels))


def test_the_estimate_is_exact_where_errors_and_features_are_independent() -> None:
    """Every pair of an error and a feature appears once, and features are uncorrelated."""
    features = torch.eye(4)
    curvature = torch.tensor([[2.0, -1.0], [-1.0, 2.0]], dtype=torch.float64)
    rates = torch.full((4,), 0.5)
    sizes = features.square().mean(0)
    divide = kronecker(curvature, sizes, rates)
    gradient = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    whole = torch.kron(curvature.float(), sizes.diag()) + 0.5 * torch.eye(8)
    expected = torch.linalg.solve(whole, gradient.flatten()).view(2, 4)
    assert torch.allclose(divide(gradient)[:, 1:], expected[:, 1:], atol=1e-6)


def test_a_head_that_is_sure_still_knows_how_sure() -> None:
    """In float32, 1 - p would be 0 from logits of 17 on."""
    values = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    loss, gradient, _ = CrossEntropy(values, torch.tensor([0, 1]))(
        torch.tensor([[0.0, 10.0], [0.0, -10.0]])
    )
    assert loss == pytest.approx(2.0611536e-9, rel=1e-6)
    assert float(gradient[0, 1]) == pytest.approx(-2.0611536e-9, rel=1e-6)
