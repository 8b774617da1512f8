"""Fine-tuning of a whole network, from photos.

It starts where transfer learning ends: from a frozen backbone and the logistic regression head that
was solved on its features, so that the first steps do not spoil the backbone (Kumar et al.,
"Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution", 2022).

What it and its options earn: results/fine_tuning.json.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from flowerlib import data, metrics, models
from flowerlib.classifier import Classifier
from flowerlib.data import Splits
from flowerlib.models import Backbone, Network
from flowerlib.support import distributed, modes, options
from flowerlib.support.errors import InputError, plural
from flowerlib.support.options import FineTuning
from flowerlib.train import heads, steps
from flowerlib.train.checkpoints import Checkpoint
from flowerlib.train.fine_tuning import views
from flowerlib.train.fine_tuning.loop import learn
from flowerlib.train.history import History
from flowerlib.transforms import Preprocessing

VALID_BATCH_SIZE = 64


@modes.usual()
def fine_tune(
    splits: Splits,
    backbone: str | Backbone = options.BACKBONE,
    settings: FineTuning | None = None,
    *,
    weights: str | Path | None = None,
    layers: str = options.LAYERS.default,
    seed: int = 0,
    preset: str = options.PRESET.default,
    preprocessing: Preprocessing | None = None,
    resize_mode: str = options.RESIZE_MODE.default,
    device: str = options.DEVICE.default,
    precision: str = options.PRECISION.default,
    cache: bool = True,
    workers: int = 0,
    patience: int | None = None,
    report: Callable[[History], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    checkpoint: Path | str | None = None,
) -> Classifier:
    """Trains a backbone and its linear head together, on random views of the photos.

    First, `transfer`'s steps give a linear head on the frozen backbone, by logistic regression on
    the training photos alone. From there all weights learn. BatchNorm keeps its statistics. In the
    end a new head is solved on the features of the tuned backbone, as `transfer` solves it: its
    penalty is chosen on valid, and then it learns from valid, too. The test set is not touched.

    Args:
        splits: from `data`.
        backbone: a name (see `models.names`), or one that was built already, which is not changed.
        settings: how it is trained; by default `FineTuning()`.
        weights, layers, preset, preprocessing, resize_mode: as in `transfer`.
        seed: of random weights, of the batches' order, of the views, of mixing and dropout.
        device, precision, cache: as in `features.extract`.
        workers: processes that open photos; 0 opens them in this one.
        patience: stop when validation loss has not improved for so many epochs; never if None.
        report: called after every epoch.
        progress: called with (photos done, photos in all) in each pass, and with (photos seen,
            photos in all epochs) in training; or its method `training`, if it has one, with
            (photos seen, photos in an epoch, epochs).
        checkpoint: a file that holds the state after every epoch; where it exists, training
            continues from it.

    Returns:
        A classifier with the backbone of the epoch that had the lowest loss on valid. Its `results`
        hold, beside those of `transfer`, under "fine_tuning" the settings, the accuracy on valid of
        the frozen network, and the difference to it with its paired 95 % interval, both before
        their heads learned from valid. (The epoch was chosen on valid, so that difference flatters
        fine-tuning a little.)

    Raises:
        InputError: something given cannot be used, or has no effect beside what else was given; the
            message says what and how to mend it.

    Warns:
        UserWarning: memory did not suffice for whole batches; the steps stay the same.
    """
    splits = steps.learnable(splits, "fine_tune")
    settings = settings or FineTuning()
    seed = int(options.SEED.checked("seed", seed))
    computing = steps.Computing(device, precision, cache, progress)
    clock = steps.Clock()

    frozen, preprocessing = steps.prepare(
        backbone,
        weights=weights,
        layers=layers,
        head="linear",
        preset=preset,
        preprocessing=preprocessing,
        resize_mode=resize_mode,
        seed=seed,
    )
    clock.end("backbone")
    known = steps.extract(frozen, splits, preprocessing, computing)
    clock.end("features")
    solved = heads.solve(known, "linear", len(splits.class_names), refit=False)
    clock.end("head")
    if len(splits.valid) < distributed.size():
        raise InputError(
            f"{len(splits.valid)} {plural(len(splits.valid), 'photo')} to choose with are too few "
            f"for {distributed.size()} "
            "processes; start fewer."
        )
    valid_share = splits.valid.subset(np.array(distributed.share(len(splits.valid)), np.int64))
    network = Network(models.unfreeze(copy.deepcopy(frozen)), copy.deepcopy(solved.module))
    network.backbone.weights = f"{frozen.weights}, fine-tuned"
    with models.seeded(seed):
        history = learn(
            network.to(known.device),
            views.train_batches(splits.train, preprocessing, settings, seed=seed, workers=workers),
            data.loader(valid_share, preprocessing, batch_size=VALID_BATCH_SIZE, workers=workers),
            settings,
            num_classes=len(splits.class_names),
            loss=_loss(splits, settings).to(known.device),
            precision=known.precision,
            patience=patience,
            report=report,
            progress=progress,
            checkpoint=_checkpoint(
                checkpoint, frozen, splits, preprocessing, settings, seed, known.precision
            ),
        )
    network.to("cpu").to(memory_format=torch.contiguous_format)
    changed = steps.extract(network.backbone, splits, preprocessing, computing)
    # The head that learned along saw random views, and no photo of valid: a solved one is better.
    tuned = heads.solve(changed, "linear", len(splits.class_names))
    tuned = dataclasses.replace(tuned, history=history)
    clock.end("tuning")
    return steps.sum_up(
        splits,
        network.backbone,
        preprocessing,
        tuned,
        seed=seed,
        known=known,
        seconds=clock.seconds,
        fine_tuning={"what": "all", **dataclasses.asdict(settings), **_gain(tuned, solved, splits)},
    )


def _loss(splits: Splits, settings: FineTuning) -> nn.Module:
    weights = None
    if settings.balance == "weights":
        weights = data.class_weights(splits.train.labels, len(splits.class_names))
    return nn.CrossEntropyLoss(weights, label_smoothing=settings.label_smoothing)


def _checkpoint(
    path: Path | str | None,
    frozen: Backbone,
    splits: Splits,
    preprocessing: Preprocessing,
    settings: FineTuning,
    seed: int,
    precision: str,
) -> Checkpoint | None:
    """A checkpoint that belongs to this network, these photos and settings alone."""
    if not path:
        return None
    photos = [
        hashlib.sha256(part.digests().tobytes() + part.labels.tobytes()).hexdigest()
        for part in (splits.train, splits.valid)
    ]
    network = [frozen.name, frozen.digest(), precision]
    run = [network, photos, preprocessing.to_dict(), dataclasses.asdict(settings), seed]
    return Checkpoint(path, run)


def _gain(tuned: steps.TrainedHead, frozen: steps.TrainedHead, splits: Splits) -> dict[str, object]:
    """What fine-tuning changed on valid, photo by photo."""
    labels = torch.from_numpy(splits.valid.labels)
    before, after = (one.valid_logits.argmax(1) == labels for one in (frozen, tuned))
    return {
        "frozen_valid_accuracy": float(before.double().mean()),
        "difference": list(metrics.paired_difference(after, before)),
    }
