"""Modules of one's own as backbones: features by a probe, preprocessing as given, no file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from flowerlib import data, models, train
from flowerlib.support.errors import InputError
from flowerlib.transforms import Preprocessing

PREPROCESSING = Preprocessing(32, 32)


class Own(nn.Module):
    """A network as people write one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, stride=4), nn.BatchNorm2d(8)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(images)).mean((2, 3))


def test_a_module_of_ones_own() -> None:
    own = Own()
    own.norm.eval()
    before = {key: value.clone() for key, value in own.state_dict().items()}
    backbone = models.backbone(own, preprocessing=PREPROCESSING)
    assert (backbone.name, backbone.num_features, backbone.library) == ("Own", 8, models.OWN)
    assert backbone.preprocessing == PREPROCESSING and backbone.body is own
    assert own.training and not own.norm.training  # the probe leaves all as it was
    assert all(torch.equal(value, before[key]) for key, value in own.state_dict().items())
    assert models.backbone(backbone) is backbone


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (nn.Conv2d(3, 8, 3), r"Conv2d makes \(1, 8, 30, 30\) of an image, not features"),
        (nn.Linear(5, 5), r"Linear does not compute features of an image \(1, 3, 32, 32\)"),
        (nn.LSTM(32, 4), "LSTM does not compute features|LSTM makes tuple of an image"),
    ],
)
def test_modules_without_features_are_refused(network: nn.Module, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as problem:
        models.backbone(network, preprocessing=PREPROCESSING)
    assert "\n" not in str(problem.value)


def test_what_has_no_effect_or_is_missing_is_said() -> None:
    with pytest.raises(InputError, match=r"give preprocessing=transforms.Preprocessing\(...\)"):
        models.backbone(Own())
    with pytest.raises(InputError, match="weights has no effect on a module of your own"):
        models.backbone(Own(), "none", preprocessing=PREPROCESSING)
    with pytest.raises(InputError, match="small_resnet comes with its preprocessing"):
        models.backbone("small_resnet", preprocessing=PREPROCESSING)
    with pytest.raises(InputError, match="The levels of Own are not known"):
        models.backbone(Own(), preprocessing=PREPROCESSING, layers="multi-level")


def test_a_backbone_that_nobody_gave_a_preprocessing_says_so() -> None:
    backbone = models.Backbone("first five", Own(), 8, "own")
    with pytest.raises(InputError, match="Nobody said what photos go through before first five"):
        models.default_preprocessing(backbone)
    splits = data.garden("pets", per_class=(4, 2, 2))
    given = {"precision": "fp32", "cache": False}
    made = train.transfer(splits, backbone, preprocessing=PREPROCESSING, **given)
    assert made.preprocessing == PREPROCESSING


def test_it_trains_and_predicts_but_no_file_can_hold_it(tmp_path: Path) -> None:
    splits = data.garden("pets", per_class=(6, 3, 2))
    backbone = models.backbone(Own(), preprocessing=PREPROCESSING)
    made = train.transfer(splits, backbone, precision="fp32", cache=False)
    assert made.preprocessing == PREPROCESSING
    assert splits.test is not None and len(made.predict(splits.test)) == len(splits.test)
    with pytest.raises(InputError, match="Own is a module of your own, whose code a file without"):
        made.save(tmp_path / "c.safetensors")
    assert not list(tmp_path.iterdir())
