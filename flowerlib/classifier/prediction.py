"""What a classifier answers for one picture."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field

from torch import Tensor

from flowerlib.support.console import one_line
from flowerlib.support.errors import InputError

USUAL_TOP = 5  # classes that a prediction names, where there are so many


@dataclass(frozen=True)
class Prediction:
    """What the classifier answers for one picture.

    Attributes:
        photo: the file's path; "image", or "image 7" of several, for what came from no file.
        names: the `top_k` most probable classes, best first.
        probabilities: theirs, in [0, 1], in the same order.
        logits: float32 (num_classes,), of all classes in the classifier's order.
    """

    photo: str
    names: tuple[str, ...]
    probabilities: tuple[float, ...]
    logits: Tensor = field(compare=False)  # or == would fail: tensors compare number by number

    @property
    def name(self) -> str:
        """The most probable class."""
        return self.names[0]

    def __str__(self) -> str:
        answers = zip(self.names, self.probabilities, strict=True)
        return f"{one_line(self.photo)}: " + ", ".join(
            f"{name} {share:.1%}" for name, share in answers
        )

    __repr__ = __str__


def how_many(top_k: int | None, count: int) -> int:
    """The number of classes to name, of `count`.

    Raises:
        InputError: `top_k` is no whole number in 1..count.
    """
    if top_k is None:
        return min(USUAL_TOP, count)
    try:
        wanted = operator.index(top_k)
    except TypeError:
        raise InputError(f"top_k must be a whole number, not {top_k!r:.40}.") from None
    if not 1 <= wanted <= count:
        raise InputError(
            f"top_k is {wanted}, but this classifier knows {count} classes; "
            f"choose from 1 to {count}."
        )
    return wanted
