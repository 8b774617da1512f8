"""A frozen backbone made ready to run fast on one device.

Shown in: notebooks/03_flowers
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor, nn

from flowerlib import fusion, storage
from flowerlib.errors import InputError
from flowerlib.images import PhotoError
from flowerlib.models import Backbone
from flowerlib.photos import Photos
from flowerlib.transforms import Preprocessing

# What features are kept in. Those of a network in bf16 kept in float32 would take twice the memory,
# for nothing: over 12 random splits of the flowers, with the stages, test accuracy 0.9705 instead
# of 0.9707, loss 0.1203 instead of 0.1205.
KINDS = {"fp32": torch.float32, "bf16": torch.bfloat16}
BATCH_SIZE = {"cpu": 32, "cuda": 256, "mps": 64}
# On a processor, of all images of a batch: each thread has its own maps, and those of 8 images of
# 224 px take 70 MB; with 4 the pass takes 4 % longer (medians of 10 runs) in 60 MB less. Smaller
# images come in larger batches, since every call of oneDNN takes some 0.05 ms before it computes:
# a pass over flowers at 112 px takes 0.83 to 0.88 of the time with 16 instead of 8, over drawn
# ones at 96 px 0.69 to 0.88 with 22, for the same features to the last bit. `train.measure` divides
# its batches by this, too.
BATCH_PIXELS = 8 * 160**2


class Engine:
    """A frozen backbone made ready to run fast; what `extract` and `Classifier` compute with."""

    def __init__(
        self, backbone: Backbone, preprocessing: Preprocessing, *, device: str, precision: str
    ) -> None:
        self.name, self.preprocessing = backbone.name, preprocessing
        self.device = choose_device(device)
        self.precision = choose_precision(precision, self.device)
        self.automatic = precision == "auto"
        self.checked = False
        # Before the check: folded only, in fp32. After it: what runs.
        self.network = fusion.fold(backbone.body).to(self.device)
        self.network = self.network.to(memory_format=torch.channels_last)

    def stream(
        self, photos: Photos, problems: list[PhotoError]
    ) -> Iterator[tuple[list[int], Tensor]]:
        """Gives (photo numbers, features (n, D) on the CPU as `KINDS` tells), batch after batch.

        On a processor every thread opens a batch and passes it through the network alone: threads
        that share a batch wait for each other after every layer. For a GPU, threads open the next
        batches while it computes the present one. Photos that cannot be read are left out and
        appended to `problems`.
        """
        self.check(photos)
        size, on_cpu = BATCH_SIZE[self.device], self.device == "cpu"
        threads = torch.get_num_threads()
        if on_cpu:  # of few photos, each thread takes a part
            share = -(-len(photos) // threads)
            size = max(1, min(size, BATCH_PIXELS // self.preprocessing.crop**2, share))
        batches = deque(
            range(at, min(at + size, len(photos))) for at in range(0, len(photos), size)
        )
        # This thread, too: after each parallel operation OpenMP's other threads look out for the
        # next one, and take up to a quarter of the processor from those that work.
        torch.set_num_threads(1)

        def work(batch: range) -> tuple[list[int], list[PhotoError], np.ndarray | Tensor]:
            numbers, unreadable, pixels = self._open(photos, batch)
            if not numbers:
                return numbers, unreadable, pixels
            return numbers, unreadable, self.features(pixels) if on_cpu else self._near(pixels)

        try:
            with ThreadPoolExecutor(
                threads, initializer=torch.set_num_threads, initargs=(1,)
            ) as pool:
                waiting: deque[Future] = deque()
                while batches or waiting:
                    while batches and len(waiting) < threads + 2:
                        waiting.append(pool.submit(work, batches.popleft()))
                    numbers, unreadable, found = waiting.popleft().result()
                    problems += unreadable
                    if numbers:
                        yield numbers, found if on_cpu else self.features(found)
        finally:
            torch.set_num_threads(threads)  # a thread's own number is everybody's default

    def check(self, photos: Photos) -> None:
        """Compares the fast network with the plain one on a few photos, once.

        bf16 keeps 8 bits of precision, so features differ by 2 to 5 percent after 50 layers; a
        wrong kernel (there are reports of some for small convolutions) gives differences of the
        order of 1.
        Where they differ more, the slower way is taken and a warning says so.

        Raises:
            InputError: the network does not take images of this size, or bf16 differs and was asked
                for by name.
        """
        if self.checked:
            return
        try:
            self._check(photos)
        finally:
            storage.return_memory()  # of the plain network and its maps

    def _check(self, photos: Photos) -> None:
        numbers, _, pixels = self._open(photos, range(min(4, len(photos))))
        if not numbers:
            return
        self.checked = True
        plain, asked = self.network, self.precision
        try:
            exact = self._run(plain, pixels, "fp32")
        except (AssertionError, RuntimeError, ValueError) as problem:  # each has its way to say no
            raise InputError(
                f"{self.name} does not compute features of images of {self.preprocessing.crop} "
                f"pixels here ({str(problem).splitlines()[0][:200]}); try the size that it was "
                'trained for (effort "standard").'
            ) from problem
        for precision, limit in (("bf16", 0.1), ("fp32", 1e-3)):
            if precision == "bf16" and asked == "fp32":
                continue
            network = self._fast(plain, precision)
            found = self._run(network, pixels, precision).float()
            error = float((exact - found).norm() / exact.norm())
            if error < limit or not exact.any():
                self.network, self.precision = network, precision
                return
            if precision == "bf16" and not self.automatic:
                raise InputError(
                    f"bf16 features differ from fp32 by {error:.0%} on this machine; use fp32."
                )
            instead = "fp32" if precision == "bf16" else "the plain network"
            warnings.warn(
                f"Fast {precision} features differ from plain fp32 ones by {error:.0%} on this "
                f"machine; using {instead}.",
                stacklevel=2,
            )
        self.precision = "fp32"

    def _fast(self, plain: nn.Module, precision: str) -> nn.Module:
        dtype = KINDS[precision]
        network = fusion.fuse(plain, dtype) if self.device == "cpu" else fusion.copied(plain)
        # Rounded once here; autocast would round the weights again for every batch.
        for module in network.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                module.to(dtype)
        return network

    def _near(self, pixels: np.ndarray) -> Tensor:
        """Pixels in memory that stays in place, which a CUDA device fetches from while it computes.

        Copied there by the thread that opened the photos.
        """
        given = torch.from_numpy(pixels)
        return given.pin_memory() if self.device == "cuda" else given

    def features(self, pixels: np.ndarray | Tensor) -> Tensor:
        """uint8 pixels (N, H, W, 3) → features (N, D) on the CPU, as `KINDS` tells."""
        return self._run(self.network, pixels, self.precision)

    @torch.inference_mode()
    def _run(self, network: nn.Module, pixels: np.ndarray | Tensor, precision: str) -> Tensor:
        images = torch.as_tensor(pixels).to(self.device, non_blocking=True)
        images = images.permute(0, 3, 1, 2)  # already channels last: this only renames the axes
        images = self.preprocessing.normalize(images)
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=precision == "bf16"):
            return network(images).flatten(1).to(KINDS[precision]).cpu()

    def _open(self, photos: Photos, batch: range) -> tuple[list[int], list[PhotoError], np.ndarray]:
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
        return numbers, unreadable, np.stack(arrays) if arrays else np.empty(0, np.uint8)


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
