"""Class names of old checkpoints: under which key, in which form, in which order."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from flowerlib.classifier.legacy.allowed_names import Array
from flowerlib.support.errors import InputError
from flowerlib.support.strict_json import distinct

# Keys that tell the order of the classes, the most telling first, and keys whose dict only turns
# folder names into readable ones.
_NAME = "(?:class(?:es)?|cat|categor(?:y|ies)|labels?|names?|flowers?|folders?)"
_NUMBER = "(?:idx|index|indices|ids?|num|number)"
BY_NAME = re.compile(rf"(?:^|[._]){_NAME}(?:_to_|2){_NUMBER}$|(?:^|[._])class_indices$")
BY_NUMBER = re.compile(rf"(?:^|[._]){_NUMBER}(?:_to_|2){_NAME}$")
ORDER = "mapping class_mapping class_dict class_names class_labels classes labels".split()
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
    orders = [key for key in _telling(facts) if _is_group(facts[key])]
    other = next((key for key in TRANSLATION if _is_group(facts.get(key))), None)
    if other is not None and not orders and _in_order(facts[other], other):
        orders = [other]  # a class order under the name of a translation
    elif other is not None and not folders:
        folders, source = _texts(facts[other]), repr(other)
    assumed: tuple[str, ...] = ()
    if listed is not None:
        names, found = listed, f"from {file}"
    elif orders:
        names, found = _agreed(orders, facts), f"under {orders[0]!r}"
        if BY_NAME.search(orders[0]) and _is_inverted(facts[orders[0]]):
            assumed = (f"{orders[0]!r} gives a name to each number, against its own name",)
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
        names, notes = _translated(names, folders, source, must=file is not None)
        found += notes
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise InputError(f"two of its classes are called {twice[0]!a:.80}")
    return ClassNames(names, f"{count} class names, {found}", assumed)


def is_known(key: str) -> bool:
    """Whether an entry of this name is looked at here."""
    return key in TRANSLATION or bool(list(_telling({key: None})))


def _telling(facts: dict[str, Any]) -> Iterator[str]:
    """Keys that may tell the order, the most telling first."""
    for pattern in (BY_NAME, BY_NUMBER):
        yield from (key for key in facts if pattern.search(key))
    for word in ORDER:  # also of an object that was written out, as in "train_data.classes"
        yield from (key for key in facts if key.rpartition(".")[2] == word)


def _agreed(orders: list[str], facts: dict[str, Any]) -> list[str]:
    """The names in their order, where all entries with the same names say the same."""
    first, *others = orders
    names = _in_order(facts[first], first)
    if names is None:
        raise InputError(f"its {first!r} does not number its classes from 0 up without a gap")
    for key in others:
        also = _in_order(facts[key], key)
        if also is not None and also != names and set(also) == set(names):
            raise InputError(
                f"its {first!r} and its {key!r} number the same classes in different ways; give "
                "--names FILE, a JSON list of the names in the order of the outputs"
            )
    return names


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
        # In any encoding of Unicode, marked or not.
        given = json.loads(file.read_bytes(), object_pairs_hook=distinct)
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
    """Names in the order of their positions 0, 1, ...; None if the value does not hold that.

    Raises:
        InputError: it can be read in two ways, as {"0": "1", "1": "0"} can.
    """
    if isinstance(value, Array):
        value = value.values()
    if not isinstance(value, dict):
        return list(value) if all(isinstance(name, str) for name in value) else None
    if key in TRANSLATION and any(isinstance(folder, str) for folder in value):
        return None
    by_name = _numbered((number, name) for name, number in value.items())
    by_number = _numbered(iter(value.items()))
    if by_name is None or by_number is None or by_name == by_number:
        return by_number if by_name is None else by_name
    # Folder names that are numbers. Folders have texts as names, and positions are numbers; JSON
    # turns the keys of a dict into texts, and leaves its values.
    if _is_inverted(value):
        return by_number
    keys, values = ({type(item) for item in part} for part in (value, value.values()))
    if keys == {str} and values == {int} and not BY_NUMBER.search(key):
        return by_name
    if keys == values == {str} and BY_NUMBER.search(key):
        return by_number
    raise InputError(
        f"its {key!r} can be read in two ways, since its classes are called by numbers; give "
        "--names FILE, a JSON list of the names in the order of the outputs"
    )


def _is_inverted(value: Any) -> bool:
    """Whether a dict goes from numbers to texts."""
    return (
        isinstance(value, dict)
        and {type(number) for number in value} == {int}
        and {type(name) for name in value.values()} == {str}
        and _numbered(iter(value.items())) is not None
    )


def _numbered(pairs: Iterator[tuple[Any, Any]]) -> list[str] | None:
    """The second of each pair in the order of the first, which must be 0, 1, ... as in a list."""
    by_position: dict[int | None, Any] = {}
    count = 0
    for number, name in pairs:
        by_position[_index(number)] = name
        count += 1
    names = [by_position.get(index) for index in range(count)]  # None where one is missing
    if not all(isinstance(name, (str, int)) and not isinstance(name, bool) for name in names):
        return None
    return [str(name) for name in names]
