"""What a solver gives: the head that was best on the validation set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from flowerlib import metrics
from flowerlib.support.errors import InputError

SLACK = 1.05  # a stronger penalty is preferred as long as it costs so little validation loss


class Problem(NamedTuple):
    """What a head is solved on and judged by; see `logistic`."""

    features: Tensor
    labels: Tensor
    valid_features: Tensor
    valid_labels: Tensor
    num_classes: int

    @property
    def work(self) -> int:
        """Multiplications in a product of all features and a head."""
        rows = len(self.features) + len(self.valid_features)
        return rows * self.features.shape[1] * self.num_classes


@dataclass(repr=False)
class LinearSolution:
    """The head that was best on the validation set, and what the others reached.

    Attributes:
        head: a `models.linear_head` with the solved weights, on the CPU.
        penalty: the chosen one.
        rows: one dict a penalty: penalty, train_loss, valid_loss, valid_accuracy.
        best: the row of the chosen one.
        valid_logits: float32 (M, C), what the chosen penalty's head gave for the validation set
            before any refit, so that figures made from them are honest.
    """

    head: nn.Sequential
    penalty: float
    rows: list[dict[str, float]]
    best: int
    valid_logits: Tensor

    def __repr__(self) -> str:
        chosen = f"penalty {self.penalty:g}, the best of {len(self.rows)} on valid"
        return f"<LinearSolution: {chosen}, {self.valid_logits.shape[1]} classes>"


def row(penalty: float, train_loss: float, logits: Tensor, labels: Tensor) -> dict[str, float]:
    """What a penalty reached, by its head's logits (M, C) for the validation set."""
    return {
        "penalty": penalty,
        "train_loss": train_loss,
        "valid_loss": float(F.cross_entropy(logits, labels)),
        "valid_accuracy": metrics.accuracy(logits, labels),
    }


def choose(rows: list[dict[str, float]], count: int) -> int:
    """The row of the best penalty, by both figures measured on `count` photos.

    Accuracy within one standard error of the highest is as good as the highest; among those the
    loss decides, which tells how honest a head is; of nearly equal losses the strongest penalty.
    """
    top = max(row["valid_accuracy"] for row in rows)
    error = (top * (1 - top) / count) ** 0.5
    good = [i for i, row in enumerate(rows) if row["valid_accuracy"] >= top - error]
    limit = SLACK * min(rows[i]["valid_loss"] for i in good)
    return next(i for i in good if rows[i]["valid_loss"] <= limit)


def from_strong_to_weak(penalties: Sequence[float]) -> list[float]:
    """The penalties in order, if all can be used.

    Raises:
        InputError: there is none, or one is not above 0.
    """
    if not penalties or not all(0 < penalty < float("inf") for penalty in penalties):
        raise InputError(f"Penalties must be numbers above 0; got {list(penalties)}.")
    return sorted(set(penalties), reverse=True)


def checked(
    features: Tensor, labels: Tensor, valid_features: Tensor, valid_labels: Tensor, num_classes: int
) -> Problem:
    """What is given, with labels as int64, if a head can be solved on it.

    Raises:
        InputError: shapes do not fit, or a label is out of range.
    """
    for part, values, answers in (
        ("train", features, labels),
        ("valid", valid_features, valid_labels),
    ):
        if values.ndim != 2 or answers.shape != (len(values),) or 0 in values.shape:
            raise InputError(
                f"A head needs {part} features (N, D) and labels (N,), N > 0; got "
                f"{tuple(values.shape)} and {tuple(answers.shape)}."
            )
        if not 0 <= int(answers.min()) <= int(answers.max()) < num_classes:
            raise InputError(
                f"The {part} labels must be 0 to {num_classes - 1}; got {int(answers.min())} to "
                f"{int(answers.max())}."
            )
    if features.shape[1] != valid_features.shape[1]:
        raise InputError(
            f"Train has {features.shape[1]} features and valid {valid_features.shape[1]}; extract "
            "both with the same backbone."
        )
    return Problem(features, labels.long(), valid_features, valid_labels.long(), num_classes)
