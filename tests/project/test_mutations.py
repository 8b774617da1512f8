"""The tests notice the classic silent mistakes: each is made on purpose, and a test must fail.

A mistake that no test notices would be one that the lessons warn of and the project could make.
Each is a function of the library in another's place, so that it holds however the code is written.
"""

from __future__ import annotations

import gc
import importlib
import json
import multiprocessing
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

# What goes wrong: code that makes it go wrong, before the tests are imported; the test that fails.
MISTAKES = {
    "labels are shuffled": (
        """
import torch
from flowerlib import features
from flowerlib.features import extraction

extract = extraction.extract

def wrong(*given, **named):
    found = extract(*given, **named)
    found.labels = found.labels[torch.randperm(len(found.labels))]
    return found

features.extract = extraction.extract = wrong
""",
        "train/test_train.py::test_three_lines_for_a_borrower",
    ),
    "the backbone is left in train mode": (
        """
from flowerlib import models
from flowerlib.models import freezing

models.freeze = freezing.freeze = lambda module: module.requires_grad_(False).train()
""",
        "models/test_models.py::test_small_networks_stay_frozen",
    ),
    "the penalty or epoch is chosen on the test set": (
        """
import dataclasses
from flowerlib.train import steps

extract = steps.extract
steps.extract = lambda backbone, splits, *given: extract(
    backbone, dataclasses.replace(splits, valid=splits.test), *given
)
""",
        "train/test_train.py::test_the_test_set_is_not_touched",
    ),
    "normalization is dropped": (
        """
from flowerlib.transforms import Preprocessing

Preprocessing.normalize = lambda self, pixels: pixels.float() / 255
""",
        "test_transforms.py::test_agrees_with_torchvision",
    ),
    "the order of the classes changes": (
        """
from flowerlib.data.folders import naming

right = naming.readable_names

def wrong(*given):
    names, notes = right(*given)
    return dict(zip(names, reversed(names.values()))), notes

naming.readable_names = wrong
""",
        "data/test_data.py::test_labels_go_by_name",
    ),
    "prediction resizes in another way than evaluation": (
        """
from flowerlib.classifier import inputs

image = inputs.Given.image
inputs.Given.image = lambda self, index, shrink_to=None: image(self, index).resize((64, 48))
""",
        "classifier/test_classifier.py::test_prediction_is_evaluation",
    ),
    "a changed photo keeps its old features": (
        """
from flowerlib.data import digests

digests.Digests.digest = lambda self, path, name: name.encode()[-16:].rjust(16)
""",
        "features/test_features.py::test_a_changed_file_is_noticed",
    ),
    "accuracy is a mean of batch means": (
        """
from flowerlib.train import evaluation

add = evaluation.RunningLoss.add
evaluation.RunningLoss.add = lambda self, value, weight: add(self, value, 16)
""",
        "train/test_train.py::test_figures_are_over_samples_not_means_of_batches",
    ),
    "near duplicates are not looked for across splits": (
        """
from flowerlib.data.splitting import thumbnails

thumbnails.near_copies = lambda *given, **named: []
""",
        "audit/test_check.py::test_near_copies_are_found",
    ),
    "an interval is Wald's": (
        """
import math
from flowerlib import metrics
from flowerlib.metrics import intervals

def wrong(correct, total, z=1.96):
    share = correct / total
    half = z * math.sqrt(share * (1 - share) / total)
    return share - half, share + half

metrics.wilson_interval = intervals.wilson_interval = wrong
""",
        "metrics/test_metrics.py::test_wilson_interval_of_the_source",
    ),
}


# No plugins, such as nbval.
ENVIRONMENT = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def run(mistakes: list[tuple[str, str]], repository: Path) -> list[int]:
    """The exit code of pytest for each test, with the mistake made before."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.project.test_mutations", json.dumps(mistakes)],
        cwd=repository,
        env={**os.environ, **ENVIRONMENT, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
    )
    codes = [int(code) for code in re.findall(r"^ended with (\d+)$", done.stdout, re.MULTILINE)]
    assert len(codes) == len(mistakes), done.stdout + done.stderr
    return codes


def make(mistake: str, test: str) -> None:
    """Ends this process with pytest's exit code for the test."""
    exec(mistake, {})
    sys.exit(int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", f"tests/{test}"])))


def make_all(mistakes: list[tuple[str, str]]) -> None:
    """Prints the exit code for each: a process a mistake, forked where that can be."""
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if "fork" in methods else "spawn")
    for module in ("onnxruntime", "timm", "torchvision"):  # once for all; no mistake changes them
        importlib.import_module(module)
    gc.freeze()  # or each fork would copy pages of memory to look for garbage in them
    for mistake, test in mistakes:
        process = context.Process(target=make, args=(mistake, test))
        process.start()
        process.join()
        print(f"\nended with {process.exitcode}", flush=True)


@pytest.fixture(scope="module")
def endings(repository: Path) -> dict[str, int]:
    """The exit code of pytest for each mistake."""
    return dict(zip(MISTAKES, run(list(MISTAKES.values()), repository), strict=True))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_mistake_is_noticed(mistake: str, endings: dict[str, int]) -> None:
    _, test = MISTAKES[mistake]
    assert endings[mistake] != 0, f"{test} passes although {mistake}"
    assert endings[mistake] == 1, f"{test} could not be run"


@pytest.mark.slow
def test_without_a_mistake_these_tests_pass(repository: Path) -> None:
    tests = [test for _, test in MISTAKES.values()]
    assert run([("", test) for test in tests], repository) == [0] * len(tests)


if __name__ == "__main__":
    make_all(json.loads(sys.argv[1]))
