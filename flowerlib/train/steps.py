"""The steps of transfer learning around its head: prepare, extract, and sum up at the end.

Shown in: notebooks/04_flowers
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from flowerlib import features, metrics, models
from flowerlib.classifier import Classifier
from flowerlib.classifier.provenance import Provenance
from flowerlib.data import Photos, Splits, join
from flowerlib.features import Features
from flowerlib.models import Backbone
from flowerlib.support.errors import InputError
from flowerlib.support.options import LAYERS, PRESET, RESIZE_MODE
from flowerlib.train.history import History
from flowerlib.transforms import Preprocessing


class Clock:
    """Seconds by phase: each from the end of the phase before it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def end(self, phase: str) -> None:
        """Ends a phase."""
        now = time.perf_counter()
        self.seconds[phase], self._last = now - self._last, now


@dataclass(frozen=True)
class Computing:
    """How features are computed; see `features.extract`."""

    device: str = "auto"
    precision: str = "auto"
    cache: bool = True
    progress: Callable[[int, int], None] | None = None

    def extract(self, backbone: Backbone, photos: Photos, preprocessing: Preprocessing) -> Features:
        """Features of photos, in the type that they were computed in."""
        return features.extract(
            backbone,
            photos,
            preprocessing,
            device=self.device,
            precision=self.precision,
            cache=self.cache,
            compact=True,
            progress=self.progress,
        )


def learnable(splits: object, by: str) -> Splits:
    """What was given, if it is splits of several classes.

    Raises:
        InputError: it is something else, or of one class, of which there is nothing to learn, or
            a part is empty.
    """
    found = Splits.expected(splits, by)
    if len(found.class_names) < 2:
        raise InputError(f"{found.name} has only the class {found.class_names[0]}; two are needed.")
    for part, use in (("train", "learn from"), ("valid", "choose with")):
        if not found.sizes()[part]:
            raise InputError(f"{found.name} has no photo in {part}, to {use}; give some.")
    return found


def prepare(
    backbone: str | Backbone,
    *,
    weights: str | Path | None,
    layers: str,
    head: str,
    preset: str,
    preprocessing: Preprocessing | None,
    resize_mode: str,
    seed: int,
) -> tuple[Backbone, Preprocessing]:
    """The backbone, giving the features that the head should get, and what photos go through.

    Args are those of `train.transfer`.

    Raises:
        InputError: a word is unknown, or something has no effect beside what else was given.
    """
    LAYERS.checked("layers", layers)
    RESIZE_MODE.checked("resize_mode", resize_mode)
    if isinstance(backbone, str):
        backbone = models.backbone(backbone, weights, seed=seed)
        if layers == "auto" and head != "hidden" and models.has_levels(backbone):
            layers = "multi-level"
    elif not isinstance(backbone, Backbone):
        raise InputError(
            f"The backbone is of the kind {type(backbone).__name__}; give a name, such as "
            '"resnet18", with weights="FILE" for weights of your own, or one from models.backbone.'
        )
    elif weights is not None:
        raise InputError(
            "weights has no effect on a backbone that was built already; leave it out."
        )
    elif layers == "last" and backbone.layers == "multi-level":
        raise InputError(
            f'{backbone.name} gives more than its last layer; say layers="multi-level", or give '
            "models.last_layer(backbone)."
        )
    if layers == "multi-level":
        backbone = models.multi_level(backbone)
    if preprocessing is not None and preset == "quick":
        raise InputError('preset "quick" has no effect beside preprocessing; give one of them.')
    PRESET.checked("preset", preset)
    usual = preprocessing or models.default_preprocessing(backbone, preset)
    if resize_mode != RESIZE_MODE.default:
        usual = usual.with_resize_mode(resize_mode)
    return backbone, usual


@dataclass(frozen=True)
class SplitFeatures:
    """Features of the photos to learn from and of those to choose with.

    Attributes:
        values: (N + M, D), train's first.
        labels: int64 (N + M,).
        num_train: N.
        computed: how many were computed now; the others came from the cache.
        device, precision: with which.
    """

    values: Tensor
    labels: Tensor
    num_train: int
    computed: int
    device: str
    precision: str

    @property
    def train(self) -> tuple[Tensor, Tensor]:
        """Values and labels of the photos to learn from."""
        return self.values[: self.num_train], self.labels[: self.num_train]

    @property
    def valid(self) -> tuple[Tensor, Tensor]:
        """Values and labels of the photos to choose with."""
        return self.values[self.num_train :], self.labels[self.num_train :]


def extract(
    backbone: Backbone, splits: Splits, preprocessing: Preprocessing, computing: Computing
) -> SplitFeatures:
    """One pass of the frozen backbone over train and valid. The test set is not touched."""
    found = computing.extract(backbone, join(splits.train, splits.valid), preprocessing)
    return SplitFeatures(
        found.values,
        found.labels,
        len(splits.train),
        found.computed,
        found.device,
        found.precision,
    )


@dataclass(frozen=True)
class TrainedHead:
    """A head, and what was measured on the way.

    Attributes:
        module: features (N, D) → logits or log-probabilities (N, C), on the CPU.
        history: by epoch or penalty.
        valid_logits: float32 (M, C), of the head before it learned from the valid photos.
        settings: plain data that says how it was trained.
        refitted: whether it learned from the valid photos, too, after they were measured.
    """

    module: nn.Sequential
    history: History
    valid_logits: Tensor
    settings: dict[str, object]
    refitted: bool


def sum_up(
    splits: Splits,
    backbone: Backbone,
    preprocessing: Preprocessing,
    head: TrainedHead,
    *,
    seed: int,
    known: SplitFeatures,
    seconds: dict[str, float],
    fine_tuning: dict[str, object],
) -> Classifier:
    """The classifier, with its results and with the photos that it learned from."""
    count = len(splits.valid)
    what = [head.history.what]
    if what == ["epoch"] and "penalty" in head.settings:  # a tuned network's head was solved
        what.append("penalty")
    right = int((head.valid_logits.argmax(1) == torch.from_numpy(splits.valid.labels)).sum())
    results: dict[str, object] = {
        "head": head.settings,
        "fine_tuning": fine_tuning,
        "seed": seed,
        "valid": {
            "set": "valid",
            "num_images": count,
            "accuracy": right / count,
            "interval": list(metrics.wilson_interval(right, count)),
            "chosen_on_it": " and ".join(what),
            "trained_on_it_afterwards": head.refitted,
        },
        "device": known.device,
        "precision": known.precision,
        "features_computed": known.computed,
        "seconds": seconds,
    }
    trained, chosen = splits.train.digests(), splits.valid.digests()
    if head.refitted:
        trained = np.concatenate([trained, chosen])
    classifier = Classifier(
        backbone,
        head.module,
        splits.class_names,
        preprocessing,
        results,
        Provenance.of(trained, chosen),
    )
    classifier.history, classifier.valid_logits = head.history, head.valid_logits
    return classifier
