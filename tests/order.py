"""The order of tests: what takes long comes first.

Several workers get a module or a notebook at a time; a long one at the end would keep the others
waiting. `make test` tells xdist to leave the order as it is.
"""

from __future__ import annotations

import pytest

# Modules that take more than some five seconds, longest first.
LONG = (
    "fuzz/test_fuzz.py",
    "models/test_models.py",
    "cli/test_processes_of_torchrun.py",
    "models/test_levels.py",
    "support/test_modes.py",
    "classifier/test_classifier.py",
    "classifier/test_legacy.py",
    "project/test_processes.py",
    "project/test_borrowed_notebook.py",
    "project/test_threads.py",
    "cli/test_cli.py",
    "project/test_mutations.py",
    "features/test_features.py",
    "train/test_fine_tuning.py",
    "models/test_timm.py",
    "train/test_last_stage.py",
    "train/test_checkpoints.py",
    "project/test_recomputed.py",
    "project/test_import.py",
    "features/test_extractor.py",
    "train/test_parallel.py",
)


def late(item: pytest.Item) -> int:
    """How late a test comes: notebooks, then long modules, then the others, which fill the gaps."""
    if item.nodeid.startswith("notebooks/"):
        return -1
    module = item.nodeid.partition("::")[0].removeprefix("tests/")
    return LONG.index(module) if module in LONG else len(LONG)
