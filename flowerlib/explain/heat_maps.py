"""Why an answer is what it is: the pictures that a network takes for alike."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from flowerlib.support import modes


@modes.usual()
def nearest(queries: Tensor, values: Tensor, count: int = 5) -> tuple[Tensor, Tensor]:
    """Finds the pictures whose features point in the direction most like the query's.

    Args:
        queries: float (M, D), features of the pictures asked about.
        values: float (N, D), features of the pictures to search in.
        count: how many to find for each, at most N.

    Returns:
        Positions int64 (M, count) in `values`, nearest first, and their cosine similarities
        float32 (M, count) in [-1, 1].

    Shown in: notebooks/07_bed_or_sofa

    Example:
        >>> import torch
        >>> values = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.1]])
        >>> positions, similarities = nearest(torch.tensor([[3.0, 0.0]]), values, count=2)
        >>> positions.tolist()
        [[0, 2]]
    """
    if not 1 <= count <= len(values):
        raise ValueError(f"count must be between 1 and {len(values)}, got {count}")
    likeness = F.normalize(queries.float(), dim=1) @ F.normalize(values.float(), dim=1).T
    found = likeness.topk(count, dim=1)
    return found.indices, found.values
