"""One step of fine-tuning: gradients, clipping, the update; in parts where memory is short."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from flowerlib.models import Network
from flowerlib.support import distributed, memory
from flowerlib.support.errors import InputError
from flowerlib.train import parallel
from flowerlib.train.evaluation import RunningLoss, weight_of
from flowerlib.train.fine_tuning.schedules import autocast


class Step:
    """Changes the network by one batch.

    Where a batch does not fit into memory, it is halved, and the gradients of its parts are summed:
    the step is the same as that of the whole batch.

    Attributes:
        part_size: photos that go through the network at once; None until memory ran out.
    """

    def __init__(
        self,
        network: Network,
        optimizer: torch.optim.Optimizer,
        *,
        clip_norm: float,
        device: str,
        precision: str,
    ) -> None:
        self.network, self.optimizer, self.clip_norm = network, optimizer, clip_norm
        self.device, self.precision = device, precision
        self.part_size: int | None = None
        self.learner: nn.Module = _Mixed(network, device, precision)

    def begin_epoch(self) -> None:
        """To be called when other parameters shall learn."""
        self.learner = parallel.learner(_Mixed(self.network, self.device, self.precision))

    def __call__(self, images: Tensor, labels: Tensor, loss: RunningLoss) -> None:
        """One step.

        Args:
            images: (n, 3, H, W) on the network's device.
            labels: (n,), or shares of classes (n, C).
            loss: sums up the loss of the batch.

        Raises:
            RuntimeError: memory does not suffice for a single photo.
        """
        while True:
            try:
                value = self._compute_gradients(images, labels, loss.loss)
                break
            except RuntimeError as problem:
                if not memory.ran_out(problem) or self.part_size == 1 or len(images) == 1:
                    raise
                if distributed.size() > 1:  # the others are in the middle of the same step
                    raise InputError(
                        f"Memory does not suffice for {len(images)} photos at a time; give a "
                        "smaller batch_size, of which each process gets its part."
                    ) from None
            # Outside of `except`: what the failed pass holds is free now.
            self._halve(len(images))
        if self.clip_norm:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm)
        self.optimizer.step()
        loss.add(*value)

    def _compute_gradients(
        self, images: Tensor, labels: Tensor, loss: nn.Module
    ) -> tuple[float, float]:
        """Gradients of the batch's mean loss, which is returned, and what it was divided by.

        Of several processes, each has its part of the batch, and that mean is a share of the whole.
        """
        self.optimizer.zero_grad()
        whole = torch.tensor(weight_of(loss, labels), dtype=torch.float64)
        total = float(distributed.all_reduce_sum(whole)) / distributed.size()
        size, mean = self.part_size or len(images), 0.0
        for part, part_labels in zip(images.split(size), labels.split(size), strict=True):
            share = weight_of(loss, part_labels) / total
            value = loss(self.learner(part), part_labels) * share
            value.backward()
            mean += value.item()
        return mean, total

    def _halve(self, count: int) -> None:
        self.optimizer.zero_grad()
        if self.device == "cuda":
            torch.cuda.empty_cache()
        before = min(self.part_size or count, count)
        self.part_size = max(1, before // 2)
        warnings.warn(
            f"Out of memory with {before} photos at a time; continuing with {self.part_size}. "
            "The steps stay the same.",
            stacklevel=3,
        )


class _Mixed(nn.Module):
    """The network, whose backbone computes in a precision and whose head in fp32."""

    def __init__(self, network: Network, device: str, precision: str) -> None:
        super().__init__()
        self.network, self.device, self.precision = network, device, precision

    def forward(self, images: Tensor) -> Tensor:
        with autocast(self.device, self.precision):
            values = self.network.backbone(images)
        outputs: Tensor = self.network.head(values.float())
        return outputs
