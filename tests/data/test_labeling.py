"""Labels go by name wherever two lists of class names meet, or are refused by name."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from flowerlib import data, models, train
from flowerlib.classifier import Classifier
from flowerlib.data import Photos, RandomViews, Splits
from flowerlib.support.errors import InputError
from flowerlib.transforms import Augmentation, Preprocessing

EXACT = {"precision": "fp32", "device": "cpu"}


@pytest.fixture(scope="module")
def splits(flower_folder: Path) -> Splits:
    return data.image_folder(flower_folder)


@pytest.fixture(scope="module")
def classifier(splits: Splits) -> Classifier:
    return train.transfer(splits, "small_densenet", cache=False, **EXACT)


def other_way_round(photos: Photos) -> Photos:
    """The same files with their class names in reverse order."""
    names = photos.class_names[::-1]
    labels = [names.index(photos.class_name(index)) for index in range(len(photos))]
    return Photos([photos.name(index) for index in range(len(photos))], labels, names)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1, 2, 1], r"Picture 1 has the label 2, but the 2 class names have the positions 0 to 1"),
        ([0, 1, -1], r"Picture 2 has the label -1"),
        ([0.6, 1.6, 0.0], r"whole numbers, positions in class_names, not .*0\.6"),
        (np.array([0.0, np.nan, 1.0]), "whole numbers"),
        (["red", "green", "red"], r"not .*red.*class_names\.index\(name\) is the label"),
        ([[0], [1], [1]], r"one number a picture, not an array \(3, 1\)"),
        (np.array([0, 255, 1], np.uint8), "Picture 1 has the label 255"),
    ],
)
def test_labels_that_are_no_positions_are_refused_at_once(labels: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Photos(["a.jpg", "b.jpg", "c.jpg"], labels, ["red", "green"])


def test_labels_and_paths_of_any_kind_of_array() -> None:
    paths = np.array(["a.jpg", "b.jpg"])
    for labels in (
        np.array([0, 1], np.uint8),
        torch.tensor([0, 1]),
        [False, True],
        np.array([0, 1], object).tolist(),
    ):
        for source in (paths, paths.astype(object), list(paths)):
            photos = Photos(source, labels, ["red", "green"])
            assert photos.labels.tolist() == [0, 1] and photos.labels.dtype == np.int64
            assert photos.name(1) == "b.jpg"
    assert len(Photos([], [], ["red"])) == 0


@pytest.mark.usefixtures("own_cache")
def test_evaluation_goes_by_name(classifier: Classifier, splits: Splits) -> None:
    right = classifier.evaluate(splits.test, **EXACT)
    turned = classifier.evaluate(other_way_round(splits.test), **EXACT)
    assert turned.accuracy == right.accuracy > 0.5
    assert torch.equal(turned.labels, right.labels) and turned.interval == right.interval
    few = classifier.evaluate(splits.test.of_classes(["rose", "daisy"]), **EXACT)
    rows = (right.labels == 0) | (right.labels == 3)
    assert torch.equal(few.labels, right.labels[rows])
    assert few.accuracy == float((right.logits.argmax(1) == right.labels)[rows].double().mean())


def test_classes_that_the_classifier_lacks_are_refused(
    classifier: Classifier, splits: Splits
) -> None:
    names = [splits.test.name(index) for index in range(len(splits.test))]
    for new in (("daisy", "iris", "lily", "tulip"), ("daisy", "iris", "lily", "rose", "tulip")):
        labels = splits.test.labels.copy()
        labels[labels == 3] = len(new) - 1
        with pytest.raises(InputError, match="photos of class tulip, which this classifier lacks"):
            classifier.evaluate(Photos(names, labels, new))
    # A class without a photo is no obstacle.
    some = Photos(names, splits.test.labels, ("daisy", "iris", "lily", "rose", "tulip"))
    assert classifier.evaluate(some, cache=False, **EXACT).accuracy > 0.5


def test_splits_take_parts_by_name(splits: Splits) -> None:
    given = dataclasses.replace(
        splits, valid=other_way_round(splits.valid), test=other_way_round(splits.test)
    )
    for part in ("train", "valid", "test"):
        found, expected = getattr(given, part), getattr(splits, part)
        assert found.class_names == splits.class_names
        assert found.labels.tolist() == expected.labels.tolist()
        assert [found.class_name(i) for i in (0, 5)] == [expected.class_name(i) for i in (0, 5)]


def test_splits_with_other_classes_are_refused(splits: Splits) -> None:
    valid = splits.valid.of_classes(["daisy", "iris", "lily"])
    with pytest.raises(InputError, match="valid lacks class rose: every split needs the same"):
        dataclasses.replace(splits, valid=valid)
    wide = Photos([], [], (*splits.class_names, "tulip", "poppy"))
    with pytest.raises(InputError, match="test has classes poppy, tulip, which class_names lacks"):
        dataclasses.replace(splits, test=wide)
    with pytest.raises(InputError, match="rose"):
        Photos([], [], ("rose", "rose"))


def test_views_keep_labels_that_were_moved() -> None:
    drawn = Photos(np.zeros((4, 8, 8, 3), np.uint8), [0, 1, 1, 0], ("a", "b"))
    views = RandomViews(drawn, Augmentation(Preprocessing(8, 8)), 2)
    turned = views.in_order(("b", "a"))
    assert turned.labels.tolist() == [1, 0, 0, 1] * 2 and views.labels.tolist() == [0, 1, 1, 0] * 2
    part = turned.subset([1, 3, 4])
    assert part.labels.tolist() == [0, 1, 1] and part.class_name(0) == "b"
    only = views.of_classes(["b"]).subset([0])
    assert only.labels.tolist() == [0] and only.class_names == ("b",)
    with pytest.raises(InputError, match="class a, which is not among the wanted names"):
        views.in_order(("b", "c"))


def test_a_name_for_each_output() -> None:
    backbone = models.backbone("small_resnet", "none")
    head = nn.Sequential(nn.Linear(backbone.num_features, 3))
    with pytest.raises(InputError, match="a name for each output of its head: 3, not 2"):
        Classifier(backbone, head, ("a", "b"), Preprocessing(64, 64))
