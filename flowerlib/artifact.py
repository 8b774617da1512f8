"""The classifier's file: safetensors with JSON metadata, written whole and read with suspicion.

Nothing in the file is run as code. Every entry of the description and every tensor is checked
before it is used.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

import flowerlib
from flowerlib import models, storage
from flowerlib.errors import InputError
from flowerlib.models import Backbone
from flowerlib.transforms import Preprocessing

FORMAT = "flowerlib.classifier"
FORMAT_VERSION = 1

# backbone, head, class names, preprocessing, results
Parts = tuple[Backbone, nn.Sequential, tuple[str, ...], Preprocessing, dict[str, Any]]


def write(
    path: Path | str,
    backbone: Backbone,
    head: nn.Sequential,
    class_names: Sequence[str],
    preprocessing: Preprocessing,
    results: dict[str, Any],
) -> None:
    """Writes a classifier to one `.safetensors` file, whole or not at all.

    Raises:
        InputError: the folder is missing or not writable, or the head cannot be described.
    """
    metadata = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "backbone": {"name": backbone.name, "weights": backbone.weights},
        "head": describe_head(head),
        "class_names": list(class_names),
        "preprocessing": preprocessing.to_dict(),
        "versions": {"flowerlib": flowerlib.__version__, "torch": str(torch.__version__)},
        "results": results,
    }
    parts = {"backbone": backbone.body, "head": head}
    tensors = {
        f"{part}.{key}": value.detach().cpu().contiguous().clone()
        for part, module in parts.items()
        for key, value in module.state_dict().items()
    }
    with storage.atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"flowerlib": json.dumps(metadata)})


def read(path: Path) -> Parts:
    """Reads the parts of a classifier.

    Raises:
        InputError: the file is missing, damaged, of a newer format, or no classifier.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such classifier file.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = _read_metadata(path, file.metadata())
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as problem:
        raise InputError(
            f"{path} is no whole classifier file ({problem}); copy or train it again."
        ) from None
    try:
        return _assemble(path, metadata, tensors)
    except InputError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as problem:
        raise InputError(
            f"{path} is damaged: its description lacks or garbles {problem}."
        ) from None


def _assemble(path: Path, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> Parts:
    name = metadata["backbone"]["name"]
    if name not in models.names():
        raise InputError(f'{path} needs the backbone "{name}", which is unknown here.')
    class_names = metadata["class_names"]
    if not all(isinstance(item, str) for item in class_names):
        raise InputError(f"{path} is damaged: a class name is not a text.")
    if len(set(class_names)) != len(class_names):
        raise InputError(f"{path} is damaged: two classes have the same name.")
    # Built without memory, then given the file's tensors: nothing is initialized in vain.
    backbone = models.architecture(name)
    backbone.weights = str(metadata["backbone"]["weights"])
    head = build_head(metadata["head"])
    for part, module in {"backbone": backbone.body, "head": head}.items():
        given = {
            key.removeprefix(f"{part}."): value
            for key, value in tensors.items()
            if key.startswith(f"{part}.")
        }
        _fill(path, part, module, given)
    spare = [key for key in tensors if not key.startswith(("backbone.", "head."))]
    if spare:
        raise InputError(f"{path} is damaged: it holds the unknown tensor {spare[0]}.")
    linear = [layer for layer in head if isinstance(layer, nn.Linear)]
    widths = [backbone.num_features, *(layer.out_features for layer in linear)]
    if any(layer.in_features != width for layer, width in zip(linear, widths, strict=False)):
        raise InputError(f"{path} is damaged: its head does not fit its backbone or itself.")
    if linear[-1].out_features != len(class_names):
        raise InputError(
            f"{path} is damaged: {len(class_names)} class names for "
            f"{linear[-1].out_features} outputs."
        )
    preprocessing = Preprocessing.from_dict(metadata["preprocessing"])
    return backbone, head, tuple(class_names), preprocessing, dict(metadata["results"])


def describe_head(head: nn.Sequential) -> list[dict[str, Any]]:
    """The layers of a head as plain data; `build_head` turns it back.

    Raises:
        InputError: a layer is not one of Linear, ReLU, Dropout, LogSoftmax.
    """
    layers: list[dict[str, Any]] = []
    for layer in head:
        if isinstance(layer, nn.Linear):
            layers.append(
                {"layer": "linear", "inputs": layer.in_features, "outputs": layer.out_features}
            )
        elif isinstance(layer, nn.Dropout):
            layers.append({"layer": "dropout", "p": layer.p})
        elif isinstance(layer, nn.ReLU):
            layers.append({"layer": "relu"})
        elif isinstance(layer, nn.LogSoftmax):
            layers.append({"layer": "log_softmax"})
        else:
            raise InputError(
                f"A head may hold Linear, ReLU, Dropout and LogSoftmax, not {type(layer).__name__}."
            )
    return layers


def build_head(layers: list[dict[str, Any]]) -> nn.Sequential:
    """A head from its description, on the meta device: shapes without values."""
    build = {
        "linear": lambda of: nn.Linear(int(of["inputs"]), int(of["outputs"]), device="meta"),
        "dropout": lambda of: nn.Dropout(float(of["p"])),
        "relu": lambda of: nn.ReLU(),
        "log_softmax": lambda of: nn.LogSoftmax(dim=1),
    }
    if not isinstance(layers, list) or not any(of.get("layer") == "linear" for of in layers):
        raise InputError("A head's description must be a list of layers with a linear one.")
    for of in layers:
        if of["layer"] not in build:
            raise InputError(f'A head\'s description names the unknown layer "{of["layer"]}".')
    return nn.Sequential(*(build[of["layer"]](of) for of in layers))


def _read_metadata(path: Path, stored: dict[str, str] | None) -> dict[str, Any]:
    try:
        metadata = json.loads((stored or {})["flowerlib"])
        if metadata["format"] != FORMAT:
            raise KeyError("format")
        version = int(metadata["format_version"])
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path} is a safetensors file, but not a flowerlib classifier.") from None
    if version > FORMAT_VERSION:
        raise InputError(
            f"{path} was written in format {version}, which is newer than this flowerlib knows "
            f"({FORMAT_VERSION}); update flowerlib."
        )
    return metadata


def _fill(path: Path, part: str, module: nn.Module, given: dict[str, Tensor]) -> None:
    """Gives a module on the meta device its tensors; every name and shape must fit."""
    wanted = module.state_dict()
    for key in [*wanted, *given]:
        if key not in given or key not in wanted:
            fault = "lacks" if key in wanted else "has the unknown"
            raise InputError(f"{path} is damaged: its {part} {fault} tensor {key}.")
        if given[key].shape != wanted[key].shape or given[key].dtype != wanted[key].dtype:
            raise InputError(f"{path} is damaged: tensor {part}.{key} has the wrong shape or type.")
        if given[key].is_floating_point() and not bool(torch.isfinite(given[key]).all()):
            raise InputError(f"{path} is damaged: tensor {part}.{key} holds values not finite.")
    module.load_state_dict(given, assign=True)
    stray = [key for key, value in module.named_buffers() if value.is_meta]
    if stray:  # a buffer that torchvision computes and does not save
        raise InputError(f"{path}: {part} cannot be restored, its buffer {stray[0]} is not saved.")
