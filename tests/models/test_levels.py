"""What networks know before their last layer: chains of blocks, summaries of their levels."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from flowerlib import data, models, train
from flowerlib.classifier import Classifier
from flowerlib.data import Splits
from flowerlib.features import folding
from flowerlib.models import chains, levels
from flowerlib.support.errors import InputError
from flowerlib.transforms import Preprocessing

NAMES = [
    *("small_densenet", "small_resnet", "mobilenet_v2", "resnet18", "densenet121"),
    *("efficientnet_lite0", "mobilenet_v3_small", "efficientnet_b0", "convnext_tiny"),
    *("regnet_y_400mf", "shufflenet_v2_x0_5", "mnasnet0_5"),
    *("timm/test_convnext", "timm/test_efficientnet", "timm/resnet10t"),
]
SMALL = Preprocessing(64, 64)


@pytest.fixture(scope="module")
def pets() -> Splits:
    return data.garden("pets", per_class=(12, 6, 10))


def images(count: int = 2, size: int = 64) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", NAMES)
def test_the_chain_is_the_network(name: str) -> None:
    backbone = models.backbone(name, "none").eval()
    found = chains.chain(backbone.body)
    assert found is not None and models.has_levels(backbone)
    with torch.inference_mode():
        maps, last = found(images())
        assert torch.allclose(last, backbone(images()), rtol=1e-4, atol=1e-6)
    assert 64 // maps[0].shape[3] == 8 and {64 // level.shape[3] for level in maps} <= {8, 16, 32}
    assert len(found.levels) == len(maps) and max(found.levels) < len(found.blocks)


def summaries(backbone: models.Backbone, size: int = 64) -> tuple[list[int], torch.Tensor]:
    """The widths of the summaries and the multi-level features of two images."""
    several = models.multi_level(backbone)
    maps, _ = levels.maps_and_features(backbone.body, images(size=size))
    channels = [level.shape[2] if level.ndim == 3 else level.shape[1] for level in maps]
    widths = [width for width in channels for _ in range(2)] + [backbone.num_features]
    values = several(images(size=size))
    assert values.shape == (2, several.num_features) == (2, sum(widths))
    return widths, values


# Not efficientnet_b0: with random weights its features are almost constant.
STANDARDIZED = [name for name in NAMES if name != "efficientnet_b0"]
STANDARDIZED += ["timm/test_vit", "timm/test_byobnet", "timm/test_resnet"]


@pytest.mark.parametrize("name", STANDARDIZED)
def test_every_summary_is_standardized(name: str) -> None:
    plain = models.backbone(name, "none").eval()
    size = 160 if name == "timm/test_vit" else 64
    with torch.inference_mode():
        widths, values = summaries(plain, size)
        last = plain(images(size=size))
    for part in values.split(widths, 1):
        assert torch.allclose(part.mean(1), torch.zeros(2), atol=1e-4)
        assert torch.allclose(
            part.norm(dim=1), torch.tensor(values.shape[1] / len(widths)).sqrt(), rtol=2e-2
        )
    own = values[:, -plain.num_features :]
    alike = torch.nn.functional.cosine_similarity(own, last - last.mean(1, keepdim=True))
    assert torch.allclose(alike, torch.ones(2), atol=1e-4)


def test_torchvisions_vision_transformers_have_levels_and_are_not_split() -> None:
    plain = models.backbone("vit_b_32", "none").eval()
    found = chains.chain(plain.body)
    assert found is not None
    shown = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        maps, last = found(shown)
        assert torch.allclose(last, plain(shown), rtol=1e-4, atol=1e-5)
    assert [level.shape for level in maps] == [(1, 50, 768)] * 2
    assert models.multi_level(plain).num_features == 5 * 768
    with pytest.raises(InputError, match="vit_b_32 cannot be split"):
        models.split(plain, 224)


def test_mean_and_standard_deviation_are_those_of_the_maps() -> None:
    backbone = models.backbone("small_resnet", "small").eval()
    with torch.inference_mode():
        values = models.multi_level(backbone)(images())
        body = backbone.body
        maps = body.layer2(body.layer1(body.maxpool(body.relu(body.bn1(body.conv1(images()))))))
    width = maps.shape[1]
    for expected, part in (
        (maps.mean((2, 3)), values[:, :width]),
        (maps.std((2, 3), correction=0), values[:, width : 2 * width]),
    ):
        centered = expected - expected.mean(1, keepdim=True)
        assert torch.allclose(
            torch.nn.functional.cosine_similarity(part, centered), torch.ones(2), atol=1e-4
        )


@pytest.mark.parametrize("name", ["small_densenet", "mobilenet_v2"])
def test_folded_it_computes_the_same(name: str) -> None:
    staged = models.backbone(name, "none", layers="multi-level").eval()
    folded = folding.fold(staged.body, images())
    with torch.inference_mode():
        expected, found = staged(images()), folded(images())
    assert float((expected - found).norm() / expected.norm()) < 1e-3


def test_maps_of_one_pixel_do_not_vary() -> None:
    staged = models.backbone("mobilenet_v2", "none", layers="multi-level").eval()
    with torch.inference_mode():
        assert torch.isfinite(staged(images()[:, :, :32, :32])).all()


def test_by_name_or_from_a_network() -> None:
    plain = models.backbone("small_resnet", "small")
    staged = models.multi_level(plain)
    assert (staged.name, staged.layers, plain.layers) == ("small_resnet", "multi-level", "last")
    again = models.backbone("small_resnet", "small", layers="multi-level")
    assert staged.digest() == again.digest()
    assert next(staged.parameters()) is next(plain.parameters())  # shared
    assert models.multi_level(staged) is staged
    assert models.default_preprocessing(staged) == models.default_preprocessing(plain)
    with pytest.raises(InputError, match="The levels of squeezenet1_1 are not known; use"):
        models.multi_level(models.backbone("squeezenet1_1", "none"))
    with pytest.raises(InputError, match='layers must be "last" or "multi-level", not \'all\''):
        models.backbone("small_resnet", "small", layers="all")


def test_what_was_frozen_stays_frozen() -> None:
    plain = models.backbone("small_resnet", "small")
    assert models.multi_level(plain.train()).body.body.training
    assert not models.multi_level(plain.eval()).training
    staged = models.multi_level(models.freeze(plain))
    staged.train()
    assert not any(module.training for module in staged.modules())
    assert not any(True for _ in models.trainable_parameters(staged))


def test_with_its_last_layer_it_is_the_network_again() -> None:
    plain = models.freeze(models.backbone("small_resnet", "small"))
    again = models.last_layer(models.multi_level(plain))
    assert (again.name, again.num_features) == (plain.name, plain.num_features)
    assert again.digest() == plain.digest() and again.body is plain.body
    assert not again.train().training  # still frozen
    assert models.last_layer(plain) is plain


def test_a_network_with_multi_level_features_is_tuned_as_one_without(pets: Splits) -> None:
    plain = models.backbone("small_resnet", "small")
    made = [
        train.transfer(
            pets, backbone, layers=layers, preset="best", preprocessing=SMALL, precision="fp32",
            cache=False,
        )
        for backbone, layers in ((models.multi_level(plain), "auto"), (plain, "multi-level"))
    ]  # fmt: skip
    assert {one.backbone.layers for one in made} == {"multi-level"}
    assert made[0].backbone.digest() == made[1].backbone.digest()


def test_what_a_head_sees(pets: Splits) -> None:
    def seen(backbone: str, **options: str) -> str:
        made = train.transfer(
            pets, backbone, preprocessing=SMALL, precision="fp32", cache=False, **options
        )
        return made.backbone.layers

    assert seen("small_resnet") == seen("small_resnet", head="ridge") == "multi-level"
    assert seen("small_resnet", head="hidden") == "last"
    assert seen("small_resnet", layers="last") == "last"
    assert seen("small_resnet", layers="multi-level", head="hidden") == "multi-level"
    assert seen("squeezenet1_1", weights="none") == "last"
    with pytest.raises(InputError, match="The levels of squeezenet1_1 are not known"):
        seen("squeezenet1_1", weights="none", layers="multi-level")
    with pytest.raises(InputError, match='must be "auto", "last" or "multi-level", not "all"'):
        seen("small_resnet", layers="all")


def test_the_classifier_comes_back_from_its_file(pets: Splits, tmp_path: Path) -> None:
    made = train.transfer(pets, "small_densenet", precision="fp32", cache=False)
    made.save(tmp_path / "pets.safetensors")
    loaded = Classifier.load(tmp_path / "pets.safetensors")
    assert (loaded.backbone.name, loaded.backbone.layers) == ("small_densenet", "multi-level")
    expected, found = (
        one.evaluate(pets.test, precision="fp32", cache=False).logits for one in (made, loaded)
    )
    assert torch.equal(expected, found)


def test_levels_know_more_than_the_last_layer() -> None:
    splits = data.garden("things", per_class=(30, 15, 30))
    last, every = (
        train.transfer(splits, "small_resnet", layers=layers, precision="fp32", cache=False)
        .evaluate(splits.test, precision="fp32", cache=False)
        .accuracy
        for layers in ("last", "multi-level")
    )
    assert every > last + 0.05
