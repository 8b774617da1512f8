"""Averages of the weights over the steps, by torch's `swa_utils`.

Sources: Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging" (1992);
Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization" (2018).
"""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

HORIZON = 0.1  # of the steps: over so many the exponential average reaches back, about
STARTS = 0.5  # of the steps: there the plain average begins


class Averages:
    """The averaged network beside the one that learns.

    Args:
        network: the one that learns.
        averaging: "ema", exponential; "swa", plain over the second half of the steps; or "none".
        steps: of the whole training.
    """

    def __init__(self, network: nn.Module, averaging: str, steps: int) -> None:
        self.network, self.step = network, 0
        self.first = int(STARTS * steps) if averaging == "swa" else 0
        self.model: AveragedModel | None = None
        if averaging == "swa":
            self.model = AveragedModel(network)
        if averaging == "ema":
            decay = 1 - 1 / max(1.0, HORIZON * steps)
            self.model = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay))

    def update(self) -> None:
        """Takes the network's weights after a step into the average."""
        if self.model and self.step >= self.first:
            self.model.update_parameters(self.network)
        self.step += 1

    def best_guess(self) -> nn.Module:
        """The averaged network; the one that learns, where nothing is averaged, or not yet."""
        if self.model and self.step > self.first:
            averaged: nn.Module = self.model.module
            return averaged
        return self.network

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"step": self.step, "model": self.model.state_dict() if self.model else {}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.step = state["step"]
        if self.model:
            self.model.load_state_dict(state["model"])
