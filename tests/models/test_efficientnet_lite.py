"""Our EfficientNet-Lite computes what timm's does, and needs neither timm nor torchvision."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from flowerlib import classifier, models, transforms
from flowerlib.features import folding
from flowerlib.models import chains, efficientnet_lite, lite_networks

NAME = "efficientnet_lite0"


def random_statistics(network: nn.Module) -> nn.Module:
    """Gives BatchNorm numbers that a mistake would show in, in place."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.running_mean, layer.bias.data):
                values.normal_()
            for values in (layer.running_var, layer.weight.data):
                values.uniform_(0.5, 2)
    return network


@pytest.mark.parametrize("name", lite_networks.LITE)
def test_same_names_and_same_numbers_as_timms(name: str) -> None:
    with models.seeded(0):
        theirs = random_statistics(timm.create_model(f"tf_{name}", num_classes=0))
        ours = models.backbone(name, "none").body
        images = torch.randn(2, 3, 113, 96)  # sides of which one is odd in every stage
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    for training in (False, True):
        with torch.no_grad():
            assert torch.equal(ours.train(training)(images), theirs.train(training)(images))


def test_same_levels_as_timms() -> None:
    with models.seeded(0):
        theirs = random_statistics(timm.create_model(f"tf_{NAME}", num_classes=0)).eval()
        ours = models.backbone(NAME, "none").body.eval()
        images = torch.randn(1, 3, 64, 64)
    ours.load_state_dict(theirs.state_dict())
    chain, expected = chains.chain(ours), chains.chain(theirs)
    assert chain and expected
    with torch.inference_mode():
        levels, last = chain(images)
        for level, other in zip(levels, expected(images)[0], strict=True):
            assert torch.equal(level, other)
        assert torch.equal(last, theirs(images))
    assert [level.shape[1] for level in levels] == list(chain.widths)


def test_random_weights_keep_the_size_of_maps() -> None:
    network = models.backbone(NAME, "none", seed=0).eval()
    with models.seeded(0), torch.inference_mode():
        features = network(torch.randn(2, 3, 224, 224))
    assert 0.01 < features.std() < 10
    torch_default = efficientnet_lite.EfficientNetLite().eval()
    assert not torch.equal(network.body.conv_head.weight, torch_default.conv_head.weight)


def test_all_batch_norms_are_folded() -> None:
    with models.seeded(0):
        network = random_statistics(models.backbone(NAME, "none").body).eval()
        images = torch.randn(2, 3, 64, 64)
    folded = folding.fold(network, images)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())


def test_a_classifier_of_timms_time_loads(tmp_path: Path) -> None:
    """Files from before this network was ours name timm as its library."""
    backbone = models.freeze(models.backbone(NAME, "none"))
    made = classifier.Classifier(
        backbone,
        models.linear_head(backbone.num_features, 2),
        ["cat", "dog"],
        transforms.Preprocessing(64, 64),
    )
    backbone.library = "timm"
    made.save(tmp_path / "c.safetensors")
    assert b'"library": "timm"' in (tmp_path / "c.safetensors").read_bytes().replace(b"\\", b"")
    loaded = classifier.Classifier.load(tmp_path / "c.safetensors")
    assert loaded.backbone.digest() == backbone.digest()


def test_training_and_prediction_import_no_compiler(tmp_path: Path) -> None:
    """torchvision brings torch's compiler along, which takes as long to import as torch itself."""
    code = """
import sys
from flowerlib import classifier, data, train
photos = data.garden("pets", per_class=(4, 2, 2))
made = train.transfer(photos, "efficientnet_lite0", preset="quick")
made.save("c.safetensors")
classifier.Classifier.load("c.safetensors").predict(photos.test[0][0])
print(sorted({"torchvision", "timm", "sympy"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stdout + done.stderr
