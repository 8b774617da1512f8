"""A search for the learning rate: one short training in which it grows with every step.

Source: Smith, "Cyclical Learning Rates for Training Neural Networks" (2017).
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flowerlib import models
from flowerlib.support import modes
from flowerlib.support.errors import InputError
from flowerlib.train.batches import Batches, same_order
from flowerlib.train.evaluation import RunningLoss, check_mean

FEWEST_STEPS = 10
SMOOTHING = 0.9  # weight of the earlier losses in the running mean
HOPELESS = 4  # times the lowest loss: there the search ends


@dataclass(frozen=True)
class RateSearch:
    """The loss at rising learning rates.

    Attributes:
        rates: of each step, rising.
        losses: running mean of the training loss (nats) at each step.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]

    @property
    def suggestion(self) -> float:
        """A rate to start with: a tenth of the one with the lowest loss."""
        return self.rates[self.losses.index(min(self.losses))] / 10

    def __repr__(self) -> str:
        return f"<RateSearch: suggests a learning rate of {self.suggestion:.1e}>"


@modes.with_gradients()
def find_learning_rate(
    model: nn.Module,
    batches: Batches,
    *,
    loss: nn.Module | None = None,
    lowest: float = 1e-7,
    highest: float = 1.0,
    steps: int = 100,
) -> RateSearch:
    """Trains a copy of the model with Adam while the learning rate grows from step to step.

    The model, the batches' order and torch's random numbers are left as they were. See
    `plots.learning_rates` for the figure.

    Args:
        model: inputs (N, ...) → outputs (N, C).
        batches: give (inputs, labels); gone through as often as there are steps.
        loss: as in `fit`; `nn.NLLLoss()` by default.
        lowest: first rate.
        highest: last rate, unless the loss grows out of hand before.
        steps: of the search, 10 or more.

    Returns:
        Rates and losses; `suggestion` is a rate to start with.

    Raises:
        InputError: rates or steps are out of range, there are no batches, outputs and loss do not
            fit together, no parameter requires a gradient, or the loss is not finite from the
            start.
    """
    if not 0 < lowest < highest < math.inf:
        raise InputError(f"Learning rates must rise from above 0, not {lowest} to {highest}.")
    if steps < FEWEST_STEPS:
        raise InputError(f"A search needs {FEWEST_STEPS} steps or more, not {steps}.")
    modes.check_trainable(model)
    loss = loss or nn.NLLLoss()
    check_mean(loss)
    device = next(model.parameters()).device
    gpus = [device] if device.type == "cuda" else []
    with same_order(batches), torch.random.fork_rng(gpus):
        found = _search(copy.deepcopy(model), batches, loss, lowest, highest, steps)
    if len(found) < FEWEST_STEPS:
        raise InputError(f"The loss is out of hand at a learning rate of {lowest}; lower it.")
    rates, losses = zip(*found, strict=True)
    return RateSearch(rates, losses)


def _search(
    model: nn.Module,
    batches: Batches,
    loss: nn.Module,
    lowest: float,
    highest: float,
    steps: int,
) -> list[tuple[float, float]]:
    """Pairs of rate and smoothed loss."""
    device = next(model.parameters()).device
    optimizer = torch.optim.Adam(models.trainable_parameters(model), lr=lowest)
    factor = (highest / lowest) ** (1 / (steps - 1))
    rates = torch.optim.lr_scheduler.ExponentialLR(optimizer, factor)
    found: list[tuple[float, float]] = []
    mean, best = 0.0, math.inf
    model.train()
    for step, (inputs, labels) in enumerate(_endless(batches, steps), 1):
        value = RunningLoss(loss)(model(inputs.to(device)), labels.to(device))
        mean = SMOOTHING * mean + (1 - SMOOTHING) * value.item()
        smooth = mean / (1 - SMOOTHING**step)
        if not smooth < HOPELESS * best:
            break
        best = min(best, smooth)
        found.append((float(rates.get_last_lr()[0]), smooth))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        rates.step()
    return found


def _endless(batches: Batches, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
    """So many batches, pass after pass.

    Raises:
        InputError: a pass gives none.
    """
    while steps:
        before = steps
        for batch in itertools.islice(batches, steps):
            steps -= 1
            yield batch
        if steps == before:
            raise InputError("There is nothing to train on: there are no batches.")
