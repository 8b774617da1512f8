"""The artifact: a backbone, a head, class names and preprocessing in one file.

`Classifier.load(path).predict("rose.jpg")` needs nothing else, and every entry is checked before
it is used.

Shown in: notebooks/03_flowers
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from flowerlib import artifact, description, engine, features, images, metrics, models
from flowerlib.errors import InputError
from flowerlib.models import Backbone
from flowerlib.photos import Photos
from flowerlib.transforms import Preprocessing

UNSTEADY = ("seconds", "features_computed")  # results that differ from run to run
UNNAMED = "image"  # the name of a picture that did not come from a file


@dataclass(frozen=True)
class Prediction:
    """What the classifier answers for one picture.

    Attributes:
        photo: the file's path, or "image".
        names: the `top_k` most probable classes, best first.
        probabilities: theirs, in [0, 1], in the same order.
        logits: float32 (num_classes,), of all classes in the classifier's order.
    """

    photo: str
    names: tuple[str, ...]
    probabilities: tuple[float, ...]
    logits: Tensor

    @property
    def name(self) -> str:
        """The most probable class."""
        return self.names[0]

    def __str__(self) -> str:
        answers = zip(self.names, self.probabilities, strict=True)
        return f"{self.photo}: " + ", ".join(f"{name} {share:.1%}" for name, share in answers)

    __repr__ = __str__


@dataclass(frozen=True)
class Evaluation:
    """How a classifier does on labelled photos.

    Attributes:
        logits: float32 (N, C).
        labels: int64 (N,).
        accuracy: fraction in [0, 1].
        interval: its 95 % interval (Wilson).
        seconds: wall time.
    """

    logits: Tensor
    labels: Tensor
    accuracy: float
    interval: tuple[float, float]
    seconds: float

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"accuracy {self.accuracy:.3f} [{low:.3f}, {high:.3f}] on {len(self.labels):,} photos"
        )


class Classifier:
    """Photos in, class names with probabilities out.

    Attributes:
        backbone: frozen, from `models.backbone`.
        head: features (N, D) → logits or log-probabilities (N, C).
        class_names: in the order of the logits.
        preprocessing: what each photo goes through, the same in training and here.
        results: plain data about how it was trained; saved with it.
        history: the training's `train.History`, where it was trained in this process.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: nn.Sequential,
        class_names: Sequence[str],
        preprocessing: Preprocessing,
        results: dict[str, Any] | None = None,
    ) -> None:
        self.backbone: Backbone = models.freeze(backbone)
        self.head: nn.Sequential = head.eval().requires_grad_(False)
        self.class_names = tuple(class_names)
        self.preprocessing = preprocessing
        self.results = dict(results or {})
        self.history: Any = None
        self._engines: dict[tuple[str, str], engine.Engine] = {}
        artifact.describe_head(head)  # refuses a head that could not be saved
        try:
            description.check_class_names(self.class_names)
        except ValueError as problem:
            raise InputError(f"A classifier needs other class names: {problem}.") from None

    def __repr__(self) -> str:
        return (
            f"<Classifier: {self.backbone.name} ({self.backbone.weights} weights) → "
            f"{len(self.class_names)} classes>"
        )

    def predict(
        self,
        photos: str | Path | Image.Image | Photos | Sequence[str | Path | Image.Image],
        top_k: int = 5,
        *,
        device: str = "auto",
        precision: str = "auto",
    ) -> Any:
        """Says what is on one photo, or on several.

        Args:
            photos: a path or PIL image, or a sequence of them, or `Photos`.
            top_k: how many classes to name.
            device, precision: as in `features.extract`.

        Returns:
            A `Prediction` for a single photo, else a list of them in the same order.

        Raises:
            InputError: a photo cannot be read, or `top_k` is not in 1..num_classes.
        """
        if not 1 <= top_k <= len(self.class_names):
            raise InputError(
                f"top_k is {top_k}, but this classifier knows {len(self.class_names)} classes; "
                f"choose from 1 to {len(self.class_names)}."
            )
        single = isinstance(photos, (str, Path, Image.Image))
        several = [photos] if single else photos
        logits = self.logits(several, device=device, precision=precision)  # type: ignore[arg-type]
        names = [_name_of(several, index) for index in range(len(logits))]
        answers = [self.answer(*each, top_k) for each in zip(names, logits, strict=True)]
        return answers[0] if single else answers

    def answer(self, name: str, logits: Tensor, top_k: int) -> Prediction:
        """The `top_k` most probable classes of one photo, from its logits float32 (C,)."""
        best = logits.softmax(0).topk(top_k)
        classes = tuple(self.class_names[label] for label in best.indices.tolist())
        return Prediction(name, classes, tuple(best.values.tolist()), logits)

    def logits(
        self,
        photos: Photos | Sequence[str | Path | Image.Image],
        *,
        device: str = "auto",
        precision: str = "auto",
    ) -> Tensor:
        """Logits float32 (N, C) of the photos, computed now; no cache is read or written.

        Raises:
            PhotoError: the first photo that cannot be read.
        """
        if not isinstance(photos, Photos):
            photos = _Given(photos)
        key = (engine.choose_device(device), precision)
        if key not in self._engines:
            self._engines[key] = engine.Engine(
                self.backbone, self.preprocessing, device=device, precision=precision
            )
        problems: list[images.PhotoError] = []
        rows = [values for _, values in self._engines[key].stream(photos, problems)]
        if problems:
            raise problems[0]
        if not rows:
            raise InputError("There is no photo to look at.")
        return self.decide(torch.cat(rows).float())

    @torch.inference_mode()
    def decide(self, values: Tensor) -> Tensor:
        """The head alone: features float32 (N, D) → logits float32 (N, C)."""
        return self.head(values)

    def evaluate(
        self,
        photos: Photos,
        *,
        device: str = "auto",
        precision: str = "auto",
        cache: bool = True,
        progress: Any = None,
    ) -> Evaluation:
        """Accuracy on labelled photos; features are taken from the cache where they are there."""
        found = features.extract(
            self.backbone,
            photos,
            self.preprocessing,
            device=device,
            precision=precision,
            cache=cache,
            progress=progress,
        )
        logits = self.decide(found.values)
        correct = int((logits.argmax(1) == found.labels).sum())
        return Evaluation(
            logits,
            found.labels,
            metrics.accuracy(logits, found.labels),
            metrics.interval(correct, len(photos)),
            found.seconds,
        )

    def save(self, path: Path | str) -> Path:
        """Writes the classifier to one `.safetensors` file, whole or not at all.

        What a run's clock measured stays out, so the same training gives the same bytes.

        Raises:
            InputError: the folder is missing or not writable.
        """
        artifact.write(
            path,
            self.backbone,
            self.head,
            self.class_names,
            self.preprocessing,
            {name: value for name, value in self.results.items() if name not in UNSTEADY},
        )
        return Path(path)

    @classmethod
    def load(cls, path: Path | str) -> Classifier:
        """Reads a classifier from its file; no code of the file runs.

        Raises:
            InputError: the file is missing, damaged, of a newer format, or no classifier.
        """
        return cls(*artifact.read(Path(path)))


class _Given(Photos):
    """Photos without labels: paths and PIL images, as they are given to `predict`."""

    def __init__(self, given: Sequence[str | Path | Image.Image]) -> None:
        self.given = list(given)

    def __len__(self) -> int:
        return len(self.given)

    def image(self, index: int, shrink_to: int | None = None) -> Image.Image:
        picture = self.given[index]
        if isinstance(picture, Image.Image):
            return images.to_rgb(ImageOps.exif_transpose(picture))
        return images.open_photo(picture, shrink_to=shrink_to)


def _name_of(photos: Any, index: int) -> str:
    if isinstance(photos, Photos):
        return photos.name(index)
    return UNNAMED if isinstance(photos[index], (Image.Image, np.ndarray)) else str(photos[index])
