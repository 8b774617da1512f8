"""Pickled networks as records: their tensors, their layers, and whether they are torchvision's.

`checkpoints` leaves a pickled `nn.Module` as a `StandIn`; what its class would do is known only by
its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from flowerlib.classifier.legacy.pickles import StandIn
from flowerlib.models.fingerprint import HOOKS, TRAINING_ONLY
from flowerlib.models.state_dicts import modern_key
from flowerlib.models.weight_files import is_finite
from flowerlib.support.errors import InputError

MAX_MODULES = 10_000
# Old torchvision pooled with a fixed window where today's adapts to the size; at 224 pixels they
# are the same.
SAME_WORK = {"AvgPool2d": "AdaptiveAvgPool2d"}
PLAIN = (int, float, str, tuple)


def is_module(value: Any) -> bool:
    """Whether an object of a checkpoint is a pickled `nn.Module`."""
    return isinstance(value, StandIn) and isinstance(value.state.get("_modules"), dict)


def is_torch_layer(module: StandIn) -> bool:
    """Whether the module's class is torch's own, so that its work is known by its name."""
    return module.kind.module.startswith("torch.nn.")


def walk(module: StandIn) -> Iterator[tuple[str, StandIn]]:
    """All modules with their paths, as `nn.Module.named_modules` gives them.

    Raises:
        ValueError: there are absurdly many, as where a module contains itself.
    """
    waiting = [("", module)]
    seen = 0
    while waiting:
        path, module = waiting.pop()
        yield path, module
        seen += 1 + len(module.state["_modules"])
        if seen > MAX_MODULES:
            raise ValueError("a network of absurdly many modules")
        children = [
            (f"{path}.{name}" if path else str(name), child)
            for name, child in module.state["_modules"].items()
            if is_module(child)
        ]
        waiting += reversed(children)


def state_dict(module: StandIn) -> dict[str, Tensor]:
    """The tensors that `nn.Module.state_dict` would give, in the same order."""
    found: dict[str, Tensor] = {}
    seen = 0
    for path, part in walk(module):
        fleeting = frozenset(part.state.get("_non_persistent_buffers_set") or ())
        groups = [part.state.get(group) or {} for group in ("_parameters", "_buffers")]
        seen += len(fleeting) + sum(len(group) for group in groups)
        if seen > 10 * MAX_MODULES:
            raise ValueError("a network of absurdly many tensors")
        for group in groups:
            for name, value in group.items():
                if isinstance(value, Tensor) and name not in fleeting:
                    found[f"{path}.{name}" if path else str(name)] = value
    return found


def refuse_changed_work(module: StandIn) -> None:
    """Refuses hooks and replaced functions, whose work the file does not hold.

    Raises:
        InputError: a module has one; it is named.
    """
    for path, part in walk(module):
        if "forward" in part.state or any(part.state.get(hooks) for hooks in HOOKS):
            raise InputError(
                f"its layer {path or 'at the top'!a} runs a function that the file does not hold; "
                "save its state dict instead"
            )


def refuse_other_layers(module: StandIn, body: nn.Module, prefix: str, head: str) -> None:
    """Refuses a network whose layers have torchvision's tensors, but another class or setting.

    Args:
        module: the pickled network.
        body: torchvision's, without its classifier.
        prefix: of the network's layers inside `module`.
        head: name of the classifier, which may be anything.

    Raises:
        InputError: a layer differs; it is named with both.
    """
    wanted = {path: layer for path, layer in body.named_modules() if path}
    for path, part in walk(module):
        name = modern_key(f"{path}.").removesuffix(".").removeprefix(prefix)
        kind = part.kind.name
        if name.split(".")[0] == head:
            continue
        if name in wanted:
            there = type(wanted[name]).__name__
            if there not in (kind, SAME_WORK.get(kind)):
                raise InputError(f"its layer {name} is {kind!a:.80} where the network has {there}")
            if kind == there and is_torch_layer(part):
                _refuse_other_settings(name, part, wanted[name])
        elif isinstance(wanted.get(name.rpartition(".")[0]), nn.Sequential):
            raise InputError(f"it has the layer {name!a:.80}, which the network has not")


def _refuse_other_settings(name: str, part: StandIn, layer: nn.Module) -> None:
    for setting, value in vars(layer).items():
        given = part.state.get(setting, value)
        if setting in TRAINING_ONLY or not (isinstance(value, PLAIN) and isinstance(given, PLAIN)):
            continue
        if given != value:
            raise InputError(f"its layer {name} has another {setting} than {value}")


def as_float32(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], set[str]]:
    """The tensors as today's layers hold them, and the types that were converted.

    Raises:
        InputError: a value is not finite, or a tensor holds no fractions.
    """
    found, converted = {}, set()
    for name, value in state.items():
        if value.is_floating_point():
            if not is_finite(value):
                raise InputError(f"its tensor {name!a:.80} holds values that are not finite")
            if value.dtype != torch.float32:
                converted.add(str(value.dtype).removeprefix("torch."))
        elif value.dim() > 0:
            raise InputError(f"its tensor {name!a:.80} holds {value.dtype}, not fractions")
        found[name] = value.float() if value.is_floating_point() else value
    return found, converted
