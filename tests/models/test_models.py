"""Every backbone: its last layer is found, the rest is torchvision's, and frozen is frozen."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from flowerlib import models
from flowerlib.models import state_dicts, torchvision_networks
from flowerlib.support.errors import InputError

# One network of each family of torchvision's.
ONE_PER_FAMILY = (
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "regnet_y_400mf",
    "resnet50",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "swin_t",
    "vgg11_bn",
    "vit_b_32",
)
LARGEST = 100_000_000  # parameters; larger ones take gigabytes, and have a smaller sister here
FIXED_SIZE = ("vit_", "maxvit_")  # networks that take their own input size only


def size_of(name: str) -> int:
    if name == "inception_v3":
        return 75
    return 224 if name.startswith(FIXED_SIZE) else 64


def parameters_of(name: str) -> int:
    return torchvision.models.get_model_weights(name).DEFAULT.meta["num_params"]


OTHERS = [
    name
    for name in torchvision_networks.Torchvision().names()
    if name not in ONE_PER_FAMILY and "." not in name
]
AFFORDABLE = [name for name in OTHERS if parameters_of(name) < LARGEST]


def pictures(name: str, count: int = 2) -> Tensor:
    size = size_of(name)
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def complete(name: str) -> nn.Module:
    """torchvision's own network, with the classifier, from the same random numbers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return torchvision_networks.build(name)


def compare_with_torchvision(name: str) -> models.Backbone:
    """Features through the layer that was cut off are torchvision's own answer."""
    whole = complete(name).eval()
    with pytest.MonkeyPatch.context() as patch:  # random numbers for a large network take seconds
        patch.setattr(torchvision_networks, "build", lambda name: copy.deepcopy(whole))
        backbone = models.backbone(name, "none").eval()
    state = whole.state_dict()
    kept = backbone.body.state_dict()
    assert set(kept) <= set(state)
    assert all(torch.equal(kept[key], state[key]) for key in kept)  # the same weights
    images = pictures(name)
    with torch.inference_mode():
        features, expected = backbone(images), whole(images)
        assert features.shape == (2, backbone.num_features)
        if name.startswith("squeezenet"):  # a convolution, ReLU and average over the unpooled map
            maps = whole.features(images)
            assert torch.allclose(features, maps.mean((2, 3)), atol=1e-6)
        else:
            # Dropout beside the last layer does nothing in eval().
            weight, bias = (state[key] for key in last_layer(name, state, set(kept)))
            found = features @ weight.T + (0 if bias is None else bias)
            assert torch.allclose(found, expected, atol=1e-4, rtol=1e-3)
    return backbone.train()


def last_layer(name: str, state: dict[str, Tensor], kept: set[str]) -> tuple[str, str]:
    weight, bias = (
        next(key for key in state if key not in kept and key.endswith(end))
        for end in (".weight", ".bias" if name != "maxvit_t" else ".weight")
    )
    if name == "maxvit_t":  # its last layer has no bias
        state["no bias"] = torch.zeros(1)
        return weight, "no bias"
    return weight, bias


def changes_when_trained(network: nn.Module, name: str) -> set[str]:
    """Names of the state entries of `network.backbone` that a step of training changes."""
    before = {key: value.clone() for key, value in network.backbone.state_dict().items()}
    optimizer = torch.optim.SGD(models.trainable_parameters(network), lr=0.1)
    labels = torch.tensor([0, 1])
    head = {key: value.clone() for key, value in network.head.state_dict().items()}
    network.train()
    nn.functional.cross_entropy(network(pictures(name)), labels).backward()
    optimizer.step()
    assert any(
        not torch.equal(head[key], value) for key, value in network.head.state_dict().items()
    )
    after = network.backbone.state_dict()
    return {key for key in before if not torch.equal(before[key], after[key])}


def replace_head_and_freeze(backbone: models.Backbone) -> None:
    name = backbone.name
    models.freeze(backbone)
    network = models.Network(backbone, models.linear_head(backbone.num_features, 3))
    assert changes_when_trained(network, name) == set()
    assert not any(module.training for module in backbone.modules())
    assert network(pictures(name)).shape == (2, 3)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in AFFORDABLE else name
        for name in [*ONE_PER_FAMILY, *AFFORDABLE]
    ],
)
def test_its_features_are_torchvisions_own_and_frozen_it_stays(name: str) -> None:
    """The head is replaced, features are as before, and training changes no parameter or buffer."""
    replace_head_and_freeze(compare_with_torchvision(name))


@pytest.mark.parametrize(
    ("name", "width"), [("alexnet", 9216), pytest.param("vgg11", 25088, marks=pytest.mark.slow)]
)
def test_cut_before_the_whole_classifier(name: str, width: int) -> None:
    backbone = models.backbone(f"{name}.features", "none").eval()
    whole = complete(name).eval()
    assert backbone.num_features == width
    assert not any(key.startswith("classifier") for key in backbone.body.state_dict())
    features = backbone(pictures(name))
    assert torch.equal(whole.classifier(features), whole(pictures(name)))


@pytest.mark.parametrize("name", models.SMALL)
def test_small_networks_stay_frozen(name: str) -> None:
    replace_head_and_freeze(models.backbone(name, "none"))


def one_per_family_and_slow_others(names: list[str]) -> list[Any]:
    quick = (*ONE_PER_FAMILY, *models.SMALL)
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", one_per_family_and_slow_others(models.names()))
def test_every_architecture_fits_its_preprocessing_and_the_tensors_of_a_file(name: str) -> None:
    """As a classifier's file and a weights file give them: by name, without torch's metadata."""
    backbone = models.architecture(name)
    # What a classifier's file restores is the state dict: nothing may live beside it.
    assert {key for key, _ in backbone.body.named_buffers()} <= set(backbone.body.state_dict())
    if name in ONE_PER_FAMILY or name in models.SMALL or "vit_h" in name:
        crop = models.default_preprocessing(backbone).crop
        images = torch.empty(2, 3, crop, crop, device="meta")
        network = models.Network(
            backbone.eval(), models.linear_head(backbone.num_features, 7).to("meta")
        )
        assert network(images).shape == (2, 7)
    body = backbone.body
    assert all(value.is_meta for value in body.state_dict().values())
    tensors = {k: torch.empty_like(v, device="cpu") for k, v in body.state_dict().items()}
    state_dicts.load(body, tensors)
    assert not any(value.is_meta for value in body.state_dict().values())
    with pytest.raises(ValueError, match="other names"):
        state_dicts.load(body, {})


def test_without_freeze_batchnorm_statistics_change() -> None:
    """The control: parameters that need no gradient are not enough."""
    backbone = models.backbone("densenet121", "none").requires_grad_(False)
    network = models.Network(backbone, models.linear_head(backbone.num_features, 2))
    changed = changes_when_trained(network, "densenet121")
    assert len(changed) == 363  # of 727: three buffers of each of the 121 BatchNorms
    assert all(
        key.split(".")[-1] in ("running_mean", "running_var", "num_batches_tracked")
        for key in changed
    )


def test_unfreeze_undoes_freeze() -> None:
    backbone = models.unfreeze(models.freeze(models.backbone("small_resnet", "none")))
    assert backbone.training and all(p.requires_grad for p in backbone.parameters())
    assert not backbone.eval().training and backbone.train().training


@pytest.mark.parametrize("name", models.SMALL)
def test_small_weights_load(name: str) -> None:
    backbone = models.backbone(name, "small")
    assert backbone.weights == "small"
    assert backbone.digest() != models.backbone(name, "none").digest()
    assert models.backbone(name).digest() == backbone.digest()


def test_random_weights_are_decided_by_the_seed() -> None:
    random_state = torch.get_rng_state()
    first, again, other = (
        models.backbone("small_resnet", "none", seed=s).digest() for s in (1, 1, 2)
    )
    assert first == again != other
    assert torch.equal(random_state, torch.get_rng_state())  # the caller's are left alone


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("densnet121", "none", 'no backbone called "densnet121"; did you mean densenet121'),
        ("qqq", "none", "see `flowerlib.models.names"),
        ("resnet50", "small", '"small" weights exist for small_densenet and small_resnet'),
        ("small_resnet", "imagenet", 'has no ImageNet weights; use weights "small" or'),
        ("vgg11.stages", "none", 'no backbone called "vgg11.stages"'),
        ("small_resnet", "none.pt", "none.pt: there is no such weights file"),
    ],
)
def test_wrong_names_are_refused(name: str, weights: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        models.backbone(name, weights)


# ------------------------------------------------------------------------------------ weights files

NAME = "mobilenet_v3_small"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    torch.manual_seed(5)
    return torchvision.models.get_model(NAME).state_dict()


def body_only(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if not key.startswith("classifier.3")}


def loaded(file: Path) -> dict[str, Tensor]:
    backbone = models.backbone(NAME, file)
    assert backbone.weights == file.name
    return backbone.body.state_dict()


@pytest.mark.parametrize(
    "form", ["safetensors", "torch", "no classifier", "module.", "nested", "half precision"]
)
def test_weights_files(tmp_path: Path, state: dict[str, Tensor], form: str) -> None:
    file = tmp_path / ("w.safetensors" if form in ("safetensors", "half precision") else "w.pth")
    if form == "safetensors":
        save_file(state, file)
    elif form == "half precision":
        save_file({k: v.half() if v.is_floating_point() else v for k, v in state.items()}, file)
    elif form == "no classifier":
        torch.save(body_only(state), file)
    elif form == "module.":
        torch.save({f"module.{key}": value for key, value in state.items()}, file)
    elif form == "nested":
        torch.save({"epoch": 3, "state_dict": state}, file)
    else:
        torch.save(state, file)
    tolerance = 1e-3 if form == "half precision" else 0
    for key, value in loaded(file).items():
        assert torch.allclose(value, state[key].to(value.dtype), rtol=tolerance, atol=tolerance)


def named(start: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{start}{key}": value for key, value in state.items()}


WRAPPED: dict[str, Callable[[dict[str, Tensor]], Any]] = {
    "compiled": lambda state: named("_orig_mod.", state),
    "compiled in parts": lambda state: {
        key.replace("features.", "features._orig_mod."): value for key, value in state.items()
    },
    "parallel and compiled": lambda state: named("module._orig_mod.", state),
    "averaged": lambda state: {"n_averaged": torch.tensor(3), **named("module.", state)},
    "lightning": lambda state: {
        "state_dict": {**named("model.", state), "loss.weight": torch.ones(3)},
        "hyper_parameters": {"lr": 1e-3},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{}]}],
        "callbacks": {},
    },
    "two floors": lambda state: named("net.backbone.", state),
    "model": lambda state: {"model": state, "epoch": 3, "lr": 0.1},
    "model_state_dict": lambda state: {"model_state_dict": state, "loss": torch.tensor(0.5)},
    "deep": lambda state: {"models": {"best": {"state_dict": state}}},
    "averaged model alone": lambda state: {"ema": {"module": state}, "updates": 7},
    "rounded, counts of batches as well": lambda state: {k: v.half() for k, v in state.items()},
    "another classifier": lambda state: {
        **body_only(state),
        "classifier.3.fc1.weight": torch.ones(2, 2),
    },
}


@pytest.mark.parametrize("form", WRAPPED)
def test_weights_that_training_scripts_save(
    tmp_path: Path, state: dict[str, Tensor], form: str
) -> None:
    torch.save(WRAPPED[form](state), tmp_path / "w.pth")
    for key, value in loaded(tmp_path / "w.pth").items():
        rounded = state[key].half().to(value.dtype) if form.startswith("rounded") else state[key]
        assert torch.equal(value, rounded), key


def test_weights_below_a_classifier_of_several_layers(tmp_path: Path) -> None:
    network = torchvision.models.mobilenet_v2()
    network.classifier = nn.Sequential(nn.Linear(1280, 8), nn.ReLU(), nn.Linear(8, 2))
    torch.save(network.state_dict(), tmp_path / "w.pth")
    body = models.backbone("mobilenet_v2", tmp_path / "w.pth").body
    assert torch.equal(body.state_dict()["features.0.0.weight"], network.features[0][0].weight)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda state: {"state_dict": state, "state_dict_ema": state},
            r"several such networks \('state_dict: \*', 'state_dict_ema: \*'\); save the weights",
        ),
        (
            lambda state: {**named("student.", state), **named("teacher.", state)},
            r"several such networks \('student.\*', 'teacher.\*'\)",
        ),
        (lambda state: {**state, **named("module.", state)}, "two tensors .* same name"),
        (
            lambda state: {k: (9 * v).to(torch.int8) for k, v in state.items()},
            "holds torch.int8; save the weights as float32",
        ),
        (lambda state: {"epoch": 3}, r"holds no state dict .*save the weights alone: torch\.save"),
        (lambda state: {"model": {}}, "holds no state dict"),
    ],
    ids=["two", "teacher and student", "twice", "quantized", "no state", "empty"],
)
def test_weights_that_could_be_mistaken(
    tmp_path: Path, state: dict[str, Tensor], spoil: Callable, message: str
) -> None:
    torch.save(spoil(state), tmp_path / "w.pth")
    with pytest.raises(InputError, match=message):
        models.backbone(NAME, tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.h5", b"\x89HDF\r\n\x1a\n" + bytes(2000), "an HDF5 file, as Keras writes it"),
        ("w.pth", b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of git-lfs"),
        ("w.pth", b"<!DOCTYPE html><html>", "a web page or XML; fetch the file again"),
        ("w.onnx", b"\x08\x07\x12\x07pytorch", "an ONNX network"),
        ("w.pth", b"", "it is empty"),
        ("w.pth", b"PK\x03\x04" + bytes(100), "damaged, or neither of safetensors nor"),
    ],
)
def test_files_that_are_no_weights(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"cannot be read as weights: .*{message}") as problem:
        models.backbone(NAME, tmp_path / name)
    assert "weights_only" not in str(problem.value) and "trust" not in str(problem.value)


@pytest.mark.filterwarnings("ignore:.*TorchScript", "ignore:.*torch.jit")
def test_a_whole_pickled_network_is_not_run(tmp_path: Path) -> None:
    torch.save(torchvision.models.get_model(NAME), tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"could run code; save .*state_dict\(\)") as problem:
        models.backbone(NAME, tmp_path / "w.pth")
    assert "MobileNetV3" in str(problem.value) and "trust" not in str(problem.value)
    torch.jit.save(torch.jit.script(nn.ReLU()), tmp_path / "w.pt")
    with pytest.raises(InputError, match="is a TorchScript program; save the weights alone"):
        models.backbone(NAME, tmp_path / "w.pt")


def test_a_prefix_is_removed_from_safetensors_too(tmp_path: Path, state: dict[str, Tensor]) -> None:
    save_file({f"module.{key}": value for key, value in state.items()}, tmp_path / "w.safetensors")
    assert torch.equal(
        loaded(tmp_path / "w.safetensors")["features.0.0.weight"], state["features.0.0.weight"]
    )


def test_torchvisions_own_densenet_file_has_old_names(tmp_path: Path) -> None:
    state = complete("densenet121").state_dict()
    old = {
        key.replace("norm1.", "norm.1.").replace("norm2.", "norm.2.")
        .replace("conv1.", "conv.1.").replace("conv2.", "conv.2.")
        if "denselayer" in key
        else key: value
        for key, value in state.items()
        if not key.endswith("num_batches_tracked")
    }  # fmt: skip
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, tmp_path / "densenet121-a639ec97.pth")
    backbone = models.backbone("densenet121", tmp_path / "densenet121-a639ec97.pth", seed=9)
    assert backbone.digest() == models.backbone("densenet121", "none", seed=0).digest()


def test_weights_of_another_network_are_named(tmp_path: Path, state: dict[str, Tensor]) -> None:
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(
        InputError, match=r"w\.safetensors does not hold weights of small_resnet: .* missing"
    ) as problem:
        models.backbone("small_resnet", tmp_path / "w.safetensors")
    assert "conv1.weight" in str(problem.value) and "unknown (such as" in str(problem.value)


def test_a_wrong_shape_is_named(tmp_path: Path, state: dict[str, Tensor]) -> None:
    wrong = state | {"features.0.0.weight": torch.zeros(16, 1, 3, 3)}
    save_file(wrong, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"features.0.0.weight is \(16, 1, 3, 3\) instead of"):
        models.backbone(NAME, tmp_path / "w.safetensors")


def test_values_that_are_not_finite_are_named(tmp_path: Path, state: dict[str, Tensor]) -> None:
    bad = state["features.0.0.weight"].clone()
    bad[0, 0, 0, 0] = float("nan")
    save_file(state | {"features.0.0.weight": bad}, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="features.0.0.weight holds values that are not finite"):
        models.backbone(NAME, tmp_path / "w.safetensors")


class Evil:
    def __reduce__(self) -> tuple:
        return print, ("code in a weights file ran",)


@pytest.mark.parametrize(
    "content", ["cut safetensors", "cut torch", "text", "empty", "list", "code"]
)
def test_a_damaged_file_is_refused(
    tmp_path: Path, state: dict[str, Tensor], content: str, capsys: pytest.CaptureFixture
) -> None:
    file = tmp_path / "w.bin"
    if content == "cut safetensors":
        save_file(state, file)
    elif content == "text":
        file.write_text("Dear reader, these are no weights")
    elif content == "empty":
        file.touch()
    else:
        torch.save({"list": [1, 2], "code": {"a": Evil()}}.get(content, state), file)
    if content.startswith("cut"):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(
        InputError, match=r"w\.bin (cannot be read as weights|holds no state dict)"
    ) as problem:
        models.backbone(NAME, file)
    assert "\n" not in str(problem.value)
    assert "code in a weights file ran" not in capsys.readouterr().out


SPLIT = (
    *("small_densenet", "small_resnet", "mobilenet_v2", "resnet18", "efficientnet_lite0"),
    *("mobilenet_v3_small", "efficientnet_b0", "convnext_tiny", "regnet_y_400mf"),
    *("shufflenet_v2_x0_5", "mnasnet0_5", "timm/test_convnext", "timm/test_efficientnet"),
    *("timm/resnet10t",),
)


def test_heads() -> None:
    assert models.linear_head(8, 3)(torch.randn(2, 8)).shape == (2, 3)
    head = models.hidden_head(8, 3, (16, 4), 0.5)
    assert [type(layer).__name__ for layer in head] == [
        *("Linear", "ReLU", "Dropout") * 2,
        "Linear",
        "LogSoftmax",
    ]
    assert torch.allclose(head(torch.randn(2, 8)).exp().sum(1), torch.ones(2))


def test_the_baseline() -> None:
    network = models.SmallCNN(5, size=32)
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 5)


@pytest.mark.parametrize("name", SPLIT)
def test_the_two_parts_of_a_split_backbone_compute_the_same(name: str) -> None:
    backbone = models.freeze(models.backbone(name, "none"))
    lower, upper = models.split(backbone, 64)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        maps = lower(images)
        assert maps.shape == (2, lower.num_features)
        assert torch.allclose(upper(maps), backbone(images), rtol=1e-4, atol=1e-6)
    assert not any(module.training for module in backbone.modules())


def test_other_families_are_not_split() -> None:
    with pytest.raises(InputError, match="vgg11 cannot be split before its last stage; use"):
        models.split(models.backbone("vgg11", "none"), 64)
