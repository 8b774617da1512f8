"""torch's optimizers without torch's compiler.

The first step of any of them loads `torch._dynamo`, a second and 145 MB, only to tell it to keep
away. Where nobody compiles the training loop, there is nothing to keep away.

    optimizer = quick(torch.optim.Adam)(parameters, lr=0.003)
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch.optim import Optimizer

GUARDED = ("add_param_group", "load_state_dict", "state_dict", "step", "zero_grad")


@functools.cache
def quick(optimizer: type[Optimizer]) -> type[Any]:
    """The same optimizer, with the functions that torch wrapped to keep the compiler away.

    Its steps are the same to the last bit (`differentiable=True` is not for it). What a version of
    torch does not wrap stays as it is.
    """
    plain = {name: _unwrapped(getattr(optimizer, name)) for name in GUARDED}
    plain["step"] = torch.no_grad()(plain["step"])  # the wrapper did that, too
    return type(optimizer.__name__, (optimizer,), plain)


def _unwrapped(function: Any) -> Any:
    return getattr(function, "__wrapped__", function)
