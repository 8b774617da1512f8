"""Features of photos in scikit-learn's convention: a transformer for its pipelines and searches."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from sklearn.base import BaseEstimator, TransformerMixin

from flowerlib import models
from flowerlib.data import Photos, digests
from flowerlib.data.contents import Contents, Files
from flowerlib.data.decoding import images
from flowerlib.data.digests import Digests
from flowerlib.data.items import Items
from flowerlib.features.extraction import extract
from flowerlib.models import Backbone
from flowerlib.support import storage
from flowerlib.support.errors import InputError
from flowerlib.support.options import BACKBONE, PRESET
from flowerlib.transforms import Preprocessing

if TYPE_CHECKING:
    from sklearn.utils import Tags

Picture = str | os.PathLike[str] | bytes | Image.Image | np.ndarray
USE = "give a list of paths, PIL images or uint8 arrays (height, width, 3), or Photos"

# Every fold of a search names the same files again: this process digests each once.
_DIGESTS = Digests(())


class FeatureExtractor(TransformerMixin, BaseEstimator):
    """A frozen backbone as a transformer of scikit-learn: photos in, float32 (N, D) out.

    It learns nothing, so it works with or without `fit`. Features go through the cache on disk: of
    all folds and settings of a search, only the first pays for a photo. (Several processes at once,
    `n_jobs`, may compute some twice: call `transform` with all photos first.)

    Args:
        backbone: a name (see `models.names`), or one that was built already.
        weights: as in `models.backbone`; by default those that belong to the network, such as
            ImageNet's.
        preset: "standard" sees images at the size that the weights were trained for, "quick" at a
            smaller one, "best" at a larger one.
        preprocessing: instead of that of `preset`.
        device, precision, cache: as in `features.extract`.

    Attributes:
        backbone_, preprocessing_: what it computes with, once `fit` was called.
        asked_: the parameters, backbone and weights, that `backbone_` was built by.

    Example:
        >>> from sklearn.linear_model import LogisticRegression
        >>> from sklearn.model_selection import cross_val_score
        >>> from sklearn.pipeline import make_pipeline
        >>> from flowerlib import garden
        >>> labels = [0, 1] * 10
        >>> images = list(garden.pictures("furniture", labels, range(20), size=64))
        >>> pipeline = make_pipeline(FeatureExtractor("small_resnet"), LogisticRegression())
        >>> cross_val_score(pipeline, images, labels, cv=5).shape
        (5,)
    """

    def __init__(
        self,
        backbone: str | Backbone = BACKBONE,
        *,
        weights: str | Path | None = None,
        preset: str = "standard",
        preprocessing: Preprocessing | None = None,
        device: str = "auto",
        precision: str = "auto",
        cache: bool = True,
    ) -> None:
        self.backbone = backbone
        self.weights = weights
        self.preset = preset
        self.preprocessing = preprocessing
        self.device = device
        self.precision = precision
        self.cache = cache

    def fit(self, X: Photos | Iterable[Picture], y: object = None) -> FeatureExtractor:
        """Builds the backbone; there is nothing to learn from the photos.

        Args:
            X: the photos; they are not opened.
            y: ignored.

        Raises:
            InputError: there is no such backbone, or no such weights.
        """
        self.asked_: object = None  # what an earlier fit has built does not count
        self.backbone_, self.preprocessing_ = self._built()
        self.asked_ = self.backbone, self.weights
        return self

    def transform(self, X: Photos | Iterable[Picture]) -> np.ndarray:
        """Features of photos, float32 (N, D), in their order.

        Args:
            X: N photos: paths, PIL images, uint8 arrays (H, W, 3) with red first, files' contents;
                one uint8 array (N, H, W, 3); a column of a table; or `Photos`.

        Raises:
            InputError: something else was given, or photos cannot be read; all are named.
        """
        photos = _photos(X)
        backbone, preprocessing = self._built()
        found = extract(
            backbone,
            photos,
            preprocessing,
            device=self.device,
            precision=self.precision,
            cache=self.cache,
        )
        return found.values.numpy()

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """One name for each feature, such as "densenet121_0", object (D,)."""
        backbone, _ = self._built()
        numbers = range(backbone.num_features)
        return np.array([f"{backbone.name}_{number}" for number in numbers], object)

    def __sklearn_is_fitted__(self) -> bool:
        return True  # there is nothing to learn

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.no_validation = True  # photos are no table of numbers
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        return tags

    def _built(self) -> tuple[Backbone, Preprocessing]:
        """The backbone and the preprocessing that the parameters ask for."""
        if self.preprocessing is not None and self.preset != PRESET.default:
            raise InputError(
                f'preset "{self.preset}" has no effect beside preprocessing; give one of them.'
            )
        if isinstance(self.backbone, Backbone):
            if self.weights is not None:
                raise InputError(
                    "weights has no effect on a backbone that was built already; leave it out."
                )
            backbone = self.backbone
        elif isinstance(self.backbone, str):
            # Other parameters may have been set after fit.
            same = getattr(self, "asked_", None) == (self.backbone, self.weights)
            fitted = getattr(self, "backbone_", None) if same else None
            weights = None if self.weights is None else os.fspath(self.weights)
            backbone = fitted or _named(self.backbone, weights)
        else:
            raise InputError(
                f"backbone is {type(self.backbone).__name__}; give a name, or what "
                "models.backbone returns."
            )
        return backbone, self.preprocessing or models.default_preprocessing(backbone, self.preset)


def _named(name: str, weights: str | None) -> Backbone:
    """A frozen backbone by name; clones, of which a search makes many, share it."""
    if weights is None or not (file := storage.expand(weights)).is_file():
        return _shared(name, weights, b"")
    # One that changed a moment ago has no mark: the next one to ask may find another file.
    state = digests.mark(os.path.abspath(file))
    return (_shared if state else _shared.__wrapped__)(name, weights, state)


@functools.lru_cache(maxsize=2)
def _shared(name: str, weights: str | None, state: bytes) -> Backbone:
    """The backbone, as long as the file of its weights is in the same state."""
    del state
    return models.freeze(models.backbone(name, weights))


def _photos(given: object) -> Photos:
    """What was given to `transform`, as photos without labels."""
    if isinstance(given, Photos):
        return given
    several = isinstance(given, np.ndarray) and given.ndim == 4
    contents: Contents | np.ndarray = np.asarray(given) if several else _contents(given)
    return Photos(contents, np.zeros(len(contents), np.int64), ["photo"])


def _contents(given: object) -> Contents:
    if isinstance(given, np.ndarray) and given.ndim == 3:
        raise InputError(
            f"FeatureExtractor was given an array {given.shape}, one picture or many; give a list, "
            "such as [picture]."
        )
    if isinstance(given, (str, bytes, os.PathLike, Image.Image)) or not isinstance(given, Iterable):
        raise InputError(f"FeatureExtractor was given {type(given).__name__}; {USE}.")
    if hasattr(given, "columns") or getattr(given, "ndim", 1) == 2:  # a table of one column
        given = _column(np.asarray(given))
    several = list(given)
    if all(isinstance(one, (str, os.PathLike)) for one in several):
        return Files(several, _DIGESTS)
    for at, one in enumerate(several):
        if not isinstance(one, (str, os.PathLike, bytes, Image.Image, np.ndarray)):
            raise InputError(f"Item {at} given to FeatureExtractor is {one!r:.60}; {USE}.")

    def opened(row: int) -> images.Photo:
        picture = several[row]
        return images.read(picture) if isinstance(picture, (str, os.PathLike)) else picture

    return Items(opened, range(len(several)))


def _column(table: np.ndarray) -> list[object]:
    if table.ndim != 2 or table.shape[1] != 1:
        raise InputError(
            f"FeatureExtractor was given a table {table.shape}; give its column of paths alone."
        )
    return table[:, 0].tolist()
