"""What the machine can do at most: matrix products and 1x1 convolutions, in each precision it has.

A speed means something only beside them: a share of the roof says how much is left to gain, and
roofs that change between the start and the end of a measurement say that somebody else was busy.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from flowerlib.features import engine

SIDE = 1536  # of the square matrices: 7.2 GFLOP a product, 9 MB a matrix in fp32
IMAGES, CHANNELS, PIXELS = 8, 512, 28  # of the convolution: 3.3 GFLOP, like ResNet's third stage
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


@torch.inference_mode()
def measure(seconds: float = 0.4) -> dict[str, float]:
    """GFLOP/s of each roof, the best of what fits into so many seconds each (about 2 s in all)."""
    found = {}
    for precision, kind in PRECISIONS.items():
        if precision == "bf16" and not engine.computes_in_bf16():
            continue
        left, right = torch.randn(SIDE, SIDE).to(kind), torch.randn(SIDE, SIDE).to(kind)
        images = torch.randn(IMAGES, CHANNELS, PIXELS, PIXELS).to(kind)
        images = images.to(memory_format=torch.channels_last)
        layer = torch.nn.Conv2d(CHANNELS, CHANNELS, 1, bias=False).to(kind)
        layer = layer.to(memory_format=torch.channels_last)
        # Bound as defaults: a lambda would see the tensors of the next round.
        found[f"matrix_product_{precision}"] = _best(lambda a=left, b=right: a @ b, seconds)
        found[f"convolution_1x1_{precision}"] = _best(lambda f=layer, x=images: f(x), seconds)
    return found


def _best(work: Callable[[], object], seconds: float) -> float:
    """GFLOP/s of the fastest run; slower ones were disturbed."""
    total = flops(work)  # this run also warms up: buffers, kernels made at run time
    best, end = float("inf"), time.perf_counter() + seconds
    while best == float("inf") or time.perf_counter() < end:
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return float(f"{total / best / 1e9:.4g}")


def flops(work: Callable[[], object]) -> int:
    """Floating-point operations of the products and convolutions in one run; an addition is one."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def drift(before: dict[str, float], after: dict[str, float]) -> float:
    """The largest relative change of any roof: 0.1 where one of them changed by a tenth."""
    return max(abs(after[name] / before[name] - 1) for name in before)
