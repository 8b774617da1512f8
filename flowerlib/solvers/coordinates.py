"""Features in the coordinates that heads are solved in, and the way back.

A rotation keeps lengths and so the objective; coordinates are chosen so that there are few of them
and that each can be solved for nearly by itself. Features are centered and scaled by one number
first, so that a penalty means the same for every backbone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flowerlib.support import distributed, storage
from flowerlib.support.errors import InputError

BLOCK = 512  # features whose principal axes are found together
ROWS = 512  # photos at a time
STRIPE = 256  # columns of the photos' products at a time
NOISE = 1e-10  # of the mean square: more than rounding, so that the photos' products have a root


@dataclass(frozen=True)
class Coordinates:
    """Photos in rotated coordinates.

    Attributes:
        values: float32 (N + M, 1 + R), a column of ones first, whose weight is the bias.
        train_columns: all others are 0 in the first N rows.
        mean: float32 (D,), of the first N photos' features.
        to_features: turns a weight (C, R) of the coordinates into one (C, D) of the features.
    """

    values: Tensor
    train_columns: int
    mean: Tensor
    to_features: Callable[[Tensor], Tensor]

    def layer(self, weight: Tensor) -> nn.Sequential:
        """A weight (C, 1 + R) of coordinates as a `models.linear_head` of features."""
        original = self.to_features(weight[:, 1:]).double()
        # On "meta", a new layer draws no random numbers, which would be missing elsewhere.
        layer = nn.Linear(original.shape[1], len(original), device="meta")
        bias = weight[:, 0].double() - original @ self.mean.double()
        layer.weight, layer.bias = nn.Parameter(original.float()), nn.Parameter(bias.float())
        return nn.Sequential(layer).eval()


def coordinates(features: Tensor, later: Tensor) -> Coordinates:
    """Finds the coordinates of features (N, D) and of more (M, D) that may be learned from later.

    Centered and scaled by the first features alone: their mean squared length becomes 1. Where
    several processes work together, each gives the features of its photos, more than D in all, and
    gets these in coordinates that are the same for all.

    Raises:
        InputError: a feature is NaN or infinite.
    """
    total = torch.zeros(features.shape[1], dtype=torch.float64)
    for chunk in torch.split(features, ROWS):
        total += chunk.double().sum(0)
    count, more = distributed.all_reduce_sum(torch.tensor([len(features), len(later)])).tolist()
    mean = (distributed.all_reduce_sum(total) / count).float()
    if not bool(mean.isfinite().all()):
        raise _not_finite()
    if count + more < features.shape[1]:
        return _of_few(features, later, mean)
    return _of_many(features, later, mean, count)


def _of_few(features: Tensor, later: Tensor, mean: Tensor) -> Coordinates:
    """Coordinates in the space that the photos' differences from the mean span.

    Each photo adds one axis, at right angles to those before (Gram and Schmidt). So the coordinates
    are a lower triangular matrix, and its product with its transpose is that of all photos with
    each other: it is what Cholesky's method finds.
    """
    rows = torch.cat([features, later]).double() - mean
    products = rows.new_zeros(len(rows), len(rows))  # the lower triangle is all that is needed
    for start in range(0, len(rows), STRIPE):
        stripe = slice(start, start + STRIPE)
        products[start:, stripe] = rows[start:] @ rows[stripe].T
    if not bool(products.isfinite().all()):
        raise _not_finite()
    scale = _scale(float(products.diagonal()[: len(features)].mean()))
    products /= scale**2
    products.diagonal().add_(NOISE * max(1.0, float(products.diagonal().mean())))
    lower = torch.linalg.cholesky(products)

    def to_features(weight: Tensor) -> Tensor:
        per_photo: Tensor = torch.linalg.solve_triangular(lower.T, weight.double().T, upper=True)
        return per_photo.T @ rows / scale**2

    values = torch.cat([lower.new_ones(len(lower), 1), lower], 1).float()
    return Coordinates(values, 1 + len(features), mean, to_features)


def _of_many(features: Tensor, later: Tensor, mean: Tensor, count: int) -> Coordinates:
    """Coordinates along the principal axes of each block of features."""
    products = [block.new_zeros(len(block), len(block)) for block in torch.split(mean, BLOCK)]
    _add_products(products, features, mean)
    square = torch.tensor(float(sum(product.trace() for product in products)), dtype=torch.float64)
    scale = _scale(float(distributed.all_reduce_sum(square)) / count)
    _add_products(products, later, mean)
    for product in products:
        distributed.all_reduce_sum(product)
    if not all(bool(product.isfinite().all()) for product in products):
        raise _not_finite()
    # From one process: another kind of processor might find them with another sign.
    axes = distributed.from_main(
        lambda: [torch.linalg.eigh(product).eigenvectors / scale for product in products]
    )

    def rotated(rows: Tensor, axes: Sequence[Tensor]) -> Tensor:
        blocks = zip(torch.split(rows, BLOCK, 1), axes, strict=True)
        return torch.cat([block @ one for block, one in blocks], 1)

    chunks = [chunk for part in (features, later) for chunk in torch.split(part, ROWS)]
    values = storage.empty(sum(map(len, chunks)), 1 + len(mean), torch.float32)
    values[:, 0] = 1
    for chunk, rows in zip(
        chunks, torch.split(values, [len(chunk) for chunk in chunks]), strict=True
    ):
        rows[:, 1:] = rotated(chunk.float() - mean, axes)
    back = [one.T for one in axes]
    return Coordinates(values, values.shape[1], mean, lambda weight: rotated(weight, back))


def _add_products(products: list[Tensor], features: Tensor, mean: Tensor) -> None:
    """Adds the products of centered features with each other, block by block, in place."""
    for chunk in torch.split(features, ROWS):
        blocks = torch.split(chunk.float() - mean, BLOCK, 1)
        for product, block in zip(products, blocks, strict=True):
            product.addmm_(block.T, block)


def _scale(mean_square: float) -> float:
    return mean_square**0.5 or 1.0  # 0 where all photos have the same features


def _not_finite() -> InputError:
    return InputError("Some features are NaN or infinite; extract them again.")
