"""The training loop: short enough to be read, with what makes it safe in named helpers.

Shown in: notebooks/04_flowers
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import nn

from flowerlib import models
from flowerlib.support import modes, threads
from flowerlib.train import parallel
from flowerlib.train.batches import Batches, set_epoch
from flowerlib.train.checkpoints import Checkpoint, TrainingState
from flowerlib.train.evaluation import RunningLoss, check_mean, measure, multiplications
from flowerlib.train.history import History


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
        checkpoint: saves the state after every epoch; where its file exists, training continues
            from it.

    Returns:
        The history; `best_epoch` is the one with the lowest validation loss.

    Raises:
        InputError: outputs and loss do not fit together, the loss is no mean or not finite,
            there are no training batches, or no parameter requires a gradient.

    Example:
        >>> import torch
        >>> from flowerlib import models
        >>> values, labels = torch.eye(4), torch.tensor([0, 0, 1, 1])
        >>> batches = FeatureBatches(values, labels, 4, shuffle=False)
        >>> with models.seeded(0):
        ...     head = models.hidden_head(4, 2, hidden=(8,), dropout=0.0)
        >>> history = fit(head, batches, batches, epochs=20, lr=0.1)
        >>> history.rows[-1]["valid_accuracy"]
        1.0
    """
    modes.check_trainable(model)
    loss = loss or nn.NLLLoss()
    check_mean(loss)
    optimizer = optimizer or _adam(model, lr)
    device = next(model.parameters()).device
    state = TrainingState(History(epochs), model, checkpoint, optimizer=optimizer)
    learner = parallel.learner(model)
    for epoch in state.remaining_epochs(patience):
        start = time.perf_counter()
        set_epoch(train_batches, epoch)
        model.train()
        train_loss = RunningLoss(loss)
        for inputs, labels in train_batches:
            inputs, labels = inputs.to(device), labels.to(device)
            if train_loss.ignores(labels):
                continue
            with threads.limited_to(multiplications(model, inputs)):
                batch_loss = parallel.batch_loss(learner, inputs, labels, train_loss)
                optimizer.zero_grad()
                batch_loss.backward()
                optimizer.step()
        valid = measure(model, valid_batches, loss)
        state.end_epoch(train_loss.mean, valid, time.perf_counter() - start)
        if report:
            report(state.history)
    state.restore_best()
    return state.history


def _adam(model: nn.Module, lr: float) -> torch.optim.Adam:
    """Adam over the parameters that require a gradient."""
    # One kernel for the whole update instead of a dozen; the same arithmetic.
    fused = next(model.parameters()).device.type in ("cpu", "cuda")
    return torch.optim.Adam(models.trainable_parameters(model), lr=lr, fused=fused)
