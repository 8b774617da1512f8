"""A temperature turns scores into honest probabilities."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

TEMPERATURES = tuple(2 ** (-power / 4) for power in range(40))  # 1 to 1 / 861


def temperature(scores: Tensor, labels: Tensor) -> float:
    """The number to divide scores (M, C) by for the lowest cross-entropy.

    Labels are smoothed as if one more photo of unknown class had been seen: where all few photos
    are right, the loss alone would fall for ever, and every answer would be 100 % sure (Platt,
    "Probabilistic Outputs for Support Vector Machines", 1999, 2.2).

    Source: Guo et al., "On Calibration of Modern Neural Networks" (2017).
    """
    doubt = 1 / (len(labels) + 1)
    return min(
        TEMPERATURES,
        key=lambda value: float(F.cross_entropy(scores / value, labels, label_smoothing=doubt)),
    )
