"""What people give to `Classifier.predict`: recognized, named, and opened in one way.

A photo is a path, an opened picture, an array of pixels, or the content of a file. Whatever else
is given is refused before anything is computed, by a sentence that says what to give instead.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Set
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import Image

from flowerlib.data import Photos
from flowerlib.data.decoding import images
from flowerlib.data.decoding.images import PhotoError
from flowerlib.support.errors import InputError

Photo = str | os.PathLike[str] | Image.Image | bytes | BinaryIO
Opened = str | bytes | Image.Image | np.ndarray  # what is left of them once they are recognized

UNNAMED = "image"  # the name of a picture that did not come from a file
USE = "give a path, a PIL image, a uint8 array (height, width, 3) of RGB, or a list of them"
ADDRESSES = ("http://", "https://", "ftp://", "s3://", "gs://", "file://", "data:")


class Given:
    """Photos without labels, as they were given to `predict`, in that order.

    Attributes:
        given: a path, a file's content, a PIL image or an array (H, W, 3) for each photo; or the
            `PhotoError` of one that is known to be unusable without decoding it.
        names: the files' paths; "image", or "image 7" of several, for what came from no file.
    """

    def __init__(self, given: list[Opened | PhotoError], names: list[str]) -> None:
        self.given, self.names = given, names

    def __len__(self) -> int:
        return len(self.given)

    def name(self, index: int) -> str:
        """The file's path, or "image 7"."""
        return self.names[index]

    def image(self, index: int, shrink_to: int | None = None) -> Image.Image:
        """Opens photo `index` as a PIL RGB image (see `images.open_photo` for `shrink_to`)."""
        photo = self.given[index]
        if isinstance(photo, PhotoError):
            raise photo
        return images.open_photo(photo, shrink_to=shrink_to, name=self.names[index])

    def unusable(self) -> list[PhotoError]:
        """The photos that are known to be unusable before anything is decoded."""
        return [photo for photo in self.given if isinstance(photo, PhotoError)]


def recognize(photos: Any) -> tuple[Photos | Given, bool]:
    """Turns what `Classifier.predict` was given into photos; whether it was a single one.

    Raises:
        InputError: something else was given; the message says what to give.
    """
    if isinstance(photos, Photos):
        return photos, False
    if isinstance(photos, np.ndarray) and photos.ndim == 1 and photos.dtype.kind in "OU":
        photos = photos.tolist()  # of paths
    stacked = isinstance(photos, (np.ndarray, torch.Tensor)) and photos.ndim == 4
    single = _is_photo(photos) and not stacked
    several = [photos] if single else _listed(photos)
    unnamed = [UNNAMED] if single else [f"{UNNAMED} {number}" for number in range(len(several))]
    known = [_recognized(*pair) for pair in zip(several, unnamed, strict=True)]
    return Given([photo for photo, _ in known], [name for _, name in known]), single


def _is_photo(value: Any) -> bool:
    kinds = (str, bytes, bytearray, memoryview, os.PathLike, Image.Image, np.ndarray, torch.Tensor)
    return isinstance(value, kinds) or hasattr(value, "read")


def _listed(photos: Any) -> list[Any]:
    if isinstance(photos, Mapping):
        raise InputError("predict was given a dict; give a list, such as list(photos.values()).")
    if isinstance(photos, Set):
        raise InputError("predict was given a set, which has no order; give a list.")
    if hasattr(photos, "columns"):
        raise InputError('predict was given a table; give the column of paths, as in df["path"].')
    if not isinstance(photos, Iterable):
        raise InputError(f"predict was given {_described(photos)}; {USE}.")
    # By iteration, never by position: `column[3]` of a table is the row whose label is 3.
    return list(photos)


def _recognized(value: Any, unnamed: str) -> tuple[Opened | PhotoError, str]:
    """One photo as `images.open_photo` takes it, and its name."""
    if isinstance(value, (str, os.PathLike)):
        return _path(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value), unnamed
    if isinstance(value, Image.Image):
        return value, unnamed
    if isinstance(value, torch.Tensor):
        return _tensor(value, unnamed), unnamed
    if isinstance(value, np.ndarray):
        return _array(value, unnamed), unnamed
    if hasattr(value, "read"):
        name = getattr(value, "name", None)
        return images.read_stream(value, unnamed), name if isinstance(name, str) else unnamed
    raise InputError(f"{unnamed} is {_described(value)}; {USE}.")


def _path(value: str | os.PathLike[str]) -> tuple[Opened | PhotoError, str]:
    path = os.fsdecode(value)
    if not path:
        raise InputError("predict was given an empty path; give that of a photo.")
    if path.startswith(ADDRESSES):
        raise InputError(f"{path[:80]} is an address; fetch the file first and give its path.")
    try:
        found = os.stat(path)
    except FileNotFoundError:
        kind = "this link leads nowhere" if os.path.islink(path) else "there is no such file"
        return PhotoError(path, kind), path
    except (OSError, ValueError) as problem:  # such as a name that no file can have
        return PhotoError(path, f"the file cannot be read ({problem})"), path
    if stat.S_ISDIR(found.st_mode):
        raise InputError(
            f'{path} is a folder; give its files, such as sorted(Path("{path}").rglob("*.jpg")).'
        )
    return path, path


def _array(value: np.ndarray, name: str) -> np.ndarray:
    pixels = value.ndim == 2 or (value.ndim == 3 and value.shape[2] in (1, 3, 4))
    if value.dtype != np.uint8 or not pixels or not value.size:
        raise InputError(
            f"{name} is an array {value.shape} of {value.dtype}; give uint8 (height, width, 3) in "
            "the order red, green, blue."
        )
    return value


def _tensor(value: torch.Tensor, name: str) -> np.ndarray:
    if value.dtype != torch.uint8 or value.ndim != 3 or value.shape[0] != 3 or not value.numel():
        raise InputError(
            f"{name} is a tensor {tuple(value.shape)} of {value.dtype}; give uint8 "
            "(3, height, width), not normalized, since the classifier prepares photos itself."
        )
    return value.detach().permute(1, 2, 0).cpu().numpy()


def _described(value: Any) -> str:
    """A value in a few words."""
    return "None" if value is None else f"{value!r:.40} ({type(value).__name__})"
