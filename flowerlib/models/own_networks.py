"""Modules of one's own as backbones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flowerlib.models.networks import OWN, Backbone
from flowerlib.support.errors import InputError, first_line
from flowerlib.transforms import Preprocessing


def own(network: nn.Module, preprocessing: Preprocessing | None) -> Backbone:
    """A backbone around a module of one's own; a probe tells how many features it gives."""
    if isinstance(network, Backbone):
        return network
    if preprocessing is None:
        raise InputError(
            "A module of your own needs its preprocessing, which photos go through before it: "
            "give preprocessing=transforms.Preprocessing(...)."
        )
    name, side = type(network).__name__, preprocessing.crop
    modes_before = {module: module.training for module in network.modules()}
    first = next(network.parameters(), torch.empty(0))
    try:
        with torch.no_grad():
            probe = torch.zeros(1, 3, side, side, device=first.device, dtype=torch.float32)
            found = network.eval()(probe)
    except Exception as problem:  # somebody's own code
        reason = first_line(problem)[:200]
        raise InputError(
            f"{name} does not compute features of an image (1, 3, {side}, {side}): {reason}"
        ) from problem
    finally:
        for module, mode in modes_before.items():
            module.training = mode
    if not isinstance(found, Tensor) or found.ndim < 2 or found.numel() != found.shape[1]:
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise InputError(
            f"{name} makes {shape} of an image, not features (1, D); end it with pooling, or give "
            "a module that picks its features."
        )
    return Backbone(name, network, found.shape[1], OWN, preprocessing)
