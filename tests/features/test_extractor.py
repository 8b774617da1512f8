"""Photos in scikit-learn's pipelines and searches: one pass over them, however often they come."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

from flowerlib import data, features, models
from flowerlib.data import Photos
from flowerlib.data.decoding import decoder
from flowerlib.features import FeatureExtractor
from flowerlib.support.errors import InputError
from flowerlib.transforms import Preprocessing
from tests.warm import python

EXACT = {"precision": "fp32", "device": "cpu"}


def extractor(**options) -> FeatureExtractor:
    small = {"backbone": "small_densenet", "preprocessing": Preprocessing(48, 48)}
    return FeatureExtractor(**{**small, **EXACT, **options})


@pytest.fixture
def photos(flower_folder: Path) -> Photos:
    return data.image_folder(flower_folder).train


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each photo that is decoded."""
    found: list[int] = []
    decode = decoder.from_content
    monkeypatch.setattr(decoder, "from_content", lambda *a, **k: found.append(1) or decode(*a, **k))
    return found


@pytest.mark.usefixtures("own_cache")
def test_photos_in_any_form_give_the_features_of_extract(photos: Photos) -> None:
    backbone = models.backbone("small_densenet", "small")
    expected = features.extract(backbone, photos, Preprocessing(48, 48), **EXACT).values.numpy()
    paths = [Path(path) for path in photos.paths]
    opened = [Image.open(path) for path in paths]
    arrays = [np.asarray(Image.open(path)) for path in paths]
    mixed = [paths[0], *opened[1:9], *arrays[9:20], *(path.read_bytes() for path in paths[20:])]
    for given in (
        photos, paths, photos.paths, np.array(photos.paths), np.array(photos.paths, object),
        tuple(paths), iter(paths), np.array(photos.paths)[:, None],
        opened, arrays, np.stack(arrays), mixed,
    ):  # fmt: skip
        found = extractor().fit(given).transform(given) if given is paths else None
        found = extractor().transform(given) if found is None else found
        assert found.dtype == np.float32 and found.shape == (32, backbone.num_features)
        assert np.allclose(found, expected, atol=1e-5)


@pytest.mark.usefixtures("own_cache")
def test_a_grid_search_opens_each_photo_once(photos: Photos, opened: list[int]) -> None:
    pipeline = make_pipeline(extractor(), LogisticRegression(max_iter=200))
    penalties = {"logisticregression__C": [0.01, 0.1, 1, 10, 100]}
    search = GridSearchCV(pipeline, penalties, cv=StratifiedKFold(5), error_score="raise")
    search.fit(photos.paths, photos.labels)
    assert len(opened) == len(photos) == 32
    assert search.best_score_ > 0.6
    assert (search.predict(photos.paths) == photos.labels).mean() > 0.9
    scores = cross_val_score(pipeline, np.array(photos.paths), photos.labels, cv=4)
    assert len(scores) == 4 and len(opened) == 32


@pytest.mark.usefixtures("own_cache")
def test_a_search_over_the_extractor_itself(photos: Photos) -> None:
    pipeline = make_pipeline(extractor(preprocessing=None), LogisticRegression(max_iter=200))
    grid = {
        "featureextractor__preset": ["quick", "standard"],
        "featureextractor__backbone": ["small_resnet", "small_densenet"],
    }
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise")
    search.fit(photos.paths, photos.labels)
    assert len(search.cv_results_["mean_test_score"]) == 4


@pytest.mark.usefixtures("own_cache")
def test_it_is_cloned_pickled_and_described(photos: Photos) -> None:
    few = photos.paths[:4]
    made = extractor().fit(few)
    expected = made.transform(few)
    params = made.get_params()
    assert params["backbone"] == "small_densenet" and params["preprocessing"].crop == 48
    for twin in (clone(made), pickle.loads(pickle.dumps(made)), clone(extractor())):
        assert twin.get_params() == params
        assert np.array_equal(twin.transform(few), expected)
    other = clone(made).set_params(preprocessing=Preprocessing(32, 32))
    assert not np.array_equal(other.transform(few), expected)
    made.set_params(backbone="small_resnet")  # after fit
    assert made.transform(few).shape[1] == len(made.get_feature_names_out())
    built = models.backbone("small_densenet", "none", seed=3)
    mine = extractor(backbone=built)
    assert np.array_equal(clone(mine).transform(few), mine.transform(few))
    assert "FeatureExtractor(" in repr(mine)


def saved(seed: int, file: Path) -> models.Backbone:
    """A network with random weights, which are in the file, too."""
    backbone = models.backbone("small_densenet", "none", seed=seed)
    torch.save(backbone.body.state_dict(), file)
    return backbone


@pytest.mark.usefixtures("own_cache")
def test_other_weights_after_fit_give_other_features(photos: Photos, tmp_path: Path) -> None:
    few = photos.paths[:4]
    first, second = tmp_path / "first.pt", tmp_path / "second.pt"
    saved(1, first)
    expected = extractor(backbone=saved(2, second)).transform(few)
    made = extractor(weights=first).fit(few)
    before = made.transform(few)
    made.set_params(weights=second)
    assert np.array_equal(made.transform(few), expected)
    assert np.array_equal(made.fit(few).transform(few), expected)
    twin = pickle.loads(pickle.dumps(extractor(weights=str(first)).fit(few)))
    first.unlink()  # what was fitted needs the file no more
    assert np.array_equal(twin.transform(few), before)


@pytest.mark.usefixtures("own_cache")
def test_a_file_of_weights_is_read_again_when_it_is_another(
    photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = photos.paths[:4]
    for folder, seed in (("one", 1), ("two", 2)):
        (tmp_path / folder).mkdir()
        saved(seed, tmp_path / folder / "mine.pt")
    monkeypatch.chdir(tmp_path / "one")
    found = extractor(weights="mine.pt").transform(few)
    monkeypatch.chdir(tmp_path / "two")
    assert not np.array_equal(extractor(weights="mine.pt").transform(few), found)
    expected = extractor(backbone=saved(3, Path("mine.pt"))).transform(few)
    assert np.array_equal(extractor(weights="mine.pt").transform(few), expected)


@pytest.mark.usefixtures("own_cache")
def test_features_have_names_and_can_be_a_table(photos: Photos) -> None:
    pandas = pytest.importorskip("pandas")
    made = extractor()
    names = made.get_feature_names_out()
    assert len(set(names)) == len(names) and names[1] == "small_densenet_1"
    table = pandas.DataFrame({"path": photos.paths, "height": range(32)}).sample(frac=1)
    found = extractor().set_output(transform="pandas").transform(table["path"])
    assert list(found.columns) == list(names)
    both = make_column_transformer((extractor(), "path"), ("passthrough", ["height"]))
    assert both.fit_transform(table).shape == (32, len(names) + 1)
    assert np.array_equal(both.transform(table)[:, :-1], made.transform(list(table["path"])))
    frame = table[["path"]]
    assert np.array_equal(made.transform(frame), made.transform(list(table["path"])))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("a.jpg", "was given str; give a list of paths"),
        (Image.new("RGB", (4, 4)), "was given Image; give a list"),
        (3, "was given int"),
        ([3.0, "a.jpg"], "Item 0 given to FeatureExtractor is 3.0"),
        (np.zeros((4, 3)), r"a table \(4, 3\); give its column of paths alone"),
        (np.zeros((4, 8, 8, 3)), "of float64; give uint8"),
        (np.zeros((8, 9, 3), np.uint8), r"an array \(8, 9, 3\), one picture or many; give a list"),
        (["none.jpg"], "1 unreadable photo: none.jpg: there is no such file"),
        ([np.zeros((4, 4, 3))], "an array of float64 is no picture"),
    ],
)
def test_what_is_no_photo_is_refused(given: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        extractor().transform(given)


def test_parameters_are_checked_when_they_are_used() -> None:
    for options, message in (
        ({"backbone": "small_densnet"}, "small_densenet"),
        ({"backbone": 3}, "backbone is int; give a name"),
        ({"preset": "slow", "preprocessing": None}, "preset must be one of"),
        ({"backbone": models.backbone("small_resnet", "none"), "weights": "none"}, "no effect"),
        ({"preset": "quick"}, 'preset "quick" has no effect beside preprocessing'),
    ):
        with pytest.raises(InputError, match=message):
            extractor(**options).fit(["a.jpg"])


@pytest.mark.parametrize(
    "name",
    [
        "check_estimator_cloneable",
        "check_estimator_repr",
        "check_estimator_tags_renamed",
        "check_valid_tag_types",
        "check_mixin_order",
        "check_no_attributes_set_in_init",
        "check_get_params_invariance",
        "check_set_params",
        "check_do_not_raise_errors_in_init_or_set_param",
        "check_parameters_default_constructible",
    ],
)
def test_the_checks_of_scikit_learn_that_apply(name: str) -> None:
    """`check_estimator` asks nothing more of what takes no table of numbers."""
    check = getattr(estimator_checks, name, None)
    if check is None:
        pytest.skip("another version of scikit-learn has this check")
    check("FeatureExtractor", extractor())


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learn_has_no_complaint() -> None:
    estimator_checks.check_estimator(extractor())


def test_scikit_learn_is_imported_when_it_is_needed() -> None:
    program = (
        "import sys; from flowerlib import features; assert 'sklearn' not in sys.modules; "
        "features.FeatureExtractor; assert 'sklearn' in sys.modules; "
        "assert not hasattr(features, 'nothing')"
    )
    found = python(["-c", program])
    assert found.code == 0, found.err
