"""How fast photos become features: `features.extract` beside what a beginner writes.

Both sides get the same photos, open the files themselves, and answer with the same features; each
run is a fresh process that times itself from the call to the result, so that imports and building
the network, which are equal, are left out.
"""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks import paired, processes, roofs

# Photos of one run: the beginner's side takes about half a minute, ours some seconds.
COUNTS = {"mobilenet_v2": 1200, "densenet121": 320, "resnet50": 256, "resnet101": 160}
SIZE = 224


def measure(name: str, shared: Path, weights: str) -> dict:
    """Both sides of one network, and our share of the roof.

    Args:
        name: of the network.
        shared: holds flowers/.
        weights: a file, or "none" for random ones.
    """
    count = 16 if paired.dry() else COUNTS[name]
    given = {"name": name, "weights": weights, "count": count}
    given["folder"] = str(shared / "flowers" / "train")

    def block() -> dict:
        with tempfile.TemporaryDirectory() as folder:
            files = [str(Path(folder, f"{side}.npy")) for side in ("ours", "theirs")]
            found = paired.compare(
                partial(processes.call, ours, **given, out=files[0]),
                partial(processes.call, beginner, **given, out=files[1]),
                names=("flowerlib", "eager fp32 torchvision"),
            )
            found["difference_of_features"] = difference(*map(np.load, files))
        return found

    found = {"photos": count, "weights": Path(weights).name, **paired.steady(block)}
    gflop = flops_per_image(name) / 1e9
    speed = count / found["flowerlib"]["median_seconds"]
    limits, precision = found["roofs"], found["flowerlib"]["runs"][0]["precision"]
    kinds = (f"matrix_product_{precision}", f"convolution_1x1_{precision}")
    roof = median(max(limits[when][kind] for kind in kinds) for when in ("before", "after"))
    found["gflop_per_image"] = round(gflop, 3)
    found["images_per_second"] = {
        side: round(count / found[side]["median_seconds"], 1)
        for side in ("flowerlib", "eager fp32 torchvision")
    }
    found["share_of_roof"] = round(speed * gflop / roof, 3)
    return found


def chosen(folder: str, count: int):
    """A torchvision ImageFolder with only `count` of its photos, spread evenly over the classes."""
    from torchvision.datasets import ImageFolder

    dataset = ImageFolder(folder)
    picked = np.linspace(0, len(dataset.samples) - 1, count).astype(int)
    dataset.samples = [dataset.samples[number] for number in picked]
    return dataset


def ours(name: str, weights: str, folder: str, count: int, out: str) -> dict:
    """One run of `features.extract`, nothing cached; features to the file `out`."""
    from flowerlib import features, models
    from flowerlib.data import Photos

    backbone = models.backbone(name, weights)
    dataset = chosen(folder, count)
    paths, labels = zip(*dataset.samples, strict=True)
    photos = Photos(paths, labels, dataset.classes)
    preprocessing = models.default_preprocessing(backbone)
    start = time.perf_counter()
    found = features.extract(backbone, photos, preprocessing, cache=False)
    seconds = time.perf_counter() - start
    if out:
        np.save(out, found.values.numpy())
    return {"seconds": seconds, "precision": found.precision}


def beginner(name: str, weights: str, folder: str, count: int, out: str) -> dict:
    """One run of what a tutorial shows: ImageFolder, DataLoader, eager fp32."""
    import torch
    from torch.utils.data import DataLoader
    from torchvision import transforms

    from flowerlib import models

    # torchvision's own network with an identity for its last layer, not folded, not rearranged
    model = models.backbone(name, weights).body
    model.eval()
    dataset = chosen(folder, count)
    dataset.transform = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(SIZE),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    start = time.perf_counter()
    loader = DataLoader(dataset, batch_size=64, num_workers=2)
    found = []
    with torch.no_grad():
        for images, _ in loader:
            found.append(model(images).flatten(1))
    values = torch.cat(found)
    seconds = time.perf_counter() - start
    np.save(out, values.numpy())
    return {"seconds": seconds, "precision": "fp32"}


def flops_per_image(name: str) -> int:
    """Floating-point operations of one image's way through a network, without its last layer."""
    import torch

    from flowerlib import models

    network = models.backbone(name, "none").eval()
    with torch.inference_mode():
        return roofs.flops(lambda: network(torch.zeros(1, 3, SIZE, SIZE)))


def difference(found: np.ndarray, wanted: np.ndarray) -> float:
    """Relative difference of the features: about 0.01 from bf16, more if the sides disagree."""
    return round(float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted)), 4)
