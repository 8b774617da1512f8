"""The door to all backbones: torchvision's, timm's, this project's own, or any module.

The last layer is cut off, whatever it is called there, so that every backbone answers with features
(N, D); the head is always a small module of our own. Replacing it is one call:
`Network(backbone(name), linear_head(...))`.

Shown in: notebooks/04_flowers
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from flowerlib.models import timm_networks
from flowerlib.models.library import Library, Parts, unknown
from flowerlib.models.lite_networks import LiteNetworks
from flowerlib.models.networks import Backbone, last_layer, multi_level
from flowerlib.models.own_networks import own
from flowerlib.models.random_weights import seeded
from flowerlib.models.small_networks import SmallNetworks
from flowerlib.models.timm_networks import Timm
from flowerlib.models.torchvision_networks import Torchvision
from flowerlib.models.weight_files import load_weights
from flowerlib.support import modes, storage
from flowerlib.support.errors import InputError
from flowerlib.support.options import PRESETS
from flowerlib.transforms import Preprocessing

LIBRARIES: tuple[Library, ...] = (SmallNetworks(), LiteNetworks(), Torchvision(), Timm())
WORDS = ("pretrained", "imagenet", "small")  # that ask for pretrained weights
LAYERS = ("last", "multi-level")


def names(library: str = "") -> list[str]:
    """All networks that can be asked for by name, the project's small ones first.

    Args:
        library: "timm" for the networks of timm, which are many, and not among the others.
    """
    if library not in ("", "timm"):
        raise InputError(f'library must be "timm" or left out, not {library!r:.40}.')
    chosen = LIBRARIES[-1:] if library else LIBRARIES[:-1]
    return [name for one in chosen for name in one.names()]


def library_of(name: str) -> Library:
    """The library that has a network.

    Raises:
        InputError: none has; the message names similar ones.
    """
    for library in LIBRARIES:
        if library.has(name):
            return library
    if name.startswith(timm_networks.PREFIX) or LIBRARIES[-1].has(timm_networks.PREFIX + name):
        raise timm_networks.suggestion(name)
    raise unknown(name, names())


@modes.usual()
def backbone(
    network: str | nn.Module,
    weights: str | Path | None = None,
    *,
    layers: str = "last",
    preprocessing: Preprocessing | None = None,
    seed: int = 0,
) -> Backbone:
    """Builds a network by name, loads weights, and cuts off its last layer; or takes your own.

    Args:
        network: one of `names()`, or of timm's networks as "timm/NAME" or "timm/NAME.TAG"; or a
            module of your own, images (N, 3, H, W) → features (N, D), which is not copied.
        weights: "pretrained" (the default), those that belong to the network: ImageNet's for
            torchvision's networks, downloaded once, and for efficientnet_lite0, 1 and 2, from
            installed packages; the project's own for `SMALL`; those that the tag names for timm's.
            "imagenet" and "small" say which these must be. "none" is random, decided by `seed`. Or
            the path of a file: a safetensors file or a saved state dict, with or without the
            classifier's entries. Your own module has its weights already.
        layers: "last", or "multi-level"; see `multi_level`.
        preprocessing: of your own module, what photos go through before it sees them.
        seed: of the random weights.

    Returns:
        A backbone in training mode, or in the mode of your own module; see `freeze`.

    Raises:
        InputError: unknown name, or weights that are missing, cannot be had, or of another network.

    Example:
        >>> network = backbone("small_resnet")
        >>> network.weights, network.num_features > 100
        ('small', True)
    """
    if layers not in LAYERS:
        raise InputError(f'layers must be "last" or "multi-level", not {layers!r:.40}.')
    if isinstance(network, nn.Module):
        if weights is not None:
            raise InputError("weights has no effect on a module of your own; leave it out.")
        made = own(network, preprocessing)
    elif preprocessing is not None:
        raise InputError(
            f"{network} comes with its preprocessing; give one only with a module of your own, or "
            "where photos are read."
        )
    else:
        made = _by_name(network, "pretrained" if weights is None else weights, seed)
    return multi_level(made) if layers == "multi-level" else made


def _by_name(name: str, weights: str | Path, seed: int) -> Backbone:
    library = library_of(name)
    if weights in WORDS and weights not in ("pretrained", library.weights):
        raise _other_word(str(weights), name, library)
    if weights == "none":
        with seeded(seed):
            parts = library.random(name)
    elif weights in WORDS:
        parts, weights = library.pretrained(name), library.weights
    else:
        parts = library.fillable(name, library.empty(name))
        load_weights(parts.body, storage.expand(weights), parts.classifier, name)
        weights = Path(weights).name
    return _backbone(library, name, parts, str(weights))


def _backbone(library: Library, name: str, parts: Parts, weights: str) -> Backbone:
    return Backbone(
        library.full_name(name),
        parts.body,
        parts.num_features,
        weights,
        library.preprocessing(name),
        library.name,
    )


def _other_word(weights: str, name: str, library: Library) -> InputError:
    if weights == "small":
        have = " and ".join(SmallNetworks().names())
        return InputError(f'"small" weights exist for {have}, not for {name}.')
    kind = "ImageNet weights" if isinstance(library, SmallNetworks) else "weights of that name"
    return InputError(f'{name} has no {kind}; use weights "{library.weights}" or "none".')


@modes.usual()
def architecture(name: str, layers: str = "last") -> Backbone:
    """A backbone of that name on torch's "meta" device: shapes, but no values; see `fillable`.

    Raises:
        InputError: unknown name, or layers that the network has not.
    """
    library = library_of(name)
    made = _backbone(library, name, library.empty(name), "none")
    return multi_level(made) if layers == "multi-level" else made


@modes.usual()
def fillable(empty: Backbone) -> Backbone:
    """A backbone from `architecture`, or one like it, with all values but those of a state dict."""
    plain = last_layer(empty)
    library = library_of(plain.name)
    parts = library.fillable(plain.name, Parts(plain.body, plain.num_features, ()))
    if parts.body is plain.body:
        return empty
    made = _backbone(library, plain.name, parts, plain.weights)
    return multi_level(made) if empty.layers == "multi-level" else made


def default_preprocessing(backbone: Backbone, preset: str = "standard") -> Preprocessing:
    """The evaluation preprocessing for a backbone.

    Args:
        backbone: from `backbone`.
        preset: "standard", what its weights were trained for; "quick", half of the pixels a side,
            a quarter of the work; "best", eight sevenths. Some networks, such as vit_b_16, take
            images of one size only.

    Raises:
        InputError: the preset is unknown.

    Source of the sizes: results/frontier.json.
    """
    if preset not in PRESETS:
        raise InputError(f'preset must be one of {", ".join(PRESETS)}, not "{preset}".')
    return backbone.preprocessing.scaled(PRESETS[preset])


def weights_origin(network: str, weights: str | Path | None = None) -> str:
    """Where the weights of a network come from, as a phrase; nothing is built or fetched.

    Raises:
        InputError: unknown name.
    """
    library = library_of(network)
    if weights in (None, *WORDS):
        return library.origin(network)
    return "random weights" if weights == "none" else f"weights of the file {weights}"


def library_version(network: str) -> str:
    """The version of the package that builds a network here.

    Raises:
        InputError: unknown name.
    """
    return library_of(network).version()


def full_name(network: str) -> str:
    """The name with all that decides which network it is: of timm's, with the tag of its weights.

    Raises:
        InputError: unknown name.
    """
    return library_of(network).full_name(network)
