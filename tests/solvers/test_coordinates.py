"""Coordinates keep lengths, are as few as can be, and lead back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from flowerlib.solvers import coordinates as module
from flowerlib.solvers.coordinates import coordinates
from flowerlib.support import storage
from flowerlib.support.errors import InputError
from tests.solvers.drawn_features import WIDTH, clouds, few, network_like, root_mean_square


@pytest.mark.parametrize("count", [400, 12], ids=["many", "few"])
def test_lengths_stay_and_weights_lead_back(count: int) -> None:
    values, later = clouds(count, 0)[0], clouds(3, 1)[0]
    found = coordinates(values, later)
    rotated = found.values[:, 1:]
    assert bool((found.values[:, 0] == 1).all())
    assert float(rotated[:count].square().sum(1).mean()) == pytest.approx(1, rel=1e-5)
    every = torch.cat([values, later])
    lengths = (every - values.mean(0)).norm(dim=1) / root_mean_square(values)
    assert torch.allclose(rotated.norm(dim=1), lengths, rtol=1e-4)
    # A mixture of photos: other weights may lie along an axis on which no photo differs.
    mixed = torch.randn(4, len(every), generator=torch.Generator().manual_seed(0))
    weight = torch.cat([torch.ones(4, 1), mixed @ rotated], 1)
    assert torch.allclose(found.layer(weight)(every), found.values @ weight.T, atol=1e-4)
    original = found.to_features(weight[:, 1:]).float() * root_mean_square(values)
    assert torch.allclose(original.norm(dim=1), weight[:, 1:].norm(dim=1), rtol=1e-4)


def test_many_photos_are_seen_along_their_principal_axes() -> None:
    values, _ = clouds(400, 0)
    found = coordinates(values, values[:0])
    products = found.values[:, 1:].T @ found.values[:, 1:] / 400
    assert torch.allclose(products, products.diagonal().diag(), atol=1e-6)
    assert found.train_columns == found.values.shape[1] == 1 + WIDTH


def test_each_of_few_photos_adds_one_axis() -> None:
    values, _ = few(0, [4, 4])
    later, _ = few(1, [3, 3])
    found = coordinates(values, later)
    assert found.values.shape == (14, 15) and found.train_columns == 9
    assert bool((found.values[:8, 9:] == 0).all())
    assert bool((found.values[:, 1:].triu(1) == 0).all())


def test_axes_are_found_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 16)  # two of 16 features and one of 8
    values, _ = network_like(400, 0, 4, 40)
    found = coordinates(values, values[:9])
    centered = values - values.mean(0)
    for start in (0, 16, 32):
        rotated = found.values[:400, 1 + start : 17 + start] * root_mean_square(values)
        assert torch.allclose(rotated.norm(dim=1), centered[:, start : start + 16].norm(dim=1))
    weight = torch.randn(4, 41, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(found.layer(weight)(values), found.values[:400] @ weight.T, atol=1e-4)


def test_a_file_holds_what_memory_would(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values, _ = clouds(400, 0)
    usual = coordinates(values, values[:50]).values
    monkeypatch.setattr(storage, "LARGE", 0)
    monkeypatch.setattr(module, "ROWS", 33)
    assert torch.allclose(coordinates(values, values[:50]).values.abs(), usual.abs(), atol=1e-4)


@pytest.mark.parametrize("count", [60, 8], ids=["many", "few"])
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("where", ["train", "valid"])
def test_what_is_no_number_is_refused(count: int, wrong: float, where: str) -> None:
    values, later = clouds(count, 0)[0], clouds(count, 1)[0]
    (values if where == "train" else later)[3, 4] = wrong
    with pytest.raises(InputError, match="NaN or infinite"):
        coordinates(values, later)


@pytest.mark.parametrize("count", [60, 8], ids=["many", "few"])
def test_photos_that_repeat_others_have_a_place(count: int) -> None:
    values = clouds(count, 0)[0]
    values[: count // 2] = values[count // 2 : 2 * (count // 2)]
    found = coordinates(values, values)
    assert torch.allclose(found.values[:count].norm(dim=1), found.values[count:].norm(dim=1))
    same = coordinates(torch.full((count, WIDTH), 3.0), torch.full((count, WIDTH), 3.0))
    assert float(same.values[:, 1:].abs().max()) < 1e-4
