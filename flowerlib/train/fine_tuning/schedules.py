"""How large the steps of fine-tuning are, and in which numbers they are computed."""

from __future__ import annotations

import contextlib
import math

import torch
from torch.optim.lr_scheduler import LambdaLR

WARM_UP = 0.1  # of the steps


def warm_up_and_cosine(optimizer: torch.optim.Optimizer, steps: int) -> LambdaLR:
    """Learning rates that rise during the first tenth of the steps and fall to nothing."""

    def share(step: int) -> float:
        return min((step + 1) / (WARM_UP * steps), (1 + math.cos(math.pi * step / steps)) / 2)

    return LambdaLR(optimizer, share)


def autocast(device: str, precision: str) -> contextlib.AbstractContextManager[None]:
    """Inside it, torch computes in bf16 if that is the precision.

    Without its cache: inside a caller's own autocast, it would hold weights of an earlier step.
    """
    enabled = precision == "bf16"
    return torch.autocast(device, torch.bfloat16, enabled=enabled, cache_enabled=False)
