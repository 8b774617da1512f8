"""The small networks that this project trained itself, and the baseline of the lessons."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from flowerlib.models.library import Library, Parts
from flowerlib.models.torchvision_networks import without_last_layer
from flowerlib.models.weight_files import load_weights
from flowerlib.transforms import Preprocessing

SMALL = ("small_densenet", "small_resnet")
SMALL_WEIGHTS = Path(__file__).with_name("weights")


class SmallNetworks(Library):
    """torchvision's own classes, built narrow and shallow; see tools/pretrain_small.py."""

    name, weights = "flowerlib", "small"

    def names(self) -> tuple[str, ...]:
        return SMALL

    def has(self, name: str) -> bool:
        return name in SMALL

    def build(self, name: str) -> nn.Module:
        from flowerlib.models import narrow_networks

        return narrow_networks.build(name)

    def without_last_layer(self, network: nn.Module, name: str) -> Parts:
        return without_last_layer(network, name)

    def pretrained(self, name: str) -> Parts:
        parts = self.empty(name)
        load_weights(parts.body, SMALL_WEIGHTS / f"{name}.safetensors", parts.classifier, name)
        return parts

    def preprocessing(self, name: str) -> Preprocessing:
        return Preprocessing(resize=96, crop=96)

    def origin(self, name: str) -> str:
        return "weights that this project trained on drawn patterns"


class SmallCNN(nn.Module):
    """The baseline: three convolutions, one hidden layer, trained from scratch.

    Images (N, 3, size, size) → logits (N, num_classes). Each convolution is followed by ReLU and a
    pooling that halves the size; dropout is a module, so that `eval()` switches it off.
    """

    def __init__(self, num_classes: int, size: int = 96, dropout: float = 0.5) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((3, 32), (32, 64), (64, 128)):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Sequential(
            nn.Linear(128 * (size // 8) ** 2, 128),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(128, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))
