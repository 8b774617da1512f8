"""Networks seen as chains: one block after the other, which can be cut between two of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Chain:
    """A network as one block after the other.

    Attributes:
        blocks: images (N, 3, H, W) go through all of them and become the last maps (N, C, h, w), or
            tokens (N, T, C).
        end: what turns the last maps into features (N, D).
        levels: after how many blocks a level ends, from maps of an eighth of the image's side on;
            the last maps are not among them.
        cut: how many blocks come before the last stage; 0 where that is not known.
        widths: how many maps each level has; () where that is not known.
    """

    blocks: list[nn.Module]
    end: list[nn.Module]
    levels: tuple[int, ...]
    cut: int = 0
    widths: tuple[int, ...] = ()

    def __call__(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Images (N, 3, H, W) → the maps at the end of each level, and features (N, D)."""
        maps, found = images, []
        for count, block in enumerate(self.blocks, 1):
            maps = block(maps)
            if count in self.levels:
                found.append(maps)
        for layer in self.end:
            maps = layer(maps)
        return found, maps.flatten(1)


def chain(body: nn.Module) -> Chain | None:
    """A network without its last layer as a chain; None for one whose blocks are not known here."""
    known = _CHAINS.get(f"{type(body).__module__}.{type(body).__qualname__}")
    return known(body) if known else None


def _pooled() -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten()]


def _resnet(body: Any) -> Chain:
    start = [body.conv1, body.bn1, body.relu, body.maxpool]
    blocks = [*start, body.layer1, body.layer2, body.layer3, body.layer4]
    return Chain(blocks, _pooled(), (6, 7), 7)


def _densenet(body: Any) -> Chain:  # four layers, then blocks and transitions
    return Chain(list(body.features), [nn.ReLU(), *_pooled()], (7, 9), 10)


def _mobilenet_v2(body: Any) -> Chain:
    # Its last three blocks: as resnet's last stage, on maps of the same size.
    return Chain(list(body.features), _pooled(), (7, 11, 14, 17, 18), 15)


def _mobilenet_v3(body: Any) -> Chain:
    blocks = list(body.features)
    levels, cut = ((7, 11, 13, 16), 13) if len(blocks) == 17 else ((4, 7, 9, 12), 9)
    return Chain(blocks, [*_pooled(), body.classifier], levels, cut)


def _efficientnet(body: Any) -> Chain:
    stem, *stages, end = body.features  # the sixth stage is the first on maps of a 32nd
    return _of_stages([stem], stages, [end], _pooled(), coarse=2, last=5)


def _of_stages(
    start: list[nn.Module],
    stages: list[Any],
    last_layers: list[nn.Module],
    end: list[nn.Module],
    *,
    coarse: int,
    last: int,
) -> Chain:
    """A chain of stages of blocks, cut after the first block of a stage, which makes maps smaller.

    Args:
        start, last_layers: before the stages, and between them and the last maps.
        stages: each of blocks.
        end: of the chain.
        coarse: how many stages come before the first on maps of an eighth of the image's side.
        last: how many come before the stage that is cut.
    """
    before = [*start, *stages[:last]]
    inside = list(stages[last])
    after = stages[last + 1 :]
    first = len(start) + coarse + 1
    inner = len(before) + len(inside)
    levels = (*range(first, len(before) + 1), *range(inner, inner + len(after) + 1))
    return Chain([*before, *inside, *after, *last_layers], end, levels, len(before) + 1)


def _convnext(body: Any) -> Chain:
    return Chain(list(body.features), [body.avgpool, body.classifier], (4, 6), 6)


def _regnet(body: Any) -> Chain:
    return Chain([body.stem, *body.trunk_output], _pooled(), (3, 4), 4)


def _shufflenet(body: Any) -> Chain:
    blocks = [body.conv1, body.maxpool, body.stage2, body.stage3, body.stage4, body.conv5]
    return Chain(blocks, _pooled(), (3, 4, 5), 4)


def _mnasnet(body: Any) -> Chain:
    return Chain(list(body.layers), _pooled(), (10, 11, 12, 13, 14), 12)


def _vision_transformer(body: Any) -> Chain:
    layers = list(body.encoder.layers)
    half, most = 1 + len(layers) // 2, 1 + 3 * len(layers) // 4
    return Chain([_Tokens(body), *layers], [body.encoder.ln, _ClassToken()], (half, most))


def _efficientnet_lite(body: Any) -> Chain:
    start, end = [body.conv_stem, body.bn1, body.act1], [body.conv_head, body.bn2, body.act2]
    pooled = [body.global_pool, nn.Flatten()]
    found = _of_stages(start, list(body.blocks), end, pooled, coarse=2, last=5)
    widths = (_last_convolution(found.blocks[count - 1]).out_channels for count in found.levels)
    return replace(found, widths=tuple(widths))


def _last_convolution(block: nn.Module) -> nn.Conv2d:
    return [layer for layer in block.modules() if isinstance(layer, nn.Conv2d)][-1]


def _timm_efficientnet(body: Any) -> Chain:
    """EfficientNets and their like: a stem, stages of blocks, a last convolution."""
    start, end = [body.conv_stem, body.bn1], [body.conv_head, body.bn2]
    side = [level["reduction"] for level in body.feature_info]
    stage = [int(level["module"].rpartition(".")[2]) for level in body.feature_info]
    before = dict(zip(side, stage, strict=True))
    pooled = [body.global_pool, nn.Flatten()]
    stages = list(body.blocks)
    return _of_stages(start, stages, end, pooled, coarse=before[4] + 1, last=before[16] + 1)


def _timm_resnet(body: Any) -> Chain:
    start = [body.conv1, body.bn1, body.act1, body.maxpool]
    blocks = [*start, body.layer1, body.layer2, body.layer3, body.layer4]
    return Chain(blocks, [body.global_pool, nn.Flatten()], (6, 7), 7)


def _timm_convnext(body: Any) -> Chain:
    return Chain([body.stem, *body.stages], [body.norm_pre, body.head], (3, 4), 4)


class _Tokens(nn.Module):
    """What torchvision's vision transformers make of images before their first layer."""

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = body

    def forward(self, images: Tensor) -> Tensor:
        patches = self.body.conv_proj(images).flatten(2).transpose(1, 2)
        token = self.body.class_token.expand(len(patches), -1, -1)
        return self.body.encoder.dropout(
            torch.cat([token, patches], 1) + self.body.encoder.pos_embedding
        )


class _ClassToken(nn.Module):
    """Tokens (N, T, C) → the first of them (N, C)."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens[:, 0]


# By class; timm's by name alone, since timm is imported only for its own networks.
_CHAINS: dict[str, Callable[[nn.Module], Chain]] = {
    "flowerlib.models.efficientnet_lite.EfficientNetLite": _efficientnet_lite,
    "torchvision.models.convnext.ConvNeXt": _convnext,
    "torchvision.models.densenet.DenseNet": _densenet,
    "torchvision.models.efficientnet.EfficientNet": _efficientnet,
    "torchvision.models.mnasnet.MNASNet": _mnasnet,
    "torchvision.models.mobilenetv2.MobileNetV2": _mobilenet_v2,
    "torchvision.models.mobilenetv3.MobileNetV3": _mobilenet_v3,
    "torchvision.models.regnet.RegNet": _regnet,
    "torchvision.models.resnet.ResNet": _resnet,
    "torchvision.models.shufflenetv2.ShuffleNetV2": _shufflenet,
    "torchvision.models.vision_transformer.VisionTransformer": _vision_transformer,
    "timm.models.convnext.ConvNeXt": _timm_convnext,
    "timm.models.efficientnet.EfficientNet": _timm_efficientnet,
    "timm.models.resnet.ResNet": _timm_resnet,
}
