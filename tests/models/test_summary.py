"""A summary counts what a model has, and leaves the model as it was."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from flowerlib import models
from flowerlib.support.errors import InputError


def small() -> nn.Sequential:
    """A frozen convolution with BatchNorm under a trainable layer."""
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1))
    body.requires_grad_(False).eval()
    return nn.Sequential(body, nn.Flatten(), nn.Linear(4, 2)).train()


def test_trainable_and_frozen_are_counted_apart() -> None:
    found = models.summary(small())
    assert [(row["layer"], row["kind"]) for row in found.rows] == [
        ("0", "Sequential"),
        ("1", "Flatten"),
        ("2", "Linear"),
        ("all", "Sequential"),
    ]
    assert [row["trainable"] for row in found.rows] == [0, 0, 10, 10]
    assert [row["frozen"] for row in found.rows] == [3 * 9 * 4 + 4 + 8, 0, 0, 120]
    assert (found.trainable, found.frozen) == (10, 120)


def test_the_depth_opens_layers_and_the_sums_stay() -> None:
    model = small()
    deep = models.summary(model, depth=2)
    assert [row["layer"] for row in deep.rows] == ["0.0", "0.1", "0.2", "1", "2", "all"]
    for depth in (1, 2, 9):
        *rows, total = models.summary(model, depth=depth).rows
        for column in ("trainable", "frozen"):
            assert sum(row[column] for row in rows) == total[column]
    assert total["trainable"] + total["frozen"] == sum(p.numel() for p in model.parameters())


def test_shapes_come_from_a_pass_that_changes_nothing() -> None:
    model = small()  # in train(): a pass would move BatchNorm's statistics
    modes = [module.training for module in model.modules()]
    before = copy.deepcopy(model.state_dict())
    found = models.summary(model, torch.randn(2, 3, 8, 8), depth=2)
    outputs = [row["output"] for row in found.rows]
    assert outputs == ["4 × 6 × 6", "4 × 6 × 6", "4 × 1 × 1", "4", "2", "2"]
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(before[key], now) for key, now in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_failed_pass_leaves_the_model_as_it_was() -> None:
    model = small()
    modes = [module.training for module in model.modules()]
    with pytest.raises(InputError, match=r"cannot take images of shape \(2, 5, 8, 8\)"):
        models.summary(model, torch.randn(2, 5, 8, 8))
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_hooks for module in model.modules())


class Silent(nn.Module):
    """Refuses what it is given without a word."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise AssertionError


@pytest.mark.parametrize("model", [models.backbone("vit_b_32", "none"), Silent()])
def test_whatever_a_model_raises_becomes_a_sentence(model: nn.Module) -> None:
    with pytest.raises(InputError, match=r"cannot take images of shape \(1, 3, 96, 96\): \w+"):
        models.summary(model, torch.zeros(1, 3, 96, 96))


def test_a_model_whose_sizes_are_not_known_yet_is_refused() -> None:
    model = nn.Sequential(nn.Flatten(), nn.LazyLinear(3))
    with pytest.raises(InputError, match="pass images through it once"):
        models.summary(model)
    model(torch.zeros(1, 3, 8, 8))
    assert models.summary(model).trainable == 579


def test_the_mode_is_shown() -> None:
    model = small()
    assert [row["mode"] for row in models.summary(model).rows] == [
        "train",
        "train",
        "train",
        "train",
    ]
    model[0].eval()
    rows = models.summary(model, depth=1).rows
    assert [row["mode"] for row in rows] == ["eval", "train", "train", "mixed"]


def test_weights_used_twice_count_once_and_own_weights_are_not_lost() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(7))
            self.first = nn.Linear(3, 3)
            self.second = self.first

    rows = models.summary(Twice()).rows
    assert [(row["layer"], row["trainable"]) for row in rows] == [
        ("own", 7),
        ("first", 12),
        ("all", 19),
    ]


def test_a_real_network_and_its_text() -> None:
    backbone = models.freeze(models.backbone("small_resnet", "small"))
    model = models.Network(backbone, models.linear_head(512, 2))
    found = models.summary(model, torch.zeros(1, 3, 96, 96))
    assert [row["layer"] for row in found.rows] == ["backbone", "head", "all"]
    assert [row["output"] for row in found.rows] == ["512", "2", "2"]
    assert (found.trainable, found.frozen) == (1026, 1_520_608)
    lines = str(found).splitlines()
    assert lines[0].split() == ["layer", "kind", "output", "trainable", "frozen", "mode"]
    assert "1,520,608" in lines[-1]
    assert repr(found) == "<Summary: 1,026 weights trainable, 1,520,608 frozen>"


@pytest.mark.parametrize("depth", [0, -1])
def test_a_depth_below_one_is_refused(depth: int) -> None:
    with pytest.raises(InputError, match="depth must be 1 or more"):
        models.summary(small(), depth=depth)
