"""One pass of photos through a frozen backbone, remembered on disk.

A frozen network gives the same features for the same photo in every epoch, so one pass replaces
all of them. Features are stored per photo, under a key made of everything that changes them: the
network's layers and weights, the preprocessing, the precision, and the photo's content. Of a
network with code of its own nobody can tell what changes them, so nothing is stored.

Shown in: notebooks/04_flowers
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from flowerlib.data import Photos
from flowerlib.data.decoding import images
from flowerlib.data.decoding.images import PhotoError
from flowerlib.features import sharing
from flowerlib.features.cache import FeatureCache
from flowerlib.features.engine import KINDS, Engine, choose_device, choose_precision
from flowerlib.models import Backbone, fingerprint
from flowerlib.support import distributed, modes, storage
from flowerlib.support.errors import InputError, plural
from flowerlib.support.threads import one_thread
from flowerlib.transforms import Preprocessing

SHARD = 1024  # photos in a file of the cache


@dataclass(repr=False)
class Features:
    """Features of a set of photos, with how they came about.

    Attributes:
        values: float32 (N, D); bfloat16 where `extract` was asked to keep them `compact`.
        labels: int64 (N,).
        precision: "fp32" or "bf16", in which the backbone computed.
        device: "cpu", "cuda" or "mps".
        computed: how many were computed now; the others came from the cache.
        seconds: wall time of the whole call.
    """

    values: Tensor
    labels: Tensor
    precision: str
    device: str
    computed: int
    seconds: float

    @property
    def images_per_second(self) -> float:
        """Of the whole call: opening, computing, storing."""
        return len(self.values) / max(self.seconds, 1e-9)

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        kind = str(self.values.dtype).removeprefix("torch.")
        photos = f"{len(self):,} {plural(len(self), 'photo')}"
        return f"<Features: {photos}, {self.values.shape[1]:,} {kind} numbers each>"


@modes.usual()
def extract(
    backbone: Backbone,
    photos: Photos,
    preprocessing: Preprocessing,
    *,
    device: str = "auto",
    precision: str = "auto",
    cache: bool = True,
    compact: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Features:
    """Passes every photo through the frozen backbone, or takes its features from the cache.

    The backbone itself is not changed: a copy of it computes; see `engine.Engine`.

    Args:
        backbone: from `models.backbone`.
        photos: N photos.
        preprocessing: what each photo goes through.
        device: "auto" (a GPU if there is one), "cpu", "cuda" or "mps".
        precision: "fp32", "bf16", or "auto": bf16 where the processor computes in it and a check
            against fp32 holds; `Features.precision` says which it was.
        cache: look in the cache, and store what was computed. Networks with code of their own are
            left out; see `fingerprint.structure`.
        compact: leave what was computed in bf16 as it is: the same numbers in half the memory, in
            a type that NumPy does not know.
        progress: called with (photos done, photos in all).

    Returns:
        Features in the order of the photos.

    Raises:
        InputError: photos that cannot be read (all of them are named; what could be computed is
            held in the cache), or a device that is not there.

    Example:
        >>> from flowerlib import data, models
        >>> photos = data.garden("pets", per_class=(2, 1, 1), size=32).train
        >>> backbone = models.freeze(models.backbone("small_resnet", "small"))
        >>> found = extract(backbone, photos, models.default_preprocessing(backbone), cache=False)
        >>> tuple(found.values.shape) == (4, backbone.num_features)
        True
    """
    if not isinstance(backbone, Backbone):
        example = 'models.backbone("mobilenet_v2")'
        raise InputError(f"extract was given {backbone!r:.40}; give a backbone, such as {example}.")
    photos = Photos.expected(photos, "extract")
    start = time.perf_counter()
    device = choose_device(device)
    asked, chosen = precision, choose_precision(precision, device)
    precision = sharing.agreed(device, chosen)
    asked = asked if precision == chosen else precision
    digests = sharing.digests(photos)
    structure = fingerprint.structure(backbone.body) if cache else None
    store = FeatureCache(backbone, structure, preprocessing, precision) if structure else None
    kind = KINDS[precision] if compact else torch.float32
    values = storage.empty(len(photos), backbone.num_features, kind)
    with one_thread():
        origin, unknown = _look_up(store, digests, values)
    plan = sharing.Plan.of(photos.contents, unknown)
    if len(plan.missing):
        engine = Engine(backbone, preprocessing, device=device, precision=asked)
        found = sharing.agreed(device, engine.precision)
        if found != precision:  # bf16 is wrong here: another key in the cache
            return extract(
                backbone,
                photos,
                preprocessing,
                device=device,
                precision=found,
                cache=cache,
                compact=compact,
                progress=progress,
            )
        todo, report = plan.mine, plan.progress(progress)
        todo = todo[np.argsort(photos.contents.order()[todo], kind="stable")]
        distributed.from_each(
            lambda: _compute(engine, photos.subset(todo), todo, digests, values, store, report)
        )
    plan.exchange(values)
    if len(plan.missing) and progress and distributed.size() > 1:
        progress(len(plan.missing), len(plan.missing))
    copies = np.flatnonzero(origin != np.arange(len(photos)))
    with one_thread():
        values[copies] = values[origin[copies]]
    labels = torch.tensor(photos.labels)
    seconds = time.perf_counter() - start
    return Features(values, labels, precision, device, len(plan.missing), seconds)


def _look_up(
    store: FeatureCache | None, digests: np.ndarray, values: Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """Puts what the cache knows into `values`, once for each content.

    Returns:
        For each photo, the first one with the same content, int64 (N,); and those of these first
        ones that the cache does not know, in their order.
    """
    contents, first, content = np.unique(digests, return_index=True, return_inverse=True)
    missing = np.full(len(contents), True)
    for cached, found in store.read() if store and len(digests) else ():
        at = np.searchsorted(contents, cached).clip(max=len(contents) - 1)
        here = missing[at] & (contents[at] == cached)
        values[first[at[here]]] = found[torch.from_numpy(here)].to(values.dtype)
        missing[at[here]] = False
        if not missing.any():
            break
    return first[content], np.sort(first[missing])


def _compute(
    engine: Engine,
    photos: Photos,
    rows: np.ndarray,
    digests: np.ndarray,
    values: Tensor,
    store: FeatureCache | None,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Puts each photo's features into its row of `values`, and piece by piece into the cache.

    What was computed is cached after Ctrl-C, too. (Collected as many small results between large
    arrays, it would keep the heap from being used again, and memory would grow with every batch.)
    """
    done, reader, asked = 0, _Reader(photos), digests[rows]
    new: list[int] = []  # photos that are not stored yet
    problems: list[PhotoError] = []

    def keep() -> None:
        nonlocal new
        some, new = new, []
        if store and some:
            with one_thread():
                store.write(reader.decoded[some], values[rows[some]])

    try:
        for numbers, found in engine.stream(reader, problems):
            with one_thread():
                values[rows[numbers]] = found.to(values.dtype)
            new += numbers
            done += len(numbers)
            if len(new) >= SHARD:  # a killed run loses only the rest
                keep()
            if progress:
                progress(done, len(photos))
    finally:
        keep()
    images.refuse(problems)
    if len(changed := np.flatnonzero(reader.decoded != asked)):
        raise InputError(
            f"{photos.name(int(changed[0]))} changed while it was read; start again "
            "when nothing writes to the photos any more."
        )


class _Reader:
    """Opens photos, and notes the digests of the contents that were decoded.

    Looked up before, a digest could belong to an earlier content of the file, and the cache would
    answer that content with other features.
    """

    def __init__(self, photos: Photos) -> None:
        self.photos, self.decoded = photos, np.zeros(len(photos), "S16")

    def __len__(self) -> int:
        return len(self.photos)

    def image(self, index: int, shrink_to: int | None = None) -> Image.Image:
        picture, self.decoded[index] = self.photos.opened(index, shrink_to)
        return picture
