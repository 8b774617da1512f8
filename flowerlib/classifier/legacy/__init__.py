"""Reads classifiers that students pickled with `torch.save`, without running anything in them.

The file's parts are recognized by what they are (a state dict with convolutions, one without, a
pickled network) rather than by their keys, which everybody chooses differently. What the file does
not say is listed, never silently made up.

On the command line: `flowerlib import-old`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from flowerlib import models
from flowerlib.classifier.classifier import Classifier
from flowerlib.classifier.legacy import checkpoints
from flowerlib.classifier.legacy import classes as old_classes
from flowerlib.classifier.legacy import heads as old_heads
from flowerlib.classifier.legacy import modules as old_modules
from flowerlib.classifier.legacy import networks as old_networks
from flowerlib.classifier.legacy.networks import NAMED, Parts
from flowerlib.classifier.legacy.pickles import StandIn
from flowerlib.models.state_dicts import modern_key
from flowerlib.support import modes
from flowerlib.support.errors import InputError

# Where there are several state dicts, such as the last and the best: the first of these counts.
STATE = ("state_dict", "model_state_dict", "model_state", "model", "weights", "net", "network")
HIDDEN = ("hidden_layers", "hidden_units", "hidden_sizes", "hidden_layer", "hidden", "hidden_size")
MAX_ENTRIES, MAX_TENSORS = 1000, 20_000
MAX_TOLD = 12  # names of entries that were not needed


class Imported(NamedTuple):
    """A classifier from an old checkpoint, what was found in the file, and what was not."""

    classifier: Classifier
    found: tuple[str, ...]
    assumed: tuple[str, ...]


@modes.usual()
def read(
    path: Path | str,
    *,
    backbone: str | None = None,
    weights: str | Path | None = None,
    names: Path | None = None,
) -> Imported:
    """Reads an old checkpoint into a classifier; nothing in the file is run.

    Args:
        path: written by `torch.save`, in either of its formats.
        backbone: the network's name, where the file neither says it nor holds its tensors.
        weights: of the backbone, as `models.backbone` takes them, where the file holds the
            classifier without the network; "imagenet" by default.
        names: JSON with class names; see `old_classes.find`.

    Raises:
        InputError: the file is missing, damaged, asks for code to be run, or does not say enough;
            one sentence, with what to do.
    """
    path = Path(path)
    content, written = checkpoints.read(path)
    try:
        parts = _parts(content)
        if parts.network:
            pieces = old_networks.from_tensors(parts, backbone, path.name)
            if weights is not None:
                raise InputError(
                    f"it holds weights of {pieces.backbone.name}, so weights {weights} would have "
                    "no effect; leave them out"
                )
        else:
            usual = "imagenet" if weights is None else weights
            pieces = old_networks.from_name(parts, backbone, usual)
        head = old_heads.build(pieces.module, pieces.entries)
        if head.widths[0] != pieces.backbone.num_features:
            raise InputError(
                f"its classifier takes {head.widths[0]} features, but {pieces.backbone.name} "
                f"gives {pieces.backbone.num_features}"
            )
        classes = old_classes.find(parts.facts, head.widths[-1], names)
        preprocessing = models.default_preprocessing(pieces.backbone)
        found = (
            f"written in torch's {written}",
            pieces.found,
            f"head {' → '.join(map(str, head.widths))}",
            classes.found,
            *_remarks(parts.facts, head.widths),
        )
        assumed = (
            *pieces.assumed,
            *head.assumed,
            *classes.assumed,
            f"photos are resized to {preprocessing.resize} pixels, cut to {preprocessing.crop} and "
            "normalized with ImageNet's mean and standard deviation, as in the course",
        )
        results = {"imported": {"file": path.name, "found": found, "assumed": assumed}}
        classifier = Classifier(pieces.backbone, head.layers, classes.names, preprocessing, results)
        return Imported(classifier, found, assumed)
    except InputError as problem:
        reason = str(problem).removesuffix(".")
        raise InputError(f"{path} cannot be imported: {reason}.") from None
    except checkpoints.DAMAGE as problem:
        reason = ascii(str(problem)[:80])[1:-1]
        raise InputError(f"{path} is damaged or holds no classifier ({reason}).") from None


def _parts(content: Any) -> Parts:
    """Sorts what a checkpoint holds by what it is."""
    if old_modules.is_module(content) or _is_state(content):
        content = {"model": content}
    if not isinstance(content, dict):
        raise InputError("it holds no dict and no network, so no classifier")
    if len(content) > MAX_ENTRIES:
        raise InputError(f"it holds {len(content):,} entries, which no checkpoint does")
    states: list[dict[str, Tensor]] = []
    modules: list[tuple[StandIn, dict[str, Tensor]]] = []
    facts: dict[str, Any] = {}
    keys = [key for key in STATE if key in content]
    for key in dict.fromkeys([*keys, *content]):
        value = content[key]
        if _is_state(value) and "optim" not in str(key).lower():
            states.append(value)
        elif old_modules.is_module(value):
            tensors = old_modules.state_dict(value)
            modules += [(value, tensors)] if _is_state(tensors) else []  # a loss has none
        elif isinstance(key, str):
            facts.setdefault(key.strip().lower().replace(" ", "_").replace("-", "_"), value)
    networks = [state for state in states if _has_convolutions(state)]
    classifiers = [state for state in states if not _has_convolutions(state)]
    whole = [module for module, state in modules if _has_convolutions(state)]
    heads = [module for module, state in modules if not _has_convolutions(state)]
    chosen: list[Any] = [content[key] for key in keys]
    groups = {"networks": networks or whole, "classifiers": classifiers or heads}
    for what, group in groups.items():
        if len(group) > 1 and not any(group[0] is value for value in chosen):
            raise InputError(f"it holds {len(group)} {what}, and does not say which one counts")
    for module in (*whole[:1], *heads[:1]):  # model.class_to_idx = ... is a habit of the course
        for key, value in module.state.items():
            if not key.startswith("_"):
                facts.setdefault(key.lower(), value)
    if not networks:
        networks = [state for module, state in modules if module in whole[:1]]
    if not (networks or classifiers or heads):
        raise InputError("it holds no network, no classifier and no state dict")
    return Parts(
        _today(networks[0] if networks else {}),
        _today(classifiers[0] if classifiers else {}),
        whole[0] if whole else None,
        heads[0] if heads else None,
        facts,
    )


def _is_state(value: Any) -> bool:
    """Whether a value is a state dict with at least one layer."""
    return (
        isinstance(value, dict)
        and len(value) < MAX_TENSORS
        and all(isinstance(key, str) for key in value)
        and all(isinstance(item, Tensor) for item in value.values())
        and any(item.dim() > 1 for item in value.values())
    )


def _has_convolutions(state: dict[str, Tensor]) -> bool:
    return any(value.dim() > 2 for value in state.values())


def _today(state: dict[str, Tensor]) -> dict[str, Tensor]:
    found = {modern_key(key): value for key, value in state.items()}
    if len(found) != len(state):
        raise InputError("two tensors of its state dict have the same name")
    return found


def _remarks(facts: dict[str, Any], widths: list[int]) -> list[str]:
    """What else the file says: where it contradicts its tensors, and what was not needed."""
    remarks = []
    for key in HIDDEN:
        sizes = _sizes(facts.get(key))
        if sizes and sizes != [str(size) for size in widths[1:-1]]:
            remarks.append(f"{key!r} says {' '.join(sizes)[:40]}; the tensors' shapes were taken")
    known = {*HIDDEN, *NAMED, "training"}
    spare = sorted(
        ascii(key)[1:-1][:40] for key in facts if key not in known and not old_classes.is_known(key)
    )
    if spare:
        more = f" and {len(spare) - MAX_TOLD} more" if len(spare) > MAX_TOLD else ""
        remarks.append(f"not needed: {', '.join(spare[:MAX_TOLD])}{more}")
    return remarks


def _sizes(value: Any) -> list[str]:
    """Numbers from 512, "512,256", [512, 256] or ["512", "256"]."""
    items = value[:MAX_TOLD] if isinstance(value, (list, tuple)) else [value]
    return re.findall(r"\d+", " ".join(str(n)[:80] for n in items if isinstance(n, (int, str))))
