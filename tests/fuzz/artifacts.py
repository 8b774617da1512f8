"""An honest classifier, and hostile and damaged files made from its own.

Each of `KINDS` gives the bytes of one file. Digests are recomputed where the attack would otherwise
be noticed by them alone. Loading must refuse the file, or restore the classifier that was changed.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import pickle
import random
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from flowerlib import models
from flowerlib.classifier import Classifier
from flowerlib.classifier.artifact import describe_head
from flowerlib.classifier.provenance import Provenance
from flowerlib.transforms import Preprocessing
from tests.fuzz.pickles import Call, write_pickle

CANARY = "canary"  # what executed code would make, in the working directory

Dice = random.Random


@dataclass
class Parts:
    """A classifier's file in pieces, to be changed and put together again.

    Attributes:
        entries: the header's tensors.
        fields: the description.
        data: all numbers.
        metadata: further texts beside the description.
    """

    entries: dict[str, Any]
    fields: dict[str, Any]
    data: bytearray
    metadata: dict[str, Any] = field(default_factory=dict)

    def copy(self) -> Parts:
        entries, fields = json.loads(json.dumps([self.entries, self.fields]))
        return Parts(entries, fields, bytearray(self.data), {})

    def sign(self) -> None:
        """Makes every digest fit; format 1 has none."""
        if self.fields.get("format_version") == 1:
            return
        for name, entry in self.entries.items():
            begin, end = entry["data_offsets"]
            self.fields["tensors"][name] = hashlib.sha256(self.data[begin:end]).hexdigest()
        self.fields.pop("digest", None)
        text = json.dumps(self.fields, sort_keys=True, separators=(",", ":"))
        self.fields["digest"] = hashlib.sha256(text.encode()).hexdigest()

    def header(self) -> str:
        described = {"flowerlib": json.dumps(self.fields), **self.metadata}
        return json.dumps({"__metadata__": described, **self.entries}, separators=(",", ":"))

    def file(self, header: str | bytes | None = None) -> bytes:
        text = self.header() if header is None else header
        content = text.encode() if isinstance(text, str) else text
        content += b" " * (-len(content) % 8)
        return struct.pack("<Q", len(content)) + content + bytes(self.data)


def take_apart(content: bytes) -> Parts:
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    fields = json.loads(header.pop("__metadata__")["flowerlib"])
    return Parts(header, fields, bytearray(content[8 + length :]))


def first_format(parts: Parts) -> Parts:
    """The same file as the first release wrote it: no digests, no library of the network."""
    old = parts.copy()
    del old.fields["digest"], old.fields["tensors"]
    for name in ("layers", "library", "library_version"):
        del old.fields["backbone"][name]
    old.fields["format_version"] = 1
    return old


def honest(name: str) -> Classifier:
    """A classifier with a hidden layer, and simple random weights."""
    backbone = models.backbone(name, "none")
    head = models.hidden_head(backbone.num_features, 3, (8,))
    results = {"accuracy": 0.5, "notes": ["é", None, 1.5e-07]}
    learned = Provenance(np.arange(-4, 4), np.array([9, 90]))
    return Classifier(backbone, head, ("a", "bœuf", "c"), Preprocessing(64, 32), results, learned)


def state(classifier: Classifier) -> tuple:
    """All that makes a classifier what it is, to be compared."""
    learned = classifier.provenance
    head = [value.numpy().tobytes() for value in classifier.head.state_dict().values()]
    return (
        classifier.backbone.name,
        classifier.backbone.weights,
        classifier.backbone.digest(),
        describe_head(classifier.head),
        head,
        classifier.class_names,
        classifier.preprocessing,
        json.dumps(classifier.results),
        learned and [learned.trained_on.tolist(), learned.chosen_with.tolist()],
    )


# --- damage: of disks, transfers and editors ------------------------------------------------------


def cut(dice: Dice, parts: Parts) -> bytes:
    content = parts.file()
    start = len(content) - len(parts.data)
    entry = dice.choice(list(parts.entries.values()))["data_offsets"]
    bounds = (0, 8, start, start + entry[0], start + entry[1], len(content))
    near = dice.choice(bounds) + dice.randint(-9, 9)
    at = dice.choice([near, dice.randrange(9), dice.randrange(start), dice.randrange(len(content))])
    return content[: min(max(at, 0), len(content) - 1)]


def flipped(dice: Dice, parts: Parts) -> bytes:
    if parts.fields["format_version"] == 1:  # which has no digests: flips go unnoticed
        return cut(dice, parts)
    content = bytearray(parts.file())
    start = len(content) - len(parts.data)
    head = start + parts.entries["head.0.bias"]["data_offsets"][0]
    for _ in range(dice.choice([1, 1, 1, 2, 9])):
        at = dice.choice(
            [
                dice.randrange(8),
                dice.randrange(8, start),
                dice.randrange(8, start),
                head + dice.randrange(32),
                dice.randrange(start, len(content)),
                dice.randrange(start, len(content)),
            ]
        )
        content[at] ^= 1 << dice.randrange(8)
    return bytes(content)


def lost_page(dice: Dice, parts: Parts) -> bytes:
    if parts.fields["format_version"] == 1:
        return cut(dice, parts)
    content, size = bytearray(parts.file()), dice.choice([512, 4096, 65536])
    at = dice.randrange(len(content) // size) * size
    other = dice.randrange(len(content) // size) * size
    page, spare = content[at : at + size], content[other : other + size]
    if dice.randrange(2):
        content[at : at + size] = bytes(len(page))
    else:
        content[at : at + size], content[other : other + size] = spare, page
    return bytes(content)


def other_length(dice: Dice, parts: Parts) -> bytes:
    content, more = parts.file(), dice.randbytes(dice.choice([1, 7, 8, 4096]))
    at = dice.choice([0, 8, len(content) - len(parts.data), dice.randrange(len(content))])
    choices = (content + more, content[:at] + more + content[at:], content[: at - 1] + content[at:])
    return dice.choice([*choices, content.replace(b"\n", b"\r\n"), content + content])


# --- files that are something else ----------------------------------------------------------------


def another_file(dice: Dice, parts: Parts) -> bytes:
    page = b"<!DOCTYPE html><html><body>404: your classifier was not found</body></html>\n"
    plain = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return dice.choice(
        [
            b"",
            page,
            page * 40_000,
            b"Dear reader, this is a letter.\n" * dice.randrange(1, 99),
            b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 9\n",
            b"\x89PNG\r\n\x1a\n" + dice.randbytes(900),
            b"PK\x03\x04" + dice.randbytes(900),
            gzip.compress(parts.file()[:9999]),
            bytes(dice.randrange(1, 1 << 20)),
            dice.randbytes(dice.randrange(1, 1 << 16)),
            struct.pack("<Q", 500) + dice.randbytes(9999),
            struct.pack("<Q", 500) + b"{" + dice.randbytes(9999),
            struct.pack("<Q", len(plain)) + plain + bytes(4),
            struct.pack("<Q", 2) + b"{}",
            json.dumps(parts.fields).encode(),
            parts.file()[8:],
            b"\xef\xbb\xbf" + parts.file(),
        ]
    )


def pickled(dice: Dice, parts: Parts) -> bytes:
    """Would make the canary if anything unpickled it."""
    command = Call(os.system, f"touch {CANARY}")
    content = pickle.dumps({"state_dict": command}, dice.randrange(6))
    if not (form := dice.randrange(5)):
        return content
    if form == 1:
        return struct.pack("<Q", len(content)) + content
    if form == 2:
        changed = parts.copy()
        changed.metadata["pickle"] = content.decode("latin1")
        return changed.file()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.pth")
        if form == 3:
            torch.save(command, path, _use_new_zipfile_serialization=bool(dice.randrange(2)))
        else:
            write_pickle(path, content, bool(dice.randrange(2)))
        return path.read_bytes()


# --- headers of safetensors -----------------------------------------------------------------------


def header_length(dice: Dice, parts: Parts) -> bytes:
    content = parts.file()
    size, length = len(content), int.from_bytes(content[:8], "little")
    wrong = [0, 1, 2, length - 8, length - 1, length + 1, length + 8, size - 9, size - 8, size - 7]
    wrong += [size, 100_000_000, 2**31 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 8, 2**64 - 1]
    return struct.pack("<Q", dice.choice(wrong)) + content[8:]


def header_text(dice: Dice, parts: Parts) -> bytes:
    text, name = parts.header(), dice.choice(list(parts.entries))
    entry = json.dumps({name: parts.entries[name]}, separators=(",", ":"))[1:-1]
    deep = dice.choice([500, 2000, 100_000])
    long = json.dumps({"flowerlib": "x" * 10_000_000})
    changed: list[str | bytes] = [
        text[:-1] + "," + entry + "}",  # a tensor twice
        text[:-1] + ',"__metadata__":{"flowerlib":"{}"}}',
        text.replace('"dtype":', '"dtype":"I64","dtype":', 1),
        text.replace('"shape":', '"shape":[0],"shape":', 1),
        text[:-1] + ',"x":' + "[" * deep + "]" * deep + "}",
        "{" + '"a":{' * deep + "}" * deep + "}",
        text[:-1] + ',"x":' + "9" * dice.choice([400, 5000, 1_000_000]) + "}",
        text[:-1] + ',"x":NaN}',
        text[:-1] + ',"x":' + "[" + "[]," * 1_000_000 + "[]]}",
        text[:-1] + ',"x":' + json.dumps([{}] * 300_000) + "}",
        text[:-1] + ',"__metadata__":' + long + "}",
        text[:-1] + ",}",
        text[:-1],
        " " + text,
        "[" + text + "]",
        "null",
        "{}",
        "//\n" + text,
        text.replace('"', "'"),
        "\ufeff" + text,
        text.encode("utf-16"),
        text.encode("utf-32-le"),
        text.encode()[:-1] + b',"\xff\xfe":1}',
        text.encode()[:-1] + b',"\xed\xa0\x80":1}',
        text[:-1] + "}\0",
        text[:-1] + "} {}",
    ]
    return parts.file(dice.choice(changed))


def entry_of_a_tensor(dice: Dice, parts: Parts) -> bytes:
    parts = parts.copy()
    name = dice.choice(list(parts.entries))
    entry, others = parts.entries[name], list(parts.entries.values())
    begin, end = entry["data_offsets"]
    size = len(parts.data)
    places = [[begin, end + 4], [begin - 4, end], [begin + 4, end + 4], [0, size], [end, begin]]
    places += [[-4, end - begin - 4], [size, size + end - begin], [begin, 2**63], [begin, 2**70]]
    places += [[float(begin), float(end)], [str(begin), str(end)], [begin], [begin, end, end], []]
    places += [[begin, begin], [True, end], [None, None], dice.choice(others)["data_offsets"]]
    shapes = [[], [0], [-1], [1, *entry["shape"]], [*entry["shape"], 1], entry["shape"][::-1] + [2]]
    shapes += [[0, 2**62], [2**62, 2**62], [2**31] * 9, [1.0], ["1"], "1", None, {}, [True]]
    shapes += [[end - begin], [2**64], [10**30, 0], [1] * 1000]
    types = ["F64", "F16", "BF16", "I32", "U8", "BOOL", "F8_E4M3", "f32", "", None, 1, [], "os"]
    match dice.randrange(7):
        case 0:
            entry["data_offsets"] = dice.choice(places)
        case 1:
            entry["shape"] = dice.choice(shapes)
        case 2:
            entry["dtype"] = dice.choice(types)
        case 3:
            entry[dice.choice(["code", "dtype ", "stride"])] = dice.choice([0, "exec", []])
        case 4:
            del entry[dice.choice(list(entry))]
        case 5:
            junk = dice.choice([None, [], "F32", 1, {}, parts.entries[name] | {"shape": None}])
            parts.entries[dice.choice([name, "more", "", "\x1b[2J", "a\nb", "\ud800"])] = junk
        case 6:
            if dice.randrange(2):
                parts.entries[dice.choice(["more", "head.9.weight", name + " "])] = (
                    parts.entries.pop(name)
                )
            else:
                nothing = {"dtype": "F32", "shape": [0, 2**40], "data_offsets": [size, size]}
                parts.entries["backbone.nothing"] = nothing
    if parts.fields["format_version"] > 1 and dice.randrange(2):
        parts.fields["tensors"] = {key: "0" * 64 for key in parts.entries}
    return parts.file()


def numbers(dice: Dice, parts: Parts) -> bytes:
    """Tensors whose shapes fit: not finite, exchanged, changed behind the digests."""
    parts = parts.copy()
    floats = [name for name, entry in parts.entries.items() if entry["dtype"] == "F32"]
    name = dice.choice(floats)
    begin, end = parts.entries[name]["data_offsets"]
    at = begin + 4 * dice.randrange((end - begin) // 4)
    if parts.fields["format_version"] == 1 or dice.randrange(2):
        bad = dice.choice([float("nan"), float("inf"), -float("inf")])
        parts.data[at : at + 4] = struct.pack("<f", bad)
        parts.sign()
        return parts.file()
    twins = [k for k in floats if parts.entries[k]["shape"] == parts.entries[name]["shape"]]
    other, digests = dice.choice(twins), parts.fields["tensors"]
    old = struct.unpack("<f", parts.data[at : at + 4])[0]
    match dice.randrange(4):
        case 0:
            parts.data[at : at + 4] = struct.pack("<f", old * 1.0001 + 1e-6)
        case 1:
            place = parts.entries[other]["data_offsets"]
            parts.entries[other]["data_offsets"] = parts.entries[name]["data_offsets"]
            parts.entries[name]["data_offsets"] = place
        case 2:
            digests[name] = dice.choice(["", "0" * 64, None, digests[name].upper(), "x" * 10**6])
        case 3:
            del digests[name]
    if dice.randrange(2):  # with a description that fits the new digests
        fields = {key: value for key, value in parts.fields.items() if key != "digest"}
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
        parts.fields["digest"] = hashlib.sha256(text.encode()).hexdigest()
    return parts.file()


def lists_of_photos(dice: Dice, parts: Parts) -> bytes:
    """Photos that were learned from: in disorder, twice, in both lists, or one list missing."""
    parts = parts.copy()
    begin, end = parts.entries["photos.trained_on"]["data_offsets"]
    known = list(struct.unpack(f"<{(end - begin) // 8}q", parts.data[begin:end]))
    other = parts.entries["photos.chosen_with"]["data_offsets"][0]
    match dice.randrange(4):
        case 0:
            known.reverse()
        case 1:
            known[1] = known[0]
        case 2:
            known[-1:] = struct.unpack("<q", parts.data[other : other + 8])
        case 3:
            one = dice.choice(["photos.chosen_with", "photos.trained_on"])
            parts.entries["backbone.more"] = parts.entries.pop(one)
    parts.data[begin:end] = struct.pack(f"<{len(known)}q", *known)
    if "backbone.more" not in parts.entries:
        parts.sign()
    return parts.file()


# --- descriptions ---------------------------------------------------------------------------------

JUNK: list[Any] = [None, True, False, 0, -1, 1.5, 1e308, 10**400, "", "x", [], {}, [[]], {"a": 1}]
JUNK += ["\ud800", "\x1b[31m", "x" * 10_000, [None] * 1000, "__import__('os')", "../../etc/passwd"]

WIDE = {"layer": "linear", "inputs": 512, "outputs": 3}
# What no classifier may say of itself: path in the description, values that are all wrong there.
WRONG: list[tuple[tuple[str | int, ...], list[Any]]] = [
    (("format",), [None, 1, "cake", "flowerlib.classifier ", ["flowerlib.classifier"]]),
    (("format_version",), [None, 0, -1, 4, 99, 10**30, 1.0, "2", True, [2], {}]),
    (("backbone",), [None, "squeezenet1_1", [], {}, {"name": "squeezenet1_1"}]),
    (("backbone", "name"), [None, 3, "", "os.system", "vit_h_14", "regnet_y_128gf", "resnet18"]),
    (("backbone", "name"), ["squeezenet1_0", "SqueezeNet1_1", "__class__", "x" * 10**6, ["a"]]),
    (("backbone", "weights"), [None, 3, [], "x" * 10_000, "\x1b[2J", "\ud800", "a\nb"]),
    (("backbone", "code"), ["import os"]),
    (("head",), [None, [], {}, "linear", [None], [[]], [{}], [{"layer": "relu"}]]),
    (("head",), [[WIDE] * 101, [{"layer": "relu"}] * 100_000, [WIDE, WIDE], [WIDE] * 2]),
    (("head", 0, "layer"), [None, 1, "Linear", "exec", [], {}, "lstm", "x" * 10**6]),
    (("head", 0, "inputs"), [None, 0, -1, 1.5, 511, 513, 2**31, 2**63, 10**400, "512", True, [1]]),
    (("head", 0, "outputs"), [None, 0, -1, 7, 2**31, 2**63, 10**400, "8", True, 8.0]),
    (("head", 3, "outputs"), [None, 0, 2, 4, 10**9, 2**63]),
    (("head", 2, "p"), [None, -0.1, 1.1, 1e308, "0.2", True, []]),
    (("head", 1, "inplace"), [True]),
    (("class_names",), [None, [], {}, "abc", ["a", "b"], ["a", "b", "c", "d"], ["a", "a", "b"]]),
    (("class_names",), [["a", "b", None], ["a", "b", 3], ["a", "b", ["c"]], {"a": 0, "b": 1}]),
    (("class_names", 1), ["", " ", "\t", "a\nb", "\x00", "\x1b]0;x\x07", "\x9b2J", "\udfff"]),
    (("class_names", 1), ["x" * 1001, "x" * 3_000_000, "x" * 10_000_000, None, 1, True, [], {}]),
    (("preprocessing",), [None, [], {}, "none", {"resize": 64}]),
    (("preprocessing", "resize"), [None, 0, -1, 1, 4097, 2**40, 64.0, "64", True, 10**400]),
    (("preprocessing", "crop"), [None, 0, -1, 65, 4097, 32.0, "32", True]),
    (("preprocessing", "mean"), [None, [], [0, 0], [0] * 4, [1e7, 0, 0], "123", [None] * 3]),
    (("preprocessing", "mean"), [[True, 0, 0], [10**400, 0, 0], ["0", "0", "0"], 0.5, {"a": 1}]),
    (("preprocessing", "std"), [None, [], [0, 1, 1], [-1, 1, 1], [1e-40, 1, 1], [1, 1], "111"]),
    (("preprocessing", "filter"), [None, "", "nearest", 2, [], {}, ["bilinear"]]),
    (("preprocessing", "extra"), [1]),
    (("results",), [None, [], "good", 1]),
    (("versions",), [None, [], {}, {"flowerlib": "1"}, {"flowerlib": 1, "torch": 2}]),
    (("versions", "torch"), [None, 2.6, "x" * 10_000, "\x1b[2J"]),
    (("tensors",), [None, [], {}, "none"]),
    (("digest",), [None, "", "0" * 64, 0]),
    (("more",), [None, 1, "x" * 4_000_000]),
]


def described_wrongly(dice: Dice, parts: Parts) -> bytes:
    """Says what must not be said, with digests that fit."""
    parts = parts.copy()
    path, values = dice.choice(WRONG)
    wrong = dice.choice(values)
    if path[0] not in ("format_version", "tensors", "digest"):
        put(parts.fields, path, wrong)
        parts.sign()
        return parts.file()
    parts.sign()
    put(parts.fields, path, wrong)
    return parts.file()


def lacking(dice: Dice, parts: Parts) -> bytes:
    parts = parts.copy()
    parts.fields.pop(dice.choice([key for key in parts.fields if key != "digest"]))
    try:
        parts.sign()
    except KeyError:  # it was the table of digests
        pass
    return parts.file()


def text_of_description(dice: Dice, parts: Parts) -> bytes:
    """Damage in the JSON of the description that JSON itself does not forbid, or not everywhere."""
    text, deep = json.dumps(parts.fields), dice.choice([100, 900, 5000, 50_000])
    names = json.dumps(parts.fields["class_names"])
    unsigned = [  # which format 1 cannot notice
        text.replace(names, json.dumps(parts.fields["class_names"][::-1])),
        text.replace('"results": {', '"results": {"deep": ' + "[" * deep + "]" * deep + ", "),
        text.replace('"results": {', '"results": {"n": ' + "9" * deep + ", "),
    ]
    changed = dice.choice(
        [
            *(unsigned if parts.fields["format_version"] > 1 else []),
            text[:-1] + ', "class_names": ["x", "y", "z"]}',
            text.replace('"class_names":', '"class_names": ["x", "y", "z"], "class_names":'),
            text.replace('"name":', '"name": "resnet18", "name":'),
            text.replace('"results": {', '"results": {"loss": NaN, '),
            text.replace('"results": {', '"results": {"loss": -Infinity, '),
            text.replace('"results": {', '"results": {"loss": 1e999, '),
            text.replace('"results": {', '"results": {"n": [' + "0," * 10**6 + "0], "),
            text[: dice.randrange(len(text))],
            text + text,
            text.upper(),
            json.dumps(text),
            json.dumps([parts.fields]),
            "",
            "\0" + text,
        ]
    )
    rest = parts.copy()
    rest.metadata["flowerlib"] = changed
    if not dice.randrange(5):
        rest.metadata = {"flowerlib": dice.choice([None, 1, [text], {"flowerlib": text}])}
    return rest.file()


def changed_behind_the_digest(dice: Dice, parts: Parts) -> bytes:
    if parts.fields["format_version"] == 1:
        return described_wrongly(dice, parts)
    parts = parts.copy()
    paths = list(leaves(parts.fields))
    for _ in range(dice.choice([1, 1, 3])):
        path = dice.choice(paths[:40] if dice.randrange(2) else paths)
        put(parts.fields, path, dice.choice([j for j in JUNK]))
        paths = list(leaves(parts.fields))
    return parts.file()


def leaves(value: Any, path: tuple = ()) -> Any:
    if isinstance(value, (dict, list)) and value:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, (*path, key))
    elif path:
        yield path


def put(fields: Any, path: tuple, value: Any) -> None:
    for key in path[:-1]:
        fields = fields[key]
    fields[path[-1]] = value


KINDS: tuple[Callable[[Dice, Parts], bytes], ...] = (
    cut,
    flipped,
    flipped,
    lost_page,
    other_length,
    another_file,
    pickled,
    header_length,
    header_text,
    entry_of_a_tensor,
    numbers,
    lists_of_photos,
    described_wrongly,
    described_wrongly,
    lacking,
    text_of_description,
    changed_behind_the_digest,
)
