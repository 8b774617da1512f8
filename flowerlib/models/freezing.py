"""Freezing: a module that training does not change, neither its parameters nor its buffers.

Shown in: notebooks/04_flowers
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self, TypeVar

from torch import nn

M = TypeVar("M", bound=nn.Module)


class Freezable(nn.Module):
    """A module that can be frozen, and copied and pickled as it is.

    Attributes:
        frozen: it stays in `eval()`, also when the network around it is set to train.
    """

    frozen = False

    def train(self, mode: bool = True) -> Self:
        """Sets the mode, as torch does; a frozen module stays in `eval()`."""
        return super().train(mode and not self.frozen)


class Frozen:
    """`train` of a frozen module that is not `Freezable`: leaves it as it is.

    An object, since it is pickled and copied together with its module; a method could not be.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __call__(self, mode: bool = True) -> nn.Module:
        return self.module


def freeze(module: M) -> M:
    """Stops a module from changing, in place: neither its parameters nor its buffers.

    `requires_grad = False` alone is not enough: in training mode BatchNorm keeps updating its
    running statistics, which are buffers. So the module is put into `eval()` mode, and stays there
    when the network around it is set to train.

    Returns:
        The same module.

    Example:
        >>> from flowerlib import models
        >>> backbone = models.freeze(models.backbone("small_resnet"))
        >>> sum(p.requires_grad for p in backbone.parameters()), backbone.train().training
        (0, False)
    """
    module.requires_grad_(False)
    module.eval()
    if isinstance(module, Freezable):
        module.frozen = True
    else:
        module.train = Frozen(module)  # type: ignore[method-assign, assignment]
    return module


def unfreeze(module: M) -> M:
    """Undoes `freeze`, in place, and returns the same module."""
    for attribute in ("frozen", "train"):
        vars(module).pop(attribute, None)
    module.requires_grad_(True)
    return module.train()


def trainable_parameters(module: nn.Module) -> Iterator[nn.Parameter]:
    """The parameters that an optimizer should be given.

    Example:
        >>> from flowerlib import models
        >>> head = models.linear_head(8, 2)
        >>> sum(parameter.numel() for parameter in trainable_parameters(head))
        18
    """
    return (parameter for parameter in module.parameters() if parameter.requires_grad)
