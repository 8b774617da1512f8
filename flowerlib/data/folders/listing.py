"""List every file below a folder: which are photos, and which are left out, by kind.

Everything that reads a folder asks here, so training, evaluation, prediction and check agree on
every file. A photo is a file whose name ends like a picture's, or has no ending and begins with the
bytes of one; whether it can be decoded shows later, and is never passed over in silence. Links are
followed, to a folder once and never back to one that they lie in.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from flowerlib.data.decoding import images
from flowerlib.data.file_counts import HIDDEN, SYSTEM, THUMBNAILS, FileCounts
from flowerlib.support.errors import InputError

# What operating systems and storage devices put among photos, in lower case.
SYSTEM_FOLDERS = frozenset(
    "system volume information|$recycle.bin|recycler|__macosx|.appledouble|lost+found|#recycle|"
    "@recycle|#snapshot|@tmp|.trash|.trashes|.spotlight-v100|.fseventsd|.temporaryitems|"
    "network trash folder|__pycache__".split("|")
)
SYSTEM_FILES = frozenset({".ds_store", "desktop.ini", "icon\r"})
THUMBNAIL_FOLDERS = frozenset({"@eadir", ".@__thumb", ".thumbnails", ".thumbs"})
THUMBNAIL_FILES = frozenset({"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db"})

LINKS = "links to folders listed already"
NO_PICTURE = "without an ending, no pictures"

ENDING = re.compile(r"\.(?=.*[a-z])[!-~]{1,12}")  # "photo.0001" and "from 2.5 m" have none
NAMES = "cat_to_name.json"  # in the listed folder it is read for the names of classes
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")

Identity = tuple[int, int] | str


@dataclass
class Folder:
    """One folder: the names of the photos in it, and the folders in it, both sorted.

    Attributes:
        name: "" for the one that is listed.
        prefix: its path, to which a name can be added.
    """

    name: str
    prefix: str
    photos: list[str] = field(default_factory=list)
    folders: list[Folder] = field(default_factory=list)

    def walk(self) -> Iterator[Folder]:
        """This folder and all below it, each before those in it."""
        waiting = [self]
        while waiting:
            folder = waiting.pop()
            yield folder
            waiting += reversed(folder.folders)

    def own(self) -> Iterator[str]:
        """The paths of the photos that lie directly in this folder."""
        return (self.prefix + name for name in self.photos)

    def below(self) -> Iterator[str]:
        """The paths of all photos in this folder and below it."""
        return (path for folder in self.walk() for path in folder.own())

    def count(self) -> int:
        """The number of photos in this folder and below it."""
        return sum(len(folder.photos) for folder in self.walk())


@dataclass
class Listing:
    """All files below a folder.

    Attributes:
        folder: the photos.
        left_out: the other files but `NAMES`, by kind: paths below the folder, with /.
        closed: folders below it that this user may not read.
        marks: of photos at an address, by path, what tells whether one has changed; else None.
    """

    folder: Folder
    left_out: dict[str, list[str]] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)
    marks: dict[str, bytes] | None = None

    def closed_problem(self) -> str | None:
        """What to say about folders that may not be read, which may hold photos."""
        if not self.closed:
            return None
        more = f" and {len(self.closed) - 1} more" if len(self.closed) > 1 else ""
        return (
            f"the folder {self.closed[0]}{more} may not be read by this user; change its "
            "permissions, or move it away"
        )

    def leave_out(self, kind: str, path: str) -> None:
        """Notes that a file is not used; the path is one below the folder, with /."""
        self.left_out.setdefault(kind, []).append(path)

    def counts(self) -> FileCounts:
        """The number of photos, and of files left out by kind."""
        kinds = {kind: len(paths) for kind, paths in self.left_out.items()}
        return FileCounts(self.folder.count(), kinds)


def read(root: Path | str) -> Listing:
    """Lists all files below a folder; opens only those whose name has no ending.

    Raises:
        InputError: there is no such folder, or it may not be read.
    """
    if not os.path.isdir(root):
        what = "not a folder" if os.path.exists(root) else "no such folder"
        if str(root).lower().endswith(ARCHIVES):
            what += "; unpack it"
        raise InputError(f"{root}: {what}; give a folder of photos, one folder a class inside.")
    found = Listing(Folder("", os.path.join(root, "")))
    followed: set[Identity] = set()
    # A folder; its path below the root; the folders that it lies in; why its files are left out.
    waiting: list[tuple[Folder, str, frozenset[Identity], str | None]]
    waiting = [(found.folder, "", frozenset({_identity(root)}), None)]
    while waiting:
        folder, below, above, kind = waiting.pop()
        try:
            with os.scandir(folder.prefix) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name)
        except OSError:
            if kind is None:
                found.closed.append(below)  # "" for the root itself
            else:  # such as "System Volume Information"
                found.leave_out(kind, below)
            continue
        inner = []
        for entry in entries:
            name, path = entry.name, below + entry.name
            if not _is_folder(entry):
                if path == NAMES:
                    continue
                reason = kind or _why_left_out(entry)
                if reason is None:
                    folder.photos.append(name)
                else:
                    found.leave_out(reason, path)
                continue
            why, identity = kind or why_ignored(name), _identity(entry.path)
            linked = entry.is_symlink()
            if identity in above or (linked and (why or identity in followed)):
                found.leave_out(why or LINKS, path)  # the link itself
                continue
            if linked:
                followed.add(identity)
            child = Folder(name, os.path.join(folder.prefix + name, ""))
            if why is None:
                folder.folders.append(child)
            inner.append((child, f"{path}/", above | {identity}, why))
        waiting += reversed(inner)
    if found.closed == [""]:
        raise InputError(f"The folder {root} may not be read by this user; change its permissions.")
    return found


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # such as a link to itself
        return False


def _identity(path: Path | str) -> Identity:
    """What tells one folder from another, whatever its path; the path if the system is silent."""
    try:
        found = os.stat(path)
    except OSError:
        return os.fspath(path)
    return found.st_dev, found.st_ino


def why_ignored(name: str) -> str | None:
    """Why nothing in a folder of this name is a photo, or None."""
    lower = name.lower()
    if lower in THUMBNAIL_FOLDERS:
        return THUMBNAILS
    if lower in SYSTEM_FOLDERS:
        return SYSTEM
    return HIDDEN if name.startswith(".") else None


def _why_left_out(entry: os.DirEntry[str]) -> str | None:
    """Why a file of this computer is no photo, or None if it is one."""

    def begins() -> bool:
        try:
            return entry.is_file() and images.begins_like_a_photo(entry.path)
        except PermissionError:  # perhaps a photo; whoever opens it will say why it cannot be read
            return True
        except OSError:  # such as a link to itself
            return False

    return why_left_out(entry.name, begins)


def why_left_out(name: str, begins: Callable[[], bool]) -> str | None:
    """Why a file is no photo, or None if it is one.

    Where its name has no ending, `begins` looks whether it begins like a photo.
    """
    ending = os.path.splitext(name)[1].lower()
    if ending in images.SUFFIXES and name[0] != ".":
        return None
    lower = name.lower()
    if lower in THUMBNAIL_FILES:
        return THUMBNAILS
    if lower in SYSTEM_FILES:
        return SYSTEM
    if name[0] == ".":
        return HIDDEN
    if ENDING.fullmatch(ending):
        return ending
    return None if begins() else NO_PICTURE
