"""The artifact: a backbone, a head, class names and preprocessing in one file.

The file is safetensors with JSON metadata; reading it runs none of its content as code.
`Classifier.load(path).predict("rose.jpg")` needs nothing else, and every entry is checked before
it is used.

Shown in: notebooks/03_flowers
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

import flowerlib
from flowerlib import features, images, metrics, models, storage
from flowerlib.errors import InputError
from flowerlib.models import Backbone
from flowerlib.photos import Photos
from flowerlib.transforms import Preprocessing

FORMAT = "flowerlib.classifier"
FORMAT_VERSION = 1
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
        self._engines: dict[tuple[str, str], features.Engine] = {}
        describe_head(head)  # refuses a head that could not be saved
        if len(set(self.class_names)) != len(self.class_names):
            raise InputError("Class names must be unique.")

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
        best = logits.softmax(1).topk(top_k)
        answers = [
            Prediction(
                _name_of(several, index),
                tuple(self.class_names[label] for label in labels),
                tuple(shares),
                logits[index],
            )
            for index, (shares, labels) in enumerate(
                zip(best.values.tolist(), best.indices.tolist(), strict=True)
            )
        ]
        return answers[0] if single else answers

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
        key = (features.choose_device(device), precision)
        if key not in self._engines:
            self._engines[key] = features.Engine(
                self.backbone, self.preprocessing, device=device, precision=precision
            )
        problems: list[images.PhotoError] = []
        rows = [values for _, values in self._engines[key].stream(photos, problems)]
        if problems:
            raise problems[0]
        if not rows:
            raise InputError("There is no photo to look at.")
        return self.decide(torch.cat(rows))

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

        Raises:
            InputError: the folder is missing or not writable.
        """
        metadata = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "backbone": {"name": self.backbone.name, "weights": self.backbone.weights},
            "head": describe_head(self.head),
            "class_names": list(self.class_names),
            "preprocessing": self.preprocessing.to_dict(),
            "versions": {"flowerlib": flowerlib.__version__, "torch": str(torch.__version__)},
            "results": self.results,
        }
        parts = {"backbone": self.backbone.body, "head": self.head}
        tensors = {
            f"{part}.{key}": value.detach().cpu().contiguous().clone()
            for part, module in parts.items()
            for key, value in module.state_dict().items()
        }
        with storage.atomic_path(path) as temporary:
            save_file(tensors, temporary, metadata={"flowerlib": json.dumps(metadata)})
        return Path(path)

    @classmethod
    def load(cls, path: Path | str) -> Classifier:
        """Reads a classifier from its file; no code of the file runs.

        Raises:
            InputError: the file is missing, damaged, of a newer format, or no classifier.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError(f"{path}: there is no such classifier file.")
        try:
            with safe_open(path, framework="pt") as file:
                metadata = _read_metadata(path, file.metadata())
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as problem:
            raise InputError(
                f"{path} is no whole classifier file ({problem}); copy or train it again."
            ) from None
        try:
            return cls._assemble(path, metadata, tensors)
        except InputError:
            raise
        except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as problem:
            raise InputError(
                f"{path} is damaged: its description lacks or garbles {problem}."
            ) from None

    @classmethod
    def _assemble(
        cls, path: Path, metadata: dict[str, Any], tensors: dict[str, Tensor]
    ) -> Classifier:
        name = metadata["backbone"]["name"]
        if name not in models.names():
            raise InputError(f'{path} needs the backbone "{name}", which is unknown here.')
        class_names = metadata["class_names"]
        if not all(isinstance(item, str) for item in class_names):
            raise InputError(f"{path} is damaged: a class name is not a text.")
        if len(set(class_names)) != len(class_names):
            raise InputError(f"{path} is damaged: two classes have the same name.")
        # Built without memory, then given the file's tensors: nothing is initialized in vain.
        backbone = models.architecture(name)
        backbone.weights = str(metadata["backbone"]["weights"])
        head = build_head(metadata["head"])
        for part, module in {"backbone": backbone.body, "head": head}.items():
            given = {
                key.removeprefix(f"{part}."): value
                for key, value in tensors.items()
                if key.startswith(f"{part}.")
            }
            _fill(path, part, module, given)
        spare = [key for key in tensors if not key.startswith(("backbone.", "head."))]
        if spare:
            raise InputError(f"{path} is damaged: it holds the unknown tensor {spare[0]}.")
        linear = [layer for layer in head if isinstance(layer, nn.Linear)]
        widths = [backbone.num_features, *(layer.out_features for layer in linear)]
        if any(layer.in_features != width for layer, width in zip(linear, widths, strict=False)):
            raise InputError(f"{path} is damaged: its head does not fit its backbone or itself.")
        if linear[-1].out_features != len(class_names):
            raise InputError(
                f"{path} is damaged: {len(class_names)} class names for "
                f"{linear[-1].out_features} outputs."
            )
        preprocessing = Preprocessing.from_dict(metadata["preprocessing"])
        return cls(backbone, head, class_names, preprocessing, metadata.get("results"))


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


def describe_head(head: nn.Sequential) -> list[dict[str, Any]]:
    """The layers of a head as plain data; `build_head` turns it back.

    Raises:
        InputError: a layer is not one of Linear, ReLU, Dropout, LogSoftmax.
    """
    layers: list[dict[str, Any]] = []
    for layer in head:
        if isinstance(layer, nn.Linear):
            layers.append(
                {"layer": "linear", "inputs": layer.in_features, "outputs": layer.out_features}
            )
        elif isinstance(layer, nn.Dropout):
            layers.append({"layer": "dropout", "p": layer.p})
        elif isinstance(layer, nn.ReLU):
            layers.append({"layer": "relu"})
        elif isinstance(layer, nn.LogSoftmax):
            layers.append({"layer": "log_softmax"})
        else:
            raise InputError(
                f"A head may hold Linear, ReLU, Dropout and LogSoftmax, not {type(layer).__name__}."
            )
    return layers


def build_head(layers: list[dict[str, Any]]) -> nn.Sequential:
    """A head from its description, on the meta device: shapes without values."""
    build = {
        "linear": lambda of: nn.Linear(int(of["inputs"]), int(of["outputs"]), device="meta"),
        "dropout": lambda of: nn.Dropout(float(of["p"])),
        "relu": lambda of: nn.ReLU(),
        "log_softmax": lambda of: nn.LogSoftmax(dim=1),
    }
    if not isinstance(layers, list) or not any(of.get("layer") == "linear" for of in layers):
        raise InputError("A head's description must be a list of layers with a linear one.")
    for of in layers:
        if of["layer"] not in build:
            raise InputError(f'A head\'s description names the unknown layer "{of["layer"]}".')
    return nn.Sequential(*(build[of["layer"]](of) for of in layers))


def _read_metadata(path: Path, stored: dict[str, str] | None) -> dict[str, Any]:
    try:
        metadata = json.loads((stored or {})["flowerlib"])
        if metadata["format"] != FORMAT:
            raise KeyError("format")
        version = int(metadata["format_version"])
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path} is a safetensors file, but not a flowerlib classifier.") from None
    if version > FORMAT_VERSION:
        raise InputError(
            f"{path} was written in format {version}, which is newer than this flowerlib knows "
            f"({FORMAT_VERSION}); update flowerlib."
        )
    return metadata


def _fill(path: Path, part: str, module: nn.Module, given: dict[str, Tensor]) -> None:
    """Gives a module on the meta device its tensors; every name and shape must fit."""
    wanted = module.state_dict()
    for key in [*wanted, *given]:
        if key not in given or key not in wanted:
            fault = "lacks" if key in wanted else "has the unknown"
            raise InputError(f"{path} is damaged: its {part} {fault} tensor {key}.")
        if given[key].shape != wanted[key].shape or given[key].dtype != wanted[key].dtype:
            raise InputError(f"{path} is damaged: tensor {part}.{key} has the wrong shape or type.")
        if given[key].is_floating_point() and not bool(torch.isfinite(given[key]).all()):
            raise InputError(f"{path} is damaged: tensor {part}.{key} holds values not finite.")
    module.load_state_dict(given, assign=True)
    stray = [key for key, value in module.named_buffers() if value.is_meta]
    if stray:  # a buffer that torchvision computes and does not save
        raise InputError(f"{path}: {part} cannot be restored, its buffer {stray[0]} is not saved.")
