"""Tensors in, numbers out: how good a classifier is, and how sure we can be of that number."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from flowerlib.support.errors import InputError

__all__ = [
    "accuracy",
    "confusion",
    "crossed_interval",
    "expected_calibration_error",
    "mcnemar_test",
    "mean_interval",
    "paired_difference",
    "told",
    "top_k_accuracy",
    "wilson_interval",
]

Z = 1.959964  # of a normal distribution, 95 % lie between -Z and Z


# What the functions below take: tensors on any device, or NumPy arrays.
Values = Tensor | np.ndarray


def accuracy(logits: Values, labels: Values) -> float:
    """Share of rows whose largest logit is at the label.

    Args:
        logits: (N, C), any increasing function of the probabilities; of equal ones the first counts
            as the largest.
        labels: (N,) integers in 0..C-1, of any integer type.

    Returns:
        A fraction in [0, 1]; over all rows, not a mean of batch means.

    Raises:
        InputError: shapes do not fit, a label is out of range, or a logit is not a number. So do
            the other functions that take logits and labels.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]])
        >>> round(accuracy(logits, torch.tensor([0, 1, 1])), 3)
        0.667
    """
    logits, labels = _checked(logits, labels)
    return float((logits.argmax(1) == labels).double().mean())


def wilson_interval(correct: int, total: int, z: float = Z) -> tuple[float, float]:
    """Wilson's interval for an accuracy; 95 % with the default `z`.

    Unlike the textbook's p ± 1.96 sqrt(p(1-p)/n) it stays inside [0, 1] and is right near 1.

    Source: E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference",
    JASA 22 (1927), pp. 209-212.

    Example:
        >>> low, high = wilson_interval(749, 819)
        >>> print(f"{749 / 819:.3f} [{low:.3f}, {high:.3f}]")
        0.915 [0.893, 0.932]
    """
    try:
        correct, total = operator.index(correct), operator.index(total)
    except TypeError:
        raise InputError(
            f"interval needs two counts, such as 749 of 819 photos; got {correct} and {total}."
        ) from None
    if not 0 <= correct <= total or total == 0:
        raise InputError(
            f"interval needs 0 <= correct <= total, total > 0; got {correct}, {total}."
        )
    share = correct / total
    middle = share + z * z / (2 * total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def told(correct: int, total: int, name: str = "") -> str:
    """An accuracy in words, with its 95 % interval and the set that it was measured on.

    Example:
        >>> told(749, 819, "test")
        'accuracy 0.915 (95 % interval 0.893 to 0.932) on 819 photos of test'
    """
    low, high = wilson_interval(correct, total)
    return (
        f"accuracy {correct / total:.3f} (95 % interval {low:.3f} to {high:.3f}) on {total:,} "
        f"photo{'s' * (total != 1)}{f' of {name}' * bool(name)}"
    )


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean of independent runs with its 95 % interval, by Student's t.

    Args:
        values: two or more, one a run.

    Returns:
        Mean, lower and upper end. The interval is about the mean of many such runs, not about the
        next run; runs that all agree show no variation, so it has no width.

    Source: Student, "The probable error of a mean", Biometrika 6 (1908).

    Example:
        >>> mean, low, high = mean_interval([0.91, 0.93, 0.92])
        >>> print(f"{mean:.3f} [{low:.3f}, {high:.3f}]")
        0.920 [0.895, 0.945]
    """
    from scipy.special import stdtrit  # here, for it takes a tenth of a second to import

    if len(values) < 2:
        raise InputError(f"mean_interval needs two or more values, got {len(values)}.")
    runs = torch.tensor(values, dtype=torch.float64)
    if not runs.isfinite().all():
        raise InputError(f"mean_interval needs finite values, got {list(values)}.")
    mean = float(runs.mean())
    half = float(stdtrit(len(values) - 1, 0.975)) * float(runs.std()) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def crossed_interval(values: Values) -> tuple[float, float, float]:
    """Mean of several runs on the same photos, with a 95 % interval over other runs *and* photos.

    `mean_interval` of the runs' accuracies would hold for other runs on these very photos; with
    other photos, the mean may move by more. The variances of the two means are added, which makes
    the interval a little too wide rather than too narrow; Student's t has Satterthwaite's degrees
    of freedom.

    Args:
        values: (S, N), S >= 2 runs on the same N >= 2 photos: 1 where a run is right and 0 where it
            is wrong, or the difference of two such runs.

    Returns:
        Mean, lower and upper end.

    Source: A. C. Cameron, J. B. Gelbach, D. L. Miller, "Robust inference with multiway clustering",
    Journal of Business & Economic Statistics 29 (2011), pp. 238-249.

    Example:
        >>> import torch
        >>> right = torch.tensor([[1, 1, 0, 1], [1, 0, 0, 1]])  # two runs, four photos
        >>> mean, low, high = crossed_interval(right)
        >>> print(f"{mean:.3f}, within 0 to 1 only for more photos: {low < 0 and high > 1}")
        0.625, within 0 to 1 only for more photos: True
    """
    from scipy.special import stdtrit  # here, for it takes a tenth of a second to import

    cells = torch.as_tensor(values).double()
    if cells.ndim != 2 or min(cells.shape) < 2 or not bool(cells.isfinite().all()):
        raise InputError(
            "crossed_interval needs finite values (S, N): two or more runs on two or more photos; "
            f"got {tuple(cells.shape)}."
        )
    parts = [(means.var() / len(means), len(means) - 1) for means in (cells.mean(1), cells.mean(0))]
    variance = sum(float(part) for part, _ in parts)
    mean = float(cells.mean())
    if variance == 0:
        return mean, mean, mean
    freedom = variance**2 / sum(float(part) ** 2 / degrees for part, degrees in parts)
    half = float(stdtrit(freedom, 0.975)) * math.sqrt(variance)
    return mean, mean - half, mean + half


def paired_difference(first_right: Values, second_right: Values) -> tuple[float, float, float]:
    """How much more accurate the first of two classifiers is on the same photos, 95 % interval.

    The interval is Agresti and Min's: half a photo is added to each of the four cells (both right,
    only the first, only the second, both wrong), so that it has a width also where the two never
    disagree (of 100 photos: 0.000, -0.019 to 0.019). It holds the true difference in 95 to 97 % of
    samples of 20, 100 and 800 photos, on average over many pairs of classifiers.

    Args:
        first_right, second_right: (N,) booleans, row i about the same photo.

    Returns:
        Difference of the two accuracies, lower and upper end. Photos on which both are right or
        both are wrong cancel, so this is narrower than two intervals side by side.

    Source: A. Agresti and Y. Min, "Simple improved confidence intervals for comparing matched
    proportions", Statistics in Medicine 24 (2005), pp. 729-740.

    Example:
        >>> import torch
        >>> first = torch.tensor([1, 1, 1, 1, 1, 1, 0, 1]).bool()
        >>> second = torch.tensor([1, 0, 1, 1, 0, 1, 0, 1]).bool()
        >>> difference, low, high = paired_difference(first, second)
        >>> print(f"{difference:.2f} [{low:.2f}, {high:.2f}]")
        0.25 [-0.12, 0.52]
    """
    wins, losses, total = _disagreements(first_right, second_right)
    enlarged = total + 2
    middle = (wins - losses) / enlarged
    variance = (wins + losses + 1) / enlarged - middle**2
    half = Z * math.sqrt(variance / enlarged)
    return (wins - losses) / total, max(-1.0, middle - half), min(1.0, middle + half)


def mcnemar_test(first_right: Tensor, second_right: Tensor) -> float:
    """Exact McNemar test: could two classifiers be equally good, given the same test photos?

    Only photos on which exactly one of the two is right say anything; under equality each side
    wins such a photo with probability 1/2.

    Where p < 0.05, the interval of `paired_difference` leaves out 0. The converse does not always
    hold: this exact test errs in at most 5 % of samples, the interval in 5 % on average. Of five
    such photos, all won by the same side, p is 0.0625 and the interval leaves out 0.

    Args:
        first_right, second_right: (N,) booleans, row i about the same photo.

    Returns:
        The two-sided p-value of that null hypothesis.

    Example:
        >>> import torch
        >>> first = torch.ones(5).bool()  # right on all of the five photos
        >>> mcnemar_test(first, ~first)
        0.0625
    """
    first, second, _ = _disagreements(first_right, second_right)
    trials, fewer = first + second, min(first, second)
    tail = sum(math.comb(trials, wins) for wins in range(fewer + 1)) / 2**trials
    return min(1.0, 2 * tail)


def top_k_accuracy(logits: Values, labels: Values, k: int = 5) -> float:
    """Share of rows whose label is among the `k` largest logits, of equal ones the first.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
        >>> top_k_accuracy(logits, torch.tensor([1, 2]), k=2)
        0.5
    """
    logits, labels = _checked(logits, labels)
    if k < 1:
        raise InputError(f"top_k_accuracy needs k >= 1, got {k}.")
    best = logits.sort(dim=1, descending=True, stable=True).indices[:, :k]
    return float((best == labels[:, None]).any(1).double().mean())


def confusion(logits: Values, labels: Values) -> Tensor:
    """Counts (C, C), int64: row = true class, column = predicted class.

    Example:
        >>> import torch
        >>> confusion(torch.eye(2)[[0, 1, 1]], torch.tensor([0, 0, 1])).tolist()
        [[1, 1], [0, 1]]
    """
    logits, labels = _checked(logits, labels)
    num_classes = logits.shape[1]
    cells = labels * num_classes + logits.argmax(1)
    return torch.bincount(cells, minlength=num_classes**2).view(num_classes, num_classes)


def expected_calibration_error(probabilities: Values, labels: Values, bins: int = 15) -> float:
    """Expected calibration error: how far "90 % sure" is from being right 90 % of the time.

    Args:
        probabilities: (N, C), rows sum to 1.
        labels: (N,).
        bins: equal-width bins of the largest probability.

    Source: Guo et al., "On Calibration of Modern Neural Networks" (2017), equation 3.

    Example:
        >>> import torch
        >>> sure = torch.tensor([[0.9, 0.1], [0.9, 0.1]])  # 90 % sure, and right half of the time
        >>> round(expected_calibration_error(sure, torch.tensor([0, 1])), 3)
        0.4
    """
    probabilities, labels = _checked(probabilities, labels)
    sums = probabilities.double().sum(1)
    if bool((probabilities < 0).any()) or not torch.allclose(sums, sums.new_ones(()), atol=1e-2):
        raise InputError(
            "expected_calibration_error needs probabilities, whose rows sum to 1; "
            "take logits.softmax(1), or exp() of log-probabilities."
        )
    if bins < 1:
        raise InputError(f"expected_calibration_error needs bins >= 1, got {bins}.")
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


def _checked(logits: Values, labels: Values) -> tuple[Tensor, Tensor]:
    """Logits (N, C), and labels (N,) as int64 beside them, whatever type and device they had."""
    logits, labels = torch.as_tensor(logits), torch.as_tensor(labels)
    if logits.ndim != 2 or labels.shape != (len(logits),) or 0 in logits.shape:
        raise InputError(
            f"expected logits (N, C) and labels (N,), N > 0; got {tuple(logits.shape)} "
            f"and {tuple(labels.shape)}."
        )
    if labels.is_floating_point() or labels.is_complex():
        raise InputError(f"labels must be integers, not {labels.dtype}.")
    labels = labels.to(logits.device, torch.int64)
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= logits.shape[1]:
        raise InputError(
            f"labels must be 0 to {logits.shape[1] - 1}, since there are {logits.shape[1]} "
            f"columns of logits; got {low if low < 0 else high}."
        )
    if bool(logits.isnan().any()):
        raise InputError("logits must be numbers, and some are NaN; the classifier is broken.")
    return logits, labels


def _disagreements(first_right: Values, second_right: Values) -> tuple[int, int, int]:
    """Photos that only the first names right, those that only the second does, and all."""
    first, second = torch.as_tensor(first_right).cpu(), torch.as_tensor(second_right).cpu()
    if first.ndim != 1 or first.shape != second.shape or len(first) == 0:
        raise InputError(
            "a paired comparison needs two arrays (N,) about the same N > 0 photos; got "
            f"{tuple(first.shape)} and {tuple(second.shape)}."
        )
    if first.dtype != torch.bool or second.dtype != torch.bool:
        raise InputError(
            f"a paired comparison needs booleans, right or not; got {first.dtype} and "
            f"{second.dtype}."
        )
    return int((first & ~second).sum()), int((second & ~first).sum()), len(first)
