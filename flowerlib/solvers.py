"""Linear heads solved directly on cached features: no learning rate, no epochs, no luck.

L2-regularized logistic regression is convex, so there is one best head for each penalty, and
L-BFGS finds it. The penalty is chosen on the validation set.

Shown in: notebooks/03_flowers
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowerlib import metrics

# From strong to weak: each solution is the starting point of the next.
PENALTIES = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8)


@dataclass
class LinearSolution:
    """The head that was best on the validation set, and what the others reached.

    Attributes:
        head: a `models.linear_head` with the solved weights, on the CPU.
        penalty: the chosen one.
        rows: one dict a penalty: penalty, train_loss, valid_loss, valid_accuracy.
        best: the row of the chosen one.
    """

    head: nn.Sequential
    penalty: float
    rows: list[dict[str, float]]
    best: int


def logistic(
    features: Tensor,
    labels: Tensor,
    valid_features: Tensor,
    valid_labels: Tensor,
    num_classes: int,
    *,
    penalties: Sequence[float] = PENALTIES,
    max_steps: int = 12,
    refit: bool = False,
) -> LinearSolution:
    """Finds the L2-regularized softmax regression, with the penalty that is best on valid.

    Minimizes mean cross-entropy + penalty / 2 * ||W||^2 over features that were centered and scaled
    by one common number (so that penalties mean the same for every backbone); both are folded into
    the returned layer, which takes features as they are.

    The search runs in the basis of the features' principal axes, each scaled by its own standard
    deviation: there the problem is round, and L-BFGS needs tens of steps instead of hundreds.

    Args:
        features: float32 (N, D).
        labels: int64 (N,).
        valid_features, valid_labels: (M, D) and (M,), to choose the penalty: by accuracy, and
            among equals by loss.
        num_classes: C.
        penalties: candidates.
        max_steps: L-BFGS steps for each of them.
        refit: solve once more with the chosen penalty, on train and valid together. `rows` keeps
            what was measured before, so that valid accuracy stays an honest number.
    """
    mean = features.mean(0)
    centered = features - mean
    scale = centered.square().sum(1).mean().sqrt().clamp(min=1e-12)
    centered /= scale
    variances, axes = torch.linalg.eigh((centered.T @ centered).double() / len(centered))
    # Axes without variance would be scaled up without limit: keep what float32 can tell from noise.
    kept = variances > variances[-1] * 1e-6
    deviations = variances[kept].sqrt()
    to_round = (axes[:, kept] / deviations).float()  # (D, R)
    # Train and valid in one array, for the refit: (N + M, R), uncorrelated, variance 1.
    everyone = torch.empty(len(features) + len(valid_features), to_round.shape[1])
    rounded, valid_rounded = everyone[: len(features)], everyone[len(features) :]
    torch.mm(centered, to_round, out=rounded)
    del centered
    torch.mm((valid_features - mean) / scale, to_round, out=valid_rounded)
    stretch = (1 / deviations).square().float()[:, None]
    weight = torch.zeros(rounded.shape[1], num_classes)
    bias = torch.zeros(num_classes)
    rows, solutions = [], []
    for penalty in sorted(penalties, reverse=True):
        weight, bias, loss = _minimize(
            rounded, labels, penalty * stretch, weight, bias, max_steps=max_steps
        )
        logits = valid_rounded @ weight + bias
        solutions.append((weight, bias))
        rows.append(
            {
                "penalty": penalty,
                "train_loss": loss,
                "valid_loss": float(F.cross_entropy(logits, valid_labels)),
                "valid_accuracy": metrics.accuracy(logits, valid_labels),
            }
        )
    best = max(range(len(rows)), key=lambda i: (rows[i]["valid_accuracy"], -rows[i]["valid_loss"]))
    weight, bias = solutions[best]
    if refit:
        weight, bias, _ = _minimize(
            everyone,
            torch.cat([labels, valid_labels]),
            rows[best]["penalty"] * stretch,
            weight,
            bias,
            max_steps=max_steps,
        )
    layer = nn.Linear(features.shape[1], num_classes)
    with torch.no_grad():
        original = to_round @ weight / scale  # (D, C)
        layer.weight.copy_(original.T)
        layer.bias.copy_(bias - mean @ original)
    return LinearSolution(nn.Sequential(layer).eval(), rows[best]["penalty"], rows, best)


def _minimize(
    features: Tensor,
    labels: Tensor,
    penalty: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    max_steps: int,
) -> tuple[Tensor, Tensor, float]:
    """Minimizes mean cross-entropy + sum(penalty * weight²) / 2; returns (weight, bias, loss)."""
    weight, bias = weight.clone().requires_grad_(), bias.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=max_steps,
        history_size=20,
        tolerance_grad=1e-5,
        tolerance_change=1e-7,
        line_search_fn="strong_wolfe",
    )
    cross_entropy = 0.0

    def closure() -> Tensor:
        nonlocal cross_entropy
        optimizer.zero_grad()
        loss = F.cross_entropy(features @ weight + bias, labels)
        cross_entropy = loss.item()
        loss = loss + (penalty * weight.square()).sum() / 2
        loss.backward()
        return loss

    optimizer.step(closure)
    return weight.detach(), bias.detach(), cross_entropy
