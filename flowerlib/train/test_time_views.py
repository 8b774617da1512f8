"""Answers averaged over several views of each photo."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from flowerlib.classifier import Classifier
from flowerlib.data import Photos, RandomViews
from flowerlib.support import options
from flowerlib.train.steps import Computing
from flowerlib.transforms import Augmentation


def averaged_logits(
    classifier: Classifier,
    photos: Photos,
    *,
    views: int = 4,
    augmentation: Augmentation | None = None,
    seed: int = 0,
    device: str = options.DEVICE.default,
    precision: str = options.PRECISION.default,
    cache: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Logarithm of the mean probabilities over each photo and random views of it.

    Takes `views` + 1 times as long as `Classifier.evaluate`. Its answers are those of
    `argmax(1)`; `metrics.accuracy` and `metrics.paired_difference` say whether that helps.

    Args:
        classifier: a trained one.
        photos: N photos.
        views: random views of each photo, beside the photo itself.
        augmentation: that draws them; by default crops of at least 80 % of the area, half of them
            mirrored.
        seed: of the views.
        device, precision, cache, progress: as in `features.extract`.

    Returns:
        float32 (N, C).

    Raises:
        InputError: `views` is not a number from 1 up, or photos cannot be read.
    """
    photos = Photos.expected(photos, "averaged_logits")
    views = int(options.COUNT.checked("views", views))
    plain = classifier.preprocessing
    augmentation = augmentation or Augmentation(plain, rotation=0, crop_scale=(0.8, 1.0))
    several = RandomViews(photos, augmentation, views, seed)
    computing = Computing(device, precision, cache, progress)
    pairs = ((photos, plain), (several, plain.whole()))
    found = [computing.extract(classifier.backbone, *pair).values.float() for pair in pairs]
    values = torch.cat(found)
    probabilities = classifier.decide(values).softmax(1)
    return probabilities.view(1 + views, len(photos), -1).mean(0).log()
