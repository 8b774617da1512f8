"""Splits from other libraries' data sets: torch's, torchvision's, Hugging Face's."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import numpy as np
import torch
from PIL import Image

from flowerlib.data import contents
from flowerlib.data.contents import Contents, Files
from flowerlib.data.decoding import images
from flowerlib.data.decoding.images import PhotoError
from flowerlib.data.folders.layout import split_of
from flowerlib.data.items import FETCHING, Items
from flowerlib.data.photos import Photos
from flowerlib.data.records import assembly
from flowerlib.data.splits import Splits
from flowerlib.support.errors import InputError

# Columns of a data set whose items are dicts.
IMAGE_COLUMNS = ("image", "img", "photo", "picture", "pixel_values")
LABEL_COLUMNS = ("label", "labels", "class", "category", "target", "fine_label")


class MapStyle(Protocol):
    """A map-style data set: of a known length, its items by position."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> object: ...


def from_dataset(
    dataset: MapStyle | Mapping[str, MapStyle],
    class_names: Sequence[str] | None = None,
    *,
    image: str | int | None = None,
    label: str | int | None = None,
    groups: Sequence[object] | np.ndarray | None = None,
    valid: float = 0.15,
    test: float = 0.15,
) -> Splits:
    """Splits from a data set of torch, of torchvision, of Hugging Face, or a list of pairs.

    Pictures are asked for when they are needed, and must be the same at every visit: without random
    transforms, and not normalized. Files behind them are read as files, where the data set says
    which they are; so the same photos give the same features and the same splits as from a folder.

    Args:
        dataset: items (picture, class), or dicts; or several data sets by split, as
            {"train": ..., "test": ...}. One data set is divided by content, as in `image_folder`; a
            missing valid set is taken out of train, a missing test set stays missing. A picture is
            a PIL image, a uint8 array (H, W, 3), a tensor (3, H, W) of uint8 or of floats from 0 to
            1, a file's content, or a path.
        class_names: in the order of the labels; by default those that the data set knows, or else
            its labels themselves.
        image, label: the positions or keys of both in an item; by default 0 and 1, or the usual
            keys.
        groups: what each photo belongs to, over all data sets in their order; those of one group
            are never on both sides.
        valid, test: shares of each class that go into valid and test, where they must be made.

    Raises:
        InputError: the items are no pictures with labels, or other at every visit; the data sets
            have other classes; or as in `from_items`.
    """
    several = dataset if isinstance(dataset, Mapping) else {"": dataset}
    needed = ("__getitem__", "__len__")
    if not several or not all(hasattr(one, name) for one in several.values() for name in needed):
        raise InputError("from_dataset takes a map-style data set, or a dict of them by split.")
    if empty := [name for name, one in several.items() if not len(one)]:
        raise InputError(f"The data set{f' {empty[0]}' if empty[0] else ''} has no items.")
    read = [_read(one, image, label, class_names) for one in several.values()]
    names = class_names or read[0].class_names
    if other := [
        one.class_names for one in read if class_names is None and one.class_names != names
    ]:
        raise InputError(
            f"The data sets have different classes, {_short(names)} and {_short(other[0])}; give "
            "class_names."
        )
    labels = [name for one in read for name in one.labels]
    pictures = contents.joined([one.pictures for one in read])
    photos = Photos(pictures, *assembly.positions(labels, names))
    given = None
    if isinstance(dataset, Mapping):
        given = [name for name, one in several.items() for _ in range(len(one))]
        if strange := [name for name in several if not split_of(name)]:
            raise InputError(
                f"{strange[0]!r} is no split; give a dict of train, valid and test alone."
            )
    name = type(next(iter(several.values()))).__name__
    found = assembly.as_rows(photos, given, groups, "the data set")
    return assembly.divided(photos, found, name, valid=valid, test=test)


@dataclass
class _Read:
    """What was found in a data set: its pictures, its labels, the names of its classes."""

    pictures: Contents
    labels: list[object]
    class_names: tuple[str, ...] | None


def _read(
    dataset: MapStyle,
    image: str | int | None,
    label: str | int | None,
    class_names: Sequence[str] | None,
) -> _Read:
    if isinstance(dataset, Photos):
        if dataset.contents.cut:
            raise InputError(
                "Random views are no data set: those of one photo would come to lie on both sides "
                "of a split; give the photos themselves, and draw views of splits.train."
            )
        return _Read(dataset.contents, dataset.labels.tolist(), dataset.class_names)
    if type(dataset) is torch.utils.data.Subset:
        inside = _read(cast(MapStyle, dataset.dataset), image, label, class_names)
        rows = [int(row) for row in dataset.indices]
        some = [inside.labels[row] for row in rows]
        return _Read(inside.pictures.take(rows), some, inside.class_names)
    files = _files(dataset)
    if files and image is None and label is None:
        paths, labels = files
        return _Read(Files(paths), labels, tuple(getattr(dataset, "classes", ())))
    first = dataset[0]
    image = _key(first, image, IMAGE_COLUMNS, 0, "image")
    label = _key(first, label, LABEL_COLUMNS, 1, "label")
    known = getattr(dataset, "classes", None)
    features = getattr(dataset, "features", None)
    if isinstance(features, Mapping):  # of Hugging Face
        table = cast(Any, dataset)
        labels = list(table[label])
        known = getattr(features.get(label), "names", None)
        kind: Any = features.get(image)
        if hasattr(table, "cast_column") and hasattr(kind, "decode"):
            dataset = table.cast_column(image, type(kind)(decode=False))  # the files' content
    fetch = _Fetch(dataset, image)
    pictures = Items(fetch, range(len(dataset)))
    if pictures.opened(0)[1] != pictures.opened(0)[1]:
        raise InputError(
            "The data set gives another picture each time it is asked for the first one; leave its "
            "random transforms out."
        )
    listed: list[object] | None = None
    if not isinstance(features, Mapping):
        listed = _listed_labels(dataset) if label == 1 else None
        labels = listed if listed and _as_torchvision(dataset) else _visited(fetch, label, pictures)
    whole = all(isinstance(one, int) for one in labels)
    changed = getattr(dataset, "target_transform", None) is not None
    if whole and listed is not None and all(isinstance(one, int) for one in listed):
        changed = changed or listed != labels
    if changed:  # the names are those of other labels
        known = None
    names = tuple(map(str, known)) if known is not None and whole else None
    return _Read(pictures, labels, names)


def _files(dataset: object) -> tuple[list[str], list[object]] | None:
    """Paths and labels of torchvision's folders of images, unless they are changed on the way."""
    samples = getattr(dataset, "samples", None)
    transformed = [getattr(dataset, name, 0) for name in ("transform", "target_transform")]
    if not isinstance(samples, list) or not hasattr(dataset, "classes") or any(transformed):
        return None
    loader = getattr(dataset, "loader", None)
    if not _as_torchvision(dataset) or not _of_torchvision(loader):
        return None
    if not all(isinstance(one, tuple) and isinstance(one[0], str) for one in samples):
        return None
    return [path for path, _ in samples], [label for _, label in samples]


def _as_torchvision(dataset: object) -> bool:
    """Whether items are what torchvision makes of them: no class of somebody's own steps in."""
    own = getattr(type(dataset), "__getitem__", None)
    return _of_torchvision(own) and getattr(dataset, "target_transform", None) is None


def _of_torchvision(function: object) -> bool:
    return (getattr(function, "__module__", None) or "").startswith("torchvision.")


def _key(
    item: object, asked: str | int | None, usual: Sequence[str], position: int, what: str
) -> str | int:
    """Where in an item the picture or the label is."""
    if isinstance(item, Mapping):
        keys = usual if asked is None else [asked]
        found = next((key for key in keys if key in item), None)
        if found is None:
            raise InputError(
                f"The data set's items have no {asked or what}; they have "
                f"{', '.join(map(str, item))}. Say which is the {what}: {what}=..."
            )
        return found
    at = position if asked is None else asked
    if not isinstance(item, Sequence) or isinstance(item, (str, bytes)) or isinstance(at, str):
        raise InputError(
            f"The data set's items are {type(item).__name__}; (picture, class) pairs or dicts are "
            "needed."
        )
    if not -len(item) <= at < len(item):
        raise InputError(f"The data set's items have {len(item)} parts; none is the {what}.")
    return at


def _listed_labels(dataset: MapStyle) -> list[object] | None:
    """The labels in the list that torchvision's data sets have; its folders go by the samples."""
    samples, targets = getattr(dataset, "samples", None), getattr(dataset, "targets", None)
    if isinstance(samples, list) and all(isinstance(one, tuple) for one in samples):
        targets = [one[1] for one in samples]
    if not isinstance(targets, Iterable) or len(several := list(targets)) != len(dataset):
        return None
    return [_plain(target) for target in several]


def _visited(fetch: _Fetch, label: str | int, pictures: Items) -> list[object]:
    """The label of every item; since that takes a visit, the picture's digest is noted, too."""
    labels = []
    for row in range(len(pictures)):
        with FETCHING():
            item: Any = fetch.dataset[row]
            labels.append(_plain(item[label]))
            with contextlib.suppress(PhotoError):  # all of them are named when they are needed
                pictures.learn(row, fetch.picture(item, row))
    return labels


def _plain(label: object) -> object:
    """A label as a plain number or text of Python."""
    if isinstance(label, torch.Tensor):
        label = label.detach().cpu().numpy()
    return (
        label.item() if isinstance(label, (np.generic, np.ndarray)) and label.size == 1 else label
    )


@dataclass
class _Fetch:
    """From a row of a data set to its picture; relative paths start where it was given."""

    dataset: MapStyle
    image: str | int
    folder: str = field(default_factory=os.getcwd)

    def __call__(self, row: int) -> images.Photo:
        return self.picture(self.dataset[row], row)

    def picture(self, item: Any, row: int) -> images.Photo:
        """The picture of an item, as `Items` takes it."""
        return _picture(item[self.image], row, self.folder)


def _picture(found: object, row: int, folder: str) -> images.Photo:
    if isinstance(found, Mapping) and "bytes" in found:  # as Hugging Face stores a file
        found = found["bytes"] if found["bytes"] is not None else found.get("path")
    if isinstance(found, (str, os.PathLike)):
        return os.path.join(folder, found)
    if isinstance(found, torch.Tensor):
        found = found.detach().cpu().numpy()
        found = found.transpose(1, 2, 0) if found.ndim == 3 else found
    if isinstance(found, np.ndarray):
        return _pixels(found, row)
    if isinstance(found, (bytes, Image.Image)):
        return found
    raise InputError(f"Item {row} of the data set is {type(found).__name__}, which is no picture.")


def _pixels(found: np.ndarray, row: int) -> np.ndarray:
    """An array or tensor as uint8; floats are those that were whole numbers divided by 255."""
    if found.dtype.kind == "f" and found.size and 0 <= found.min() and found.max() <= 1:
        whole = np.rint(found * 255)
        if np.abs(found * 255 - whole).max() < 1e-3:
            return whole.astype(np.uint8)
    if found.dtype != np.uint8:
        raise InputError(
            f"Item {row} of the data set is {found.dtype} from {found.min():.3g} to "
            f"{found.max():.3g}; leave its transform out, since photos are prepared here: uint8, "
            "or floats from 0 to 1 as ToTensor gives them, are taken."
        )
    return found


def _short(names: Sequence[str] | None) -> str:
    text = ", ".join(names or ["no names"])
    return text if len(text) < 60 else f"{text[:57]}..."
