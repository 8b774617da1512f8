"""What fine-tuning shows to the network: random views, and mixed photos.

Sources: Müller and Hutter, "TrivialAugment" (2021); Cubuk et al., "RandAugment" (2020); Zhang et
al., "mixup" (2018); Yun et al., "CutMix" (2019); all as torchvision has them, which is imported
only where they are asked for, since that takes as long as torch itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader

from flowerlib import data
from flowerlib.data import Photos
from flowerlib.support import distributed
from flowerlib.support.options import FineTuning
from flowerlib.transforms import Augmentation, Preprocessing

Mixer = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class RandomView:
    """A random view of a PIL photo, as a normalized tensor (3, crop, crop).

    Random numbers come from torch's global generator, which `data.Views` sets for each picture.

    Args:
        preprocessing: size and normalization.
        augment: "none", "basic", "trivial" or "rand"; see `FineTuning`.
    """

    def __init__(self, preprocessing: Preprocessing, augment: str) -> None:
        self.preprocessing = preprocessing
        self.basic = None if augment == "none" else Augmentation(preprocessing)
        self.policy = _policy(augment)

    def __call__(self, photo: Image.Image) -> Tensor:
        if self.basic is None:
            return self.preprocessing(photo)
        view = self.policy(self.basic.view(photo))
        return self.preprocessing.whole()(view)


def _policy(augment: str) -> nn.Module:
    """torchvision's random changes of a PIL photo, or none of them."""
    if augment not in ("trivial", "rand"):
        return nn.Identity()
    from torchvision.transforms import v2

    return v2.TrivialAugmentWide() if augment == "trivial" else v2.RandAugment()


def train_batches(
    photos: Photos,
    preprocessing: Preprocessing,
    settings: FineTuning,
    *,
    seed: int,
    workers: int = 0,
) -> DataLoader[Any]:
    """Batches of random views (n, 3, crop, crop) and labels (n,), new ones in every epoch.

    Of several processes, each gets its part of every batch.
    """
    view = RandomView(preprocessing, settings.augment)
    return data.loader(
        photos,
        view,
        batch_size=settings.batch_size,
        shuffle=True,
        balanced=settings.balance == "sampler",
        seed=seed,
        workers=workers,
        part=distributed.size() > 1,
    )


def mixer(mix: str, num_classes: int) -> Mixer:
    """A function that mixes the photos of a batch, each with another, and so their labels.

    Args:
        mix: "none", "mixup", "cutmix", or "both": one of the two for each batch.
        num_classes: C.

    Returns:
        (images (n, 3, H, W), labels (n,)) → (images (n, 3, H, W), shares of classes (n, C)), or
        what it was given, for "none".
    """
    if mix == "none":
        return lambda images, labels: (images, labels)
    from torchvision.transforms import v2

    mixup, cutmix = v2.MixUp(num_classes=num_classes), v2.CutMix(num_classes=num_classes)
    return {"mixup": mixup, "cutmix": cutmix, "both": v2.RandomChoice([mixup, cutmix])}[mix]
