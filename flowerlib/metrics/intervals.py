"""How sure a number is: intervals, and comparisons of two classifiers on the same photos."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence

import torch
from torch import Tensor

from flowerlib.metrics.scores import Values
from flowerlib.support.errors import InputError, plural

Z = 1.959964  # of a normal distribution, 95 % lie between -Z and Z


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
    # At the ends the difference is 0 or 1 only but for rounding.
    low = (middle - half) / scale if correct else 0.0
    high = (middle + half) / scale if correct < total else 1.0
    return low, high


def format_accuracy(correct: int, total: int, name: str = "") -> str:
    """An accuracy in words, with its 95 % interval and the set that it was measured on.

    Example:
        >>> format_accuracy(749, 819, "test")
        'accuracy 0.915 (95 % interval 0.893 to 0.932) on 819 photos of test'
    """
    low, high = wilson_interval(correct, total)
    return (
        f"accuracy {correct / total:.3f} (95 % interval {low:.3f} to {high:.3f}) on {total:,} "
        f"{plural(total, 'photo')}{f' of {name}' * bool(name)}"
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
    of freedom. Where the runs differ on hardly any photo, they might on others: the photos' part is
    at least that of `paired_difference` for two classifiers that never disagree.

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
    runs, photos = cells.shape
    of_runs = float(cells.mean(1).var()) / runs
    of_photos = max(float(cells.mean(0).var()) / photos, 1 / (photos + 2) ** 2)
    variance, mean = of_runs + of_photos, float(cells.mean())
    freedom = variance**2 / (of_runs**2 / (runs - 1) + of_photos**2 / (photos - 1))
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
