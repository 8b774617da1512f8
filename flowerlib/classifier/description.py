"""What a classifier's file says beside its numbers, as plain data that is checked; no torch.

Format 2 is one JSON object under the name "flowerlib" in the metadata of a safetensors file. It
holds the SHA-256 of every tensor, and under "digest" that of itself: of the JSON text of all other
fields with sorted names, `separators=(",", ":")` and all but ASCII escaped. So any flipped bit is
noticed, in a weight as in a class name. Format 1 was the same without the two. Format 3 has the
same fields as 2, and the file may list the photos that were learned from (see `artifact`). Format 4
says of the backbone also which layers the features come from, and the package that builds it; up to
format 3, the name of one with multi-level features ended with ".stages".
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from flowerlib.classifier import tensorfile
from flowerlib.classifier.tensorfile import TensorFileError
from flowerlib.data import labeling
from flowerlib.models import head_layers
from flowerlib.models.head_layers import check_fields
from flowerlib.support import strict_json
from flowerlib.support.errors import InputError
from flowerlib.transforms import Preprocessing

NAME = "flowerlib"  # of the text in the file's metadata
FORMAT = "flowerlib.classifier"
FORMAT_VERSION = 4
FIELDS = {"format", "format_version", "backbone", "head", "class_names", "preprocessing"}
FIELDS |= {"versions", "results"}
SIGNATURE = {"tensors", "digest"}  # further fields, from format 2 on
BACKBONE_FIELDS = {"name", "weights"}
BUILT_BY = {"layers", "library", "library_version"}  # further ones of the backbone, from 4 on
LAYERS = ("last", "multi-level")
LIBRARIES = ("", "flowerlib", "timm", "torchvision")
MULTI_LEVEL = ".stages"  # at the end of names up to format 3


@dataclass(frozen=True)
class Description:
    """A classifier without its numbers.

    Attributes:
        backbone: name of the network, to be looked up in `models.names()`.
        weights: where the backbone's weights came from.
        layers: whose features the head gets, "last" or "multi-level".
        library, library_version: the package that builds the network; "" up to format 3, when it
            was torchvision or flowerlib.
        head: its layers, each a dict with "layer" and the settings in `heads.LAYERS`.
        class_names: in the order of the outputs.
        preprocessing: what a photo goes through.
        results: plain data about the training.
        versions: of flowerlib and torch when it was written.
        digests: SHA-256 by tensor; empty in format 1.

    Raises:
        ValueError: an entry is not what it should be; the message says which.
    """

    backbone: str
    weights: str
    head: list[dict[str, Any]]
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    results: dict[str, Any]
    versions: dict[str, str]
    layers: str = "last"
    library: str = ""
    library_version: str = ""
    digests: dict[str, str] = field(default_factory=dict)

    @property
    def head_inputs(self) -> int:
        """The number of features that the head takes."""
        return head_layers.check(self.head)[0]

    def __post_init__(self) -> None:
        names = (self.backbone, self.weights, self.library, self.library_version)
        _check_texts("the backbone", *names)
        if self.layers not in LAYERS:
            raise ValueError(f"its backbone has features of unknown layers {self.layers!a:.80}")
        if self.library not in LIBRARIES:
            raise ValueError(f"its backbone is of the unknown library {self.library!a:.80}")
        labeling.check_class_names(self.class_names)
        widths = head_layers.check(self.head)
        if widths[-1] != len(self.class_names):
            raise ValueError(f"{len(self.class_names)} class names for {widths[-1]} outputs")
        for name, group in (("results", self.results), ("versions", self.versions)):
            if not isinstance(group, dict):
                raise ValueError(f"its {name} are no JSON object")
        _check_texts("its versions", *self.versions.values())
        _check_texts("a tensor's digest", *self.digests.values())


def to_text(description: Description) -> str:
    """The description as JSON in the newest format.

    Raises:
        ValueError: its results cannot be written as strict JSON.
    """
    fields: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "backbone": {
            "name": description.backbone,
            "weights": description.weights,
            "layers": description.layers,
            "library": description.library,
            "library_version": description.library_version,
        },
        "head": description.head,
        "class_names": list(description.class_names),
        "preprocessing": description.preprocessing.to_dict(),
        "versions": description.versions,
        "results": description.results,
        "tensors": description.digests,
    }
    try:
        # There and back, so that the digest is that of the data as it will be read.
        fields = strict_json.strict_json(json.dumps(fields, allow_nan=False))
        return json.dumps({**fields, "digest": _digest(fields)})
    except (TypeError, ValueError, RecursionError) as problem:
        raise ValueError(f"its results cannot be written as JSON: {problem}") from None


def read(header: tensorfile.Header) -> Description:
    """The description in a file's header, of any format up to `FORMAT_VERSION`.

    Raises:
        TensorFileError: the file is no classifier, of a newer format, or damaged.
    """
    if FORMAT not in header.metadata.get(NAME, ""):
        raise TensorFileError("is a safetensors file, but not a flowerlib classifier")
    try:
        fields = strict_json.strict_json(header.metadata[NAME])
        version = fields.get("format_version")
        if fields.get("format") != FORMAT or type(version) is not int or version < 1:
            raise ValueError("its format and format_version are garbled")
        if version > FORMAT_VERSION:
            raise TensorFileError(
                f"was written in format {min(version, 10**9)}, which is newer than this flowerlib "
                f"knows ({FORMAT_VERSION}); update flowerlib"
            )
        check_fields("it", fields, FIELDS | SIGNATURE if version > 1 else FIELDS)
        if set(header.metadata) != {NAME}:
            raise ValueError("it has other metadata beside its description")
        digest = _digest({key: value for key, value in fields.items() if key != "digest"})
        if version > 1 and fields["digest"] != digest:
            raise ValueError("its description does not match its digest")
        return _from_fields(fields, header)
    except (ValueError, RecursionError, InputError) as problem:
        raise TensorFileError(f"is damaged: {str(problem).removesuffix('.')}") from None


def _from_fields(fields: dict[str, Any], header: tensorfile.Header) -> Description:
    version, backbone = fields["format_version"], fields["backbone"]
    wanted = BACKBONE_FIELDS | BUILT_BY if version > 3 else BACKBONE_FIELDS
    check_fields("its backbone", backbone, wanted)
    if version < 4 and isinstance(backbone["name"], str):
        levels = "multi-level" if backbone["name"].endswith(MULTI_LEVEL) else "last"
        name = backbone["name"].removesuffix(MULTI_LEVEL)
        backbone = {**backbone, "name": name, "layers": levels}
    check_fields("its versions", fields["versions"], {"flowerlib", "torch"})
    digests = fields.get("tensors", {})
    if "tensors" in fields:
        check_fields("its table of digests", digests, set(header.entries))
        if not all(isinstance(digest, str) and len(digest) == 64 for digest in digests.values()):
            raise ValueError("a tensor's digest is garbled")
    if not isinstance(fields["class_names"], list):
        raise ValueError("its class names are no list")
    return Description(
        backbone=backbone["name"],
        weights=backbone["weights"],
        head=fields["head"],
        class_names=tuple(fields["class_names"]),
        preprocessing=Preprocessing.from_dict(fields["preprocessing"]),
        results=fields["results"],
        versions=fields["versions"],
        layers=backbone.get("layers", "last"),
        library=backbone.get("library", ""),
        library_version=backbone.get("library_version", ""),
        digests=digests,
    )


def _digest(fields: dict[str, Any]) -> str:
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _check_texts(what: str, *texts: Any) -> None:
    for text in texts:
        short = isinstance(text, str) and len(text) <= labeling.MAX_NAME
        if not short or not labeling.can_be_shown(text):
            raise ValueError(f"{what} is described by something else than a short text")
