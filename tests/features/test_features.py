"""The cache answers what a fresh pass would, is keyed by all that matters, and mends itself."""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path
from types import MethodType

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn

from flowerlib import data, features, models
from flowerlib.data import Photos
from flowerlib.features import cache, engine, folding, rounding, runtime
from flowerlib.models import fingerprint
from flowerlib.support.errors import InputError
from flowerlib.transforms import Preprocessing

SMALL = Preprocessing(48, 48)
RUN_CONVERSION = runtime.run_conversion  # before tests/conftest.py has put another in its place


@pytest.fixture(scope="module")
def backbone() -> models.Backbone:
    return models.backbone("small_densenet", "small")


@pytest.fixture
def photos(flower_folder: Path) -> Photos:
    return data.image_folder(flower_folder).valid


def extract(backbone: models.Backbone, photos: Photos, **options) -> features.Features:
    options = {"precision": "fp32", "device": "cpu", "preprocessing": SMALL} | options
    return features.extract(backbone, photos, **options)


def stored(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.safetensors"))


@pytest.mark.usefixtures("own_cache")
def test_the_cache_answers_like_a_fresh_pass(backbone: models.Backbone, photos: Photos) -> None:
    fresh = extract(backbone, photos, cache=False)
    first, second = extract(backbone, photos), extract(backbone, photos)
    assert fresh.values.shape == (12, backbone.num_features)
    assert fresh.values.dtype == torch.float32 and fresh.values.std() > 0
    assert (fresh.computed, first.computed, second.computed) == (12, 12, 0)
    assert torch.equal(fresh.values, first.values) and torch.equal(first.values, second.values)
    assert fresh.labels.tolist() == photos.labels.tolist() == second.labels.tolist()


def test_compact_features_are_the_same_numbers_in_half_the_memory(
    backbone: models.Backbone, photos: Photos, own_cache: Path
) -> None:
    whole = extract(backbone, photos, precision="bf16")
    known = extract(backbone, photos, precision="bf16", compact=True)
    fresh = extract(backbone, photos, precision="bf16", compact=True, cache=False)
    assert (whole.computed, known.computed, fresh.computed) == (12, 0, 12)
    assert (whole.values.dtype, known.values.dtype) == (torch.float32, torch.bfloat16)
    assert torch.equal(whole.values, known.values.float())
    assert torch.equal(fresh.values, known.values)
    (file,) = stored(own_cache)
    assert file.stat().st_size < len(photos) * backbone.num_features * 4
    exact = extract(backbone, photos, precision="fp32", compact=True)
    assert exact.values.dtype == torch.float32


@pytest.mark.usefixtures("own_cache")
def test_the_order_and_company_of_photos_do_not_matter(
    backbone: models.Backbone, photos: Photos
) -> None:
    order = np.random.default_rng(0).permutation(len(photos))
    straight = extract(backbone, photos, cache=False).values
    shuffled = extract(backbone, photos.subset(order), cache=False).values
    assert torch.allclose(straight[torch.from_numpy(order)], shuffled, atol=1e-5)
    extract(backbone, photos.subset([3, 7]))
    mixed = extract(backbone, photos.subset(order))
    assert mixed.computed == 10  # two were known
    assert torch.allclose(straight[torch.from_numpy(order)], mixed.values, atol=1e-5)


@pytest.mark.usefixtures("own_cache")
def test_copies_are_computed_once(backbone: models.Backbone, photos: Photos) -> None:
    found = extract(backbone, photos.subset([0, 1, 0, 0]))
    assert found.computed == 2 and torch.equal(found.values[0], found.values[3])


@pytest.mark.usefixtures("own_cache")
def test_everything_that_changes_a_feature_is_in_the_key(
    backbone: models.Backbone, photos: Photos
) -> None:
    few = photos.subset([0, 5])
    first = extract(backbone, few)
    assert extract(backbone, few).computed == 0
    other = models.backbone("small_densenet", "none", seed=1)
    shifted = Preprocessing(48, 48, mean=(0.5, 0.5, 0.5))
    for answer in (
        extract(other, few),
        extract(backbone, few, preprocessing=shifted),
        extract(backbone, few, precision="bf16"),
    ):
        assert answer.computed == 2
        assert not torch.equal(answer.values, first.values)
    assert torch.equal(extract(backbone, few).values, first.values)


@pytest.mark.usefixtures("own_cache")
def test_another_release_of_the_layers_code_is_noticed(
    backbone: models.Backbone, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = photos.subset([0])
    assert extract(backbone, few).computed == 1
    monkeypatch.setattr(torchvision, "__version__", f"{torchvision.__version__}.post1")
    assert extract(backbone, few).computed == 1


@pytest.mark.usefixtures("own_cache")
def test_one_changed_weight_or_statistic_is_noticed(photos: Photos) -> None:
    backbone = models.backbone("small_densenet", "small")
    few = photos.subset([0])
    extract(backbone, few)
    norm = next(m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d))
    with torch.no_grad():
        norm.running_mean[0] += 1
    assert extract(backbone, few).computed == 1


@pytest.mark.usefixtures("own_cache")
def test_a_changed_file_is_noticed(tmp_path: Path, backbone: models.Backbone) -> None:
    file = tmp_path / "a.png"
    values = []
    for color in ("red", "blue"):
        Image.new("RGB", (48, 48), color).save(file)
        answer = extract(backbone, Photos([file], [0], ["a"]))
        assert answer.computed == 1
        values.append(answer.values)
    assert not torch.equal(*values)


def test_features_belong_to_the_content_that_was_decoded(
    backbone: models.Backbone, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A photo that changes between digest and decoding is reported, and poisons no cache."""
    file, kept = tmp_path / "a.bmp", tmp_path / "kept.bmp"
    first, second = (Image.new("RGB", (96, 96), color) for color in ("red", "blue"))
    first.save(file)
    first.save(kept)
    photos = Photos([file], [0], ["a"])
    digests = photos.digests

    def late() -> np.ndarray:
        found = digests()
        second.save(file)
        return found

    monkeypatch.setattr(photos, "digests", late)
    with pytest.raises(InputError, match=r"a\.bmp changed while it was read"):
        extract(backbone, photos)
    monkeypatch.undo()
    for given in (photos, Photos([kept], [0], ["a"])):
        again = extract(backbone, given)
        assert torch.equal(again.values, extract(backbone, given, cache=False).values)


def test_photos_that_change_later_get_other_features(
    backbone: models.Backbone, own_cache: Path
) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), np.uint8)
    photos = Photos(pictures, [0, 0], ["a"])
    before = extract(backbone, photos)
    pictures[0] //= 2
    after = extract(backbone, photos)
    assert after.computed == 1 and torch.equal(after.values[1], before.values[1])
    assert torch.equal(after.values, extract(backbone, photos, cache=False).values)


def test_labels_of_features_are_their_own(backbone: models.Backbone, photos: Photos) -> None:
    found = extract(backbone, photos)
    before = photos.labels.copy()
    found.labels += 1
    assert np.array_equal(photos.labels, before)


def test_all_unreadable_photos_are_named(
    tmp_path: Path, backbone: models.Backbone, photos: Photos, own_cache: Path
) -> None:
    bad = []
    for number in range(7):
        bad.append(tmp_path / f"bad{number}.jpg")
        bad[-1].write_text(f"letter {number}")
    paths = [*bad, *photos.paths]
    mixed = Photos(paths, [0] * len(paths), photos.class_names)
    with pytest.raises(InputError) as problem:
        extract(backbone, mixed)
    text = str(problem.value)
    assert text.startswith("7 unreadable photos: ") and text.endswith("; replace or remove them.")
    assert all(f"bad{number}.jpg: this is a text file" in text for number in range(5))
    assert "and 2 more" in text
    assert extract(backbone, photos).computed == 0  # the readable ones were kept
    with pytest.raises(
        InputError, match=r"^1 unreadable photo: .*none\.jpg: there is no such file"
    ):
        extract(backbone, Photos([tmp_path / "none.jpg"], [0], ["a"]))


def test_a_cache_file_that_this_user_may_not_read_is_left_to_its_owner(
    backbone: models.Backbone, photos: Photos, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = photos.subset([0, 4])
    before = extract(backbone, few).values
    (file,) = stored(own_cache)

    def refused(*given: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cache, "safe_open", refused)
    with pytest.warns(UserWarning, match="cannot be used .*Permission denied.*computed again"):
        found = extract(backbone, few)
    assert found.computed == 2 and torch.equal(found.values, before)
    assert file.exists()


@pytest.mark.parametrize("damage", ["cut", "noise", "empty", "shape", "bit", "stray"])
def test_a_damaged_cache_file_is_replaced(
    backbone: models.Backbone, photos: Photos, own_cache: Path, damage: str
) -> None:
    few = photos.subset([0, 4])
    before = extract(backbone, few).values
    (file,) = stored(own_cache)
    if damage == "shape":
        from safetensors.torch import save_file

        save_file({"digests": torch.zeros(2, 16).byte(), "values": torch.zeros(2, 3)}, file)
    elif damage == "stray":  # of the same photos, and of another precision's cache
        extract(backbone, few, precision="bf16")
        (other,) = set(stored(own_cache)) - {file}
        file.write_bytes(other.read_bytes())
    else:
        content = file.read_bytes()
        bit = content[:-700] + bytes([content[-700] ^ 4]) + content[-699:]
        file.write_bytes(
            {"cut": content[:-9], "noise": b"\xff" * 400, "empty": b"", "bit": bit}[damage]
        )
    with pytest.warns(UserWarning, match="Damaged cache file .* removed"):
        answer = extract(backbone, few)
    assert answer.computed == 2 and torch.equal(answer.values, before)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert extract(backbone, few).computed == 0


def test_nothing_is_stored_without_the_cache(
    backbone: models.Backbone, photos: Photos, own_cache: Path
) -> None:
    extract(backbone, photos.subset([0]), cache=False)
    assert not stored(own_cache)


def test_the_backbone_is_not_changed(photos: Photos) -> None:
    backbone = models.backbone("small_densenet", "small")
    before = backbone.digest(), backbone.training
    extract(backbone, photos.subset([0]), cache=False)
    extract(backbone, photos.subset([0]), cache=False, precision="bf16")
    assert (backbone.digest(), backbone.training) == before
    assert all(p.dtype == torch.float32 and p.requires_grad for p in backbone.parameters())


def with_statistics(name: str) -> models.Backbone:
    """A random network whose BatchNorm layers hold numbers as after some training."""
    name, _, layers = name.partition(", ")
    backbone = models.backbone(name, "none", layers=layers or "last")
    generator = torch.Generator().manual_seed(1)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            shape = module.running_mean.shape
            module.running_mean.copy_(0.3 * torch.randn(shape, generator=generator))
            module.running_var.copy_(0.5 + torch.rand(shape, generator=generator))
            with torch.no_grad():
                module.weight.copy_(0.5 + torch.rand(shape, generator=generator))
                module.bias.copy_(0.3 * torch.randn(shape, generator=generator))
    return backbone


@pytest.mark.parametrize(
    "name",
    [
        *("densenet121", "mobilenet_v2", "resnet50", "small_resnet", "googlenet"),
        *("shufflenet_v2_x0_5", "efficientnet_lite0", "timm/test_resnet"),
    ],
)
def test_folding_changes_nothing_but_the_time(name: str) -> None:
    backbone = with_statistics(name)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    folded = folding.fold(backbone, images[:1])

    def count(module: nn.Module) -> int:
        return sum(isinstance(m, nn.BatchNorm2d) for m in module.modules())

    with torch.inference_mode():
        expected, found = backbone.eval()(images), folded(images)
    assert count(folded) < count(backbone)
    assert float((found - expected).norm() / expected.norm()) < 1e-4


class Shared(nn.Module):
    """A convolution whose output is needed a second time, so that it must not be folded into."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.norm.running_mean += 1

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.conv(images)
        return self.norm(maps) + maps


def test_what_folding_would_change_is_left_as_it_is() -> None:
    network, images = Shared().eval(), torch.rand(2, 3, 8, 8)
    with torch.inference_mode():
        assert torch.equal(folding.fold(network, images)(images), network(images))
    activated = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.BatchNorm2d(4)).eval()
    with torch.inference_mode():
        assert torch.equal(folding.fold(activated, images)(images), activated(images))


def plain_features(backbone: models.Backbone, photos: Photos) -> torch.Tensor:
    """What torch computes without any of the project's ways to be fast."""
    images = torch.stack([SMALL(photos.image(number)) for number in range(len(photos))])
    with torch.inference_mode():
        return backbone.eval()(images)


@pytest.mark.parametrize(
    "name",
    [
        *("small_densenet", "small_resnet, multi-level", "mobilenet_v3_small"),
        *("shufflenet_v2_x0_5", "timm/test_efficientnet"),
    ],
)
def test_the_fast_way_gives_the_features_of_plain_torch(name: str, photos: Photos) -> None:
    backbone = with_statistics(name)
    few = photos.subset([0, 4, 8])
    expected = plain_features(backbone, few)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = extract(backbone, few, cache=False).values
    assert float((found - expected).norm() / expected.norm()) < 1e-5


def test_a_process_of_its_own_converts(
    photos: Photos, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for users: all other tests fork a process that has torch already."""
    monkeypatch.setattr(runtime, "kept_in", lambda: own_cache)
    monkeypatch.setattr(runtime, "run_conversion", RUN_CONVERSION)
    few, backbone = photos.subset([0, 4]), models.backbone("small_resnet", "small")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = extract(backbone, few).values
    expected = plain_features(backbone, few)
    assert float((found - expected).norm() / expected.norm()) < 1e-5
    assert len(list(own_cache.glob("*.onnx"))) == 1


class Wrong(runtime.Session):
    """What a wrong kernel would make of a network."""

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        return 2 * super().__call__(pixels)


class Broken(runtime.Session):
    """A runtime that gives up."""

    def __init__(self, network: runtime.Computation) -> None:
        raise RuntimeError("this processor lacks something\nand a second line")


@pytest.mark.parametrize(
    ("session", "reason"),
    [(Wrong, "differ from plain fp32 ones by 100%"), (Broken, "this processor lacks something;")],
)
def test_where_the_fast_way_is_wrong_or_fails_plain_torch_answers_with_a_warning(
    session: type, reason: str, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone, few = models.backbone("small_densenet", "small"), photos.subset([0, 4])
    monkeypatch.setattr(runtime, "Session", session)
    with pytest.warns(UserWarning, match=f"ONNX Runtime .*small_densenet.*{reason}.*plain torch"):
        found = extract(backbone, few, cache=False)
    expected = plain_features(backbone, few)
    assert float((found.values - expected).norm() / expected.norm()) < 1e-5


def test_networks_that_the_runtime_does_not_suit_are_computed_by_torch(
    photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "Session", Broken)  # nobody calls it
    layers = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.LayerNorm(48))
    own = models.backbone(layers, preprocessing=SMALL)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = extract(own, photos.subset([0]), cache=False).values
    assert torch.allclose(found, plain_features(own, photos.subset([0])), atol=1e-5)


@pytest.fixture(params=["none", "doubled", "raises"])
def bf16(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A processor that says it computes in bf16, and does so rightly, wrongly or not at all."""
    capabilities = {"avx512_bf16": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    honest = folding.fold

    def fold(network: nn.Module, images: torch.Tensor) -> nn.Module:
        if request.param == "raises":
            raise RuntimeError("bf16 path needs the cpu support avx_ne_convert\nor so")
        folded = honest(network, images)
        return nn.Sequential(folded, Doubled()) if request.param == "doubled" else folded

    monkeypatch.setattr(folding, "fold", fold)
    return request.param


class Doubled(nn.Module):
    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return 2 * values


def test_bf16_is_computed_rightly_or_refused(
    bf16: str, photos: Photos, backbone: models.Backbone, own_cache: Path
) -> None:
    few, exact = photos.subset([0, 4]), extract(backbone, photos.subset([0, 4])).values
    if bf16 == "none":
        found = extract(backbone, few, precision="auto")
        assert found.precision == "bf16"
        assert 0 < float((found.values - exact).norm() / exact.norm()) < 0.05
        return
    reason = {"doubled": "features differ .* by 1[0-9]+%", "raises": "bf16 path needs the cpu"}
    for _ in range(2):  # also the second time, when the features in fp32 are known
        with pytest.warns(UserWarning, match=f"bf16 .*{reason[bf16]}.*; using fp32"):
            found = extract(backbone, few, precision="auto")
        assert found.precision == "fp32" and torch.equal(found.values, exact)
    with pytest.raises(InputError, match=f"bf16 .*{reason[bf16]}.*; use fp32") as problem:
        extract(backbone, few, precision="bf16")
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.ReLU6])
@pytest.mark.parametrize("inplace", [False, True])
def test_relu_on_integers_is_that_on_numbers(activation: type[nn.ReLU], inplace: bool) -> None:
    every = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(torch.bfloat16)
    for numbers in (every[~every.isnan()], torch.randn(100)):
        clamped, given = rounding.IntegerReLU(activation(inplace)), numbers.clone()
        found = clamped(given)
        assert torch.equal(found, activation()(numbers))
        assert torch.equal(given, found if inplace else numbers)


@pytest.mark.parametrize("name", ["mobilenet_v2", "efficientnet_lite0", "small_densenet"])
def test_a_network_in_bf16_computes_what_autocast_computes(name: str) -> None:
    backbone = with_statistics(name).eval().requires_grad_(False)
    rounded = copy.deepcopy(backbone)
    rounding.to_bf16(rounded)
    assert any(isinstance(layer, rounding.IntegerReLU) for layer in rounded.modules())
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(rounded(images), backbone(images))


class Short(nn.Module):
    """Runs out of memory with more photos at a time than `most`."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.pool = most, nn.AdaptiveAvgPool2d(2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB\nHint")
        return self.pool(images).flatten(1)


def test_a_batch_that_does_not_fit_into_memory_is_computed_in_parts(photos: Photos) -> None:
    few = photos.subset(range(7))
    roomy, short = (models.backbone(Short(most), preprocessing=SMALL) for most in (99, 2))
    assert torch.equal(extract(short, few).values, extract(roomy, few).values)


def test_bf16_can_be_had_on_any_processor(photos: Photos, backbone: models.Backbone) -> None:
    few = photos.subset([0, 4])
    exact = extract(backbone, few, cache=False).values
    found = extract(backbone, few, cache=False, precision="bf16")
    assert found.precision == "bf16"
    assert 0 < float((found.values - exact).norm() / exact.norm()) < 0.05


@pytest.mark.parametrize(
    ("capabilities", "used", "expected"),
    [
        ({"avx512_bf16": True}, "AVX512", "bf16"),
        ({"avx512_bf16": True}, "AVX2", "fp32"),  # torch was asked to use less
        ({"avx512_bf16": False, "avx2": True}, "AVX2", "fp32"),
        ({}, "DEFAULT", "fp32"),
        (None, "AVX512", "fp32"),  # a torch that cannot tell
    ],
)
def test_bf16_is_chosen_where_the_processor_has_it(
    capabilities: dict[str, bool] | None,
    used: str,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if capabilities is None:
        monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    else:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: used)
    assert engine.choose_precision("auto", "cpu") == expected


class Pooled(nn.Module):
    """Layers without weights; what they compute is only in their settings."""

    def __init__(self, pool: nn.Module, stride: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3, stride), pool, nn.Flatten())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images)


def pooled(pool: nn.Module, stride: int = 1) -> models.Backbone:
    with models.seeded(0):
        layers = nn.Sequential(nn.Conv2d(3, 8, 3, stride), pool, nn.Flatten())
    return models.backbone(layers, preprocessing=SMALL)


@pytest.mark.usefixtures("own_cache")
def test_networks_of_equal_weights_that_compute_otherwise_share_nothing(photos: Photos) -> None:
    few = photos.subset([0, 5])
    networks = [
        pooled(nn.AdaptiveAvgPool2d(1)),
        pooled(nn.AdaptiveMaxPool2d(1)),
        pooled(nn.AdaptiveAvgPool2d(1), stride=2),
    ]
    assert len({network.digest() for network in networks}) == 1
    found = [extract(network, few) for network in networks]
    assert [answer.computed for answer in found] == [2, 2, 2]
    for network, answer in zip(networks, found, strict=True):
        assert torch.allclose(answer.values, plain_features(network, few), atol=1e-5)
        assert extract(network, few).computed == 0


@pytest.mark.usefixtures("own_cache")
def test_networks_with_code_of_their_own_are_not_stored(photos: Photos) -> None:
    few = photos.subset([0])
    own = models.backbone(Pooled(nn.AdaptiveAvgPool2d(1)), preprocessing=SMALL)
    hooked = pooled(nn.AdaptiveAvgPool2d(1))
    hooked.body[0].register_forward_hook(lambda *given: given[2] * 2)
    replaced = pooled(nn.AdaptiveAvgPool2d(1))
    replaced.body[1].forward = lambda maps: maps.amax((2, 3), keepdim=True)
    bound = pooled(nn.AdaptiveAvgPool2d(1))
    bound.body[1].forward = MethodType(lambda _, maps: maps.amax((2, 3), keepdim=True), nn.ReLU())
    traced = pooled(nn.AdaptiveAvgPool2d(1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch advises against TorchScript
        unknown = Pooled(nn.AdaptiveMaxPool2d(1)).requires_grad_(False)
        traced.body = torch.jit.trace(unknown, torch.rand(1, 3, 8, 8))
    for network in (own, hooked, replaced, bound, traced):
        for _ in range(2):
            found = extract(network, few)
            assert found.computed == 1
            assert torch.allclose(found.values, plain_features(network, few), atol=1e-5)


@pytest.mark.usefixtures("own_cache")
def test_a_class_whose_code_was_replaced_is_noticed(
    photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, network = photos.subset([0]), pooled(nn.AdaptiveAvgPool2d(1))
    assert extract(network, few).computed == 1
    monkeypatch.setattr(nn.AdaptiveAvgPool2d, "forward", lambda _, maps: maps.amax((2, 3)))
    found = extract(network, few)
    assert found.computed == 1
    assert torch.allclose(found.values, plain_features(network, few), atol=1e-5)


@pytest.mark.usefixtures("own_cache")
def test_any_method_that_was_replaced_is_noticed(
    photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Networks compute in methods beside `forward`, of which torchvision's begin with `_`."""
    few, plain = photos.subset([0]), models.backbone("small_resnet", "small")

    def without_pooling(body: nn.Module, images: torch.Tensor) -> torch.Tensor:
        maps = body.relu(body.bn1(body.conv1(images)))
        return body.avgpool(body.layer4(body.layer3(body.layer2(body.layer1(maps)))))

    assert extract(plain, few).computed == 1 and extract(plain, few).computed == 0
    replaced = models.backbone("small_resnet", "small")
    replaced.body._forward_impl = MethodType(without_pooling, replaced.body)
    for _ in range(2):
        found = extract(replaced, few)
        assert found.computed == 1
        assert torch.allclose(found.values, plain_features(replaced, few), atol=1e-5)
    assert fingerprint.difference(replaced.body, plain.body, 48)
    monkeypatch.setattr(type(plain.body), "_forward_impl", without_pooling)
    found = extract(plain, few)
    assert found.computed == 1
    assert torch.allclose(found.values, plain_features(plain, few), atol=1e-5)


def test_a_frozen_body_is_as_well_known_as_any() -> None:
    network = models.backbone("small_resnet", "small").body
    assert fingerprint.structure(models.freeze(network.eval())) == fingerprint.structure(
        models.backbone("small_resnet", "small").body
    )


@pytest.mark.usefixtures("own_cache")
def test_networks_that_differ_by_a_bias_share_no_graph(photos: Photos) -> None:
    few = photos.subset([0])
    for bias in (True, False):
        layers = nn.Sequential(nn.Conv2d(3, 8, 3, bias=bias), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        network = models.backbone(layers, preprocessing=SMALL)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = extract(network, few).values
        assert torch.allclose(found, plain_features(network, few), atol=1e-5)


def test_padding_becomes_a_part_of_the_default_networks_convolutions(tmp_path: Path) -> None:
    """In the graph that is computed: maps that are copied for their padding take a fifth more."""
    backbone = models.backbone("efficientnet_lite0", "none")
    network = runtime.Computation(backbone.body, SMALL).eval()
    given, made, computed = (str(tmp_path / name) for name in ("given", "made", "computed"))
    torch.save((network, torch.zeros(2, network.side, network.side, 3, dtype=torch.uint8)), given)
    names = json.loads(runtime.run_conversion(Path(given), Path(made)))
    weights = [network.state_dict()[name].numpy() for name in names]
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = computed, 3
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(value) for value in weights]
    options.add_external_initializers(names, values)
    onnxruntime.InferenceSession(made, options, providers=["CPUExecutionProvider"])
    kinds = {node.op_type for node in onnx.load(computed, load_external_data=False).graph.node}
    assert "Conv" in kinds and "Pad" not in kinds


@pytest.mark.usefixtures("own_cache")
def test_pooling_to_more_than_one_pixel_is_converted(photos: Photos) -> None:
    """As in AlexNet and VGG, for which the exporter must know the maps' size."""
    layers = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.AdaptiveAvgPool2d(SMALL.crop // 2), nn.Flatten()
    )
    few, network = photos.subset([0, 1]), models.backbone(layers, preprocessing=SMALL)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = extract(network, few).values
    assert torch.allclose(found, plain_features(network, few), atol=1e-5)


class Counted(nn.Sequential):
    """A network whose graph is right for the number of images that it was converted with."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images).reshape(int(images.shape[0]), -1)


def test_a_graph_that_takes_one_number_of_images_is_not_used(
    photos: Photos, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "kept_in", lambda: own_cache)
    monkeypatch.setattr(runtime, "suits", lambda network: True)  # also for code that is not known
    layers = Counted(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    network = models.backbone(layers, preprocessing=SMALL)
    with pytest.warns(UserWarning, match="ONNX Runtime does not work for .* here"):
        found = extract(network, photos, cache=False).values
    assert torch.allclose(found, plain_features(network, photos), atol=1e-5)


def test_a_conversion_that_fails_says_why(photos: Photos) -> None:
    """The exporter's own report is a page long, its reason the first line."""
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(7), nn.Flatten())
    network = models.backbone(layers, preprocessing=SMALL)
    with pytest.warns(UserWarning, match="size that are not factor of input size"):
        extract(network, photos.subset([0]), cache=False)


def test_a_garbled_conversion_is_not_kept(
    photos: Photos, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, network = photos.subset([0]), models.backbone("small_resnet", "small")
    monkeypatch.setattr(runtime, "kept_in", lambda: own_cache)

    def garbled(given: Path, made: Path) -> str:
        made.touch()
        return "a farewell of the process"

    monkeypatch.setattr(runtime, "run_conversion", garbled)
    with pytest.warns(UserWarning, match="ONNX Runtime does not work"):
        extract(network, few)
    assert not list(own_cache.glob("*.onnx"))


@pytest.mark.parametrize("count", [1, 5])
def test_a_large_photo_has_the_same_features_whatever_is_beside_it(count: int) -> None:
    backbone, side = models.backbone("small_resnet", "small"), 224
    found = engine.Engine(backbone, Preprocessing(side, side), device="cpu", precision="fp32")
    pixels = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)
    several = found.features(pixels)
    assert several.shape == (count, backbone.num_features)
    for row, picture in zip(several, pixels, strict=True):
        assert torch.equal(row, found.features(picture[None])[0])


def test_a_wrong_number_of_features_is_refused(photos: Photos) -> None:
    layers = nn.Sequential(nn.Conv2d(3, 1, 3), nn.AdaptiveAvgPool2d(1))
    network = models.Backbone("own", layers, 8, "none", SMALL)  # one feature, eight times
    with pytest.raises(InputError, match="own gives 1 features for a photo, not 8"):
        extract(network, photos.subset([0]), cache=False)


def test_wrong_words_are_refused(photos: Photos, backbone: models.Backbone) -> None:
    with pytest.raises(InputError, match="Device must be auto, cpu, cuda or mps"):
        extract(backbone, photos, device="tpu")
    with pytest.raises(InputError, match="Precision must be auto, fp32 or bf16"):
        extract(backbone, photos, precision="fp8")


def test_progress_is_reported(photos: Photos, backbone: models.Backbone) -> None:
    reported: list[tuple[int, int]] = []
    extract(
        backbone, photos, cache=False, progress=lambda done, total: reported.append((done, total))
    )
    assert reported[-1] == (12, 12) and all(total == 12 for _, total in reported)


def test_batches_hold_as_many_pixels_as_maps_allow_and_few_photos_are_divided(
    backbone: models.Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = np.random.default_rng(0).integers(0, 256, (60, 24, 24, 3), dtype=np.uint8)
    sizes: list[int] = []
    compute = engine.Engine.features

    def spy(self: engine.Engine, pixels: np.ndarray | torch.Tensor) -> torch.Tensor:
        sizes.append(len(pixels))
        return compute(self, pixels)

    monkeypatch.setattr(engine.Engine, "features", spy)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    found = {}
    for count, side, expected in (
        (60, 48, [30, 30]),  # a half for each of two threads
        (3, 48, [1, 2]),
        (60, 96, [16, 22, 22]),  # 204,800 pixels at most
        (60, 224, [4] * 15),
    ):
        sizes.clear()
        photos = Photos(drawn[:count], np.zeros(count, np.int64), ("speckle",))
        options = {"preprocessing": Preprocessing(side, side), "cache": False}
        found[count, side] = extract(backbone, photos, **options).values
        assert sorted(sizes) == expected
    assert torch.allclose(found[3, 48], found[60, 48][:3], atol=1e-5)


def test_openmp_sleeps_while_threads_pass_photos_and_may_work_again_afterwards(
    photos: Photos, backbone: models.Backbone
) -> None:
    before, during = torch.get_num_threads(), []
    extract(
        backbone, photos, cache=False, progress=lambda *_: during.append(torch.get_num_threads())
    )
    assert set(during) == {1} and torch.get_num_threads() == before


@pytest.mark.usefixtures("own_cache")
def test_what_was_computed_before_an_interruption_is_kept(
    photos: Photos, backbone: models.Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BATCH_SIZE", {"cpu": 4})

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(backbone, photos, progress=interrupt)
    rest = extract(backbone, photos)
    assert rest.computed == len(photos) - 4
    assert torch.equal(rest.values, extract(backbone, photos, cache=False).values)
