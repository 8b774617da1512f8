"""Views of photos: what a network sees of them, always the same or random and yet repeatable.

Shown in: notebooks/03_augmentation, notebooks/05_heads
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from flowerlib.data.contents import Contents, Rows
from flowerlib.data.decoding import images
from flowerlib.data.photos import Photos
from flowerlib.support.errors import InputError
from flowerlib.transforms import Augmentation, Preprocessing

# What turns a PIL RGB image into a tensor, such as one of torchvision's transforms.
Transform = Callable[[Image.Image], Tensor]


class Views(Dataset[tuple[Tensor, int]]):
    """A map-style torch dataset: item `i` is (transformed picture, label).

    Random transforms draw from a generator seeded by (seed, epoch, i), so the same epoch gives the
    same views for any number of worker processes, and a resumed run continues as if never stopped.
    Item `(i, k)` is another random view of picture `i` for each k, and `(i, 0)` is item `i`.
    """

    def __init__(
        self, photos: Photos, transform: Preprocessing | Augmentation | Transform, seed: int = 0
    ) -> None:
        self.photos, self.transform, self.seed = photos, transform, seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int | tuple[int, int]) -> tuple[Tensor, int]:
        index, view = index if isinstance(index, tuple) else (index, 0)
        image = self.photos.image(index)
        label = int(self.photos.labels[index])
        if isinstance(self.transform, Preprocessing):
            return self.transform(image), label
        generator = seeded(self.seed, self.epoch, index + view * len(self))
        if isinstance(self.transform, Augmentation):
            return self.transform(image, generator), label
        with torch.random.fork_rng(devices=[]):  # torchvision's transforms use the global generator
            torch.random.set_rng_state(generator.get_state())
            return self.transform(image), label


class RandomViews(Photos):
    """Random views of photos, themselves photos: view k of photo i is picture k * N + i.

    So `features.extract` can cache them. Each view depends on (seed, k, i) alone; it is as large as
    the network's input already, so extract it with `preprocessing.whole()`.

    Shown in: notebooks/05_heads
    """

    def __init__(
        self, photos: Photos, augmentation: Augmentation, count: int, seed: int = 0
    ) -> None:
        """Draws nothing yet.

        Args:
            photos: the N photos that the views are of.
            augmentation: what each view is drawn by.
            count: views of each photo.
            seed: of the views.

        Raises:
            InputError: `count` is below 1.
        """
        if count < 1:
            raise InputError(f"RandomViews: count must be 1 or more, not {count}.")
        numbers = np.arange(count * len(photos))
        views = _Drawn(photos, augmentation, seed, numbers)
        super().__init__(views, np.tile(photos.labels, count), photos.class_names)


@dataclass(eq=False)
class _Drawn(Contents):
    """Views by number, k * N + i each, drawn when they are asked for."""

    cut = True

    photos: Photos
    augmentation: Augmentation
    seed: int
    numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)

    def _at(self, index: int) -> tuple[int, int]:
        """The number of the view, and the photo that it is of."""
        return divmod(int(self.numbers[index]), len(self.photos))

    def name(self, index: int) -> str:
        return self.photos.name(self._at(index)[1])

    def opened(self, index: int, shrink_to: int | None = None) -> tuple[Image.Image, bytes]:
        view, photo = self._at(index)
        picture, origin = self.photos.opened(photo)  # always in full size
        drawn = self.augmentation.view(picture, seeded(self.seed, view, photo))
        return drawn, self._digest(view, photo, origin)

    def digest(self, index: int) -> bytes:
        view, photo = self._at(index)
        return self._digest(view, photo, self.photos.digest(photo))

    def _digest(self, view: int, photo: int, origin: bytes) -> bytes:
        kind = f"{self.augmentation} {self.seed} {view} {photo}".encode()
        return images.digest_of(kind + origin)

    def origin(self, index: int) -> bytes:
        return self.photos.digest(self._at(index)[1])

    def take(self, rows: Rows) -> _Drawn:
        return dataclasses.replace(self, numbers=self.numbers[np.asarray(rows, np.int64)])

    def recalling(self) -> contextlib.AbstractContextManager[None]:
        return self.photos.contents.recalling()


def seeded(seed: int, epoch: int, index: int) -> torch.Generator:
    """A source of randomness of its own for each (seed, epoch, index)."""
    mixed = np.random.SeedSequence([seed, epoch, index]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(mixed[0] >> np.uint64(1)))
