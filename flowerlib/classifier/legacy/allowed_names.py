"""What the pickle of a checkpoint may name, and what takes the place of each name here.

Tensors, storages, numpy's numbers and Python's containers: all that carries data. Networks and
optimizers become stand-ins in `pickles`; any other name ends the reading.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from flowerlib.classifier.legacy import pickles
from flowerlib.classifier.legacy.pickles import Name, StandIn

STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
MAX_VALUES = 100_000  # of a numpy array that is looked into: class names, not images


class Storage(NamedTuple):
    """A row of numbers that tensors are cut from."""

    flat: Tensor


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    """What `torch._utils._rebuild_tensor` does, without trusting its arguments."""
    numbers = (offset, *size, *stride)
    if not isinstance(storage, Storage) or len(size) != len(stride) or len(size) > 8:
        raise TypeError("a tensor without a storage")
    if any(type(number) is not int or not 0 <= number < 2**40 for number in numbers):
        raise ValueError("a tensor of absurd shape")
    available, count = len(storage.flat), math.prod(size)
    last = sum((n - 1) * step for n, step in zip(size, stride, strict=True)) if count else -1
    # The second: stride 0 repeats numbers for free.
    if offset + last >= available or count > available:
        if count or offset > available:
            raise ValueError("a tensor outside its storage")
    return storage.flat[offset:].as_strided(size, stride)


def _parameter(tensor: Any, *_: Any) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise TypeError("a parameter that is no tensor")
    return tensor


class Dtype:
    """A numpy type, such as `<f8`."""

    def __init__(self, code: str, *_: Any) -> None:
        self.code, self.order = code, "<"

    def set_state(self, state: Any) -> None:
        """Takes over the byte order."""
        self.order = state[1]

    def __call__(self) -> np.dtype:
        kind, size = self.code[:1], self.code[1:]
        if kind not in "biufSU" or not size.isdecimal() or len(size) > 4 or self.order not in "<>|":
            raise ValueError("numbers of an unknown numpy type")
        return np.dtype(f"{self.order}{kind}{size}")


class Array:
    """A numpy array, left as it was written until somebody asks for its values."""

    def __init__(self, content: Any = b"", dtype: Any = None, shape: Any = (0,), *_: Any) -> None:
        self.content, self.dtype, self.shape = content, dtype, shape

    def set_state(self, state: Any) -> None:
        """Takes over what numpy wrote: version, shape, type, order, content."""
        _, self.shape, self.dtype, _, self.content = state

    def values(self) -> list[Any]:
        """All values in a row, as plain Python data."""
        content, count = self.content, math.prod(self.shape)
        if count > MAX_VALUES or len(content) > 1000 * MAX_VALUES:
            raise ValueError("a numpy array of absurd size")
        if isinstance(content, str):  # pickles up to protocol 2 hold bytes as text
            content = content.encode("latin1")
        if not isinstance(content, list):
            content = np.frombuffer(content, self.dtype()).tolist()
        if len(content) != count:
            raise ValueError("a numpy array whose shape does not fit its values")
        return content


def _same(items: Any = None, *_: Any) -> Any:
    return [] if items is None else items


def _dict(items: Any = ()) -> dict[Any, Any]:
    return pickles.fill({}, [part for name, value in items for part in (name, value)])


def _object(kind: Any, base: Any, state: Any) -> StandIn:
    """An object the way that protocols 0 and 1 make it."""
    if not isinstance(kind, Name) or str(kind) in CALLS or state is not None:
        pickles.refuse("makes an object in an unusual way")
    return StandIn(kind)


def _allowed() -> dict[str, Callable[..., Any] | None]:
    """Names that a checkpoint may use, with what takes their place; None: mentioned, not called."""
    table: dict[str, Callable[..., Any] | None] = {
        "collections.OrderedDict": _dict,
        "collections.Counter": _same,
        "collections.defaultdict": lambda factory=None: {},
        "_codecs.encode": _same,  # bytes as text; see Array.values
        "copyreg._reconstructor": _object,
        "copy_reg._reconstructor": _object,
        "numpy.dtype": Dtype,
        "numpy.ndarray": None,
        "torch._utils._rebuild_tensor": _tensor,
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_parameter": _parameter,
        "torch._utils._rebuild_parameter_with_state": _parameter,
        "torch.Size": _same,
        "torch.device": lambda kind, index=None: str(kind),
    }
    for builtins in ("builtins", "__builtin__"):  # Python 3's name, and Python 2's
        table |= {f"{builtins}.{kind}": _same for kind in ("set", "frozenset", "list", "tuple")}
        table |= {f"{builtins}.{kind}": None for kind in "object int long float str bool".split()}
        table[f"{builtins}.dict"] = _dict
    for core in ("numpy.core", "numpy._core"):  # numpy 1's name, and numpy 2's
        table[f"{core}.multiarray._reconstruct"] = lambda kind, shape, code: Array()
        table[f"{core}.multiarray.scalar"] = lambda kind, text: Array(text, kind, (1,)).values()[0]
        table[f"{core}.numeric._frombuffer"] = Array
    table |= {f"torch.{storage}": None for storage in STORAGES}
    table |= {f"torch.cuda.{storage}": None for storage in STORAGES}
    table |= {str(dtype): None for dtype in STORAGES.values()}
    return table


CALLS = _allowed()
