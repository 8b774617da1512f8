"""The head of transfer learning: solved directly, or trained with hidden layers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from flowerlib import models, solvers
from flowerlib.support import distributed
from flowerlib.support.options import HiddenHead
from flowerlib.train.batches import FeatureBatches
from flowerlib.train.checkpoints import Checkpoint
from flowerlib.train.evaluation import outputs_and_labels
from flowerlib.train.history import History
from flowerlib.train.loop import fit
from flowerlib.train.steps import SplitFeatures, TrainedHead

# Photos to learn from, from which on several processes share the batches of a hidden head: one
# takes few photos' steps by itself, exactly as alone.
WORTH_SHARING = 100_000


def solve(known: SplitFeatures, head: str, num_classes: int, *, refit: bool = True) -> TrainedHead:
    """A "linear" (logistic regression) or "ridge" head, with the penalty that is best on valid."""
    solver = solvers.logistic if head == "linear" else solvers.ridge
    found = solver(*known.train, *known.valid, num_classes, refit=refit)
    num_valid = len(known.values) - known.num_train
    history = History(len(found.rows), found.rows, found.best + 1, num_valid=num_valid)
    settings: dict[str, object] = {"kind": head, "penalty": found.penalty}
    return TrainedHead(found.head, history, found.valid_logits, settings, refit)


def train_hidden(
    known: SplitFeatures,
    settings: HiddenHead,
    num_classes: int,
    *,
    seed: int,
    report: Callable[[History], None] | None = None,
    checkpoint: Path | str | None = None,
) -> TrainedHead:
    """A head with hidden layers, trained with Adam and NLLLoss; the best epoch on valid.

    Several processes share the work where it is worth it. Then dropout differs from that of one,
    since each process draws it for its part of a batch.
    """
    if distributed.size() > 1 and known.num_train < WORTH_SHARING:
        return distributed.from_main(
            lambda: train_hidden(
                known, settings, num_classes, seed=seed, report=report, checkpoint=checkpoint
            )
        )
    valid_batches = FeatureBatches(*known.valid, 1024, shuffle=False)
    with models.seeded(seed):
        width = known.values.shape[1]
        module = models.hidden_head(width, num_classes, settings.hidden, settings.dropout)
        history = fit(
            module,
            FeatureBatches(*known.train, settings.batch_size, shuffle=True, seed=seed),
            valid_batches,
            epochs=settings.epochs,
            lr=settings.lr,
            report=report,
            checkpoint=_checkpoint(checkpoint, known, settings, seed, num_classes),
        )
    valid_logits, _ = outputs_and_labels(module, valid_batches, nn.NLLLoss())
    plain = {"kind": "hidden", **asdict(settings), "hidden": list(settings.hidden)}
    return TrainedHead(module, history, valid_logits, plain, refitted=False)


def _checkpoint(
    path: Path | str | None,
    known: SplitFeatures,
    settings: HiddenHead,
    seed: int,
    num_classes: int,
) -> Checkpoint | None:
    """A checkpoint that belongs to these features and settings alone."""
    if not path:
        return None
    content = hashlib.sha256(known.values.view(torch.uint8).numpy().data)
    content.update(known.labels.numpy().data)
    run = [asdict(settings), seed, known.num_train, num_classes, content.hexdigest()]
    return Checkpoint(path, run)
