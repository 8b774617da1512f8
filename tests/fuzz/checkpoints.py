"""Old checkpoints as students wrote them; what attackers write is in `pickles`.

`honest` writes one file after the other; a file may be removed before the next is asked for.
"""

from __future__ import annotations

import collections
import copy
import functools
import itertools
import random
import sys
import types
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from torch import Tensor, nn

from flowerlib.classifier.legacy import Imported

CLASSIFIER = {"alexnet": "classifier", "vgg11": "classifier", "densenet121": "classifier"}
WIDTH = {"alexnet": 9216, "vgg11": 25088, "densenet121": 1024, "resnet18": 512}
ARCHITECTURES = tuple(WIDTH)
FOLDERS = ("1", "10", "100", "2", "21")  # as torchvision sorts them
NAMES = ("pink primrose", "globe thistle", "blanket flower", "hard-leaved orchid", "fire lily")
CAT_TO_NAME = {**dict(zip(FOLDERS, NAMES, strict=True)), "102": "blackberry lily"}
COUNT = len(FOLDERS)


class Network(nn.Module):
    """The course's own class, from its file fc_model.py: forward is code, which no file holds."""

    def __init__(self, inputs: int, outputs: int, hidden: list[int], p: float = 0.5) -> None:
        super().__init__()
        sizes = [inputs, *hidden]
        self.hidden_layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        self.output = nn.Linear(sizes[-1], outputs)
        self.dropout = nn.Dropout(p=p)

    def forward(self, values: Tensor) -> Tensor:
        for layer in self.hidden_layers:
            values = self.dropout(nn.functional.relu(layer(values)))
        return nn.functional.log_softmax(self.output(values), dim=1)


class FlowerNet(nn.Module):
    """A student's wrapper, defined in a notebook."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images)


def _pretend_from(kind: type, module: str) -> None:
    """Lets a class be pickled as if it came from elsewhere."""
    kind.__module__ = module
    setattr(sys.modules.setdefault(module, types.ModuleType(module)), kind.__name__, kind)


@dataclass
class Expected:
    """What reading an honest checkpoint must give.

    Attributes:
        model: images to logits, log-probabilities or probabilities, as `output` says.
        output: "logits", "log" or "probabilities".
        head: the tensors of the linear layers, in order.
        class_names: in order.
        options: for `legacy.read`.
    """

    model: nn.Module
    output: str
    head: list[Tensor]
    class_names: tuple[str, ...] = NAMES
    options: dict[str, Any] = field(default_factory=dict)


def difference(imported: Imported, expected: Expected) -> str:
    """What differs between a classifier that was read and the model that was saved; "" if nothing.

    Weights are compared bit for bit, answers to two random images within 1e-5.
    """
    classifier = imported.classifier
    if classifier.class_names != expected.class_names:
        return f"classes {classifier.class_names}"
    layers = [layer for layer in classifier.head if isinstance(layer, nn.Linear)]
    tensors = [tensor for layer in layers for tensor in (layer.weight, layer.bias)]
    if len(tensors) != len(expected.head):
        return f"{len(tensors)} tensors in the head"
    if not all(torch.equal(a, b.float()) for a, b in zip(tensors, expected.head, strict=True)):
        return "the head's tensors"
    model = expected.model
    if isinstance(model, FlowerNet):
        model = model.model
    state = model.state_dict()
    for key, value in classifier.backbone.body.state_dict().items():
        if not torch.equal(value, state[key].to(value.dtype)):
            return f"the backbone's tensor {key}"
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        right = copy.deepcopy(expected.model).float().eval()(images)
        probabilities = right if expected.output == "probabilities" else right.softmax(1)
        features = classifier.backbone(images)
        answer = classifier.decide(features).softmax(1)
    if not float(probabilities.std()) > 1e-4:
        return "nothing: the comparison is empty, all probabilities are equal"
    if not torch.allclose(answer, probabilities, atol=1e-5):
        return f"the probabilities, by {float((answer - probabilities).abs().max()):.2g}"
    return ""


@functools.cache
def torchvision_network(name: str) -> nn.Module:
    """torchvision's network with random weights, quickly, and without its classifier."""
    with torch.device("meta"):
        network = torchvision.models.get_model(name, weights=None)
    setattr(network, CLASSIFIER.get(name, "fc"), nn.Identity())
    network = network.to_empty(device="cpu")
    randomize(network, seed=len(name))
    return network.eval()


def randomize(module: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for key, value in module.state_dict().items():
        if value.dim() > 1:
            value.normal_(0, (2 / value[0].numel()) ** 0.5, generator=generator)
        elif value.is_floating_point():
            value.uniform_(0.5, 1.5, generator=generator)
        else:
            value.fill_(7)
        if key.endswith(("bias", "running_mean")):
            value -= 1


def _head(inputs: int, hidden: tuple[int, ...], style: str, end: str) -> nn.Module:
    """A classifier in one of the ways that students wrote it."""
    if style == "class":
        return Network(inputs, COUNT, list(hidden))
    sizes = [inputs, *hidden, COUNT]
    layers: list[tuple[str, nn.Module]] = []
    for number, (a, b) in enumerate(itertools.pairwise(sizes), 1):
        last = number == len(sizes) - 1
        layers.append(("output" if last else f"fc{number}", nn.Linear(a, b)))
        if not last:
            layers += [(f"relu{number}", nn.ReLU()), (f"drop{number}", nn.Dropout(0.3))]
    if style == "dropout first":
        layers.insert(0, ("dropout", nn.Dropout()))
    if end != "logits":
        layers.append(("out", nn.LogSoftmax(dim=1) if end == "log" else nn.Softmax(dim=1)))
    if style == "numbers":
        return nn.Sequential(*(layer for _, layer in layers))
    return nn.Sequential(OrderedDict(layers))


def _tensors(head: nn.Module) -> list[Tensor]:
    return [
        tensor
        for layer in head.modules()
        if isinstance(layer, nn.Linear)
        for tensor in (layer.weight.detach(), layer.bias.detach())
    ]


CLASSES: dict[str, Callable[[], dict[str, Any]]] = {
    "class_to_idx": lambda: {"class_to_idx": {name: i for i, name in enumerate(FOLDERS)}},
    "class_to_index": lambda: {
        "class_to_index": {n: i for i, n in reversed([*enumerate(FOLDERS)])}
    },
    "numpy positions": lambda: {"class_to_idx": dict(zip(FOLDERS, np.arange(COUNT), strict=True))},
    "idx_to_class": lambda: {"idx_to_class": dict(enumerate(FOLDERS))},
    "texts": lambda: {"index_to_class": {str(i): name for i, name in enumerate(FOLDERS)}},
    "mapping": lambda: {"mapping": OrderedDict((name, i) for i, name in enumerate(FOLDERS))},
    "class_names": lambda: {"class_names": list(NAMES)},
    "classes": lambda: {"classes": np.array(NAMES)},
    "cat_to_name": lambda: {"cat_to_name": dict(zip(FOLDERS, NAMES, strict=True))},
    "both": lambda: {
        "cat_to_name": CAT_TO_NAME,
        "class_to_idx": {name: i for i, name in enumerate(FOLDERS)},
    },
}
ARCH_KEYS = ("arch", "architecture", "structure", "model_name", "pretrained_model", "Arch")
ARCH_WORDS: tuple[Callable[[str], Any], ...] = (
    lambda name: name,
    lambda name: name.upper(),
    lambda name: f"models.{name}",
    lambda name: name.replace("net", "net-"),
    lambda name: getattr(torchvision.models, name),
)
STATE_KEYS = ("state_dict", "model_state_dict", "model", "weights", "my_weights")
HIDDEN: tuple[Callable[[tuple[int, ...]], dict[str, Any]], ...] = (
    lambda sizes: {"hidden_layers": list(sizes)},
    lambda sizes: {"hidden_units": sizes[0] if sizes else 0},
    lambda sizes: {"hidden_sizes": [str(size) for size in sizes]},
    lambda sizes: {f"hidden_layer{i}": size for i, size in enumerate(sizes, 1)},
    lambda sizes: {"input_size": 1024, "output_size": COUNT, "hidden_units": "none"},
)
FORMS = (
    "state",
    "classifier state",
    "pickled classifier",
    "classifier and state",
    "whole model",
    "model in dict",
    "bare state",
    "data parallel state",
    "data parallel model",
    "wrapped state",
    "wrapped model",
    "half",
    "old keys",
)
HIDDEN_SIZES: tuple[tuple[int, ...], ...] = ((), (16,), (24, 16), (16, 16))
STYLES = ("numbers", "names", "dropout first", "class")
ENDS = ("log", "probabilities", "logits")


def _junk(number: int, head: nn.Module, inputs: int) -> dict[str, Any]:
    """What else lies in such files: all of it at one time or another."""
    optimizer = torch.optim.Adam(head.parameters(), lr=0.003)
    if number % 3 == 0:
        head.train()(torch.rand(2, inputs)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        head.eval()
    choices: list[dict[str, Any]] = [
        {"epochs": 10, "learning_rate": 0.003, "optimizer_dict": optimizer.state_dict()},
        {"optimizer": optimizer, "criterion": nn.NLLLoss(), "train_losses": [2.5, 1.5]},
        {"best_accuracy": np.float64(0.91), "epoch": np.int64(3), "curve": np.arange(6.0)},
        {"device": torch.device("cpu"), "loss": torch.tensor(0.3), "seen": {1, 2}, "done": True},
        {"steps": collections.defaultdict(int, a=1), "scores": np.array([None, "a"], dtype=object)},
        {},
    ]
    return choices[number % len(choices)]


def honest(
    folder: Path, count: int = 200, architectures: tuple[str, ...] = ARCHITECTURES
) -> Iterator[tuple[str, Path, Expected]]:
    """Writes checkpoints, each another mixture of spellings; any 26 hold every form twice.

    Args:
        folder: existing; weights files are left there, beside the checkpoints.
        count: of files.
        architectures: of the networks, in turn.
    """
    dice = random.Random(0)
    for number in range(count):
        form = FORMS[number % len(FORMS)]
        zip_format = (number // len(FORMS)) % 2 == 0
        name = architectures[number % len(architectures)]
        if form == "old keys" and "densenet121" in architectures:
            name = "densenet121"
        yield write_one(folder, number, form, name, zip_format, dice)


def write_one(
    folder: Path, number: int, form: str, name: str, zip_format: bool, dice: random.Random
) -> tuple[str, Path, Expected]:
    _pretend_from(Network, "fc_model")
    _pretend_from(FlowerNet, "__main__")
    style, end = dice.choice(STYLES), dice.choice(ENDS)
    hidden = dice.choice(HIDDEN_SIZES)
    if form in ("wrapped model",) and style == "class":
        style = "names"
    if style == "class" or form in ("classifier state", "state", "bare state", "wrapped state"):
        end = "log"  # what a state dict does not say; without it, predictions are the same
    attribute = CLASSIFIER.get(name, "fc")
    head = _head(WIDTH[name], hidden, style, end)
    randomize(head, seed=number)
    network = copy.copy(torchvision_network(name))
    network._modules = dict(network._modules)
    setattr(network, attribute, head)
    network.eval()
    model: nn.Module = FlowerNet(network) if form.startswith("wrapped") else network
    classes = dice.choice(list(CLASSES))
    expected = Expected(model, end, _tensors(head))
    facts = {
        **CLASSES[classes](),
        dice.choice(ARCH_KEYS): dice.choice(ARCH_WORDS)(name),
        **dice.choice(HIDDEN)(hidden),
        **_junk(dice.randrange(100), copy.deepcopy(head), WIDTH[name]),
    }
    _name_classes(folder, classes, expected)
    key = dice.choice(STATE_KEYS)
    state = network.state_dict()
    if form == "state":
        content: Any = {key: state, **facts}
    elif form == "classifier state":
        content = {key: head.state_dict(), **facts}
    elif form == "pickled classifier":
        content = {"classifier": head, **facts}
    elif form == "classifier and state":
        content = {"classifier": copy.deepcopy(head), "state_dict": state, **facts}
    elif form in ("whole model", "wrapped model"):
        model.class_to_idx = {name: i for i, name in enumerate(FOLDERS)}
        expected.class_names = FOLDERS
        expected.options.pop("names", None)
        content = copy.deepcopy(model)
    elif form == "model in dict":
        content = {"model": network, **facts}
    elif form == "data parallel model":
        content = {"model": nn.DataParallel(network), **facts}
    elif form == "bare state":
        content = OrderedDict(state)
        expected.class_names = NAMES
        expected.options["names"] = _json(folder, "list.json", list(NAMES))
    elif form == "data parallel state":
        content = {key: {f"module.{name}": value for name, value in state.items()}, **facts}
    elif form == "wrapped state":
        content = {key: model.state_dict(), **facts}
    elif form == "half":
        dtype = dice.choice((torch.float16, torch.bfloat16))
        half = {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}
        content = {key: half, **facts}
        # Written with its own classifier module, so that the end of it is known.
        content["classifier"] = copy.deepcopy(head)
        expected.model = copy.deepcopy(network)
        expected.model.load_state_dict(half)
        expected.head = [tensor.to(dtype) for tensor in expected.head]
    else:  # torch 0.3 wrote norm.1 for norm1, and did not count batches
        old = {
            _old_key(key): value
            for key, value in state.items()
            if not key.endswith("num_batches_tracked")
        }
        content = {key: old, **facts, "classifier": copy.deepcopy(head)}
        expected.model = copy.deepcopy(network)
        for part in expected.model.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.num_batches_tracked.zero_()
    if "classifier" in form and "state" not in form.split(" and "):
        expected.options["weights"] = _weights(folder, name)
    path = folder / f"{number:03}.pth"
    protocol = dice.choice((1, 2, 2, 3, 4, 5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch cannot find the source of a notebook's class
        torch.save(
            content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zip_format
        )
    kind = "zip" if zip_format else "stream"
    label = f"{number:03} {name} {form} {style} {hidden} {end} {classes} {kind} {protocol}"
    return label, path, expected


def _old_key(key: str) -> str:
    parts = key.split(".")
    for index, part in enumerate(parts[:-1]):
        if parts[index - 1].startswith("denselayer") and part[-1] in "12":
            parts[index] = f"{part[:-1]}.{part[-1]}"
    return ".".join(parts)


def _name_classes(folder: Path, classes: str, expected: Expected) -> None:
    """Some files hold names, some folder numbers, some of these get the course's table beside."""
    if classes in ("class_names", "classes", "cat_to_name", "both"):
        expected.class_names = NAMES
    elif classes in ("mapping", "texts"):
        expected.class_names = NAMES
        expected.options["names"] = _json(folder, "cat_to_name.json", CAT_TO_NAME)
    else:
        expected.class_names = FOLDERS


def _json(folder: Path, name: str, content: Any) -> Path:
    import json

    path = folder / name
    path.write_text(json.dumps(content))
    return path


def _weights(folder: Path, name: str) -> Path:
    path = folder / f"{name}.weights"
    if not path.exists():
        torch.save(torchvision_network(name).state_dict(), path)
    return path
