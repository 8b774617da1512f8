"""Tensors in, numbers out: how good a classifier is, and how sure we can be of that number."""

from flowerlib.metrics.intervals import (
    crossed_interval,
    format_accuracy,
    mcnemar_test,
    mean_interval,
    paired_difference,
    wilson_interval,
)
from flowerlib.metrics.scores import (
    accuracy,
    confusion,
    expected_calibration_error,
    top_k_accuracy,
)

__all__ = [
    "accuracy",
    "confusion",
    "crossed_interval",
    "expected_calibration_error",
    "format_accuracy",
    "mcnemar_test",
    "mean_interval",
    "paired_difference",
    "top_k_accuracy",
    "wilson_interval",
]
