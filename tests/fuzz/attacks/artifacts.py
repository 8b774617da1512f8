"""Hostile and damaged classifier files: refused in one sentence, or the same classifier.

The files come from `tests.fuzz.artifacts`, in the format of today and in the first. Each is loaded
whole, and its head through numpy; nothing in it may run, and memory is watched.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

from flowerlib.classifier import Classifier
from flowerlib.support.errors import InputError
from tests.fuzz import Outcome, is_sentence
from tests.fuzz.artifacts import CANARY, KINDS, first_format, honest, state, take_apart
from tests.fuzz.memory import growth

FULL = 10_000
ALLOWANCE = 64 << 20  # bytes of memory beside twice the file: a header, and a network's skeleton


def judge(path: Path, right: tuple) -> tuple[str, str | None]:
    """Loads a file; how it ended, and what was wrong with that, or None."""
    try:
        found = Classifier.load(path)
    except InputError as problem:
        return "refused", None if is_sentence(problem) else f"not one sentence: {problem!s:.200}"
    except BaseException as problem:
        return "crashed", f"{type(problem).__name__}: {str(problem)[:200]}"
    if state(found) != right:
        return "loaded, other", "another classifier was loaded"
    return "loaded, equal", None


def attack(count: int, seed: int, folder: Path) -> Outcome:
    """Loads `count` hostile or damaged files; see the module."""
    outcome, path = Outcome(), folder / "classifier.safetensors"
    right = honest("squeezenet1_1")
    content = right.save(path).read_bytes()
    new, expected = take_apart(content), state(right)
    if new.file() != content:
        outcome.failures.append("the control: an untouched file is not put together as it was")
    for parts in (new, first_format(new)):
        path.write_bytes(parts.file())
        if judge(path, expected) != ("loaded, equal", None):
            outcome.failures.append("the control: an untouched file is not loaded")
    outcome.facts |= memory_of_an_honest_file(folder, outcome.failures)
    here = Path.cwd()
    os.chdir(folder)  # where an executed command would leave its trace
    slowest, most = 0.0, 0
    try:
        for number in range(count):
            dice = random.Random(f"{seed} {number}")
            kind = KINDS[number % len(KINDS)]
            made = kind(dice, first_format(new) if dice.randrange(4) == 0 else new)
            path.write_bytes(made)
            start = time.perf_counter()
            with growth() as grown:
                end, fault = judge(path, expected)
            slowest = max(slowest, time.perf_counter() - start)
            outcome.ends[end] += 1
            most = max(most, grown.bytes - 2 * len(made))
            if grown.bytes > 2 * len(made) + ALLOWANCE:
                fault = f"took {grown.bytes >> 20} MB of memory for {len(made) >> 20} MB"
            if Path(CANARY).exists():
                fault = "its code was run"
                Path(CANARY).unlink()
            if fault:
                outcome.failures.append(f"{number} {kind.__name__}: {fault}")
    finally:
        os.chdir(here)
    outcome.facts |= {
        "kinds": len(set(KINDS)),
        "executed": sum("code was run" in line for line in outcome.failures),
        "slowest_seconds": round(slowest, 3),
        "most_memory_beyond_twice_the_file_mb": round(most / 1e6, 1),
    }
    return outcome


def memory_of_an_honest_file(folder: Path, failures: list[str]) -> dict[str, float]:
    """Memory to save and to load a file of 45 MB, as multiples of its size; at most 2 promised."""
    path, facts = folder / "larger.safetensors", {}
    classifier = honest("resnet18")
    classifier.save(path)
    for name, work in (
        ("saving", lambda: classifier.save(path)),
        ("loading", lambda: Classifier.load(path)),
    ):
        with growth() as grown:
            work()
        share = grown.bytes / path.stat().st_size
        facts[f"memory_of_{name}_by_file_size"] = round(share, 2)
        if share > 2:
            failures.append(f"{name} takes {share:.1f} times the file in memory")
    path.unlink()
    return facts
