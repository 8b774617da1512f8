"""Somebody else's notebook: cells show what they end in, and a second run shows the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from flowerlib import data, models
from flowerlib.lesson.nbval import PATTERNS
from flowerlib.train import History
from tools import notebooks

CELLS = """
import torch
from flowerlib import audit, data, features, lesson, metrics, models, plots, solvers, train
splits = data.image_folder(PHOTOS)
splits
---
classifier = train.transfer(splits, backbone="small_densenet", preset="quick")
classifier
---
print(classifier.predict(ROSE))
---
classifier.predict([ROSE, ROSE], top_k=2)
---
evaluation = classifier.evaluate(splits.test)
evaluation
---
evaluation.accuracy, evaluation.interval
---
classifier.history
---
plots.curves(classifier.history)
---
plots.confusion(metrics.confusion(evaluation.logits, evaluation.labels), splits.class_names)
---
plots.photo_grid([splits.test.image(i) for i in range(2)])
---
lesson.show(plots.curves(classifier.history), alt="Loss and accuracy of the head.")
---
backbone = models.backbone("small_densenet", "small")
backbone
---
found = features.extract(backbone, splits.train, models.default_preprocessing(backbone, "quick"))
found
---
values, labels = found.values.float(), found.labels
solvers.logistic(values[::2], labels[::2], values[1::2], labels[1::2], 4)
---
torch.manual_seed(0)
model = models.hidden_head(backbone.num_features, 4, (8,))
batches = train.FeatureBatches(values, labels, 8, shuffle=True)
train.fit(model, batches, batches, epochs=3, report=train.Bar())
---
train.fit(model, batches, batches, epochs=2, report=lesson.live())
---
splits.train, classifier.preprocessing
---
audit.check(PHOTOS)
"""
PICTURES = {7, 8, 9, 10}  # cells that show one


@pytest.fixture(scope="module")
def notebook(flower_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The notebook with the outputs of a first run."""
    book = nbformat.v4.new_notebook()
    photos, rose = str(flower_folder), str(flower_folder / "test" / "rose" / "rose_11.jpg")
    code = CELLS.replace("PHOTOS", repr(photos)).replace("ROSE", repr(rose))
    book.cells = [nbformat.v4.new_code_cell(cell.strip()) for cell in code.split("---\n")]
    book.metadata["kernelspec"] = notebooks.KERNELSPEC
    folder = tmp_path_factory.mktemp("borrowed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOWERLIB_CACHE", str(folder / "cache"))
        notebooks.execute(book, folder)
    nbformat.write(book, folder / "borrowed.ipynb")
    return folder / "borrowed.ipynb"


def test_a_cell_that_ends_in_a_figure_shows_one_picture(notebook: Path) -> None:
    cells = nbformat.read(notebook, as_version=4).cells
    for number, cell in enumerate(cells):
        pictures = [out for out in cell.outputs if "image/png" in out.get("data", {})]
        if number != 15:  # live curves are redrawn
            assert len(pictures) == (number in PICTURES), cell.source


def test_what_a_cell_shows_is_short_and_names_no_seconds(notebook: Path) -> None:
    for cell in nbformat.read(notebook, as_version=4).cells:
        for output in cell.outputs:
            text = output.get("data", {}).get("text/plain", "")
            assert len(text) < 600 and "seconds" not in text, cell.source


def test_a_second_run_passes_strict_nbval(notebook: Path) -> None:
    # The root keeps pytest from importing a stray __init__.py in a folder above.
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["--rootdir", str(notebook.parent), "--nbval", str(notebook)]
    command += ["--nbval-sanitize-with", str(PATTERNS)]
    environment = os.environ | {"FLOWERLIB_CACHE": str(notebook.parent / "cache")}
    done = subprocess.run(
        command, cwd=notebook.parent, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stdout[-6000:]


def test_the_patterns_are_found_by_name() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "flowerlib.lesson.nbval"], capture_output=True, text=True
    )
    assert Path(found.stdout.strip()) == PATTERNS and PATTERNS.is_file()


def test_long_things_have_short_names() -> None:
    splits = data.garden("flowers", per_class=(1, 1, 1), size=32)
    backbone = models.backbone("small_densenet", "none")
    for item in (splits, backbone, History(3), splits.train):
        assert len(repr(item)) < 200 and "\n" not in repr(item)
    assert "102 classes" in repr(splits) and "256" not in repr(splits.train)
