"""What the garden shows: how hard it is for pixels, how far pretrained features carry.

Every row is measured on data drawn with five seeds, learning and test pictures
all different: `python -m benchmarks garden_seeds`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

import torch
from torch import Tensor, nn

from flowerlib import data, metrics, models, train
from flowerlib.data import Photos, Splits

SEEDS = range(5)
FLOWERS = (16, 4, 4)  # 20 to learn from: the head is solved again with train and valid together
PETS = (100, 100, 300)  # the budget of lesson 2; the head is solved again with train and valid
FURNITURE = (80, 20, 100)

# A fresh process with an empty cache: imports, drawing, features, head, test.
COLD = """
import json, sys, time
from flowerlib import data, train
splits = data.garden("flowers", per_class={per_class}, seed={seed})
drawn = time.perf_counter()
classifier = train.transfer(splits, "small_densenet", layers="last")  # as its companions here
seconds = time.perf_counter() - drawn
test = classifier.evaluate(splits.test)
json.dump(dict(accuracy=test.accuracy, seconds=seconds), sys.stdout)
"""


def cold_transfer(seed: int) -> dict[str, float]:
    """Frozen small DenseNet and linear head on 102 species, everything cold."""
    with tempfile.TemporaryDirectory() as cache:
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", COLD.format(per_class=FLOWERS, seed=seed)],
            env={**os.environ, "FLOWERLIB_CACHE": cache},
            capture_output=True,
            text=True,
            check=True,
        )
        wall = time.perf_counter() - start
    return {**json.loads(done.stdout), "wall_seconds": wall}


def pixels(splits: Splits, side: int = 32) -> float:
    """Test accuracy of ridge regression on pixels; penalty chosen on valid."""

    def flat(part: Photos) -> Tensor:
        small = [part.image(i).resize((side, side)) for i in range(len(part))]
        return torch.stack([_tensor(image).flatten() for image in small])

    values, valid, test = (flat(part) for part in (splits.train, splits.valid, splits.test))
    mean, labels = values.mean(0), torch.from_numpy(splits.train.labels)
    wanted = nn.functional.one_hot(labels, len(splits.class_names)).double()
    centered = (values - mean).double()
    kernel = centered @ centered.T
    found = []
    for penalty in (1.0, 10.0, 100.0, 1000.0, 10000.0):
        eye = penalty * torch.eye(len(kernel), dtype=torch.float64)
        weights = centered.T @ torch.linalg.solve(kernel + eye, wanted - wanted.mean(0))
        scores = [(part - mean).double() @ weights + wanted.mean(0) for part in (valid, test)]
        right = [
            metrics.accuracy(score, torch.from_numpy(part.labels))
            for score, part in zip(scores, (splits.valid, splits.test), strict=True)
        ]
        found.append(right)
    return max(found)[1]


def _tensor(image: Any) -> Tensor:
    import numpy as np

    return torch.from_numpy(np.asarray(image, dtype=np.float32) / 255)


def frozen(splits: Splits, backbone: models.Backbone) -> tuple[float, float]:
    """Test accuracy and training seconds of a linear head on the features of a frozen backbone."""
    start = time.perf_counter()
    classifier = train.transfer(splits, backbone, cache=False)
    seconds = time.perf_counter() - start
    return classifier.evaluate(splits.test, cache=False).accuracy, seconds


def scratch_densenet(splits: Splits, seconds: float, seed: int) -> float:
    """Test accuracy of a small DenseNet trained from random weights for so many seconds."""
    backbone = models.backbone("small_densenet", "none", seed=seed)
    head = models.linear_head(backbone.num_features, len(splits.class_names))
    model = models.Network(backbone, head).to(memory_format=torch.channels_last)
    preprocessing = models.default_preprocessing(backbone)
    loader = data.loader(splits.train, preprocessing, batch_size=32, shuffle=True, seed=seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        model.train()
        for images, labels in loader:
            loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if time.perf_counter() > end:
                break
    test = data.loader(splits.test, preprocessing, batch_size=64)
    return train.evaluate(model, test, nn.CrossEntropyLoss())[1]


def scratch_cnn(splits: Splits, seed: int, size: int = 64) -> tuple[float, float]:
    """Test accuracy and seconds of the three-convolution network after ten epochs."""
    from flowerlib.transforms import Preprocessing

    preprocessing = Preprocessing(size, size)
    torch.manual_seed(seed)
    model = models.SmallCNN(len(splits.class_names), size)
    parts = [
        (torch.stack([preprocessing(part.image(i)) for i in range(len(part))]), part.labels)
        for part in (splits.train, splits.valid, splits.test)
    ]
    batches = [
        train.FeatureBatches(images, torch.from_numpy(labels), 32, shuffle=number == 0, seed=seed)
        for number, (images, labels) in enumerate(parts)
    ]
    start = time.perf_counter()
    train.fit(model, *batches[:2], epochs=10, lr=0.001, loss=nn.CrossEntropyLoss())
    seconds = time.perf_counter() - start
    return train.evaluate(model, batches[2], nn.CrossEntropyLoss())[1], seconds


def things(seed: int) -> dict[str, float]:
    """The last five things with 30 pictures a class, five epochs: frozen feature layers, scratch.

    The feature layers, two convolutions with 64 filters, come from the first five classes.
    """
    from flowerlib.transforms import Preprocessing

    splits = data.garden("things", per_class=(200, 50, 100), size=32, seed=seed)
    preprocessing = Preprocessing(32, 32, mean=(0.5,) * 3, std=(0.25,) * 3)
    first = splits.of_classes(splits.class_names[:5])
    last = splits.of_classes(splits.class_names[5:])

    def batches(part: Photos, batch_size: int, shuffle: bool) -> train.FeatureBatches:
        images = torch.stack([preprocessing(part.image(i)) for i in range(len(part))])
        labels = torch.from_numpy(part.labels)
        return train.FeatureBatches(images, labels, batch_size, shuffle=shuffle, seed=seed)

    def network() -> nn.Sequential:
        below: list[nn.Module] = [nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU()]
        below += [nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten()]
        above = [nn.Linear(64 * 14 * 14, 128), nn.ReLU(), nn.Dropout(0.25), nn.Linear(128, 5)]
        return nn.Sequential(nn.Sequential(*below), nn.Sequential(*above))

    def teach(model: nn.Module, part: Photos, other: Splits, epochs: int) -> float:
        batch, valid = batches(part, 16, True), batches(other.valid, 256, False)
        start = time.perf_counter()
        train.fit(model, batch, valid, epochs=epochs, lr=0.001, loss=nn.CrossEntropyLoss())
        return time.perf_counter() - start

    torch.manual_seed(seed)
    taught = network()
    teach(taught, first.train, first, 4)
    few, test = last.train.per_class(30, seed), batches(last.test, 256, False)
    frozen_model, scratch = network(), network()
    frozen_model[0] = models.freeze(taught[0])
    found = {}
    for name, model in (("frozen", frozen_model), ("scratch", scratch)):
        found[f"{name}_seconds"] = teach(model, few, last, 5)
        found[name] = train.evaluate(model, test, nn.CrossEntropyLoss())[1]
    return found


def measure() -> dict[str, Any]:
    """All rows, seed by seed; means with 95 % intervals over the seeds."""
    rows: list[dict[str, float]] = []
    for seed in SEEDS:
        row: dict[str, float] = {}
        cold = cold_transfer(seed)
        row["flowers, frozen small DenseNet"] = cold["accuracy"]
        row["flowers, frozen small DenseNet, seconds of the cold process"] = cold["wall_seconds"]
        flowers = data.garden("flowers", per_class=FLOWERS, seed=seed)
        row["flowers, linear model on pixels"] = pixels(flowers)
        random = models.backbone("small_densenet", "none", seed=seed)
        row["flowers, frozen random weights"], _ = frozen(flowers, random)
        row["flowers, from scratch in the same time"] = scratch_densenet(
            flowers, cold["wall_seconds"], seed
        )
        resnet, densenet = (
            models.backbone(name, "small") for name in ("small_resnet", "small_densenet")
        )
        pets = data.garden("pets", per_class=PETS, seed=seed)
        row["pets, linear model on pixels"] = pixels(pets)
        cnn, row["pets, three convolutions, seconds"] = scratch_cnn(pets, seed)
        row["pets, three convolutions from scratch"] = cnn
        accuracy, row["pets, frozen small ResNet, seconds"] = frozen(pets, resnet)
        row["pets, frozen small ResNet"] = accuracy
        furniture = data.garden("furniture", per_class=FURNITURE, seed=seed)
        row["furniture, linear model on pixels"] = pixels(furniture)
        for name, backbone in (("small ResNet", resnet), ("small DenseNet", densenet)):
            accuracy, row[f"furniture, frozen {name}, seconds"] = frozen(furniture, backbone)
            row[f"furniture, frozen {name}"] = accuracy
        for name, value in things(seed).items():
            row[f"things, last five, {name.replace('_', ', ')}"] = value
        rows.append(row)
        print(f"  {len(rows)} of {len(SEEDS)} seeds", flush=True)
    summary = {}
    for name in sorted(rows[0]):
        values = [row[name] for row in rows]
        mean, low, high = metrics.mean_interval(values)
        summary[name] = {
            "mean": round(mean, 4),
            "interval": [round(low, 4), round(high, 4)],
            "runs": [round(value, 4) for value in values],
        }
    return {"seeds": list(SEEDS), "rows": summary, "threads": torch.get_num_threads()}
