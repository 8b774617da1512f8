"""Fine-tuning: the last stage of a backbone learns as well, from maps that are computed once.

The stages below stay frozen, so what they give for a photo never changes; it is kept, as features
are, and only the last stage runs in every epoch.

Ledger, Oxford flowers, mobilenet_v2, 256 px, accuracy on valid (818 photos):

    frozen                                              0.960
    last stage tuned                                    0.980
    and what the stages know (results/frontier.json)    0.983; frozen 0.973
    its own head instead of one solved afterwards       0.978
    ten epochs at 5e-4                                  0.978
    one block more, with maps and time twice as large   0.980

Shown in: notebooks/04_flowers
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from flowerlib import features, models
from flowerlib.data import photos
from flowerlib.data.photos import Photos
from flowerlib.models import Backbone
from flowerlib.support import modes
from flowerlib.transforms import Preprocessing

EPOCHS, BATCH = 5, 32
LR, HEAD_LR, DECAY = 3e-4, 3e-3, 1e-4  # old weights take smaller steps than the new head
SMOOTHING, DROPOUT = 0.1, 0.2


@modes.usual()
def last_stage(
    backbone: Backbone,
    known: Photos,
    preprocessing: Preprocessing,
    *,
    num_classes: int,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    cache: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Backbone:
    """A copy of the backbone whose last stage has learned to tell these classes apart.

    A linear head learns with it and is thrown away: one that is solved on the new features does
    better. Half of the batches are mirrored. BatchNorm keeps its statistics.

    Args:
        backbone: one that `models.split` can cut; it is not changed.
        known: the N photos to learn from, with labels.
        preprocessing: what each photo goes through.
        num_classes: C.
        seed: of the head's start, of the batches' order, of mirroring and dropout.
        device, precision, cache: as in `features.extract`.
        progress: called with (photos done, photos in all), in the one pass and then in training.

    Raises:
        InputError: the backbone cannot be split, or as in `features.extract`.
    """
    tuned = models.unfreeze(copy.deepcopy(backbone)).eval()
    tuned.weights = f"{backbone.weights}, last stage tuned"
    lower, upper = models.split(tuned, preprocessing.crop)
    maps = features.extract(
        lower,
        known,
        preprocessing,
        device=device,
        precision=precision,
        cache=cache,
        compact=True,
        progress=progress,
    )
    tuned.to(maps.device).requires_grad_(False)
    with models.seeded(seed):
        head = nn.Linear(
            backbone.num_features, num_classes, device=maps.device, dtype=torch.float32
        )
        _learn(upper.requires_grad_(True), head, maps, seed, progress)
    return tuned.to("cpu").requires_grad_(True)


def _learn(
    upper: nn.Module,
    head: nn.Module,
    maps: features.Features,
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Trains both in place, in whatever mode they are."""
    groups = [
        {"params": list(upper.parameters()), "lr": LR},
        {"params": list(head.parameters()), "lr": HEAD_LR},
    ]
    fused = maps.device in ("cpu", "cuda")  # as in `train.fit`
    optimizer = torch.optim.AdamW(groups, weight_decay=DECAY, fused=fused)
    size, done = len(maps), 0
    steps = EPOCHS * -(-size // BATCH)

    def share(step: int) -> float:
        """Of the rates: up during the first tenth of the steps, down to nothing at the end."""
        return min(10 * (step + 1) / steps, (1 + math.cos(math.pi * step / steps)) / 2)

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
    loss = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    for epoch in range(1, EPOCHS + 1):
        for batch in photos.shuffled(size, seed, epoch).split(BATCH):
            values = maps.values[batch].to(maps.device).float()
            labels = maps.labels[batch].to(maps.device)
            if torch.rand((), dtype=torch.float32) < 0.5:
                values = _mirrored(values, upper)
            # Inside a caller's autocast, torch would keep the rounded weights of the first step.
            with torch.autocast(
                maps.device,
                torch.bfloat16,
                enabled=maps.precision == "bf16",
                cache_enabled=False,
            ):
                found = upper(values)
            logits = head(nn.functional.dropout(found.float(), DROPOUT))
            value = loss(logits, labels)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            schedule.step()
            done += len(batch)
            if progress:
                progress(done, EPOCHS * size)


def _mirrored(values: Tensor, upper: nn.Module) -> Tensor:
    """Flattened maps (N, C * H * W) with left and right exchanged."""
    unflatten = next(upper.children())
    return unflatten(values).flip(3).flatten(1)
