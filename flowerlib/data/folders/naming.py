"""What classes are called: folders' names, readable ones from a list, names easily confused."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Iterable

from flowerlib.data.folders import addresses, layout
from flowerlib.data.folders.addresses import Place
from flowerlib.data.folders.layout import Layout
from flowerlib.data.folders.listing import NAMES, Listing
from flowerlib.support.errors import InputError, listed
from flowerlib.support.strict_json import distinct


def survey(found: Listing) -> Layout:
    """What the folders are, with all that training would refuse or note, the names included."""
    arranged = layout.arrange(found)
    classes = dict.fromkeys(name for part in arranged.splits.values() for name in part)
    try:
        readable, notes = readable_names(addresses.at(found.folder.prefix), classes)
    except InputError as problem:
        arranged.problems.append(str(problem).rstrip("."))
    else:
        arranged.notes += [*notes, *lookalikes(readable.values())]
    return arranged


def natural(name: str) -> tuple[int, int, str]:
    """Sorts 2 before 10; only for looks, since labels go by name."""
    return (0, int(name), name) if name.isascii() and name.isdigit() else (1, 0, name)


def names_file(root: Place) -> Place | None:
    """The `cat_to_name.json` that goes with a folder: in it, or beside it.

    The folder of one split belongs to the data set above it, whose file may lie beside that.
    """
    above = addresses.with_parents(root)
    some = above[: 3 if layout.split_of(os.path.basename(above[0])) else 2]
    files = (addresses.inside(place, NAMES) for place in some)
    return next(filter(addresses.is_file, files), None)


def readable_names(root: Place, folders: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """The class folders' names for people, from `cat_to_name.json` where it is there.

    Returns:
        The names, and notes about where they come from.

    Raises:
        InputError: the file lies in the folder and does not name every class, or gives two the same
            name.
    """
    folders = list(folders)
    file = names_file(root)
    if file is None:
        return {name: name for name in folders}, []
    outside = file != addresses.inside(addresses.with_parents(root)[0], NAMES)
    content = addresses.content(file)
    try:
        # In any encoding of Unicode, marked or not.
        given = json.loads(content, object_pairs_hook=distinct)
        names = {layout.composed(folder): name for folder, name in given.items()}
        if outside and not names.keys() >= set(folders):
            return {name: name for name in folders}, [f"{file} is not used: it lacks classes"]
        readable = {name: layout.composed(_text(names[name])) for name in folders}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise InputError(f"{file} must map every class folder to a name ({problem}).") from None
    if len(set(readable.values())) != len(readable):
        twice = [name for name in folders if [*readable.values()].count(readable[name]) > 1]
        raise InputError(
            f"{file} gives the same name to two classes ({', '.join(twice[:5])}); put their photos "
            "together, or give them different names."
        )
    return readable, [f"class names are from {file}"] if outside else []


def _text(name: object) -> str:
    if not isinstance(name, (str, int)):
        raise TypeError(f"{name!r} is no name")
    return str(name)


def lookalikes(names: Iterable[str]) -> list[str]:
    """Notes about class names that differ only in what is easily overlooked."""
    groups: dict[str, list[str]] = {}
    for name in names:
        plain = unicodedata.normalize("NFKC", name).casefold()
        groups.setdefault("".join(plain.split()), []).append(name)
    return [
        f"{listed([repr(name) for name in group])} differ only in upper case or spaces; put their "
        "photos together if they are one class"
        for group in groups.values()
        if len(group) > 1
    ]
