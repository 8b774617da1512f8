"""Fine-tuning of the last stage, and the presets that `train.transfer` offers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from flowerlib import data, features, models, train
from flowerlib.classifier import Classifier
from flowerlib.data import Splits
from flowerlib.features import engine
from flowerlib.models import backbones
from flowerlib.support.errors import InputError
from flowerlib.train.fine_tuning import last_stage
from flowerlib.train.steps import Computing
from flowerlib.transforms import Preprocessing

SMALL = Preprocessing(64, 64)


@pytest.fixture(scope="module")
def pets() -> Splits:
    return data.garden("pets", per_class=(24, 8, 20))


@pytest.fixture(scope="module")
def backbone() -> models.Backbone:
    return models.backbone("small_resnet", "small")


def tuned(backbone: models.Backbone, pets: Splits, seed: int = 0) -> models.Backbone:
    computing = Computing(precision="fp32", cache=False)
    return last_stage.tuned(backbone, pets.train, SMALL, computing, seed=seed)


def test_only_the_last_stage_learns(backbone: models.Backbone, pets: Splits) -> None:
    before, mode = backbone.digest(), backbone.training
    state = tuned(backbone, pets).body.state_dict()
    assert backbone.digest() == before and backbone.training == mode
    for name, value in backbone.body.state_dict().items():
        learns = name.startswith("layer4") and not name.endswith(("mean", "var", "tracked"))
        assert torch.equal(value, state[name]) != learns, name


def test_the_seed_decides(backbone: models.Backbone, pets: Splits) -> None:
    first, again, other = (tuned(backbone, pets, seed).digest() for seed in (0, 0, 1))
    assert first == again != other


def test_the_training_photos_are_distinguished_better(
    backbone: models.Backbone, pets: Splits
) -> None:
    def loss(network: models.Backbone) -> float:
        found = train.transfer(pets, network, preprocessing=SMALL, precision="fp32", cache=False)
        return found.history.rows[0]["train_loss"]  # of the strongest penalty

    assert loss(tuned(backbone, pets)) < loss(backbone)


def test_maps_are_mirrored_from_left_to_right(backbone: models.Backbone, pets: Splits) -> None:
    lower, upper = models.split(models.freeze(backbone), 64)
    pixels = torch.rand(2, 3, 64, 64)
    maps = lower(pixels)
    assert torch.equal(last_stage.mirrored(last_stage.mirrored(maps, upper), upper), maps)
    shape = (2, -1, 4, 4)
    assert torch.equal(last_stage.mirrored(maps, upper).view(shape), maps.view(shape).flip(3))


def test_preset_best_is_saved_and_loaded(pets: Splits, tmp_path: Path) -> None:
    reported: list[tuple[int, int]] = []
    made = train.transfer(
        pets,
        "small_resnet",
        preset="best",
        precision="fp32",
        cache=False,
        progress=lambda done, total: reported.append((done, total)),
    )
    assert "last stage tuned" in made.backbone.weights
    assert (last_stage.EPOCHS * len(pets.train),) * 2 in reported
    assert made.results["seconds"]["tuning"] > 0
    made.save(tmp_path / "best.safetensors")
    loaded = Classifier.load(tmp_path / "best.safetensors")
    assert loaded.backbone.weights == made.backbone.weights
    expected, found = (
        one.evaluate(pets.test, precision="fp32", cache=False).logits for one in (made, loaded)
    )
    assert torch.equal(expected, found)


def test_presets_differ_in_the_size_of_the_images(backbone: models.Backbone) -> None:
    crops = [models.default_preprocessing(backbone, preset).crop for preset in backbones.PRESETS]
    assert crops == [48, 96, 110]
    with pytest.raises(InputError, match='preset must be one of quick, standard, best, not "most"'):
        models.default_preprocessing(backbone, "most")


def test_a_size_that_the_network_does_not_take(pets: Splits) -> None:
    network = models.backbone("vit_b_16", "none")
    with pytest.raises(InputError, match="vit_b_16 does not compute features of images of 64 pix"):
        engine.Engine(network, SMALL, device="cpu", precision="fp32")
    with pytest.raises(InputError, match="vit_b_16 cannot be split"):
        tuned(network, pets)


def test_copies_are_computed_once(
    backbone: models.Backbone, pets: Splits, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FLOWERLIB_CACHE", str(tmp_path))
    few = pets.test.subset([3, 0, 3, 5, 0])
    options = {"precision": "fp32", "cache": True}
    cold = features.extract(backbone, few, SMALL, **options)
    warm = features.extract(backbone, pets.test.subset([5, 3, 0, 7]), SMALL, **options)
    assert (cold.computed, warm.computed) == (3, 1)
    assert np.array_equal(cold.labels, few.labels)
    assert torch.equal(cold.values[[0, 1]], cold.values[[2, 4]])
    assert torch.equal(warm.values[[2, 1, 0]], cold.values[[1, 0, 3]])
