"""Pictures with their labels, and how a network is fed with them.

Shown in: notebooks/04_flowers
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from flowerlib.data import files, labeling
from flowerlib.data.decoding import images
from flowerlib.data.files import Files
from flowerlib.data.folders.listing import FileCounts
from flowerlib.support.errors import InputError, listed

if TYPE_CHECKING:
    import torch
    from torch.utils.data import DataLoader

    from flowerlib.transforms import Augmentation, Preprocessing


CHUNK_SIZE = 32  # photos that a thread looks at in one go: 0.3 instead of 0.8 s for 7,370
MOST_CHUNKS = 500  # at most, since each that waits takes memory
QUICK = 1e-4  # seconds for a photo, below which threads only wait for each other


class Photos:
    """Pictures and their labels: files that are opened when asked for, or an array in memory.

    Attributes:
        source: a sequence of paths, or a uint8 array (N, H, W, 3).
        labels: int64 array (N,), positions in `class_names`.
        class_names: the names, in the order of the labels.

    Raises:
        InputError: a label is no position in `class_names`.
    """

    def __init__(
        self,
        source: Sequence[Path | str] | np.ndarray,
        labels: Sequence[int] | np.ndarray,
        class_names: Sequence[str],
    ) -> None:
        if isinstance(source, (str, bytes, os.PathLike)):
            raise InputError(f"Photos were given the one path {source!r}; give a list of paths.")
        if isinstance(source, np.ndarray):
            if source.dtype.kind in "UO":  # paths, from a table
                source = source.tolist()
            elif source.dtype != np.uint8 or source.ndim != 4 or source.shape[3] != 3:
                raise InputError(
                    f"Photos were given an array {source.shape} of {source.dtype}; give uint8 "
                    "(photos, height, width, 3)."
                )
        self.source = source if isinstance(source, (np.ndarray, Files)) else Files(source)
        self.class_names = tuple(class_names)
        if twice := [name for name in class_names if self.class_names.count(name) > 1]:
            raise InputError(f"Two classes have the same name, {twice[0]!r}; give each its own.")
        self.labels = labeling.checked(labels, self.class_names)
        if len(self.labels) != len(self.source):
            raise InputError(f"{len(self.source)} pictures but {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.source)

    def __repr__(self) -> str:
        return f"<{len(self)} photos of {len(self.class_names)} classes>"

    def image(self, index: int, shrink_to: int | None = None) -> Image.Image:
        """Opens picture `index` as a PIL RGB image (see `images.open_photo` for `shrink_to`)."""
        return images.open_photo(self._content(index), shrink_to, self.name(index))

    def opened(self, index: int, shrink_to: int | None = None) -> tuple[Image.Image, bytes]:
        """Picture `index`, as `image` gives it, and the digest of exactly what was decoded."""
        content = self._content(index)
        return images.open_photo(content, shrink_to, self.name(index)), _digest_of(content)

    def _content(self, index: int) -> bytes | np.ndarray:
        if isinstance(self.source, Files):
            return images.read(self.source.path(index), self.source.text(index))
        return self.source[index].copy()  # its owner may change it at any time

    def name(self, index: int) -> str:
        """The file's path, or "picture 7" for a drawn one."""
        source = self.source
        return source.text(index) if isinstance(source, Files) else f"picture {index}"

    def class_name(self, index: int) -> str:
        """The name of the class of picture `index`."""
        return self.class_names[self.labels[index]]

    def digest(self, index: int) -> bytes:
        """16 bytes that stand for the picture's content as it is now."""
        if isinstance(self.source, Files):
            return self.source.digest(index)
        return _digest_of(self.source[index])

    def digests(self) -> np.ndarray:
        """The digest of every picture as it is now, (N,) of NumPy's kind "S16".

        Raises:
            InputError: files that cannot be read; all of them are told.
        """
        found, count = np.empty(len(self), "S16"), len(self)
        chunk = max(CHUNK_SIZE, count // MOST_CHUNKS)

        def ask(begin: int) -> list[images.PhotoError]:
            problems = []
            for index in range(begin, min(begin + chunk, count)):
                try:
                    found[index] = self.digest(index)
                except images.PhotoError as problem:
                    problems.append(problem)
            return problems

        with self._recalling():
            start = time.perf_counter()
            problems = ask(0)
            quick = time.perf_counter() - start < QUICK * chunk
            rest = range(chunk, count, chunk)
            with ThreadPoolExecutor() as pool:
                problems += chain.from_iterable(map(ask, rest) if quick else pool.map(ask, rest))
        images.refuse(problems)
        return found

    def origins(self) -> np.ndarray:
        """The digests of the photos that the pictures are, or are views of; as `digests`."""
        return self.digests()

    def _recalling(self) -> contextlib.AbstractContextManager[None]:
        source = self.source
        return source.recalling() if isinstance(source, Files) else contextlib.nullcontext()

    def subset(self, indices: Sequence[int] | np.ndarray) -> Photos:
        """The pictures at `indices`, in that order, as NumPy takes them.

        Args:
            indices: whole numbers in -N..N-1, or N truth values.

        Raises:
            InputError: they are neither.
        """
        indices = _positions(indices, len(self))
        source = self.source
        chosen = source[indices] if isinstance(source, np.ndarray) else source.take(indices)
        return Photos(chosen, self.labels[indices], self.class_names)

    def per_class(self, count: int, seed: int = 0) -> Photos:
        """At most `count` pictures of each class, drawn with `seed`, in their old order."""
        order = np.random.default_rng(seed).permutation(len(self))
        chosen = [order[self.labels[order] == label][:count] for label in np.unique(self.labels)]
        return self.subset(np.sort(np.concatenate(chosen)))

    def of_classes(self, names: Sequence[str]) -> Photos:
        """The pictures of the classes in `names`, in their old order, labelled in that of `names`.

        Raises:
            InputError: a name is not among the classes.
        """
        if unknown := [name for name in names if name not in self.class_names]:
            raise InputError(
                f'There is no class "{unknown[0]}"; known: {", ".join(self.class_names)}.'
            )
        position = np.full(len(self.class_names), -1)
        position[[self.class_names.index(name) for name in names]] = np.arange(len(names))
        kept = self.subset(np.flatnonzero(position[self.labels] >= 0))
        kept.labels, kept.class_names = position[kept.labels], tuple(names)
        return kept

    def in_order(self, names: Sequence[str]) -> Photos:
        """The same pictures, with labels that are positions in `names`.

        Raises:
            InputError: a picture is of a class that is not in `names`.
        """
        same = copy.copy(self)
        same.labels = labeling.moved(
            self.labels, self.class_names, names, lack="is not among the wanted names"
        )
        same.class_names = tuple(names)
        return same

    def counts(self) -> np.ndarray:
        """Number of pictures of each class, int64 (num_classes,)."""
        return np.bincount(self.labels, minlength=len(self.class_names))


def join(*parts: Photos) -> Photos:
    """The photos of several parts, one after the other, labeled in the order of the first's names.

    Raises:
        InputError: a part has classes that another has not, or pictures of another size.
    """
    if not parts or any(type(part) is not Photos for part in parts):
        raise TypeError("join takes plain Photos; join first, then take views")
    names = parts[0].class_names
    for part in parts[1:]:
        if other := sorted(set(names) ^ set(part.class_names)):
            raise InputError(
                f"Photos to be joined need the same classes; only one part has {listed(other)}. "
                "Photos.in_order gives a part the names of all."
            )
    parts = tuple(part.in_order(names) for part in parts)
    opened = [part.source for part in parts if isinstance(part.source, Files)]
    drawn = [part.source for part in parts if isinstance(part.source, np.ndarray)]
    if opened and drawn:
        raise TypeError("join takes files or pictures in memory, not both")
    if len({pictures.shape[1:] for pictures in drawn}) > 1:
        raise InputError("Pictures in memory need the same size to be joined.")
    source = np.concatenate(drawn) if drawn else files.join(opened)
    return Photos(source, np.concatenate([part.labels for part in parts]), names)


def _digest_of(content: bytes | np.ndarray) -> bytes:
    if isinstance(content, np.ndarray):
        content = str(content.shape).encode() + content.tobytes()
    return images.digest_of(content)


def _positions(indices: Sequence[int] | np.ndarray, count: int) -> np.ndarray:
    """What NumPy would take of `count` things, int64 (n,), each in 0..count-1."""
    given = np.asarray(indices)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iub"):
        raise InputError(
            f"Photos are chosen by a list of whole numbers, or by {count} truth values, not by "
            f"{given.dtype} of shape {given.shape}."
        )
    if given.dtype == bool:
        if len(given) != count:
            raise InputError(f"{len(given)} truth values cannot choose among {count} photos.")
        return np.flatnonzero(given)
    given = given.astype(np.int64)
    if wrong := given[(given < -count) | (given >= count)].tolist():
        raise InputError(f"There is no photo {wrong[0]} among {count}.")
    return given % max(count, 1)


@dataclass(frozen=True, repr=False)
class Splits:
    """The three parts of a data set, with what is known about it.

    Each part has the same class names. One that has them in another order is taken by name: its
    labels become positions in `class_names`.

    Attributes:
        train, valid: to learn from; to choose with.
        test: to measure with, once; None if the set has none.
        class_names: in the order of the labels.
        name: of the set, such as "flowers" or the folder's name.
        world: "garden" (drawn by this project) or "real".
        origin: one phrase about where the pictures come from.
        files: how many files below the folder are used, and how many of which kind are not; None
            for drawn pictures.
        notes: sentences about how the folder was read that its owner should know.

    Raises:
        InputError: the parts have different classes, or two classes have the same name.
    """

    train: Photos
    valid: Photos
    test: Photos | None
    class_names: tuple[str, ...]
    name: str
    world: str
    origin: str
    files: FileCounts | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = tuple(self.class_names)
        object.__setattr__(self, "class_names", names)
        try:  # now, not when a trained classifier cannot be saved
            labeling.check_class_names(names)
        except ValueError as problem:
            raise InputError(f"Splits need other class names: {problem}.") from None
        for part in ("train", "valid", "test"):
            photos = getattr(self, part)
            if photos is None or photos.class_names == names:
                continue
            if lacking := sorted(set(names) - set(photos.class_names)):
                told = f"lacks {listed(lacking)}"
            elif unknown := sorted(set(photos.class_names) - set(names)):
                told = f"has {listed(unknown)}, which class_names lacks"
            else:
                object.__setattr__(self, part, photos.in_order(names))
                continue
            raise InputError(
                f"{part} {told}: every split needs the same classes, or labels would shift; "
                "Photos.of_classes takes those that are wanted."
            )

    def __repr__(self) -> str:
        return f"<Splits: {self.describe()}>"

    def describe(self) -> str:
        """One line that says which world, which set, how many classes and pictures."""
        test = f"{len(self.test):,} test" if self.test is not None else "no test set"
        return (
            f"{self.world} world · {self.name} ({self.origin}) · {len(self.class_names)} classes · "
            f"{len(self.train):,} train, {len(self.valid):,} valid, {test}"
        )

    def sizes(self) -> dict[str, int]:
        """Number of pictures in each split; 0 where there is no test set."""
        test = 0 if self.test is None else len(self.test)
        return {"train": len(self.train), "valid": len(self.valid), "test": test}

    def of_classes(self, names: Sequence[str]) -> Splits:
        """The same splits with only the classes in `names`; labels count in their order."""
        return dataclasses.replace(
            self,
            train=self.train.of_classes(names),
            valid=self.valid.of_classes(names),
            test=None if self.test is None else self.test.of_classes(names),
            class_names=tuple(names),
        )


class RandomViews(Photos):
    """Random views of photos, themselves photos: view k of photo i is picture k * N + i.

    So `features.extract` can cache them. Each view depends on (seed, k, i) alone; it is as large as
    the network's input already, so extract it with `preprocessing.whole()`.

    Attributes:
        photos: the N photos that the views are of.
        numbers: int64, k * N + i of each picture.

    Shown in: notebooks/04_flowers
    """

    def __init__(
        self,
        photos: Photos,
        augmentation: Augmentation,
        count: int,
        seed: int = 0,
        numbers: np.ndarray | None = None,
    ) -> None:
        self.photos, self.augmentation, self.count, self.seed = photos, augmentation, count, seed
        self.numbers = np.arange(count * len(photos)) if numbers is None else numbers
        source = [photos.name(int(number) % len(photos)) for number in self.numbers]
        super().__init__(source, photos.labels[self.numbers % len(photos)], photos.class_names)

    def image(self, index: int, shrink_to: int | None = None) -> Image.Image:
        """Draws view `index`, PIL RGB; the photo is always opened in full size."""
        return self.opened(index)[0]

    def opened(self, index: int, shrink_to: int | None = None) -> tuple[Image.Image, bytes]:
        """View `index` and its digest, from the same content of the photo."""
        view, photo = divmod(int(self.numbers[index]), len(self.photos))
        picture, content = self.photos.opened(photo)
        generator = _generator(self.seed, view, photo)
        return self.augmentation.view(picture, generator), self._digest(view, photo, content)

    def digest(self, index: int) -> bytes:
        """16 bytes that stand for the photo's content and for which view of it this is."""
        view, photo = divmod(int(self.numbers[index]), len(self.photos))
        return self._digest(view, photo, self.photos.digest(photo))

    def _digest(self, view: int, photo: int, content: bytes) -> bytes:
        kind = f"{self.augmentation} {self.seed} {view} {photo}".encode()
        return images.digest_of(kind + content)

    def origins(self) -> np.ndarray:
        """The digest of the photo that each view is of, (n,) of NumPy's kind "S16"."""
        return self.photos.digests()[self.numbers % len(self.photos)]

    def _recalling(self) -> contextlib.AbstractContextManager[None]:
        return self.photos._recalling()

    def subset(self, indices: Sequence[int] | np.ndarray) -> RandomViews:
        """The views at `indices`, in that order."""
        indices = _positions(indices, len(self))
        numbers = self.numbers[indices]
        views = RandomViews(self.photos, self.augmentation, self.count, self.seed, numbers)
        # Of these views: their labels may be positions in other names than those of the photos.
        views.labels, views.class_names = self.labels[indices], self.class_names
        return views


class Views:
    """A map-style torch dataset: item `i` is (transformed picture, label).

    Random transforms draw from a generator seeded by (seed, epoch, i), so the same epoch gives the
    same views for any number of worker processes, and a resumed run continues as if never stopped.
    """

    def __init__(
        self,
        photos: Photos,
        transform: Preprocessing | Augmentation | Callable[[Image.Image], Any],
        seed: int = 0,
    ) -> None:
        self.photos, self.transform, self.seed = photos, transform, seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple:
        import torch

        from flowerlib.transforms import Augmentation, Preprocessing

        image = self.photos.image(index)
        label = int(self.photos.labels[index])
        if isinstance(self.transform, Preprocessing):
            return self.transform(image), label
        generator = _generator(self.seed, self.epoch, index)
        if isinstance(self.transform, Augmentation):
            return self.transform(image, generator), label
        with torch.random.fork_rng(devices=[]):  # torchvision's transforms use the global generator
            torch.random.set_rng_state(generator.get_state())
            return self.transform(image), label


def _generator(seed: int, epoch: int, index: int) -> torch.Generator:
    """A source of randomness of its own for each (seed, epoch, index)."""
    import torch

    mixed = np.random.SeedSequence([seed, epoch, index]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(mixed[0] >> np.uint64(1)))


def shuffled(count: int, seed: int, epoch: int) -> torch.Tensor:
    """An order of `count` things, int64 (count,), that follows from (seed, epoch) alone."""
    import torch

    return torch.randperm(count, generator=_generator(seed, epoch, 0))


class Order:
    """The order in which a loader takes pictures: another one in every pass.

    It follows from `seed` and `epoch`, which each pass raises by one, so that a resumed training
    sees the batches that it would have seen.
    """

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed, self.epoch = count, seed, 1

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        order = shuffled(self.count, self.seed, self.epoch)
        self.epoch += 1
        yield from order.tolist()


def loader(
    photos: Photos,
    transform: Preprocessing | Augmentation | Callable[[Image.Image], Any],
    *,
    batch_size: int = 64,
    shuffle: bool = False,
    seed: int = 0,
    workers: int = 0,
) -> DataLoader:
    """A torch DataLoader of (images (N, 3, H, W) float, labels (N,) int64).

    Args:
        photos: the pictures.
        transform: evaluation preprocessing, training augmentation, or any callable that turns a
            PIL image into a tensor, such as one of torchvision's transforms.
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
        sampler=Order(len(photos), seed) if shuffle else None,
        num_workers=workers,
        generator=torch.Generator(),  # or it would draw from torch's global one
    )
