"""EfficientNet-Lite, the default network, in plain PyTorch.

A first convolution, seven stages of blocks, a last convolution, and the mean of each map. A block
widens its maps with a convolution of 1 x 1 pixels, looks at the neighborhood of each pixel in every
map on its own (a depthwise convolution), and narrows the result; where the sizes allow it, the maps
that came in are added. "Lite" leaves out what phones compute slowly: swish and
squeeze-and-excitation.

It is written here, although timm has it, so that the default needs neither timm nor torchvision,
whose imports take longer than an answer. Layers are named as in timm, and state dicts of its
tf_efficientnet_lite0 to 2 fit.

Sources: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks"
(2019), and Liu, "Higher accuracy on vision models with EfficientNet-Lite" (2020).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn


class Stage(NamedTuple):
    """Blocks in a row, the first of which may halve the side of the maps."""

    blocks: int
    kernel: int
    stride: int
    widening: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
STEM, NUM_FEATURES = 32, 1280  # channels of the first and of the last convolution


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow does: the odd pixel on the right and at the bottom."""

    def forward(self, maps: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        # As plain numbers, a converted graph holds the padding and not a formula for it, and its
        # runtime then makes it a part of the convolution: a fifth of the network's time.
        sides = (int(side) for side in maps.shape[-2:])
        high, wide = (
            max((math.ceil(side / stride) - 1) * stride + kernel - side, 0) for side in sides
        )
        padded = F.pad(maps, (wide // 2, wide - wide // 2, high // 2, high - high // 2), value=0.0)
        return super().forward(padded)


def convolution(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    """Without bias, since BatchNorm follows; maps keep their side, divided by the stride."""
    if stride > 1:
        return SameConv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)


def batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class PlainBlock(nn.Module):
    """A block that does not widen: depthwise convolution, then a mixture of its maps."""

    def __init__(self, inputs: int, stage: Stage) -> None:
        super().__init__()
        self.conv_dw = convolution(inputs, inputs, stage.kernel, stage.stride, groups=inputs)
        self.bn1 = batch_norm(inputs)
        self.act1 = nn.ReLU6(inplace=True)
        self.conv_pw = convolution(inputs, stage.channels)
        self.bn2 = batch_norm(stage.channels)

    def forward(self, maps: Tensor) -> Tensor:
        return self.bn2(self.conv_pw(self.act1(self.bn1(self.conv_dw(maps)))))


class WideBlock(nn.Module):
    """Widens, looks at neighborhoods, narrows; adds what came in where the sizes are equal."""

    def __init__(self, inputs: int, stage: Stage, stride: int) -> None:
        super().__init__()
        wide = inputs * stage.widening
        self.conv_pw = convolution(inputs, wide)
        self.bn1 = batch_norm(wide)
        self.act1 = nn.ReLU6(inplace=True)
        self.conv_dw = convolution(wide, wide, stage.kernel, stride, groups=wide)
        self.bn2 = batch_norm(wide)
        self.act2 = nn.ReLU6(inplace=True)
        self.conv_pwl = convolution(wide, stage.channels)
        self.bn3 = batch_norm(stage.channels)
        self.adds = stride == 1 and inputs == stage.channels

    def forward(self, maps: Tensor) -> Tensor:
        found = self.act1(self.bn1(self.conv_pw(maps)))
        found = self.act2(self.bn2(self.conv_dw(found)))
        found = self.bn3(self.conv_pwl(found))
        return found + maps if self.adds else found


class EfficientNetLite(nn.Module):
    """Images (N, 3, H, W) → features (N, 1280), with torch's random weights; see `initialize`.

    Args:
        width, depth: what channels and blocks of the stages are multiplied by, for lite1 and lite2.
    """

    def __init__(self, width: float = 1.0, depth: float = 1.0) -> None:
        super().__init__()
        self.conv_stem = convolution(3, STEM, 3, 2)
        self.bn1 = batch_norm(STEM)
        self.act1 = nn.ReLU6(inplace=True)
        inputs, stages = STEM, []
        for stage in STAGES:
            # The first and the last stage stay as deep as they are.
            blocks = stage.blocks if stage in (STAGES[0], STAGES[-1]) else depth * stage.blocks
            scaled = stage._replace(channels=divisible(width * stage.channels))
            stages.append(_stage(inputs, scaled, math.ceil(blocks)))
            inputs = scaled.channels
        self.blocks = nn.Sequential(*stages)
        self.conv_head = convolution(inputs, NUM_FEATURES)
        self.bn2 = batch_norm(NUM_FEATURES)
        self.act2 = nn.ReLU6(inplace=True)
        self.global_pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.blocks(self.act1(self.bn1(self.conv_stem(images))))
        return self.global_pool(self.act2(self.bn2(self.conv_head(maps)))).flatten(1)


def initialize(network: nn.Module) -> None:
    """Draws the weights of convolutions so that maps keep their size from layer to layer, in place.

    Source: He et al., "Delving Deep into Rectifiers" (2015).
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            fan_out = layer.out_channels * math.prod(layer.kernel_size) // layer.groups
            nn.init.normal_(layer.weight, std=math.sqrt(2 / fan_out))


def _stage(inputs: int, stage: Stage, blocks: int) -> nn.Sequential:
    if stage.widening == 1:
        return nn.Sequential(PlainBlock(inputs, stage))
    first = WideBlock(inputs, stage, stage.stride)
    rest = [WideBlock(stage.channels, stage, 1) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)


def divisible(channels: float) -> int:
    """The multiple of eight that is nearest, but not below nine tenths of the number."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8
