"""Writes tests/samples/classifier_format_N.safetensors.xz with the format N of the code at hand.

    python -m tests.samples.make

Run once for every format, when it is new; the samples of older formats are never written again,
since they stand for files that people have. The weights are no training's: they repeat after 101
values, so that the file compresses to a few kilobytes.
"""

from __future__ import annotations

import json
import lzma
import math
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from flowerlib import models
from flowerlib.classifier import Classifier, description
from flowerlib.classifier.provenance import Provenance
from flowerlib.transforms import Preprocessing

FOLDER = Path(__file__).parent
CLASS_NAMES = ("fire lily", "Rosé", "玫瑰", "hard-leaved pocket orchid", "10")
PROVENANCE = Provenance(np.array([-(2**63), -7, 3, 2**63 - 1]), np.array([-1, 0]))


def fill(module: nn.Module) -> None:
    """Sets every tensor to simple numbers that keep the answers of a network in bounds."""
    for key, value in module.state_dict().items():
        wave = (torch.arange(value.numel()) * 37 % 101 - 50) / 50  # in [-1, 1]
        if not value.is_floating_point():
            value.fill_(3)
        elif value.dim() > 1:
            value.copy_((wave * math.sqrt(6 / value[0].numel())).reshape(value.shape))
        else:
            offset = 0.0 if key.endswith(("bias", "running_mean")) else 1.0
            value.copy_((offset + wave / 4).reshape(value.shape))


def classifier() -> Classifier:
    """A small network with a hidden layer in its head, and class names from several scripts."""
    backbone = models.backbone("small_resnet", "none")
    head = models.hidden_head(backbone.num_features, len(CLASS_NAMES), (8,), 0.25)
    fill(backbone.body)
    fill(head)
    preprocessing = Preprocessing(40, 32, (0.5, 0.25, 0.125), (0.25, 0.5, 0.2), "bicubic")
    results = {"accuracy": 0.75, "photos": [12, None], "notes": {"Größe": "süß"}}
    return Classifier(backbone, head, CLASS_NAMES, preprocessing, results, PROVENANCE)


def picture() -> Image.Image:
    """48 x 40 pixels of slopes and steps."""
    down, across = torch.meshgrid(torch.arange(40), torch.arange(48), indexing="ij")
    colors = torch.stack([down * 6, across * 5, (down // 8 + across // 8) % 2 * 200], 2)
    return Image.fromarray(colors.to(torch.uint8).numpy())


def main() -> None:
    """Writes the sample and the answer that it gives today."""
    made = classifier()
    with tempfile.TemporaryDirectory() as folder:
        content = made.save(Path(folder, "sample.safetensors")).read_bytes()
    name = f"classifier_format_{description.FORMAT_VERSION}"
    (FOLDER / f"{name}.safetensors.xz").write_bytes(lzma.compress(content, preset=9))
    logits = made.logits([picture()], precision="fp32", device="cpu")[0]
    answer = {"digest": made.backbone.digest(), "logits": logits.tolist()}
    (FOLDER / f"{name}.json").write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
