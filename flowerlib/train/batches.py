"""Batches of cached features, and the epoch that any batches are of."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from flowerlib.data import loading

Batches = Iterable[tuple[Tensor, Tensor]]


@runtime_checkable
class HasEpoch(Protocol):
    """Something that counts its passes."""

    epoch: int


class FeatureBatches:
    """Batches of cached features: gives (values (n, D), labels (n,)), in a new order every pass.

    The order follows from `seed` and `epoch`, which each pass raises by one. Values stored in
    bfloat16 are given as float32, which layers expect.

    Args:
        values: (N, D), one row a photo.
        labels: (N,) class numbers, or (N, C) shares of classes.
        batch_size: rows in a batch; the last one may have fewer.
        shuffle: whether each pass has an order of its own.
        seed: of the order.

    Example:
        >>> import torch
        >>> batches = FeatureBatches(torch.zeros(10, 4), torch.zeros(10).long(), 4, shuffle=True)
        >>> [len(labels) for _, labels in batches]
        [4, 4, 2]
    """

    def __init__(
        self, values: Tensor, labels: Tensor, batch_size: int = 64, *, shuffle: bool, seed: int = 0
    ) -> None:
        self.values, self.labels = values, labels
        self.batch_size, self.shuffle = batch_size, shuffle
        self.seed, self.epoch = seed, 1

    def __len__(self) -> int:
        return -(-len(self.values) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.arange(len(self.values))
        if self.shuffle:
            order = loading.shuffled(len(self.values), self.seed, self.epoch)
        self.epoch += 1
        for batch in order.split(self.batch_size):
            values = self.values[batch]
            compact = values.dtype == torch.bfloat16
            yield values.float() if compact else values, self.labels[batch]


def set_epoch(batches: Batches, epoch: int) -> None:
    """Sets the epoch of batches that have one: their order and random views follow from it."""
    for part in _with_an_epoch(batches):
        part.epoch = epoch


@contextlib.contextmanager
def same_order(batches: Batches) -> Iterator[None]:
    """Passes over the batches inside it leave no trace in their order.

    Afterwards, they have their epoch again, and a DataLoader or sampler with a generator of its
    own the generator's state.
    """
    epochs = [(part, part.epoch) for part in _with_an_epoch(batches)]
    found = [getattr(part, "generator", None) for part in _parts(batches)]
    states = [(one, one.get_state()) for one in found if isinstance(one, torch.Generator)]
    try:
        yield
    finally:
        for part, epoch in epochs:
            part.epoch = epoch
        for generator, state in states:
            generator.set_state(state)


def _with_an_epoch(batches: Batches) -> list[HasEpoch]:
    """The batches themselves, and the data set and sampler of a DataLoader, where they count."""
    return [part for part in _parts(batches) if isinstance(part, HasEpoch)]


def _parts(batches: Batches) -> list[object]:
    """The batches, and what they are made of."""
    batch_sampler = getattr(batches, "batch_sampler", None)
    samplers = [getattr(batches, "sampler", None), batch_sampler]
    samplers.append(getattr(batch_sampler, "sampler", None))
    parts = (batches, getattr(batches, "dataset", None), *samplers)
    return [*{id(part): part for part in parts}.values()]
