"""The loop of fine-tuning: `train.fit` with what large networks and few photos need."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from flowerlib.models import Network
from flowerlib.support import distributed
from flowerlib.support.options import FineTuning
from flowerlib.train.batches import Batches, set_epoch
from flowerlib.train.checkpoints import Checkpoint, TrainingState
from flowerlib.train.evaluation import RunningLoss, measure
from flowerlib.train.fine_tuning.averaging import Averages
from flowerlib.train.fine_tuning.blocks import parameter_groups, unfreeze
from flowerlib.train.fine_tuning.schedules import autocast, schedule
from flowerlib.train.fine_tuning.step import Step
from flowerlib.train.fine_tuning.views import mixer
from flowerlib.train.history import History
from flowerlib.train.progress import counter

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def learn(
    network: Network,
    train_batches: DataLoader[Any],
    valid_batches: Batches,
    settings: FineTuning,
    *,
    num_classes: int,
    loss: nn.Module,
    precision: str,
    patience: int | None = None,
    report: Callable[[History], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> History:
    """Trains a network in place, and leaves it with the weights of its best epoch, in `eval()`.

    Args:
        network: with a head that gives logits (N, C).
        train_batches: give (images (n, 3, H, W), labels (n,)); of several processes, each gets its
            part of every batch.
        valid_batches: likewise; measured after every epoch.
        loss: a mean over samples that takes logits and labels, or shares of classes if
            `settings.mix` asks for them.
        precision: "fp32", or "bf16" for the backbone.
        patience, report, checkpoint: as in `train.fit`.
        progress: called with (photos seen, photos in all epochs); or its `training`, as
            `CountsEpochs` has it.
    """
    device = next(network.parameters()).device
    network.to(memory_format=torch.channels_last)
    num_steps = settings.epochs * len(train_batches)
    optimizer = torch.optim.AdamW(
        parameter_groups(network, settings), weight_decay=settings.weight_decay
    )
    rates = schedule(optimizer, num_steps, settings)
    averages = Averages(network, settings.averaging, num_steps)
    step = Step(
        network,
        optimizer,
        clip_norm=settings.clip_norm,
        device=device.type,
        precision=precision,
    )
    mix = mixer(settings.mix, num_classes)
    state = TrainingState(
        History(settings.epochs),
        network,
        checkpoint,
        optimizer=optimizer,
        rates=rates,
        averages=averages,
    )
    size = len(train_batches.dataset)  # type: ignore[arg-type]
    count = counter(progress, size, settings.epochs, finished=len(state.history.rows))
    for epoch in state.remaining_epochs(patience):
        start = time.perf_counter()
        set_epoch(train_batches, epoch)
        unfreeze(network, epoch, settings.unfreeze_epochs)
        step.begin_epoch()
        _set_to_train(network)
        train_loss = RunningLoss(loss)
        for images, labels in train_batches:
            step(*mix(images.to(device), labels.to(device)), train_loss)
            rates.step()
            averages.update()
            count(len(labels) * distributed.size())
        state.model = averages.best_guess()
        with autocast(device.type, precision):
            valid = measure(state.model, valid_batches, loss, shared=True)
        state.end_epoch(train_loss.mean, valid, time.perf_counter() - start)
        if report:
            report(state.history)
    network.load_state_dict(state.best)
    network.requires_grad_(True).eval()
    return state.history


def _set_to_train(network: Network) -> None:
    """Dropout is on; BatchNorm keeps the statistics that it was pretrained with."""
    network.train()
    for module in network.modules():
        if isinstance(module, BATCH_NORMS):
            module.eval()
