"""Fine-tuning of the last stage alone, from maps that are computed once.

The stages below stay frozen, so what they give for a photo never changes; it is cached, as features
are, and only the last stage runs in every epoch.

What it earns: results/frontier.json.

Shown in: notebooks/05_heads
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from flowerlib import models
from flowerlib.data import Photos, loading
from flowerlib.features import Features
from flowerlib.models import Backbone
from flowerlib.support import distributed, modes
from flowerlib.train.fine_tuning.schedules import autocast, warm_up_and_cosine
from flowerlib.train.progress import counter
from flowerlib.train.steps import Computing
from flowerlib.transforms import Preprocessing

EPOCHS, BATCH_SIZE = 5, 32
LR, HEAD_LR, WEIGHT_DECAY = 3e-4, 3e-3, 1e-4  # pretrained weights take smaller steps than the head
LABEL_SMOOTHING, DROPOUT = 0.1, 0.2


@modes.usual()
def tuned(
    backbone: Backbone,
    known: Photos,
    preprocessing: Preprocessing,
    computing: Computing | None = None,
    *,
    seed: int = 0,
) -> Backbone:
    """A copy of the backbone whose last stage has learned to tell these photos' classes apart.

    A linear head learns with it and is thrown away: one that is solved on the new features does
    better. Half of the batches are mirrored. BatchNorm keeps its statistics.
    Of several processes, all compute the maps, and the main one learns.

    Args:
        backbone: one that `models.split` can cut; it is not changed.
        known: the N photos to learn from, with labels.
        preprocessing: what each photo goes through.
        computing: device, precision, cache; its progress is called in the one pass, and then with
            the photos seen in training.
        seed: of the head's start, of the batches' order, of mirroring and dropout.

    Returns:
        A backbone that gives the same kinds of features: multi-level, if it had them.

    Raises:
        InputError: the backbone cannot be split, or as in `features.extract`.
    """
    computing = computing or Computing()
    learner = models.unfreeze(copy.deepcopy(models.last_layer(backbone))).eval()
    learner.weights = f"{backbone.weights}, last stage tuned"
    lower, upper = models.split(learner, preprocessing.crop)
    maps = computing.extract(lower, known, preprocessing)
    learner.to(maps.device).requires_grad_(False)
    if distributed.is_main():
        with models.seeded(seed):
            head = nn.Linear(
                learner.num_features,
                len(known.class_names),
                device=maps.device,
                dtype=torch.float32,
            )
            _learn(upper.requires_grad_(True), head, maps, seed, computing.progress)
    learner = learner.to("cpu").requires_grad_(True)
    learner.load_state_dict(distributed.from_main(learner.state_dict))
    return models.multi_level(learner) if backbone.layers == "multi-level" else learner


def _learn(
    upper: nn.Module,
    head: nn.Module,
    maps: Features,
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Trains both in place, in whatever mode they are."""
    groups = [
        {"params": list(upper.parameters()), "lr": LR},
        {"params": list(head.parameters()), "lr": HEAD_LR},
    ]
    fused = maps.device in ("cpu", "cuda")  # as in `train.fit`
    optimizer = torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY, fused=fused)
    size = len(maps)
    count = counter(progress, size, EPOCHS)
    schedule = warm_up_and_cosine(optimizer, EPOCHS * -(-size // BATCH_SIZE))
    loss = nn.CrossEntropyLoss(label_smoothing=LABEL_SMOOTHING)
    for epoch in range(1, EPOCHS + 1):
        for batch in loading.shuffled(size, seed, epoch).split(BATCH_SIZE):
            values = maps.values[batch].to(maps.device).float()
            labels = maps.labels[batch].to(maps.device)
            if torch.rand((), dtype=torch.float32) < 0.5:
                values = mirrored(values, upper)
            with autocast(maps.device, maps.precision):
                found = upper(values)
            logits = head(nn.functional.dropout(found.float(), DROPOUT))
            value = loss(logits, labels)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            schedule.step()
            count(len(batch))


def mirrored(values: Tensor, upper: nn.Module) -> Tensor:
    """Flattened maps (N, C * H * W) with left and right exchanged."""
    unflatten = next(upper.children())
    return unflatten(values).flip(3).flatten(1)
