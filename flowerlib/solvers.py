"""Linear heads solved directly on cached features: no learning rate, no epochs, no luck.

L2-regularized logistic regression is convex, so there is one best head for each penalty, and
L-BFGS leads to it. Ridge regression even has a formula. The penalty is chosen on the validation
set.

What makes `logistic` fast (6,552 flower photos, 1,280 features, 102 classes; a pass is one product
for the logits and one for the gradient):

- Slopes divided by (spread * variance + penalty) along the principal axes: the objective at 1e-4
  is within 0.2 % of its lowest value after 12 passes; by the variance alone, 6 % off after 42.
- The curvature seen at one penalty serves the next, for the penalty's own part is known: after 4
  steps each the objective at 1e-8 is 0.0020; without it, after 5 steps, 0.0028.
- Products in bf16 where the processor has it: 1.1 instead of 2.5 s on one core; over five random
  splits test accuracy 0.947 instead of 0.948, loss 0.200 instead of 0.201.
- Classes are the rows of every factor, not its columns, and the pass that ends one penalty begins
  the next: 1.03 instead of 1.14 s with 102 classes and 2,624 features, and with two classes (2,000
  dogs and cats) 0.40 instead of 0.93 s.
- At each penalty only the axes that it lets through, `BARRED` tells which, and a strong one lets
  few through: 0.89 of the time with 2,624 features (0.78 to 1.03 in 12 pairs), 0.95 with 1,280;
  over twelve random splits test accuracy 0.9704 instead of 0.9706 and 0.9510 instead of 0.9512.
- Axes from float32, 0.2 instead of 1.4 s: they only steer the steps and need not be exact. For the
  same reason those of many features are found for `WIDEST` at a time, and the weakest, which hold
  0.5 % of the variance, are left out: 2,624 features (mobilenet_v2.stages) 0.7 instead of 1.7 s,
  over five random splits test accuracy 0.966 instead of 0.965, loss 0.123 instead of 0.126.
- Those axes from every second photo, from a few thousand of a million: 0.89 of the time; over
  twelve random splits test accuracy 0.9704 both ways and loss 0.116 instead of 0.114; with 1,280
  features as fast, 0.9491 instead of 0.9498.
- The refit from one penalty before: test loss 0.223; from the chosen penalty's own head, 0.234.
- 4 steps a penalty are enough for many photos only: over 20 draws of 160 of the 400 photos of beds
  and sofas, the head solved again with valid is right on 0.932 of the others; with 20 steps, which
  take a hundredth of a second, on 0.951.
- A slack of 1.0, 1.03 or 1.05: test accuracy 0.950 over twelve random splits; of 1.12: 0.949, and
  the loss is 7 % higher.
- Left out: guessing the next start from the last two (no fewer passes), the sweep's curvature in
  the refit (a worse head).

Memory: one copy of the features, in bf16 if they are multiplied in it, in a file if there are very
many (see `storage.empty`); logits in pieces, and about 2 * MEMORY + 10 arrays as large as the
head's weight.

Shown in: notebooks/03_flowers
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowerlib import metrics, modes, storage
from flowerlib.engine import KINDS, choose_precision

# From strong to weak: each solution is the starting point of the next.
PENALTIES = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
WIDEST = 1024  # features whose axes are found together
SAMPLE = 3072  # photos that rough axes are found from, at least
FORGOTTEN = 5e-3  # of the variance: what the axes hold that are left out
BARRED = 0.1  # an axis is left out while its curvature is below this share of the penalty
SLACK = 1.05  # a stronger penalty is preferred as long as it costs so little validation loss
MEMORY = 6  # pairs of (step, change of the gradient) that L-BFGS remembers
ENOUGH = 1e-3  # a step that promises less than this share of the objective is not taken
PIECE = 2**20  # logits at a time: 4 MB
ROWS = 512  # of features, centered and turned at a time
LARGE = 2**28  # multiplications in a product from which bf16 pays, and every step counts
STEPS, SMALL_STEPS = 4, 20  # at most, for a penalty
RIDGE_PENALTIES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
STRETCHES = tuple(
    2 ** (power / 4) for power in range(40)
)  # 1 to 861, what scores are multiplied by


_Axes = tuple[Tensor, Tensor]  # axes of some features as columns, and their places among all


@dataclass(repr=False)
class LinearSolution:
    """The head that was best on the validation set, and what the others reached.

    Attributes:
        head: a `models.linear_head` with the solved weights, on the CPU.
        penalty: the chosen one.
        rows: one dict a penalty: penalty, train_loss, valid_loss, valid_accuracy.
        best: the row of the chosen one.
        precision: "bf16" or "fp32", in which features were multiplied; sums are float32.
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
    max_steps: int | None = None,
    refit: bool = False,
) -> LinearSolution:
    """Finds the L2-regularized softmax regression, with the penalty that is best on valid.

    Minimizes mean cross-entropy + penalty / 2 * ||W||^2 over features that were centered and scaled
    by one common number (so that penalties mean the same for every backbone); both are folded into
    the returned layer, which takes features as they are.

    Args:
        features: (N, D), float32 or bfloat16.
        labels: int64 (N,).
        valid_features, valid_labels: (M, D) and (M,), to choose the penalty with (see `_choose`).
        num_classes: C.
        penalties: candidates.
        max_steps: L-BFGS steps for each of them, twice as many for the refit; by default `STEPS`,
            or `SMALL_STEPS` where a pass over the features takes next to no time.
        refit: solve once more with the chosen penalty, on train and valid together. `rows` keeps
            what was measured before, so that the valid figures stay honest numbers.
    """
    size = len(features)
    large = _is_large(features, valid_features, num_classes)
    max_steps = max_steps or (STEPS if large else SMALL_STEPS)
    precision = choose_precision("auto" if large else "fp32", "cpu")
    kind = KINDS[precision]
    mean = _mean(features)
    later = valid_features if refit else valid_features[:0]
    rough = size >= WIDEST and (large or features.shape[1] > WIDEST)
    axes, variances = _principal_axes(features, later, mean, kind, rough=rough)
    storage.return_memory()  # of what it took to find them
    everyone = _turned([features, valid_features], mean, axes, kind)  # valid, too, to choose by
    storage.return_memory()  # of the pieces that were turned
    loss = _CrossEntropy(everyone[:size], labels)
    weight, spread = torch.zeros(1, num_classes, dtype=torch.float32), 1 / num_classes
    memory: list[tuple[Tensor, Tensor]] = []
    rows, solutions, valid_logits = [], [], []
    for penalty in sorted(penalties, reverse=True):
        open_axes = spread * variances >= BARRED * penalty if large else variances > 0
        weight = _grown(weight, memory, int(open_axes.sum()))
        weight, train_loss, spread = _minimize(loss, weight, penalty, variances, memory, max_steps)
        logits = _logits(
            everyone[size:, : len(weight)], weight, torch.zeros(num_classes, dtype=torch.float32)
        )
        solutions.append(weight)
        valid_logits.append(logits)
        rows.append(
            {
                "penalty": penalty,
                "train_loss": train_loss,
                "valid_loss": float(F.cross_entropy(logits, valid_labels)),
                "valid_accuracy": metrics.accuracy(logits, valid_labels),
            }
        )
    best = _choose(rows, len(valid_labels))
    weight = solutions[best]
    if refit:
        # From one penalty before: a head that is sure of the old photos moves slowly for new ones.
        memory.clear()
        weight = _grown(solutions[max(0, best - 1)], memory, len(weight))
        loss = _CrossEntropy(everyone, torch.cat([labels, valid_labels]))
        penalty = rows[best]["penalty"]
        weight, _, _ = _minimize(loss, weight, penalty, variances, memory, 2 * max_steps)
    head = _layer(*_as_they_are(weight, axes, mean))
    return LinearSolution(head, rows[best]["penalty"], rows, best, precision, valid_logits[best])


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
    ||W||^2, over features centered and scaled as in `logistic`. All penalties share one
    decomposition, so each costs two products. Such scores are no logits: they are stretched by one
    number, chosen on valid, and the softmax of that is a probability.

    Of 819 flowers it names 0.912, `logistic` 0.932, each after 0.4 s; with the 2,624 features of
    mobilenet_v2.stages 0.951 and 0.962, after 2.0 and 0.8 s, for a formula needs exact axes. From 5
    photos of each class 0.759 and 0.776 (the last layer, means of five draws).

    Args and what is returned: as for `logistic`. Losses in `rows` are cross-entropies.

    Source: Guo et al., "On Calibration of Modern Neural Networks" (2017), for the stretching.
    """
    large = _is_large(features, valid_features, num_classes)
    precision = choose_precision("auto" if large else "fp32", "cpu")
    kind = KINDS[precision]
    solve = _least_squares(features, labels, num_classes, kind)
    rows, stretches, valid_logits = [], [], []
    for penalty in sorted(penalties, reverse=True):
        weight, bias = solve(penalty)
        scores = _logits(valid_features, weight, bias)
        stretch = _stretch(scores, valid_labels)
        stretches.append(stretch)
        valid_logits.append(stretch * scores)
        rows.append(
            {
                "penalty": penalty,
                "train_loss": _loss(features, labels, stretch * weight, stretch * bias),
                "valid_loss": float(F.cross_entropy(stretch * scores, valid_labels)),
                "valid_accuracy": metrics.accuracy(scores, valid_labels),
            }
        )
    best = _choose(rows, len(valid_labels))
    if refit:
        size = len(features) + len(valid_features)
        everyone = storage.empty(size, features.shape[1], features.dtype)
        torch.cat([features, valid_features], out=everyone)
        solve = _least_squares(everyone, torch.cat([labels, valid_labels]), num_classes, kind)
    weight, bias = solve(rows[best]["penalty"])
    layer = _layer(stretches[best] * weight, stretches[best] * bias)
    return LinearSolution(layer, rows[best]["penalty"], rows, best, precision, valid_logits[best])


def _stretch(scores: Tensor, labels: Tensor) -> float:
    """The factor for scores (M, C) with the lowest cross-entropy.

    Labels are smoothed as if one more photo of unknown class had been seen: where all few photos
    are right, the loss alone would fall for ever, and every answer would be 100 % sure (Platt,
    "Probabilistic Outputs for Support Vector Machines", 1999, 2.2).
    """
    doubt = 1 / (len(labels) + 1)
    return min(
        STRETCHES,
        key=lambda known: float(F.cross_entropy(known * scores, labels, label_smoothing=doubt)),
    )


def _least_squares(
    features: Tensor, labels: Tensor, num_classes: int, kind: torch.dtype
) -> Callable[[float], tuple[Tensor, Tensor]]:
    """What turns a penalty into the weight (D, C) and bias (C,) with the smallest squares.

    Products of features and features are multiplied in `kind`.
    """
    mean = _mean(features)
    ((axes, places),), variances = _principal_axes(features, features[:0], mean, kind)
    counts = labels.bincount(minlength=num_classes)[:, None]
    sums = torch.zeros(num_classes, features.shape[1], dtype=torch.float32)
    for some, known in zip(features.split(ROWS), labels.split(ROWS), strict=True):
        sums.index_add_(0, known, some.float())
    products = axes.T @ (sums - counts * mean).T / len(features)  # of features and targets (R, C)
    shares = counts[:, 0].float() / len(features)

    def solve(penalty: float) -> tuple[Tensor, Tensor]:
        weight = axes @ (products / (variances[places, None] + penalty))
        return weight, shares - mean @ weight

    return solve


def _mean(features: Tensor) -> Tensor:
    """Float32 (D,). `Tensor.mean` would first turn all of bfloat16 into float32: so in pieces."""
    if features.dtype == torch.float32:
        return features.mean(0)
    total = torch.zeros(
        features.shape[1], dtype=torch.float32
    )  # in place: small results between large pieces, if kept,
    for some in features.split(ROWS):  # would leave holes in the heap, as large as the whole copy
        total += some.float().sum(0)
    return total / len(features)


def _logits(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Float32 (N, C), of a linear head."""
    logits, factor = (
        torch.empty(len(features), len(bias), dtype=torch.float32),
        weight.T.contiguous(),
    )
    for some, place in zip(features.split(ROWS), logits.split(ROWS), strict=True):
        torch.addmm(bias, some.float(), factor.T, out=place)
    return logits


def _loss(features: Tensor, labels: Tensor, weight: Tensor, bias: Tensor) -> float:
    """Mean cross-entropy of a linear head, its logits in pieces."""
    total = 0.0
    for some, known in zip(features.split(ROWS), labels.split(ROWS), strict=True):
        total += float(F.cross_entropy(_logits(some, weight, bias), known, reduction="sum"))
    return total / len(labels)


def _layer(weight: Tensor, bias: Tensor) -> nn.Sequential:
    """Weight (D, C) and bias (C,) as a `models.linear_head`."""
    layer = nn.Linear(len(weight), weight.shape[1], dtype=torch.float32)
    with torch.no_grad():
        layer.weight.copy_(weight.T)
        layer.bias.copy_(bias)
    return nn.Sequential(layer).eval()


def _is_large(features: Tensor, valid_features: Tensor, num_classes: int) -> bool:
    count = len(features) + len(valid_features)
    return count * features.shape[1] * num_classes >= LARGE


def _turned(sets: list[Tensor], mean: Tensor, axes: list[_Axes], kind: torch.dtype) -> Tensor:
    """A column of ones, whose weight is the bias, and features along the axes: (N, 1 + R)."""
    parts = [part for values in sets for part in values.split(ROWS)]
    rounded, widths = [its.to(kind) for its, _ in axes], [len(its) for its, _ in axes]
    order = torch.cat([places for _, places in axes]).argsort()
    turned = storage.empty(sum(map(len, parts)), 1 + len(order), kind)
    turned[:, 0] = 1
    for part, rows in zip(parts, turned.split([len(part) for part in parts]), strict=True):
        pieces = (part - mean).to(kind).split(widths, 1)
        products = [piece @ its for piece, its in zip(pieces, rounded, strict=True)]
        torch.index_select(torch.cat(products, 1), 1, order, out=rows[:, 1:])
    return turned


def _as_they_are(weight: Tensor, axes: list[_Axes], mean: Tensor) -> tuple[Tensor, Tensor]:
    """Weight (D, C) and bias (C,) that do to features what the weight does to turned ones."""
    whole = _grown(weight, [], 1 + sum(len(places) for _, places in axes))
    original = torch.cat([its @ whole[places] for its, places in axes])
    return original, weight[0] - mean @ original


def _grown(weight: Tensor, memory: list[tuple[Tensor, Tensor]], rows: int) -> Tensor:
    """The weight, and in place what L-BFGS remembers, with zeros for the axes that are new."""
    more = (0, 0, 0, rows - len(weight))
    if more[-1] <= 0:
        return weight
    memory[:] = [(F.pad(step, more), F.pad(change, more)) for step, change in memory]
    return F.pad(weight, more)


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


def _principal_axes(
    features: Tensor, later: Tensor, mean: Tensor, kind: torch.dtype, *, rough: bool = False
) -> tuple[list[_Axes], Tensor]:
    """The principal axes of features (N, D), and the variance along each of them.

    Args:
        features: (N, D).
        later: (M, D), more that a head will learn from; their directions are not to be lost.
        mean: (D,), of the features.
        kind: in which to multiply features.
        rough: the axes of `WIDEST` features at a time are enough, as some `SAMPLE` of the photos
            show them, without the weakest ones, which together hold `FORGOTTEN` of the variance.

    Returns:
        Axes, of consecutive features each: one (D, R), R = min(N + M, D), or if rough several with
        D rows and R columns in all, each with the places of its columns among all, from 1, in the
        order of falling variance. Features - mean, turned by them, have a mean squared length of 1.
        The variances (1 + R,) of that, the first for a column of ones, which is 1.
    """
    width, rank = features.shape[1], min(len(features) + len(later), features.shape[1])
    count, span = -(-width // WIDEST) if rough else 1, None
    if rank < width and not rough:  # outside the photos' span every weight stays 0
        span = torch.linalg.qr((torch.cat([features, later]) - mean).T)[0]
    if rough:
        features = features[:: max(1, len(features) // SAMPLE)]
    pieces = zip(features.chunk(count, 1), mean.chunk(count), strict=True)
    found = [torch.linalg.eigh(_covariance(piece, its, kind, span)) for piece, its in pieces]
    if rough:
        found = _strongest(found)
    variances = torch.cat([its for its, _ in found])
    # Rounding makes small variances anything, also negative.
    variances = variances.clamp(min=max(1e-24, float(variances.max()) * 1e-6))
    total, order = variances.sum(), variances.argsort(descending=True, stable=True)
    places = (1 + order.argsort()).split([len(its) for its, _ in found])
    axes = [its if span is None else span @ its for _, its in found]
    scaled = [its / total.sqrt() for its in axes]
    return [*zip(scaled, places, strict=True)], torch.cat(
        [torch.ones(1, dtype=torch.float32), variances[order] / total]
    )


def _strongest(found: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
    """Variances (r,), rising, and axes (d, r) without those that together hold `FORGOTTEN`."""
    every = torch.cat([variances for variances, _ in found]).clamp(min=0).sort().values
    least = every[every.cumsum(0) >= FORGOTTEN * every.sum()][0]
    counts = [int((variances >= least).sum()) for variances, _ in found]
    return [
        (variances[len(variances) - count :], axes[:, axes.shape[1] - count :])
        for (variances, axes), count in zip(found, counts, strict=True)
    ]


def _covariance(
    features: Tensor, mean: Tensor, kind: torch.dtype, span: Tensor | None = None
) -> Tensor:
    """Of features (N, D), float32 (D, D); with a span (D, R), of their parts along it, (R, R)."""
    size = features.shape[1] if span is None else span.shape[1]
    products = torch.zeros(size, size, dtype=torch.float32)
    for part in features.split(ROWS):
        centered = part - mean if span is None else (part - mean) @ span
        rounded = centered.to(kind)
        products += rounded.T @ rounded
    return products / len(features)


class _CrossEntropy:
    """Mean cross-entropy of a linear head as a function of its weight (r, C), r <= R.

    Args:
        features: (N, R), of which the first r columns are looked at; float32 or bfloat16, in which
            they are multiplied; probabilities and sums over photos are float32.
        labels: int64 (N,).
    """

    def __init__(self, features: Tensor, labels: Tensor) -> None:
        self.features, self.labels = features, labels
        self.known: tuple[Tensor, tuple[float, Tensor, float]] | None = None

    def __call__(self, weight: Tensor) -> tuple[float, Tensor, float]:
        """Returns (loss, its gradient (r, C), mean variance of a probability: p * (1 - p))."""
        if self.known is None or self.known[0] is not weight:
            self.known = weight, self._pass(weight)
        return self.known[1]  # where one penalty ended, the next one begins

    def _pass(self, weight: Tensor) -> tuple[float, Tensor, float]:
        gradient, total, spread = torch.zeros_like(weight), 0.0, 0.0
        kind = self.features.dtype
        factor = weight.T.contiguous().to(kind)
        size = max(1, PIECE // weight.shape[1])
        for some, labels in zip(
            self.features[:, : len(weight)].split(size),
            self.labels[:, None].split(size),
            strict=True,
        ):
            logs = (some @ factor.T).float().log_softmax(1)
            total -= float(logs.gather(1, labels).sum())
            shares = logs.exp_()
            spread += len(some) - float(shares.square().sum())
            shares.scatter_add_(1, labels, torch.full(labels.shape, -1.0, dtype=torch.float32))
            gradient += (shares.to(kind).T @ some).T
        count = len(self.labels)
        return total / count, gradient / count, spread / (count * weight.shape[1])


def _minimize(
    loss: _CrossEntropy,
    weight: Tensor,
    penalty: float,
    variances: Tensor,
    memory: list[tuple[Tensor, Tensor]],
    max_steps: int,
) -> tuple[Tensor, float, float]:
    """Minimizes loss + penalty / 2 * ||weight||², the first row (the bias) free of penalty.

    Args:
        loss, weight: what to minimize, and from where.
        penalty, variances: the penalty, and the variance of each feature, (r,) or more.
        memory: pairs (step, change of the loss's gradient), oldest first; goes on in place.
        max_steps: at most so many.

    Returns:
        (weight, loss without penalty, mean variance of a probability).

    Source: Nocedal and Wright, "Numerical Optimization" (2006), algorithms 7.4 and 3.1.
    """
    rates = torch.full((len(weight), 1), penalty, dtype=torch.float32)
    rates[0] = 0
    value, gradient, spread = loss(weight)
    objective = value + float((rates * weight.square()).sum()) / 2
    for _ in range(max_steps):
        slope = gradient + rates * weight
        # The second derivative, if every photo were as undecided as the mean one. Three times
        # that: the undecided ones count for more, and a first step too far costs a pass.
        curvature = 3 * max(spread, 1e-12) * variances[: len(weight), None] + rates
        pairs = [(step, change + rates * step) for step, change in memory]
        direction = _newton_like(slope, curvature, pairs)
        promised = float((slope * direction).sum())
        if not promised > ENOUGH * objective:
            break
        length = 1.0
        while True:  # until the objective falls by a small part of what the slope promises
            moved = weight - length * direction
            new_value, new_gradient, spread = loss(moved)
            new = new_value + float((rates * moved.square()).sum()) / 2
            if new <= objective - 1e-4 * length * promised:
                break
            if length < 1e-3:  # rounding is all that is left
                return weight, value, spread
            # the lowest point of the parabola through what is known
            parabola = length * promised / (2 * (new - objective + length * promised))
            length *= min(0.5, max(0.1, parabola))
        step, change = moved - weight, new_gradient - gradient
        if float((step * change).sum()) > 0:
            memory.append((step, change))
            del memory[:-MEMORY]
        weight, value, gradient, objective = moved, new_value, new_gradient, new
    return weight, value, spread


def _newton_like(slope: Tensor, curvature: Tensor, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    """L-BFGS's two loops: slope divided by the curvature, corrected by what steps have shown."""
    direction = slope.clone()
    shares = []
    for step, change in reversed(pairs):
        shares.append((step * direction).sum() / (step * change).sum())
        direction -= shares[-1] * change
    direction /= curvature
    if pairs:
        step, change = pairs[-1]
        direction *= (step * change).sum() / (change.square() / curvature).sum()
    for (step, change), share in zip(pairs, reversed(shares), strict=True):
        direction += (share - (change * direction).sum() / (step * change).sum()) * step
    return direction
