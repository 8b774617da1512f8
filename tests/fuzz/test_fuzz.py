"""A sample of every attack of tests/fuzz; the full runs are `make torture`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

# Attacks in a sample: about two seconds each.
SAMPLES: dict[str, int] = {
    "artifacts": 80,
    "checkpoints": 8,
    "photos": 132,  # every kind four times
    "frozen": 6,
    "archives": 12,
    "kills": 6,  # every task once
    "caches": 14,  # every kind once
}
FORKING = ("kills", "caches")


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_of_attacks_breaks_no_promise(name: str, tmp_path: Path, own_cache: Path) -> None:
    if name in FORKING and sys.platform != "linux":
        pytest.skip("forks a process that has torch, which is safe on Linux only")
    module = importlib.import_module(f"tests.fuzz.attacks.{name}")
    outcome = module.attack(SAMPLES[name], 1, tmp_path)
    assert not outcome.failures
    assert sum(outcome.ends.values()) == SAMPLES[name]
    assert SAMPLES[name] < module.FULL
