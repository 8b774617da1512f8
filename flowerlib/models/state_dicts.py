"""State dicts as people save them: whole checkpoints, wrapped networks, names of old versions.

A file is read without running anything in it. What `torch.compile`, `DataParallel`, Lightning and
averaging put around a network or its names is taken off.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from flowerlib.support.errors import InputError

# torchvision's own densenet files still carry the names of torch 0.3: norm.1 for today's norm1.
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")
# What DataParallel (and AveragedModel) and torch.compile put before a name.
_WRAPPERS = re.compile(r"(^|\.)(?:(?:module|_orig_mod)\.)+")

HOW = "save the weights alone: torch.save(model.state_dict(), FILE)"
OTHER_FORMATS = {
    b"\x89HDF": "it is an HDF5 file, as Keras writes it; give weights of torch",
    b"version https://git-lfs": "it is a pointer of git-lfs; fetch the file with `git lfs pull`",
}


def read(file: Path, wanted: Collection[str]) -> dict[str, Tensor]:
    """The state dict of one network in a file, with names as today's networks have them.

    It may lie beside other entries, as training scripts and Lightning save it, and the network may
    be a part of another one, whose name then stands before all of its own ("model.conv1.weight").

    Args:
        file: written by safetensors or by `torch.save`.
        wanted: names that the network must have; where they are nowhere together, the largest state
            dict is given back.

    Raises:
        InputError: the file cannot be read, holds no state dict, or several such networks.
    """
    states = {key: _modern(state, file) for key, state in _inside(_content(file)).items()}
    if not states:
        raise InputError(f"{file} holds no state dict (names with tensors); {HOW}.")
    fitting = {
        (key, start): state for key, state in states.items() for start in _starts(state, wanted)
    }
    if len(fitting) > 1:
        candidates = ", ".join(
            repr(f"{key}: {start}*".removeprefix(": ")) for key, start in fitting
        )
        raise InputError(f"{file} holds several such networks ({candidates}); {HOW}.")
    for (_, start), state in fitting.items():
        size = len(start)
        return {key[size:]: value for key, value in state.items() if key.startswith(start)}
    return max(states.values(), key=len)


def load(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Gives a module these tensors in place of its own, without copying; all its names, no others.

    Raises:
        ValueError: the names are not those of the module.
    """
    state = module.state_dict()  # with the versions of its parts, without which mnasnet refuses
    if state.keys() != tensors.keys():
        raise ValueError("tensors of other names than the module's")
    state.update(tensors)
    module.load_state_dict(state, assign=True)


def modern_key(key: str) -> str:
    """Today's name of a state dict's entry, without wrappers; norm1 for old norm.1."""
    return _OLD_DENSENET.sub(r"\1\2", _WRAPPERS.sub(r"\1", key))


def _modern(state: dict[str, Tensor], file: Path) -> dict[str, Tensor]:
    found = {modern_key(key): value for key, value in state.items() if key != "n_averaged"}
    if len(found) != len(state) - ("n_averaged" in state):
        raise InputError(f"{file}: two tensors of its state dict have the same name.")
    return found


def _starts(state: dict[str, Tensor], wanted: Collection[str]) -> list[str]:
    """What stands before the names of each network in a state dict that has all those wanted."""
    anchor = next(iter(wanted))
    starts = [key.removesuffix(anchor) for key in state if f".{key}".endswith(f".{anchor}")]
    return [start for start in starts if all(f"{start}{key}" in state for key in wanted)]


def _content(file: Path) -> Any:
    if not file.is_file():
        raise InputError(f"{file}: there is no such weights file.")
    with open(file, "rb") as stream:
        start = stream.read(64)
    try:
        if start[8:9] == b"{":  # safetensors: eight bytes of length, then JSON
            from safetensors.torch import load_file

            return load_file(file)
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as problem:  # SafetensorError, UnpicklingError, RuntimeError, EOFError, ...
        reason = _reason(start, str(problem), file.suffix)
        raise InputError(f"{file} cannot be read as weights: {reason}.") from None


def _reason(start: bytes, error: str, suffix: str) -> str:
    """Why a file is no weights, in our words: torch's would advise to run what is in it."""
    if not start:
        return "it is empty"
    if "TorchScript" in error:
        return f"it is a TorchScript program; {HOW}"
    if name := re.search(r"GLOBAL ([\w.]+)", error):
        return f"it holds objects beside tensors ({name[1]}), which could run code; {HOW}"
    if suffix == ".onnx":
        return "it is an ONNX network; give weights of torch"
    for signature, meaning in OTHER_FORMATS.items():
        if start.startswith(signature):
            return meaning
    if start.lstrip()[:1] == b"<":
        return "it is a web page or XML; fetch the file again"
    return "it is damaged, or neither of safetensors nor of torch.save"


def _inside(content: Any, name: str = "", depth: int = 3) -> dict[str, dict[str, Tensor]]:
    """The state dicts in a checkpoint, by where they are: "" for a bare one, or "model"."""
    if not isinstance(content, dict) or not content or depth < 0:
        return {}
    if all(isinstance(key, str) and isinstance(v, Tensor) for key, v in content.items()):
        return {name: content}
    found: dict[str, dict[str, Tensor]] = {}
    for key, value in content.items():
        found |= _inside(value, f"{name}.{key}".removeprefix("."), depth - 1)
    return found
