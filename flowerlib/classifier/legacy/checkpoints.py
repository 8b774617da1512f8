"""Opens files that `torch.save` wrote, in its zip format or in the stream before torch 1.6.

The pickle inside is read by `pickles`, so nothing in it runs; the numbers are read from the file's
bytes into tensors, bit for bit.
"""

from __future__ import annotations

import io
import mmap
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor

from flowerlib.classifier.legacy import pickles
from flowerlib.classifier.legacy.allowed_names import CALLS, STORAGES, Storage
from flowerlib.classifier.legacy.pickles import Name
from flowerlib.support.errors import InputError

STREAM_MAGIC = 0x1950A86A20F9469CFC6C
STREAM_VERSION = 1001

# What goes wrong inside pickletools, zipfile and torch when bytes are damaged.
DAMAGE: tuple[type[Exception], ...] = (ValueError, LookupError, TypeError, AttributeError)
DAMAGE += (OverflowError, RuntimeError, EOFError, MemoryError)
DAMAGE += (struct.error, zipfile.BadZipFile, zlib.error)


class Checkpoint(NamedTuple):
    """What a file holds, and the format it was written in."""

    content: Any
    format: str


def read(path: Path) -> Checkpoint:
    """Reads a file of `torch.save`: plain data, tensors, and stand-ins for all other objects.

    Raises:
        InputError: the file is missing, damaged, no checkpoint, or asks for code to be run.
    """
    try:
        with open(path, "rb") as file:
            _refuse_other_formats(start := file.read(512))
            if start[:4] == b"PK\x03\x04":
                return Checkpoint(_read_zip(path), "zip format (torch 1.6 and later)")
            return Checkpoint(_read_stream(file), "stream format (before torch 1.6)")
    except InputError as problem:
        raise InputError(f"{path} {problem}.") from None
    except OSError as problem:
        raise InputError(f"{path}: {problem.strerror or problem}.") from None
    except DAMAGE as problem:
        reason = ascii(str(problem)[:80].split("\n")[0] or type(problem).__name__)[1:-1]
        raise InputError(
            f"{path} is damaged, or was not written by torch.save ({reason}); "
            "copy it again from where it came."
        ) from None


def _refuse_other_formats(start: bytes) -> None:
    if not start:
        raise InputError("is empty")
    if start[257:262] == b"ustar":
        raise InputError(
            "is in the tar format of torch 0.1, which is not read here; load it with an old torch "
            "and save its state dict again"
        )
    if start[8:9] == b"{":
        raise InputError("is a safetensors file, not an old checkpoint")


class _Storages:
    """Allocates each storage that the pickle mentions; the bytes are read afterwards.

    Together they may not be larger than the file that claims to hold them.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.whole: dict[str, Tensor] = {}
        self.views: dict[str, Tensor] = {}

    def load(self, given: Any) -> Any:
        """Turns torch's persistent ids into a storage, or the name of a module's class."""
        match given:
            case ("module", Name() as kind, *_):  # with its source, which nobody needs
                return kind
            case ("storage", Name() as kind, str() as key, str(), int() as count):
                return Storage(self._get(kind, key, count))
            case ("storage", Name() as kind, str() as key, str(), int() as count, view):
                flat = self._get(kind, key, count)
                if view is None:
                    return Storage(flat)
                name, start, size = view
                if not 0 <= start <= start + size <= count:
                    raise ValueError("a view outside its storage")
                return Storage(self.views.setdefault(str(name), flat[start : start + size]))
        pickles.refuse("refers to an outside object that is no storage")

    def _get(self, kind: Name, key: str, count: int) -> Tensor:
        dtype = STORAGES[kind.name]
        if key not in self.whole:
            self.budget -= count * dtype.itemsize
            if count < 0 or self.budget < 0:
                raise ValueError("a storage larger than the file")
            self.whole[key] = torch.empty(count, dtype=dtype)
        if (len(self.whole[key]), self.whole[key].dtype) != (count, dtype):
            raise ValueError("two storages under one key")
        return self.whole[key]


def _read_bytes(stream: Any, flat: Tensor) -> None:
    """Fills a storage from a stream, in place."""
    raw = flat.view(torch.uint8).numpy().data
    if stream.readinto(raw) != len(raw):
        raise EOFError("the file ends too early")


def _read_zip(path: Path) -> Any:
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        members = {member.filename: member for member in archive.infolist()}
        if len(members) != len(archive.infolist()):
            raise ValueError("two members of one name")
        if any(".." in name or name.startswith("/") or "\\" in name for name in members):
            raise ValueError("a member outside its folder")
        # torch stores without compressing; a member of absurd size is a bomb.
        budget = sum(member.file_size for member in members.values())
        if budget > 2 * size:
            raise ValueError("members larger than the file")
        roots = [name.split("/")[0] for name in members if name.count("/") == 1]
        root = next((name for name in roots if f"{name}/data.pkl" in members), None)
        if root is None:
            raise InputError("is a zip file, but holds no checkpoint of torch.save")
        if any(name.startswith(f"{root}/code/") for name in members):
            raise InputError(
                "is a TorchScript program, not a checkpoint; save the model's state dict instead"
            )
        if f"{root}/byteorder" in members and archive.read(f"{root}/byteorder") != b"little":
            raise InputError("was written on a big-endian machine, which is not read here")
        storages = _Storages(budget)
        content = pickles.read(io.BytesIO(archive.read(f"{root}/data.pkl")), CALLS, storages.load)
        for key, flat in storages.whole.items():
            member = members[f"{root}/data/{key}"]
            if member.file_size != flat.nbytes:
                raise ValueError("a storage of the wrong size")
            with archive.open(member) as stream:  # checks the CRC at the end
                _read_bytes(stream, flat)
    return content


def _read_stream(file: BinaryIO) -> Any:
    """Three pickles that describe the file, one that is the content, one that names the storages.

    The storages' bytes follow, each after its number of items.
    """
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        stream: Any = view  # gives no more bytes than there are, unlike a file, which allocates
        if pickles.read(stream, CALLS) != STREAM_MAGIC:
            raise InputError("is a pickle, but not a checkpoint of torch.save")
        if pickles.read(stream, CALLS) != STREAM_VERSION:
            raise ValueError("an unknown version of the stream format")
        if pickles.read(stream, CALLS).get("little_endian") is not True:
            raise InputError("was written on a big-endian machine, which is not read here")
        storages = _Storages(len(view))
        content = pickles.read(stream, CALLS, storages.load)
        keys = pickles.read(stream, CALLS)
        if sorted(keys) != sorted(storages.whole):
            raise ValueError("storages that do not fit the pickle")
        file.seek(view.tell())
    for key in keys:
        flat = storages.whole[key]
        if struct.unpack("<q", file.read(8)) != (len(flat),):
            raise ValueError("a storage of the wrong size")
        _read_bytes(file, flat)
    return content
