"""Two sides measured in turn, so that what disturbs the machine disturbs both.

The order is A B B A A B B A …: neighbors make a pair, and a slow drift falls on both sides alike.
What is recorded is the median of the pairs' ratios, with a bootstrap interval.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from statistics import median

import numpy as np

from benchmarks import roofs

PAIRS = 5
DRIFT = 0.10  # a block whose roofs changed by more is measured again
TRIES = 3

Side = Callable[[], dict]  # measures once; returns at least {"seconds": ...}


def dry() -> bool:
    """Whether FLOWERLIB_BENCH_DRY is set: tiny counts, one pair, nothing is recorded."""
    return bool(os.environ.get("FLOWERLIB_BENCH_DRY"))


def order(pairs: int, once: bool = False) -> str:
    """Which side runs when: "ABBAAB" for three pairs; "AABAA" where B is so slow that it runs once.

    With `once`, A runs `pairs` times, and once more if that makes it the same number on both sides.
    """
    if once:
        half = "A" * -(-pairs // 2)
        return f"{half}B{half}"
    return "".join("AB" if pair % 2 == 0 else "BA" for pair in range(pairs))


def compare(
    ours: Side,
    theirs: Side,
    *,
    names: tuple[str, str] = ("ours", "theirs"),
    pairs: int = PAIRS,
    once: bool = False,
) -> dict:
    """Runs both sides in turn, tells each run as it ends, and sums them up.

    Args:
        ours, theirs: called once a run; fresh processes where cold figures are wanted.
        names: of the sides, keys of the answer.
        pairs: how many.
        once: measure `theirs` only once, between the runs of `ours`.

    Returns:
        `summary` of the runs.
    """
    runs: dict[str, list[dict]] = {name: [] for name in names}
    for letter in order(1 if dry() else pairs, once):
        name, side = (names[0], ours) if letter == "A" else (names[1], theirs)
        runs[name].append(side())
        print(f"  {name}: {runs[name][-1]['seconds']:.2f} s", flush=True)
    return summary(runs)


def summary(runs: dict[str, list[dict]]) -> dict:
    """The ratio of the second side's seconds to the first's, and each side's runs and median."""
    first, second = runs.values()
    slow = [run["seconds"] for run in second]
    if len(second) == 1:
        slow *= len(first)
    ratios = [theirs / ours["seconds"] for ours, theirs in zip(first, slow, strict=True)]
    ratio = {"median": round(median(ratios), 3), "pairs": [round(value, 3) for value in ratios]}
    if len(ratios) > 1:
        ratio["interval"] = [round(value, 3) for value in interval(ratios)]
    if len(second) == 1 < len(first):
        ratio["note"] = "the slow side ran once, so the interval knows the fast side's spread only"
    found: dict = {"ratio": ratio}
    for name, side in runs.items():
        seconds = median(run["seconds"] for run in side)
        found[name] = {"median_seconds": round(seconds, 3), "runs": side}
    return found


def interval(values: list[float], share: float = 0.95, draws: int = 10_000) -> tuple[float, float]:
    """The bootstrap interval of the median: its quantiles over samples drawn with replacement."""
    generator = np.random.default_rng(0)
    drawn = generator.choice(np.asarray(values), size=(draws, len(values)))
    low, high = np.quantile(np.median(drawn, axis=1), [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


def steady(
    block: Callable[[], dict],
    *,
    tries: int = TRIES,
    roof: Callable[[], dict[str, float]] = roofs.measure,
) -> dict:
    """Runs a block of measurements between two looks at the roofs; again if they drifted apart.

    Args:
        block: returns what it measured.
        tries: after so many, the block is kept with its drift.
        roof: measures the roofs.

    Returns:
        What the block measured, with the machine, the roofs, their drift, and the tries it took.
    """
    tries = 1 if dry() else tries
    for number in range(1, tries + 1):
        before = roof()
        found = block()
        after = roof()
        drift = roofs.drift(before, after)
        if drift <= DRIFT:
            break
        print(f"  the roofs drifted by {drift:.0%} (try {number} of {tries})", flush=True)
    looks = {"before": before, "after": after, "drift": round(drift, 3), "tries": number}
    looks["unit"] = "GFLOP/s"
    if drift > DRIFT:
        looks["warning"] = f"not steady: the roofs drifted by {drift:.0%}, more than {DRIFT:.0%}"
    return {**found, "roofs": looks, "machine": machine()}


def machine() -> dict:
    """Processor, threads, and versions of what decides a speed."""
    import torch

    from flowerlib import lesson
    from flowerlib.cli import runs
    from flowerlib.features import engine

    return {
        "processor": f"{lesson.machine()}, {os.cpu_count()} cores",
        "threads": torch.get_num_threads(),
        "bf16_in_hardware": engine.computes_in_bf16(),
        "versions": runs.versions(),
    }
