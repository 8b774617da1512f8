"""One pass of photos through a frozen backbone, remembered on disk.

A frozen network gives the same features for the same photo in every epoch, so one pass replaces
all of them. Features are stored per photo, under a key made of everything that changes them: the
network's name, its weights' content, the preprocessing, the precision, and the photo's content.

Shown in: notebooks/03_flowers
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from flowerlib import storage
from flowerlib.engine import KINDS, Engine, choose_device, choose_precision
from flowerlib.errors import InputError
from flowerlib.feature_cache import FeatureCache
from flowerlib.images import PhotoError
from flowerlib.models import Backbone
from flowerlib.photos import Photos
from flowerlib.transforms import Preprocessing

NAMED_PROBLEMS = 5
SHARD = 1024  # photos in a file of the cache
ERRAND = 32  # photos that a thread looks at without coming back: 0.3 instead of 0.8 s for 7,370
QUICK = 1e-4  # seconds for a photo, below which threads only wait for each other


@dataclass
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

    The backbone itself is not changed: a copy of it is put into `eval()`, its BatchNorm layers are
    folded into the convolutions before them, and its memory is laid out channels last.

    Args:
        backbone: from `models.backbone`.
        photos: N photos.
        preprocessing: what each photo goes through.
        device: "auto" (a GPU if there is one), "cpu", "cuda" or "mps".
        precision: "fp32", "bf16", or "auto": bf16 where the processor computes in it and a check on
            the first photos against fp32 holds; `Features.precision` says which it was.
        cache: look in the cache, and store what was computed.
        compact: leave what was computed in bf16 as it is: the same numbers in half the memory, in
            a type that NumPy does not know.
        progress: called with (photos done, photos in all).

    Returns:
        Features in the order of the photos.

    Raises:
        InputError: photos that cannot be read (all of them are named; what could be computed is
            kept in the cache), or a device that is not there.
    """
    start = time.perf_counter()
    device = choose_device(device)
    asked, precision = precision, choose_precision(precision, device)
    with ThreadPoolExecutor() as pool:
        digests = _gather(pool, photos.digest, len(photos))
    _refuse_unreadable(digests)
    store = FeatureCache(backbone, preprocessing, precision) if cache else None
    kind = KINDS[precision] if compact else torch.float32
    values = storage.empty(len(photos), backbone.num_features, kind)
    first: dict[bytes, int] = {}  # a content → the first photo that has it
    for index, digest in enumerate(digests):
        first.setdefault(digest, index)
    missing = dict(first)
    for kept, found in store.read() if store else ():
        here = [(missing.pop(digest), at) for at, digest in enumerate(kept) if digest in missing]
        if here:
            rows, places = zip(*here, strict=True)
            values[list(rows)] = found[list(places)].to(kind)
    if missing:
        engine = Engine(backbone, preprocessing, device=device, precision=asked)
        todo = list(missing.values())
        engine.check(photos.subset(todo))
        if engine.precision != precision:  # the check failed: another key in the cache
            return extract(
                backbone,
                photos,
                preprocessing,
                device=device,
                precision=engine.precision,
                cache=cache,
                compact=compact,
                progress=progress,
            )
        _compute(engine, photos.subset(todo), todo, digests, values, store, progress)
        del engine
        storage.return_memory()  # or the head's memory would come on top of the batches'
    copies = [index for index, digest in enumerate(digests) if first[digest] != index]
    values[copies] = values[[first[digests[index]] for index in copies]]
    labels = torch.from_numpy(photos.labels)
    seconds = time.perf_counter() - start
    return Features(values, labels, precision, device, len(missing), seconds)


def _compute(
    engine: Engine,
    photos: Photos,
    rows: list[int],
    digests: list[bytes],
    values: Tensor,
    store: FeatureCache | None,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Puts each photo's features into its row of `values`, and piece by piece into the cache.

    What was computed is kept after Ctrl-C, too. (Collected as many small results between large
    arrays, it would keep the heap from being used again, and memory would grow with every batch.)
    """
    done: list[int] = []  # rows
    stored = 0
    problems: list[PhotoError] = []

    def keep() -> None:
        nonlocal stored
        if store and len(done) > stored:
            new, stored = done[stored:], len(done)
            store.write([digests[row] for row in new], values[new])

    try:
        for numbers, found in engine.stream(photos, problems):
            new = [rows[number] for number in numbers]
            values[new] = found.to(values.dtype)
            done += new
            if len(done) - stored >= SHARD:  # a killed run loses only the rest
                keep()
            if progress:
                progress(len(done), len(photos))
    finally:
        keep()
    _refuse_unreadable(problems)


def _gather(pool: ThreadPoolExecutor, ask: Callable, count: int) -> list:
    """`ask(i)` for every i; a PhotoError takes the place of the answer."""

    def answers(begin: int) -> list:
        found = []
        for index in range(begin, min(begin + ERRAND, count)):
            try:
                found.append(ask(index))
            except PhotoError as problem:
                found.append(problem)
        return found

    start = time.perf_counter()
    first = answers(0)
    quick = time.perf_counter() - start < QUICK * len(first)
    rest = range(ERRAND, count, ERRAND)
    return first + [*chain.from_iterable(map(answers, rest) if quick else pool.map(answers, rest))]


def _refuse_unreadable(answers: list) -> None:
    if problems := [answer for answer in answers if isinstance(answer, PhotoError)]:
        shown = "; ".join(
            f"{problem.path}: {problem.reason}" for problem in problems[:NAMED_PROBLEMS]
        )
        more = len(problems) - NAMED_PROBLEMS
        raise InputError(
            f"{len(problems)} unreadable photo{'s' if len(problems) > 1 else ''}: {shown}"
            f"{f'; and {more} more' if more > 0 else ''}; replace or remove them."
        )
