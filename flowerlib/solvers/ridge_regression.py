"""Ridge regression onto the classes: a formula instead of a search, and less accurate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from flowerlib.solvers.coordinates import coordinates
from flowerlib.solvers.objective import CrossEntropy
from flowerlib.solvers.solution import LinearSolution, checked, choose, from_strong_to_weak, row
from flowerlib.solvers.temperature import temperature
from flowerlib.support import distributed, modes, threads

RIDGE_PENALTIES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


@distributed.by_main
@modes.usual()
def ridge(
    features: Tensor,
    labels: Tensor,
    valid_features: Tensor,
    valid_labels: Tensor,
    num_classes: int,
    *,
    penalties: Sequence[float] = RIDGE_PENALTIES,
    refit: bool = False,
) -> LinearSolution:
    """Finds the ridge regression onto the classes, with the penalty that is best on valid.

    Minimizes the mean squared distance to one column of zeros and ones for each class, + penalty *
    ||W||^2, over features centered and scaled as in `logistic`, by those that it learns from. Such
    scores are no logits: they are divided by a temperature, chosen on valid, and the softmax of
    that is a probability.

    Args and what is returned: as for `logistic`. Losses in `rows` are cross-entropies.
    """
    problem = checked(features, labels, valid_features, valid_labels, num_classes)
    _, labels, _, valid_labels, _ = problem
    penalties = from_strong_to_weak(penalties)
    with threads.limited_to(problem.work):
        found = coordinates(features, valid_features)
        train, valid = torch.split(found.values, [len(features), len(valid_features)])
        loss = CrossEntropy(train, labels)
        weights, logits, rows, temperatures = [], [], [], []
        for penalty, weight in zip(
            penalties, _least_squares(train, labels, num_classes, penalties), strict=True
        ):
            scores = valid @ weight.T
            temperatures.append(temperature(scores, valid_labels))
            weights.append(weight / temperatures[-1])
            logits.append(scores / temperatures[-1])
            rows.append(row(penalty, loss(weights[-1])[0], logits[-1], valid_labels))
        best = choose(rows, len(valid_labels))
        weight, penalty = weights[best], penalties[best]
        if refit:
            both = torch.cat([labels, valid_labels])
            (weight,) = _least_squares(found.values, both, num_classes, [penalty])
            weight = weight / temperatures[best]
        head = found.layer(weight)
    return LinearSolution(head, penalty, rows, best, logits[best])


def _least_squares(
    values: Tensor, labels: Tensor, num_classes: int, penalties: Sequence[float]
) -> Iterator[Tensor]:
    """For each penalty the weight (C, 1 + R) of the smallest squares, on coordinates (N, 1 + R)."""
    features = values[:, 1:]
    shares = labels.bincount(minlength=num_classes).double() / len(labels)
    sums = features.new_zeros(num_classes, features.shape[1]).index_add_(0, labels, features)
    sums = sums.double()
    mean = features.mean(0).double()
    covariance = (features.T @ features).double() / len(labels) - mean.outer(mean)
    targets = sums / len(labels) - shares.outer(mean)  # their covariance with the features
    total = covariance.trace().clamp(min=1e-30)  # 0 where all features are the same
    for penalty in penalties:
        curved = covariance.clone()
        curved.diagonal().add_(penalty * total)
        weight = torch.cholesky_solve(targets.T, torch.linalg.cholesky(curved)).T
        yield torch.cat([(shares - weight @ mean)[:, None], weight], 1).float()
