"""The artifact: a backbone, a head, class names and preprocessing in one file.

`Classifier.load(path).predict("rose.jpg")` needs nothing else; every entry is checked before use.

Shown in: notebooks/04_flowers
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import torch
from torch import Tensor, nn

from flowerlib import features, models
from flowerlib.classifier import artifact, inputs
from flowerlib.classifier.engines import Engines
from flowerlib.classifier.evaluation import Evaluation
from flowerlib.classifier.inputs import Photo
from flowerlib.classifier.prediction import Prediction, how_many
from flowerlib.classifier.provenance import Provenance
from flowerlib.data import Photos, labeling
from flowerlib.data.decoding import images
from flowerlib.data.decoding.images import PhotoError
from flowerlib.features.engine import Pictures
from flowerlib.models import Backbone
from flowerlib.support import modes, storage
from flowerlib.support.errors import InputError
from flowerlib.support.threads import one_thread
from flowerlib.transforms import Preprocessing

if TYPE_CHECKING:
    from flowerlib.train import History

UNSTEADY = ("seconds", "features_computed")  # results that differ from run to run
Several = Photos | Iterable[Photo | np.ndarray | Tensor]


class Classifier:
    """Photos in, class names with probabilities out.

    Attributes:
        backbone: frozen, from `models.backbone`.
        head: features (N, D) → logits or log-probabilities (N, C).
        class_names: in the order of the logits.
        preprocessing: what each photo goes through, the same in training and here.
        results: plain data about how it was trained; saved with it.
        provenance: which photos it learned from; None if that is not known.
        history: the training's `train.History`, where it was trained in this process.
        valid_logits: likewise, logits (M, C) of the valid photos from before the head learned from
            them, too: what it may be judged by if there is no test set.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: nn.Sequential,
        class_names: Sequence[str],
        preprocessing: Preprocessing,
        results: dict[str, Any] | None = None,
        provenance: Provenance | None = None,
    ) -> None:
        self.backbone: Backbone = models.freeze(backbone)
        self.head: nn.Sequential = head.eval().requires_grad_(False)
        self.class_names = tuple(class_names)
        self.preprocessing = preprocessing
        self.results = dict(results or {})
        self.provenance = provenance
        self.history: History | None = None
        self.valid_logits: Tensor | None = None
        self._engines = Engines()
        layers = artifact.describe_head(head)  # refuses a head that could not be saved
        try:
            labeling.check_class_names(self.class_names)
        except ValueError as problem:
            raise InputError(f"A classifier needs other class names: {problem}.") from None
        outputs = [layer["outputs"] for layer in layers if layer["layer"] == "linear"]
        if outputs and outputs[-1] != len(self.class_names):
            raise InputError(
                f"A classifier needs a name for each output of its head: {outputs[-1]}, "
                f"not {len(self.class_names)}."
            )

    def __repr__(self) -> str:
        name, weights = self.backbone.name, self.backbone.weights
        return f"<Classifier: {name} ({weights} weights) → {len(self.class_names)} classes>"

    @overload
    def predict(  # type: ignore[overload-overlap]  # a text is an iterable of texts, too
        self,
        photos: Photo,
        top_k: int | None = None,
        *,
        unreadable: Literal["raise"] = "raise",
        device: str = "auto",
        precision: str = "auto",
    ) -> Prediction: ...

    @overload
    def predict(
        self,
        photos: Several,
        top_k: int | None = None,
        *,
        unreadable: Literal["raise"] = "raise",
        device: str = "auto",
        precision: str = "auto",
    ) -> list[Prediction]: ...

    @overload
    def predict(  # type: ignore[overload-overlap]
        self,
        photos: Photo,
        top_k: int | None = None,
        *,
        unreadable: Literal["return"],
        device: str = "auto",
        precision: str = "auto",
    ) -> Prediction | PhotoError: ...

    @overload
    def predict(
        self,
        photos: Several,
        top_k: int | None = None,
        *,
        unreadable: Literal["return"],
        device: str = "auto",
        precision: str = "auto",
    ) -> list[Prediction | PhotoError]: ...

    def predict(
        self,
        photos: Photo | Several,
        top_k: int | None = None,
        *,
        unreadable: Literal["raise", "return"] = "raise",
        device: str = "auto",
        precision: str = "auto",
    ) -> object:
        """Says what is on one photo, or on several.

        The same picture gets the same answer, however it is given.

        Args:
            photos: one photo: a path, a PIL image, a uint8 array (H, W, 3) of RGB, a uint8 tensor
                (3, H, W), a file's content as bytes, a file opened in binary mode. Or several: any
                iterable of them, such as a list, a generator or the column of a table; a uint8
                array (N, H, W, 3), a uint8 tensor (N, 3, H, W); or `Photos`.
            top_k: how many classes to name; five by default, or all where there are fewer.
            unreadable: "raise" an error that names the photos that cannot be read, or "return" its
                `images.PhotoError` in the place of each, and answer the others.
            device, precision: as in `features.extract`.

        Returns:
            A `Prediction` for a single photo, else a list of them in the order given.

        Raises:
            InputError: a photo cannot be read, or `top_k` is not in 1..num_classes.
        """
        if unreadable not in ("raise", "return"):
            raise InputError(f'unreadable must be "raise" or "return", not {unreadable!r:.40}.')
        top_k = how_many(top_k, len(self.class_names))
        several, single = inputs.recognize(photos)
        if unreadable == "raise" and isinstance(several, inputs.Given):
            images.raise_for(several.unusable())
        numbers, logits, problems = self._logits(several, device, precision)
        if unreadable == "raise":
            images.raise_for(problems)
        answers: dict[int, Prediction | PhotoError] = {
            number: self.answer(several.name(number), row, top_k)
            for number, row in zip(numbers, logits, strict=True)
        }
        left_out = [number for number in range(len(several)) if number not in answers]
        answers.update(zip(left_out, problems, strict=True))
        found = [answers[number] for number in range(len(several))]
        return found[0] if single else found

    def answer(self, name: str, logits: Tensor, top_k: int) -> Prediction:
        """The `top_k` most probable classes of one photo, from its logits float32 (C,)."""
        best = logits.softmax(0).topk(top_k)
        classes = tuple(self.class_names[label] for label in best.indices.tolist())
        return Prediction(name, classes, tuple(best.values.tolist()), logits)

    def logits(
        self,
        photos: Several,
        *,
        device: str = "auto",
        precision: str = "auto",
    ) -> Tensor:
        """Logits float32 (N, C) of the photos, computed now; no cache is read or written.

        Raises:
            InputError: there is no photo, or some cannot be read; they are named.
        """
        _, logits, problems = self._logits(inputs.recognize(photos)[0], device, precision)
        images.raise_for(problems)
        return logits

    @modes.usual()
    def _logits(
        self, photos: Pictures, device: str, precision: str
    ) -> tuple[list[int], Tensor, list[PhotoError]]:
        """Numbers of the readable photos, their logits (n, C), and in order what the others are."""
        if not len(photos):
            raise InputError("There is no photo to look at.")
        ready = self._engines.get(self.backbone, self.preprocessing, device, precision)
        problems: list[PhotoError] = []
        numbers: list[int] = []
        rows = [torch.empty(0, self.backbone.num_features, dtype=torch.float32)]
        for some, values in ready.stream(photos, problems):
            numbers += some
            rows.append(values.float())
        return numbers, self.decide(torch.cat(rows)), problems

    @modes.usual()
    @torch.no_grad()  # not inference_mode: somebody may calibrate logits, with gradients
    def decide(self, values: Tensor) -> Tensor:
        """The head alone: features float32 (N, D) → logits float32 (N, C)."""
        with one_thread():
            return self.head(values)

    @modes.usual()
    def evaluate(
        self,
        photos: Photos,
        *,
        device: str = "auto",
        precision: str = "auto",
        cache: bool = True,
        progress: Callable[[int, int], None] | None = None,
        name: str = "",
    ) -> Evaluation:
        """Accuracy on labelled photos; features are taken from the cache where they are there.

        Classes go by name: the photos' class names may be in another order than the classifier's,
        and lack some of them. Photos that it learned from are known by the bytes of their files.

        Args:
            photos: with labels.
            device, precision, cache, progress: as in `features.extract`.
            name: of the set of photos, such as "test", for texts and figures.

        Raises:
            InputError: there is no photo, or one of a class that the classifier does not know.
        """
        if not len(Photos.expected(photos, "evaluate")):
            raise InputError("There is no photo to evaluate; give photos with labels.")
        labels = torch.from_numpy(
            labeling.moved(
                photos.labels, photos.class_names, self.class_names, lack="this classifier lacks"
            )
        )
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
        if self.provenance is None:
            return Evaluation(logits, labels, found.seconds, name)
        roles = map(torch.from_numpy, self.provenance.roles(photos.origins()))
        return Evaluation(logits, labels, found.seconds, name, *roles)

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
            self.provenance,
        )
        return Path(path)

    @classmethod
    def load(cls, path: Path | str) -> Classifier:
        """Reads a classifier from its file; no code of the file runs.

        Raises:
            InputError: the file is missing, damaged, of a newer format, or no classifier.
        """
        return cls(*artifact.read(storage.expand(path)))
