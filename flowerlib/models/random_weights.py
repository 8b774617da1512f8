"""Networks with random weights that a seed decides, or with none at all."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from flowerlib.support.locks import ProcessLock

RANDOM = ProcessLock(threading.RLock)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside it, torch's random numbers follow from the seed; afterwards they go on as before.

    All threads of a process share torch's generator, so only one at a time may be inside.
    """
    with RANDOM(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """The network that a function builds, on torch's "meta" device: shapes, but no values."""
    try:
        with torch.device("meta"):
            return build().float()  # whatever the caller's default is
    except NotImplementedError:  # regnets compute their widths with tensors, which need values
        with _EmptyOnMeta():
            return build().float().to("meta")


class _EmptyOnMeta(TorchFunctionMode):
    """Inside it, `torch.empty`, from which layers make their weights, takes no memory."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        options = kwargs or {}
        if func is torch.empty:
            options = {**options, "device": "meta"}
        return func(*args, **options)
