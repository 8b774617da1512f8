"""Pictures with their labels, and how a network is fed with them.

Shown in: notebooks/03_flowers
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from flowerlib import images

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

    from flowerlib.transforms import Augmentation, Preprocessing


class Photos:
    """Pictures and their labels: files that are opened when asked for, or an array in memory.

    Attributes:
        source: list of paths, or a uint8 array (N, H, W, 3).
        labels: int64 array (N,), positions in `class_names`.
        class_names: the names, in the order of the labels.
    """

    def __init__(
        self,
        source: Sequence[Path] | np.ndarray,
        labels: Sequence[int] | np.ndarray,
        class_names: Sequence[str],
    ) -> None:
        self.source = source if isinstance(source, np.ndarray) else [Path(path) for path in source]
        self.labels = np.asarray(labels, dtype=np.int64)
        self.class_names = tuple(class_names)
        self._digests: list[bytes | None] = [None] * len(self.source)
        if len(self.labels) != len(self.source):
            raise ValueError(f"{len(self.source)} pictures but {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.source)

    def __repr__(self) -> str:
        return f"<{len(self)} photos of {len(self.class_names)} classes>"

    def image(self, index: int, shrink_to: int | None = None) -> Image.Image:
        """Opens picture `index` as a PIL RGB image (see `images.open_photo` for `shrink_to`)."""
        picture = self.source[index]
        if isinstance(picture, np.ndarray):
            return Image.fromarray(picture)
        return images.open_photo(picture, shrink_to=shrink_to)

    def name(self, index: int) -> str:
        """The file's path, or "picture 7" for a drawn one."""
        picture = self.source[index]
        return f"picture {index}" if isinstance(picture, np.ndarray) else str(picture)

    def class_name(self, index: int) -> str:
        """The name of the class of picture `index`."""
        return self.class_names[self.labels[index]]

    def digest(self, index: int) -> bytes:
        """16 bytes that stand for the picture's content."""
        if (known := self._digests[index]) is None:
            picture = self.source[index]
            if isinstance(picture, np.ndarray):
                content = str(picture.shape).encode() + picture.tobytes()
                known = hashlib.blake2b(content, digest_size=16).digest()
            else:
                known = images.digest(picture)
            self._digests[index] = known
        return known

    def subset(self, indices: Sequence[int] | np.ndarray) -> Photos:
        """The pictures at `indices`, in that order."""
        indices = np.asarray(indices, dtype=np.int64)
        source = self.source
        chosen = source[indices] if isinstance(source, np.ndarray) else [source[i] for i in indices]
        return Photos(chosen, self.labels[indices], self.class_names)

    def per_class(self, count: int, seed: int = 0) -> Photos:
        """At most `count` pictures of each class, drawn with `seed`, in their old order."""
        order = np.random.default_rng(seed).permutation(len(self))
        chosen = [order[self.labels[order] == label][:count] for label in np.unique(self.labels)]
        return self.subset(np.sort(np.concatenate(chosen)))

    def counts(self) -> np.ndarray:
        """Number of pictures of each class, int64 (num_classes,)."""
        return np.bincount(self.labels, minlength=len(self.class_names))


def join(*parts: Photos) -> Photos:
    """The photos of several parts, one after the other; all must have the same classes."""
    source: Sequence[Path] | np.ndarray = [picture for part in parts for picture in part.source]
    if all(isinstance(part.source, np.ndarray) for part in parts):
        source = np.concatenate([part.source for part in parts])
    labels = np.concatenate([part.labels for part in parts])
    return Photos(source, labels, parts[0].class_names)


class Views:
    """A map-style torch dataset: item `i` is (transformed picture, label).

    Random transforms draw from a generator seeded by (seed, epoch, i), so the same epoch gives the
    same views for any number of worker processes, and a resumed run continues as if never stopped.
    """

    def __init__(
        self, photos: Photos, transform: Preprocessing | Augmentation, seed: int = 0
    ) -> None:
        self.photos, self.transform, self.seed = photos, transform, seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple:
        import torch

        from flowerlib.transforms import Augmentation

        image = self.photos.image(index)
        label = int(self.photos.labels[index])
        if not isinstance(self.transform, Augmentation):
            return self.transform(image), label
        mixed = np.random.SeedSequence([self.seed, self.epoch, index]).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(mixed[0] >> np.uint64(1)))
        return self.transform(image, generator), label


def loader(
    photos: Photos,
    transform: Preprocessing | Augmentation,
    *,
    batch_size: int = 64,
    shuffle: bool = False,
    seed: int = 0,
    workers: int = 0,
) -> DataLoader:
    """A torch DataLoader of (images (N, 3, H, W) float, labels (N,) int64).

    Args:
        photos: the pictures.
        transform: evaluation preprocessing or training augmentation.
        batch_size: pictures in a batch; a last batch of one is kept.
        shuffle: new order every epoch, decided by `seed`.
        seed: of the order and of the random views.
        workers: processes that open and transform pictures; 0 does it in this process.
    """
    import torch
    from torch.utils.data import DataLoader

    return DataLoader(
        Views(photos, transform, seed),  # type: ignore[arg-type]
        batch_size=batch_size,
        shuffle=shuffle,
        num_workers=workers,
        generator=torch.Generator().manual_seed(seed),
    )
