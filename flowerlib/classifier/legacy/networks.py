"""The network of an old checkpoint: recognized by its tensors, or built by the name it was given.

Where the file holds the network's tensors, their names and shapes decide; what the file calls its
architecture is only a hint, since many write "vgg" or "densenet" there.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from flowerlib import models
from flowerlib.classifier.legacy import heads as old_heads
from flowerlib.classifier.legacy import modules as old_modules
from flowerlib.classifier.legacy.pickles import Name, StandIn
from flowerlib.models import Backbone
from flowerlib.models.state_dicts import load, modern_key
from flowerlib.models.torchvision_networks import BEFORE_CLASSIFIER
from flowerlib.support.errors import InputError

# Networks that a state dict is compared with when the file does not name its own, by a tensor that
# all of a family have.
USUAL = {
    "features.conv0.weight": ("densenet121", "densenet161", "densenet169", "densenet201"),
    "features.0.weight": (
        *("alexnet", "vgg11", "vgg13", "vgg16", "vgg19"),
        *("vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"),
    ),
    "conv1.weight": ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
}
NAMED = (
    *("arch", "architecture", "structure", "model_name", "model_arch", "arch_name", "model_type"),
    *("pretrained_model", "pretrained_model_name", "base_model", "backbone", "network", "model"),
    *("pretrained", "net", "name"),
)
CLASSIFIERS = ("fc", "classifier", "heads", "head")  # what torchvision's networks call theirs


class Parts(NamedTuple):
    """The pieces of a checkpoint that matter, by what they are; each may be missing.

    Attributes:
        network: a state dict with convolutions, names as today's.
        classifier: one of linear layers only.
        network_module, classifier_module: the same as pickled modules.
        facts: all plain data, by lower-case key.
    """

    network: dict[str, Tensor]
    classifier: dict[str, Tensor]
    network_module: StandIn | None
    classifier_module: StandIn | None
    facts: dict[str, Any]


class Pieces(NamedTuple):
    """A backbone, the classifier's tensors and module, what was found and what assumed."""

    backbone: Backbone
    entries: dict[str, Tensor]
    module: StandIn | None
    found: str
    assumed: list[str]


def from_tensors(parts: Parts, name: str | None, file: str) -> Pieces:
    """Fills the backbone whose tensors the file holds; what is left over is the classifier.

    Args:
        parts: of the checkpoint, with a state dict of the network.
        name: of the network, if the user gave it.
        file: where the weights are said to come from.

    Raises:
        InputError: the tensors are of no known network, or of another than `name`, or the pickled
            network does not work as torchvision's does.
    """
    state, prefix = parts.network, ""
    while (backbone := _fitting(state, parts.facts, name)) is None:
        starts = {key.partition(".")[0] for key in state}
        if len(starts) > 1 or not all("." in key for key in state):
            raise InputError(
                f"its tensors are not those of {name or 'any network that is known here'}; if it "
                "is another of torchvision's networks, name it with --backbone"
            )
        start = f"{starts.pop()}."  # `self.model = densenet121()` adds a floor
        state = {key.removeprefix(start): value for key, value in state.items()}
        prefix += start
    body = backbone.body
    head = next(one for one in CLASSIFIERS if hasattr(body, one))
    wanted = body.state_dict()
    entries = {key.removeprefix(f"{head}."): state[key] for key in state if key not in wanted}
    module, assumed = parts.classifier_module, []
    if (whole := parts.network_module) is not None:
        old_modules.refuse_changed_work(whole)
        old_modules.refuse_other_layers(whole, body, prefix, head)
        paths = {modern_key(f"{path}."): part for path, part in old_modules.walk(whole)}
        module = paths.get(f"{prefix}{head}.", module)
        inner = paths.get(prefix, whole)
        if not inner.kind.module.startswith(("torchvision.", "torch.nn.parallel.")):
            assumed.append(
                f"the class {inner.kind.name} does what torchvision's {backbone.name} does"
            )
    given, converted = old_modules.as_float32({key: state[key] for key in state if key in wanted})
    for key, value in wanted.items():  # networks of torch before 0.4.1 do not count batches
        given.setdefault(key, torch.zeros(value.shape, dtype=value.dtype))
    load(body, {key: value.to(wanted[key].dtype) for key, value in given.items()})
    backbone.weights = file
    entries, also = _classifier(entries or parts.classifier, module)
    assumed += _assumptions(converted | also)
    return Pieces(
        backbone, entries, module, f"backbone {backbone.name}, by its {len(given)} tensors", assumed
    )


def from_name(parts: Parts, name: str | None, weights: str | Path) -> Pieces:
    """Builds the backbone that the user or the file names; the file holds only a classifier.

    Args:
        parts: of the checkpoint, without a state dict of the network.
        name: of the network, if the user gave it.
        weights: as in `models.backbone`.

    Raises:
        InputError: nobody names the network, or it does not give the features that the classifier
            takes, or the weights cannot be had.
    """
    known = _known(name) if name else _named(parts.facts)
    if known is None:
        raise InputError(
            "it holds only a classifier, and names no network before it that is known here; give "
            "--backbone NAME, such as densenet121 or vgg16"
        )
    entries, converted = _classifier(parts.classifier, parts.classifier_module)
    width = old_heads.build(parts.classifier_module, entries).widths[0]
    for one in _cuts(known):
        if models.architecture(one).num_features == width:
            backbone = models.backbone(one, weights)
            where = "named by you" if name else "named in the file"
            assumed = [
                f"the backbone's weights are {backbone.weights}: the file holds only a classifier",
                *_assumptions(converted),
            ]
            found = f"backbone {one}, {where}"
            return Pieces(backbone, entries, parts.classifier_module, found, assumed)
    gives = models.architecture(known).num_features
    raise InputError(
        f"its classifier takes {width} features, but {known} gives {gives}; name the network that "
        "it was trained with by --backbone"
    )


def _classifier(
    entries: dict[str, Tensor], module: StandIn | None
) -> tuple[dict[str, Tensor], set[str]]:
    """The classifier's tensors, from the state dict or else from the module, without floors."""
    if not entries and module is not None:
        entries = old_modules.state_dict(module)
    starts = {key.partition(".")[0] for key in entries}
    if len(starts) == 1 and starts <= set(CLASSIFIERS):
        entries = {key.partition(".")[2]: value for key, value in entries.items()}
    return old_modules.as_float32(entries)


def _assumptions(converted: set[str]) -> list[str]:
    return [f"numbers stored as {kind} may be computed with as float32" for kind in converted]


def _cuts(name: str) -> Iterator[str]:
    """A network without its whole classifier, where that has several layers, then as named."""
    if (whole := f"{name}{BEFORE_CLASSIFIER}") in models.names():
        yield whole
    yield name


def _fitting(state: dict[str, Tensor], facts: dict[str, Any], name: str | None) -> Backbone | None:
    """The first network whose backbone's tensors are all there, with only a classifier besides."""
    likely = [_known(name)] if name else [one for one in [_named(facts)] if one]
    if not name:
        likely += [one for stem, family in USUAL.items() if stem in state for one in family]
    for network in dict.fromkeys(likely):
        for one in _cuts(network):
            wanted, head = _shapes(one)
            lacking = [key for key in wanted if key not in state]
            others = [key for key in state if key not in wanted]
            if (
                all(state[key].shape == wanted[key] for key in wanted if key in state)
                and all(key.endswith("num_batches_tracked") for key in lacking)
                and all(key.startswith(f"{head}.") for key in others)
            ):
                return models.architecture(one)
    return None


@functools.lru_cache
def _shapes(name: str) -> tuple[dict[str, torch.Size], str | None]:
    """Names and shapes of a backbone's tensors, and what it calls its classifier."""
    body = models.architecture(name).body
    shapes = {key: value.shape for key, value in body.state_dict().items()}
    return shapes, next((one for one in CLASSIFIERS if hasattr(body, one)), None)


def _plain(name: str) -> str:
    """A name as it is compared: `models.VGG-16` and `vgg16` are the same."""
    return re.sub("[^a-z0-9]", "", name.lower().rpartition(".")[2])


def _networks() -> dict[str, str]:
    return {_plain(one): one for one in models.names() if "." not in one}


def _known(name: str) -> str:
    if _plain(name) not in _networks():
        raise InputError(f"there is no backbone called {name!a:.80}; see flowerlib.models.names()")
    return _networks()[_plain(name)]


def _named(facts: dict[str, Any]) -> str | None:
    """The network that the file names: as a text, or as torchvision's function."""
    for key in NAMED:
        value = facts.get(key)
        if isinstance(value, Name) and value.module.startswith("torchvision."):
            value = value.name
        if isinstance(value, str) and len(value) < 80 and _plain(value) in _networks():
            return _networks()[_plain(value)]
    return None
