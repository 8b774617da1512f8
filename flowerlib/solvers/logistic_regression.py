"""Logistic regression solved directly: no learning rate, no epochs, no luck.

L2-regularized logistic regression is convex: each penalty has one lowest objective, and L-BFGS goes
there (`lbfgs`). The penalty is chosen on the validation set. In four steps:

1. Features are centered, scaled by one number, and rotated into coordinates in which the problem
   is easy (`coordinates`).
2. Penalties go from strong to weak. Tenfold weaker ones let the weights grow by about the same
   amount each time, so the last two solutions point at the next one, and L-BFGS starts there. It
   divides gradients by an estimate of the curvature (`objective`), which is why a few passes over
   the features are enough.
3. The penalty that did best on the validation set is chosen (`solution`).
4. To refit, the objective is minimized once more from there, on train and valid together.

Memory: one float32 copy of the features, which lies in a file if it is large (see
`storage.empty`), and some 30 arrays as large as the head.

Shown in: notebooks/05_heads
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from flowerlib.solvers.coordinates import coordinates
from flowerlib.solvers.lbfgs import Pairs, minimize
from flowerlib.solvers.objective import CrossEntropy, Penalized
from flowerlib.solvers.solution import (
    LinearSolution,
    Problem,
    checked,
    choose,
    from_strong_to_weak,
    row,
)
from flowerlib.support import distributed, modes, threads

# From strong to weak: each solution helps to find the next.
PENALTIES = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
SMALL = 2**26  # multiplications in a pass, up to which accuracy costs little
# L-BFGS ends where a step promises to save a smaller share. Up to ten times as much may be left.
TOLERANCE, SMALL_TOLERANCE = 5e-4, 1e-4


@modes.usual()
def logistic(
    features: Tensor,
    labels: Tensor,
    valid_features: Tensor,
    valid_labels: Tensor,
    num_classes: int,
    *,
    penalties: Sequence[float] = PENALTIES,
    refit: bool = False,
) -> LinearSolution:
    """Finds the L2-regularized softmax regression, with the penalty that is best on valid.

    Minimizes mean cross-entropy + penalty / 2 * ||W||^2 over features that were centered and scaled
    by one common number (so that penalties mean the same for every backbone); both are folded into
    the returned layer, which takes features as they are. Objectives end within 0.1 % of the lowest
    on few photos (see `SMALL`) and within 1 % on many.

    Args:
        features: (N, D), float32 or bfloat16.
        labels: int64 (N,).
        valid_features, valid_labels: (M, D) and (M,), to choose the penalty with.
        num_classes: C.
        penalties: candidates, above 0.
        refit: solve once more with the chosen penalty, on train and valid together, in train's
            scale. `rows` and `valid_logits` stay those from before, so that the valid figures
            are honest numbers.

    Raises:
        InputError: shapes, labels, features or penalties that cannot be used.

    Warns:
        RuntimeWarning: a penalty's head is not the best one, and no step came closer.

    Example:
        >>> import torch
        >>> labels = torch.arange(60) % 3
        >>> features = torch.randn(60, 8, generator=torch.Generator().manual_seed(0))
        >>> features[range(60), labels] += 4
        >>> solution = logistic(features[:40], labels[:40], features[40:], labels[40:], 3)
        >>> solution.rows[solution.best]["valid_accuracy"]
        1.0
        >>> solution.head(features).shape
        torch.Size([60, 3])
    """
    problem = checked(features, labels, valid_features, valid_labels, num_classes)
    solve = functools.partial(_solve, problem, from_strong_to_weak(penalties), refit)
    few = len(features) + len(valid_features) < features.shape[1]
    # Few numbers are added sooner by one process than sent to the others.
    return distributed.from_main(solve) if few or problem.work <= SMALL else solve()


def _solve(problem: Problem, penalties: list[float], refit: bool) -> LinearSolution:
    """As `logistic`; where several processes work together, each on its share of the photos."""
    tolerance = SMALL_TOLERANCE if problem.work <= SMALL else TOLERANCE
    valid_labels, num_classes = problem.valid_labels, problem.num_classes
    with threads.limited_to(problem.work):
        mine, my_labels, mine_valid, my_valid_labels = map(distributed.mine, problem[:4])
        rotated = coordinates(mine, mine_valid)
        used = rotated.train_columns
        train, valid = torch.split(rotated.values[:, :used], [len(mine), len(mine_valid)])
        loss = CrossEntropy(train, my_labels)
        weights, losses = loss.asked(
            lambda: _path(loss, num_classes, penalties, tolerance), num_classes
        )
        logits = [distributed.all_rows((valid @ weight.T).float()) for weight in weights]
        rows = [
            row(*figures, valid_labels) for figures in zip(penalties, losses, logits, strict=True)
        ]
        best = choose(rows, len(valid_labels))
        penalty = penalties[best]
        weight = F.pad(weights[best], (0, rotated.values.shape[1] - used))
        if refit:
            both = torch.cat([my_labels, my_valid_labels])
            final = Penalized(CrossEntropy(rotated.values, both), penalty)
            weight, _ = final.loss.asked(lambda: _lowest(final, weight, [], tolerance), num_classes)
    return distributed.from_main(
        lambda: LinearSolution(rotated.layer(weight), penalty, rows, best, logits[best])
    )


def _path(
    loss: CrossEntropy, num_classes: int, penalties: list[float], tolerance: float
) -> tuple[list[Tensor], list[float]]:
    """The weight (C, R) of each penalty, from strong to weak, and its cross-entropy."""
    pairs: Pairs = []  # of the loss alone, so that they serve every penalty
    weights: list[Tensor] = []
    losses: list[float] = []
    start = loss.mean_squares.new_zeros(num_classes, len(loss.mean_squares))
    for index, penalty in enumerate(penalties):
        if index >= 2:
            farther, near = penalties[index - 2 : index]
            growth = min(1.0, math.log(near / penalty) / math.log(farther / near))
            start = weights[-1] + growth * (weights[-1] - weights[-2])
        start, train_loss = _lowest(Penalized(loss, penalty), start, pairs, tolerance)
        weights.append(start)
        losses.append(train_loss)
    return weights, losses


def _lowest(
    objective: Penalized, start: Tensor, pairs: Pairs, tolerance: float
) -> tuple[Tensor, float]:
    """Where the objective is lowest, and the cross-entropy there; warns if it was not reached.

    Args:
        pairs: of the loss; goes on in place.
    """
    rates = objective.rates
    pairs[:] = [(step, change + rates * step) for step, change in pairs]
    weight, value, left = minimize(objective, start, pairs, tolerance)
    pairs[:] = [(step, change - rates * step) for step, change in pairs]
    if left > tolerance:
        warnings.warn(
            f"At penalty {objective.penalty:g} the head is about {left:.1%} above the lowest "
            "objective, and no step came closer; a larger penalty is easier to solve.",
            RuntimeWarning,
            stacklevel=5,
        )
    return weight, value - objective.cost(weight)
