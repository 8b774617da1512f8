"""Which column of a table holds what, by its usual names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from flowerlib.support.errors import InputError

# Names by which a column is found, in lower case and without signs.
NAMES = {
    "path": ("path", "file", "filename", "filepath", "image", "imagepath", "photo"),
    "label": ("label", "class", "classname", "category", "target"),
    "split": ("split",),
    "group": ("group", "groupid"),
}
OPTIONAL = ("split", "group")


def chosen(
    where: str, names: Sequence[str], asked: Mapping[str, str | None] | None
) -> dict[str, str | None]:
    """The columns of "path", "label", "split" and "group"; None for one that is not there.

    Args:
        where: what messages call the table.
        names: of its columns.
        asked: the names of some of the four, as their owner says.

    Raises:
        InputError: one that was asked for is not there, or one that is needed cannot be found.
    """
    given = {role: name for role, name in (asked or {}).items() if name is not None}
    if wrong := [name for name in given.values() if name not in names]:
        raise InputError(f'{where} has no column "{wrong[0]}"; it has {listed(names)}.')
    return {role: given.get(role) or found(where, names, role) for role in NAMES}


def found(where: str, names: Sequence[str], role: str) -> str | None:
    """The name of the column that holds the paths, labels, splits or groups, by its usual names."""
    some = [name for name in names if "".join(filter(str.isalnum, name)).lower() in NAMES[role]]
    exact = [name for name in some if name.lower() == role]
    if len(exact or some) == 1:
        return (exact or some)[0]
    if not some and role in OPTIONAL:
        return None
    several = f"more than one for the {role}: {listed(some)}"
    raise InputError(
        f"{where} has {several if some else f'no column for the {role}'}; it has {listed(names)}. "
        f"Say which it is ({role}=... in Python, --{role}-column ... in a shell)."
    )


def listed(names: Iterable[str]) -> str:
    """Names of columns in a sentence."""
    return ", ".join(names) or "none"
