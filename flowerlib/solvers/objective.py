"""What logistic regression minimizes: mean cross-entropy, and a penalty on large weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from flowerlib.solvers.lbfgs import Evaluation
from flowerlib.support import distributed

CHUNK = 2**19  # logits at a time: what is computed of them stays in the cache
ROWS = 4096  # photos at a time, where there are no logits
TINY = 1e-30  # takes the place of curvatures that are 0, or negative by rounding


Made = TypeVar("Made")


class CrossEntropy:
    """Mean cross-entropy of a linear head, as a function of its weight (C, R).

    Where several processes work together, each has some of the photos, and the mean is that of all:
    the main process calls the function, within `asked`.

    Args:
        features: float32 (N, R), a column of ones first, whose weight is the bias.
        labels: int64 (N,).

    Attributes:
        count: of all photos.
        mean_squares: (R,), of the features.
    """

    def __init__(self, features: Tensor, labels: Tensor) -> None:
        self.features, self.labels = features, labels
        self.count = int(distributed.all_reduce_sum(torch.tensor(len(labels))))
        self.mean_squares = features.new_zeros(features.shape[1])
        for rows in torch.split(features, ROWS):
            self.mean_squares += rows.square().sum(0) / self.count
        distributed.all_reduce_sum(self.mean_squares)

    def asked(self, work: Callable[[], Made], num_classes: int) -> Made:
        """What some work gives in the main process, for all processes.

        It may call the function; the other processes add the sums over their photos meanwhile.
        """
        if distributed.size() == 1:
            return work()
        more, made = torch.ones(1), None
        if distributed.is_main():
            made = work()
            distributed.broadcast(torch.zeros(1))
        else:
            weight = self.mean_squares.new_empty(num_classes, len(self.mean_squares))
            while distributed.broadcast(more).item():
                self._sums(distributed.broadcast(weight))
        return distributed.from_main(lambda: made)  # type: ignore[return-value]

    def __call__(self, weight: Tensor) -> tuple[float, Tensor, Tensor]:
        """Returns (value, gradient (C, R), curvature of the logits (C, C)).

        Products are float32, what lies between them float64: where a head is all but sure, it
        learns from how little its probabilities differ from 1.

        The curvature is the mean second derivative with respect to the logits, diag(p) - p p', plus
        the mean square of the errors, (p - y) (p - y)': at a class that the weight does not know
        yet, only the errors show that there is something to learn. In their sum p p' cancels, and
        what remains are sums of probabilities over the photos of each class.
        """
        if distributed.size() > 1:
            distributed.broadcast(torch.ones(1))
            distributed.broadcast(weight.contiguous())
        total, gradient, sums, counts = self._sums(weight)
        curvature = (sums.sum(0) + counts).diag() - sums - sums.T
        return total / self.count, gradient / self.count, curvature / self.count

    def _sums(self, weight: Tensor) -> tuple[float, Tensor, Tensor, Tensor]:
        """Over all photos: loss, gradient, probabilities by label (C, C), photos by label (C,)."""
        classes, total = len(weight), 0.0
        gradient = torch.zeros_like(weight)
        sums = torch.zeros(classes, classes, dtype=torch.float64)
        rows = max(1, CHUNK // classes)
        for features, labels in zip(
            torch.split(self.features, rows), torch.split(self.labels, rows), strict=True
        ):
            of_label = torch.arange(len(labels)), labels
            logs = (features @ weight.T).double().log_softmax(1)
            total -= float(logs[of_label].sum())
            probabilities = logs.exp_()
            sums.index_add_(0, labels, probabilities)
            errors = probabilities
            errors[of_label] -= 1
            gradient += errors.float().T @ features
        counts = self.labels.bincount(minlength=classes)
        total = float(distributed.all_reduce_sum(torch.tensor(total, dtype=torch.float64)))
        for part in (gradient, sums, counts):
            distributed.all_reduce_sum(part)
        return total, gradient, sums, counts


@dataclass(frozen=True)
class Penalized:
    """Cross-entropy + penalty / 2 * ||weight||^2, the first column (the bias) free of penalty."""

    loss: CrossEntropy
    penalty: float

    @property
    def rates(self) -> Tensor:
        """The penalty of each column of the weight, (R,)."""
        rates = torch.full_like(self.loss.mean_squares, self.penalty)
        rates[0] = 0
        return rates

    def cost(self, weight: Tensor) -> float:
        """The penalty's part of the objective."""
        return float((self.rates * weight.square()).sum(dtype=torch.float64)) / 2

    def __call__(self, weight: Tensor) -> Evaluation:
        """The objective at a weight (C, R), its gradient, and an estimate of its curvature."""
        value, gradient, curvature = self.loss(weight)
        divide = kronecker(curvature, self.loss.mean_squares, self.rates)
        return Evaluation(value + self.cost(weight), gradient + self.rates * weight, divide)


def kronecker(curvature: Tensor, mean_squares: Tensor, rates: Tensor) -> Callable[[Tensor], Tensor]:
    """Returns what divides a gradient (C, R) by an estimate of the objective's curvature.

    The estimate takes a photo's errors for independent of its features: it is the curvature (C, C)
    of the logits times the mean squares (R,) of the features, plus the penalty's rates (R,).

    Source: Martens and Grosse, "Optimizing Neural Networks with Kronecker-factored Approximate
    Curvature" (2015).
    """
    values, mixtures = torch.linalg.eigh(curvature)
    values, mixtures = values.clamp(min=TINY).float(), mixtures.float()
    estimate = values[:, None] * mean_squares + rates
    estimate[:, 0] += 1e-3 * values.max()  # the same bias for all classes changes nothing
    return lambda gradient: mixtures @ ((mixtures.T @ gradient) / estimate)
