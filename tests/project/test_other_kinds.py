"""Photos or splits are asked for and something else is given: one sentence says what to give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from flowerlib import audit, data, features, models, train
from flowerlib.support.errors import InputError
from flowerlib.transforms import Preprocessing
from tests.samples import make

PREPROCESSING = Preprocessing(32, 32)


def extract(photos: object) -> object:
    return features.extract(models.backbone("small_resnet", "none"), photos, PREPROCESSING)


TAKE_PHOTOS: dict[str, Callable] = {
    "evaluate": lambda given: make.classifier().evaluate(given),
    "extract": extract,
    "join": lambda given: data.join(given, given),
    "loader": lambda given: data.loader(given, PREPROCESSING),
    "averaged_logits": lambda given: train.averaged_logits(make.classifier(), given),
}
TAKE_SPLITS: dict[str, Callable] = {
    "transfer": train.transfer,
    "fine_tune": train.fine_tune,
    "leaks": audit.leaks,
    "to_folders": lambda given: data.to_folders(given, "never_made"),
}


@pytest.fixture(scope="module")
def splits() -> data.Splits:
    return data.garden("pets", per_class=(2, 1, 1), size=32)


@pytest.mark.parametrize("given", ["photos", ["photos/a.jpg"], None, 7], ids=str)
@pytest.mark.parametrize("name", TAKE_PHOTOS)
def test_what_is_no_photos(name: str, given: object) -> None:
    with pytest.raises(InputError, match=rf"^{name} was given .*; give Photos, .*\.test\.$"):
        TAKE_PHOTOS[name](given)


@pytest.mark.parametrize("name", TAKE_PHOTOS)
def test_splits_instead_of_one_of_their_parts(name: str, splits: data.Splits) -> None:
    with pytest.raises(InputError, match=rf"^{name} was given Splits; give one of its parts"):
        TAKE_PHOTOS[name](splits)


@pytest.mark.parametrize("name", TAKE_SPLITS)
def test_what_is_no_splits(name: str, splits: data.Splits) -> None:
    for given in ("photos", None, splits.train, Path("photos")):
        with pytest.raises(InputError, match=rf"^{name} was given .*; give Splits, such as"):
            TAKE_SPLITS[name](given)
    assert not Path("never_made").exists()


def test_a_name_instead_of_a_backbone(splits: data.Splits) -> None:
    with pytest.raises(InputError, match="was given 'small_resnet'; give a backbone, such as"):
        features.extract("small_resnet", splits.train, PREPROCESSING)  # type: ignore[arg-type]


def test_photos_instead_of_their_labels(splits: data.Splits) -> None:
    with pytest.raises(InputError, match=r"give photos\.labels"):
        data.class_weights(splits.train)  # type: ignore[arg-type]


def test_a_sentence_about_saving_ends_once(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "none" / "c.safetensors"):
        with pytest.raises(InputError, match=r"[^.]\.$"):
            make.classifier().save(place)


@pytest.mark.parametrize("learn", [train.transfer, train.fine_tune])
def test_one_class_is_nothing_to_learn(learn: Callable, splits: data.Splits) -> None:
    with pytest.raises(InputError, match="has only the class cat; two are needed"):
        learn(splits.of_classes(["cat"]), "small_resnet")


@pytest.mark.parametrize("learn", [train.transfer, train.fine_tune])
def test_a_module_instead_of_a_backbone(learn: Callable, splits: data.Splits) -> None:
    for given in (torch.nn.Linear(2, 2), None):
        with pytest.raises(InputError, match="is of the kind .*; give a name, such as"):
            learn(splits, given)


def test_one_name_instead_of_a_list(splits: data.Splits) -> None:
    for some in (splits, splits.train):
        with pytest.raises(InputError, match=r'needs a list of names, such as \["cat"\]'):
            some.of_classes("cat")
