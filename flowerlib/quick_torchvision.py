"""torchvision, imported without torch's compiler, which takes longer to load than all the rest.

While it is imported, torchvision asks the compiler whether it can compile one operator, and to keep
away from another. That alone loads `torch._dynamo`: 1.3 of 3.0 seconds and 145 MB of memory that a
frozen network never uses. Here both questions are put off until somebody compiles something.

    from flowerlib.quick_torchvision import torchvision
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any, cast

import torch

from flowerlib.quick_optim import COMPILER, until_compiler

ASKED = "torch._dynamo.utils"


def _can_compile(device: str) -> bool:
    """The answer that torchvision imports, asked of the compiler only when it is wanted."""
    return importlib.import_module(ASKED).is_compile_supported(device)


def _keep_away(function: Any) -> Any:
    """`torch.compiler.disable`, which itself loads the compiler."""
    return until_compiler(function, torch._disable_dynamo(function))


def load() -> ModuleType:
    """Imports torchvision; without the compiler, if nobody has loaded that yet."""
    if "torchvision" in sys.modules or COMPILER in sys.modules:
        return importlib.import_module("torchvision")
    before = set(sys.modules)
    stand_in: Any = ModuleType(ASKED)
    stand_in.is_compile_supported = _can_compile
    disable = torch.compiler.disable
    sys.modules[ASKED] = stand_in
    torch.compiler.disable = cast(Any, _keep_away)
    try:
        importlib.import_module("torchvision.tv_tensors")  # of transforms.v2, and asks too
        return importlib.import_module("torchvision")
    except Exception:  # another version that asks for more: the plain way then
        for name in set(sys.modules) - before:
            if name.startswith(("torchvision", COMPILER)):
                del sys.modules[name]
    finally:
        torch.compiler.disable = disable
        if sys.modules.get(ASKED) is stand_in:
            del sys.modules[ASKED]
    return importlib.import_module("torchvision")


torchvision: Any = load()
