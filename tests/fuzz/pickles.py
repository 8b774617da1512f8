"""Pickles that try to run something or to take all memory, and checkpoints that claim too much.

`hostile` and `broken` write one file after the other; a file may be removed before the next is
asked for.
"""

from __future__ import annotations

import functools
import importlib
import io
import operator
import os
import pickle
import struct
import subprocess
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn


class Call:
    """Pickled, it becomes a call of a function: what an attacker writes."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.parts = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.parts

    def __call__(self) -> None:
        """Never called: pickle only asks whether it could be."""


@dataclass
class Attack:
    """A hostile pickle.

    Attributes:
        content: to be given to `torch.save`, or the bytes of the pickle itself.
        named: what the refusal must name; a regular expression.
        fires: whether Python's own unpickler would create the canary.
    """

    content: Any
    named: str
    fires: bool = True


def _own_parent() -> nn.Module:
    module = nn.Sequential(nn.Linear(2, 2))
    module._modules["again"] = module
    return module


def attacks(canary: Path) -> dict[str, Attack]:
    """Pickles that would create the canary if they ran, or take all memory or time."""
    touch = f"touch {canary}"
    code = f"open({str(canary)!r}, 'w').close()"
    shell = Call(os.system, touch)
    op = _opcodes
    doubled = ")" + "q\x00h\x00\x86" * 60  # a tuple of itself and itself, 60 times over
    return {
        "os.system": Attack(shell, r"asks for (posix|nt)\.system"),
        "eval": Attack(Call(eval, code), r"builtin(s|__)\.eval"),
        "exec": Attack(Call(exec, code), r"builtin(s|__)\.exec"),
        "open": Attack(Call(open, str(canary), "w"), r"io\.open"),
        "__import__": Attack(Call(__import__, "os"), r"builtin(s|__)\.__import__", fires=False),
        "getattr": Attack(
            Call(Call(getattr, Call(__import__, "os"), "system"), touch),
            r"builtin(s|__)\.getattr",
            fires=False,
        ),
        "subprocess": Attack(
            Call(subprocess.call, ["touch", str(canary)]), "(subprocess|commands).call"
        ),
        "importlib": Attack(Call(importlib.import_module, "this"), "importlib", fires=False),
        "partial": Attack(
            Call(functools.partial, os.system, touch), "functools.partial", fires=False
        ),
        "attrgetter": Attack(Call(operator.attrgetter, "a"), "operator.attrgetter", fires=False),
        "methodcaller": Attack(Call(operator.methodcaller, "a"), "methodcaller", fires=False),
        "code object": Attack(op("c", "types\nCodeType\n", ")R."), "types.CodeType", fires=False),
        "torch.load": Attack(
            Call(torch.load, str(canary)), "torch.serialization.load", fires=False
        ),
        "map": Attack(Call(list, Call(map, os.system, [touch])), r"map,"),
        "in a value": Attack({"state_dict": {"w": shell}}, "system"),
        "in a list": Attack({"class_to_idx": [shell], "state_dict": {}}, "system"),
        "in a state": Attack(
            Call(nn.ReLU, state={"training": Call(eval, code)}), r"builtin(s|__)\.eval"
        ),
        "in an argument": Attack(Call(OrderedDict, [["a", shell]]), "system"),
        "global": Attack(op("c", "posix\nsystem\n", "(", "X", touch, "tR."), r"posix\.system"),
        "inst": Attack(op("(", "X", touch, "i", "posix\nsystem\n", "."), "instruction INST"),
        "obj": Attack(op("(", "c", "posix\nsystem\n", "X", touch, "o."), r"posix\.system"),
        "python 2": Attack(
            op("c", "__builtin__\neval\n", "(", "X", code, "tR."), "__builtin__.eval", fires=False
        ),
        "newobj": Attack(op("c", "subprocess\nPopen\n", "X", touch, "\x85\x81."), "Popen", False),
        "dotted name": Attack(
            op("X", "torch.nn.modules.module", "X", "Module.__class__.__init__", "\x93", ")R."),
            r"Module\.__class__\.__init__",
            fires=False,
        ),
        "dotted in main": Attack(
            op("X", "__main__", "X", "os.system", "\x93", "X", touch, "\x85R."),
            r"__main__\.os\.system",
            fires=False,
        ),
        "dunder": Attack(
            op("c", "torch.nn.modules.module\n__builtins__\n", "."), "__builtins__", fires=False
        ),
        "long name": Attack(
            op("c", "torch.nn.modules.module\n" + "A" * 500 + "\n", "."), "AAAA", fires=False
        ),
        "control characters": Attack(
            op("c", "torch.nn.modules.module\n\x1b[2J\n", "."), r"x1b", fires=False
        ),
        "extension": Attack(op("\x82\x01."), "EXT1", fires=False),
        "extension 4": Attack(op("\x84\x01\x00\x00\x00."), "EXT4", fires=False),
        "text persistent id": Attack(op("P0\n."), "PERSID", fires=False),
        "odd persistent id": Attack(op("X", "cmd", "\x85Q."), "outside object", fires=False),
        "buffer": Attack(op("\x97."), "NEXT_BUFFER", fires=False),
        "calls a name": Attack(op("c", "builtins\nobject\n", ")R."), "calls builtins", fires=False),
        "calls a result": Attack(op("]", ")R."), "not a named", fires=False),
        "changes a class": Attack(
            op("c", "torch.nn.modules.module\nModule\n", "}b."), "changes torch", fires=False
        ),
        "deep": Attack(op("]" * 50_000, "a" * 49_999, "."), "holds no dict", fires=False),
        "own parent": Attack(_own_parent(), "absurdly many modules", fires=False),
        "nested key": Attack(op("}", ")" + "\x85" * 50_000, "K\x01s."), "as a key", fires=False),
        "doubled key": Attack(op("}", doubled, "K\x01s."), "as a key", fires=False),
        "doubled in a set": Attack(op("\x8f(", doubled, "\x90."), "as a key", fires=False),
        "doubled in a frozenset": Attack(op("(", doubled, "\x91."), "as a key", fires=False),
        "copies": Attack(
            op(
                "]q\x00",
                "(" + "K\x01K\x02\x86" * 5000 + "e0",
                ("c", "builtins\ndict\n", "h\x00\x85R0") * 250,
                "N.",
            ),
            "absurd size",
            fires=False,
        ),
    }


def _opcodes(*parts: Any) -> bytes:
    """A pickle by hand: what follows "X" is a text, all else is opcodes as they are."""
    flat: list[str] = []
    for part in parts:
        flat += part if isinstance(part, tuple) else [part]
    made, waiting = b"\x80\x04", False
    for part in flat:
        if waiting:
            text = part.encode()
            made += struct.pack("<I", len(text)) + text
            waiting = False
        else:
            made += part.encode("latin1")
            waiting = part == "X"
    return made


def write_pickle(path: Path, content: bytes, zip_format: bool) -> None:
    """Wraps the bytes of a pickle as `torch.save` would."""
    if zip_format:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", content)
            archive.writestr("archive/version", "3\n")
        return
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    parts = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, system)]
    path.write_bytes(b"".join([*parts, content, pickle.dumps([], 2)]))


def hostile(
    folder: Path, canary: Path, only: list[str] | None = None
) -> Iterator[tuple[str, Path, Attack]]:
    """Writes every attack in both formats, and each that torch can write in several protocols."""
    made = attacks(canary)
    for name, attack in ((name, made[name]) for name in only or made):
        for zip_format in (True, False):
            kind = "zip" if zip_format else "stream"
            by_hand = isinstance(attack.content, bytes)
            for protocol in (0,) if by_hand else (1, 2, 4, 5):
                path = folder / f"attack-{protocol}-{kind}.pth"
                if by_hand:
                    write_pickle(path, attack.content, zip_format)
                else:
                    torch.save(
                        attack.content,
                        path,
                        pickle_protocol=protocol,
                        _use_new_zipfile_serialization=zip_format,
                    )
                yield f"{name} {kind} {protocol}", path, attack


class _Marker:
    """Stands for a storage in a pickle made by hand."""

    def __init__(self, *persistent_id: Any) -> None:
        self.persistent_id = persistent_id


class _Pickler(pickle.Pickler):
    def persistent_id(self, given: Any) -> Any:
        return given.persistent_id if isinstance(given, _Marker) else None


def _state(
    offset: Any, size: Any, stride: Any, kind: Any = torch.FloatStorage, count: int = 8
) -> Any:
    """The pickle of a state dict with one tensor, whose place is not checked."""
    storage = _Marker("storage", kind, "0", "cpu", count)
    rebuild_tensor = torch.zeros(1).__reduce_ex__(2)[0]
    rebuild = Call(rebuild_tensor, storage, offset, size, stride, False, {})
    stream = io.BytesIO()
    _Pickler(stream, 2).dump({"state_dict": {"fc.weight": rebuild}})
    return stream.getvalue()


def broken(folder: Path) -> Iterator[tuple[str, Path, str]]:
    """Writes files that claim what they do not hold; yields what the refusal must say."""
    path = folder / "broken.pth"

    def zipped(*members: tuple[str, bytes], **options: Any) -> Path:
        with warnings.catch_warnings(), zipfile.ZipFile(path, "w", **options) as archive:
            warnings.simplefilter("ignore")  # of duplicate names
            for name, content in members:
                archive.writestr(name, content)
        return path

    def tensor(*place: Any, **options: Any) -> Path:
        return zipped(("a/data.pkl", _state(*place, **options)), ("a/data/0", bytes(32)))

    good = _state(0, (2, 4), (4, 1))
    data = ("a/data/0", bytes(32))
    yield "beyond the end", tensor(1, (2, 4), (4, 1)), "outside its storage"
    yield "negative offset", tensor(-1, (2, 4), (4, 1)), "absurd shape"
    yield "negative stride", tensor(0, (2, 4), (-4, 1)), "absurd shape"
    yield "long stride", tensor(0, (2, 4), (4, 2)), "outside its storage"
    yield "stride 0", tensor(0, (2**30, 2**9), (0, 0)), "outside its storage"
    yield "huge", tensor(0, (2**62, 2), (1, 1)), "absurd shape"
    yield "fractional", tensor(0, (2.0, 4), (4, 1)), "absurd shape"
    yield "no shape", tensor(0, 8, 1), "damaged"
    yield "large storage", tensor(0, (2, 4), (4, 1), count=2**40), "larger than the file"
    yield "negative storage", tensor(0, (2, 4), (4, 1), count=-8), "larger than the file"
    yield "other size", tensor(0, (2, 2), (2, 1), count=4), "wrong size"
    yield "complex numbers", tensor(0, (2, 2), (2, 1), kind=torch.ComplexFloatStorage), "asks for"
    yield "no storage", zipped(("a/data.pkl", good)), "damaged"
    yield "traversal", zipped(("a/data.pkl", good), data, ("a/../../x", b"")), "outside its folder"
    yield "absolute", zipped(("a/data.pkl", good), data, ("/etc/x", b"")), "outside its folder"
    yield "twice", zipped(("a/data.pkl", good), data, data), "two members"
    bomb = ("a/x", bytes(10_000_000))
    yield (
        "zip bomb",
        zipped(("a/data.pkl", good), data, bomb, compression=zipfile.ZIP_DEFLATED),
        "larger than the file",
    )
    yield "other zip", zipped(("word/document.xml", b"<a/>")), "holds no checkpoint"
    yield "TorchScript", zipped(("a/data.pkl", b""), ("a/code/x.py", b"")), "TorchScript"
    yield "big-endian", zipped(("a/data.pkl", b""), ("a/byteorder", b"big")), "big-endian"
    for name, content, refusal in (
        ("empty", b"", "is empty"),
        ("text", b"<html>Not found</html>" * 40, "damaged, or was not written by torch.save"),
        ("plain pickle", pickle.dumps({"a": 1}), "is a pickle, but not a checkpoint"),
        ("safetensors", struct.pack("<Q", 2) + b"{}", "is a safetensors file"),
        ("tar", bytes(257) + b"ustar" + bytes(300), "tar format"),
        ("endless frame", b"\x80\x04\x95" + b"\xff" * 8 + b"N.", "is a pickle, but"),
        ("endless bytes", b"\x80\x04\x8e" + b"\xff" * 7 + b"\x0f.", "damaged"),
        (
            "huge number",
            b"\x80\x04\x8b" + struct.pack("<i", 5000) + bytes([7] * 5000) + b".",
            "size",
        ),
        ("far memo", b"\x80\x04Nr\xff\xff\xff\xff.", "is a pickle, but not a checkpoint"),
        ("lost memo", b"\x80\x04h\x07.", "damaged"),
        ("empty stack", b"\x80\x040.", "damaged"),
    ):
        path.write_bytes(content)
        yield name, path, refusal
