"""Networks in two parts: a backbone that turns images into features, a head that decides.

Any of torchvision's classification networks can be the backbone. Its last layer is cut off,
whatever it is called there, so that every backbone answers with features (N, D); the head is always
a small module of our own. Replacing it is one call: `Network(backbone(name), linear_head(...))`.

Shown in: notebooks/04_flowers
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import threading
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
import torchvision
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from flowerlib.data.sources import downloads
from flowerlib.models import levels, state_dicts
from flowerlib.support import modes, storage
from flowerlib.support.errors import InputError
from flowerlib.support.options import PRESETS
from flowerlib.transforms import Preprocessing

# The small networks that this project trained itself (tools/pretrain_small.py): torchvision's own
# classes, built narrow and shallow.
SMALL: dict[str, dict[str, Any]] = {
    "small_densenet": {
        "growth_rate": 64,
        "block_config": (1, 2, 6, 6),
        "num_init_features": 32,
        "bn_size": 1,
    },
    "small_resnet": {"layers": [1, 2, 2, 2], "width_per_group": 24},
}
SMALL_WEIGHTS = Path(__file__).with_name("weights")

# (resize, crop) of the networks that have no entry with torchvision's weights.
INPUT_SIZES = {"small_densenet": (96, 96), "small_resnet": (96, 96)}

# "vgg16.features" is vgg16 before its whole classifier of three layers, which many courses replace,
# where "vgg16" lacks only the last of them.
BEFORE_CLASSIFIER = ".features"
# "resnet50.stages" is resnet50 with what its stages before the last layer know (`stages.Stages`).
STAGES = ".stages"


class _NarrowBottleneck(torchvision.models.resnet.Bottleneck):
    """torchvision's block without its fourfold widening at the end: narrower layers, same code."""

    expansion = 1


def names() -> list[str]:
    """All backbones that can be asked for, the project's small ones first."""
    networks = torchvision.models.list_models(module=torchvision.models)
    deep = [name for name in networks if name.startswith(("alexnet", "vgg"))]
    staged = [name for name in (*SMALL, *networks) if levels.known(name)]
    return [
        *(*SMALL, *networks),
        *(f"{name}{BEFORE_CLASSIFIER}" for name in deep),
        *(f"{name}{STAGES}" for name in staged),
    ]


M = TypeVar("M", bound=nn.Module)


class Backbone(nn.Module):
    """A network without its last layer: images (N, 3, H, W) → features (N, num_features).

    Attributes:
        name: torchvision's name, or one of `SMALL`.
        weights: where the weights came from: "imagenet", "small", "none" or a file's name.
        num_features: D.
        body: the torchvision module with an identity in place of its last layer.
        frozen: it stays in `eval()`, also when the network around it is set to train; see `freeze`.
    """

    frozen = False

    def __init__(self, name: str, body: nn.Module, num_features: int, weights: str) -> None:
        super().__init__()
        self.name, self.weights, self.num_features = name, weights, num_features
        self.body = body

    def forward(self, images: Tensor) -> Tensor:
        return self.body(images).flatten(1)

    def __repr__(self) -> str:
        return f"<Backbone: {self.name} ({self.weights} weights), {self.num_features:,} features>"

    def train(self, mode: bool = True) -> Backbone:
        """Sets the mode, as torch does; a frozen backbone stays in `eval()`."""
        return super().train(mode and not self.frozen)

    def digest(self) -> str:
        """SHA-256 over the names, shapes and bytes of all parameters and buffers."""
        total = hashlib.sha256()
        for key, value in sorted(self.body.state_dict().items()):
            array = value.detach().cpu().contiguous()
            total.update(f"{key} {array.dtype} {tuple(array.shape)}".encode())
            total.update(array.reshape(-1).view(torch.uint8).numpy().data)
        return total.hexdigest()


class Network(nn.Module):
    """A backbone and a head: images (N, 3, H, W) → the head's output (N, num_classes)."""

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.backbone(images))


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


@modes.usual()
def backbone(name: str, weights: str | Path = "imagenet", *, seed: int = 0) -> Backbone:
    """Builds a network by name, loads weights, and cuts off its last layer.

    Args:
        name: one of `names()`.
        weights: "imagenet" (torchvision's, downloaded once), "small" (the project's own, for the
            backbones in `SMALL`), "none" (random, decided by `seed`), or the path of a file: a
            safetensors file or a saved state dict, with or without the classifier's entries.
        seed: of the random weights.

    Returns:
        A backbone in training mode; see `freeze`.

    Raises:
        InputError: unknown name, weights that are missing, cannot be had, or of another network.

    Example:
        >>> network = backbone("small_resnet", "small")
        >>> network.num_features > 100
        True
    """
    if name not in names():
        close = difflib.get_close_matches(name, names(), n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "see `flowerlib.models.names()`."
        raise InputError(f'There is no backbone called "{name}"; {hint}')
    if name.endswith(STAGES):
        return with_stages(backbone(name.removesuffix(STAGES), weights, seed=seed))
    if weights == "small" and name not in SMALL:
        raise InputError(f'"small" weights exist for {" and ".join(SMALL)}, not for {name}.')
    if weights == "imagenet" and name in SMALL:
        raise InputError(f'{name} has no ImageNet weights; use weights "small" or "none".')
    if weights == "none":
        with seeded(seed):
            body = _random(name).float()
    else:
        body = _on_meta(name)
    head_keys, num_features = _cut(body, name)
    if weights == "imagenet":
        load_weights(body, imagenet_file(name), head_keys, name)
    elif weights == "small":
        load_weights(body, SMALL_WEIGHTS / f"{name}.safetensors", head_keys, name)
    elif weights != "none":
        load_weights(body, storage.expand(weights), head_keys, name)
        weights = Path(weights).name
    return Backbone(name, body, num_features, str(weights))


_RANDOM = threading.RLock()


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside it, torch's random numbers follow from the seed; afterwards they go on as before.

    All threads of a process share torch's generator, so only one at a time may be inside.
    """
    with _RANDOM, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


class _EmptyOnMeta(TorchFunctionMode):
    """Inside it, `torch.empty`, from which layers make their weights, takes no memory."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        options = kwargs or {}
        if func is torch.empty:
            options = {**options, "device": "meta"}
        return func(*args, **options)


@modes.usual()
def with_stages(backbone: Backbone) -> Backbone:
    """The same network with what its stages know beside the features of its last layer.

    Both share their weights. The name gets `STAGES` at its end. See `stages.Stages`.

    Raises:
        InputError: the backbone is of a family whose stages are not known.
    """
    if isinstance(backbone.body, levels.Stages):
        return backbone
    if not levels.known(backbone.name):
        raise InputError(
            f"The stages of {backbone.name} are not known; use its last layer, or a densenet, "
            "resnet, mobilenet_v2."
        )
    body = levels.Stages(backbone.body, backbone.num_features)
    return _rebuilt(backbone, f"{backbone.name}{STAGES}", body, body.num_features)


def without_stages(backbone: Backbone) -> Backbone:
    """Undoes `with_stages`: the network with the features of its last layer; weights are shared."""
    if not isinstance(backbone.body, levels.Stages):
        return backbone
    plain = backbone.body
    return _rebuilt(backbone, backbone.name.removesuffix(STAGES), plain.body, plain.last)


def _rebuilt(backbone: Backbone, name: str, body: nn.Module, num_features: int) -> Backbone:
    """A backbone around the same weights, in the same mode: what was frozen stays so."""
    made = Backbone(name, body, num_features, backbone.weights)
    made.train(backbone.training)
    return freeze(made) if backbone.frozen else made


@modes.usual()
def architecture(name: str) -> Backbone:
    """An empty backbone of that name on torch's "meta" device: shapes, but no values."""
    if name.endswith(STAGES):
        return with_stages(architecture(name.removesuffix(STAGES)))
    body = _on_meta(name)
    _, num_features = _cut(body, name)
    return Backbone(name, body, num_features, "none")


def _on_meta(name: str) -> nn.Module:
    try:
        with torch.device("meta"):
            return _random(name).float()  # whatever the caller's default is
    except NotImplementedError:  # regnets compute their widths with tensors, which need values
        with _EmptyOnMeta():
            return _random(name).float().to("meta")


def _random(name: str) -> nn.Module:
    if name in SMALL:
        if name == "small_densenet":
            return torchvision.models.DenseNet(num_classes=2, **SMALL[name])
        return torchvision.models.ResNet(_NarrowBottleneck, num_classes=2, **SMALL[name])
    options = {}
    if name in ("googlenet", "inception_v3"):
        # Their ImageNet weights expect inputs rescaled inside the network, and heads halfway that
        # only served training. init_weights=False: torchvision's own initialization takes minutes.
        options = {"aux_logits": False, "transform_input": True, "init_weights": False}
    name = name.removesuffix(BEFORE_CLASSIFIER)
    return torchvision.models.get_model(name, weights=None, **options)


def imagenet_file(name: str) -> Path:
    """The file of a network's ImageNet weights in torch's folder, downloaded where it is not there.

    torchvision's names end with the first digits of the file's SHA-256, which are checked each
    time: a damaged file is fetched anew.

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
        told = str(problem).removesuffix(".")
        raise InputError(
            f"ImageNet weights of {name} could not be had: {told}; or use "
            "--backbone small_densenet --weights small, which needs no download."
        ) from None


def imagenet_entry(name: str) -> Any:
    """The ImageNet-1k weights of a network that are used here, of those that torchvision has.

    Where there are several: those for the smallest input (vit_h_14 at 518 pixels would be another
    network), and of these the first version, since the newer ones, trained with label smoothing,
    are reported to give worse frozen features (Kornblith et al., "Why do better loss functions lead
    to less transferable features?", 2021).
    """
    plain = name.removesuffix(STAGES).removesuffix(BEFORE_CLASSIFIER)
    entries = torchvision.models.get_model_weights(plain)
    return min(entries, key=lambda entry: entry.transforms().crop_size[0])


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
    usual = _trained_for(backbone)
    return usual.scaled(PRESETS[preset])


def _trained_for(backbone: Backbone) -> Preprocessing:
    if (plain := backbone.name.removesuffix(STAGES)) in INPUT_SIZES:
        resize, crop = INPUT_SIZES[plain]
        return Preprocessing(resize=resize, crop=crop)
    preset = imagenet_entry(backbone.name).transforms()
    bicubic = preset.interpolation == torchvision.transforms.InterpolationMode.BICUBIC
    return Preprocessing(
        resize=max(preset.resize_size[0], preset.crop_size[0]),
        crop=preset.crop_size[0],
        mean=tuple(preset.mean),
        std=tuple(preset.std),
        filter="bicubic" if bicubic else "bilinear",
    )


def _cut(body: nn.Module, name: str) -> tuple[tuple[str, ...], int]:
    """Puts an identity in place of the last layer, in place.

    Returns:
        The prefixes of the removed entries in the state dict, and the number of features.
    """
    if name.startswith("squeezenet"):
        # Its head is a convolution whose output is averaged; features are averaged instead.
        num_features = cast(Any, body).classifier[1].in_channels
        body.classifier = nn.AdaptiveAvgPool2d(1)
        return ("classifier.",), num_features
    if name.endswith(BEFORE_CLASSIFIER):
        layers = cast(nn.Sequential, body.classifier)
        first = next(layer for layer in layers if isinstance(layer, nn.Linear))
        body.classifier = nn.Identity()
        return ("classifier.",), first.in_features
    for attribute in ("fc", "classifier", "head", "heads"):
        head = getattr(body, attribute, None)
        if isinstance(head, nn.Linear):
            setattr(body, attribute, nn.Identity())
            return (f"{attribute}.",), head.in_features
        if isinstance(head, nn.Sequential) and isinstance(head[-1], nn.Linear):
            key, last = list(head.named_children())[-1]
            setattr(head, key, nn.Identity())
            return (f"{attribute}.{key}.",), cast(nn.Linear, last).in_features
    raise InputError(f"{name} has no last linear layer that could be replaced.")


def load_weights(body: nn.Module, file: Path, head_keys: tuple[str, ...], name: str) -> None:
    """Fills a cut network from a file; every entry must fit, the classifier's may be missing.

    A network on the meta device is enough, so that two copies of the weights, the file's and the
    network's own, are all that is needed.

    Raises:
        InputError: the file cannot be read, or belongs to another network; differences are named.
    """
    wanted = body.state_dict()
    needed = [key for key in wanted if not key.endswith("num_batches_tracked")]
    state = state_dicts.read(file, needed)
    head_keys = _of_the_classifier(head_keys, wanted)
    given = {key: value for key, value in state.items() if not key.startswith(head_keys)}
    given = {key: value for key, value in given.items() if not _is_spare(key, wanted)}
    missing = [key for key in needed if key not in given]
    unknown = [key for key in given if key not in wanted]
    shapes = [
        f"{key} is {tuple(given[key].shape)} instead of {tuple(wanted[key].shape)}"
        for key in wanted
        if key in given and given[key].shape != wanted[key].shape
    ]
    if missing or unknown or shapes:
        told = [f"{len(missing)} entries missing (such as {missing[0]})"] if missing else []
        told += [f"{len(unknown)} unknown (such as {unknown[0]})"] if unknown else []
        told += [f"{len(shapes)} of another shape ({shapes[0]})"] if shapes else []
        raise InputError(f"{file} does not hold weights of {name}: {', '.join(told)}.")
    for key, value in given.items():
        if wanted[key].is_floating_point() and not value.is_floating_point():
            raise InputError(f"{file}: {key} holds {value.dtype}; save the weights as float32.")
        if not is_finite(value):
            raise InputError(f"{file}: {key} holds values that are not finite; get the file again.")
    # Each with memory of its own, since the file may be changed.
    own = {key: value.to(wanted[key].dtype, copy=True) for key, value in given.items()}
    for key in wanted.keys() - own.keys():  # old files do not count batches: it begins anew
        own[key] = torch.zeros(wanted[key].shape, dtype=wanted[key].dtype)
    state_dicts.load(body, own)


def _of_the_classifier(head_keys: tuple[str, ...], wanted: Collection[str]) -> tuple[str, ...]:
    """What the names of a file's classifier begin with: people replace the whole of it."""
    whole = tuple(f"{key.partition('.')[0]}." for key in head_keys)
    return head_keys if any(key.startswith(whole) for key in wanted) else whole


def is_finite(value: Tensor) -> bool:
    """Whether no number is NaN or infinite; looked at in pieces, since `isfinite` needs memory."""
    pieces = value.reshape(-1).split(1 << 20) if value.is_floating_point() else ()
    return all(bool(torch.isfinite(piece).all()) for piece in pieces)


def _is_spare(key: str, wanted: dict[str, Tensor]) -> bool:
    """Auxiliary heads of googlenet and inception, which only served their training."""
    return key.startswith(("aux1.", "aux2.", "AuxLogits.")) and key not in wanted


@modes.usual()
def split(backbone: Backbone, size: int) -> tuple[Backbone, nn.Module]:
    """Cuts a backbone before its last stage: densenet's last dense block, resnet's layer4.

    The lower part can stay frozen and its output be cached; the upper part, cheap beside it, can
    be trained. Both share their weights with the backbone.

    Args:
        backbone: a densenet, resnet (resnext, wide_resnet) or mobilenet_v2, or one of `SMALL`.
        size: side of the images, in pixels; the maps in the middle depend on it.

    Returns:
        The lower part, a backbone whose features are the flattened maps; and the upper part:
        flattened maps (N, C * H * W) → features (N, num_features).

    Raises:
        InputError: the backbone is of another family.

    Shown in: notebooks/04_flowers
    """
    found = levels.chain(backbone.body)
    if found is None:
        raise InputError(f"{backbone.name} cannot be split; use a densenet, resnet, mobilenet_v2.")
    below = nn.Sequential(*found.blocks[: found.cut])
    end = [nn.ReLU()] * found.rectified + [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    above = nn.Sequential(*found.blocks[found.cut :], *end)
    with torch.inference_mode():
        device = next(below.parameters()).device
        maps = below.eval()(torch.zeros(1, 3, size, size, device=device, dtype=torch.float32))
    below.train(backbone.training)
    above.train(backbone.training)
    shape = tuple(maps.shape[1:])
    lower = Backbone(f"{backbone.name} below", below, maps[0].numel(), backbone.weights)
    return lower, nn.Sequential(nn.Unflatten(1, shape), above)


@modes.usual()
def linear_head(num_features: int, num_classes: int) -> nn.Sequential:
    """One linear layer: features (N, D) → logits (N, C).

    Example:
        >>> import torch
        >>> tuple(linear_head(620, 102)(torch.zeros(4, 620)).shape)
        (4, 102)
    """
    return nn.Sequential(nn.Linear(num_features, num_classes, dtype=torch.float32))


@modes.usual()
def hidden_head(
    num_features: int, num_classes: int, hidden: tuple[int, ...] = (512,), dropout: float = 0.2
) -> nn.Sequential:
    """The source's head: Linear, ReLU, Dropout for each hidden layer, then Linear and LogSoftmax.

    Features (N, D) → log-probabilities (N, C), to be trained with `nn.NLLLoss`.

    Example:
        >>> hidden_head(620, 102, hidden=(512,), dropout=0.2)
        Sequential(
          (0): Linear(in_features=620, out_features=512, bias=True)
          (1): ReLU()
          (2): Dropout(p=0.2, inplace=False)
          (3): Linear(in_features=512, out_features=102, bias=True)
          (4): LogSoftmax(dim=1)
        )
    """
    layers: list[nn.Module] = []
    width = num_features
    for size in hidden:
        layers += [nn.Linear(width, size, dtype=torch.float32), nn.ReLU(), nn.Dropout(dropout)]
        width = size
    last = nn.Linear(width, num_classes, dtype=torch.float32)
    return nn.Sequential(*layers, last, nn.LogSoftmax(dim=1))


def freeze(module: M) -> M:
    """Stops a module from changing, in place: neither its parameters nor its buffers.

    `requires_grad = False` alone is not enough: in training mode BatchNorm keeps updating its
    running statistics, which are buffers. So the module is put into `eval()` mode, and stays there
    when the network around it is set to train.

    Returns:
        The same module.

    Example:
        >>> from flowerlib import models
        >>> backbone = models.freeze(models.backbone("small_resnet", "small"))
        >>> sum(p.requires_grad for p in backbone.parameters()), backbone.train().training
        (0, False)
    """
    module.requires_grad_(False)
    module.eval()
    if isinstance(module, Backbone):
        module.frozen = True
    else:
        module.train = Frozen(module)  # type: ignore[method-assign, assignment]
    return module


class Frozen:
    """`train` of a frozen module that is no `Backbone`: leaves it as it is.

    An object, since it is pickled and copied together with its module; a method could not be.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __call__(self, mode: bool = True) -> nn.Module:
        return self.module


def unfreeze(module: M) -> M:
    """Undoes `freeze`, in place, and returns the same module."""
    for attribute in ("frozen", "train"):
        vars(module).pop(attribute, None)
    module.requires_grad_(True)
    return module.train()


def trainable_parameters(module: nn.Module) -> Iterator[nn.Parameter]:
    """The parameters that an optimizer should be given.

    Example:
        >>> from flowerlib import models
        >>> head = models.linear_head(8, 2)
        >>> sum(parameter.numel() for parameter in trainable_parameters(head))
        18
    """
    return (parameter for parameter in module.parameters() if parameter.requires_grad)
