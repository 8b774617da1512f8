"""torch's modes of the calling thread, set aside while the library computes.

A notebook may have switched gradients off, or autocast or another device on, some cells above.
Such a mode belongs to one thread, so it can be replaced for the length of a call, and nothing
changes for anybody else. The default dtype belongs to the whole process, so it is left alone:
the library names the dtype of everything that it makes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from flowerlib.support.errors import InputError

DEVICES = ("cpu", "cuda", "mps")


@contextlib.contextmanager
def usual() -> Iterator[None]:
    """torch as it starts: gradients where they are asked for, no autocast, tensors on the CPU."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(with_gradients())
        for device in DEVICES:
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


@contextlib.contextmanager
def with_gradients() -> Iterator[None]:
    """Gradients can be computed, also inside the caller's `no_grad` or `inference_mode`."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def check_trainable(model: nn.Module) -> None:
    """Refuses a model whose weights can have no gradients.

    Raises:
        InputError: it was made inside `torch.inference_mode`, or none of its parameters requires a
            gradient.
    """
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError(
            "The model has no parameters that require a gradient, so there is nothing to train; "
            "unfreeze its last layer or put a head on it."
        )
    if any(parameter.is_inference() for parameter in model.parameters()):
        raise InputError(
            "The model was made inside torch.inference_mode, so it cannot be trained; "
            "make it outside."
        )
