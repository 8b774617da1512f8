"""torch's optimizers without torch's compiler.

The first step of any of them loads `torch._dynamo`, a second and 145 MB, only to tell it to keep
away. Where nobody compiles the training loop, there is nothing to keep away.

    optimizer = quick(torch.optim.Adam)(parameters, lr=0.003)

`everywhere()` does so for all optimizers of a process: for lessons, whose loops call torch's own.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

COMPILER = "torch._dynamo"
GUARDED = ("add_param_group", "load_state_dict", "state_dict", "step", "zero_grad")


@functools.cache
def quick(optimizer: type[Optimizer]) -> type[Any]:
    """The same optimizer, without the wrappers that keep the compiler away.

    Its steps are the same to the last bit. What a version of torch does not wrap stays as it is.
    """
    plain = {name: _plain(name, getattr(optimizer, name)) for name in GUARDED}
    return type(optimizer.__name__, (optimizer,), plain)


@functools.cache  # once: what it made is not made again
def everywhere() -> None:
    """Makes torch's own optimizers quick, as long as nobody has loaded the compiler.

    From then on each call takes torch's way again, so a loop can be compiled as always.
    """
    if COMPILER in sys.modules:  # too late to save anything
        return
    for kind in filter(inspect.isclass, vars(torch.optim).values()):
        for name in GUARDED if issubclass(kind, Optimizer) else ():
            if name in vars(kind):
                guarded = vars(kind)[name]
                setattr(kind, name, until_compiler(_plain(name, guarded), guarded))


def until_compiler(plain: Callable[..., Any], guarded: Callable[..., Any]) -> Callable[..., Any]:
    """Calls `plain` as long as nobody has loaded the compiler, from then on `guarded`."""

    @functools.wraps(guarded)
    def either(*args: Any, **kwargs: Any) -> Any:
        return (guarded if COMPILER in sys.modules else plain)(*args, **kwargs)

    return either


def _plain(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    plain = inspect.unwrap(function)
    if name != "step":
        return plain

    @functools.wraps(plain)
    def step(self: Optimizer, *args: Any, **kwargs: Any) -> Any:  # torch's wrapper does this, too
        with torch.set_grad_enabled(self.defaults.get("differentiable", False)):
            return plain(self, *args, **kwargs)

    return step
