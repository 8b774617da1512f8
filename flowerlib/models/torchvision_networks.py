"""torchvision's classification networks, each without its last layer.

torchvision is imported when the first of them is asked for: it brings torch's compiler along, which
takes as long as torch itself.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from flowerlib.data.sources import downloads
from flowerlib.models.library import Library, Parts
from flowerlib.models.weight_files import load_weights
from flowerlib.support.errors import InputError
from flowerlib.transforms import Preprocessing

if TYPE_CHECKING:
    from torchvision.models import WeightsEnum

# "vgg16.features" is vgg16 before its whole classifier of three layers, which many courses replace,
# where "vgg16" lacks only the last of them.
BEFORE_CLASSIFIER = ".features"


class Torchvision(Library):
    """All classification networks of torchvision, with its ImageNet weights."""

    name, weights = "torchvision", "imagenet"

    def names(self) -> tuple[str, ...]:
        return _names()

    def has(self, name: str) -> bool:
        return name in _names()

    def build(self, name: str) -> nn.Module:
        return build(name)

    def without_last_layer(self, network: nn.Module, name: str) -> Parts:
        return without_last_layer(network, name)

    def pretrained(self, name: str) -> Parts:
        parts = self.empty(name)
        load_weights(parts.body, imagenet_file(name), parts.classifier, name)
        return parts

    def preprocessing(self, name: str) -> Preprocessing:
        import torchvision

        preset = imagenet_entry(name).transforms()
        bicubic = preset.interpolation == torchvision.transforms.InterpolationMode.BICUBIC
        return Preprocessing(
            resize=max(preset.resize_size[0], preset.crop_size[0]),
            crop=preset.crop_size[0],
            mean=tuple(preset.mean),
            std=tuple(preset.std),
            filter="bicubic" if bicubic else "bilinear",
        )

    def origin(self, name: str) -> str:
        return f"ImageNet weights of torchvision ({imagenet_entry(name).name}), downloaded once"


@functools.cache
def _names() -> tuple[str, ...]:
    import torchvision

    networks = torchvision.models.list_models(module=torchvision.models)
    deep = [name for name in networks if name.startswith(("alexnet", "vgg"))]
    return (*networks, *(f"{name}{BEFORE_CLASSIFIER}" for name in deep))


def build(name: str) -> nn.Module:
    """A network with its last layer and random weights."""
    import torchvision

    options = {}
    if name in ("googlenet", "inception_v3"):
        # Their ImageNet weights expect inputs rescaled inside the network, and heads halfway that
        # only served training. init_weights=False: torchvision's own initialization takes minutes.
        options = {"aux_logits": False, "transform_input": True, "init_weights": False}
    name = name.removesuffix(BEFORE_CLASSIFIER)
    return torchvision.models.get_model(name, weights=None, **options)


def without_last_layer(body: nn.Module, name: str) -> Parts:
    """Puts an identity in place of a network's last layer, in place."""
    import torchvision

    if isinstance(body, torchvision.models.SqueezeNet):
        # Its head is a convolution whose output is averaged; features are averaged instead.
        num_features = cast(nn.Conv2d, body.classifier[1]).in_channels
        body.classifier = nn.AdaptiveAvgPool2d(1)
        return Parts(body, num_features, ("classifier.",))
    if name.endswith(BEFORE_CLASSIFIER):
        layers = cast(nn.Sequential, body.classifier)
        first = next(layer for layer in layers if isinstance(layer, nn.Linear))
        body.classifier = nn.Identity()
        return Parts(body, first.in_features, ("classifier.",))
    for attribute in ("fc", "classifier", "head", "heads"):
        head = getattr(body, attribute, None)
        if isinstance(head, nn.Linear):
            setattr(body, attribute, nn.Identity())
            return Parts(body, head.in_features, (f"{attribute}.",))
        if isinstance(head, nn.Sequential) and isinstance(head[-1], nn.Linear):
            key, last = list(head.named_children())[-1]
            setattr(head, key, nn.Identity())
            return Parts(body, cast(nn.Linear, last).in_features, (f"{attribute}.{key}.",))
    raise InputError(f"{name} has no last linear layer that could be replaced.")


def imagenet_entry(name: str) -> WeightsEnum:
    """The ImageNet-1k weights of a network that are used here, of those that torchvision has.

    Where there are several: those for the smallest input (vit_h_14 at 518 pixels would be another
    network), and of these the first version, since the newer ones, trained with label smoothing,
    are reported to give worse frozen features (Kornblith et al., "Why do better loss functions lead
    to less transferable features?", 2021).
    """
    import torchvision

    entries = torchvision.models.get_model_weights(name.removesuffix(BEFORE_CLASSIFIER))
    return min(entries, key=lambda entry: entry.transforms().crop_size[0])


def imagenet_file(name: str) -> Path:
    """The file of a network's ImageNet weights in torch's folder, downloaded where it is not there.

    torchvision's names end with the first digits of the file's SHA-256, which are checked each
    time: a damaged file is fetched again.

    Raises:
        InputError: the weights cannot be had.
    """
    url = imagenet_entry(name).url
    file = Path(torch.hub.get_dir(), "checkpoints", url.rsplit("/", 1)[1])
    digits = file.stem.rsplit("-", 1)[1]
    try:
        with downloads.bar(file.name) as progress:
            return downloads.fetch(url, file, sha256=digits, progress=progress)
    except InputError as problem:
        reason = str(problem).removesuffix(".")
        raise InputError(
            f"ImageNet weights of {name} could not be had: {reason}; or use the backbone "
            "efficientnet_lite0, whose ImageNet weights came with the installation."
        ) from None
