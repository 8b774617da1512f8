"""BatchNorm folded into the convolution before it: the same answers with fewer passes over memory.

In `eval()` BatchNorm is a fixed scale and shift of each channel, which a convolution can do itself:
w' = w * gamma / sqrt(variance + eps), and the bias likewise.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

CLOSE = 1e-3  # relative difference of features up to which the folded network is the same


@torch.no_grad()
def fold(network: nn.Module, images: Tensor) -> nn.Module:
    """A copy in `eval()` with each BatchNorm folded that gets its input from a convolution.

    Which ones do is seen while images (N, 3, H, W) pass through the copy. Where the folded network
    gives other features than the plain one (somebody else may need a convolution's output, too),
    a copy comes back that is not folded.
    """
    plain = copy.deepcopy(network).eval().requires_grad_(False)
    folded = copy.deepcopy(plain)
    for before, after in _pairs(folded, images):
        convolution, norm = folded.get_submodule(before), folded.get_submodule(after)
        assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        _replace(folded, before, fuse_conv_bn_eval(convolution, norm))
        _replace(folded, after, _rest(norm))
    exact = plain(images)
    error = (folded(images) - exact).norm() / exact.norm()
    return folded if bool(error < CLOSE) else plain


def _pairs(network: nn.Module, images: Tensor) -> list[tuple[str, str]]:
    """The names of each convolution and the BatchNorm right after it; the network is private."""
    made_by: dict[int, str] = {}  # of each output the layer, by the output's identity
    alive: list[Any] = []  # or another output could get the same identity
    calls: dict[str, int] = {}
    found: list[tuple[str, str]] = []
    hooks = []
    for name, layer in network.named_modules():
        if any(True for _ in layer.children()) and not _is_of(layer, nn.BatchNorm2d):
            continue

        def see(module: nn.Module, inputs: tuple[Any, ...], output: Any, name: str = name) -> None:
            calls[name] = calls.get(name, 0) + 1
            before = made_by.get(id(inputs[0]))
            if before is not None and _is_of(module, nn.BatchNorm2d):
                found.append((before, name))
            made_by.pop(id(output), None)
            if _is_of(module, nn.Conv2d):
                made_by[id(output)] = name
            alive.append(output)

        hooks.append(layer.register_forward_hook(see))
    network(images)
    for hook in hooks:
        hook.remove()
    return [pair for pair in found if all(calls[name] == 1 for name in pair)]


def _is_of(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether it is torch's layer, or one of timm's or ours, which pad or activate besides."""
    return type(module) is kind or (
        isinstance(module, kind) and type(module).__module__.startswith(("timm.", "flowerlib."))
    )


def _rest(norm: nn.BatchNorm2d) -> nn.Module:
    """What a layer does after BatchNorm: nothing, or timm's activation."""
    activation = getattr(norm, "act", None)
    return activation if isinstance(activation, nn.Module) else nn.Identity()


def _replace(network: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(network.get_submodule(parent), own, layer)
