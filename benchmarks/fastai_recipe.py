"""fastai's `vision_learner(...).fine_tune(...)` with the same backbone and the same weights.

The weights file has BatchNorm folded into the convolutions (mean 0, variance 1). fastai keeps
BatchNorm in training mode, where that would ruin the network, so the layers get statistics of
their own again before the clock starts; in `eval()` the network answers as before.
"""

from __future__ import annotations

import sys
import time
from typing import Any


def train(
    folder: str, weights: str, epochs: int, goal: float, started: float, batch_size: int = 64
) -> dict:
    """One frozen epoch, then fine-tuning, until valid accuracy reaches the goal or all are over.

    Args:
        folder: holds train/ and valid/, one folder a class.
        weights: a file that `unfold` wrote.
        epochs: after the frozen one.
        goal: accuracy, a fraction in [0, 1].
        started: `time.time()` before this process began.
        batch_size: fastai's default is 64.

    Returns:
        One row an epoch (valid accuracy, seconds since the start) and whether the goal was reached.
    """
    from importlib.metadata import version

    import torch
    from fastai.callback.core import Callback, CancelFitException
    from fastai.vision import all as vision
    from torchvision.models import mobilenet_v2

    from flowerlib import metrics

    vision.set_seed(0)
    data = vision.ImageDataLoaders.from_folder(
        folder,
        train="train",
        valid="valid",
        item_tfms=vision.Resize(256),
        batch_tfms=[
            *vision.aug_transforms(size=224),
            vision.Normalize.from_stats(*vision.imagenet_stats),
        ],
        bs=batch_size,
        num_workers=2,
    )

    # fastai finds a network's classifier by the pooling layer before it, which mobilenet_v2 has
    # only as a function.
    def backbone(pretrained: bool) -> torch.nn.Module:
        layers = mobilenet_v2().features
        layers.load_state_dict(torch.load(weights, weights_only=True))
        return torch.nn.Sequential(layers, torch.nn.AdaptiveAvgPool2d(1))

    learner = vision.vision_learner(data, backbone, metrics=vision.accuracy)
    rows: list[dict] = []

    class Stopwatch(Callback):
        def after_epoch(self) -> None:
            accuracy = float(self.recorder.values[-1][-1])
            seconds = time.time() - started
            rows.append({"epoch": len(rows) + 1, "valid_accuracy": accuracy, "seconds": seconds})
            count = len(data.valid_ds)
            accuracy_text = metrics.format_accuracy(round(accuracy * count), count, "valid")
            print(
                f"  epoch {len(rows)}: {accuracy_text} after {seconds:.0f} s",
                file=sys.stderr,
                flush=True,
            )

        order = 90  # after the recorder has written its row

        def before_epoch(self) -> None:
            if rows and rows[-1]["valid_accuracy"] >= goal:
                raise CancelFitException

    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(epochs, cbs=Stopwatch())
    return {
        "seconds": rows[-1]["seconds"],
        "rows": rows,
        "reached": rows[-1]["valid_accuracy"] >= goal,
        "precision": "fp32",
        "threads": torch.get_num_threads(),
        "fastai": version("fastai"),
    }


def unfold(folder: str, weights: str, out: str, count: int) -> dict:
    """Writes mobilenet_v2's feature layers with BatchNorm statistics taken from some photos."""
    import torch
    from torchvision import transforms

    from benchmarks.throughput import chosen
    from flowerlib import models

    network = models.backbone("mobilenet_v2", weights).body.features
    dataset = chosen(folder, count)
    dataset.transform = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    give_statistics(network, torch.stack([dataset[number][0] for number in range(count)]))
    torch.save(network.state_dict(), out)
    return {"photos": count}


def give_statistics(network: Any, images: Any) -> None:
    """Gives each BatchNorm the mean and variance of its inputs, in place; answers stay the same.

    In `eval()`, y = (x - mean) / sqrt(variance + eps) * weight + bias is a line in x; weight and
    bias are chosen so that the line stays where it is.
    """
    import torch
    from torch import nn

    def measure(layer: nn.BatchNorm2d, inputs: tuple) -> None:
        scale = layer.weight / (layer.running_var + layer.eps).sqrt()
        shift = layer.bias - layer.running_mean * scale
        variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3), correction=0)
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)
        layer.weight.copy_(scale * (variance + layer.eps).sqrt())
        layer.bias.copy_(shift + scale * mean)

    layers = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [layer.register_forward_pre_hook(measure) for layer in layers]
    with torch.no_grad():
        network.eval()(images)
    for hook in hooks:
        hook.remove()
