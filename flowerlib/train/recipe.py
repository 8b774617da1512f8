"""Training: the readable loop, and transfer learning in one call.

Shown in: notebooks/04_flowers
"""

from __future__ import annotations

import copy
import csv
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from flowerlib import features, metrics, models, solvers
from flowerlib.classifier import Classifier
from flowerlib.classifier.provenance import Provenance
from flowerlib.data import Splits, photos
from flowerlib.features import engine
from flowerlib.models import levels
from flowerlib.support import modes, options, storage, threads
from flowerlib.support.errors import InputError
from flowerlib.train import tuning
from flowerlib.train.checkpoints import Checkpoint
from flowerlib.transforms import Preprocessing

Batches = Iterable[tuple[Tensor, Tensor]]


@dataclass(repr=False)
class History:
    """What was measured after every epoch.

    Attributes:
        epochs: how many were asked for.
        rows: one dict an epoch: epoch (from 1), train_loss, valid_loss, valid_accuracy, seconds.
            For a solved head, one dict a penalty instead (see `solvers.logistic`).
        best_epoch: the one whose weights were kept, by validation loss; 0 before the first.
        num_valid: how many photos `valid_accuracy` was measured on; 0 where that is not known.
    """

    epochs: int
    rows: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    num_valid: int = 0

    @property
    def best(self) -> dict[str, float] | None:
        """The row of what was kept; None before the first epoch."""
        return self.rows[self.best_epoch - 1] if self.rows and self.best_epoch else None

    @property
    def what(self) -> str:
        """What the rows are of: "epoch", or "penalty" for a solved head."""
        return "penalty" if self.rows and "penalty" in self.rows[0] else "epoch"

    def interval(self, row: dict[str, float]) -> tuple[float, float] | None:
        """The 95 % interval of a row's accuracy; None where the number of photos is not known."""
        if not self.num_valid:
            return None
        return metrics.wilson_interval(
            round(row["valid_accuracy"] * self.num_valid), self.num_valid
        )

    def __str__(self) -> str:
        if self.best is None:
            return f"{len(self.rows)} of {self.epochs} epochs"
        told = f"accuracy {self.best['valid_accuracy']:.3f} on valid"
        if self.num_valid:
            right = round(self.best["valid_accuracy"] * self.num_valid)
            told = metrics.told(right, self.num_valid, "valid")
        return f"{told}, on which the {self.what} {self.best[self.what]:g} was chosen"

    def __repr__(self) -> str:
        return f"<History: {self}>"

    def save(self, path: Path | str) -> None:
        """Writes the rows as CSV, each with the 95 % interval of its accuracy if it is known."""
        rows: list[dict[str, float]] = []
        for row in self.rows:
            ends = zip(("valid_low", "valid_high"), self.interval(row) or (), strict=False)
            rows.append({**row, **dict(ends)})
        with storage.atomic_path(path) as temporary:
            with open(temporary, "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)


@modes.with_gradients()
def fit(
    model: nn.Module,
    train_batches: Batches,
    valid_batches: Batches,
    *,
    epochs: int = 10,
    lr: float = 0.003,
    loss: nn.Module | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    patience: int | None = None,
    report: Callable[[History], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> History:
    """Trains a model in place, and leaves it with the weights of its best epoch, in `eval()`.

    Args:
        model: inputs (N, ...) → outputs (N, C).
        train_batches: gives (inputs, labels) and can be gone through once an epoch.
        valid_batches: likewise; measured after every epoch, in `eval()`.
        epochs: passes over the training batches.
        lr: learning rate of Adam over the parameters that require a gradient.
        loss: `nn.NLLLoss()` by default, for outputs that are log-probabilities;
            `nn.CrossEntropyLoss()` for logits. A mean over samples, or, with class weights and
            `ignore_index`, over their weights; so are the losses in the history.
        optimizer: instead of Adam with `lr`.
        patience: stop when validation loss has not improved for so many epochs; never if None.
        report: called with the history after every epoch, such as `lesson.live()` or `Bar()`.
        checkpoint: keeps the state after every epoch, and goes on from it where its file is there.

    Returns:
        The history; `best_epoch` is the one with the lowest validation loss.

    Raises:
        InputError: outputs and loss do not fit together, the loss is no mean or not finite, or
            there are no training batches.
    """
    modes.check_trainable(model)
    loss = loss or nn.NLLLoss()
    _check_mean(loss)
    device = next(model.parameters()).device
    if optimizer is None:
        # One kernel for the whole update instead of a dozen; the same arithmetic.
        fused = device.type in ("cpu", "cuda")
        optimizer = torch.optim.Adam(models.trainable_parameters(model), lr=lr, fused=fused)
    history = History(epochs)
    best_loss, best_state = float("inf"), copy.deepcopy(model.state_dict())
    if checkpoint and (kept := checkpoint.load()):
        best_loss, best_state = _go_on(kept, model, optimizer, history)
    for epoch in range(len(history.rows) + 1, epochs + 1):
        # Asked here, so that a training that had stopped early is not gone on with.
        if patience is not None and history.rows and epoch - 1 - history.best_epoch >= patience:
            break
        start = time.perf_counter()
        _start_epoch(train_batches, epoch)
        model.train()
        total, count = 0.0, 0.0
        for inputs, labels in train_batches:
            inputs, labels = inputs.to(device), labels.to(device)
            weight = _weight(loss, labels)
            if not weight:  # all labels are ignored; their mean loss would be 0 / 0
                continue
            with threads.limited_to(_work(model, inputs)):
                outputs = model(inputs)
                if count == 0 and epoch == 1:
                    _check_outputs(outputs, loss)
                value = loss(outputs, labels)
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
            total += value.item() * weight
            count += weight
        if not count:
            raise InputError(
                "There is nothing to train on: no training batch holds a sample that counts."
            )
        valid_outputs, valid_labels = _outputs(model, valid_batches, loss)
        with torch.no_grad():
            valid_loss = float(loss(valid_outputs, valid_labels))
        if not (total / count < float("inf") and valid_loss < float("inf")):
            raise InputError(f"The loss is not finite in epoch {epoch}; lower the learning rate.")
        history.num_valid = len(valid_labels)
        history.rows.append(
            {
                "epoch": epoch,
                "train_loss": total / count,
                "valid_loss": valid_loss,
                "valid_accuracy": metrics.accuracy(valid_outputs, valid_labels),
                "seconds": time.perf_counter() - start,
            }
        )
        if valid_loss < best_loss:
            best_loss, history.best_epoch = valid_loss, epoch
            best_state = copy.deepcopy(model.state_dict())
        if checkpoint:
            checkpoint.save(
                model, best_state, optimizer, history.rows, history.best_epoch, best_loss
            )
        if report:
            report(history)
    model.load_state_dict(best_state)
    model.eval()
    return history


def _start_epoch(batches: Batches, epoch: int) -> None:
    """Tells the batches their epoch: order and random views follow from it, in every run."""
    parts: list[Any] = [batches, getattr(batches, "dataset", 0), getattr(batches, "sampler", 0)]
    for part in parts:
        if hasattr(part, "epoch"):
            part.epoch = epoch


def _go_on(
    kept: dict[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer, history: History
) -> tuple[float, dict[str, Tensor]]:
    """Puts model, optimizer, history and random numbers where a checkpoint left them, in place."""
    model.load_state_dict(kept["model"])
    optimizer.load_state_dict(kept["optimizer"])
    history.rows, history.best_epoch = kept["rows"], kept["best_epoch"]
    torch.set_rng_state(kept["random"])
    if kept["random_gpu"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(kept["random_gpu"])
    return kept["best_loss"], kept["best"]


@torch.no_grad()
def evaluate(model: nn.Module, batches: Batches, loss: nn.Module) -> tuple[float, float]:
    """Loss and accuracy over all samples of the batches, with the model in `eval()`.

    Samples whose label the loss ignores do not count.

    Raises:
        InputError: the loss is no mean over samples, labels are no class numbers, or the model
            answers NaN.
    """
    _check_mean(loss)
    outputs, labels = _outputs(model, batches, loss)
    return float(loss(outputs, labels)), metrics.accuracy(outputs, labels)


@torch.no_grad()
def _outputs(model: nn.Module, batches: Batches, loss: nn.Module) -> tuple[Tensor, Tensor]:
    """Outputs float32 (N, C) of the model in `eval()`, and labels (N,), of samples that count."""
    device = next(model.parameters()).device
    model.eval()
    outputs, labels = [], []
    for inputs, batch_labels in batches:
        with threads.limited_to(_work(model, inputs)):
            outputs += [model(part.to(device)).float() for part in _parts(inputs, device)]
        labels.append(batch_labels.to(device))
    all_outputs, all_labels = torch.cat(outputs), torch.cat(labels)
    if all_labels.ndim != 1:
        raise InputError(
            "Accuracy needs labels (N,) that are class numbers, not shares of classes."
        )
    counted = all_labels != getattr(loss, "ignore_index", -100)
    return all_outputs[counted], all_labels[counted]


def _check_mean(loss: nn.Module) -> None:
    """Refuses a loss whose values over batches and over a whole set cannot be compared."""
    if (reduction := getattr(loss, "reduction", "mean")) != "mean":
        raise InputError(
            f"Training needs the mean loss of a batch: {type(loss).__name__} has "
            f'reduction="{reduction}"; say reduction="mean".'
        )


def _weight(loss: nn.Module, labels: Tensor) -> float:
    """What the loss of a batch was divided by: its samples, or the weights of their classes."""
    if labels.is_floating_point() or not isinstance(loss, (nn.CrossEntropyLoss, nn.NLLLoss)):
        return len(labels)
    labels = labels[labels != loss.ignore_index]
    return float(len(labels) if loss.weight is None else loss.weight[labels].sum())


def _work(model: nn.Module, inputs: Tensor) -> int:
    """Multiplications in a pass of features (n, D) through linear layers; of images, very many."""
    if inputs.ndim != 2:
        return 2**62
    return len(inputs) * sum(parameter.numel() for parameter in model.parameters())


def _parts(inputs: Tensor, device: torch.device) -> tuple[Tensor, ...]:
    """A batch as it is or, if a processor shall look at images, in parts that fit its cache.

    64 images of 224 px at a time take resnet50 1.6 times and densenet121 1.8 times as long.
    """
    if device.type != "cpu" or inputs.ndim != 4:
        return (inputs,)
    height, width = inputs.shape[2:]
    return inputs.split(max(1, engine.BATCH_PIXELS // (height * width)))


def _check_outputs(outputs: Tensor, loss: nn.Module) -> None:
    """Catches the two mistakes that train without an error message, but badly."""
    sums = outputs.detach().float().exp().sum(1)
    if isinstance(loss, nn.NLLLoss) and not torch.allclose(sums, torch.ones_like(sums), atol=1e-2):
        raise InputError(
            "NLLLoss needs log-probabilities: end the model with LogSoftmax, "
            "or use CrossEntropyLoss."
        )
    rows = outputs.detach().float().sum(1)
    if (
        isinstance(loss, nn.CrossEntropyLoss)
        and bool((outputs >= 0).all())
        and torch.allclose(rows, torch.ones_like(rows), atol=1e-3)
    ):
        raise InputError(
            "CrossEntropyLoss needs logits, and these are probabilities: remove the Softmax."
        )


class FeatureBatches:
    """Batches of cached features: gives (values (n, D), labels (n,)), in a new order every pass.

    The order follows from `seed` and `epoch`, which each pass raises by one. Values kept in
    bfloat16 are given as float32, which layers expect.
    """

    def __init__(
        self, values: Tensor, labels: Tensor, batch_size: int = 64, *, shuffle: bool, seed: int = 0
    ) -> None:
        self.values, self.labels = values, labels
        self.batch_size, self.shuffle = batch_size, shuffle
        self.seed, self.epoch = seed, 1

    def __len__(self) -> int:
        return -(-len(self.values) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.arange(len(self.values))
        if self.shuffle:
            order = photos.shuffled(len(self.values), self.seed, self.epoch)
        self.epoch += 1
        for batch in order.split(self.batch_size):
            values = self.values[batch]
            compact = values.dtype == torch.bfloat16
            yield values.float() if compact else values, self.labels[batch]


class Bar:
    """A report for `fit` that shows one progress bar in the terminal."""

    def __init__(self, title: str = "training") -> None:
        self.title = title
        self.bar: Any = None

    def __call__(self, history: History) -> None:
        from tqdm import tqdm

        if self.bar is None:
            self.bar = tqdm(total=history.epochs, desc=self.title, unit="epoch", leave=False)
        row = history.rows[-1]
        ends = history.interval(row)
        interval = f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else ""
        self.bar.set_postfix_str(
            f"valid loss {row['valid_loss']:.3f}, "
            f"valid accuracy {row['valid_accuracy']:.3f}{interval}"
        )
        self.bar.update(1)
        if len(history.rows) == history.epochs:
            self.bar.close()


@modes.usual()
def transfer(
    splits: Splits,
    backbone: str | models.Backbone = "densenet121",
    *,
    weights: str | Path | None = None,
    head: str = "linear",
    layers: str = "auto",
    hidden: int | Sequence[int] | None = None,
    dropout: float | None = None,
    epochs: int | None = None,
    lr: float | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    preset: str = "standard",
    preprocessing: Preprocessing | None = None,
    resize_mode: str = "crop",
    device: str = "auto",
    precision: str = "auto",
    cache: bool = True,
    report: Callable[[History], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    checkpoint: Path | str | None = None,
) -> Classifier:
    """Trains a head on the features of a frozen backbone. The test set is not touched.

    Args:
        splits: from `data`.
        backbone: a name (see `models.names`), or one that was built already.
        weights: as in `models.backbone`; by default ImageNet's, or the project's own for its small
            backbones.
        head: "linear", logistic regression solved directly with the penalty chosen on valid, then
            solved once more with that penalty on train and valid together; "ridge", likewise, by a
            formula, less accurate (see `solvers.ridge`); or "hidden", the source's:
            Linear, ReLU, Dropout, Linear, LogSoftmax, trained with NLLLoss and Adam, best epoch
            kept on valid.
        layers: "last", the head sees the features of the backbone's last layer, as the source's
            does; "stages", also what the stages before it know (see `stages.Stages`); "auto",
            stages, if a solved head is asked for and the name of a backbone that has them. A
            backbone that was built already is taken as it is. `classifier.backbone.name` tells.
        hidden, dropout, epochs, lr, batch_size: of the hidden head alone; by default 512 (one
            layer), 0.2, 10, 0.003 and 64.
        seed: of random weights, of the hidden head's start and of its batches.
        preset: "standard" sees images at the size that the backbone's weights were trained for,
            "quick" at a smaller one, "best" at a larger one, and it tunes the backbone's last stage
            on the training photos first; see `models.default_preprocessing`.
        preprocessing: instead of that of `preset`.
        resize_mode: "crop" shows the middle of wide photos, "squash" and "pad" all of them; see
            `Preprocessing.squashed` and `Preprocessing.padded`.
        device, precision, cache, progress: as in `features.extract`.
        report: called after every epoch of the hidden head.
        checkpoint: a file that holds the hidden head's state after every epoch; where it is there,
            training goes on from it. (Features are kept by the cache.)

    Returns:
        A classifier; `results` holds valid accuracy, seconds by phase, device and precision,
        `history` what was measured on the way, and `valid_logits` what valid accuracy comes from:
        the head as it was before it learned from the valid photos.

    Raises:
        InputError: something given cannot be used, or has no effect beside what else was given; the
            message says what and how to mend it.
    """
    of_head = options.of_the_head(
        head, hidden=hidden, dropout=dropout, epochs=epochs, lr=lr, batch_size=batch_size
    )
    seed = int(options.SEED.checked("seed", seed))
    if layers not in options.LAYERS:
        raise InputError(f'layers must be "auto", "last" or "stages", not "{layers}".')
    start = time.perf_counter()
    staged = layers == "stages"
    if isinstance(backbone, str):
        plain = backbone.removesuffix(models.STAGES)
        if layers == "last" and plain != backbone:
            raise InputError(f'{backbone} gives more than its last layer; say "{plain}".')
        if layers == "auto":
            staged = plain != backbone or (head != "hidden" and levels.known(plain))
        backbone = plain
        default = "small" if backbone in models.SMALL else "imagenet"
        backbone = models.backbone(backbone, weights or default, seed=seed)
    else:
        _refuse_for_built(backbone, weights, layers)
    if preprocessing is not None and preset == "quick":
        raise InputError('preset "quick" has no effect beside preprocessing; give one of them.')
    usual = models.default_preprocessing(backbone, preset)  # always, so that a wrong word is told
    preprocessing = (preprocessing or usual).with_resize_mode(resize_mode)
    built = time.perf_counter()
    computing: dict[str, Any] = dict(
        device=device, precision=precision, cache=cache, progress=progress
    )
    if preset == "best":
        staged |= backbone.name.endswith(models.STAGES)
        backbone = tuning.last_stage(
            models.without_stages(backbone),
            splits.train,
            preprocessing,
            num_classes=len(splits.class_names),
            seed=seed,
            **computing,
        )
    if staged:
        backbone = models.with_stages(backbone)
    tuned = time.perf_counter()
    both = features.extract(  # one pass for train and valid
        backbone,
        photos.join(splits.train, splits.valid),
        preprocessing,
        compact=True,
        **computing,
    )
    extracted = time.perf_counter()
    size, num_classes = len(splits.train), len(splits.class_names)
    values, labels = both.values, both.labels
    if of_head is None:
        solve = solvers.logistic if head == "linear" else solvers.ridge
        solution = solve(
            values[:size],
            labels[:size],
            values[size:],
            labels[size:],
            num_classes,
            refit=True,
        )
        module, valid_logits = solution.head, solution.valid_logits
        history = History(
            len(solution.rows), solution.rows, solution.best + 1, num_valid=len(splits.valid)
        )
        settings: dict[str, Any] = {"kind": head, "penalty": solution.penalty}
    else:
        kept = None
        if checkpoint:
            content = hashlib.sha256(values.view(torch.uint8).numpy().data)
            content.update(labels.numpy().data)
            given = [asdict(of_head), seed, size, num_classes, content.hexdigest()]
            kept = Checkpoint(checkpoint, given)
        valid_batches = FeatureBatches(values[size:], labels[size:], 1024, shuffle=False)
        with models.seeded(seed):
            module = models.hidden_head(
                values.shape[1], num_classes, of_head.hidden, of_head.dropout
            )
            batches = FeatureBatches(
                values[:size], labels[:size], of_head.batch_size, shuffle=True, seed=seed
            )
            history = fit(
                module,
                batches,
                valid_batches,
                epochs=of_head.epochs,
                lr=of_head.lr,
                report=report,
                checkpoint=kept,
            )
        history.num_valid = len(splits.valid)  # also where a finished training was gone on with
        settings = {"kind": "hidden", **asdict(of_head), "hidden": list(of_head.hidden)}
        valid_logits, _ = _outputs(module, valid_batches, nn.NLLLoss())
    right = int((valid_logits.argmax(1) == labels[size:]).sum())
    refitted = head != "hidden"
    known, chosen = splits.train.digests(), splits.valid.digests()
    provenance = Provenance.of(np.concatenate([known, chosen]) if refitted else known, chosen)
    results = {
        "head": settings,
        "seed": seed,
        "valid": {
            "set": "valid",
            "num_images": len(splits.valid),
            "accuracy": right / len(splits.valid),
            "interval": list(metrics.wilson_interval(right, len(splits.valid))),
            "chosen_on_it": history.what,
            "trained_on_it_afterwards": refitted,
        },
        "device": both.device,
        "precision": both.precision,
        "features_computed": both.computed,
        "seconds": {
            "backbone": built - start,
            "tuning": tuned - built,
            "features": extracted - tuned,
            "head": time.perf_counter() - extracted,
        },
    }
    names = splits.class_names
    classifier = Classifier(backbone, module, names, preprocessing, results, provenance)
    classifier.history, classifier.valid_logits = history, valid_logits
    return classifier


def _refuse_for_built(backbone: models.Backbone, weights: Any, layers: str) -> None:
    """Refuses what says how to build a backbone that was built already."""
    if weights is not None:
        raise InputError(
            "weights has no effect on a backbone that was built already; leave it out."
        )
    if layers == "last" and backbone.name.endswith(models.STAGES):
        raise InputError(
            f'{backbone.name} gives more than its last layer; say layers="stages", or give '
            "models.without_stages(backbone)."
        )
