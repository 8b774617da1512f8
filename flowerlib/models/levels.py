"""The stages of a network: where it can be cut, and what it knows before its last layer.

The last layer of an ImageNet network has learned to forget what does not tell ImageNet's classes
apart. For other classes that may matter: the texture of a petal, the spots on a leaf. The maps at
the ends of the stages below still hold it, and they are computed anyway. `Stages` gives their mean
and their spread beside the features of the last layer.

Ledger, a linear head, test accuracy, means over random splits, last layer and with the stages:

    flowers, mobilenet_v2, 224 px        0.951  0.965    (5 splits)
    flowers, mobilenet_v2, 160 px        0.930  0.960
    cats and dogs, mobilenet_v2          0.975  0.977    (16 splits)
    beds and sofas, mobilenet_v2         0.970  0.970
    garden's flowers, small_densenet     0.834  0.885    (8 splits)
    garden's pets, small_densenet        0.951  0.977
    garden's furniture, small_densenet   0.976  0.988
    garden's things, small_densenet      0.693  0.814

- Flowers at 224 px: only the means 0.961, only the spreads 0.954. At 160 px: without the stage that
  ends on an eighth of the image's side 0.954, with those before it, too, 0.961.
- Each summary is standardized over its channels, photo by photo. Flowers at 160 px otherwise: as it
  is, so that the last layer outweighs all others, 0.936; divided by its length 0.954.

Source of the idea: Evci et al., "Head2Toe: Utilizing Intermediate Representations for Better
Transfer Learning" (2022).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

KNOWN = re.compile(r"(small_)?(densenet|resnet|resnext|wide_resnet)[0-9a-z_]*|mobilenet_v2")
SMALLEST = 1e-24  # variance: of a map of one pixel it is 0, where a root has no slope


@dataclass(frozen=True)
class Chain:
    """A network as one block after the other.

    Attributes:
        blocks: images (N, 3, H, W) go through all of them and become the last maps.
        ends: how many blocks come before the end of each stage, from maps of an eighth of the
            image's side on; the last maps not among them.
        cut: how many blocks come before the last stage.
        rectified: ReLU follows before the last maps are averaged.
    """

    blocks: list[nn.Module]
    ends: tuple[int, ...]
    cut: int
    rectified: bool = False

    def widths(self) -> list[int]:
        """The channels of the maps at each end: what the next block takes."""
        return [_inputs(self.blocks[end]) for end in self.ends]


def known(name: str) -> bool:
    """Whether the network of this name can be seen as a `Chain`."""
    return KNOWN.fullmatch(name) is not None


def chain(body: nn.Module) -> Chain | None:
    """A densenet, resnet (resnext, wide_resnet) or mobilenet_v2 as a chain; None for others."""
    if isinstance(body, torchvision.models.ResNet):
        start = [body.conv1, body.bn1, body.relu, body.maxpool]
        return Chain([*start, body.layer1, body.layer2, body.layer3, body.layer4], (6, 7), 7)
    if isinstance(body, torchvision.models.DenseNet):  # four layers, then blocks and transitions
        return Chain(list(body.features), (7, 9), 10, rectified=True)
    if isinstance(body, torchvision.models.MobileNetV2):
        # Its last three blocks: as resnet's last stage, on maps of the same size.
        return Chain(list(body.features), (7, 11, 14, 17, 18), 15)
    return None


def _inputs(block: nn.Module) -> int:
    for layer in block.modules():
        if isinstance(layer, nn.Conv2d):
            return layer.in_channels
        if isinstance(layer, nn.BatchNorm2d):
            return layer.num_features
    raise ValueError("a block without convolution and BatchNorm")


class Stages(nn.Module):
    """Images (N, 3, H, W) → features (N, num_features): a summary of each stage, then of the last.

    A stage's summary is the mean and the spread (standard deviation) of each of its maps; the last
    layer's are its features. Each is standardized over its channels and scaled so that all are
    equally long and the mean square of a feature is 1.

    Attributes:
        body: a network that `chain` knows.
        last: how many features it gives.
        num_features: D.
    """

    def __init__(self, body: nn.Module, last: int) -> None:
        super().__init__()
        found = chain(body)
        assert found is not None
        self.body, self.last = body, last
        self.num_features = last + 2 * sum(found.widths())
        self.share = self.num_features / (2 * len(found.ends) + 1)

    def forward(self, images: Tensor) -> Tensor:
        found = chain(self.body)
        assert found is not None
        maps, summaries = images, list[Tensor]()
        for count, block in enumerate(found.blocks, 1):
            maps = block(maps)
            if count in found.ends:
                wide = maps.float()
                mean = wide.mean((2, 3), keepdim=True)
                # torch.var_mean would take ten times as long, a tenth of the whole pass.
                variance = (wide - mean).square().mean((2, 3))
                spread = variance.clamp(min=SMALLEST).sqrt()
                summaries.append(torch.stack([mean.flatten(1), spread], 1))
        maps = F.relu(maps) if found.rectified else maps
        summaries.append(F.adaptive_avg_pool2d(maps, 1).flatten(2).transpose(1, 2).float())
        return torch.cat([self._standardized(summary) for summary in summaries], 1)

    def _standardized(self, summary: Tensor) -> Tensor:
        """(N, n, C) → (N, n * C), each of the n with a mean of 0 and the length of all others."""
        width = int(summary.shape[2])  # a constant, also for an exporter
        standardized = F.layer_norm(summary, (width,), eps=SMALLEST)
        return (standardized * math.sqrt(self.share / width)).flatten(1)
