"""What every library of networks can do; `backbones` asks them all in the same words."""

from __future__ import annotations

import abc
import difflib
import importlib.metadata
from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

import flowerlib
from flowerlib.models.random_weights import on_meta
from flowerlib.support.errors import InputError
from flowerlib.transforms import Preprocessing


class Parts(NamedTuple):
    """A network without its last layer.

    Attributes:
        body: images (N, 3, H, W) → features (N, num_features), or with a side of 1 twice.
        num_features: D.
        classifier: what the names of the removed layer's entries in a state dict begin with.
    """

    body: nn.Module
    num_features: int
    classifier: tuple[str, ...]


class Library(abc.ABC):
    """Where networks come from: they are asked for by name, and each has pretrained weights.

    Attributes:
        name: of the package that has the code, such as "torchvision".
        weights: what its pretrained weights are called.
    """

    name: str
    weights: str

    @abc.abstractmethod
    def names(self) -> Sequence[str]:
        """All networks, by the names that `models.backbone` takes."""

    @abc.abstractmethod
    def has(self, name: str) -> bool:
        """Whether the name is one of its networks; quick for names of other libraries."""

    def full_name(self, name: str) -> str:
        """The name with all that decides which network it is."""
        return name

    @abc.abstractmethod
    def build(self, name: str) -> nn.Module:
        """A network with random weights, from torch's random numbers."""

    @abc.abstractmethod
    def without_last_layer(self, network: nn.Module, name: str) -> Parts:
        """What `build` made, with an identity in place of the last layer it has, in place."""

    def random(self, name: str) -> Parts:
        """A network with random weights."""
        return self.without_last_layer(self.build(name).float(), name)

    def empty(self, name: str) -> Parts:
        """A network on torch's "meta" device: shapes, but no values."""
        return self.without_last_layer(on_meta(lambda: self.build(name)), name)

    def fillable(self, name: str, empty: Parts) -> Parts:
        """The empty network, or another of that name, with all values but those of a state dict."""
        return empty

    @abc.abstractmethod
    def pretrained(self, name: str) -> Parts:
        """A network with its pretrained weights.

        Raises:
            InputError: they cannot be had; the sentence says why and what to do.
        """

    @abc.abstractmethod
    def preprocessing(self, name: str) -> Preprocessing:
        """What photos went through when the pretrained weights were tested."""

    @abc.abstractmethod
    def origin(self, name: str) -> str:
        """Where the pretrained weights come from, in a few words; nothing is fetched."""

    def version(self) -> str:
        """Of the package that has the code."""
        own = self.name == "flowerlib"
        return flowerlib.__version__ if own else importlib.metadata.version(self.name)


def unknown(name: str, names: Sequence[str]) -> InputError:
    """What to say about a name that no library has."""
    close = difflib.get_close_matches(name, names, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "see `flowerlib.models.names()`."
    return InputError(f'There is no backbone called "{name}"; {hint}')
