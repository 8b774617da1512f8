"""How good answers are: accuracy, confusion, calibration."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from flowerlib.support.errors import InputError

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
