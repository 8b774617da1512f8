"""A network in two parts: the lower one stays frozen and is computed once, the upper one learns."""

from __future__ import annotations

import torch
from torch import nn

from flowerlib.models.chains import chain
from flowerlib.models.networks import Backbone
from flowerlib.support import modes
from flowerlib.support.errors import InputError


@modes.usual()
def split(backbone: Backbone, size: int) -> tuple[Backbone, nn.Module]:
    """Cuts a backbone before its last stage: densenet's last dense block, resnet's layer4.

    The lower part can stay frozen and its output be cached; the upper part, cheap beside it, can
    be trained. Both share their weights with the backbone.

    Args:
        backbone: of a family whose stages are known: densenet, resnet, mobilenet, efficientnet,
            convnext, regnet, shufflenet, mnasnet, of torchvision or timm, or one of `SMALL`.
        size: side of the images, in pixels; the maps in the middle depend on it.

    Returns:
        The lower part, a backbone whose features are the flattened maps; and the upper part:
        flattened maps (N, C * H * W) → features (N, num_features).

    Raises:
        InputError: the backbone is of another family.

    Shown in: notebooks/05_heads
    """
    found = chain(backbone.body)
    if found is None or not found.cut:
        raise InputError(
            f"{backbone.name} cannot be split before its last stage; use another network, such as "
            "efficientnet_lite0, mobilenet_v2, a resnet or a densenet."
        )
    below = nn.Sequential(*found.blocks[: found.cut])
    above = nn.Sequential(*found.blocks[found.cut :], *found.end)
    with torch.inference_mode():
        device = next(below.parameters()).device
        maps = below.eval()(torch.zeros(1, 3, size, size, device=device, dtype=torch.float32))
    below.train(backbone.training)
    above.train(backbone.training)
    shape = tuple(maps.shape[1:])
    lower = Backbone(
        f"{backbone.name} below",
        below,
        maps[0].numel(),
        backbone.weights,
        library=backbone.library,
    )
    return lower, nn.Sequential(nn.Unflatten(1, shape), above)
