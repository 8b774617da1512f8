"""On the real photos, where they are: counts, names, and the same logits by either way."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from flowerlib import data, models, train

pytestmark = pytest.mark.shared
MOBILENET = "weights/mobilenet_v2_features.safetensors"
EXACT = {"precision": "fp32", "device": "cpu"}


@pytest.fixture
def flowers(shared: Path, monkeypatch: pytest.MonkeyPatch) -> data.Splits:
    monkeypatch.setenv("FLOWERLIB_DATA", str(shared))
    return data.flowers(pictures="photos")


def test_the_flowers_are_complete(flowers: data.Splits, shared: Path) -> None:
    assert flowers.sizes() == {"train": 6552, "valid": 818, "test": 819}
    assert flowers.pictures == "photos" and len(flowers.class_names) == 102
    for photos, part in (
        (flowers.train, "train"),
        (flowers.valid, "valid"),
        (flowers.test, "test"),
    ):
        assert photos.counts().min() >= 1
        assert {Path(photos.name(i)).parents[1].name for i in range(len(photos))} == {part}
    folder = data.image_folder(shared / "flowers")  # the same set, read as any folder is
    assert folder.sizes() == flowers.sizes() and set(folder.class_names) == set(flowers.class_names)
    names = [
        {Path(p.name(i)).name: p.class_name(i) for i in range(len(p))}
        for p in (flowers.test, folder.test)
    ]
    assert names[0] == names[1]


def test_small_real_sets_are_understood(shared: Path) -> None:
    pets = data.image_folder(shared / "dogscats")
    assert pets.class_names == ("cats", "dogs")
    assert pets.sizes() == {"train": 2000, "valid": 500, "test": 500}
    beds = data.image_folder(shared / "bed_sofa")
    assert beds.class_names == ("bed", "sofa") and beds.sizes()["test"] == 200
    assert beds.sizes()["train"] + beds.sizes()["valid"] == 200


@pytest.mark.usefixtures("own_cache")
def test_a_few_real_photos_are_enough(flowers: data.Splits, shared: Path) -> None:
    """Ten classes, ten photos each: far above chance only if weights, names and photos fit."""

    def few(photos: data.Photos, count: int) -> data.Photos:
        return photos.subset([i for i in range(len(photos)) if photos.labels[i] < 10]).per_class(
            count
        )

    splits = data.Splits(
        *(few(p, n) for p, n in ((flowers.train, 10), (flowers.valid, 2), (flowers.test, 4))),
        flowers.class_names,
        "few",
        "photos",
        "",
    )
    classifier = train.transfer(splits, "mobilenet_v2", weights=shared / MOBILENET)
    assert classifier.evaluate(splits.test).accuracy >= 0.85


@pytest.mark.slow
@pytest.mark.usefixtures("own_cache")
def test_prediction_is_evaluation_on_all_test_photos(
    flowers: data.Splits, shared: Path, tmp_path: Path
) -> None:
    backbone = models.backbone("mobilenet_v2", shared / MOBILENET)
    some = data.Splits(
        flowers.train.per_class(5),
        flowers.valid.per_class(1),
        None,
        flowers.class_names,
        "some",
        "photos",
        "",
    )
    trained = train.transfer(some, backbone, **EXACT)
    classifier = type(trained).load(trained.save(tmp_path / "classifier.safetensors"))
    evaluation = classifier.evaluate(flowers.test, **EXACT)
    paths = [flowers.test.name(index) for index in range(len(flowers.test))]
    logits = classifier.logits(paths, **EXACT)
    assert logits.shape == (819, 102)
    assert float((logits - evaluation.logits).abs().max()) < 1e-4
    alone = torch.stack([classifier.predict(path, 1, **EXACT).logits for path in paths[::50]])
    assert float((alone - evaluation.logits[::50]).abs().max()) < 1e-4
    assert evaluation.accuracy > 0.6
