"""What lessons say holds with other seeds, too, and stops holding where a mistake is made.

Both take as long as the lessons do, so they are marked slow.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.project import lesson_runs
from tools import notebooks

LESSONS = notebooks.lessons() + notebooks.solutions()
OFFSETS = (100, 200)  # added to the seeds


def name_of(source: Path) -> str:
    return f"{source.parent.name}/{source.stem}"


@pytest.mark.slow
@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("source", LESSONS, ids=name_of)
def test_it_holds_with_other_seeds(source: Path, offset: int) -> None:
    notebook = lesson_runs.with_seeds(source, offset)
    notebooks.execute(notebook, source.parent)  # raises where a claim is false
    printed = [out.get("text", "") for cell in notebook.cells for out in cell.get("outputs", [])]
    assert any(text.startswith("✓") for text in printed), "nothing was claimed"


@dataclass(frozen=True)
class Mistake:
    """A mistake, made on purpose in a lesson.

    Attributes:
        lesson: its name.
        code: a cell that makes the mistake.
        after: the function of the lesson behind whose cell it is put; before all cells if empty.
        claim: a part of the sentence that has to turn out false.
    """

    lesson: str
    code: str
    claim: str
    after: str = ""


# Patches what a data set returns: its training labels in a random order.
SHUFFLED = """
import numpy as np
from flowerlib import data

whole = data.{name}

def shuffled(**given):
    splits = whole(**given)
    labels = np.random.default_rng(0).permutation(splits.train.labels)
    splits.train.labels[:] = labels
    return splits

data.{name} = shuffled
"""

MISTAKES = {
    "01: the optimizer takes no step": Mistake(
        "01_cat_or_dog",
        "import torch\ntorch.optim.Adam.step = lambda self: None",
        "raised the accuracy",
    ),
    "01: the backbone is in train mode": Mistake(
        "01_cat_or_dog", "network.train()", "bit for bit", after="one_epoch"
    ),
    "01: the library's backbone is not loaded": Mistake(
        "01_cat_or_dog",
        "from flowerlib import train\n"
        "whole = train.transfer\n"
        "train.transfer = lambda *given, **named: whole(*given, **named | {'weights': 'none'})",
        "borrowed weights gain",
    ),
    "02: labels are shuffled": Mistake(
        "02_dogs_vs_cats", SHUFFLED.format(name="dogs_vs_cats"), "better than guessing"
    ),
    "02: the module of dropout ignores eval": Mistake(
        "02_dogs_vs_cats",
        "from torch import nn\nnn.Dropout.train = lambda self, mode=True: self",
        "every pass gives the same answers",
    ),
    "02: the backbone is in train mode": Mistake(
        "02_dogs_vs_cats",
        "from flowerlib import models\n"
        "models.freeze = lambda module: module.requires_grad_(False).train()",
        "bit for bit",
    ),
    "02: the last stage is in train mode": Mistake(
        "02_dogs_vs_cats",
        "once = fit\nfit = lambda *given, **named: once(*given)",
        "the buffers are what they were",
        after="apart",
    ),
    "03: a view is the same in every epoch": Mistake(
        "03_augmentation",
        "from flowerlib.data import views as module\n"
        "random = module.seeded\n"
        "module.seeded = lambda seed, epoch, index: random(seed, 0, index)",
        "the next epoch: other views",
    ),
    "03: normalization is dropped": Mistake(
        "03_augmentation",
        "from torchvision.transforms import v2\nv2.Normalize = lambda *given: v2.Identity()",
        "the short form gives the same numbers",
    ),
    "04: labels are shuffled": Mistake(
        "04_flowers", SHUFFLED.format(name="flowers"), "can cost over 2 points"
    ),
    "04: the backbone is in train mode": Mistake(
        "04_flowers",
        "nn.Module.eval = lambda self: self.train()",
        "eval() does not",
        after="changed_by",
    ),
    "05: labels are shuffled": Mistake(
        "05_heads", SHUFFLED.format(name="flowers"), "the strongest penalty is not the best"
    ),
    "05: the weights are random": Mistake(
        "05_heads",
        "from flowerlib import models\n"
        "borrowed = models.backbone\n"
        'models.backbone = lambda name, weights, **more: borrowed(name, "none", **more)',
        "pretraining is worth over 10 points",
    ),
    "06: labels are shuffled": Mistake(
        "06_first_five_last_five", SHUFFLED.format(name="cifar10"), "better than guessing"
    ),
    "06: frozen layers are not frozen": Mistake(
        "06_first_five_last_five",
        "import torch\ntorch.nn.Module.requires_grad_ = lambda self, requires_grad=True: self",
        "left every frozen weight as it was",
    ),
    "06: features are in another order than labels": Mistake(
        "06_first_five_last_five",
        "ordered = features_of\n"
        "features_of = lambda *given: (ordered(*given)[0].flip(0), given[1][1])",
        "both give the same features",
        after="features_of",
    ),
    "07: labels are shuffled": Mistake(
        "07_bed_or_sofa", SHUFFLED.format(name="beds_and_sofas"), "a linear head fits"
    ),
    "07: the backbone is in train mode": Mistake(
        "07_bed_or_sofa",
        "nn.Module.eval = lambda self: self.train()",
        "BatchNorm's statistics did not change",
        after="unfrozen",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=list(MISTAKES))
def test_a_mistake_makes_a_claim_false(mistake: Mistake) -> None:
    source = notebooks.NOTEBOOKS / f"{mistake.lesson}.py"
    notebook = lesson_runs.with_mistake(source, mistake.code, mistake.after)
    with pytest.raises(notebooks.LessonFailed) as failed:
        notebooks.execute(notebook, source.parent)
    message = str(failed.value)
    assert "FalseClaim" in message and mistake.claim in message, message


@pytest.mark.parametrize("source", LESSONS, ids=name_of)
def test_every_lesson_has_seeds(source: Path) -> None:
    changed = lesson_runs.with_seeds(source, 100)
    assert notebooks.code_hash(changed) != notebooks.code_hash(notebooks.read_text(source))


def test_seeds_are_changed_where_they_stand(tmp_path: Path) -> None:
    source = tmp_path / "01_x.py"
    source.write_text('# %% tags=["settings"]\nSEED = 0  # here\nSEEDS = (0, 12, 3)\nLR = 0.1\n')
    notebook = lesson_runs.with_seeds(source, 100)
    assert notebook.cells[0].source == "SEED = 100  # here\nSEEDS = (100, 112, 103)\nLR = 0.1"
    source.write_text('# %% tags=["settings"]\nLR = 0.1\n')
    with pytest.raises(LookupError, match="no SEED"):
        lesson_runs.with_seeds(source, 100)


def test_seeds_follow_seed_or_are_numbers(tmp_path: Path) -> None:
    source = tmp_path / "01_x.py"
    source.write_text('# %% tags=["settings"]\nSEED = 0\nSEEDS = range(SEED, SEED + 4)\n')
    assert lesson_runs.with_seeds(source, 100).cells[0].source.startswith("SEED = 100\n")
    source.write_text('# %% tags=["settings"]\nSEED = 0\nSEEDS = range(4)\n')
    with pytest.raises(LookupError, match="SEEDS do not follow SEED"):
        lesson_runs.with_seeds(source, 100)


def test_a_mistake_comes_behind_the_function_that_it_changes(tmp_path: Path) -> None:
    source = tmp_path / "01_x.py"
    source.write_text("# %%\nx = 1\n\n# %%\ndef f():\n    pass\n\n# %%\ny = 2\n")
    sources = [cell.source for cell in lesson_runs.with_mistake(source, "f = None", "f").cells]
    assert sources == ["x = 1", "def f():\n    pass", "f = None", "y = 2"]
    assert lesson_runs.with_mistake(source, "z = 3").cells[0].source == "z = 3"
