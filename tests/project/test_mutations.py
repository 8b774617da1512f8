"""The tests notice the classic silent mistakes: each is made on purpose in a copy, and must fail.

A mistake that no test notices would be one that the lessons warn of and the project could make.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# What goes wrong: room, text, text in its place, the test that has to fail.
MISTAKES = {
    "labels are shuffled": (
        "features/extraction.py",
        "labels = torch.tensor(photos.labels)\n",
        "labels = torch.tensor(photos.labels)[torch.randperm(len(photos))]\n",
        "train/test_train.py::test_three_lines_for_a_borrower",
    ),
    "the backbone is left in train mode": (
        "models/freezing.py",
        "    module.eval()\n    if isinstance(module, Freezable):\n        module.frozen = True",
        "    module.train()\n    if isinstance(module, Freezable):\n        module.frozen = False",
        "models/test_models.py::test_small_networks_stay_frozen",
    ),
    "the penalty or epoch is chosen on the test set": (
        "train/steps.py",
        "join(splits.train, splits.valid)",
        "join(splits.train, splits.test)",
        "train/test_train.py::test_the_test_set_is_not_touched",
    ),
    "normalization is dropped": (
        "transforms.py",
        "rows.div_(255).sub_(mean).div_(std)",
        "rows.div_(255)",
        "test_transforms.py::test_agrees_with_torchvision",
    ),
    "the order of the classes changes": (
        "data/folders/reading.py",
        "class_names = tuple(readable[name] for name in folders)",
        "class_names = tuple(readable[name] for name in reversed(folders))",
        "data/test_data.py::test_labels_go_by_name",
    ),
    "prediction resizes in another way than evaluation": (
        "classifier/inputs.py",
        "return images.open_photo(photo, shrink_to=shrink_to, name=self.names[index])",
        "return images.open_photo(photo).resize((64, 48))",
        "classifier/test_classifier.py::test_prediction_is_evaluation",
    ),
    "a changed photo keeps its old features": (
        "data/digests.py",
        "found = images.digest(path, name)",
        "found = name.encode()[-16:].rjust(16)",
        "features/test_features.py::test_a_changed_file_is_noticed",
    ),
    "accuracy is a mean of batch means": (
        "train/evaluation.py",
        "self.total += value * weight",
        "self.total += value * 16",
        "train/test_train.py::test_figures_are_over_samples_not_means_of_batches",
    ),
}


# One process makes one mistake after the other: torch, which none of them changes, is imported
# once. No plugins, such as nbval, no search for garbage among what torch brings, no end of its
# libraries.
PROGRAM = """
import gc, json, os, sys, pytest, torch
from pathlib import Path

gc.disable()
sys.dont_write_bytecode = True  # what is compiled within a second could be taken for the next
for room, right, wrong, test in json.loads(sys.argv[1]):
    file = Path("flowerlib", room)
    source = file.read_text(encoding="utf-8")
    file.write_text(source.replace(right, wrong), encoding="utf-8")
    for name in list(sys.modules):
        top = name.partition(".")[0]
        if top in ("flowerlib", "tests", "tools", "conftest") or top.startswith("test_"):
            del sys.modules[name]
    code = pytest.main(["-q", "-x", "-p", "no:cacheprovider", f"tests/{test}"])
    file.write_text(source, encoding="utf-8")
    print(f"\\nended with {int(code)}", flush=True)
os._exit(0)
"""


@pytest.fixture(scope="module")
def endings(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """The exit code of pytest for each mistake, made in a copy of library and tests."""
    copy = tmp_path_factory.mktemp("copy")
    for name in ("flowerlib", "tests", "tools"):  # with what is compiled of them
        shutil.copytree(repository / name, copy / name)
    shutil.copy(repository / "pyproject.toml", copy)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(list(MISTAKES.values()))],
        cwd=copy,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
    )
    codes = [int(code) for code in re.findall(r"^ended with (\d+)$", done.stdout, re.MULTILINE)]
    assert len(codes) == len(MISTAKES), done.stdout + done.stderr
    return dict(zip(MISTAKES, codes, strict=True))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_mistake_is_noticed(mistake: str, repository: Path, endings: dict[str, int]) -> None:
    room, right, _, test = MISTAKES[mistake]
    source = (repository / "flowerlib" / room).read_text(encoding="utf-8")
    assert source.count(right) == 1, f"{room} does not hold the line once: {right}"
    assert endings[mistake] != 0, f"{test} passes although {mistake}"
    assert endings[mistake] == 1, f"{test} could not be run"
