"""A list of a data set's files with their SHA-256, and what has changed since it was written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flowerlib.support import storage
from flowerlib.support.errors import InputError

FORMAT = 1


@dataclass(frozen=True)
class Entry:
    """One file: its path below the folder (with /), content, and place in the data set."""

    path: str
    sha256: str
    size: int
    split: str
    class_name: str


@dataclass(frozen=True)
class Changes:
    """Paths that differ from a manifest; `moved` holds (old, new) paths of the same content."""

    changed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    moved: list[tuple[str, str]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.changed or self.missing or self.new or self.moved)


def save_manifest(path: Path | str, entries: Sequence[Entry]) -> None:
    """Writes the manifest whole or not at all; the same files give the same bytes.

    Raises:
        InputError: the file cannot be written.
    """
    files = [
        {
            "path": entry.path,
            "sha256": entry.sha256,
            "size": entry.size,
            "split": entry.split,
            "class": entry.class_name,
        }
        for entry in sorted(entries, key=lambda entry: entry.path)
    ]
    content = {"flowerlib_manifest": FORMAT, "num_files": len(files), "files": files}
    with storage.atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def load_manifest(path: Path | str) -> list[Entry]:
    """Reads a manifest.

    Raises:
        InputError: the file is missing, no manifest, damaged, or of a later format.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        form = content["flowerlib_manifest"]
        if form != FORMAT:
            raise InputError(f"{path} is a manifest of format {form}; this version reads {FORMAT}.")
        entries = [
            Entry(file["path"], file["sha256"], file["size"], file["split"], file["class"])
            for file in content["files"]
        ]
        if len({entry.path for entry in entries}) != content["num_files"]:
            raise InputError(f"{path} is damaged: it does not list {content['num_files']} files.")
    except InputError:
        raise
    except OSError as problem:
        raise InputError(f"The manifest {path} cannot be read ({problem.strerror}).") from None
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path} is no manifest; write one with --manifest.") from None
    return entries


def compare(before: Sequence[Entry], now: Sequence[Entry]) -> Changes:
    """Says how the files `now` differ from those `before`."""
    old = {entry.path: entry.sha256 for entry in before}
    new = {entry.path: entry.sha256 for entry in now}
    changed = sorted(path for path in old.keys() & new.keys() if old[path] != new[path])
    missing, fresh = sorted(old.keys() - new.keys()), sorted(new.keys() - old.keys())
    by_content: dict[str, list[str]] = {}
    for path in fresh:
        by_content.setdefault(new[path], []).append(path)
    moved = []
    for path in missing:
        if at := by_content.get(old[path]):
            moved.append((path, at.pop(0)))
    gone, come = {path for path, _ in moved}, {path for _, path in moved}
    return Changes(
        changed,
        [path for path in missing if path not in gone],
        [path for path in fresh if path not in come],
        moved,
    )
