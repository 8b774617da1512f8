"""Multi-level features: what a network knows before its last layer.

The last layer of an ImageNet network has learned to forget what does not tell ImageNet's classes
apart. For other classes that may matter: the texture of a petal, the spots on a leaf. The maps at
the ends of the levels below still hold it, and they are computed anyway. `MultiLevel` gives their
mean and their standard deviation beside the features of the last layer.

Source of the idea: Evci et al., "Head2Toe: Utilizing Intermediate Representations for Better
Transfer Learning" (2022). What the levels of efficientnet_lite0 earn: results/backbones.json.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowerlib.models.chains import chain

SMALLEST = 1e-24  # variance: of a map of one pixel it is 0, where a root has no slope
COARSE = 8  # pixels of the image's side that a pixel of a level's map stands for, at least
MANY = 5  # levels on maps of one size, from which a few are taken


def known(body: nn.Module) -> bool:
    """Whether the levels of a network are known: as a `Chain`, or by timm's own way to ask."""
    return chain(body) is not None or (_is_timms(body) and bool(_indices(body)))


class MultiLevel(nn.Module):
    """Images (N, 3, H, W) → features (N, num_features): a summary of each level, then of the last.

    A level's summary is the mean and the standard deviation of each of its maps; the last layer's
    are its features. Each is standardized over its channels and scaled so that all are equally long
    and the mean square of a feature is 1.

    Attributes:
        body: the network without its last layer.
        last: how many features it gives.
        num_features: D.
    """

    def __init__(self, body: nn.Module, last: int, side: int) -> None:
        """Of a network whose levels are `known`; its images have `side` pixels."""
        super().__init__()
        self.body, self.last = body, last
        widths = _widths(body, side)
        self.num_features = last + 2 * sum(widths)
        self.share = self.num_features / (2 * len(widths) + 1)

    def forward(self, images: Tensor) -> Tensor:
        maps, last = maps_and_features(self.body, images)
        summaries = [_summary(level) for level in maps] + [last[:, None].float()]
        return torch.cat([self._standardized(summary) for summary in summaries], 1)

    def _standardized(self, summary: Tensor) -> Tensor:
        """(N, n, C) → (N, n * C), each of the n with a mean of 0 and the length of all others."""
        width = int(summary.shape[2])  # a constant, also for an exporter
        standardized = F.layer_norm(summary, (width,), eps=SMALLEST)
        return (standardized * math.sqrt(self.share / width)).flatten(1)


def maps_and_features(body: nn.Module, images: Tensor) -> tuple[list[Tensor], Tensor]:
    """The maps at the end of each level, and the features of the last layer (N, D)."""
    if found := chain(body):
        return found(images)
    network: Any = body
    last, maps = network.forward_intermediates(
        images,
        indices=_indices(body),
        output_fmt="NCHW",
        stop_early=False,  # Hiera would not go on to its last layer
    )
    return maps, network.forward_head(last).flatten(1)


def _widths(body: nn.Module, side: int) -> list[int]:
    """How many maps each level has: as its chain says, or as an image without values shows.

    torch loads its compiler for such an image, which takes longer than an answer.
    """
    if (found := chain(body)) and found.widths:
        return list(found.widths)
    images = torch.empty(1, 3, side, side, device="meta")
    maps, _ = maps_and_features(copy.deepcopy(body).to("meta").eval(), images)
    return [int(_summary(level).shape[2]) for level in maps]


def _summary(level: Tensor) -> Tensor:
    """Mean and standard deviation (N, 2, C) of maps (N, C, h, w) or tokens (N, T, C)."""
    wide = (level.transpose(1, 2) if level.ndim == 3 else level.flatten(2)).float()
    mean = wide.mean(2, keepdim=True)
    # torch.var_mean would take ten times as long, a tenth of the whole pass.
    variance = (wide - mean).square().mean(2)
    return torch.stack([mean.flatten(1), variance.clamp(min=SMALLEST).sqrt()], 1)


def _is_timms(body: nn.Module) -> bool:
    return type(body).__module__.startswith("timm.") and hasattr(body, "forward_intermediates")


def _indices(body: Any) -> list[int]:
    """Which of the levels that timm knows are taken, by their numbers.

    Those on maps of an eighth of the image's side and coarser, but for the last one, which the
    features come from. Of many on maps of one size, as in vision transformers, those at a half and
    at three quarters of the way.
    """
    info = getattr(body, "feature_info", None) or []
    coarse = [i for i, level in enumerate(info) if level.get("reduction", 0) >= COARSE]
    if len({info[i]["reduction"] for i in coarse}) == 1 and len(coarse) > MANY:
        return [coarse[len(coarse) // 2 - 1], coarse[3 * len(coarse) // 4 - 1]]
    return coarse[:-1]
