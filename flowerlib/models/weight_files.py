"""A network filled from a file of weights: every entry must fit, and every number be finite."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from flowerlib.models import state_dicts
from flowerlib.support.errors import InputError

# Further heads of googlenet and inception, which only served their training.
TRAINING_HEADS = ("aux1.", "aux2.", "AuxLogits.")


def load_weights(body: nn.Module, file: Path, classifier: tuple[str, ...], name: str) -> None:
    """Fills a network without its classifier from a file, whose classifier may be missing, too.

    A network on the meta device is enough, so that two copies of the weights, the file's and the
    network's own, are all that is needed.

    Args:
        file: written by safetensors or `torch.save`; see `state_dicts.read`.
        classifier: what the names of the classifier's entries begin with.

    Raises:
        InputError: the file cannot be read, or belongs to another network; differences are named.
    """
    wanted = body.state_dict()
    needed = [key for key in wanted if not key.endswith("num_batches_tracked")]
    state = state_dicts.read(file, needed)
    whole = tuple(f"{key.partition('.')[0]}." for key in classifier)
    if not any(key.startswith(whole) for key in wanted):
        classifier = whole  # of several layers, perhaps; people replace all of them
    given = {
        key: value
        for key, value in state.items()
        if not key.startswith(classifier) and (key in wanted or not key.startswith(TRAINING_HEADS))
    }
    fill(body, given, str(file), name)


def fill(body: nn.Module, given: dict[str, Tensor], file: str, name: str) -> None:
    """Gives a network these tensors, of which it keeps copies; only counts of batches may lack.

    Raises:
        InputError: they belong to another network, or are not finite; differences are named.
    """
    wanted = body.state_dict()
    missing = [k for k in wanted if k not in given and not k.endswith("num_batches_tracked")]
    unknown = [key for key in given if key not in wanted]
    shapes = [
        f"{key} is {tuple(given[key].shape)} instead of {tuple(wanted[key].shape)}"
        for key in wanted
        if key in given and given[key].shape != wanted[key].shape
    ]
    if missing or unknown or shapes:
        parts = [f"{len(missing)} entries missing (such as {missing[0]})"] if missing else []
        parts += [f"{len(unknown)} unknown (such as {unknown[0]})"] if unknown else []
        parts += [f"{len(shapes)} of another shape ({shapes[0]})"] if shapes else []
        raise InputError(f"{file} does not hold weights of {name}: {', '.join(parts)}.")
    for key, value in given.items():
        if wanted[key].is_floating_point() and not value.is_floating_point():
            raise InputError(f"{file}: {key} holds {value.dtype}; save the weights as float32.")
        if not is_finite(value):
            raise InputError(f"{file}: {key} holds values that are not finite; get the file again.")
    # Each with memory of its own, since the file may be changed.
    own = {key: value.to(wanted[key].dtype, copy=True) for key, value in given.items()}
    for key in wanted.keys() - own.keys():  # old files do not count batches: the count starts at 0
        own[key] = torch.zeros(wanted[key].shape, dtype=wanted[key].dtype)
    state_dicts.load(body, own)


def is_finite(value: Tensor) -> bool:
    """Whether no number is NaN or infinite; looked at in pieces, since `isfinite` needs memory."""
    pieces = value.reshape(-1).split(1 << 20) if value.is_floating_point() else ()
    return all(bool(torch.isfinite(piece).all()) for piece in pieces)
