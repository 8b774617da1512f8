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
from flowerlib.models.random_weights import seeded
from flowerlib.support.errors import InputError, first_line
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

    def build(self, name: str, **options: Any) -> nn.Module:
        import timm

        return timm.create_model(name.removeprefix(PREFIX), num_classes=0, **options)

    def without_last_layer(self, network: Any, name: str) -> Parts:
        keys = network.pretrained_cfg.get("classifier") or ()  # num_classes=0 has left it out
        keys = (keys,) if isinstance(keys, str) else keys
        return Parts(network, network.head_hidden_size, tuple(f"{key}." for key in keys))

    def fillable(self, name: str, empty: Parts) -> Parts:
        """The empty network, or one with random weights if some values are in no state dict."""
        stored = empty.body.state_dict()
        computed = [key for key, _ in empty.body.named_buffers() if key not in stored]
        settings = [value for layer in empty.body.modules() for value in vars(layer).values()]
        if computed or any(isinstance(value, Tensor) and value.is_meta for value in settings):
            with seeded(0):
                return self.random(name)
        return empty

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
                network = self.build(name, pretrained=True, **given).float()
                return self.without_last_layer(network, name)
        except Exception as problem:  # of the hub, of the network below it, of timm
            raise _cannot_be_had(name, first_line(problem)[:200].rstrip(".")) from None

    def preprocessing(self, name: str) -> Preprocessing:
        """What timm does to photos before a network sees them, to test it.

        Raises:
            InputError: the network takes no square photos in three colors.
        """
        import timm
        from timm.data.config import resolve_data_config

        settings = timm.get_pretrained_cfg(name.removeprefix(PREFIX))
        config = resolve_data_config(pretrained_cfg=settings.to_dict() if settings else {})
        channels, height, width = config["input_size"]
        if channels != 3 or height != width:
            raise InputError(
                f"{name} takes images of {channels} x {height} x {width} numbers; choose a "
                "network that takes square photos in three colors."
            )
        # Photos that are seen whole lose no margin here, where timm cuts one off a few, and are
        # padded in white, not in the mean color.
        mode = {"squash": "squash", "border": "pad"}.get(config["crop_mode"], "crop")
        return Preprocessing(
            resize=math.floor(height / config["crop_pct"]) if mode == "crop" else height,
            crop=height,
            mean=tuple(config["mean"]),
            std=tuple(config["std"]),
            filter="bilinear" if config["interpolation"] == "bilinear" else "bicubic",
            resize_mode=mode,
        )

    def origin(self, name: str) -> str:
        tag = self.full_name(name).partition(".")[2]
        return f"weights {tag} of timm, fetched once from the Hugging Face hub"


@functools.cache
def _names() -> tuple[str, ...]:
    import timm

    return tuple(PREFIX + name for name in (*timm.list_models(), *timm.list_pretrained()))


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
