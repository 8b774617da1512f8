"""timm's networks as backbones: one of each family passes the same tests as torchvision's."""

from __future__ import annotations

import copy
import importlib.metadata
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flowerlib import models
from flowerlib.classifier import Classifier
from flowerlib.data.sources import downloads
from flowerlib.models import timm_networks
from flowerlib.support.errors import InputError
from flowerlib.transforms import Preprocessing

timm = pytest.importorskip("timm")

# One small network of each family, by the module of timm that it is in.
FAMILIES = {
    "byoanet": "eca_botnext26ts_256",
    "byobnet": "test_byobnet",
    "cait": "cait_xxs24_224",
    "coat": "coat_tiny",
    "convit": "convit_tiny",
    "convmixer": "convmixer_768_32",
    "convnext": "test_convnext",
    "crossvit": "crossvit_tiny_240",
    "cspnet": "cspresnet50",
    "davit": "davit_tiny",
    "deit": "deit_tiny_patch16_224",
    "densenet": "densenet121",
    "dla": "dla46x_c",
    "dpn": "dpn48b",
    "edgenext": "edgenext_xx_small",
    "efficientformer": "efficientformer_l1",
    "efficientformer_v2": "efficientformerv2_s0",
    "efficientnet": "test_efficientnet",
    "efficientvit_mit": "efficientvit_b0",
    "efficientvit_msra": "efficientvit_m0",
    "eva": "eva02_tiny_patch14_224",
    "fasternet": "fasternet_t0",
    "fastvit": "fastvit_t8",
    "focalnet": "focalnet_tiny_srf",
    "gcvit": "gcvit_xxtiny",
    "ghostnet": "ghostnet_050",
    "hardcorenas": "hardcorenas_a",
    "hgnet": "hgnetv2_b0",
    "hiera": "hiera_tiny_224",
    "hrnet": "hrnet_w18_small",
    "inception_next": "inception_next_atto",
    "inception_v3": "inception_v3",
    "levit": "levit_128s",
    "mambaout": "test_mambaout",
    "maxxvit": "test_maxvit",
    "metaformer": "poolformerv2_s12",
    "mlp_mixer": "gmlp_ti16_224",
    "mobilenetv3": "lcnet_035",
    "mobilevit": "mobilevit_xxs",
    "mvitv2": "mvitv2_tiny",
    "nest": "nest_tiny",
    "nextvit": "nextvit_small",
    "nfnet": "test_nfnet",
    "pit": "pit_ti_224",
    "pvt_v2": "pvt_v2_b0",
    "rdnet": "rdnet_tiny",
    "regnet": "regnetx_002",
    "repghost": "repghostnet_050",
    "repvit": "repvit_m0_9",
    "res2net": "res2net50_26w_4s",
    "resnest": "resnest14d",
    "resnet": "test_resnet",
    "resnetv2": "resnetv2_18",
    "rexnet": "rexnetr_100",
    "selecsls": "selecsls42",
    "senet": "legacy_seresnet18",
    "sequencer": "sequencer2d_s",
    "shvit": "shvit_s1",
    "sknet": "skresnet18",
    "starnet": "starnet_s050",
    "swiftformer": "swiftformer_xs",
    "swin_transformer": "swin_tiny_patch4_window7_224",
    "swin_transformer_v2": "swinv2_tiny_window8_256",
    "swin_transformer_v2_cr": "swinv2_cr_tiny_224",
    "tiny_vit": "tiny_vit_5m_224",
    "tnt": "tnt_s_legacy_patch16_224",
    "tresnet": "tresnet_m",
    "twins": "twins_pcpvt_small",
    "vgg": "vgg11",
    "visformer": "visformer_tiny",
    "vision_transformer": "test_vit",
    "vision_transformer_hybrid": "vit_tiny_r_s16_p8_224",
    "vision_transformer_relpos": "test_vit_relpos",
    "vitamin": "vitamin_small_224",
    "volo": "volo_d1_224",
    "vovnet": "ese_vovnet19b_dw",
    "xcit": "xcit_nano_12_p8_224",
}
QUICK = (
    *("convnext", "efficientnet", "mobilenetv3", "pvt_v2", "resnet", "vision_transformer"),
    *("vision_transformer_relpos", "starnet"),
    *("convit", "fasternet"),  # one notes its images' size, one has its own method as a setting
)
EXACT = {"device": "cpu", "precision": "fp32"}
SIDE = 96  # pixels, of networks that take images of any size


def size_of(name: str) -> int:
    settings = timm.get_pretrained_cfg(name)
    return settings.input_size[1] if settings.fixed_input_size else SIDE


def pictures(side: int) -> torch.Tensor:
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "family",
    [
        family if family in QUICK else pytest.param(family, marks=pytest.mark.slow)
        for family in FAMILIES
    ],
)
def test_every_family(family: str, tmp_path: Path) -> None:
    """The width of its features, frozen in every mode, the same from a file and from a copy."""
    name = FAMILIES[family]
    if not timm.is_model(name):
        pytest.skip(f"timm {timm.__version__} has no {name}")
    side = size_of(name)
    backbone = models.backbone(f"timm/{name}", "none")
    assert backbone.name.partition(".")[0] == f"timm/{name}" and backbone.library == "timm"
    before = models.freeze(backbone).digest()
    network = models.Network(backbone, models.linear_head(backbone.num_features, 3)).train()
    optimizer = torch.optim.SGD(models.trainable_parameters(network), lr=0.1)
    torch.nn.functional.cross_entropy(network(pictures(side)), torch.tensor([0, 1])).backward()
    optimizer.step()
    assert backbone.digest() == before
    with torch.inference_mode():
        expected = backbone(pictures(side))
        assert expected.shape == (2, backbone.num_features) and expected.isfinite().all()
        for copied in (copy.deepcopy(backbone), pickle.loads(pickle.dumps(backbone))):
            assert not copied.train().training
            assert torch.equal(copied(pictures(side)), expected)
    there_and_back(backbone, side, tmp_path)
    if models.has_levels(backbone):
        with torch.inference_mode():
            several = models.multi_level(backbone)(pictures(side))
        last = expected - expected.mean(1, keepdim=True)
        alike = torch.nn.functional.cosine_similarity(several[:, -last.shape[1] :], last)
        assert torch.allclose(alike, torch.ones(2), atol=1e-3)
        # With random weights, some of LeViT's maps are constant to a part in 30,000: most of their
        # standard deviation is rounding, in torch as in ONNX Runtime.
        there_and_back(models.multi_level(backbone), side, tmp_path, close=2e-2)


def there_and_back(backbone: models.Backbone, side: int, folder: Path, close: float = 1e-3) -> None:
    """A classifier from its file gives the same answers, through the fast way as through torch."""
    head = models.linear_head(backbone.num_features, 2)
    first = Classifier(backbone, head, ("a", "b"), Preprocessing(side, side))
    again = Classifier.load(first.save(folder / "c.safetensors"))
    assert again.backbone.digest() == backbone.digest()
    assert (again.backbone.name, again.backbone.layers) == (backbone.name, backbone.layers)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    image = first.preprocessing(picture)[None]
    with torch.inference_mode():
        expected, found = (one.head(one.backbone(image)) for one in (first, again))
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert torch.allclose(again.logits([picture], **EXACT), expected, rtol=1e-2, atol=close)


def test_families_are_timms() -> None:
    known = {family: name for family, name in FAMILIES.items() if timm.is_model(name)}
    assert len(known) >= 60
    for family, name in known.items():
        assert name in timm.list_models(module=family)


def test_names_with_and_without_a_tag() -> None:
    names = models.names("timm")
    assert {"timm/resnet50", "timm/resnet50.a1_in1k"} <= set(names) and len(names) > 1000
    assert not any(name.startswith("timm/") for name in models.names())
    backbone = models.backbone("timm/test_convnext", "none")
    assert backbone.name == "timm/test_convnext.r160_in1k"
    assert models.backbone(backbone.name, "none").digest() == backbone.digest()
    with pytest.raises(InputError, match='library must be "timm" or left out'):
        models.names("keras")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("timm/resnet_50", "did you mean timm/resnet50"),
        ("timm/resnet50.a1_in2k", "did you mean timm/resnet50.a1_in1k"),
        ("resnest14d", "did you mean timm/resnest14d"),
        ("timm/hf-hub:somebody/something", "no backbone called"),
        ("timm/", "no backbone called"),
    ],
)
def test_unknown_names_are_refused(name: str, hint: str) -> None:
    with pytest.raises(InputError, match=hint):
        models.backbone(name, "none")


def test_preprocessing_is_that_of_the_weights() -> None:
    assert models.backbone("timm/resnet50", "none").preprocessing == Preprocessing(
        235, 224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "bicubic"
    )
    assert timm_networks.Timm().preprocessing("timm/coat_lite_medium_384").resize_mode == "squash"


@pytest.mark.parametrize(
    ("crop_mode", "resize_mode"), [("center", "crop"), ("squash", "squash"), ("border", "pad")]
)
def test_photos_are_cut_where_timm_cuts_them(
    monkeypatch: pytest.MonkeyPatch, crop_mode: str, resize_mode: str
) -> None:
    settings = timm.models.PretrainedCfg(input_size=(3, 90, 90), crop_pct=0.9, crop_mode=crop_mode)
    monkeypatch.setattr(timm, "get_pretrained_cfg", lambda name: settings)
    found = timm_networks.Timm().preprocessing("timm/any")
    assert found.resize_mode == resize_mode
    assert (found.resize, found.crop) == (100 if resize_mode == "crop" else 90, 90)


def test_without_a_connection_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "can_be_reached", lambda url: False)
    monkeypatch.setattr(timm_networks, "fetched_before", lambda name: None)
    with pytest.raises(InputError, match="timm/test_vit could not be had: the Hugging Face") as no:
        models.backbone("timm/test_vit")
    assert "efficientnet_lite0" in str(no.value) and "\n" not in str(no.value)


def test_weights_that_were_fetched_before_need_no_connection(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from safetensors.torch import save_file

    whole = timm.create_model("test_vit")
    save_file(whole.state_dict(), tmp_path / "model.safetensors")
    monkeypatch.setattr(downloads, "can_be_reached", lambda url: False)
    monkeypatch.setattr(
        timm_networks, "fetched_before", lambda name: tmp_path / "model.safetensors"
    )
    random_state = torch.get_rng_state()
    found = models.backbone("timm/test_vit")
    assert torch.equal(random_state, torch.get_rng_state())
    assert found.weights == "pretrained"
    assert torch.equal(found.body.state_dict()["norm.bias"], whole.state_dict()["norm.bias"])
    own = models.backbone("timm/test_vit", tmp_path / "model.safetensors")
    assert own.digest() == found.digest() and own.weights == "model.safetensors"
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(InputError, match="Pretrained weights of timm/test_vit could not be had"):
        models.backbone("timm/test_vit")


def test_weights_that_timm_does_not_have() -> None:
    with pytest.raises(InputError, match="timm has no pretrained weights for timm/botnet50ts_256"):
        models.backbone("timm/botnet50ts_256")
    with pytest.raises(InputError, match='no weights of that name; use weights "pretrained" or'):
        models.backbone("timm/test_vit", "imagenet")
    assert models.weights_origin("timm/test_vit") == (
        "weights r160_in1k of timm, fetched once from the Hugging Face hub"
    )


def test_a_network_that_another_timm_has_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = models.backbone("timm/test_vit", "none")
    head = models.linear_head(backbone.num_features, 2)
    file = Classifier(backbone, head, ("a", "b"), Preprocessing(160, 160)).save(tmp_path / "c.st")
    here = importlib.metadata.version("timm")
    for part, change in (
        ("is_model", lambda name: False),
        ("create_model", lambda name, **options: CREATE("test_vit2", **options)),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(timm, part, change)
            patch.setattr(importlib.metadata, "version", lambda name: "9.9")
            with pytest.raises(InputError, match=f"install timm=={here}") as problem:
                Classifier.load(file)
        assert "9.9" in str(problem.value) and "\n" not in str(problem.value)
    assert Classifier.load(file).backbone.digest() == backbone.digest()


CREATE = timm.create_model
