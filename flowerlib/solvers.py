"""Linear heads solved directly on cached features: no learning rate, no epochs, no luck.

L2-regularized logistic regression is convex: each penalty has one lowest objective, and L-BFGS goes
there. Ridge regression even has a formula. The penalty is chosen on the validation set.

`logistic` in four steps:

1. Features are centered, scaled by one number, and turned into their principal axes; a turn keeps
   lengths, and so the objective. Of more than `WIDEST` features, the weakest axes are left out.
2. At each penalty, from strong to weak, `_minimize` starts at the solution of the one before. It
   divides slopes by an estimate of the curvature along (mixture of classes, principal axis), which
   is why ten to twenty passes over the features are enough.
3. `_choose` takes the penalty that did best on valid.
4. To refit, it minimizes once more from there, on train and valid together.

Memory: one copy of the features, float32 (float64 for few), which lies in a file if it is large
(see `storage.empty`), and some 30 arrays as large as the head.

Shown in: notebooks/04_flowers
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowerlib import metrics
from flowerlib.support import modes, storage, threads
from flowerlib.support.errors import InputError

# From strong to weak: each solution is the starting point of the next.
__all__ = [
    "PENALTIES",
    "LinearSolution",
    "logistic",
    "ridge",
]

PENALTIES = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
RIDGE_PENALTIES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
TEMPERATURES = tuple(2 ** (-power / 4) for power in range(40))  # 1 to 1 / 861
SLACK = 1.05  # a stronger penalty is preferred as long as it costs so little validation loss

# The tuning of `_minimize`.
TOLERANCE = {"fp64": 1e-5, "fp32": 3e-4}  # it ends where a step promises to save a smaller share
MEMORY = 10  # pairs of (step, change of the gradient) that L-BFGS remembers
MAX_STEPS = 500  # for a penalty; more than any data was seen to need
SMALL = 2**26  # multiplications in a pass up to which it computes in float64
WIDEST = 1400  # features whose axes are found together, in float32
FORGOTTEN = 3e-3  # of the variance: what the axes hold that are left out where there are more
PIECE = 2**20  # logits at a time
ROWS = 512  # photos that are turned at a time


@dataclass(repr=False)
class LinearSolution:
    """The head that was best on the validation set, and what the others reached.

    Attributes:
        head: a `models.linear_head` with the solved weights, on the CPU.
        penalty: the chosen one.
        rows: one dict a penalty: penalty, train_loss, valid_loss, valid_accuracy.
        best: the row of the chosen one.
        precision: "fp64" or "fp32", in which it was solved.
        valid_logits: float32 (M, C), what the chosen penalty's head gave for the validation set
            before any refit, so that figures made from them are honest.
    """

    head: nn.Sequential
    penalty: float
    rows: list[dict[str, float]]
    best: int
    precision: str
    valid_logits: Tensor

    def __repr__(self) -> str:
        chosen = f"penalty {self.penalty:g}, the best of {len(self.rows)} on valid"
        return f"<LinearSolution: {chosen}, {self.valid_logits.shape[1]} classes>"


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
    on few photos (see `SMALL`) and within 1 % on many: 0.1 to 0.8 % on 6,552 flower photos.

    Args:
        features: (N, D), float32 or bfloat16.
        labels: int64 (N,).
        valid_features, valid_labels: (M, D) and (M,), to choose the penalty with (see `_choose`).
        num_classes: C.
        penalties: candidates, above 0.
        refit: solve once more with the chosen penalty, on train and valid together, in train's
            scale. `rows` and `valid_logits` keep what was measured before, so that the valid
            figures stay honest numbers.

    Raises:
        InputError: shapes, labels, features or penalties that cannot be used.

    Warns:
        RuntimeWarning: a penalty took `MAX_STEPS`, and its head is not the best one.
    """
    labels, valid_labels = _checked(features, labels, valid_features, valid_labels, num_classes)
    with threads.limited_to(_work(features, valid_features, num_classes)):
        axes = _Axes(features, valid_features, num_classes)
        turned = axes.turn(features, valid_features)
        train, valid = turned[: len(features)], turned[len(features) :]
        loss, weight = _CrossEntropy(train, labels), train.new_zeros(num_classes, train.shape[1])
        memory: list[tuple[Tensor, Tensor]] = []
        weights, logits, rows = [], [], []
        for penalty in _sorted(penalties):
            weight, train_loss = _minimize(loss, weight, penalty, axes.variances, memory)
            weights.append(weight)
            logits.append((valid @ weight.T).float())
            rows.append(_row(penalty, train_loss, logits[-1], valid_labels))
        best = _choose(rows, len(valid_labels))
        weight, penalty = weights[best], rows[best]["penalty"]
        if refit:
            loss = _CrossEntropy(turned, torch.cat([labels, valid_labels]))
            weight, _ = _minimize(loss, weight, penalty, axes.variances, [])
        head = axes.layer(weight)
    return LinearSolution(head, penalty, rows, best, axes.precision, logits[best])


class _CrossEntropy:
    """Mean cross-entropy of a linear head as a function of its weight (C, R).

    Args:
        features: (N, R), float32 or float64.
        labels: integers (N,).
    """

    def __init__(self, features: Tensor, labels: Tensor) -> None:
        self.features, self.labels = features, labels.long()

    def __call__(self, weight: Tensor) -> tuple[float, Tensor, Tensor]:
        """Returns (loss, its gradient (C, R), spread (C, C)).

        The spread is the mean second derivative with respect to the logits, diag(p) - p p', plus
        that of the errors, (p - y) (p - y)': at a class that the weight does not know yet, only
        the errors tell that there is something to learn.
        """
        total, gradient = 0.0, torch.zeros_like(weight)
        spread = weight.new_zeros(len(weight), len(weight))
        pieces = max(1, PIECE // len(weight))
        for some, known in zip(
            self.features.split(pieces), self.labels[:, None].split(pieces), strict=True
        ):
            logs = (some @ weight.T).log_softmax(1)
            total -= float(logs.gather(1, known).sum(dtype=torch.float64))
            shares = logs.exp_()
            spread += shares.sum(0).diag() - shares.T @ shares
            shares.scatter_add_(1, known, shares.new_full(known.shape, -1.0))
            spread += shares.T @ shares
            gradient += shares.T @ some
        count = len(self.labels)
        return total / count, gradient / count, spread / count


def _minimize(
    loss: _CrossEntropy,
    weight: Tensor,
    penalty: float,
    variances: Tensor,
    memory: list[tuple[Tensor, Tensor]],
) -> tuple[Tensor, float]:
    """Minimizes loss + penalty / 2 * ||weight||^2, the first column (the bias) free of penalty.

    L-BFGS, whose first guess of the curvature is Kronecker-factored: the covariance of the answers
    times the variances of the features, plus the penalty.

    Args:
        loss, weight: what to minimize, and from where.
        penalty, variances: the penalty, and the variance of each feature, (R,).
        memory: pairs (step, change of the loss's gradient), oldest first; goes on in place, for
            the penalty's part of a change is known and the rest serves the next penalty.

    Returns:
        (weight, loss without penalty).

    Source: Nocedal and Wright, "Numerical Optimization" (2006), algorithms 7.4 and 3.1; Martens and
    Grosse, "Optimizing Neural Networks with Kronecker-factored Approximate Curvature" (2015).
    """
    rates = torch.full_like(variances, penalty)
    rates[0] = 0
    tolerance = TOLERANCE["fp64" if weight.dtype == torch.float64 else "fp32"]

    def objective(weight: Tensor) -> tuple[float, Tensor, Tensor, float]:
        value, gradient, spread = loss(weight)
        cost = float((rates * weight.square()).sum(dtype=torch.float64)) / 2
        return value + cost, gradient + rates * weight, spread, value

    now, slope, spread, value = objective(weight)
    for _ in range(MAX_STEPS):
        pairs = [(step, change + rates * step) for step, change in memory]
        direction = _newton_like(slope, _inverse(spread, variances, rates), pairs)
        promised = _dot(slope, direction)
        if promised / 2 <= tolerance * now:
            return weight, value
        length = 1.0
        while True:  # until the objective falls by a small part of what the slope promises
            moved = weight - length * direction
            new, new_slope, new_spread, new_value = objective(moved)
            if new <= now - 1e-4 * length * promised:
                break
            # The lowest point of the parabola through what is known.
            parabola = length * promised / (2 * (new - now + length * promised))
            length *= min(0.5, max(0.1, parabola))
            if length < 1e-9:
                break
        if new > now:  # rounding is all that is left
            break
        step = moved - weight
        memory.append((step, new_slope - slope - rates * step))
        del memory[:-MEMORY]
        weight, now, slope, spread, value = moved, new, new_slope, new_spread, new_value
    warnings.warn(
        f"At penalty {penalty:g} the head is about {promised / 2 / now:.1%} above the lowest "
        "objective, and no step came closer; a larger penalty is easier to solve.",
        RuntimeWarning,
        stacklevel=3,
    )
    return weight, value


def _inverse(spread: Tensor, variances: Tensor, rates: Tensor) -> Callable[[Tensor], Tensor]:
    """Divides a slope (C, R) by the estimated curvature, in which spread and variances factor."""
    sizes, mixtures = torch.linalg.eigh(spread.double())
    sizes, mixtures = sizes.clamp(min=1e-30).to(spread.dtype), mixtures.to(spread.dtype)
    curvature = sizes[:, None] * variances + rates
    curvature[:, 0] += 1e-3 * sizes.max()  # the same for all classes, biases change nothing
    return lambda slope: mixtures @ ((mixtures.T @ slope) / curvature)


def _newton_like(
    slope: Tensor, divided: Callable[[Tensor], Tensor], pairs: list[tuple[Tensor, Tensor]]
) -> Tensor:
    """L-BFGS's two loops: slope divided by the curvature, corrected by what steps have shown."""
    direction, shares = slope.clone(), []
    curvatures = [_dot(step, change) for step, change in pairs]
    for (step, change), curvature in zip(reversed(pairs), reversed(curvatures), strict=True):
        shares.append(_dot(step, direction) / curvature)
        direction -= shares[-1] * change
    direction = divided(direction)
    if pairs:
        change = pairs[-1][1]
        direction *= curvatures[-1] / _dot(change, divided(change))
    for (step, change), curvature, share in zip(pairs, curvatures, reversed(shares), strict=True):
        direction += (share - _dot(change, direction) / curvature) * step
    return direction


def _dot(one: Tensor, other: Tensor) -> float:
    return float(torch.dot(one.flatten(), other.flatten()))


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
    ||W||^2, over features centered and scaled as in `logistic`, by those that it learns from. All
    penalties share one decomposition, so each costs two products. Such scores are no logits: they
    are divided by a temperature, chosen on valid, and the softmax of that is a probability.

    Args and what is returned: as for `logistic`. Losses in `rows` are cross-entropies.

    Source: Guo et al., "On Calibration of Modern Neural Networks" (2017), for the temperature.
    """
    labels, valid_labels = _checked(features, labels, valid_features, valid_labels, num_classes)
    with threads.limited_to(_work(features, valid_features, num_classes)):
        axes = _Axes(features, valid_features, num_classes)
        turned = axes.turn(features, valid_features)
        train, valid = turned[: len(features)], turned[len(features) :]
        weights, logits, rows, temperatures = [], [], [], []
        candidates = _sorted(penalties)
        for penalty, weight in zip(
            candidates, _least_squares(train, labels, num_classes, candidates), strict=True
        ):
            scores = (valid @ weight.T).float()
            temperatures.append(_temperature(scores, valid_labels))
            weights.append(weight / temperatures[-1])
            logits.append(scores / temperatures[-1])
            train_loss, _, _ = _CrossEntropy(train, labels)(weights[-1])
            rows.append(_row(penalty, train_loss, logits[-1], valid_labels))
        best = _choose(rows, len(valid_labels))
        weight, penalty = weights[best], rows[best]["penalty"]
        if refit:
            every = torch.cat([labels, valid_labels])
            (weight,) = _least_squares(turned, every, num_classes, [penalty])
            weight = weight / temperatures[best]
        head = axes.layer(weight)
    return LinearSolution(head, penalty, rows, best, axes.precision, logits[best])


def _least_squares(
    turned: Tensor, labels: Tensor, num_classes: int, penalties: Sequence[float]
) -> Iterator[Tensor]:
    """For each penalty the weight (C, 1 + R) of the smallest squares, on turned features."""
    features = turned[:, 1:]
    shares = labels.bincount(minlength=num_classes).to(turned.dtype) / len(labels)
    sums = turned.new_zeros(num_classes, features.shape[1]).index_add_(0, labels, features)
    mean = features.mean(0)
    covariance = features.T @ features / len(labels) - mean.outer(mean)
    targets = sums / len(labels) - shares.outer(mean)  # their covariance with the features
    total = covariance.trace().clamp(min=1e-30)  # 0 where all features are the same
    for penalty in penalties:
        curved = covariance + penalty * total * torch.eye(len(mean)).to(mean)
        weight = torch.cholesky_solve(targets.T, torch.linalg.cholesky(curved)).T
        yield torch.cat([(shares - weight @ mean)[:, None], weight], 1)


def _temperature(scores: Tensor, labels: Tensor) -> float:
    """The number to divide scores (M, C) by for the lowest cross-entropy.

    Labels are smoothed as if one more photo of unknown class had been seen: where all few photos
    are right, the loss alone would fall for ever, and every answer would be 100 % sure (Platt,
    "Probabilistic Outputs for Support Vector Machines", 1999, 2.2).
    """
    doubt = 1 / (len(labels) + 1)
    return min(
        TEMPERATURES,
        key=lambda known: float(F.cross_entropy(scores / known, labels, label_smoothing=doubt)),
    )


def _row(penalty: float, train_loss: float, logits: Tensor, labels: Tensor) -> dict[str, float]:
    return {
        "penalty": penalty,
        "train_loss": train_loss,
        "valid_loss": float(F.cross_entropy(logits, labels)),
        "valid_accuracy": metrics.accuracy(logits, labels),
    }


def _choose(rows: list[dict[str, float]], count: int) -> int:
    """The row of the best penalty, by both figures measured on `count` photos.

    Accuracy within one standard error of the highest is as good as the highest; among those the
    loss decides, which tells how honest a head is; of nearly equal losses the strongest penalty.
    """
    top = max(row["valid_accuracy"] for row in rows)
    error = (top * (1 - top) / count) ** 0.5
    good = [i for i, row in enumerate(rows) if row["valid_accuracy"] >= top - error]
    limit = SLACK * min(rows[i]["valid_loss"] for i in good)
    return next(i for i in good if rows[i]["valid_loss"] <= limit)


class _Axes:
    """The principal axes of features (N, D) and of more (M, D) that may be learned from later.

    Centered and scaled by the first features alone: their mean squared length becomes 1.

    Attributes:
        mean: (D,), of the first features.
        axes: (D, R), R <= min(N + M, D); at right angles, each as long as 1 / scale.
        variances: (1 + R,) of the scaled features along the axes, the first for a column of ones.
    """

    def __init__(self, features: Tensor, later: Tensor, num_classes: int) -> None:
        small = _work(features, later, num_classes) <= SMALL
        self.precision, dtype = ("fp64", torch.float64) if small else ("fp32", torch.float32)
        count, width = len(features) + len(later), features.shape[1]
        total = sum(part.double().sum(0) for part in features.split(ROWS))
        self.mean = (total / len(features)).to(dtype)
        span = None
        if count < width:  # all photos lie in the span of their differences from the mean
            every = torch.cat([features, later]).to(dtype) - self.mean
            span = torch.linalg.qr(every.T).Q
        size = width if span is None else count
        products, squares = torch.zeros(size, size, dtype=dtype), 0.0
        for given, known in ((features, True), (later, False)):
            for part in given.split(ROWS):
                centered = part.to(dtype) - self.mean
                squares += known * float(centered.square().sum(dtype=torch.float64))
                centered = centered if span is None else centered @ span
                products += centered.T @ centered
        if not bool(products.isfinite().all()):
            raise InputError("Some features are NaN or infinite; extract them again.")
        scale = squares / len(features) or 1.0  # 0 where all photos have the same features
        variances, axes = self._leading(products / count, size if small else WIDEST)
        axes = (axes if span is None else span @ axes) / scale**0.5
        # Rounding makes small variances anything, also negative.
        least = max(1e-30, 10 * torch.finfo(dtype).eps * float(variances.max()))
        variances = variances.clamp(min=least) / scale
        self.axes, self.variances = axes, torch.cat([variances.new_ones(1), variances])

    def _leading(self, covariance: Tensor, widest: int) -> tuple[Tensor, Tensor]:
        """Axes as columns, and the variance along each, of `widest` features at a time.

        If there are several such blocks, the weakest axes of all, which hold `FORGOTTEN` of the
        variance, are left out.
        """
        blocks = covariance.split(widest)
        found = [
            torch.linalg.eigh(rows[:, at : at + len(rows)])
            for at, rows in zip(range(0, len(covariance), widest), blocks, strict=True)
        ]
        variances = torch.cat([variances for variances, _ in found])
        axes = torch.block_diag(*(axes for _, axes in found))
        if len(found) == 1:
            return variances, axes
        order = variances.argsort(stable=True)
        weak = variances[order].clamp(min=0).cumsum(0) < FORGOTTEN * variances.sum()
        return variances[order[~weak]], axes[:, order[~weak]]

    def turn(self, *sets: Tensor) -> Tensor:
        """A column of ones, whose weight is the bias, and features along the axes: (N, 1 + R)."""
        turned = storage.empty(sum(map(len, sets)), len(self.variances), self.axes.dtype)
        turned[:, 0] = 1
        parts = [part for values in sets for part in values.split(ROWS)]
        for part, rows in zip(parts, turned.split([len(part) for part in parts]), strict=True):
            rows[:, 1:] = (part.to(self.axes.dtype) - self.mean) @ self.axes
        return turned

    def layer(self, weight: Tensor) -> nn.Sequential:
        """A weight (C, 1 + R) of turned features as a `models.linear_head` of features."""
        original = weight[:, 1:] @ self.axes.T
        layer = nn.Linear(original.shape[1], len(original), dtype=torch.float32)
        with torch.no_grad():
            layer.weight.copy_(original)
            layer.bias.copy_(weight[:, 0] - original @ self.mean)
        return nn.Sequential(layer).eval()


def _work(features: Tensor, valid_features: Tensor, num_classes: int) -> int:
    """Multiplications in a product of all features and a head."""
    return (len(features) + len(valid_features)) * features.shape[1] * num_classes


def _sorted(penalties: Sequence[float]) -> list[float]:
    if not penalties or not all(0 < penalty < float("inf") for penalty in penalties):
        raise InputError(f"Penalties must be numbers above 0; got {list(penalties)}.")
    return sorted(penalties, reverse=True)


def _checked(
    features: Tensor, labels: Tensor, valid_features: Tensor, valid_labels: Tensor, num_classes: int
) -> tuple[Tensor, Tensor]:
    """Both labels as int64, if a head can be solved on what is given."""
    for part, values, known in (
        ("train", features, labels),
        ("valid", valid_features, valid_labels),
    ):
        if values.ndim != 2 or known.shape != (len(values),) or 0 in values.shape:
            raise InputError(
                f"A head needs {part} features (N, D) and labels (N,), N > 0; got "
                f"{tuple(values.shape)} and {tuple(known.shape)}."
            )
        if not 0 <= int(known.min()) <= int(known.max()) < num_classes:
            raise InputError(
                f"The {part} labels must be 0 to {num_classes - 1}; got {int(known.min())} to "
                f"{int(known.max())}."
            )
    if features.shape[1] != valid_features.shape[1]:
        raise InputError(
            f"Train has {features.shape[1]} features and valid {valid_features.shape[1]}; extract "
            "both with the same backbone."
        )
    return labels.long(), valid_labels.long()
