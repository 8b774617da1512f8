"""Heads: the small modules that turn features into an answer.

Shown in: notebooks/04_flowers, notebooks/05_heads
"""

from __future__ import annotations

import torch
from torch import nn

from flowerlib.support import modes


@modes.usual()
def linear_head(num_features: int, num_classes: int) -> nn.Sequential:
    """One linear layer: features (N, D) → logits (N, C).

    Example:
        >>> import torch
        >>> tuple(linear_head(620, 102)(torch.zeros(4, 620)).shape)
        (4, 102)
    """
    return nn.Sequential(nn.Linear(num_features, num_classes, dtype=torch.float32))


@modes.usual()
def hidden_head(
    num_features: int, num_classes: int, hidden: tuple[int, ...] = (512,), dropout: float = 0.2
) -> nn.Sequential:
    """The flower article's head: Linear, ReLU, Dropout for each hidden layer, Linear, LogSoftmax.

    Features (N, D) → log-probabilities (N, C), to be trained with `nn.NLLLoss`.

    Example:
        >>> hidden_head(620, 102, hidden=(512,), dropout=0.2)
        Sequential(
          (0): Linear(in_features=620, out_features=512, bias=True)
          (1): ReLU()
          (2): Dropout(p=0.2, inplace=False)
          (3): Linear(in_features=512, out_features=102, bias=True)
          (4): LogSoftmax(dim=1)
        )
    """
    layers: list[nn.Module] = []
    width = num_features
    for size in hidden:
        layers += [nn.Linear(width, size, dtype=torch.float32), nn.ReLU(), nn.Dropout(dropout)]
        width = size
    last = nn.Linear(width, num_classes, dtype=torch.float32)
    return nn.Sequential(*layers, last, nn.LogSoftmax(dim=1))
