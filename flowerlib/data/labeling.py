"""Labels are positions in a list of class names: checked here, and moved by name between lists."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from flowerlib.support.errors import InputError, listed

MAX_NAME = 1000  # characters of a class name


def checked(labels: ArrayLike | Sequence[object], class_names: Sequence[str]) -> np.ndarray:
    """The labels as int64 (N,).

    Args:
        labels: N whole numbers, positions in `class_names`.
        class_names: C names.

    Raises:
        InputError: a label is a text, a number with a fraction, or not in 0..C-1.
    """
    given = np.asarray(labels)
    if given.ndim != 1:
        raise InputError(f"Labels must be one number a picture, not an array {given.shape}.")
    if not given.size:
        return np.zeros(0, np.int64)
    if given.dtype.kind not in "iub":
        raise InputError(
            f"Labels must be whole numbers, positions in class_names, not {given[0]!r} "
            f"({given.dtype}); of a class's name, class_names.index(name) is the label."
        )
    wrong = (given < 0) | (given >= len(class_names))
    if wrong.any():
        where = int(wrong.argmax())
        raise InputError(
            f"Picture {where} has the label {given[where]}, but the {len(class_names)} class names "
            f"have the positions 0 to {len(class_names) - 1}; count from 0, and leave out pictures "
            "without a label."
        )
    return given.astype(np.int64)


def moved(
    labels: np.ndarray, given: Sequence[str], wanted: Sequence[str], *, lack: str
) -> np.ndarray:
    """The labels of the same classes in another list of names, int64 (N,).

    Args:
        labels: int64 (N,), positions in `given`.
        given: names of the classes, in the order of the labels.
        wanted: names in the other order; those that no label is of may be missing here or there.
        lack: what the message says of a name that is not wanted.

    Raises:
        InputError: a picture is of a class that is not among the wanted ones.
    """
    position = {name: label for label, name in enumerate(wanted)}
    found = np.array([position.get(name, -1) for name in given], np.int64)[labels]
    if len(unknown := np.unique(labels[found < 0])):
        names = [given[label] for label in unknown]
        raise InputError(
            f"There are photos of {listed(names)}, which {lack}; "
            "Photos.of_classes takes the others."
        )
    return found


def check_class_names(names: Sequence[object]) -> None:
    """Refuses class names that could not be distinguished, shown, or written to a file.

    Raises:
        ValueError: there is none, one is no text, empty, very long, has control characters (which
            could steer a terminal) or halves of characters, or two are the same.
    """
    if not names:
        raise ValueError("there are no class names")
    for name in names:
        if not isinstance(name, str):
            raise ValueError("a class name is not a text")
        if not name.strip():
            raise ValueError("a class name is empty")
        if len(name) > MAX_NAME:
            raise ValueError(f"a class name has {len(name):,} characters (over {MAX_NAME:,})")
        if not can_be_shown(name):
            raise ValueError(f"the class name {name!a:.80} has characters that cannot be shown")
    if len(set(names)) != len(names):
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise ValueError(f"two classes have the same name, {twice!a:.80}")


def can_be_shown(text: str) -> bool:
    """Whether a text is free of control characters and of halves of characters (surrogates)."""
    return not any(unicodedata.category(character) in ("Cc", "Cs") for character in text)
