"""How far the flower lesson's network gets from scratch, if it is trained as well as it can be.

Same pictures, same size, same network as the lesson's frozen one, but random weights, all of which
learn: flips and crops, AdamW, one cycle of the learning rate, label smoothing, many epochs. The
epoch is not chosen: the last one counts, as the cycle was made for it. Beside it the frozen network
with the flower article's head, nothing cached.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from typing import Any

import torch
from torch import Tensor, nn

from flowerlib import data, metrics, models, train
from flowerlib.data import Photos, Splits
from flowerlib.transforms import Augmentation

NETWORK = "small_densenet"
PER_CLASS = (20, 5, 5)  # as in the lesson
EPOCHS, BATCH, LR, WEIGHT_DECAY, SMOOTHING = 40, 32, 0.003, 0.05, 0.1
SEED, HEADS = 0, range(5)


def measure(epochs: int = EPOCHS, per_class: tuple[int, int, int] = PER_CLASS) -> dict[str, Any]:
    """Trains once; accuracy on valid after every epoch, on test at the end, processor seconds."""
    splits = data.garden("flowers", per_class=per_class)
    backbone = models.backbone(NETWORK, "none", seed=SEED)
    preprocessing = models.default_preprocessing(backbone)
    torch.manual_seed(SEED)
    head = models.linear_head(backbone.num_features, len(splits.class_names))
    model = models.Network(backbone, head).to(memory_format=torch.channels_last)
    views = Augmentation(preprocessing, rotation=20.0)
    batches = data.loader(splits.train, views, batch_size=BATCH, shuffle=True, seed=SEED)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=epochs * len(batches))
    loss = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    valid = list(data.loader(splits.valid, preprocessing, batch_size=64))
    rows: list[dict[str, float]] = []
    wall, start = time.perf_counter(), time.process_time()
    for epoch in range(1, epochs + 1):
        batches.dataset.epoch = epoch  # type: ignore[attr-defined]
        model.train()
        for images, labels in batches:
            value = loss(model(images.contiguous(memory_format=torch.channels_last)), labels)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            cycle.step()
        accuracy = metrics.accuracy(*answers(model, valid))
        rows.append({"epoch": epoch, "valid_accuracy": round(accuracy, 4)})
        counts = round(accuracy * len(splits.valid)), len(splits.valid)
        print(f" epoch {epoch}: {metrics.format_accuracy(*counts, 'valid')}", flush=True)
    seconds, waited = time.process_time() - start, time.perf_counter() - wall
    found, fixed = tested(model, splits.test, preprocessing), frozen(splits)
    return {
        "network": f"{NETWORK}, random weights, all of it trained",
        "data": splits.describe(),
        "settings": {
            "epochs": epochs,
            "batch_size": BATCH,
            "lr": LR,
            "weight_decay": WEIGHT_DECAY,
            "label_smoothing": SMOOTHING,
            "augmentation": str(views),
        },
        "rows": rows,
        "frozen": fixed,
        "frozen_minus_scratch": difference(fixed, found),
        "test": found,
        "processor_seconds": round(seconds),
        "wall_seconds": round(waited),
        "threads": torch.get_num_threads(),
    }


def frozen(splits: Splits) -> dict[str, Any]:
    """The same network with its own weights, frozen, and the article's head from several seeds.

    Accuracies are means over the seeds; the processor seconds are those of the first, which
    computes the features.
    """
    seconds, on_valid, right = [], [], []
    with tempfile.TemporaryDirectory() as cache:
        os.environ["FLOWERLIB_CACHE"] = cache
        for seed in HEADS:
            start = time.process_time()
            classifier = train.transfer(
                splits, NETWORK, head="hidden", layers="last", seed=seed, precision="fp32"
            )
            seconds.append(time.process_time() - start)
            on_valid.append(classifier.results["valid"]["accuracy"])
            test = classifier.evaluate(splits.test, precision="fp32")
            right.append((test.logits.argmax(1) == test.labels).double())
    accuracy, low, high = metrics.crossed_interval(torch.stack(right))
    return {
        "seeds": list(HEADS),
        "valid_accuracy": sum(on_valid) / len(on_valid),
        "accuracy": accuracy,
        "interval": [low, high],
        "processor_seconds": round(seconds[0]),
    }


def difference(first: dict[str, Any], second: dict[str, Any]) -> list[float]:
    """Newcombe's interval for the difference of two accuracies, from the interval of each.

    Source: R. G. Newcombe, "Interval estimation for the difference between independent
    proportions", Statistics in Medicine 17 (1998), method 10.
    """
    (low, high), (least, most) = first["interval"], second["interval"]
    one, other = first["accuracy"], second["accuracy"]
    middle = one - other
    down = math.hypot(one - low, most - other)
    up = math.hypot(high - one, other - least)
    return [middle, middle - down, middle + up]


@torch.inference_mode()
def answers(model: nn.Module, batches: Any) -> tuple[Tensor, Tensor]:
    """Logits and labels of all batches, in `eval()`."""
    model.eval()
    found = [(model(images), labels) for images, labels in batches]
    return torch.cat([logits for logits, _ in found]), torch.cat([labels for _, labels in found])


def tested(model: nn.Module, photos: Photos, preprocessing: Any) -> dict[str, Any]:
    """Accuracy on the test set with its 95 % interval."""
    logits, labels = answers(model, data.loader(photos, preprocessing, batch_size=64))
    right, total = int((logits.argmax(1) == labels).sum()), len(labels)
    low, high = metrics.wilson_interval(right, total)
    return {"accuracy": right / total, "interval": [low, high], "num_images": total}
