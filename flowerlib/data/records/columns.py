"""Which column of a table holds what, by its usual names; which unused one could be the split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from flowerlib.data.folders.layout import split_of
from flowerlib.data.records.rows import Rows, text
from flowerlib.support.errors import InputError

# Names by which a column is found, in lower case and without signs.
NAMES = {
    "path": ("path", "file", "filename", "filepath", "image", "imagepath", "photo"),
    "label": ("label", "class", "classname", "category", "target"),
    "split": ("split",),
    "group": ("group", "groupid"),
}
OPTIONAL = ("split", "group")
# Names of columns that often divide photos, and as often mean something else: a lot, a part of it.
LIKE_SPLIT = ("splits", "datasplit", "subset", "partition", "fold", "set", "part", "phase")


def chosen(
    where: str, names: Sequence[str], asked: Mapping[str, str | None] | None
) -> dict[str, str | None]:
    """The columns of "path", "label", "split" and "group"; None for one that is not there.

    Of all `names`, their owner may have `asked` for some; messages call the table `where`.

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


def possible_splits(cells: Mapping[str, Sequence[object]]) -> list[str]:
    """The columns that are called like a split, or hold nothing but names of splits."""
    return [name for name in sorted(cells) if _called_like_a_split(name) or all(_read(cells[name]))]


def note_unused_splits(found: Rows, cells: Mapping[str, Sequence[object]], training: bool) -> None:
    """Says which columns could divide the photos and do not, since nobody called them the split.

    Training may divide the photos in another way. An evaluation may not pass over a split, or it
    measures what was trained on: there, a column that looks like one is a problem. `cells` are
    those of the columns that are not used.
    """
    for name in possible_splits(cells):
        splits = _read(cells[name])
        several = len(splits) > 1 and all(splits)
        if several or (any(splits) and _called_like_a_split(name)):
            looks = f'the column "{name}" looks like a split'
            if training:
                found.notes.append(
                    f"{looks} and is not used; say so if it is one (split=... in Python, "
                    "--split-column ... in a shell)"
                )
            else:
                found.problems.append(
                    f"{looks}; name it as one (--split-column ... in a shell, "
                    'columns={"split": ...} in Python), or give it another name if it is none'
                )
        elif _called_like_a_split(name):
            found.notes.append(
                f'the column "{name}" is not used as a split, since it does not say train or test'
            )


def _read(cells: Sequence[object]) -> set[str | None]:
    """The splits that cells name; None among them if one names none."""
    return {split_of(text(cell)) for cell in cells}


def _called_like_a_split(name: str) -> bool:
    plain = "".join(filter(str.isalnum, name)).lower()
    return plain in LIKE_SPLIT or split_of(plain.removeprefix("is")) is not None
