"""timm's networks, as "timm/NAME" or "timm/NAME.TAG", where the tag names pretrained weights.

timm is imported when the first of them is asked for; that takes as long as a third of torch.
"""

from __future__ import annotations

import functools
import math
import os
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from flowerlib.data.sources import downloads
from flowerlib.models.library import Library, Parts, unknown
from flowerlib.models.random_weights import on_meta, seeded
from flowerlib.support.errors import InputError
from flowerlib.transforms import Preprocessing

PREFIX = "timm/"
HUB = "https://huggingface.co"


class Timm(Library):
    """All networks of timm, with the weights that the Hugging Face hub has for them."""

    name, weights = "timm", "pretrained"

    def names(self) -> tuple[str, ...]:
        return _names()

    def has(self, name: str) -> bool:
        if not name.startswith(PREFIX):
            return False
        import timm

        plain = name.removeprefix(PREFIX)
        arch, _, tag = plain.partition(".")
        return timm.is_model(arch) and (not tag or timm.is_model_pretrained(plain))

    def full_name(self, name: str) -> str:
        import timm

        plain = name.removeprefix(PREFIX)
        settings = timm.get_pretrained_cfg(plain)
        full = f"{plain.partition('.')[0]}.{settings.tag if settings else ''}"
        return PREFIX + full if timm.is_model_pretrained(full) else name

    def random(self, name: str) -> Parts:
        return build(name.removeprefix(PREFIX))

    def empty(self, name: str) -> Parts:
        return empty(name.removeprefix(PREFIX))

    def fillable(self, name: str, empty: Parts) -> Parts:
        return fillable(name.removeprefix(PREFIX), empty)

    def pretrained(self, name: str) -> Parts:
        import timm

        plain = name.removeprefix(PREFIX)
        if not timm.is_model_pretrained(plain):
            raise InputError(
                f'timm has no pretrained weights for {name}; use weights "none", or a file of your '
                "own, or another network (see `flowerlib.models.names()`)."
            )
        given: dict[str, Any] = {}
        if not downloads.can_be_reached(os.environ.get("HF_ENDPOINT", HUB)):
            if (file := fetched_before(plain)) is None:
                raise _cannot_be_had(name, "the Hugging Face hub cannot be reached")
            given = {"pretrained_cfg_overlay": {"file": str(file)}}
        try:
            with seeded(0):
                return build(plain, pretrained=True, **given)
        except Exception as problem:  # of the hub, of the network below it, of timm
            lines = str(problem).strip().splitlines() or [type(problem).__name__]
            raise _cannot_be_had(name, lines[0][:200].rstrip(".")) from None

    def preprocessing(self, name: str) -> Preprocessing:
        return preprocessing(name.removeprefix(PREFIX))

    def origin(self, name: str) -> str:
        tag = self.full_name(name).partition(".")[2]
        return f"weights {tag} of timm, fetched once from the Hugging Face hub"


@functools.cache
def _names() -> tuple[str, ...]:
    import timm

    return tuple(PREFIX + name for name in (*timm.list_models(), *timm.list_pretrained()))


def build(name: str, **options: Any) -> Parts:
    """A network of timm without its classifier; options as in `timm.create_model`."""
    import timm

    body: Any = timm.create_model(name, num_classes=0, **options).float()
    keys = body.pretrained_cfg.get("classifier") or ()
    keys = (keys,) if isinstance(keys, str) else keys
    return Parts(body, body.head_hidden_size, tuple(f"{key}." for key in keys))


def fillable(name: str, empty: Parts) -> Parts:
    """The empty network, or one with random weights where some values are in no state dict."""
    stored = empty.body.state_dict()
    computed = [key for key, _ in empty.body.named_buffers() if key not in stored]
    settings = [value for layer in empty.body.modules() for value in vars(layer).values()]
    if computed or any(isinstance(value, Tensor) and value.is_meta for value in settings):
        with seeded(0):
            return build(name)
    return empty


def empty(name: str) -> Parts:
    """A network on torch's "meta" device."""
    found: list[Parts] = []

    def make() -> nn.Module:
        found.append(build(name))
        return found[-1].body

    body = on_meta(make)
    return found[-1]._replace(body=body)


def preprocessing(name: str) -> Preprocessing:
    """What timm does to photos before a network sees them, to test it.

    Raises:
        InputError: the network takes no square photos in three colors.
    """
    import timm
    from timm.data.config import resolve_data_config

    settings = timm.get_pretrained_cfg(name)
    config = resolve_data_config(pretrained_cfg=settings.to_dict() if settings else {})
    channels, height, width = config["input_size"]
    if channels != 3 or height != width:
        raise InputError(
            f"timm/{name} takes images of {channels} x {height} x {width} numbers; choose a "
            "network that takes square photos in three colors."
        )
    squashed = config["crop_mode"] == "squash"
    return Preprocessing(
        resize=height if squashed else math.floor(height / config["crop_pct"]),
        crop=height,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        filter="bilinear" if config["interpolation"] == "bilinear" else "bicubic",
        resize_mode="squash" if squashed else "crop",
    )


def fetched_before(name: str) -> Path | None:
    """The file of a network's weights in the hub's own cache, if it is there."""
    import timm
    from huggingface_hub import try_to_load_from_cache

    settings = timm.get_pretrained_cfg(name)
    if settings is None or not settings.hf_hub_id:
        return None
    found = try_to_load_from_cache(settings.hf_hub_id, "model.safetensors")
    return Path(found) if isinstance(found, str) else None


def _cannot_be_had(name: str, reason: str) -> InputError:
    return InputError(
        f"Pretrained weights of {name} could not be had: {reason}; try again with a connection, or "
        "use the backbone efficientnet_lite0, whose ImageNet weights came with the installation."
    )


def suggestion(name: str) -> InputError:
    """What to say about an unknown name: with or without its tag, with or without the prefix."""
    return unknown(name if name.startswith(PREFIX) else PREFIX + name, _names())
