"""The tests notice the classic silent mistakes: each is made on purpose in a copy, and must fail.

A mistake that no test notices would be one that the lessons warn of and the project could make.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# What goes wrong: room, text, text in its place, the test that has to fail.
MISTAKES = {
    "labels are shuffled": (
        "features.py",
        "labels = torch.from_numpy(photos.labels)\n",
        "labels = torch.from_numpy(photos.labels)[torch.randperm(len(photos))]\n",
        "test_train.py::test_three_lines_for_a_borrower",
    ),
    "the backbone is left in train mode": (
        "models.py",
        "    module.eval()\n    module.train = types.MethodType(_stay_frozen, module)",
        "    module.train()\n    module.stay = types.MethodType(_stay_frozen, module)",
        "test_models.py::test_small_networks_stay_frozen",
    ),
    "the penalty or epoch is chosen on the test set": (
        "train.py",
        "photos.join(splits.train, splits.valid)",
        "photos.join(splits.train, splits.test)",
        "test_train.py::test_the_test_set_is_not_touched",
    ),
    "normalization is dropped": (
        "transforms.py",
        "rows.div_(255).sub_(mean).div_(std)",
        "rows.div_(255)",
        "test_transforms.py::test_agrees_with_torchvision",
    ),
    "the order of the classes changes": (
        "data.py",
        "class_names = tuple(readable[name] for name in names)",
        "class_names = tuple(readable[name] for name in reversed(names))",
        "test_data.py::test_labels_go_by_name",
    ),
    "prediction resizes in another way than evaluation": (
        "classifier.py",
        "return images.open_photo(picture, shrink_to=shrink_to)",
        "return images.open_photo(picture).resize((64, 48))",
        "test_classifier.py::test_prediction_is_evaluation",
    ),
    "a changed photo keeps its old features": (
        "photos.py",
        "known.append(images.digest(picture))",
        "known.append(hashlib.blake2b(str(picture).encode(), digest_size=16).digest())",
        "test_features.py::test_a_changed_file_is_noticed",
    ),
    "accuracy is a mean of batch means": (
        "train.py",
        "total += value.item() * len(labels)",
        "total += value.item() * 16",
        "test_train.py::test_figures_are_over_samples_not_means_of_batches",
    ),
}


# Half the time of `python -m pytest`: no plugins, such as nbval, no search for garbage among what
# torch brings, and no end of torch's libraries.
QUICK_PYTEST = """
import gc, os, sys, pytest
gc.disable()
code = pytest.main(sys.argv[1:])
sys.stdout.flush()
os._exit(code)
"""


def passes(copy: Path, test: str) -> bool:
    """Whether the test, run in a process of its own on the copy, passes; it has to be found."""
    done = subprocess.run(
        [sys.executable, "-c", QUICK_PYTEST, "-q", "-x", "-p", "no:cacheprovider", f"tests/{test}"],
        cwd=copy,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.returncode == 0


@pytest.fixture
def copy(repository: Path, tmp_path: Path) -> Path:
    """A copy of library and tests that may be spoiled."""
    for name in ("flowerlib", "tests", "tools"):  # with what is compiled of them
        shutil.copytree(repository / name, tmp_path / name)
    shutil.copy(repository / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_mistake_is_noticed(mistake: str, copy: Path) -> None:
    room, right, wrong, test = MISTAKES[mistake]
    file = copy / "flowerlib" / room
    source = file.read_text(encoding="utf-8")
    assert source.count(right) == 1, f"{room} does not hold the line once: {right}"
    file.write_text(source.replace(right, wrong), encoding="utf-8")
    assert not passes(copy, test), f"{test} passes although {mistake}"
