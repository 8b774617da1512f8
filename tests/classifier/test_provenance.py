"""A classifier knows the photos that it learned from, and is not judged by them unawares."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from flowerlib import cli, data, train
from flowerlib.classifier import Classifier
from flowerlib.classifier.provenance import Provenance
from flowerlib.data import Photos, RandomViews, Splits, join
from flowerlib.transforms import Augmentation
from tests.samples import make

EXACT = {"precision": "fp32", "device": "cpu"}


@pytest.fixture(scope="module")
def splits(flower_folder: Path) -> Splits:
    return data.image_folder(flower_folder)


@pytest.fixture(scope="module")
def solved(splits: Splits) -> Classifier:
    return train.transfer(splits, "small_densenet", **EXACT)


@pytest.fixture(scope="module")
def trained(splits: Splits) -> Classifier:
    options = {"head": "hidden", "hidden": 16, "epochs": 4}
    return train.transfer(splits, "small_densenet", **options, **EXACT)


def test_a_photo_is_recognized_by_its_content() -> None:
    digests = np.array([bytes([i]) * 16 for i in range(6)], "S16")  # the first is all zeros
    known = Provenance.of(digests[[4, 0, 0]], digests[[0, 5]])
    assert len(known.trained_on) == 2 and len(known.chosen_with) == 1
    trained_on, chosen_with = known.roles(digests)
    assert trained_on.tolist() == [True, False, False, False, True, False]
    assert chosen_with.tolist() == [False] * 5 + [True]


def test_a_solved_head_learned_from_valid_and_a_trained_one_chose_with_it(
    solved: Classifier, trained: Classifier, splits: Splits
) -> None:
    for classifier, role in ((solved, "trained_on"), (trained, "chosen_with")):
        found = classifier.evaluate(splits.valid, name="valid", **EXACT)
        assert getattr(found, role).all() and found.role(0) == role.replace("_", " ")
        assert found.unseen_accuracy is None and found.unseen_interval is None
        assert f"it learned from all of them ({role.replace('_', ' ')} 12)" in str(found)
        known = classifier.evaluate(splits.train, **EXACT)
        assert known.trained_on.all() and not known.chosen_with.any()
        assert not classifier.evaluate(splits.test, **EXACT).trained_on.any()


def test_the_accuracy_without_them_stands_beside(trained: Classifier, splits: Splits) -> None:
    mixed = join(splits.test, splits.valid, splits.train.subset([0]))
    found = trained.evaluate(mixed, name="mixed", **EXACT)
    right = (found.logits.argmax(1) == found.labels)[: len(splits.test)]
    assert found.unseen.tolist() == [True] * 12 + [False] * 13
    assert found.unseen_accuracy == int(right.sum()) / 12
    written = found.to_dict()
    assert (
        written["set"],
        written["num_images"],
        written["trained_on"],
        written["chosen_with"],
    ) == (
        "mixed",
        25,
        1,
        12,
    )
    assert written["unseen"]["num_images"] == 12
    assert written["unseen"]["interval"] == list(trained.evaluate(splits.test, **EXACT).interval)
    assert "on 25 photos of mixed; it learned from 13 of them (trained on 1, chosen with 12); " in (
        str(found)
    )
    assert str(found).endswith("on 12 photos") and [found.role(i) for i in (0, 12, 24)] == [
        "",
        "chosen with",
        "trained on",
    ]


def test_views_of_a_photo_are_that_photo(solved: Classifier, splits: Splits) -> None:
    preprocessing = solved.preprocessing
    for part, known in ((splits.train, True), (splits.test, False)):
        views = RandomViews(part.subset([3, 5]), Augmentation(preprocessing), 2).subset([1, 2])
        found = solved.evaluate(views, cache=False, **EXACT)
        assert found.trained_on.tolist() == [known, known]


def test_the_file_says_what_it_learned_from(
    solved: Classifier, splits: Splits, tmp_path: Path
) -> None:
    again = Classifier.load(solved.save(tmp_path / "c.safetensors"))
    assert np.array_equal(again.provenance.trained_on, solved.provenance.trained_on)
    assert len(again.provenance.trained_on) == 44 and not len(again.provenance.chosen_with)
    # A copy under another name is the same photo.
    copy = tmp_path / "other name.jpg"
    copy.write_bytes(Path(splits.train.name(0)).read_bytes())
    found = again.evaluate(Photos([copy], [0], splits.class_names), **EXACT)
    assert found.trained_on.tolist() == [True]


def test_of_an_imported_classifier_it_is_not_known(tmp_path: Path) -> None:
    made = make.classifier()
    unknown = Classifier(made.backbone, made.head, made.class_names, made.preprocessing)
    again = Classifier.load(unknown.save(tmp_path / "c.safetensors"))
    photos = Photos(np.zeros((2, 40, 40, 3), np.uint8), [0, 1], made.class_names)
    found = again.evaluate(photos, cache=False, **EXACT)
    assert found.trained_on is None and found.unseen is None and found.role(0) == "?"
    assert str(found).endswith("; whether it learned from any of them is not known")
    assert found.to_dict()["trained_on"] is found.to_dict()["unseen"]["accuracy"] is None


@pytest.mark.usefixtures("own_cache")
def test_evaluate_says_so_in_text_json_and_table(
    solved: Classifier, flower_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    model = str(solved.save(tmp_path / "c.safetensors"))
    valid = str(flower_folder / "valid")
    assert cli.main(["evaluate", valid, "--model", model, "--json", "--table"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["trained_on"], found["chosen_with"], found["num_images"]) == (12, 0, 12)
    assert found["unseen"] == {"num_images": 0, "accuracy": None, "interval": None}
    assert {row["learned"] for row in found["photos"]} == {"trained on"}
    assert cli.main(["evaluate", valid, "--model", model, "--table"]) == 0
    text = capsys.readouterr().out
    assert text.count("trained on") == 13  # one a photo, and the sentence
    assert "it learned from all of them (trained on 12), so this says nothing of others" in text


def test_valid_is_judged_before_the_head_learned_from_it(splits: Splits) -> None:
    """Labels drawn by chance: before, it cannot know them; afterwards it knows them by heart."""
    chance = np.random.default_rng(0)
    noise = chance.integers(0, 256, (90, 32, 32, 3), np.uint8)
    photos = Photos(noise, chance.integers(0, 2, 90), ("a", "b"))
    drawn = Splits(
        photos.subset(range(30)), photos.subset(range(30, 90)), None, ("a", "b"), "x", "photos", ""
    )
    found = train.transfer(drawn, "small_densenet", cache=False, **EXACT)
    labels = torch.from_numpy(drawn.valid.labels)
    before = float((found.valid_logits.argmax(1) == labels).double().mean())
    assert found.results["valid"]["accuracy"] == before < 0.7
    assert found.results["valid"]["trained_on_it_afterwards"]
    assert found.evaluate(drawn.valid, cache=False, **EXACT).accuracy > before + 0.1
