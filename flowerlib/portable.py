"""Paths that mean the same place on every system, and what is wrong with the others."""

from __future__ import annotations

import unicodedata

MAX_DEPTH, MAX_NAME = 32, 1000
DEVICES = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(10))}


class NotPortable(Exception):
    """Why a path is refused."""


class Places:
    """Remembers which places are taken, as the least careful system sees them."""

    def __init__(self) -> None:
        self.taken: dict[str, tuple[str, bool]] = {}

    def take(self, name: str, is_folder: bool) -> tuple[str, ...]:
        """Takes a place and the folders above it.

        Returns:
            The parts of the path.

        Raises:
            NotPortable: it leads out, has no portable name, or falls together with another one.
        """
        parts = parts_of(name)
        if not parts and not is_folder:
            raise NotPortable("a file has no name")
        for depth in range(1, len(parts) + 1):
            path, folder = "/".join(parts[:depth]), depth < len(parts) or is_folder
            # macOS takes two spellings of an accent, and like Windows two cases, for the same.
            same = unicodedata.normalize("NFD", unicodedata.normalize("NFD", path).casefold())
            if same not in self.taken:
                self.taken[same] = (path, folder)
            elif self.taken[same] != (path, folder) or not folder:
                other = told(self.taken[same][0])
                raise NotPortable(f"{other} and {told(path)} have the same place")
        return parts


def parts_of(name: str) -> tuple[str, ...]:
    """The parts of a path inside the target that means the same on every system."""
    if not name.isprintable() or set(name) & set('\\:*?"<>|') or len(name) > MAX_NAME:
        raise NotPortable(f"the name {told(name)} is not portable")
    if name.startswith("/"):
        raise NotPortable(f"{told(name)} is an absolute path")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise NotPortable(f"{told(name)} leads out of the folder")
    if len(parts) > MAX_DEPTH:
        raise NotPortable(f"{told(name)} lies more than {MAX_DEPTH} folders deep")
    for part in parts:
        # Windows drops dots and spaces at the end, and opens a device for NUL.txt.
        if part[-1] in ". " or part.split(".")[0].rstrip().lower() in DEVICES:
            raise NotPortable(f"the name {told(name)} is not portable")
        if len(part.encode()) > 255:
            raise NotPortable(f"the name {told(name)} is too long")
    return parts


def told(name: str) -> str:
    """A name that is safe to print: no line ends, no terminal codes."""
    text = ascii(name)
    return text if len(text) <= 60 else f"{text[:57]}...'"
