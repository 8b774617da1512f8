"""A frozen backbone made ready to run on one device.

On processors ONNX Runtime computes in fp32 (`runtime`). Everything else is plain torch, which also
says what is right: before the first photo each fast way is compared with it.

Shown in: notebooks/04_flowers
"""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from flowerlib.data.decoding.images import PhotoError
from flowerlib.features import folding, rounding, runtime
from flowerlib.features.runtime import Computation
from flowerlib.models import Backbone
from flowerlib.support import memory
from flowerlib.support.errors import InputError, first_line
from flowerlib.support.threads import one_thread
from flowerlib.transforms import Preprocessing

# The type that features are cached in. In float32, those of a network in bf16 would take twice the
# memory for nothing.
KINDS = {"fp32": torch.float32, "bf16": torch.bfloat16}
BATCH_SIZE = {"cpu": 32, "cuda": 256, "mps": 64}
# On a processor, of all images of a batch: each thread has its own maps, and those of 8 images of
# 224 px take 70 MB. Smaller images come in larger batches; so do those of `train.evaluate`.
BATCH_PIXELS = 8 * 160**2
# Relative difference from plain torch in fp32 up to which a way to compute is right. bf16 keeps 8
# bits, so features differ by 2 to 5 percent after 50 layers; a wrong kernel (there are reports of
# some for small convolutions) gives differences of the order of 1.
CLOSE = {"fp32": 1e-3, "bf16": 0.1}

Compute = Callable[[Tensor], Tensor]  # uint8 pixels (N, H, W, 3) → features (N, D)
Result = TypeVar("Result")


class Pictures(Protocol):
    """What can be opened one after the other, such as `data.Photos`."""

    def __len__(self) -> int: ...

    def image(self, index: int, shrink_to: int | None = None) -> Image.Image:
        """Picture `index` in RGB; raises a PhotoError if it cannot be read."""
        ...


class Engine:
    """A frozen backbone made ready to run fast; what `extract` and `Classifier` compute with.

    It holds a copy of the network, and nothing in it changes after it was made: any number of
    threads may use it at once.

    Attributes:
        device: "cpu", "cuda" or "mps".
        precision: "fp32" or "bf16", in which it computes.
    """

    def __init__(
        self, backbone: Backbone, preprocessing: Preprocessing, *, device: str, precision: str
    ) -> None:
        """Chooses the way to compute, after a look at whether its numbers are right.

        Raises:
            InputError: the device is not there; the network does not take images of this size; bf16
                was asked for by name, and is wrong or missing here.
        """
        self.name, self.preprocessing = backbone.name, preprocessing
        self.num_features = backbone.num_features
        self.device = choose_device(device)
        self.precision = choose_precision(precision, self.device)
        with one_thread():
            body = copy.deepcopy(backbone.body)
            plain = Computation(body, preprocessing).eval().requires_grad_(False)
            plain = plain.to(self.device).to(memory_format=torch.channels_last)
            self._compute = self._chosen(plain, required=precision == "bf16")

    def _chosen(self, plain: Computation, *, required: bool) -> Compute:
        """The fastest way whose numbers are those of plain torch in fp32.

        Where it is `required`, nothing but the precision that was asked for will do.
        """
        exactly = self._torch(plain, "fp32")
        pixels = _probe(self.preprocessing.crop)
        try:
            exact = exactly(pixels)
        except (AssertionError, RuntimeError, ValueError) as problem:  # each has its way to say no
            raise InputError(
                f"{self.name} does not compute features of images of {self.preprocessing.crop} "
                f"pixels here ({first_line(problem):.200}); try the size that it was "
                'trained for (preset "standard").'
            ) from problem
        if exact.shape[1] != self.num_features:
            raise InputError(
                f"{self.name} gives {exact.shape[1]} features for a photo, not "
                f"{self.num_features}; mend its num_features."
            )
        if self.precision == "bf16":
            found, why = self._try("bf16", plain, pixels, exact)
            if found:
                return found
            if required:
                raise InputError(f"bf16 does not work on this machine: {why}; use fp32.")
            warnings.warn(f"bf16 does not work here: {why}; using fp32.", stacklevel=4)
            self.precision = "fp32"
        if self.device != "cpu" or not runtime.suits(plain):
            return exactly
        found, why = self._try("fp32", plain, pixels, exact)
        if not found:
            warnings.warn(
                f"ONNX Runtime does not work for {self.name} here: {why}; using plain torch, "
                "which gives the same features, but takes two to three times as long.",
                stacklevel=4,
            )
        return found or exactly

    def _try(
        self, precision: str, plain: Computation, pixels: Tensor, exact: Tensor
    ) -> tuple[Compute | None, str]:
        """The fast way of this precision, or None and what is wrong with it."""
        try:
            compute = self._fast(precision, plain)
            found = compute(pixels).float()
        except Exception as problem:  # a library's own kinds, whatever they are
            return None, first_line(problem)[:200]
        error = float((exact - found).norm() / exact.norm())
        if error < CLOSE[precision] or not exact.any():
            return compute, ""
        return None, f"features differ from plain fp32 ones by {error:.0%}"

    def _fast(self, precision: str, plain: Computation) -> Compute:
        if precision == "fp32":
            session = runtime.Session(plain)
            return lambda pixels: torch.from_numpy(session(pixels.numpy()))
        network = copy.deepcopy(plain)
        images = plain.images(_probe(plain.side)[:1].to(self.device))
        network.body = folding.fold(plain.body, images)
        rounding.to_bf16(network)
        return self._torch(network, "bf16")

    def _torch(self, network: Computation, precision: str) -> Compute:
        def compute(pixels: Tensor) -> Tensor:
            bf16 = precision == "bf16"
            autocast = torch.autocast(self.device, torch.bfloat16, enabled=bf16)
            with torch.inference_mode(), autocast, _without_tf32(self.device):
                features = network(pixels.to(self.device, non_blocking=True))
                return features.to(KINDS[precision]).cpu()

        return compute

    def stream(
        self, photos: Pictures, problems: list[PhotoError]
    ) -> Iterator[tuple[list[int], Tensor]]:
        """Gives (photo numbers, features (n, D) on the CPU as `KINDS` tells), batch after batch.

        On a processor every thread opens a batch and passes it through the network alone: threads
        that share a batch wait for each other after every layer. For a GPU, threads open the next
        batches while it computes the present one. Photos that cannot be read are left out and
        appended to `problems`.
        """
        size, on_cpu = BATCH_SIZE[self.device], self.device == "cpu"
        threads = torch.get_num_threads()
        if on_cpu:  # of few photos, each thread takes a part
            share = -(-len(photos) // threads)
            size = max(1, min(size, BATCH_PIXELS // self.preprocessing.crop**2, share))
        batches = [range(at, min(at + size, len(photos))) for at in range(0, len(photos), size)]

        def work(batch: range) -> tuple[list[int], list[PhotoError], Tensor]:
            numbers, unreadable, pixels = self._open(photos, batch)
            if not numbers or not on_cpu:
                return numbers, unreadable, pixels
            with one_thread():
                return numbers, unreadable, self.features(pixels)

        for numbers, unreadable, found in _in_order(work, batches, threads):
            problems += unreadable
            if numbers:
                yield numbers, found if on_cpu else self.features(found)

    def features(self, pixels: np.ndarray | Tensor) -> Tensor:
        """uint8 pixels (N, H, W, 3) → features (N, D) on the CPU, as `KINDS` tells."""
        return memory.in_parts(self._compute, torch.as_tensor(pixels))

    def _open(self, photos: Pictures, batch: range) -> tuple[list[int], list[PhotoError], Tensor]:
        """(numbers of the readable photos, errors of the others, pixels uint8 (n, H, W, 3))."""
        numbers: list[int] = []
        unreadable: list[PhotoError] = []
        arrays: list[np.ndarray] = []
        for number in batch:
            try:
                photo = photos.image(number, shrink_to=self.preprocessing.resize)
            except PhotoError as problem:
                unreadable.append(problem)
            else:
                numbers.append(number)
                arrays.append(self.preprocessing.pixels(photo))
        pixels = torch.from_numpy(np.stack(arrays) if arrays else np.empty(0, np.uint8))
        # Pinned memory stays in place, and a CUDA device fetches from it while it computes.
        return numbers, unreadable, pixels.pin_memory() if self.device == "cuda" else pixels


def _without_tf32(device: str) -> contextlib.AbstractContextManager[None]:
    """On NVIDIA's GPUs, torch convolves fp32 numbers in TF32, with 10 bits, by default."""
    cudnn = torch.backends.cudnn
    if device != "cuda":
        return contextlib.nullcontext()
    return cudnn.flags(
        enabled=cudnn.enabled,
        benchmark=cudnn.benchmark,
        deterministic=cudnn.deterministic,
        allow_tf32=False,
    )


def _in_order(
    work: Callable[[range], Result], batches: list[range], threads: int
) -> Iterator[Result]:
    """What `work` gives for each batch, by so many threads; a single batch by the calling one."""
    if len(batches) <= 1 or threads == 1:
        yield from map(work, batches)
        return
    left = deque(batches)
    with ThreadPoolExecutor(min(threads, len(batches))) as pool:
        waiting: deque[Future[Result]] = deque()
        while left or waiting:
            while left and len(waiting) < threads + 2:
                waiting.append(pool.submit(work, left.popleft()))
            yield waiting.popleft().result()


def _probe(side: int) -> Tensor:
    """Two images uint8 (2, side, side, 3), always the same: smooth colors with some noise."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    smooth = [Image.fromarray(image).resize((side, side)) for image in coarse]
    noise = random.integers(-20, 21, (2, side, side, 3))
    noisy = np.stack([np.asarray(image) for image in smooth]) + noise
    return torch.from_numpy(noisy.clip(0, 255).astype(np.uint8))


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
        return "bf16" if computes_in_bf16() else "fp32"
    return "fp32"


def computes_in_bf16() -> bool:
    """Whether this processor has instructions for bf16 that torch uses.

    A torch that cannot tell what the processor has is taken for one that has not.
    """
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    used = torch.backends.cpu.get_cpu_capability()  # may be limited by ATEN_CPU_CAPABILITY
    return bool(capabilities.get("avx512_bf16")) and used.startswith("AVX512")
