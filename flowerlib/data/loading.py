"""Feed a network with photos in batches: in which order, how often each class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Sampler, SequentialSampler

from flowerlib.data.photos import Photos
from flowerlib.data.views import Transform, Views, seeded
from flowerlib.support import distributed
from flowerlib.support.errors import InputError
from flowerlib.transforms import Augmentation, Preprocessing


def shuffled(count: int, seed: int, epoch: int) -> Tensor:
    """An order of `count` things, int64 (count,), that follows from (seed, epoch) alone."""
    return torch.randperm(count, generator=seeded(seed, epoch, 0))


class Order(Sampler[int]):
    """The order in which a loader takes pictures: another one in every pass.

    It follows from `seed` and `epoch`, which each pass raises by one, so that a resumed training
    sees the batches that it would have seen.
    """

    def __init__(self, count: int, seed: int = 0) -> None:
        self.count, self.seed, self.epoch = count, seed, 1

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        order = self._drawn()
        self.epoch += 1
        yield from order.tolist()

    def _drawn(self) -> Tensor:
        return shuffled(self.count, self.seed, self.epoch)


class BalancedOrder(Order):
    """An order in which each class is drawn equally often on average, however few its photos.

    As many pictures as there are, drawn with replacement: those of rare classes appear several
    times in a pass, some of frequent ones not at all. To be used as the `sampler` of a DataLoader.
    """

    def __init__(self, labels: ArrayLike, seed: int = 0) -> None:
        """`labels` are those of the N pictures, whole numbers from 0 up."""
        each = np.asarray(labels)
        super().__init__(len(each), seed)
        self._chance = class_weights(each)[torch.from_numpy(each)]

    def _drawn(self) -> Tensor:
        generator = seeded(self.seed, self.epoch, 0)
        return torch.multinomial(self._chance, self.count, replacement=True, generator=generator)


class _BalancedViews(BalancedOrder):
    """Items of `Views` in a balanced order: a picture that comes again is another view of it."""

    def __iter__(self) -> Iterator[Any]:
        seen: Counter[int] = Counter()
        for index in super().__iter__():
            yield index, seen[index]
            seen[index] += 1


class Part(BatchSampler):
    """This process's part of every batch, where several processes work together.

    Of a batch with fewer pictures than there are processes, those without one take the first.

    Args:
        order: in which all pictures are taken.
        batch_size: of all processes together.
    """

    def __init__(self, order: Sampler[Any], batch_size: int) -> None:
        super().__init__(order, batch_size, drop_last=False)

    def __iter__(self) -> Iterator[list[Any]]:
        for batch in super().__iter__():
            yield batch[distributed.rank() :: distributed.size()] or batch[:1]


def class_weights(labels: ArrayLike, num_classes: int | None = None) -> Tensor:
    """Weights for a loss, such as `nn.CrossEntropyLoss(weight=...)`, that make classes count alike.

    A class of n among N photos of C classes gets N / (C * n), as scikit-learn's "balanced" has it:
    1 where all classes are equally large. A class without photos gets 0.

    Args:
        labels: of the N photos, whole numbers from 0 up.
        num_classes: C; the largest label and one more if None.

    Returns:
        float32 (C,).

    Raises:
        InputError: there is no label, or one is negative, fractional or above C - 1.

    Example:
        >>> [round(weight, 2) for weight in class_weights([0, 0, 0, 1]).tolist()]
        [0.67, 2.0]
    """
    if isinstance(labels, Photos):
        raise InputError("Class weights need labels: give photos.labels.")
    given = np.asarray(labels)
    if given.ndim != 1 or not given.size or given.dtype.kind not in "iu" or given.min() < 0:
        raise InputError("Class weights need labels: one whole number from 0 up for each photo.")
    if num_classes is not None and given.max() >= num_classes:
        raise InputError(f"There is a label {given.max()} among {num_classes} classes.")
    counts = np.bincount(given, minlength=num_classes or 0)
    present = counts > 0
    weights = np.zeros(len(counts), np.float32)
    weights[present] = len(given) / (present.sum() * counts[present])
    return torch.from_numpy(weights)


def loader(
    photos: Photos,
    transform: Preprocessing | Augmentation | Transform,
    *,
    batch_size: int = 64,
    shuffle: bool = False,
    balanced: bool = False,
    seed: int = 0,
    workers: int = 0,
    part: bool = False,
) -> DataLoader[tuple[Tensor, int]]:
    """A torch DataLoader of (images (N, 3, H, W) float, labels (N,) int64).

    Args:
        photos: the pictures.
        transform: evaluation preprocessing, training augmentation, or any callable that turns a
            PIL image into a tensor, such as one of torchvision's transforms.
        batch_size: pictures in a batch; a last batch of one is not left out.
        shuffle: new order every epoch, decided by `seed`.
        balanced: draw each class equally often, in a new order every epoch; see `BalancedOrder`.
            A photo that comes again in an epoch is another random view.
        seed: of the order and of the random views.
        workers: processes that open and transform pictures; 0 does it in this process.
        part: give only this process's part of each batch, where several work together.

    Example:
        >>> from flowerlib import data, transforms
        >>> photos = data.garden("pets", per_class=(4, 2, 2), size=32).train
        >>> preprocessing = transforms.Preprocessing(resize=32, crop=32)
        >>> images, labels = next(iter(loader(photos, preprocessing, batch_size=8)))
        >>> tuple(images.shape), labels.tolist()
        ((8, 3, 32, 32), [0, 0, 0, 0, 1, 1, 1, 1])
    """
    photos = Photos.expected(photos, "loader")
    order: Sampler[Any] | None = None
    if balanced:
        order = _BalancedViews(photos.labels, seed)
    elif shuffle:
        order = Order(len(photos), seed)
    how: dict[str, Any] = {"batch_size": batch_size, "sampler": order}
    if part:
        how = {"batch_sampler": Part(order or SequentialSampler(range(len(photos))), batch_size)}
    return DataLoader(
        Views(photos, transform, seed),
        **how,
        num_workers=workers,
        generator=torch.Generator(),  # or it would draw from torch's global one
    )
