"""One pass of photos through a frozen backbone, remembered on disk: the fast path.

A frozen network gives the same features for the same photo in every epoch, so one pass replaces
all of them. Features are stored per photo, under a key made of everything that changes them: the
network's name, its weights' content, the preprocessing, the precision, and the photo's content.

Shown in: notebooks/03_flowers
"""

from __future__ import annotations

import copy
import hashlib
import json
import time
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from flowerlib import storage
from flowerlib.errors import InputError
from flowerlib.images import PhotoError
from flowerlib.models import Backbone
from flowerlib.photos import Photos
from flowerlib.transforms import Preprocessing

FORMAT = 1  # raise it when the same inputs would give other features
BATCH_SIZE = {"cpu": 8, "cuda": 256, "mps": 64}
DECODERS = 2  # threads that open photos while the network computes
NAMED_PROBLEMS = 5
SHARD = 1024  # photos in a file of the cache


@dataclass
class Features:
    """Features of a set of photos, with how they came about.

    Attributes:
        values: float32 (N, D).
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
    with ThreadPoolExecutor(DECODERS) as pool:
        digests = _gather(pool, photos.digest, len(photos))
    _refuse_unreadable(digests)
    store = _Store(backbone, preprocessing, precision) if cache else None
    known = store.read() if store else {}
    wanted: dict[bytes, int] = {}  # a content → the first photo that has it; copies are free
    for index, digest in enumerate(digests):
        if digest not in known:
            wanted.setdefault(digest, index)
    if wanted:
        engine = Engine(backbone, preprocessing, device=device, precision=asked)
        todo = photos.subset(list(wanted.values()))
        problems: list[PhotoError] = []
        done: list[int] = []
        # Filled in place: a list of small results between large arrays would keep the heap from
        # being used again, and memory would grow with every batch.
        fresh = torch.empty(len(todo), backbone.num_features)
        keys, stored = list(wanted), 0

        def keep(first: int) -> int:
            """Puts what was computed since the first so many into the cache."""
            assert store is not None
            store.write([keys[number] for number in done[first:]], fresh[done[first:]])
            return len(done)

        try:
            for numbers, values in engine.stream(todo, problems):
                if engine.precision != precision:  # the check failed: another key in the cache
                    return extract(
                        backbone,
                        photos,
                        preprocessing,
                        device=device,
                        precision=engine.precision,
                        cache=cache,
                        progress=progress,
                    )
                done += numbers
                fresh[numbers] = values
                if store and len(done) - stored >= SHARD:  # a killed run loses only the rest
                    stored = keep(stored)
                if progress:
                    progress(len(done), len(todo))
        finally:  # after Ctrl-C as well: what was computed is kept
            if store and len(done) > stored:
                keep(stored)
        known |= {keys[number]: fresh[number] for number in done}
        _refuse_unreadable(problems)
        del engine
        storage.return_memory()  # or the head's memory would come on top of the batches'
    values = torch.stack([known[digest] for digest in digests])
    labels = torch.from_numpy(photos.labels)
    seconds = time.perf_counter() - start
    return Features(values, labels, precision, device, len(wanted), seconds)


def _gather(pool: ThreadPoolExecutor, ask: Callable, count: int) -> list:
    """`ask(i)` for every i; a PhotoError takes the place of the answer."""

    def answer(index: int) -> object:
        try:
            return ask(index)
        except PhotoError as problem:
            return problem

    return list(pool.map(answer, range(count)))


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


class Engine:
    """A frozen backbone made ready to run fast; what `extract` and `Classifier` compute with."""

    def __init__(
        self, backbone: Backbone, preprocessing: Preprocessing, *, device: str, precision: str
    ) -> None:
        self.preprocessing, self.device = preprocessing, choose_device(device)
        self.precision = choose_precision(precision, self.device)
        self.automatic = precision == "auto"
        self.checked = self.precision == "fp32"
        self.network = fold(backbone).to(self.device).to(memory_format=torch.channels_last)

    def stream(
        self, photos: Photos, problems: list[PhotoError]
    ) -> Iterator[tuple[list[int], Tensor]]:
        """Gives (photo numbers, features float32 (n, D) on the CPU), batch after batch.

        Threads open the next batches while the network computes the present one. Photos that cannot
        be read are left out and appended to `problems`.
        """
        size = BATCH_SIZE[self.device]
        batches = [range(at, min(at + size, len(photos))) for at in range(0, len(photos), size)]
        with ThreadPoolExecutor(DECODERS) as pool:
            waiting: deque[tuple[range, list[Future]]] = deque()

            def open_next() -> None:
                if batches:
                    batch = batches.pop(0)
                    waiting.append((batch, [pool.submit(self._pixels, photos, i) for i in batch]))

            for _ in range(3):
                open_next()
            while waiting:
                batch, futures = waiting.popleft()
                numbers, arrays = [], []
                for number, future in zip(batch, futures, strict=True):
                    result = future.result()
                    if isinstance(result, PhotoError):
                        problems.append(result)
                    else:
                        numbers.append(number)
                        arrays.append(result)
                open_next()
                if arrays:
                    yield numbers, self.features(np.stack(arrays))

    def _pixels(self, photos: Photos, index: int) -> np.ndarray | PhotoError:
        try:
            return self.preprocessing.pixels(
                photos.image(index, shrink_to=self.preprocessing.resize)
            )
        except PhotoError as problem:
            return problem

    @torch.inference_mode()
    def features(self, pixels: np.ndarray) -> Tensor:
        """uint8 pixels (N, H, W, 3) → features float32 (N, D) on the CPU."""
        # Already channels last in memory: permuting only renames the axes.
        images = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2)
        images = self.preprocessing.normalize(images)
        if not self.checked:
            self._check_precision(images[:4])
        return self._run(images, self.precision).float().cpu()

    def _run(self, images: Tensor, precision: str) -> Tensor:
        if precision == "fp32":
            return self.network(images)
        with torch.autocast(self.device, dtype=torch.bfloat16):
            return self.network(images)

    def _check_precision(self, images: Tensor) -> None:
        """Compares bf16 with fp32 on a few photos; falls back, and says so, where they differ.

        bf16 keeps 8 bits of precision, so features differ by about one percent; a wrong kernel
        (there are reports of some for small convolutions) gives differences of the order of 1.
        """
        self.checked = True
        exact, fast = self._run(images, "fp32").float(), self._run(images, "bf16").float()
        error = float((exact - fast).norm() / exact.norm().clamp(min=1e-12))
        if not error < 0.05:
            if not self.automatic:
                raise InputError(
                    f"bf16 features differ from fp32 by {error:.0%} on this machine; use fp32."
                )
            warnings.warn(
                f"bf16 features differ from fp32 by {error:.0%} on this machine; using fp32.",
                stacklevel=2,
            )
            self.precision = "fp32"
            return
        # Rounded once here; autocast would round the weights again for every batch.
        for module in self.network.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                module.to(torch.bfloat16)


def fold(backbone: Backbone) -> nn.Module:
    """A copy in `eval()` with each BatchNorm folded into the convolution right before it.

    In `eval()` BatchNorm is a fixed scale and shift of each channel, which a convolution can do
    itself: w' = w * gamma / sqrt(variance + eps), and the bias likewise.
    """
    network = copy.deepcopy(backbone).eval().requires_grad_(False)
    if not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        return network
    from torch.fx.experimental.optimization import fuse

    try:
        network.body = fuse(network.body)
    except Exception:  # a body that torch.fx cannot trace runs as it is, only slower
        return network
    return network


def choose_device(device: str) -> str:
    """Turns "auto" into the best device that is there.

    Raises:
        InputError: the device is unknown or not there.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if device == "auto":
        return next(name for name, present in there.items() if present)
    if device not in there:
        raise InputError(f'Device must be auto, cpu, cuda or mps, not "{device}".')
    if not there[device]:
        raise InputError(f'Device "{device}" is not available here; use auto or cpu.')
    return device


def choose_precision(precision: str, device: str) -> str:
    """Turns "auto" into "bf16" where the hardware computes in it, else "fp32".

    Raises:
        InputError: the precision is unknown.
    """
    if precision not in ("auto", "fp32", "bf16"):
        raise InputError(f'Precision must be auto, fp32 or bf16, not "{precision}".')
    if precision != "auto":
        return precision
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device == "cpu":
        return "bf16" if torch.cpu._is_avx512_bf16_supported() else "fp32"
    return "fp32"


class _Store:
    """The cache of one (network, weights, preprocessing, precision): files of (digests, features).

    Every extraction adds one file under a name of its own, so two processes never write to the same
    one, and a photo that is added later costs only itself.
    """

    def __init__(self, backbone: Backbone, preprocessing: Preprocessing, precision: str) -> None:
        context = {
            "format": FORMAT,
            "backbone": backbone.name,
            "weights": backbone.digest(),
            "preprocessing": preprocessing.to_dict(),
            "precision": precision,
        }
        self.precision = precision
        self.width = backbone.num_features
        key = hashlib.sha256(json.dumps(context, sort_keys=True).encode()).hexdigest()
        self.folder = storage.cache_folder("features", f"{backbone.name}-{key[:24]}")

    def read(self) -> dict[bytes, Tensor]:
        known: dict[bytes, Tensor] = {}
        for file in sorted(self.folder.glob("*.safetensors")):
            try:
                known |= self._read_file(file)
            except (SafetensorError, OSError, KeyError, ValueError) as problem:
                warnings.warn(f"Damaged cache file {file} removed ({problem}).", stacklevel=3)
                file.unlink(missing_ok=True)
        return known

    def _read_file(self, file: Path) -> dict[bytes, Tensor]:
        stored = load_file(file)
        digests, values = stored["digests"], stored["values"]
        if values.shape != (len(digests), self.width) or digests.shape[1:] != (16,):
            raise ValueError(f"shapes {tuple(digests.shape)}, {tuple(values.shape)}")
        return dict(zip(map(bytes, digests.numpy()), values, strict=True))

    def write(self, digests: list[bytes], values: Tensor) -> None:
        keys = torch.from_numpy(np.frombuffer(b"".join(digests), np.uint8).copy()).view(-1, 16)
        with storage.atomic_path(self.folder / f"{uuid.uuid4().hex}.safetensors") as path:
            save_file({"digests": keys, "values": values.contiguous()}, path)
