"""Transfer learning in one call, which reads like the lesson.

Shown in: notebooks/04_flowers
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from flowerlib.classifier import Classifier
from flowerlib.data import Splits
from flowerlib.models import Backbone
from flowerlib.support import modes, options
from flowerlib.support.options import FineTuning
from flowerlib.train import heads, steps
from flowerlib.train.fine_tuning import last_stage, whole_network
from flowerlib.train.history import History
from flowerlib.transforms import Preprocessing


@modes.usual()
def transfer(
    splits: Splits,
    backbone: str | Backbone = options.BACKBONE,
    *,
    weights: str | Path | None = None,
    head: str = options.HEAD.default,
    layers: str = options.LAYERS.default,
    hidden: int | Sequence[int] | None = None,
    dropout: float | None = None,
    epochs: int | None = None,
    lr: float | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    preset: str = options.PRESET.default,
    fine_tune: str | None = None,
    fine_tuning: FineTuning | None = None,
    preprocessing: Preprocessing | None = None,
    resize_mode: str = options.RESIZE_MODE.default,
    device: str = options.DEVICE.default,
    precision: str = options.PRECISION.default,
    cache: bool = True,
    report: Callable[[History], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    checkpoint: Path | str | None = None,
) -> Classifier:
    """Trains a head on the features of a frozen backbone. The test set is not touched.

    Where `fine_tune` asks for it, the backbone learns from the training photos as well.

    Args:
        splits: from `data`.
        backbone: a name (see `models.names`), or one that was built already.
        weights: as in `models.backbone`; by default those that belong to the network, such as
            ImageNet's.
        head: "linear", logistic regression with the penalty chosen on valid, then
            solved once more with that penalty on train and valid together; "ridge", likewise, by a
            formula, less accurate (see `solvers.ridge`); or "hidden", the flower article's:
            Linear, ReLU, Dropout, Linear, LogSoftmax, trained with NLLLoss and Adam, best epoch
            on valid.
        layers: "last", the head sees the features of the backbone's last layer, as the flower
            article's does; "multi-level", also what the levels before it know (see
            `models.multi_level`); "auto", multi-level, if a solved head is asked for and the name
            of a backbone that has them. A backbone that was built already is taken as it is.
            `classifier.backbone.layers` says which it was.
        hidden, dropout, epochs, lr, batch_size: of the hidden head alone; by default 512 (one
            layer), 0.2, 10, 0.003 and 64.
        seed: of random weights, of the hidden head's start and of its batches.
        preset: "standard" sees images at the size that the backbone's weights were trained for,
            "quick" at a smaller one, "best" at a larger one; see `models.default_preprocessing`.
        fine_tune: "none"; "last", the backbone's last stage learns first, from cached maps (see
            `last_stage.tuned`); or "all", the whole network learns, from photos, which takes many
            times as long (see `fine_tune`). By default "last" for the preset "best", else "none".
        fine_tuning: settings for "all".
        preprocessing: instead of that of `preset`.
        resize_mode: "crop" shows the middle of wide photos, "squash" and "pad" all of them; see
            `Preprocessing.squashed` and `Preprocessing.padded`. "auto" leaves the preprocessing as
            it is: some networks of timm were tested with squashed photos, all others with cropped
            ones.
        device, precision, cache: as in `features.extract`.
        progress: as in `fine_tune`.
        report: called after every epoch of the hidden head, or of fine-tuning all.
        checkpoint: a file that holds the state after every such epoch; where it exists, training
            continues from it. (Features are in the cache.)

    Returns:
        A classifier; `results` holds valid accuracy, seconds by phase, device and precision,
        `history` what was measured on the way, and `valid_logits` what valid accuracy comes from:
        the head as it was before it learned from the valid photos.

    Raises:
        InputError: something given cannot be used, or has no effect beside what else was given; the
            message says what and how to mend it.
    """
    splits = steps.learnable(splits, "transfer")
    settings = options.of_the_head(
        head, hidden=hidden, dropout=dropout, epochs=epochs, lr=lr, batch_size=batch_size
    )
    fine_tune = options.of_fine_tuning(fine_tune, preset, head, fine_tuning)
    if fine_tune == "all":
        return whole_network.fine_tune(
            splits,
            backbone,
            fine_tuning,
            weights=weights,
            layers=layers,
            seed=seed,
            preset=preset,
            preprocessing=preprocessing,
            resize_mode=resize_mode,
            device=device,
            precision=precision,
            cache=cache,
            report=report,
            progress=progress,
            checkpoint=checkpoint,
        )
    seed = int(options.SEED.checked("seed", seed))
    computing = steps.Computing(device, precision, cache, progress)
    clock = steps.Clock()

    network, preprocessing = steps.prepare(
        backbone,
        weights=weights,
        layers=layers,
        head=head,
        preset=preset,
        preprocessing=preprocessing,
        resize_mode=resize_mode,
        seed=seed,
    )
    clock.end("backbone")
    if fine_tune == "last":
        network = last_stage.tuned(network, splits.train, preprocessing, computing, seed=seed)
    clock.end("tuning")
    known = steps.extract(network, splits, preprocessing, computing)
    clock.end("features")
    num_classes = len(splits.class_names)
    if settings is None:
        trained = heads.solve(known, head, num_classes)
    else:
        trained = heads.train_hidden(
            known, settings, num_classes, seed=seed, report=report, checkpoint=checkpoint
        )
    clock.end("head")
    return steps.sum_up(
        splits,
        network,
        preprocessing,
        trained,
        seed=seed,
        known=known,
        seconds=clock.seconds,
        fine_tuning={"what": fine_tune},
    )
