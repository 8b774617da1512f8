"""Photos with their labels: a map-style data set of torch, and what can be chosen from it.

Shown in: notebooks/04_flowers
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import numpy as np
import torch
from numpy.typing import ArrayLike
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from flowerlib.data import contents, labeling
from flowerlib.data.contents import Contents, Files, Pixels
from flowerlib.data.decoding import images
from flowerlib.support import options
from flowerlib.support.errors import InputError, listed, plural

CHUNK_SIZE = 32  # photos that a thread looks at in one go: 0.3 instead of 0.8 s for 7,370
MOST_CHUNKS = 500  # at most, since each that waits takes memory
QUICK = 1e-4  # seconds for a photo, below which threads only wait for each other


class Photos(Dataset[tuple[Tensor, int]]):
    """Pictures and their labels: files that are opened when asked for, or an array in memory.

    A map-style data set of torch: `photos[i]` is the picture as it is, uint8 (3, H, W), and its
    label. `Views` and `loader` give pictures of one size, as a network wants them.

    Attributes:
        contents: what opens the pictures.
        labels: int64 array (N,), positions in `class_names`.
        class_names: the names, in the order of the labels.
    """

    def __init__(
        self,
        source: Sequence[str | os.PathLike[str]] | np.ndarray | Contents,
        labels: ArrayLike,
        class_names: Sequence[str],
    ) -> None:
        """Checks labels and names; no file is opened.

        Args:
            source: paths, or a uint8 array (N, H, W, 3), which is not copied.
            labels: N whole numbers, positions in `class_names`.
            class_names: the names, in the order of the labels.

        Raises:
            InputError: a label is no position in `class_names`, two names are the same, or the
                pictures are neither.
        """
        self.contents = _contents_of(source)
        self.class_names = tuple(class_names)
        if twice := [name for name in class_names if self.class_names.count(name) > 1]:
            raise InputError(f"Two classes have the same name, {twice[0]!r}; give each its own.")
        self.labels = labeling.checked(labels, self.class_names)
        if len(self.labels) != len(self.contents):
            raise InputError(
                f"{len(self.contents)} pictures but {len(self.labels)} labels; give one for each."
            )

    @classmethod
    def expected(cls, given: object, by: str) -> Photos:
        """What was given, if it is `Photos`.

        Args:
            given: an argument of a public function.
            by: what messages call that function.

        Raises:
            InputError: it is something else; the message says what to give.
        """
        if isinstance(given, cls):
            return given
        kind = type(given).__name__
        if hasattr(given, "train"):
            raise InputError(f"{by} was given {kind}; give one of its parts, such as splits.test.")
        example = 'data.image_folder("photos").test'
        raise InputError(f"{by} was given {given!r:.40} ({kind}); give Photos, such as {example}.")

    def __len__(self) -> int:
        return len(self.contents)

    def __repr__(self) -> str:
        count, classes = len(self), len(self.class_names)
        photos = f"{count} {plural(count, 'photo')}"
        return f"<{photos} of {classes} {plural(classes, 'class', 'classes')}>"

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Picture `index` as it is, uint8 (3, H, W), and its label.

        Raises:
            IndexError: there is no such picture.
            PhotoError: the file cannot be read.
        """
        at = range(len(self))[index]
        pixels = torch.from_numpy(np.array(self.image(at)))
        return pixels.permute(2, 0, 1).contiguous(), int(self.labels[at])

    @property
    def paths(self) -> list[str] | None:
        """The files' paths, as they were given; None where the pictures lie elsewhere."""
        return list(self.contents.names) if isinstance(self.contents, Files) else None

    def image(self, index: int, shrink_to: int | None = None) -> Image.Image:
        """Opens picture `index` as a PIL RGB image (see `images.open_photo` for `shrink_to`)."""
        return self.opened(index, shrink_to)[0]

    def opened(self, index: int, shrink_to: int | None = None) -> tuple[Image.Image, bytes]:
        """Picture `index`, as `image` gives it, and the digest of exactly what was decoded."""
        return self.contents.opened(index, shrink_to)

    def name(self, index: int) -> str:
        """The file's path, or "picture 7" for a drawn one."""
        return self.contents.name(index)

    def class_name(self, index: int) -> str:
        """The name of the class of picture `index`."""
        return self.class_names[self.labels[index]]

    def digest(self, index: int) -> bytes:
        """16 bytes that stand for the picture's content as it is now."""
        return self.contents.digest(index)

    def digests(self) -> np.ndarray:
        """The digest of every picture as it is now, (N,) of NumPy's kind "S16".

        Raises:
            InputError: files that cannot be read; all of them are named.
        """
        return self._asked(self.digest)

    def origins(self) -> np.ndarray:
        """The digests of the photos that the pictures are, or are views of; as `digests`."""
        return self._asked(self.contents.origin)

    def _asked(self, digest: Callable[[int], bytes]) -> np.ndarray:
        found, count = np.empty(len(self), "S16"), len(self)
        chunk = max(CHUNK_SIZE, count // MOST_CHUNKS)

        def ask(begin: int) -> list[images.PhotoError]:
            problems = []
            for index in range(begin, min(begin + chunk, count)):
                try:
                    found[index] = digest(index)
                except images.PhotoError as problem:
                    problems.append(problem)
            return problems

        with self.contents.recalling():
            start = time.perf_counter()
            problems = ask(0)
            quick = time.perf_counter() - start < QUICK * chunk
            rest = range(chunk, count, chunk)
            with ThreadPoolExecutor() as pool:
                problems += chain.from_iterable(map(ask, rest) if quick else pool.map(ask, rest))
        images.refuse(problems)
        return found

    def subset(self, indices: ArrayLike) -> Photos:
        """The pictures at `indices`, in that order, as NumPy takes them.

        Args:
            indices: whole numbers in -N..N-1, or N truth values.

        Raises:
            InputError: they are neither.
        """
        rows = _positions(indices, len(self))
        return Photos(self.contents.take(rows), self.labels[rows], self.class_names)

    def per_class(self, count: int, seed: int = 0) -> Photos:
        """At most `count` pictures of each class, drawn with `seed`, in their old order.

        Raises:
            InputError: the count is no whole number from 0 up.
        """
        options.COUNT_OR_NONE.checked("per_class", count)
        order = np.random.default_rng(seed).permutation(len(self))
        chosen = [order[self.labels[order] == label][:count] for label in np.unique(self.labels)]
        return self.subset(np.sort(np.concatenate([order[:0], *chosen])))

    def of_classes(self, names: Sequence[str]) -> Photos:
        """The pictures of the classes in `names`, in their old order, labeled in that of `names`.

        Raises:
            InputError: a name is not among the classes.
        """
        if isinstance(names, str):
            raise InputError(f'of_classes needs a list of names, such as ["{names}"].')
        if unknown := [name for name in names if name not in self.class_names]:
            raise InputError(
                f'There is no class "{unknown[0]}"; known: {", ".join(self.class_names)}.'
            )
        position = np.full(len(self.class_names), -1)
        position[[self.class_names.index(name) for name in names]] = np.arange(len(names))
        rows = np.flatnonzero(position[self.labels] >= 0)
        return Photos(self.contents.take(rows), position[self.labels[rows]], names)

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
        InputError: a part has classes that another has not, or holds random views.

    Example:
        >>> from flowerlib import data
        >>> splits = data.garden("pets", per_class=(4, 2, 2), size=32)
        >>> len(join(splits.train, splits.valid))
        12
    """
    if not parts:
        raise InputError("There is nothing to join; give some photos.")
    parts = tuple(Photos.expected(part, "join") for part in parts)
    if any(part.contents.cut for part in parts):
        raise InputError(
            "Random views cannot stand beside whole photos, since they are cut to the network's "
            "input already: join and train on photos, or extract the features of the views alone "
            "with preprocessing.whole()."
        )
    names = parts[0].class_names
    for part in parts[1:]:
        if other := sorted(set(names) ^ set(part.class_names)):
            raise InputError(
                f"Photos to be joined need the same classes; only one part has {listed(other)}. "
                "Photos.in_order gives a part the names of all."
            )
    parts = tuple(part.in_order(names) for part in parts)
    every = contents.joined([part.contents for part in parts])
    return Photos(every, np.concatenate([part.labels for part in parts]), names)


def _contents_of(
    source: Sequence[str | os.PathLike[str]] | np.ndarray | Contents,
) -> Contents:
    if isinstance(source, Contents):
        return source
    if isinstance(source, (str, bytes, os.PathLike)):
        raise InputError(f"Photos were given the one path {source!r}; give a list of paths.")
    if not isinstance(source, np.ndarray) or source.dtype.kind in "UO":  # or paths, from a table
        paths = list(source)
        if strange := [path for path in paths if not isinstance(path, (str, os.PathLike))]:
            raise InputError(
                f"Photos were given {type(strange[0]).__name__} in place of a path; "
                "data.from_dataset takes opened pictures."
            )
        return Files(paths)
    if source.dtype != np.uint8 or source.ndim != 4 or source.shape[3] != 3:
        raise InputError(
            f"Photos were given an array {source.shape} of {source.dtype}; give uint8 "
            "(photos, height, width, 3)."
        )
    return Pixels(source)


def _positions(indices: ArrayLike, count: int) -> np.ndarray:
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
