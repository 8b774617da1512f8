"""Folders of photos at an address, such as s3://bucket/photos, by fsspec.

They are listed as folders of this computer are, and each photo is fetched when it is asked for. Who
may read them is what fsspec and its packages find in the environment.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flowerlib.data.contents import Contents, Files
from flowerlib.data.decoding import images
from flowerlib.data.decoding.images import PhotoError
from flowerlib.data.folders import listing
from flowerlib.data.folders.listing import Folder, Listing
from flowerlib.data.stored import Source, Stored
from flowerlib.support import storage
from flowerlib.support.errors import InputError, reason

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
NO_FOLDERS = ("http", "https", "ftp", "data")  # what they list is no folder, or nothing

Place = Path | str


def at(path: Place) -> Place:
    """A place of photos: an address as text without "/" at its end, anything else as a path.

    Raises:
        InputError: nothing at such an address can be listed.
    """
    text = os.fspath(path)
    if not (match := ADDRESS.match(text)):
        return storage.expand(path)
    protocol = match[0][:-3].lower()
    if protocol in NO_FOLDERS:
        raise InputError(f"{text[:80]} is no folder that can be listed; download the photos first.")
    if protocol == "file":
        return storage.expand(text[match.end() :])
    if not text[match.end() :].strip("/"):
        raise InputError(f"{text} names no place; write it out, such as s3://bucket/photos.")
    return text.rstrip("/")


def read(place: Place) -> Listing:
    """All files below a place, as `listing.read` lists a folder.

    Raises:
        InputError: it is not there, or may not be read.
    """
    return _listed(place) if isinstance(place, str) else listing.read(place)


def pictures(found: Listing, paths: Sequence[str]) -> Contents:
    """The photos at some of the paths of a listing."""
    if found.marks is None:
        return Files(paths)
    return Stored(Objects(paths, [found.marks[path] for path in paths], found.folder.prefix))


def one(place: Place) -> Contents | None:
    """The photo that is a place itself; None for a folder.

    Raises:
        InputError: what lies at an address cannot be seen.
    """
    if not isinstance(place, str):
        return None if os.path.isdir(place) else Files([place])
    with _sentences(place):
        return Stored(Objects([place], [b""], place)) if is_file(place) else None


def with_parents(place: Place) -> list[Place]:
    """A place, the one that it lies in, and so on."""
    if not isinstance(place, str):
        return [place.absolute(), *place.absolute().parents]
    found = [place]
    while not (above := found[-1].rpartition("/")[0]).endswith("/"):
        found.append(above)
    return [*found]


def inside(place: Place, name: str) -> Place:
    """What has this name in a place."""
    return f"{place}/{name}" if isinstance(place, str) else place / name


def is_file(place: Place) -> bool:
    """Whether there is a file, which this user may see."""
    if not isinstance(place, str):
        return place.is_file()
    files, path = _opened(place)
    return bool(files.isfile(path))


def content(file: Place) -> bytes:
    """What a file holds.

    Raises:
        InputError: it cannot be read.
    """
    if not isinstance(file, str):
        try:
            return file.read_bytes()
        except OSError as problem:
            raise InputError(f"{file} cannot be read ({problem.strerror}).") from None
    with _sentences(file):
        files, path = _opened(file)
        return bytes(files.cat_file(path))


class Objects(Source):
    """Photos at addresses of their own."""

    def __init__(self, names: Sequence[str], marks: Sequence[bytes], place: str) -> None:
        self._names, self._marks, self.place = [*names], [*marks], place

    def __len__(self) -> int:
        return len(self._names)

    def name(self, row: int) -> str:
        return self._names[row]

    def read(self, row: int) -> bytes:
        name = self._names[row]
        try:
            files, path = _opened(name)
            found = files.cat_file(path)
        except Exception as problem:  # a library's own kinds, whatever they are
            raise PhotoError(name, f"it cannot be fetched ({reason(problem)})") from None
        images.check_size(len(found), name)
        return found

    def marks(self) -> list[bytes]:
        return self._marks


def _listed(address: str) -> Listing:
    marks: dict[str, bytes] = {}
    found = Listing(Folder("", f"{address}/"), marks=marks)
    with _sentences(address):
        files, root = _opened(address)
        if not files.isdir(root):
            what = "not a folder" if files.exists(root) else "nothing is there"
            raise InputError(f"{address}: {what}; give a folder of photos.")
        # A folder, its path there, its path below the root, and why its files are left out.
        waiting: list[tuple[Folder, str, str, str | None]] = [(found.folder, root, "", None)]
        while waiting:
            folder, path, below, kind = waiting.pop()
            inner = []
            for info in sorted(files.ls(path, detail=True), key=lambda info: str(info["name"])):
                name = info["name"].rstrip("/").rpartition("/")[2]
                if info["name"].strip("/") == path.strip("/"):  # S3 may list a folder in itself
                    continue
                if info["type"] == "directory":
                    child = Folder(name, f"{folder.prefix}{name}/")
                    why = kind or listing.why_ignored(name)
                    if why is None:
                        folder.folders.append(child)
                    inner.append((child, info["name"], f"{below}{name}/", why))
                elif below + name != listing.NAMES:
                    begins = partial(_begins_like_a_photo, files, info["name"])
                    if why := kind or listing.why_left_out(name, begins):
                        found.leave_out(why, below + name)
                    else:
                        folder.photos.append(name)
                        marks[folder.prefix + name] = _mark(info)
            waiting += reversed(inner)
    return found


def _begins_like_a_photo(files: AbstractFileSystem, path: str) -> bool:
    return images.is_beginning(files.cat_file(path, start=0, end=images.BEGINNING))


def _mark(info: Mapping[str, object]) -> bytes:
    """16 bytes for what a store says of a file; none if it has no tag that follows the content."""
    if not (tag := info.get("ETag")):
        return b""
    state = f"{info['name']}\0{tag}\0{info.get('size')}\0{info.get('LastModified')}"
    return hashlib.blake2b(state.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _opened(address: str) -> tuple[AbstractFileSystem, str]:
    """The store of an address and the path in it; fsspec keeps one for each thread and process."""
    import fsspec

    # Without its cache of listings, which holds a dict for each of millions of files; and s3fs
    # would ask for the size of each photo before it fetches it, in order to do so in parts.
    options = {"max_concurrency": 1} if address.startswith(("s3:", "s3a:")) else {}
    files, path = fsspec.core.url_to_fs(address, use_listings_cache=False, **options)
    return files, path


@contextlib.contextmanager
def _sentences(address: str) -> Iterator[None]:
    """What goes wrong in fsspec and below it becomes one sentence."""
    try:
        yield
    except InputError:
        raise
    except ImportError as problem:
        raise InputError(
            f"{address} needs another package ({reason(problem)}); pip install "
            "'flowerlib[scale]' brings the one for s3://."
        ) from None
    except FileNotFoundError:
        raise InputError(f"{address}: nothing is there; mend the address.") from None
    except Exception as problem:  # a library's own kinds, whatever they are
        raise InputError(
            f"{address} cannot be read ({reason(problem)}); mend the address, or the "
            "credentials in the environment."
        ) from None
