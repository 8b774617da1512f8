"""Class names of old checkpoints: under which key, in which form, in which order."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from flowerlib.errors import InputError
from flowerlib.legacy.allowed_names import Array

# Keys that tell the order of the classes, the most telling first, and keys whose dict only turns
# folder names into readable ones.
ORDER = (
    "class_to_idx",
    "class_to_index",
    "classes_to_idx",
    "class_to_id",
    "cat_to_idx",
    "label_to_idx",
    "mapping",
    "class_mapping",
    "class_dict",
    "idx_to_class",
    "index_to_class",
    "idx_to_cat",
    "idx_to_label",
    "class_names",
    "class_labels",
    "classes",
    "labels",
)
TRANSLATION = ("cat_to_name", "category_names", "category_to_name", "flower_to_name", "cat_names")


class ClassNames(NamedTuple):
    """The classes in the order of the outputs, where they came from, and what was assumed."""

    names: list[str]
    found: str
    assumed: tuple[str, ...] = ()


def find(facts: dict[str, Any], count: int, file: Path | None = None) -> ClassNames:
    """Finds the names of the outputs.

    Args:
        facts: what the checkpoint holds beside its tensors, by lower-case key.
        count: number of outputs of the network.
        file: JSON from the user: a list of all names in the order of the outputs, or an object that
            turns folder names into readable ones, such as the course's `cat_to_name.json`.

    Raises:
        InputError: there are no names, too few or too many, or two of the same.
    """
    listed, folders = _from_user(file)
    source = str(file)
    order = next((key for key in ORDER if _is_group(facts.get(key))), None)
    other = next((key for key in TRANSLATION if _is_group(facts.get(key))), None)
    if other is not None and order is None and _in_order(facts[other], other):
        order = other  # a class order under the name of a translation
    elif other is not None and not folders:
        folders, source = _texts(facts[other]), repr(other)
    assumed: tuple[str, ...] = ()
    if listed is not None:
        names, found = listed, f"from {file}"
    elif order is not None:
        given = _in_order(facts[order], order)
        if given is None:
            raise InputError(f"its {order!r} does not number its classes from 0 up without a gap")
        names, found = given, f"under {order!r}"
    elif folders:
        # torchvision's ImageFolder numbers the folders in the order of their names as texts.
        names, found = sorted(folders), f"from {source}"
        assumed = ("the outputs are in the order of the folder names, as torchvision sorts them",)
    else:
        raise InputError(
            "it does not say which classes its outputs are; give --names FILE, a JSON list of "
            f"their {count} names in the order of the outputs"
        )
    if len(names) != count:
        raise InputError(
            f"it has {count} outputs, but {len(names)} class names; give --names FILE, a JSON list "
            "of one name for each output"
        )
    if listed is None and folders:
        names, told = _translated(names, folders, source, must=file is not None)
        found += told
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise InputError(f"two of its classes are called {twice[0]!a:.80}")
    return ClassNames(names, f"{count} class names, {found}", assumed)


def _translated(
    names: list[str], folders: dict[str, str], source: str, must: bool
) -> tuple[list[str], str]:
    """Readable names for folder names; names that are readable already stay."""
    known = [name for name in names if name in folders]
    if not known and not must:
        return names, ""
    if missing := [name for name in names if name not in folders]:
        raise InputError(f"{source} has no name for the class {missing[0]!a:.80}")
    return [folders[name] for name in names], f", made readable with {source}"


def _from_user(file: Path | None) -> tuple[list[str] | None, dict[str, str]]:
    if file is None:
        return None, {}
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise InputError(f"{file} cannot be read as JSON ({problem})") from None
    if isinstance(given, list) and all(isinstance(name, str) for name in given):
        return given, {}
    if isinstance(given, dict) and given and len(_texts(given)) == len(given):
        return None, _texts(given)
    raise InputError(f"{file} must hold a JSON list of names, or an object from name to name")


def _is_group(value: Any) -> bool:
    return isinstance(value, (list, tuple, dict, Array)) and value not in ([], (), {})


def _texts(value: Any) -> dict[str, str]:
    """The entries of a translation: folder name (maybe a number) to readable name."""
    pairs = value.items() if isinstance(value, dict) else ()
    return {str(key): name for key, name in pairs if isinstance(name, str)}


def _index(value: Any) -> int | None:
    """A position, also where it was written as a text."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 7:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _in_order(value: Any, key: str) -> list[str] | None:
    """Names in the order of their positions 0, 1, ...; None if the value does not hold that."""
    if isinstance(value, Array):
        value = value.values()
    if not isinstance(value, dict):
        return list(value) if all(isinstance(name, str) for name in value) else None
    by_position = {_index(index): name for name, index in value.items()}
    # {"0": "5"} can be read both ways; the key's name decides.
    if None in by_position or key.startswith(("idx_", "index_")):
        if key in TRANSLATION and any(isinstance(folder, str) for folder in value):
            return None
        by_position = {_index(index): name for index, name in value.items()}
    names = [by_position.get(index) for index in range(len(value))]  # None where one is missing
    return [str(name) for name in names] if all(isinstance(n, (str, int)) for n in names) else None
