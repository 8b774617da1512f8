"""Loss and accuracy over whole sets, and the mistakes that would make them meaningless."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from flowerlib import metrics
from flowerlib.features import engine
from flowerlib.support import distributed, memory, threads
from flowerlib.support.errors import InputError
from flowerlib.train.batches import Batches


class Measurement(NamedTuple):
    """Loss (nats) and accuracy (a fraction in [0, 1]), and on how many samples."""

    loss: float
    accuracy: float
    num_samples: int


@torch.no_grad()
def evaluate(model: nn.Module, batches: Batches, loss: nn.Module) -> tuple[float, float]:
    """Loss and accuracy over all samples of the batches, with the model in `eval()`.

    Samples whose label the loss ignores do not count.

    Args:
        model: inputs (N, ...) → outputs (N, C); it is left in `eval()`. One without parameters is
            measured on the CPU.
        batches: give (inputs, labels (n,)).
        loss: a mean over samples, such as `nn.CrossEntropyLoss()`.

    Returns:
        The mean loss, and the accuracy as a fraction in [0, 1].

    Raises:
        InputError: the loss is no mean over samples, there are no batches, labels are no class
            numbers, or the model answers NaN.

    Example:
        >>> import torch
        >>> batches = [(torch.eye(2), torch.tensor([0, 1]))]
        >>> model = torch.nn.Linear(2, 2)
        >>> model.load_state_dict({"weight": torch.eye(2), "bias": torch.zeros(2)})
        <All keys matched successfully>
        >>> loss, accuracy = evaluate(model, batches, torch.nn.CrossEntropyLoss())
        >>> f"{loss:.3f}, {accuracy:.1f}"
        '0.313, 1.0'
    """
    check_mean(loss)
    outputs, labels = outputs_and_labels(model, batches, loss)
    return float(loss(outputs, labels)), metrics.accuracy(outputs, labels)


@torch.no_grad()
def measure(
    model: nn.Module, batches: Batches, loss: nn.Module, *, shared: bool = False
) -> Measurement:
    """As `evaluate`, after an epoch; the accuracy is NaN where the loss is not finite."""
    outputs, labels = outputs_and_labels(model, batches, loss, shared=shared)
    value = float(loss(outputs, labels))
    accuracy = metrics.accuracy(outputs, labels) if math.isfinite(value) else math.nan
    return distributed.from_main(lambda: Measurement(value, accuracy, len(labels)))


@torch.no_grad()
def outputs_and_labels(
    model: nn.Module, batches: Batches, loss: nn.Module, *, shared: bool = False
) -> tuple[Tensor, Tensor]:
    """Outputs float32 (N, C) of the model in `eval()`, and labels (N,), of samples that count.

    Of several processes, each computes its share, and all get all. `shared` batches are this
    process's share already; others are those of all.
    """
    device = device_of(model)
    model.eval()
    outputs, labels = [], []
    for inputs, batch_labels in batches:
        if not shared:
            inputs, batch_labels = map(distributed.mine, (inputs, batch_labels))
        with threads.limited_to(multiplications(model, inputs)):
            found = [
                memory.in_parts(lambda some: model(some.to(device)).float(), part)
                for part in _parts(inputs, device)
            ]
        rows = torch.cat(found), batch_labels.to(device)
        batch_outputs, batch_labels = rows if shared else map(distributed.all_rows, rows)
        outputs.append(batch_outputs)
        labels.append(batch_labels)
    if not outputs:
        raise InputError(
            "There is nothing to measure: there are no batches; a generator gives them only once, "
            "so make a list of it."
        )
    all_outputs, all_labels = torch.cat(outputs), torch.cat(labels)
    if shared:
        all_outputs, all_labels = map(distributed.all_rows, (all_outputs, all_labels))
    if all_labels.ndim != 1:
        raise InputError(
            "Accuracy needs labels (N,) that are class numbers, not shares of classes."
        )
    counted = all_labels != getattr(loss, "ignore_index", -100)
    return all_outputs[counted], all_labels[counted]


def device_of(model: nn.Module) -> torch.device:
    """Where a model's parameters or buffers lie; the CPU for a model that has neither."""
    held = next(itertools.chain(model.parameters(), model.buffers()), None)
    return torch.device("cpu") if held is None else held.device


def _parts(inputs: Tensor, device: torch.device) -> tuple[Tensor, ...]:
    """A batch as it is or, if a processor shall look at images, in parts that fit its cache.

    64 images of 224 px at a time take resnet50 1.6 times and densenet121 1.8 times as long.
    """
    if device.type != "cpu" or inputs.ndim != 4:
        return (inputs,)
    height, width = inputs.shape[2:]
    return inputs.split(max(1, engine.BATCH_PIXELS // (height * width)))


def multiplications(model: nn.Module, inputs: Tensor) -> int:
    """Of a pass of features (n, D) through linear layers; of images, very many."""
    if inputs.ndim != 2:
        return 2**62
    return len(inputs) * sum(parameter.numel() for parameter in model.parameters())


class RunningLoss:
    """A loss that is a mean over a batch, and its mean over all samples that it has seen.

    Every sample weighs the same, in a full batch or in the last one; with class weights, as much as
    its class.
    """

    def __init__(self, loss: nn.Module) -> None:
        self.loss = loss
        self.total, self.count = 0.0, 0.0

    def ignores(self, labels: Tensor) -> bool:
        """Whether the loss ignores every label of a batch: its mean would be 0 / 0."""
        return not weight_of(self.loss, labels)

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The loss of a batch, a scalar with a gradient.

        Raises:
            InputError: outputs and loss do not fit together.
        """
        if not self.count:
            check_outputs(outputs, self.loss)
        value: Tensor = self.loss(outputs, labels)
        self.add(value.item(), weight_of(self.loss, labels))
        return value

    def add(self, value: float, weight: float) -> None:
        """Counts a batch: its mean loss, and what that was divided by."""
        self.total += value * weight
        self.count += weight

    @property
    def mean(self) -> float:
        """The mean so far, over the parts of all processes.

        Raises:
            InputError: there was no sample that counts.
        """
        sums = torch.tensor([self.total, self.count], dtype=torch.float64)
        total, count = distributed.all_reduce_sum(sums).tolist()
        if not count:
            raise InputError(
                "There is nothing to train on: no training batch holds a sample that counts."
            )
        return float(total / count)


def weight_of(loss: nn.Module, labels: Tensor) -> float:
    """What the loss of a batch was divided by: its samples, or the weights of their classes."""
    if labels.is_floating_point() or not isinstance(loss, (nn.CrossEntropyLoss, nn.NLLLoss)):
        return len(labels)
    labels = labels[labels != loss.ignore_index]
    return float(len(labels) if loss.weight is None else loss.weight[labels].sum())


def check_mean(loss: nn.Module) -> None:
    """Refuses a loss whose values over batches and over a whole set cannot be compared.

    Raises:
        InputError: its reduction is not "mean".
    """
    if (reduction := getattr(loss, "reduction", "mean")) != "mean":
        raise InputError(
            f"Training needs the mean loss of a batch: {type(loss).__name__} has "
            f'reduction="{reduction}"; say reduction="mean".'
        )


def check_outputs(outputs: Tensor, loss: nn.Module) -> None:
    """Catches the two mistakes that train without an error message, but badly.

    Raises:
        InputError: `nn.NLLLoss` with outputs (N, C) that are no log-probabilities, or
            `nn.CrossEntropyLoss` with probabilities.
    """
    sums = outputs.detach().float().exp().sum(1)
    if isinstance(loss, nn.NLLLoss) and not torch.allclose(sums, torch.ones_like(sums), atol=1e-2):
        raise InputError(
            "NLLLoss needs log-probabilities: end the model with LogSoftmax, "
            "or use CrossEntropyLoss."
        )
    rows = outputs.detach().float().sum(1)
    if (
        isinstance(loss, nn.CrossEntropyLoss)
        and bool((outputs >= 0).all())
        and torch.allclose(rows, torch.ones_like(rows), atol=1e-3)
    ):
        raise InputError(
            "CrossEntropyLoss needs logits, and these are probabilities: remove the Softmax."
        )
