"""Options of a training: names, words, ranges, defaults and a line of help, each in one place.

The library, the command line and its help take them from here. No torch: the command line reads
this before it answers.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flowerlib.support.errors import InputError

BACKBONE, GARDEN_BACKBONE = "efficientnet_lite0", "small_densenet"  # for photos, for drawn data
PRESETS = {"quick": 1 / 2, "standard": 1.0, "best": 8 / 7}  # sides of the images, as factors
RESIZE_MODES = ("crop", "squash", "pad")


@dataclass(frozen=True)
class Choice:
    """One word of a few, `default` where none is given; `help` says what it decides."""

    default: str
    words: tuple[str, ...]
    help: str

    def checked(self, name: str, value: object) -> str:
        """The value, if it is one of the words.

        Raises:
            InputError: it is not; the sentence names the option and its words.
        """
        if not isinstance(value, str) or value not in self.words:
            *others, last = (f'"{word}"' for word in self.words)
            known = f"{', '.join(others)} or {last}"
            given = f'"{value:.40}"' if isinstance(value, str) else f"{value!r:.40}"
            raise InputError(f"{name} must be {known}, not {given}.")
        return value


@dataclass(frozen=True)
class Number:
    """A number of the default's type; `requirement` says what it `accepts`, after "must be"."""

    default: float
    accepts: Callable[[float], bool]
    requirement: str
    help: str = ""

    def checked(self, name: str, value: object) -> float:
        """The value as a plain number of Python, which JSON can hold.

        Raises:
            InputError: it is of another type or out of range; the sentence names the option.
        """
        whole = isinstance(self.default, int)
        known = isinstance(value, numbers.Integral if whole else numbers.Real)
        if isinstance(value, bool) or not known or not self.accepts(self._number(value)):
            raise InputError(f"{name} must be {self.requirement}, not {value!r:.40}.")
        return self._number(value)

    def read(self, text: str) -> float:
        """The number that a text spells; a ValueError if none, or one out of range."""
        value = self._number(text)
        if not self.accepts(value):
            raise ValueError(f"{text} is out of range")
        return value

    def _number(self, value: Any) -> float:
        return type(self.default)(value)


Option = Choice | Number


def _count(default: int, help: str = "", least: int = 1) -> Number:
    return Number(default, lambda n: n >= least, f"a whole number from {least} up", help)


def _share(default: float, help: str) -> Number:
    return Number(default, lambda p: 0 <= p < 1, "at least 0 and below 1", help)


def _rate(default: float, help: str) -> Number:
    return Number(default, lambda rate: 0 < rate < math.inf, "a number above 0", help)


def _amount(default: float, help: str) -> Number:
    return Number(default, lambda n: 0 <= n < math.inf, "a number from 0 up", help)


COUNT, COUNT_OR_NONE = _count(1), _count(0, least=0)
SEED = Number(
    0, lambda n: 0 <= n < 2**32, f"a whole number from 0 to {2**32 - 1}", "of all random numbers"
)
HEAD = Choice(
    "linear",
    ("linear", "ridge", "hidden"),
    "linear: logistic regression; hidden: with hidden layers",
)
LAYERS = Choice(
    "auto",
    ("auto", "last", "multi-level"),
    "whose features the head sees; auto: multi-level for linear and ridge, where known",
)
PRESET = Choice(
    "standard", tuple(PRESETS), "quick: smaller images; best: larger ones, and --fine-tune last"
)
RESIZE_MODE = Choice(
    "auto",
    ("auto", *RESIZE_MODES),
    "crop shows only the middle of wide photos; squash and pad, all of them; auto: as the weights "
    "were tested, mostly crop",
)
FINE_TUNE = Choice(
    "none",
    ("none", "last", "all"),
    "what else learns: the backbone's last stage, from cached maps, or all of it, from photos",
)
DEVICE = Choice("auto", ("auto", "cpu", "cuda", "mps"), "auto: a GPU if there is one")
PRECISION = Choice("auto", ("auto", "fp32", "bf16"), "auto: bf16 where the processor has it")


def _field(option: Option) -> Any:
    return dataclasses.field(default=option.default, metadata={"option": option})


def options_of(settings: type) -> dict[str, Option]:
    """The options that the fields of `HiddenHead` or `FineTuning` are, by name."""
    return {
        field.name: field.metadata["option"]
        for field in dataclasses.fields(settings)
        if "option" in field.metadata
    }


@dataclass(frozen=True)
class HiddenHead:
    """Sizes of the hidden layers, and how they are trained; see `train.transfer`.

    Attributes:
        hidden: units of each hidden layer.
        dropout: share of units that are switched off in training.
        epochs: passes over the features.
        lr: learning rate of Adam.
        batch_size: photos a step.
    """

    hidden: tuple[int, ...] = _field(_count(512, "units of each layer"))
    dropout: float = _field(_share(0.2, "share of units switched off in training"))
    epochs: int = _field(_count(10, "passes over the photos"))
    lr: float = _field(_rate(0.003, "learning rate"))
    batch_size: int = _field(_count(64, "photos a step"))

    def __post_init__(self) -> None:
        sizes = tuple(self.hidden) if isinstance(self.hidden, (list, tuple)) else (self.hidden,)
        if not sizes:
            raise InputError("hidden must name the size of one layer at least.")
        known = options_of(HiddenHead)
        checked = tuple(int(known["hidden"].checked("hidden", size)) for size in sizes)
        object.__setattr__(self, "hidden", checked)
        _check_fields(self, {name: known[name] for name in known if name != "hidden"})


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """How `train.fine_tune` trains; every option may be left at its default.

    Attributes:
        epochs: passes over the training photos.
        batch_size: photos a step.
        lr: highest learning rate of the head and of the backbone's last block.
        layer_decay: factor of the learning rate from each block to the one below it.
        weight_decay: of AdamW.
        unfreeze_epochs: epochs over which blocks join in, from the last to the first; 0: all do
            from the start.
        schedule: "cosine" (with a linear warm-up), "one-cycle", or "constant".
        warm_up: share of the steps in which the learning rate rises.
        clip_norm: largest length of the gradient; 0: unlimited.
        label_smoothing: share of each label that goes to all classes alike.
        augment: "none", "basic" (crops, mirror images, small rotations), and after "basic"
            torchvision's "trivial" (TrivialAugmentWide) or "rand" (RandAugment).
        mix: torchvision's "mixup" or "cutmix", "both" (one of them for each batch), or "none".
        averaging: of the weights over the steps: "ema" (exponential; the last tenth of the steps
            counts most), "swa" (plain, over the second half), or "none".
        balance: of uneven classes: "weights" in the loss, "sampler" (each class is drawn as often
            as any other), or "none".

    Raises:
        InputError: an option is out of its range.
    """

    epochs: int = _field(_count(5, "passes over the photos"))
    batch_size: int = _field(_count(32, "photos a step"))
    lr: float = _field(_rate(3e-4, "highest learning rate"))
    layer_decay: float = _field(
        Number(
            0.8,
            lambda factor: 0 < factor <= 1,
            "a number above 0, at most 1",
            "factor of the learning rate from each block to the one below it",
        )
    )
    weight_decay: float = _field(_amount(1e-4, "of AdamW"))
    unfreeze_epochs: int = _field(
        _count(0, "epochs over which blocks join in, the last ones first", least=0)
    )
    schedule: str = _field(
        Choice("cosine", ("cosine", "one-cycle", "constant"), "of the learning rate")
    )
    warm_up: float = _field(_share(0.1, "share of the steps in which the learning rate rises"))
    clip_norm: float = _field(_amount(1.0, "largest length of the gradient; 0: unlimited"))
    label_smoothing: float = _field(_share(0.0, "share of a label that goes to all classes"))
    augment: str = _field(
        Choice("basic", ("none", "basic", "trivial", "rand"), "random views of the photos")
    )
    mix: str = _field(
        Choice("none", ("none", "mixup", "cutmix", "both"), "mix the photos of a batch")
    )
    averaging: str = _field(Choice("none", ("none", "ema", "swa"), "of the weights over the steps"))
    balance: str = _field(Choice("none", ("none", "weights", "sampler"), "of uneven classes"))

    def __post_init__(self) -> None:
        _check_fields(self, options_of(FineTuning))


def _check_fields(settings: HiddenHead | FineTuning, known: Mapping[str, Option]) -> None:
    """Puts plain values in place of those that were given; raises `InputError` as they do."""
    for name, option in known.items():
        object.__setattr__(settings, name, option.checked(name, getattr(settings, name)))


def of_the_head(head: str, **given: object) -> HiddenHead | None:
    """The settings of a head: those given, defaults for those that are None.

    Args:
        head: one of `HEAD.words`.
        given: by the names in `HiddenHead`; hidden may be a sequence of sizes.

    Returns:
        The hidden head's settings; None for a head that is solved directly.

    Raises:
        InputError: a setting is out of its range, or was given and has no effect.
    """
    HEAD.checked("head", head)
    named = {name: value for name, value in given.items() if value is not None}
    if head == "hidden":
        return HiddenHead(**named)  # type: ignore[arg-type]
    if named:
        have, them = ("have", "them") if len(named) > 1 else ("has", "it")
        raise InputError(
            f"{', '.join(named)} {have} no effect on the {head} head, which is solved directly; "
            f'leave {them} out, or choose the head "hidden".'
        )
    return None


def of_fine_tuning(
    fine_tune: str | None, preset: str, head: str, settings: FineTuning | None = None
) -> str:
    """What of the backbone learns: "none", "last" or "all".

    Args:
        fine_tune: one of `FINE_TUNE.words`; None means "last" for the preset "best", else "none".
        preset: one of `PRESET.words`.
        head: one of `HEAD.words`.
        settings: which were given for "all".

    Raises:
        InputError: a word is unknown, or does not go with the others.
    """
    PRESET.checked("preset", preset)
    if fine_tune is None:
        fine_tune = "last" if preset == "best" else FINE_TUNE.default
    FINE_TUNE.checked("fine_tune", fine_tune)
    if fine_tune == "all" and head != "linear":
        raise InputError(f'fine_tune "all" needs the linear head, not the {head} one.')
    if fine_tune != "all" and settings is not None:
        raise InputError('Settings of fine-tuning have no effect without fine_tune "all".')
    return fine_tune
