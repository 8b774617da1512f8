"""What happens to a photo before the network sees it, as plain data.

Because a `Preprocessing` is data, it is saved inside the classifier's file, shown in a lesson,
compared in a test, and undone for display. Training, evaluation and prediction use the same object.

Shown in: notebooks/03_augmentation, notebooks/05_heads
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from flowerlib.support.errors import InputError
from flowerlib.support.options import RESIZE_MODES

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Mean and standard deviation of ImageNet's training photos, per channel, for values in [0, 1].
__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "Augmentation",
    "Preprocessing",
]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

LARGEST_SQUARE = 8  # times the network's input, of a padded photo of which a view is cut
LARGEST = 1e6  # of the numbers that pixels are shifted and divided by; float32 stays finite

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True)
class Preprocessing:
    """Evaluation preprocessing: resize the shorter side, cut the center, normalize.

    Attributes:
        resize: length of the shorter side after resizing, in pixels.
        crop: side of the centered square that is cut out, in pixels; at most `resize`.
        mean, std: per channel, for values in [0, 1].
        filter: "bilinear" or "bicubic"; both with antialiasing, as Pillow does it.
        resize_mode: "crop", or for photos that should be seen whole "squash" or "pad"; see
            `squashed` and `padded`.

    Example:
        >>> from flowerlib import garden
        >>> from PIL import Image
        >>> preprocessing = Preprocessing(resize=72, crop=64)
        >>> image = Image.fromarray(garden.picture("flowers", 0, 0, size=96))
        >>> tuple(preprocessing(image).shape)
        (3, 64, 64)
    """

    resize: int = 256
    crop: int = 224
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    filter: str = "bilinear"
    resize_mode: str = "crop"

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            values = getattr(self, name)
            if not isinstance(values, (tuple, list)) or not all(
                type(value) in (float, int) and abs(value) <= LARGEST for value in values
            ):
                raise InputError(f"Preprocessing: {name} must be three numbers, none above 1e6.")
            # JSON turns tuples into lists; turning them back keeps == honest.
            object.__setattr__(self, name, tuple(float(value) for value in values))
        if not (type(self.resize) is int and type(self.crop) is int):
            raise InputError("Preprocessing: resize and crop must be whole numbers of pixels.")
        if not 1 <= self.crop <= self.resize <= 4096:
            raise InputError(
                f"Preprocessing: crop ({str(self.crop)[:9]}) must be at most resize "
                f"({str(self.resize)[:9]}), and both between 1 and 4096 pixels."
            )
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) < 1 / LARGEST:
            raise InputError("Preprocessing: mean and std need three numbers, std at least 1e-6.")
        if not isinstance(self.filter, str) or self.filter not in FILTERS:
            raise InputError(f"Preprocessing: filter must be one of {', '.join(FILTERS)}.")
        mode = self.resize_mode
        if not isinstance(mode, str) or mode not in RESIZE_MODES:
            raise InputError(
                f"Preprocessing: resize_mode must be one of {', '.join(RESIZE_MODES)}."
            )
        if mode != "crop" and self.resize != self.crop:
            raise InputError(f'Preprocessing: with resize_mode "{mode}", resize must equal crop.')

    def pixels(self, image: Image.Image) -> np.ndarray:
        """Resizes and crops a PIL RGB image to a uint8 array of shape (crop, crop, 3)."""
        if self.resize_mode != "crop":
            square, how = (self.crop, self.crop), FILTERS[self.filter]
            if self.resize_mode == "squash":
                return np.asarray(image.resize(square, how))
            return np.asarray(_padded(image, self.crop, how))
        short = min(image.size)
        box = []
        for edge in image.size:
            # The crop in whole pixels of the resized photo, as torchvision's Resize and CenterCrop
            # have it: half a pixel aside would blur. Then in pixels of the photo itself, so that
            # one resampling does it all and none is drawn in vain.
            resized = self.resize if edge == short else int(self.resize * edge / short)
            start = round((resized - self.crop) / 2)
            box.append((start * edge / resized, min((start + self.crop) * edge / resized, edge)))
        (left, right), (top, bottom) = box
        if short == self.resize:
            return np.asarray(image.crop((int(left), int(top), int(right), int(bottom))))
        return np.asarray(
            image.resize(
                (self.crop, self.crop),
                FILTERS[self.filter],
                box=(left, top, right, bottom),
            )
        )

    def normalize(self, pixels: Tensor) -> Tensor:
        """Turns uint8 pixels (N, 3, H, W) in 0..255 into floats with the network's mean and std."""
        import torch

        count, _, height, width = pixels.shape
        # Whole rows at a time and in place: 0.05 instead of 0.89 ms an image of 224 pixels.
        rows = pixels.permute(0, 2, 3, 1).reshape(count * height, width * 3).float()
        mean = torch.tensor(self.mean, device=pixels.device, dtype=torch.float32).repeat(width)
        std = torch.tensor(self.std, device=pixels.device, dtype=torch.float32).repeat(width)
        rows.div_(255).sub_(mean).div_(std)
        return rows.view(count, height, width, 3).permute(0, 3, 1, 2)

    def __call__(self, image: Image.Image) -> Tensor:
        """Turns a PIL RGB image into a float tensor (3, crop, crop), ready for the network."""
        import torch

        array = np.array(self.pixels(image))  # a copy that torch may own
        return self.normalize(torch.from_numpy(array).permute(2, 0, 1)[None])[0]

    def undo(self, image: Tensor) -> np.ndarray:
        """Turns a normalized tensor (3, H, W) back into an array (H, W, 3) in [0, 1], to show."""
        array = image.detach().float().cpu().permute(1, 2, 0).numpy()
        return np.clip(array * np.array(self.std) + np.array(self.mean), 0, 1)

    def whole(self) -> Preprocessing:
        """The same for images that are cut already: resized to `crop`, nothing is cut off."""
        return dataclasses.replace(self, resize=self.crop)

    def squashed(self) -> Preprocessing:
        """The same with the whole photo, wide or tall, resized to the square.

        Proportions change, but nothing is cut off: for things that fill wide photos.
        """
        return self.with_resize_mode("squash")

    def padded(self) -> Preprocessing:
        """The same with the whole photo on a white square, its longer side as long as the square's.

        Proportions stay and nothing is cut off, but things are smaller.
        """
        return self.with_resize_mode("pad")

    def with_resize_mode(self, resize_mode: str) -> Preprocessing:
        """The same with another `resize_mode`; "crop" takes the largest square of the photo."""
        if resize_mode == self.resize_mode:
            return self
        return dataclasses.replace(self, resize=self.crop, resize_mode=resize_mode)

    def scaled(self, factor: float) -> Preprocessing:
        """The same part of the photo with another number of pixels."""
        resize, crop = (round(side * factor) for side in (self.resize, self.crop))
        return dataclasses.replace(self, resize=resize, crop=crop)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` turns it back."""
        fields = dataclasses.asdict(self) | {"mean": list(self.mean), "std": list(self.std)}
        if self.resize_mode == "crop":  # the only one at first: old caches and files stay valid
            del fields["resize_mode"]
        return fields

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Preprocessing:
        """Rebuilds from `to_dict`, also of earlier versions, which wrote `fit` for `resize_mode`.

        Raises:
            InputError: a field is unknown, missing or out of range.
        """
        known = {field.name for field in dataclasses.fields(cls)} - {"resize_mode"}
        if isinstance(fields, dict) and "fit" in fields and "resize_mode" not in fields:
            fields = dict(fields)
            earlier = fields.pop("fit")
            fields["resize_mode"] = "squash" if earlier == "squeeze" else earlier
        if not isinstance(fields, dict) or set(fields) - {"resize_mode"} != known:
            raise InputError(f"Preprocessing needs exactly the fields {', '.join(sorted(known))}.")
        try:
            return cls(**fields)
        except InputError:
            raise
        except (TypeError, ValueError) as problem:
            raise InputError(f"Preprocessing: {problem}") from None


@dataclass(frozen=True)
class Augmentation:
    """Training-time variation: a new view of the photo at every visit.

    Attributes:
        preprocessing: the evaluation preprocessing whose size and normalization stay.
        rotation: largest turn in degrees, either way (the flower article used 10).
        flip: probability of a mirror image, left to right.
        crop_scale: range of the share of the photo's area that a random crop keeps;
            (1, 1) crops nothing.
    """

    preprocessing: Preprocessing
    rotation: float = 10.0
    flip: float = 0.5
    crop_scale: tuple[float, float] = (0.6, 1.0)

    def __call__(self, image: Image.Image, generator: torch.Generator | None = None) -> Tensor:
        """Turns a PIL RGB image into a random normalized view (3, crop, crop).

        Args:
            image: PIL RGB image.
            generator: source of the randomness; torch's global one if None.
        """
        import torch

        pixels = torch.from_numpy(np.array(self.view(image, generator))).permute(2, 0, 1)
        return self.preprocessing.normalize(pixels[None])[0]

    def view(self, image: Image.Image, generator: torch.Generator | None = None) -> Image.Image:
        """A random view of a PIL RGB image, crop x crop pixels, before normalization."""
        import torch

        turn, mirror, area, across, down = torch.rand(
            5, generator=generator, dtype=torch.float32
        ).tolist()
        if self.rotation:
            image = image.rotate((2 * turn - 1) * self.rotation, Image.Resampling.BILINEAR)
        if mirror < self.flip:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if self.preprocessing.resize_mode == "pad":
            # Of a panorama at full size, the square would be many times as large as the photo.
            side = min(max(image.size), LARGEST_SQUARE * self.preprocessing.crop)
            image = _padded(image, side, Image.Resampling.BICUBIC)
        low, high = self.crop_scale
        squash, short = self.preprocessing.resize_mode == "squash", min(image.size)
        share = (low + (high - low) * area) ** 0.5
        width, height = (share * edge for edge in (image.size if squash else (short, short)))
        left, top = across * (image.width - width), down * (image.height - height)
        if low == high == 1.0:
            left, top = (image.width - width) / 2, (image.height - height) / 2
        size = self.preprocessing.crop
        box = (left, top, left + width, top + height)
        return image.resize((size, size), Image.Resampling.BILINEAR, box=box)


def _padded(image: Image.Image, side: int, how: Image.Resampling) -> Image.Image:
    """The whole photo on a white square of `side` pixels, its longer side as long as the square's.

    The same as Pillow's `ImageOps.pad`, which fails where the shorter side comes to no pixel.
    """
    longer = max(image.size)
    width, height = (max(1, round(edge / longer * side)) for edge in image.size)
    if (width, height) != image.size:
        image = image.resize((width, height), how)
    square = Image.new("RGB", (side, side), "white")
    square.paste(image, (round((side - width) / 2), round((side - height) / 2)))
    return square
