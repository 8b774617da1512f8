"""What the caller has set in torch changes no answer, and stays as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from flowerlib import data, explain, features, models, solvers, train
from flowerlib.classifier import Classifier
from flowerlib.support import modes
from flowerlib.support.errors import InputError
from flowerlib.train import FeatureBatches


@contextlib.contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def default_device(device: str) -> Iterator[None]:
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


SETTINGS = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "float64": lambda: default_dtype(torch.float64),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "default device": lambda: default_device("meta"),
}
WAYS: dict[str, dict[str, Any]] = {
    "linear": {},
    "ridge": {"head": "ridge"},
    "hidden": {"head": "hidden", "hidden": 8, "epochs": 2},
    "best": {"preset": "best"},
}


@pytest.fixture(scope="module")
def splits() -> data.Splits:
    return data.garden("pets", per_class=(6, 3, 3), size=48)


def answers(splits: data.Splits, way: str, folder: Path) -> torch.Tensor:
    options = {"preset": "quick", **WAYS[way]}
    classifier = train.transfer(splits, "small_resnet", cache=False, **options)
    loaded = Classifier.load(classifier.save(folder / "c.safetensors"))
    assert splits.test is not None
    first = classifier.evaluate(splits.test, cache=False).logits
    assert torch.equal(loaded.evaluate(splits.test, cache=False).logits, first)
    assert loaded.predict(splits.test.image(0), top_k=2).logits.dtype == torch.float32
    return first


@pytest.fixture(scope="module")
def plain(splits: data.Splits, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    folder = tmp_path_factory.mktemp("plain")
    return {way: answers(splits, way, folder) for way in WAYS}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_of_the_caller_changes_no_answer(
    splits: data.Splits, plain: dict[str, torch.Tensor], tmp_path: Path, setting: str, way: str
) -> None:
    with SETTINGS[setting]():
        state = current()
        found = answers(splits, way, tmp_path)
        assert current() == state
    assert torch.equal(found, plain[way])


def current() -> tuple[Any, ...]:
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_default_dtype(),
        torch.is_autocast_enabled("cpu"),
        torch.get_default_device(),
        torch.get_num_threads(),
    )


@pytest.mark.parametrize("setting", SETTINGS)
def test_parts_of_the_library_answer_alike(splits: data.Splits, setting: str) -> None:
    def parts() -> list[torch.Tensor]:
        backbone = models.backbone("small_resnet", "small")
        found = features.extract(
            backbone, splits.train, models.default_preprocessing(backbone, "quick"), cache=False
        )
        values, labels = found.values.float(), found.labels
        solved = solvers.logistic(values[::2], labels[::2], values[1::2], labels[1::2], 2)
        ridge = solvers.ridge(values[::2], labels[::2], values[1::2], labels[1::2], 2)
        near = explain.nearest(values, values[:2], 2)[1]
        return [values, solved.head[0].weight, ridge.head[0].weight, near]

    expected = parts()
    with SETTINGS[setting]():
        found = parts()
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("setting", ["no_grad", "inference_mode"])
def test_a_loop_without_gradients_around_it_trains(setting: str) -> None:
    torch.manual_seed(0)
    values, labels = torch.randn(20, 4), torch.arange(20) % 2
    model = nn.Sequential(nn.Linear(4, 2), nn.LogSoftmax(1))
    before = model[0].weight.detach().clone()
    batches = FeatureBatches(values, labels, 8, shuffle=True)
    with SETTINGS[setting]():
        history = train.fit(model, batches, batches, epochs=2)
        assert len(history.rows) == 2
    assert not torch.equal(model[0].weight, before)


def test_a_model_made_in_inference_mode_is_refused_in_one_sentence() -> None:
    with torch.inference_mode():
        model = nn.Sequential(nn.Linear(4, 2), nn.LogSoftmax(1))
        batches = FeatureBatches(
            torch.zeros(4, 4), torch.zeros(4, dtype=torch.long), 4, shuffle=True
        )
    with pytest.raises(InputError, match=r"made inside torch\.inference_mode"):
        train.fit(model, batches, batches, epochs=1)
    modes.check_trainable(nn.Linear(1, 1))
