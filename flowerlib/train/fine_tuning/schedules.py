"""How large the steps of fine-tuning are, and in which numbers they are computed."""

from __future__ import annotations

import contextlib
import math

import torch
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from flowerlib.support.options import FineTuning


def schedule(optimizer: torch.optim.Optimizer, steps: int, settings: FineTuning) -> LRScheduler:
    """Learning rates of all `steps`, from the highest of each group, which the optimizer holds.

    "cosine": a linear warm-up, below half a cosine that falls to 0. "constant": after the warm-up,
    the highest rate. "one-cycle": torch's OneCycleLR, whose momentum moves against the rate.
    """
    if settings.schedule == "one-cycle":
        highest = [group["lr"] for group in optimizer.param_groups]
        # torch divides by it, and by what is left of it after the first step: not by 0 exactly.
        warm_up = max(settings.warm_up, 1e-3) * (1 - 1e-9)
        return OneCycleLR(optimizer, highest, total_steps=steps + 1, pct_start=warm_up)
    if settings.schedule == "cosine":
        return warm_up_and_cosine(optimizer, steps, settings.warm_up)
    return LambdaLR(optimizer, lambda step: _rising(step, steps, settings.warm_up))


def warm_up_and_cosine(
    optimizer: torch.optim.Optimizer, steps: int, warm_up: float = 0.1
) -> LambdaLR:
    """Learning rates that rise during that share of the steps, and fall to 0 like a cosine."""

    def share(step: int) -> float:
        return min(_rising(step, steps, warm_up), (1 + math.cos(math.pi * step / steps)) / 2)

    return LambdaLR(optimizer, share)


def _rising(step: int, steps: int, warm_up: float) -> float:
    """Share of the highest rate: linear up to 1, which step `warm_up` * `steps` - 1 has."""
    return min(1.0, (step + 1) / steps / warm_up) if warm_up else 1.0


def autocast(device: str, precision: str) -> contextlib.AbstractContextManager[None]:
    """Inside it, torch computes in bf16 if that is the precision.

    Without its cache: inside a caller's own autocast, it would hold weights of an earlier step.
    """
    enabled = precision == "bf16"
    return torch.autocast(device, torch.bfloat16, enabled=enabled, cache_enabled=False)
