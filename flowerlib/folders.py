"""Read a tree of photo folders: which classes, which splits, which names; files only, no pixels."""

from __future__ import annotations

import json
from pathlib import Path

from flowerlib import division, images
from flowerlib.errors import InputError, listed
from flowerlib.files import Files

SPLIT_FOLDERS = {
    "train": ("train", "training", "learn"),
    "valid": ("valid", "val", "validation"),
    "test": ("test", "testing"),
}


def read_splits(
    root: Path, *, valid: float, test: float
) -> tuple[dict[str, dict[str, Files]], str]:
    """Photo paths by split and class folder, from folders where they are there, else by content.

    Returns:
        The parts ("test" may be missing), and a phrase about how they came about.

    Raises:
        InputError: a class is empty, too small, or missing in one of the splits.
    """
    places = {
        part: next((root / name for name in names if (root / name).is_dir()), None)
        for part, names in SPLIT_FOLDERS.items()
    }
    if places["train"] is None:
        for place in (places["valid"], places["test"]):
            if place is not None:
                raise InputError(f"{root} has {place.name}/ but no train/ folder.")
        shares = {"test": test, "valid": valid}
        parts, copies = division.divide(root, read_classes(root), shares)
        return parts, f"split by content{copies}"
    found = {part: read_classes(place) for part, place in places.items() if place is not None}
    for part in ("valid", "test"):
        if part in found and set(found[part]) != set(found["train"]):
            missing = sorted(set(found["train"]) - set(found[part]))
            extra = sorted(set(found[part]) - set(found["train"]))
            faults = [f"lacks {listed(missing)}"] if missing else []
            faults += [f"has {listed(extra)}, which train lacks"] if extra else []
            raise InputError(
                f"{places[part]} {' and '.join(faults)}: every split needs the same classes, "
                "or labels would shift."
            )
    if "valid" in found:
        return found, "split by folders"
    parts, copies = division.divide(root, found["train"], {"valid": valid})
    return found | parts, f"valid taken out of train by content{copies}"


def read_classes(folder: Path, least: int = 2) -> dict[str, Files]:
    """Folder names to photo paths; refuses an empty class by name, and fewer than `least`."""
    classes = {
        child.name: Files(images.names_below(child))
        for child in sorted(folder.iterdir())
        if child.is_dir() and not child.name.startswith((".", "__"))
    }
    if not classes:
        raise InputError(
            f"{folder} holds no class folders; put each class's photos in its own folder."
        )
    if empty := sorted(name for name, files in classes.items() if not files):
        raise InputError(
            f"{folder}: {listed(empty)} without a single photo; add some or remove it."
        )
    if len(classes) < least:
        raise InputError(f"{folder} holds only the class {next(iter(classes))}; two are needed.")
    return classes


def natural(name: str) -> tuple[int, int, str]:
    """Sorts 2 before 10; only for looks, since labels go by name."""
    return (0, int(name), "") if name.isascii() and name.isdigit() else (1, 0, name)


def readable_names(root: Path, folders: list[str]) -> dict[str, str]:
    """The class folders' names for people, from `cat_to_name.json` where it is there."""
    file = root / "cat_to_name.json"
    if not file.is_file():
        return {name: name for name in folders}
    try:
        names = json.loads(file.read_text(encoding="utf-8"))
        readable = {name: str(names[name]) for name in folders}
    except (ValueError, KeyError, TypeError) as problem:
        raise InputError(f"{file} must map every class folder to a name ({problem}).") from None
    if len(set(readable.values())) != len(readable):
        raise InputError(f"{file} gives the same name to two classes.")
    return readable
