"""A network as a row of blocks, from the first layer to the last: rates and unfreezing go by them.

Works for any network whose modules are registered in the order in which they compute, as those of
torchvision and timm are.

Sources: layer-wise learning rates and gradual unfreezing are those of Howard and Ruder, "Universal
Language Model Fine-tuning for Text Classification" (2018).
"""

from __future__ import annotations

import math

from torch import nn

from flowerlib.models import Network
from flowerlib.support.options import FineTuning

FEWEST = 4  # blocks, where the network can be divided into so many


def blocks(module: nn.Module) -> list[list[nn.Parameter]]:
    """The parameters of each block, first to last; every parameter is in one of them.

    The children of the module, or, if one of them holds more than half of all parameters, the
    children of that one in its place, and so on, until there are enough.
    """
    parts: list[nn.Module | nn.Parameter] = [module]
    while len(parts) < FEWEST or _outweighs(parts):
        largest = max(range(len(parts)), key=lambda place: _size(parts[place]))
        inner = _inside(parts[largest])
        if not inner:
            break
        parts[largest : largest + 1] = inner
    seen: set[int] = set()
    found = []
    for part in parts:
        own = [part] if isinstance(part, nn.Parameter) else list(part.parameters())
        own = [parameter for parameter in own if id(parameter) not in seen]
        seen.update(map(id, own))
        if own:
            found.append(own)
    return found


def _inside(part: nn.Module | nn.Parameter) -> list[nn.Module | nn.Parameter]:
    """Parameters of the module's own, then its children that have some; nothing for a layer."""
    if isinstance(part, nn.Parameter) or not any(True for _ in part.children()):
        return []
    children = [child for child in part.children() if _size(child)]
    return [*part.parameters(recurse=False), *children]


def _size(part: nn.Module | nn.Parameter) -> int:
    if isinstance(part, nn.Parameter):
        return part.numel()
    return sum(parameter.numel() for parameter in part.parameters())


def _outweighs(parts: list[nn.Module | nn.Parameter]) -> bool:
    sizes = [_size(part) for part in parts]
    return max(sizes) > sum(sizes) / 2


def parameter_groups(network: Network, settings: FineTuning) -> list[dict[str, object]]:
    """Groups for an optimizer: the blocks of the backbone, first to last, then the head.

    The head and the last block have the rate `settings.lr`; each block below, the rate of the one
    above it times `settings.layer_decay`.
    """
    found = blocks(network.backbone)
    groups: list[dict[str, object]] = [
        {"params": block, "lr": settings.lr * settings.layer_decay ** (len(found) - 1 - depth)}
        for depth, block in enumerate(found)
    ]
    return [*groups, {"params": list(network.head.parameters()), "lr": settings.lr}]


def unfreeze(network: Network, epoch: int, unfreeze_epochs: int) -> int:
    """Lets the last blocks of the backbone learn, in place; returns how many.

    In the first `unfreeze_epochs` epochs they become more from one to the next (`epoch` counts
    from 1); then all learn.
    """
    found = blocks(network.backbone)
    share = min(1.0, epoch / (unfreeze_epochs + 1))
    learning = math.ceil(share * len(found))
    for depth, block in enumerate(reversed(found)):
        for parameter in block:
            parameter.requires_grad_(depth < learning)
    return learning
