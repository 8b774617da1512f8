"""What a model is made of, layer by layer: shapes, and how many weights learn.

Written here, since the usual packages for this have one column of weights, and say in another one
whether they learn: what a reader of a half-frozen network asks for are two columns and the mode.

Shown in: notebooks/01_cat_or_dog
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from flowerlib.support import tables
from flowerlib.support.errors import InputError, first_line

Row = dict[str, str | int | None]


@dataclass(frozen=True, repr=False)
class Summary:
    """A table of a model's layers.

    Attributes:
        rows: one dict a layer, and "all" as the last: layer (its name), kind (its class), output
            (shape without the batch, such as "64 × 24 × 24"; None if unknown), trainable and
            frozen (numbers of weights), mode ("train", "eval" or "mixed").
    """

    rows: tuple[Row, ...]

    @property
    def trainable(self) -> int:
        """Number of weights that require a gradient."""
        return int(self.rows[-1]["trainable"] or 0)

    @property
    def frozen(self) -> int:
        """Number of weights that do not."""
        return int(self.rows[-1]["frozen"] or 0)

    def __str__(self) -> str:
        numbers = ("trainable", "frozen")
        texts = [row | {name: f"{row[name]:,}" for name in numbers} for row in self.rows]
        made = tables.table(texts)
        right = [name in numbers for name in made.columns]
        return tables.Table(made.columns, made.rows, right).text()

    def __repr__(self) -> str:
        return f"<Summary: {self.trainable:,} weights trainable, {self.frozen:,} frozen>"


def summary(model: nn.Module, images: Tensor | None = None, *, depth: int = 1) -> Summary:
    """Lists a model's layers with their weights, those that learn and those that are frozen.

    Args:
        model: any module. It is not changed: a pass of `images` is made in `eval()`, and the modes
            are restored.
        images: a batch (N, ...) that the model takes, for the column of outputs; none if None.
        depth: how far layers are opened: 1 lists the model's children, 2 their children.

    Returns:
        The table. A weight that two layers share is counted with the first of them; weights that
        belong to no listed layer are in a row "own".

    Raises:
        InputError: the depth is below 1, the model cannot take the images, or it has layers whose
            sizes follow from the first images.
    """
    if depth < 1:
        raise InputError(f"models.summary: depth must be 1 or more, not {depth}.")
    if any(isinstance(parameter, UninitializedParameter) for parameter in model.parameters()):
        raise InputError(
            "models.summary: the model has lazy layers, whose sizes are not known yet; pass images "
            "through it once."
        )
    shapes = {} if images is None else _shapes(model, images)
    rows: list[Row] = []
    seen: set[int] = set()
    for name, layer in _opened(model, "", depth):
        if layer is not model:
            new = [p for p in layer.parameters() if id(p) not in seen]
            seen.update(map(id, new))
            rows.append(_row(name, layer, new, shapes.get(layer)))
    if own := [p for p in model.parameters() if id(p) not in seen]:
        rows.insert(0, _row("own", model, own, None))
    total = _row("all", model, list(model.parameters()), shapes.get(model))
    return Summary((*rows, total))


def _opened(module: nn.Module, name: str, depth: int) -> Iterator[tuple[str, nn.Module]]:
    """Name and module of the layers to be listed, in the order of the model."""
    children = list(module.named_children())
    if not depth or not children:
        yield name, module
        return
    for key, child in children:
        yield from _opened(child, f"{name}.{key}" if name else key, depth - 1)


def _row(name: str, layer: nn.Module, weights: list[nn.Parameter], output: str | None) -> Row:
    trainable = sum(weight.numel() for weight in weights if weight.requires_grad)
    modes = {module.training for module in layer.modules()}
    return {
        "layer": name,
        "kind": type(layer).__name__,
        "output": output,
        "trainable": trainable,
        "frozen": sum(weight.numel() for weight in weights) - trainable,
        "mode": "mixed" if len(modes) == 2 else "train" if True in modes else "eval",
    }


def _shapes(model: nn.Module, images: Tensor) -> dict[nn.Module, str]:
    """Every module's last output in one pass, as text; modules that give no tensor are left out."""
    found: dict[nn.Module, str] = {}

    def note(module: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            found[module] = " × ".join(map(str, output.shape[1:]))

    modes = {module: module.training for module in model.modules()}
    hooks = [module.register_forward_hook(note) for module in modes]
    try:
        for module in modes:  # not by `eval()`, which a frozen module may have replaced
            module.training = False
        with torch.no_grad():
            model(images)
    except Exception as problem:  # somebody's own code
        shape, reason = tuple(images.shape), first_line(problem)
        raise InputError(f"The model cannot take images of shape {shape}: {reason}") from None
    finally:
        for module, mode in modes.items():
            module.training = mode
        for hook in hooks:
            hook.remove()
    return found
