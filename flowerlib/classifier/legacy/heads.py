"""Heads of old checkpoints: built from a pickled classifier, or from the shapes of its tensors."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from flowerlib.classifier.legacy import modules as old_modules
from flowerlib.classifier.legacy.pickles import StandIn
from flowerlib.support.errors import InputError

MAX_LAYERS = 7  # of which all orders can be tried
DROPOUTS = ("Dropout", "Dropout1d", "Dropout2d", "AlphaDropout", "FeatureAlphaDropout")
NO_WORK = ("Identity", "Flatten")
SOFTMAXES = ("LogSoftmax", "Softmax")
HARMLESS = ("Linear", "ReLU", "Sequential", "ModuleList", "NLLLoss", *DROPOUTS, *NO_WORK)


class Linear(NamedTuple):
    """One linear layer: where it was found, weight (outputs, inputs), bias (outputs,) or None."""

    path: str
    weight: Tensor
    bias: Tensor | None


class Head(NamedTuple):
    """A head, and what had to be assumed to build it."""

    layers: nn.Sequential
    assumed: tuple[str, ...]

    @property
    def widths(self) -> list[int]:
        """Inputs, hidden sizes, outputs."""
        linear = [layer for layer in self.layers if isinstance(layer, nn.Linear)]
        return [linear[0].in_features, *(layer.out_features for layer in linear)]


def build(module: StandIn | None, entries: dict[str, Tensor]) -> Head:
    """Builds the head of a checkpoint.

    Args:
        module: the pickled classifier, if the file has one; it says what lies between the layers.
        entries: the classifier's part of the state dict; it wins over the module's own tensors, as
            it does where a course loads the one and then the other. May be empty.

    Raises:
        InputError: a layer that heads cannot have, tensors of other layers, or shapes that do not
            follow each other.
    """
    given = _linears(entries)
    if module is None:
        return _from_shapes(given)
    old_modules.refuse_changed_work(module)
    own = _linears(old_modules.state_dict(module))
    values = given or own
    if [layer.weight.shape for layer in values] != [layer.weight.shape for layer in own]:
        raise InputError("its state dict and its pickled classifier have different shapes")
    if module.kind.module.startswith("torch.nn."):
        return _from_module(module, dict(zip((layer.path for layer in own), values, strict=True)))
    for path, part in old_modules.walk(module):
        kind = part.kind.name
        if old_modules.is_torch_layer(part) and kind not in (*HARMLESS, *SOFTMAXES):
            raise InputError(f"its classifier holds {kind} at {path!a:.80}, which no head here has")
    head = _from_shapes(values)
    note = f"what the class {module.kind.name} does is not in the file"
    return Head(head.layers, (note, *head.assumed))


def _linears(entries: dict[str, Tensor]) -> list[Linear]:
    """The linear layers among a state dict's entries, which may hold nothing else."""
    found = []
    for key, value in entries.items():
        path, _, part = key.rpartition(".")
        if part == "weight" and value.dim() == 2:
            bias = entries.get(f"{path}.bias" if path else "bias")
            if bias is not None and bias.shape != value.shape[:1]:
                raise InputError(f"its classifier's {path!a:.80} has a bias of the wrong shape")
            found.append(Linear(path, value, bias))
        elif part != "bias" or f"{path}.weight".removeprefix(".") not in entries:
            raise InputError(
                f"its classifier holds the tensor {key!a:.80}, which no linear layer has"
            )
    return found


def _follow(layers: tuple[Linear, ...]) -> bool:
    return all(a.weight.shape[0] == b.weight.shape[1] for a, b in itertools.pairwise(layers))


def _from_shapes(linears: list[Linear]) -> Head:
    """Linear layers in the one order that fits, with ReLU between and LogSoftmax at the end."""
    if not linears:
        raise InputError("it holds no linear layer, so no classifier")
    fitting = [tuple(linears)] if _follow(tuple(linears)) else []
    if not fitting and len(linears) <= MAX_LAYERS:
        fitting = [order for order in itertools.permutations(linears) if _follow(order)]
    if len(fitting) != 1:
        shapes = ", ".join(str(tuple(layer.weight.shape)) for layer in linears[:MAX_LAYERS])
        raise InputError(f"the linear layers of its classifier do not follow each other ({shapes})")
    layers: list[nn.Module] = []
    for linear in fitting[0]:
        layers += [_linear(linear), nn.ReLU()]
    assumed = [
        "the classifier ends in LogSoftmax (with or without it, predictions are the same)",
    ]
    if len(linears) > 1:
        assumed = ["ReLU between the classifier's linear layers", *assumed]
    return Head(nn.Sequential(*layers[:-1], nn.LogSoftmax(dim=1)), tuple(assumed))


def _from_module(module: StandIn, linears: dict[str, Linear]) -> Head:
    """The layers of a pickled `nn.Sequential` as they are; a Softmax at the end is left out."""
    layers: list[nn.Module] = []
    ended = ""
    for path, part in _leaves(module):
        kind = part.kind.name
        if kind in DROPOUTS:
            layers.append(nn.Dropout(float(part.state.get("p", 0.5))))
            continue
        if kind in NO_WORK:
            continue
        if ended:
            raise InputError(f"its classifier continues after {ended}, with {kind} at {path!a:.80}")
        if kind == "Linear":
            layers.append(_linear(linears[path]))
        elif kind == "ReLU":
            layers.append(nn.ReLU())
        elif kind in SOFTMAXES:
            if part.state.get("dim") not in (1, -1, None):
                raise InputError(f"its {kind} works across photos instead of classes")
            ended = kind
            layers += [nn.LogSoftmax(dim=1)] if kind == "LogSoftmax" else []
        else:
            raise InputError(
                f"its classifier holds {kind!a:.80} at {path!a:.80}, which no head here has"
            )
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    if not linear:
        raise InputError("it holds no linear layer, so no classifier")
    if any(a.out_features != b.in_features for a, b in itertools.pairwise(linear)):
        raise InputError("the linear layers of its classifier do not follow each other")
    left_out = "its Softmax was left out: prediction applies it anyway"
    return Head(nn.Sequential(*layers), (left_out,) if ended == "Softmax" else ())


def _leaves(module: StandIn) -> Iterator[tuple[str, StandIn]]:
    for path, part in old_modules.walk(module):
        kind = part.kind.name
        if not old_modules.is_torch_layer(part):
            raise InputError(f"what its classifier's layer {kind!a:.80} does is not in the file")
        if kind != "Sequential":
            yield path, part


def _linear(given: Linear) -> nn.Linear:
    outputs, inputs = given.weight.shape
    bias = given.weight.new_zeros(outputs) if given.bias is None else given.bias
    layer = nn.Linear(inputs, outputs, device="meta", dtype=torch.float32)
    layer.load_state_dict({"weight": given.weight, "bias": bias}, assign=True)
    return layer
