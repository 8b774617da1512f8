"""Whether integers of 8 bits would pay: the default network, calibrated on photos of the user's.

ONNX Runtime rounds weights and maps to 8 bits, with ranges that some training photos showed. Asked
for are the processor's time for an image, the time to calibrate, and the test accuracy of the same
head on both kinds of features, in pairs. Seconds are the processor's, on one thread.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn

from benchmarks import paired
from flowerlib import data, features, metrics, models, solvers
from flowerlib.data import Photos, Splits
from flowerlib.features.engine import Engine
from flowerlib.features.runtime import Computation, Session
from flowerlib.support import threads
from flowerlib.transforms import Preprocessing

NETWORK = "efficientnet_lite0"
SHOWN = 200  # training photos that show the ranges
BATCH, ROUNDS = 8, 6


def measure(shared: Path, weights: Path) -> dict:
    """Time and accuracy on flowers, dogs and cats, and beds and sofas.

    Args:
        shared: holds flowers/, dogscats/ and bed_sofa/.
        weights: not used; the default network brings its own.
    """
    from benchmarks.__main__ import processor

    backbone = models.freeze(models.backbone(NETWORK, layers="multi-level"))
    preprocessing = models.default_preprocessing(backbone)
    sets: dict[str, dict] = {}
    images: dict[str, float] = {}
    for name in ("bed_sofa", "dogscats", "flowers"):
        splits = _splits(shared / name)
        start = time.process_time()
        eight_bits = EightBits(backbone, preprocessing, splits.train)
        seconds = time.process_time() - start
        images = images or _milliseconds(backbone, preprocessing, eight_bits, splits.train)
        sets[name] = {"seconds_to_calibrate": round(seconds, 1)}
        sets[name] |= _accuracies(backbone, preprocessing, eight_bits, splits)
        print(f"  {name}: {sets[name]}", flush=True)
    return {"network": NETWORK, "milliseconds": images, "sets": sets, "processor": processor()}


class EightBits:
    """Features (N, D) of pixels uint8 (N, side, side, 3), by a network rounded to 8 bits."""

    def __init__(self, backbone: nn.Module, preprocessing: Preprocessing, photos: Photos) -> None:
        self.network = Computation(backbone.body, preprocessing).eval()
        shown = np.random.default_rng(0).permutation(len(photos))[: 16 if paired.dry() else SHOWN]
        images = self._images(pixels(photos, preprocessing, shown))
        with tempfile.TemporaryDirectory() as folder:
            plain, ready, rounded = (str(Path(folder, f"{name}.onnx")) for name in "prq")
            given = {"input_names": ["images"], "output_names": ["features"], "dynamo": False}
            axes = {"images": {0: "n"}, "features": {0: "n"}}
            example = (torch.from_numpy(images[:2]),)
            torch.onnx.export(self.network.body, example, plain, dynamic_axes=axes, **given)
            quant_pre_process(plain, ready)
            quantization.quantize_static(ready, rounded, _Shown(images), per_channel=True)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            self.session = onnxruntime.InferenceSession(
                rounded, options, providers=["CPUExecutionProvider"]
            )

    def __call__(self, given: np.ndarray) -> Tensor:
        return torch.from_numpy(self.session.run(None, {"images": self._images(given)})[0])

    def _images(self, given: np.ndarray) -> np.ndarray:
        return self.network.images(torch.from_numpy(given)).contiguous().numpy()


class _Shown(quantization.CalibrationDataReader):
    """The images whose maps show the ranges, some at a time."""

    def __init__(self, images: np.ndarray) -> None:
        starts = range(0, len(images), BATCH)
        self.left: Iterator[np.ndarray] = iter([images[at : at + BATCH] for at in starts])

    def get_next(self) -> dict[str, np.ndarray] | None:
        found = next(self.left, None)
        return None if found is None else {"images": found}


def pixels(photos: Photos, preprocessing: Preprocessing, rows: np.ndarray) -> np.ndarray:
    """Photos as the network takes them, uint8 (n, side, side, 3)."""
    opened = (photos.image(int(row), shrink_to=preprocessing.resize) for row in rows)
    return np.stack([preprocessing.pixels(photo) for photo in opened])


def _splits(folder: Path) -> Splits:
    splits = data.image_folder(folder, valid=0.2)
    return splits.per_class((4, 2, 2)) if paired.dry() else splits


def _milliseconds(
    backbone: models.Backbone, preprocessing: Preprocessing, eight_bits: EightBits, photos: Photos
) -> dict[str, float]:
    """The processor's time for an image, the median of rounds in which each has its turn."""
    given = pixels(photos, preprocessing, np.arange(BATCH))
    sides: dict[str, Callable[[np.ndarray], object]] = {
        "fp32": Session(Computation(backbone.body, preprocessing).eval()),
        "bf16": Engine(backbone, preprocessing, device="cpu", precision="bf16").features,
        "int8": eight_bits,
    }
    spent: dict[str, list[float]] = {name: [] for name in sides}
    with threads.one_thread():
        for _ in range(1 + ROUNDS):  # the first warms up
            for name, side in sides.items():
                start = time.process_time()
                side(given)
                spent[name].append(time.process_time() - start)
    return {name: round(1e3 * np.median(of[1:]) / BATCH, 2) for name, of in spent.items()}


def _accuracies(
    backbone: models.Backbone,
    preprocessing: Preprocessing,
    eight_bits: EightBits,
    splits: Splits,
) -> dict:
    """Test accuracy of a head on usual features and of one on features in 8 bits."""
    parts = (splits.train, splits.valid, splits.test)
    labels = [torch.from_numpy(np.asarray(part.labels)) for part in parts]
    usual = [features.extract(backbone, part, preprocessing) for part in parts]
    rounded = [_all(part, preprocessing, eight_bits) for part in parts]
    right: dict[str, Tensor] = {}
    found: dict = {"test": len(splits.test)}
    for name, values in ((usual[0].precision, [part.values for part in usual]), ("int8", rounded)):
        given = (values[0], labels[0], values[1], labels[1], len(splits.class_names))
        head = solvers.logistic(*given, refit=True).head
        right[name] = head(values[2]).argmax(1) == labels[2]
        count = int(right[name].sum())
        found[name] = {
            "accuracy": round(count / len(splits.test), 4),
            "interval": metrics.wilson_interval(count, len(splits.test)),
        }
    first, second = right.values()
    found["int8 minus usual"] = metrics.paired_difference(second, first)
    return found


def _all(photos: Photos, preprocessing: Preprocessing, eight_bits: EightBits) -> Tensor:
    rows = np.array_split(np.arange(len(photos)), -(-len(photos) // BATCH))
    return torch.cat([eight_bits(pixels(photos, preprocessing, some)) for some in rows])
