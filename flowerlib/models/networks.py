"""A backbone turns images into features, a head decides; together they are a network.

Shown in: notebooks/04_flowers, notebooks/05_heads
"""

from __future__ import annotations

import hashlib

from torch import Tensor, nn

from flowerlib.models.fingerprint import content
from flowerlib.models.freezing import Freezable, freeze
from flowerlib.models.levels import MultiLevel, known
from flowerlib.support import modes
from flowerlib.support.errors import InputError
from flowerlib.transforms import Preprocessing

OWN = "own"  # in place of a library


class Backbone(Freezable):
    """A network without its last layer: images (N, 3, H, W) → features (N, num_features).

    Attributes:
        name: of the network, as `backbone` takes it.
        weights: where they came from: "imagenet", "small", "pretrained", "none" or a file's name.
        num_features: D.
        body: the library's module with an identity in place of its last layer.
        library: "torchvision", "timm" or "flowerlib"; "own" for a module of somebody's own.
        frozen: it stays in `eval()`, also when the network around it is set to train; see `freeze`.
    """

    def __init__(
        self,
        name: str,
        body: nn.Module,
        num_features: int,
        weights: str,
        preprocessing: Preprocessing | None = None,
        library: str = OWN,
    ) -> None:
        super().__init__()
        self.name, self.weights, self.num_features = name, weights, num_features
        self.body, self.library = body, library
        self._preprocessing = preprocessing

    @property
    def preprocessing(self) -> Preprocessing:
        """What photos went through when its weights were trained or tested.

        Raises:
            InputError: nobody said so when it was built.
        """
        if self._preprocessing is None:
            raise InputError(
                f"Nobody said what photos go through before {self.name} sees them; give a "
                "preprocessing."
            )
        return self._preprocessing

    @property
    def layers(self) -> str:
        """Whose features it gives: "last", or "multi-level"; see `multi_level`."""
        return "multi-level" if isinstance(self.body, MultiLevel) else "last"

    def forward(self, images: Tensor) -> Tensor:
        return self.body(images).flatten(1)

    def __repr__(self) -> str:
        kind = "multi-level features" if self.layers == "multi-level" else "features"
        return f"<Backbone: {self.name} ({self.weights} weights), {self.num_features:,} {kind}>"

    def digest(self) -> str:
        """SHA-256 over the names, shapes and bytes of all parameters and buffers."""
        total = hashlib.sha256()
        for key, value in sorted(self.body.state_dict().items()):
            total.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
            total.update(content(value))
        return total.hexdigest()


class Network(nn.Module):
    """A backbone and a head: images (N, 3, H, W) → the head's output (N, num_classes)."""

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.backbone(images))


@modes.usual()
def multi_level(backbone: Backbone) -> Backbone:
    """The same network with what its levels know beside the features of its last layer.

    Both share their weights. See `levels.MultiLevel`.

    Raises:
        InputError: the levels of the network are not known.
    """
    if backbone.layers == "multi-level":
        return backbone
    if not known(backbone.body):
        raise InputError(
            f"The levels of {backbone.name} are not known; use the features of its last layer, or "
            "another network, such as efficientnet_lite0, a resnet or one of timm's."
        )
    body = MultiLevel(backbone.body, backbone.num_features, backbone.preprocessing.crop)
    return rebuilt(backbone, body, body.num_features)


def last_layer(backbone: Backbone) -> Backbone:
    """Undoes `multi_level`: the network with the features of its last layer; weights are shared."""
    plain = backbone.body
    return rebuilt(backbone, plain.body, plain.last) if isinstance(plain, MultiLevel) else backbone


def has_levels(backbone: Backbone) -> bool:
    """Whether `multi_level` knows the network."""
    return backbone.layers == "multi-level" or known(backbone.body)


def rebuilt(backbone: Backbone, body: nn.Module, num_features: int) -> Backbone:
    """A backbone around the same weights, in the same mode: what was frozen stays so."""
    made = Backbone(
        backbone.name,
        body,
        num_features,
        backbone.weights,
        backbone._preprocessing,
        backbone.library,
    )
    made.train(backbone.training)
    return freeze(made) if backbone.frozen else made
