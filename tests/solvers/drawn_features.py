"""Features that are drawn, not extracted, and how good a head on them could be."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES, WIDTH = 5, 20


def clouds(count: int, seed: int, deviation: float = 1.0) -> tuple[Tensor, Tensor]:
    """Overlapping classes whose axes have very different scales, like a network's features."""
    generator = torch.Generator().manual_seed(seed)
    centers = torch.randn(CLASSES, WIDTH, generator=torch.Generator().manual_seed(99))
    labels = torch.arange(count) % CLASSES
    values = centers[labels] + deviation * torch.randn(count, WIDTH, generator=generator)
    return values * torch.logspace(0, -2, WIDTH) * 30 + 7, labels


def few(seed: int, sizes: list[int], width: int = 60) -> tuple[Tensor, Tensor]:
    """Few photos with many features, rectified as those of a network; `sizes` of each class."""
    generator = np.random.default_rng(seed)
    centers = np.random.default_rng(99).normal(size=(len(sizes), width)) * 0.4
    labels = np.repeat(np.arange(len(sizes)), sizes)
    values = np.maximum(centers[labels] + generator.normal(size=(len(labels), width)), 0)
    return torch.tensor(values, dtype=torch.float32), torch.tensor(labels)


def network_like(count: int, seed: int, classes: int, width: int) -> tuple[Tensor, Tensor]:
    """Features whose variance falls along mixed axes, as steeply as that of a real network."""
    fixed = np.random.default_rng(99)
    mixing = fixed.normal(size=(width, width)) * np.logspace(0, -1.5, width)[:, None]
    centers = fixed.normal(size=(classes, width)) * 0.6
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    values = (centers[labels] + generator.normal(size=(count, width))) @ mixing
    return torch.tensor(values, dtype=torch.float32), torch.tensor(labels)


def root_mean_square(values: Tensor) -> float:
    """The one number that features are scaled by: of their distances from the mean."""
    return float((values.double() - values.double().mean(0)).square().sum(1).mean().sqrt())


def excess(
    head: nn.Sequential, values: Tensor, labels: Tensor, scale: float, penalty: float
) -> float:
    """By what share the head's objective lies above the lowest."""
    layer = head[0]
    with torch.no_grad():
        loss = F.cross_entropy(values.double() @ layer.weight.double().T + layer.bias, labels)
        penalized = penalty / 2 * (layer.weight.double() * scale).square().sum()
    scaled = (values.double() - values.double().mean(0)) / scale
    return float(loss + penalized) / lowest(scaled, labels, penalty, len(layer.bias)) - 1


def lowest(values: Tensor, labels: Tensor, penalty: float, classes: int) -> float:
    """The lowest objective, by Newton's method with the whole second derivative, in float64."""
    values = torch.cat([torch.ones(len(values), 1), values], 1).double()
    targets = F.one_hot(labels, classes).double()
    rates = torch.full_like(values[0], penalty)
    rates[0] = 0
    weight = values.new_zeros(classes, values.shape[1])

    def objective(weight: Tensor) -> float:
        loss = F.cross_entropy(values @ weight.T, labels)
        return float(loss + (rates * weight.square()).sum() / 2)

    for _ in range(200):
        shares = (values @ weight.T).softmax(1)
        gradient = (shares - targets).T @ values / len(values) + rates * weight
        curvature = torch.diag_embed(shares) - shares[:, :, None] * shares[:, None]
        second = torch.einsum("ncd,ni,nj->cidj", curvature, values, values) / len(values)
        second = second.reshape(weight.numel(), weight.numel())
        second.diagonal().add_(rates.repeat(classes) + 1e-13)  # equal biases change nothing
        step = torch.linalg.solve(second, gradient.flatten()).view_as(weight)
        promise = float((step * gradient).sum())
        if promise < 1e-10 * objective(weight):
            return objective(weight)
        while objective(weight - step) > objective(weight) - promise / 4 and promise > 1e-16:
            step, promise = step / 2, promise / 2
        weight = weight - step
    raise AssertionError("Newton's method did not end.")
