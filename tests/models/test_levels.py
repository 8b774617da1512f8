"""What networks know before their last layer: chains of blocks, summaries of their stages."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from flowerlib import data, models, train
from flowerlib.classifier import Classifier
from flowerlib.data import Splits
from flowerlib.features import folding
from flowerlib.models import levels
from flowerlib.support.errors import InputError
from flowerlib.transforms import Preprocessing

NAMES = ["small_densenet", "small_resnet", "mobilenet_v2", "resnet18", "densenet121"]
SMALL = Preprocessing(64, 64)


@pytest.fixture(scope="module")
def pets() -> Splits:
    return data.garden("pets", per_class=(12, 6, 10))


def images(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", NAMES)
def test_the_chain_is_the_network(name: str) -> None:
    backbone = models.backbone(name, "none").eval()
    found = levels.chain(backbone.body)
    assert found is not None and levels.known(name)
    maps, sides = images(), []
    with torch.inference_mode():
        for count, block in enumerate(found.blocks, 1):
            maps = block(maps)
            if count in found.ends:
                sides.append((maps.shape[1], maps.shape[3]))
        maps = maps.relu() if found.rectified else maps
        assert torch.allclose(maps.mean((2, 3)), backbone(images()), rtol=1e-4, atol=1e-6)
    assert [width for width, _ in sides] == found.widths()
    assert {64 // side for _, side in sides} <= {8, 16, 32} and sides[0][1] == 8


@pytest.mark.parametrize("name", NAMES)
def test_every_summary_is_standardized(name: str) -> None:
    plain = models.backbone(name, "none").eval()
    staged = models.with_stages(plain)
    found = levels.chain(plain.body)
    assert found is not None
    with torch.inference_mode():
        values, last = staged(images()), plain(images())
    assert values.shape == (2, staged.num_features)
    widths = [width for width in found.widths() for _ in range(2)] + [plain.num_features]
    for part in values.split(widths, 1):
        assert torch.allclose(part.mean(1), torch.zeros(2), atol=1e-4)
        assert torch.allclose(
            part.norm(dim=1), torch.tensor(values.shape[1] / len(widths)).sqrt(), rtol=1e-4
        )
    own = values[:, -plain.num_features :]
    alike = torch.nn.functional.cosine_similarity(own, last - last.mean(1, keepdim=True))
    assert torch.allclose(alike, torch.ones(2), atol=1e-4)


def test_mean_and_spread_are_those_of_the_maps() -> None:
    backbone = models.backbone("small_resnet", "small").eval()
    with torch.inference_mode():
        values = models.with_stages(backbone)(images())
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
    staged = models.backbone(f"{name}.stages", "none").eval()
    folded = folding.fold(staged.body, images())
    with torch.inference_mode():
        expected, found = staged(images()), folded(images())
    assert float((expected - found).norm() / expected.norm()) < 1e-3


def test_maps_of_one_pixel_have_no_spread() -> None:
    staged = models.backbone("mobilenet_v2.stages", "none").eval()
    with torch.inference_mode():
        assert torch.isfinite(staged(images()[:, :, :32, :32])).all()


def test_by_name_or_from_a_network() -> None:
    plain = models.backbone("small_resnet", "small")
    staged = models.with_stages(plain)
    assert staged.name == "small_resnet.stages" in models.names()
    assert staged.digest() == models.backbone("small_resnet.stages", "small").digest()
    assert next(staged.parameters()) is next(plain.parameters())  # shared
    assert models.with_stages(staged) is staged
    assert models.default_preprocessing(staged) == models.default_preprocessing(plain)
    with pytest.raises(InputError, match="The stages of squeezenet1_1 are not known; use"):
        models.with_stages(models.backbone("squeezenet1_1", "none"))
    with pytest.raises(InputError, match='no backbone called "vgg11.stages"'):
        models.backbone("vgg11.stages", "none")


def test_what_was_frozen_stays_frozen() -> None:
    plain = models.backbone("small_resnet", "small")
    assert models.with_stages(plain.train()).body.body.training
    assert not models.with_stages(plain.eval()).training
    staged = models.with_stages(models.freeze(plain))
    staged.train()
    assert not any(module.training for module in staged.modules())
    assert not any(True for _ in models.trainable_parameters(staged))


def test_without_stages_it_is_the_network_again() -> None:
    plain = models.freeze(models.backbone("small_resnet", "small"))
    again = models.without_stages(models.with_stages(plain))
    assert (again.name, again.num_features) == (plain.name, plain.num_features)
    assert again.digest() == plain.digest() and again.body is plain.body
    assert not again.train().training  # still frozen
    assert models.without_stages(plain) is plain


def test_a_network_with_stages_is_tuned_as_one_without(pets: Splits) -> None:
    plain = models.backbone("small_resnet", "small")
    made = [
        train.transfer(
            pets, backbone, layers=layers, preset="best", preprocessing=SMALL, precision="fp32",
            cache=False,
        )
        for backbone, layers in ((models.with_stages(plain), "auto"), (plain, "stages"))
    ]  # fmt: skip
    assert {one.backbone.name for one in made} == {"small_resnet.stages"}
    assert made[0].backbone.digest() == made[1].backbone.digest()


def test_what_a_head_sees(pets: Splits) -> None:
    def seen(backbone: str, **options: str) -> str:
        made = train.transfer(
            pets, backbone, preprocessing=SMALL, precision="fp32", cache=False, **options
        )
        return made.backbone.name

    assert seen("small_resnet") == seen("small_resnet", head="ridge") == "small_resnet.stages"
    assert seen("small_resnet", head="hidden") == "small_resnet"
    assert seen("small_resnet", layers="last") == "small_resnet"
    assert seen("small_resnet", layers="stages", head="hidden") == "small_resnet.stages"
    assert seen("small_resnet.stages", head="hidden") == "small_resnet.stages"
    assert seen("squeezenet1_1", weights="none") == "squeezenet1_1"
    with pytest.raises(InputError, match='gives more than its last layer; say "small_resnet"'):
        seen("small_resnet.stages", layers="last")
    with pytest.raises(InputError, match="The stages of squeezenet1_1 are not known"):
        seen("squeezenet1_1", weights="none", layers="stages")
    with pytest.raises(InputError, match='layers must be "auto", "last" or "stages", not "all"'):
        seen("small_resnet", layers="all")


def test_the_classifier_comes_back_from_its_file(pets: Splits, tmp_path: Path) -> None:
    made = train.transfer(pets, "small_densenet", precision="fp32", cache=False)
    made.save(tmp_path / "pets.safetensors")
    loaded = Classifier.load(tmp_path / "pets.safetensors")
    assert loaded.backbone.name == "small_densenet.stages"
    expected, found = (
        one.evaluate(pets.test, precision="fp32", cache=False).logits for one in (made, loaded)
    )
    assert torch.equal(expected, found)


def test_stages_know_more_than_the_last_layer() -> None:
    splits = data.garden("things", per_class=(30, 15, 30))
    last, every = (
        train.transfer(splits, "small_resnet", layers=layers, precision="fp32", cache=False)
        .evaluate(splits.test, precision="fp32", cache=False)
        .accuracy
        for layers in ("last", "stages")
    )
    assert every > last + 0.05
