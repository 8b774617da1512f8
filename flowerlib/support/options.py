"""Settings of a training: words to choose from, defaults, ranges; the same for Python and a shell.

No torch: the command line reads this before it answers.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from flowerlib.support.errors import InputError

HEADS = ("linear", "ridge", "hidden")
LAYERS = ("auto", "last", "stages")
RESIZE_MODES = ("crop", "squash", "pad")
PRESETS = {"quick": 1 / 2, "standard": 1.0, "best": 8 / 7}  # sides of the images, as factors
SEEDS = 2**32


@dataclass(frozen=True)
class Setting:
    """A number that can be set.

    Attributes:
        default: what holds where it is not set.
        fits: whether a number is in its range.
        told: what it must be, to be said after "must be".
    """

    default: float
    fits: Callable[[float], bool]
    told: str

    def checked(self, name: str, value: Any) -> float:
        """The value as a plain number of Python, which JSON can hold.

        Raises:
            InputError: it is of another kind or out of range; the sentence names the setting.
        """
        kind = type(self.default)
        of_kind = isinstance(value, numbers.Integral if kind is int else numbers.Real)
        if isinstance(value, bool) or not of_kind or not self.fits(kind(value)):
            raise InputError(f"{name} must be {self.told}, not {value!r:.40}.")
        return kind(value)

    def read(self, text: str) -> float:
        """The number that a text spells.

        Raises:
            ValueError: it spells none, or one out of range.
        """
        value = type(self.default)(text)
        if not self.fits(value):
            raise ValueError(f"{text} is out of range")
        return value


COUNT = Setting(1, lambda n: n >= 1, "a whole number from 1 up")
SEED = Setting(0, lambda n: 0 <= n < SEEDS, f"a whole number from 0 to {SEEDS - 1}")
# Of the hidden head alone: the others are solved directly.
HIDDEN_HEAD = {
    "hidden": replace(COUNT, default=512),
    "dropout": Setting(0.2, lambda p: 0 <= p < 1, "a number from 0 up to, but not including, 1"),
    "epochs": replace(COUNT, default=10),
    "lr": Setting(0.003, lambda rate: 0 < rate < math.inf, "a number above 0"),
    "batch_size": replace(COUNT, default=64),
}


@dataclass(frozen=True)
class HiddenHead:
    """Sizes of the hidden layers, and how they are trained; see `train.transfer`."""

    hidden: tuple[int, ...]
    dropout: float
    epochs: int
    lr: float
    batch_size: int


def of_the_head(head: str, **given: Any) -> HiddenHead | None:
    """The settings of a head: those given, defaults for those that are None.

    Args:
        head: one of `HEADS`.
        given: by the names in `HIDDEN_HEAD`; hidden may be a sequence of sizes.

    Returns:
        The hidden head's settings; None for a head that is solved.

    Raises:
        InputError: a setting is out of its range, or was given and has no effect.
    """
    if head not in HEADS:
        raise InputError(f'head must be "linear", "ridge" or "hidden", not {head!r:.40}.')
    named = [name for name in HIDDEN_HEAD if given.get(name) is not None]
    if head != "hidden":
        if named:
            have, them = ("have", "them") if len(named) > 1 else ("has", "it")
            raise InputError(
                f"{', '.join(named)} {have} no effect on the {head} head, which is solved "
                f'directly; leave {them} out, or choose the head "hidden".'
            )
        return None
    found: dict[str, Any] = {name: setting.default for name, setting in HIDDEN_HEAD.items()}
    found |= {name: given[name] for name in named}
    sizes = found.pop("hidden")
    sizes = tuple(sizes) if isinstance(sizes, (list, tuple)) else (sizes,)
    if not sizes:
        raise InputError("hidden must name the size of one layer at least.")
    layers = tuple(int(HIDDEN_HEAD["hidden"].checked("hidden", size)) for size in sizes)
    values: Any = {name: HIDDEN_HEAD[name].checked(name, value) for name, value in found.items()}
    return HiddenHead(layers, **values)
