"""The classifier's file: backbone, head, class names, preprocessing; written whole or not at all.

Nothing in the file is run as code. The description (`description`) and the shape of every tensor
(`tensorfile`) are checked before a number is read, and every number's digest before it is used.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

import flowerlib
from flowerlib import models
from flowerlib.classifier import description, tensorfile
from flowerlib.classifier.description import Description
from flowerlib.classifier.provenance import Provenance
from flowerlib.classifier.tensorfile import TensorFileError
from flowerlib.models import Backbone, fingerprint, head_layers, state_dicts
from flowerlib.models.weight_files import is_finite
from flowerlib.support import modes, storage
from flowerlib.support.errors import InputError
from flowerlib.transforms import Preprocessing

OLD_CHECKPOINTS = (b"PK\x03\x04", b"\x80\x02")  # a zip archive or a pickle: a file of torch.save
TYPES = {torch.float32: "F32", torch.int64: "I64"}

ROLES = ("trained_on", "chosen_with")  # of photos, in the file as tensors "photos.ROLE"

# backbone, head, class names, preprocessing, results, provenance
Parts = tuple[
    Backbone, nn.Sequential, tuple[str, ...], Preprocessing, dict[str, Any], Provenance | None
]


def write(
    path: Path | str,
    backbone: Backbone,
    head: nn.Sequential,
    class_names: Sequence[str],
    preprocessing: Preprocessing,
    results: dict[str, Any],
    provenance: Provenance | None = None,
) -> None:
    """Writes a classifier to one `.safetensors` file, whole or not at all.

    Equal classifiers give equal bytes. Beside the classifier itself this needs memory for one copy
    of it if it is on a GPU, for none on the CPU.

    Raises:
        InputError: the folder is missing or not writable, or the classifier cannot be described.
    """
    layers = describe_head(head)
    tensors = _tensors(backbone, head)
    try:
        plain, version = _named(backbone)
        if _shapes(tensors) != _shapes(_tensors(plain, build_head(layers))):
            raise ValueError(f"its tensors are not those of {backbone.name} and its head")
        if changed := fingerprint.difference(backbone.body, plain.body, preprocessing.crop):
            raise ValueError(
                f"the file names its backbone, and a {backbone.name} would be without what was "
                f"changed in this one ({changed:.200})"
            )
        for key, value in tensors.items():
            if not is_finite(value):
                raise ValueError(f"its tensor {key} holds values not finite")
        arrays = {key: value.detach().cpu().contiguous().numpy() for key, value in tensors.items()}
        if provenance is not None:
            arrays |= {f"photos.{role}": getattr(provenance, role) for role in ROLES}
        text = description.to_text(
            Description(
                backbone=backbone.name,
                weights=backbone.weights,
                layers=backbone.layers,
                library=backbone.library,
                library_version=version,
                head=layers,
                class_names=tuple(class_names),
                preprocessing=preprocessing,
                results=results,
                versions={"flowerlib": flowerlib.__version__, "torch": str(torch.__version__)},
                digests={key: tensorfile.sha256(array) for key, array in arrays.items()},
            )
        )
        with storage.atomic_path(path) as temporary:
            tensorfile.write(temporary, arrays, {description.NAME: text})
    except InputError:  # a sentence already, such as that of a full disk
        raise
    except (ValueError, TensorFileError) as problem:
        reason = str(problem).removesuffix(".")
        raise InputError(f"The classifier cannot be saved to {path}: {reason}.") from None


def _header(file: BinaryIO, path: Path) -> tensorfile.Header:
    """The file's header; of a file that has none, a checkpoint is named as such."""
    try:
        return tensorfile.read_header(file)
    except TensorFileError:
        file.seek(0)
        # Not asked before: a header's length may begin with the same bytes.
        if not file.read(4).startswith(OLD_CHECKPOINTS):
            raise
    raise TensorFileError(
        "is a checkpoint of torch.save; turn it into a classifier with "
        f"flowerlib import-old {path} --out NEW.safetensors"
    )


@modes.usual()
def read(path: Path) -> Parts:
    """Reads the parts of a classifier.

    The file's size in memory is all that this needs, beside a few megabytes.

    Raises:
        InputError: the file is missing, damaged, of a newer format, or no classifier.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the file in it, classifier.safetensors.")
    if not path.is_file():
        raise InputError(f"{path}: there is no such classifier file.")
    try:
        with open(path, "rb") as file:
            header = _header(file, path)
            found = description.read(header)
            # Built without memory, then given the file's tensors: nothing is initialized in vain.
            backbone, head = _rebuilt(found), build_head(found.head)
            if found.head_inputs != backbone.num_features:
                raise TensorFileError("is damaged: its head does not fit its backbone")
            wanted = _shapes(_tensors(backbone, head)) | _photos(header)
            try:
                tensorfile.check_shapes(header.entries, wanted)
            except TensorFileError:
                _refuse_other_version(found)
                raise
            backbone = models.fillable(backbone)
            dtypes = {name: dtype for dtype, name in TYPES.items()}
            tensors = {}
            for key, (kind, shape) in wanted.items():
                tensors[key] = torch.empty(shape, dtype=dtypes[kind])
                digest = found.digests.get(key, "")
                tensorfile.read_into(file, header, key, tensors[key].numpy(), digest)
            provenance = None
            if lists := [tensors[key].numpy() for key in _photos(header)]:
                try:
                    provenance = Provenance(*lists)
                except ValueError as problem:
                    raise TensorFileError(f"is damaged: {problem}") from None
    except TensorFileError as problem:
        broken = str(problem).startswith(("is damaged", tensorfile.DAMAGED))
        raise InputError(f"{path} {problem}{'; copy or train it again' * broken}.") from None
    except OSError as problem:
        raise InputError(f"{path} cannot be read ({problem.strerror}).") from None
    backbone.weights = found.weights
    for part, module in (("backbone", backbone.body), ("head", head)):
        given = {
            key.removeprefix(f"{part}."): value
            for key, value in tensors.items()
            if key.startswith(f"{part}.")
        }
        state_dicts.load(module, given)
        stray = [key for key, value in module.named_buffers() if value.is_meta]
        if stray:  # a buffer that torchvision computes and does not save
            raise InputError(f"{path}: {part} cannot be restored, it lacks the buffer {stray[0]}.")
    return backbone, head, found.class_names, found.preprocessing, found.results, provenance


def _named(backbone: Backbone) -> tuple[Backbone, str]:
    """The network that a file will say a backbone is, without weights, and its library's version.

    Raises:
        ValueError: a file could not say what it is.
    """
    if backbone.library == models.OWN:
        raise ValueError(
            f"its backbone {backbone.name} is a module of your own, whose code a file without code "
            "cannot hold; use a network that has a name (see `models.names()`), or keep the "
            "module's state dict and the head"
        )
    try:
        plain = models.fillable(models.architecture(backbone.name, backbone.layers))
    except InputError:
        raise ValueError(
            f"its backbone is {backbone.name}, which is not in models.names()"
        ) from None
    return plain, models.library_version(backbone.name)


def _rebuilt(found: Description) -> Backbone:
    """The network that a file names, without values.

    Raises:
        TensorFileError: the network is unknown here.
    """
    try:
        return models.architecture(found.backbone, found.layers)
    except InputError:
        here = _version_here(found.library)
        library = found.library if here else "torchvision"
        was = f" of {library} {found.library_version}" if found.library_version else ""
        update = f"install {library}=={found.library_version}" if was else "update torchvision"
        now = f" ({library} {here})" if here else ""
        raise TensorFileError(
            f"needs the network {found.backbone!a:.80}{was}, which is unknown here{now}; "
            f"update flowerlib, or {update}"
        ) from None


def _refuse_other_version(found: Description) -> None:
    """Says that the library has changed where it has, and so may have the network.

    Raises:
        TensorFileError: the file was written with another version of the library.
    """
    here = _version_here(found.library)
    if here and found.library_version and here != found.library_version:
        raise TensorFileError(
            f"was written with {found.library} {found.library_version}, whose {found.backbone} has "
            f"other tensors than that of {here}; install {found.library}=={found.library_version}, "
            "or train it again"
        )


def _version_here(library: str) -> str:
    return importlib.metadata.version(library) if library in ("torchvision", "timm") else ""


def describe_head(head: nn.Sequential) -> list[dict[str, Any]]:
    """The layers of a head as plain data; `build_head` turns it back.

    Raises:
        InputError: a layer is not one of Linear (with bias), ReLU, Dropout, LogSoftmax (over the
            classes).
    """
    layers: list[dict[str, Any]] = []
    for layer in head:
        if isinstance(layer, nn.Linear) and layer.bias is not None:
            layers.append(
                {"layer": "linear", "inputs": layer.in_features, "outputs": layer.out_features}
            )
        elif isinstance(layer, nn.Dropout):
            layers.append({"layer": "dropout", "p": layer.p})
        elif isinstance(layer, nn.ReLU):
            layers.append({"layer": "relu"})
        elif isinstance(layer, nn.LogSoftmax) and layer.dim in (1, -1):
            layers.append({"layer": "log_softmax"})
        else:
            raise InputError(
                f"A head may hold Linear, ReLU, Dropout and LogSoftmax, not {layer!r:.80}."
            )
    return layers


def build_head(layers: list[dict[str, Any]]) -> nn.Sequential:
    """A head from its description, on the meta device: shapes without values.

    Raises:
        ValueError: the description is not one of a head; see `heads.check`.
    """
    head_layers.check(layers)
    build = {
        "linear": lambda of: nn.Linear(
            of["inputs"], of["outputs"], device="meta", dtype=torch.float32
        ),
        "dropout": lambda of: nn.Dropout(of["p"]),
        "relu": lambda of: nn.ReLU(),
        "log_softmax": lambda of: nn.LogSoftmax(dim=1),
    }
    return nn.Sequential(*(build[of["layer"]](of) for of in layers))


def _tensors(backbone: Backbone, head: nn.Sequential) -> dict[str, Tensor]:
    """A classifier's tensors by their names in the file."""
    return {
        f"{part}.{key}": value
        for part, module in (("backbone", backbone.body), ("head", head))
        for key, value in module.state_dict().items()
    }


def _shapes(tensors: dict[str, Tensor]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The type and shape of each, as `tensorfile` has them."""
    return {
        key: (TYPES.get(value.dtype, str(value.dtype)), tuple(value.shape))
        for key, value in tensors.items()
    }


def _photos(header: tensorfile.Header) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Type and shape of the lists of photos: both of any length, or none, as in older files."""
    keys = [f"photos.{role}" for role in ROLES]
    if not any(key in header.entries for key in keys):
        return {}
    sizes = [header.entries[key].shape[:1] if key in header.entries else (0,) for key in keys]
    return {key: ("I64", size or (0,)) for key, size in zip(keys, sizes, strict=True)}
