"""A classifier's head as plain data: a list of layers, each a dict; what may be in it; no torch."""

from __future__ import annotations

from typing import Any

# A layer's settings, and what each may be.
LAYERS: dict[str, dict[str, tuple[type, float, float]]] = {
    "linear": {"inputs": (int, 1, 1 << 20), "outputs": (int, 1, 1 << 20)},
    "dropout": {"p": (float, 0, 1)},
    "relu": {},
    "log_softmax": {},
}
MAX_LAYERS = 100


def check(layers: Any) -> list[int]:
    """Refuses a head that could not be built.

    Returns:
        The number of inputs of its first linear layer, then the outputs of each.

    Raises:
        ValueError: a layer or a setting is unknown, missing or out of range, or two linear layers
            do not fit.
    """
    if not isinstance(layers, list) or not 1 <= len(layers) <= MAX_LAYERS:
        raise ValueError(f"its head is no list of 1 to {MAX_LAYERS} layers")
    widths: list[int] = []
    for layer in layers:
        kind = layer.get("layer") if isinstance(layer, dict) else None
        if not isinstance(kind, str) or kind not in LAYERS:
            raise ValueError(f"its head names the unknown layer {kind!a:.80}")
        check_fields(f"a {kind} layer of its head", layer, {"layer", *LAYERS[kind]})
        for name, (wanted, low, high) in LAYERS[kind].items():
            value = layer[name]
            if type(value) not in (wanted, int) or not low <= value <= high:
                raise ValueError(f"a {kind} layer of its head has {name} {value!a:.80}")
        if kind == "linear":
            widths = widths or [layer["inputs"]]
            if layer["inputs"] != widths[-1]:
                raise ValueError("the linear layers of its head do not fit each other")
            widths.append(layer["outputs"])
    if not widths:
        raise ValueError("its head has no linear layer")
    return widths


def check_fields(what: str, given: Any, wanted: set[str]) -> None:
    """Refuses what is no dict of exactly these fields.

    Raises:
        ValueError: it begins with `what` and names a field.
    """
    if not isinstance(given, dict):
        raise ValueError(f"{what} is no JSON object")
    for fault, names in (("lacks", wanted - set(given)), ("has the unknown", set(given) - wanted)):
        if names:
            raise ValueError(f"{what} {fault} {min(names)!a:.80}")
