"""Attacks on files, photos, caches and running processes, in any number.

    make torture                              the full runs; results/torture_NAME.json
    make torture ATTACK="artifacts kills"     some of them
    python -m tests.fuzz artifacts 200        a smaller one, printed and not recorded

`photos`, `artifacts` and `checkpoints` hold the corpus: what makes odd, damaged and hostile files,
and what must come of each. Unit tests and attacks draw from it. An attack is a module of `attacks`
with `FULL`, the number of a full run, and `attack(count, seed, folder) -> Outcome`; `make test`
makes a sample of each (tests/fuzz/test_fuzz.py).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Outcome:
    """What an attack came to.

    Attributes:
        ends: how often each way to end was seen, such as "refused" or "loaded, equal".
        failures: one line for each promise that was broken; empty is what we want.
        facts: further figures worth recording.
    """

    ends: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def is_sentence(problem: Exception | str) -> bool:
    """Whether a refusal is one short printable sentence."""
    text = str(problem)
    return text.isprintable() and text.endswith(".") and len(text) < 500
