"""What a network computes, as text: its layers, their settings and their order.

Weights alone do not tell: average and maximum pooling have none, and a convolution's stride is not
among them.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import importlib
import zlib
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from types import FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn

from flowerlib.models.freezing import Frozen

# Packages whose layers compute what their class and settings say.
KNOWN = ("torch", "torchvision", "timm", "flowerlib")
# Of each layer: known from its settings, or without effect on what it computes in `eval()`.
ASIDE = {"training", "frozen", "name", "weights", "preprocessing", "library"}
ASIDE |= {"pretrained_cfg", "default_cfg", "feature_info"}  # timm's: where the weights come from
HOOKS = ("_forward_hooks", "_forward_pre_hooks")
# Settings that play no role in prediction.
TRAINING_ONLY = {"training", "inplace", "p", "momentum", "memory_efficient", "drop_rate"}
METHODS = (FunctionType, MethodType, functools.partial)
COMPILED = {"_compiled_call_impl"}  # by torch.compile, which computes the same


class _Unknown(Exception):
    """Something whose effect on the computation cannot be determined."""


def structure(network: nn.Module) -> str | None:
    """SHA-256 over the layers' names, classes and settings; None where they do not tell all.

    So are the releases of the packages that have the code of the layers, which may change.

    Two networks with the same structure and the same `state_dict` compute the same. That cannot be
    known of classes from elsewhere, whose code may do anything, nor of layers with hooks, with
    methods that were replaced, or compiled by TorchScript, which keeps its code out of sight.
    """
    total = hashlib.sha256()
    try:
        for line in (*_lines(network), *_releases(network)):
            total.update(line.encode() + b"\n")
    except _Unknown:
        return None
    return total.hexdigest()


def difference(network: nn.Module, plain: nn.Module, side: int) -> str:
    """The first layer or setting that a network has and a plain one has not; "" if there is none.

    Where it is not known what a layer computes, that layer; see `structure`. Settings that play no
    role in prediction may differ, and what a network notes of images that it saw: where the two
    differ, copies of both are given an image and compared again.

    Args:
        network: any; it is not changed.
        plain: the one that it should be, with any weights or on the device "meta".
        side: of images that the network takes, in pixels.
    """
    found = _difference(network, plain)
    if found:
        with contextlib.suppress(Exception), torch.no_grad():  # whatever a changed network meets
            pair = [copy.deepcopy(one).cpu().eval() for one in (network, _with_values(plain))]
            pair[1].load_state_dict(pair[0].state_dict())
            for one in pair:
                one(torch.zeros(1, 3, side, side))
            found = _difference(*pair)
    return found


def _with_values(network: nn.Module) -> nn.Module:
    """The network, or a copy with some values if it has none."""
    if not any(value.is_meta for value in network.parameters()):
        return network
    return copy.deepcopy(network).to_empty(device="cpu")


def _difference(network: nn.Module, plain: nn.Module) -> str:
    try:
        for line, other in zip_longest(_lines(network), _lines(plain), fillvalue="fewer layers"):
            setting = line.partition(" = ")[0].rpartition(".")[2]
            if line != other and setting not in TRAINING_ONLY:
                return line
    except _Unknown as problem:
        return str(problem)
    return ""


def current(network: nn.Module) -> tuple[str | None, int]:
    """Changes with the network's structure and with every change of its weights.

    CRC-32 instead of a digest: it is there to notice, within 10 ms, not to name.
    """
    checksum = 0
    for value in network.state_dict().values():
        checksum = zlib.crc32(content(value), checksum)
    return structure(network), checksum


def content(value: Tensor) -> memoryview:
    """The bytes of a tensor, one number after the other."""
    return value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def _lines(network: nn.Module) -> Iterator[str]:
    stored = network.state_dict(keep_vars=True)
    looked_at: set[type] = set()
    for name, layer in network.named_modules(remove_duplicate=False):
        if any(getattr(layer, hooks, None) for hooks in HOOKS):
            raise _Unknown(f"a hook at {name or 'the top'}")
        if isinstance(layer, torch.jit.ScriptModule):
            raise _Unknown(f"compiled code at {name or 'the top'}")
        yield f"{name}: {_of_class(type(layer))}"
        _check_methods(type(layer), looked_at)
        for key, value in sorted(vars(layer).items()):
            if isinstance(value, METHODS) and key.startswith("_") and key not in COMPILED:
                raise _Unknown(f"the method {key} of {name or 'the top'}")
            if not key.startswith("_") and key not in ASIDE and not isinstance(value, Frozen):
                yield f"{name}.{key} = {_own_method(layer, value) or _of(value)}"
    for name, value in network.named_buffers():
        if name not in stored:  # not among the weights, and yet a number to compute with
            yield f"{name} = {_of(value)}"


def _own_method(layer: nn.Module, value: Any) -> str:
    """Which method of its class a layer has as a setting, as FasterNet's `forward`; "" if none."""
    if isinstance(value, MethodType) and value.__self__ is layer:
        name = value.__name__
        return f"its method {name}" if getattr(type(layer), name, None) is value.__func__ else ""
    return ""


def _releases(network: nn.Module) -> Iterator[str]:
    """The packages of the layers, each with its release."""
    packages = {type(layer).__module__.split(".")[0] for layer in network.modules()}
    for package in sorted(packages):
        yield f"{package} {importlib.import_module(package).__version__}"


def _check_methods(kind: type, looked_at: set[type]) -> None:
    """Raises `_Unknown` where somebody has replaced a method for a whole class."""
    for each in kind.__mro__:
        if each in looked_at:
            continue
        looked_at.add(each)
        for value in vars(each).values():
            if isinstance(value, FunctionType):
                _check_origin(value)


def _of(value: Any) -> str:
    """A setting as text, the same in every process."""
    if value is None or isinstance(value, (bool, int, float, str, torch.dtype, torch.Size)):
        return f"{type(value).__name__} {value!r}"
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}({', '.join(map(_of, value))})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_of(key)}: {_of(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Tensor) and value.device.type != "meta":
        return f"{value.dtype} {tuple(value.shape)} {hashlib.sha256(content(value)).hexdigest()}"
    if isinstance(value, functools.partial):
        return f"partial({_of(value.func)}, {_of(value.args)}, {_of(value.keywords)})"
    if isinstance(value, type):
        return _of_class(value)
    if callable(value) and hasattr(value, "__qualname__") and not hasattr(value, "__self__"):
        return _of_class(value)
    if isinstance(getattr(value, "__dict__", None), Mapping) and not callable(value):
        return f"{_of_class(type(value))} {_of(vars(value))}"
    raise _Unknown(f"a {type(value).__name__} as a setting")


def _of_class(kind: Any) -> str:
    """The full name of a class or function of a known package."""
    _check_origin(kind)
    if "<locals>" in kind.__qualname__ or "<lambda>" in kind.__qualname__:
        raise _Unknown(kind.__qualname__)
    return f"{kind.__module__}.{kind.__qualname__}"


def _check_origin(kind: Any) -> None:
    """Raises `_Unknown` for a class or function of a package that is not known."""
    if kind.__module__.split(".")[0] not in (*KNOWN, "builtins", "collections", "_operator"):
        raise _Unknown(f"{kind.__qualname__} of {kind.__module__}")
