"""The same answers on a GPU as on the processor; skipped where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from flowerlib import data, features, models, train
from flowerlib.classifier import Classifier
from flowerlib.data import Splits

pytestmark = pytest.mark.gpu
NAME = "small_densenet"


@pytest.fixture(scope="module")
def pets() -> Splits:
    return data.garden("pets", per_class=(40, 15, 30))


@pytest.mark.parametrize(("precision", "apart"), [("fp32", 0.001), ("bf16", 0.1)])
def test_features(pets: Splits, precision: str, apart: float) -> None:
    backbone = models.backbone(NAME, "small", layers="multi-level")
    preprocessing = models.default_preprocessing(backbone)
    exact = features.extract(
        backbone, pets.train, preprocessing, device="cpu", precision="fp32", cache=False
    )
    found = features.extract(
        backbone, pets.train, preprocessing, device="cuda", precision=precision, cache=False
    )
    assert (found.device, found.precision) == ("cuda", precision)
    assert found.values.device.type == "cpu"
    assert float((found.values - exact.values).norm() / exact.values.norm()) < apart


@pytest.mark.parametrize("preset", ["standard", "best"])
def test_what_is_trained_there_answers_here(pets: Splits, preset: str, tmp_path: Path) -> None:
    made = train.transfer(pets, "small_resnet", preset=preset, device="cuda", cache=False)
    assert made.results["device"] == "cuda"
    made.save(tmp_path / "pets.safetensors")
    here = Classifier.load(tmp_path / "pets.safetensors")
    there, found = (
        one.evaluate(pets.test, device=device, precision="fp32", cache=False)
        for one, device in ((made, "cuda"), (here, "cpu"))
    )
    agree = there.logits.argmax(1) == found.logits.argmax(1)
    assert found.accuracy > 0.8 and agree.double().mean() > 0.97


def test_the_readable_loop(pets: Splits) -> None:
    torch.manual_seed(0)
    values = torch.randn(200, 8)
    labels = (values[:, 0] > 0).long()
    model = models.hidden_head(8, 2, (16,)).to("cuda")
    batches = train.FeatureBatches(values, labels, 32, shuffle=True)
    history = train.fit(model, batches, [(values, labels)], epochs=5)
    assert history.rows[-1]["valid_accuracy"] > 0.9
    assert next(model.parameters()).is_cuda
