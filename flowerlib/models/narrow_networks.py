"""torchvision's DenseNet and ResNet, narrow and shallow; see tools/pretrain_small.py."""

from __future__ import annotations

import torchvision


class _NarrowBottleneck(torchvision.models.resnet.Bottleneck):
    """torchvision's block without its fourfold widening at the end: narrower layers, same code."""

    expansion = 1


def build(name: str) -> torchvision.models.DenseNet | torchvision.models.ResNet:
    if name == "small_densenet":
        return torchvision.models.DenseNet(
            growth_rate=64,
            block_config=(1, 2, 6, 6),
            num_init_features=32,
            bn_size=1,
            num_classes=2,
        )
    return torchvision.models.ResNet(
        _NarrowBottleneck, layers=[1, 2, 2, 2], width_per_group=24, num_classes=2
    )
