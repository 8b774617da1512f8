"""Tensors in, numbers out: how good a classifier is, and how sure we can be of that number."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of rows whose largest logit is at the label.

    Args:
        logits: (N, C), any increasing function of the probabilities.
        labels: (N,) integers in 0..C-1.

    Returns:
        A fraction in [0, 1]; over all rows, not a mean of batch means.
    """
    _check(logits, labels)
    return float((logits.argmax(1) == labels).double().mean())


def interval(correct: int, total: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's interval for an accuracy; 95 % with the default `z`.

    Unlike the textbook's p ± 1.96 sqrt(p(1-p)/n) it stays inside [0, 1] and is right near 1.

    Source: E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference",
    JASA 22 (1927), pp. 209-212.
    """
    if not 0 <= correct <= total or total == 0:
        raise ValueError(f"interval needs 0 <= correct <= total, total > 0; got {correct}, {total}")
    share = correct / total
    middle = share + z * z / (2 * total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean of independent runs with its 95 % interval, by Student's t.

    Args:
        values: two or more, one a run.

    Returns:
        Mean, lower and upper end. The interval is about the mean of many such runs, not about the
        next run.

    Source: Student, "The probable error of a mean", Biometrika 6 (1908).
    """
    if len(values) < 2:
        raise ValueError(f"mean_interval needs two or more values, got {len(values)}")
    runs = torch.tensor(values, dtype=torch.float64)
    mean = float(runs.mean())
    half = _student(len(values) - 1) * float(runs.std()) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def _student(freedom: int) -> float:
    """The 97.5 % point of Student's t; exact for the few runs that are usual, else within 0.2 %."""
    exact = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
    if freedom <= len(exact):
        return exact[freedom - 1]
    z = 1.959964  # Cornish and Fisher's expansion around the normal distribution
    third = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return z + (z**3 + z) / (4 * freedom) + third


def paired_difference(first_right: Tensor, second_right: Tensor) -> tuple[float, float, float]:
    """How much more accurate the first of two classifiers is on the same photos, 95 % interval.

    Args:
        first_right, second_right: (N,) booleans, row i about the same photo.

    Returns:
        Difference of the two accuracies, lower and upper end. Photos on which both are right or
        both are wrong cancel, so this is narrower than two intervals side by side.
    """
    total = len(first_right)
    wins = int((first_right & ~second_right).sum())
    losses = int((second_right & ~first_right).sum())
    difference = (wins - losses) / total
    variance = (wins + losses) / total - difference**2
    half = 1.959964 * math.sqrt(max(variance, 0) / total)
    return difference, difference - half, difference + half


def paired_p_value(first_right: Tensor, second_right: Tensor) -> float:
    """Exact McNemar test: could two classifiers be equally good, given the same test photos?

    Only photos on which exactly one of the two is right say anything; under equality each side
    wins such a photo with probability 1/2.

    Args:
        first_right, second_right: (N,) booleans, row i about the same photo.

    Returns:
        The two-sided p-value of that null hypothesis.
    """
    first = int((first_right & ~second_right).sum())
    second = int((second_right & ~first_right).sum())
    trials, fewer = first + second, min(first, second)
    tail = sum(math.comb(trials, wins) for wins in range(fewer + 1)) / 2**trials
    return min(1.0, 2 * tail)


def top_k_accuracy(logits: Tensor, labels: Tensor, k: int = 5) -> float:
    """Share of rows whose label is among the `k` largest logits."""
    _check(logits, labels)
    best = logits.topk(min(k, logits.shape[1]), dim=1).indices
    return float((best == labels[:, None]).any(1).double().mean())


def confusion(logits: Tensor, labels: Tensor) -> Tensor:
    """Counts (C, C): row = true class, column = predicted class."""
    _check(logits, labels)
    num_classes = logits.shape[1]
    cells = labels * num_classes + logits.argmax(1)
    return torch.bincount(cells, minlength=num_classes**2).view(num_classes, num_classes)


def per_class(matrix: Tensor) -> Tensor:
    """Recall of each class (C,) from a confusion matrix; NaN where a class has no photo."""
    return matrix.diag().double() / matrix.sum(1).double()


def calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Expected calibration error: how far "90 % sure" is from being right 90 % of the time.

    Args:
        probabilities: (N, C), rows sum to 1.
        labels: (N,).
        bins: equal-width bins of the largest probability.

    Source: Guo et al., "On Calibration of Modern Neural Networks" (2017), equation 3.
    """
    _check(probabilities, labels)
    sure, predicted = probabilities.max(1)
    right = (predicted == labels).double()
    bin_of = (sure * bins).long().clamp(max=bins - 1)
    error = 0.0
    for index in range(bins):
        inside = bin_of == index
        if inside.any():
            gap = float(sure[inside].double().mean() - right[inside].mean())
            error += abs(gap) * float(inside.double().mean())
    return error


def _check(logits: Tensor, labels: Tensor) -> None:
    if logits.ndim != 2 or labels.shape != (len(logits),) or len(labels) == 0:
        raise ValueError(
            f"expected logits (N, C) and labels (N,), N > 0; got {tuple(logits.shape)} "
            f"and {tuple(labels.shape)}"
        )
