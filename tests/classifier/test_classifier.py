"""The artifact: there and back bit for bit, no code in it, refused when anything is wrong."""

from __future__ import annotations

import json
import lzma
import signal
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from flowerlib import data, models, train
from flowerlib.classifier import Classifier, description
from flowerlib.classifier.artifact import build_head, describe_head
from flowerlib.classifier.classifier import UNSTEADY
from flowerlib.support import storage
from flowerlib.support.errors import InputError
from flowerlib.transforms import Preprocessing
from tests.fuzz.artifacts import honest
from tests.fuzz.memory import growth
from tests.fuzz.pixels import orientation
from tests.models.test_models import AFFORDABLE, ONE_PER_FAMILY, size_of
from tests.samples import make
from tests.warm import python

EXACT = {"precision": "fp32", "device": "cpu"}


@pytest.fixture(scope="module")
def splits(flower_folder: Path) -> data.Splits:
    return data.image_folder(flower_folder)


@pytest.fixture(scope="module")
def classifier(splits: data.Splits) -> Classifier:
    return train.transfer(splits, "small_densenet", cache=False, **EXACT)


@pytest.fixture(scope="module")
def saved(classifier: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return classifier.save(tmp_path_factory.mktemp("model") / "classifier.safetensors")


def test_there_and_back_bit_for_bit(
    classifier: Classifier, saved: Path, splits: data.Splits
) -> None:
    again = Classifier.load(saved)
    assert again.class_names == classifier.class_names
    assert again.preprocessing == classifier.preprocessing
    written = json.loads(json.dumps(classifier.results))
    assert again.results == {name: written[name] for name in written if name not in UNSTEADY}
    assert "seconds" in written  # what a clock measured stays out of the file
    assert again.backbone.digest() == classifier.backbone.digest()
    assert again.backbone.weights == "small"
    before, after = (c.logits(splits.test, **EXACT) for c in (classifier, again))
    assert torch.equal(before, after) and before.std() > 0


QUICK = ("mobilenet_v3_small", "squeezenet1_1", "swin_t", "regnet_x_400mf", "mnasnet0_5")


@pytest.mark.parametrize(
    "name",
    [
        *QUICK,
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in (*ONE_PER_FAMILY, *AFFORDABLE)
            if name not in QUICK
        ),
    ],
)
def test_other_networks_there_and_back(tmp_path: Path, name: str) -> None:
    backbone = models.backbone(name, "none")
    head = models.hidden_head(backbone.num_features, 2, (8,))
    size = size_of(name)
    first = Classifier(backbone, head, ("a", "b"), Preprocessing(size, size))
    again = Classifier.load(first.save(tmp_path / "c.safetensors"))
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    assert again.backbone.digest() == first.backbone.digest()
    # Not bit for bit: the order of a sum can depend on where the weights lie in memory.
    logits = [found.logits([picture], **EXACT) for found in (first, again)]
    assert torch.allclose(*logits, atol=1e-6) and logits[0].std() > 0


def test_a_fresh_process_needs_only_the_file(
    saved: Path, splits: data.Splits, tmp_path: Path, classifier: Classifier
) -> None:
    photo = tmp_path / "new.png"
    splits.test.image(4).save(photo)
    program = (
        "import sys; from flowerlib.classifier import Classifier\n"
        "a = Classifier.load(sys.argv[1]).predict(sys.argv[2], 2, precision='fp32', device='cpu')\n"
        "print(a.name, a.probabilities[0])"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, saved, photo], capture_output=True, text=True, cwd=tmp_path
    )
    name, share = found.stdout.split()
    expected = classifier.predict(splits.test.image(4), 2, **EXACT)
    assert name == expected.name and float(share) == pytest.approx(
        expected.probabilities[0], abs=1e-5
    )


def test_the_file_holds_no_pickle(saved: Path) -> None:
    content = saved.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    sizes = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
    assert 8 + length + max(sizes) == len(content)  # a JSON header, then numbers, and nothing else
    description = json.loads(header["__metadata__"]["flowerlib"])
    assert description["class_names"] == ["daisy", "iris", "lily", "rose"]
    assert {"backbone", "head", "preprocessing", "versions", "results"} <= set(description)


def test_prediction_is_evaluation(classifier: Classifier, splits: data.Splits) -> None:
    paths = [splits.test.name(index) for index in range(len(splits.test))]
    answers = classifier.predict(paths, 4, **EXACT)
    evaluation = classifier.evaluate(splits.test, cache=False, **EXACT)
    for answer, path, logits in zip(answers, paths, evaluation.logits, strict=True):
        assert answer.photo == path
        assert torch.allclose(answer.logits, logits, atol=1e-5)
        alone = classifier.predict(path, 1, **EXACT)
        assert torch.allclose(alone.logits, logits, atol=1e-4)
        assert answer.names[0] == classifier.class_names[int(logits.argmax())] == alone.name
        assert sum(answer.probabilities) == pytest.approx(1, abs=1e-5)
        assert list(answer.probabilities) == sorted(answer.probabilities, reverse=True)
    right = sum(a.name == splits.test.class_name(i) for i, a in enumerate(answers))
    assert evaluation.accuracy == right / 12
    assert evaluation.interval[0] < evaluation.accuracy <= evaluation.interval[1] + 1e-9


def test_an_opened_picture_is_turned_upright_too(
    classifier: Classifier, splits: data.Splits, tmp_path: Path
) -> None:
    stored = splits.test.image(0).transpose(Image.Transpose.ROTATE_90)
    stored.save(tmp_path / "a.png", exif=orientation(6))
    from_file = classifier.logits([tmp_path / "a.png"], **EXACT)
    from_picture = classifier.logits([Image.open(tmp_path / "a.png")], **EXACT)
    upright = classifier.logits([splits.test.image(0)], **EXACT)
    assert torch.equal(from_file, from_picture) and torch.equal(from_file, upright)


def test_the_head_and_backbone_do_not_change(classifier: Classifier) -> None:
    assert not any(p.requires_grad for p in classifier.head.parameters())
    assert not classifier.backbone.train().training


@pytest.mark.parametrize("top_k", [0, 5, -1])
def test_top_k_out_of_range_is_refused(classifier: Classifier, top_k: int) -> None:
    with pytest.raises(InputError, match=rf"top_k is {top_k}, but this classifier knows 4 classes"):
        classifier.predict("not even opened.jpg", top_k)


def test_no_photo_and_a_broken_photo_are_refused(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no photo to look at"):
        classifier.predict([], 1)
    (tmp_path / "letter.jpg").write_text("Dear reader")
    with pytest.raises(InputError, match=r"letter\.jpg: this is a text file"):
        classifier.predict([tmp_path / "letter.jpg"], 1)


def test_a_head_that_could_not_be_saved_is_refused() -> None:
    backbone = models.backbone("small_resnet", "none")
    with pytest.raises(InputError, match="may hold Linear, ReLU, Dropout and LogSoftmax, not Tanh"):
        Classifier(backbone, nn.Sequential(nn.Tanh()), ("a", "b"), Preprocessing(64, 64))


def test_heads_there_and_back() -> None:
    head = models.hidden_head(4, 3, (8, 5), 0.3)
    assert describe_head(build_head(describe_head(head))) == describe_head(head)


def test_saving_is_all_or_nothing(
    classifier: Classifier, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "c.safetensors"
    target.write_bytes(saved.read_bytes())

    def full(path: Path, arrays: dict, metadata: dict) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("flowerlib.classifier.tensorfile.write", full)
    with pytest.raises(InputError, match="Cannot write .*No space left on device"):
        classifier.save(target)
    assert target.read_bytes() == saved.read_bytes()
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(InputError, match="Cannot write"):
        classifier.save(tmp_path / "none" / "c.safetensors")


def test_a_kill_while_saving_leaves_the_old_file(tmp_path: Path, saved: Path) -> None:
    """A process dies right before the new file gets its name; what it leaves does no harm."""
    target = tmp_path / "c.safetensors"
    target.write_bytes(saved.read_bytes())
    program = (
        "import os, signal, sys; from tests.samples import make\n"
        "os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "make.classifier().save(sys.argv[1])"
    )
    assert python(["-c", program, str(target)]).code == -signal.SIGKILL
    (leftover,) = [path for path in tmp_path.iterdir() if path != target]
    assert leftover.name.startswith(".c.safetensors.") and leftover.suffix == ".part"
    assert target.read_bytes() == saved.read_bytes()
    made = make.classifier()
    made.save(target)
    assert Classifier.load(target).class_names == made.class_names


def test_a_network_is_described_without_the_memory_for_its_weights() -> None:
    with growth() as grown:
        models.architecture("regnet_y_128gf")  # of 2.6 GB
    if grown.bytes < 0:
        pytest.skip("this system does not tell how much memory was used")
    assert grown.bytes < 200 << 20


# ---------------------------------------------------------------------------------- damaged files

Tensors = dict[str, Tensor]


def parts_of(file: Path) -> tuple[Tensors, dict]:
    """Through the safetensors library, which must be able to read the file as well."""
    with safe_open(file, framework="pt") as opened:
        tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        return tensors, json.loads(opened.metadata()["flowerlib"])


def rewrite(file: Path, tensors: Tensors, fields: dict, signed: bool = True) -> None:
    """Rewrites the file with the safetensors library, and with digests that fit if `signed`."""
    if signed:
        fields["tensors"] = {k: sha256(v.numpy().tobytes()).hexdigest() for k, v in tensors.items()}
        fields.pop("digest", None)
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
        fields["digest"] = sha256(text.encode()).hexdigest()
    save_file(tensors, file, metadata={"flowerlib": json.dumps(fields)})


def first_weight(tensors: Tensors) -> str:
    return next(key for key in sorted(tensors) if key.endswith("conv0.weight"))


def drop(tensors: Tensors, _: dict) -> None:
    del tensors[first_weight(tensors)]


def poison(tensors: Tensors, _: dict) -> None:
    tensors["head.0.bias"][0] = float("nan")


def reshape(tensors: Tensors, _: dict) -> None:
    tensors["head.0.bias"] = tensors["head.0.bias"][None]


def retype(tensors: Tensors, _: dict) -> None:
    tensors["head.0.bias"] = tensors["head.0.bias"].half()


def add(tensors: Tensors, _: dict) -> None:
    tensors["surprise"] = torch.zeros(1)


def add_to_head(tensors: Tensors, _: dict) -> None:
    tensors["head.9.weight"] = torch.zeros(1)


def only_trained_on(tensors: Tensors, _: dict) -> None:
    del tensors["photos.chosen_with"]


def photos(
    trained_on: Tensor, chosen_with: Tensor | None = None
) -> Callable[[Tensors, dict], None]:
    none = torch.zeros(0, dtype=torch.int64)
    return lambda tensors, _: tensors.update(
        {
            "photos.trained_on": trained_on,
            "photos.chosen_with": none if chosen_with is None else chosen_with,
        }
    )


def change(**entries: object) -> Callable[[Tensors, dict], None]:
    return lambda _, description: description.update(entries)


LINEAR = {"layer": "linear", "inputs": 2, "outputs": 4}
PIXELS = Preprocessing().to_dict()
NAMED = {
    **{"name": "small_resnet", "weights": "none", "layers": "last"},
    **{"library": "torchvision", "library_version": "1"},
}
DAMAGES = {
    "newer": (change(format_version=99), "was written in format 99, which is newer"),
    "another format": (change(format="cake"), "not a flowerlib classifier"),
    "no version": (change(format_version=None), "its format and format_version are garbled"),
    "version true": (change(format_version=True), "its format and format_version are garbled"),
    "format 1 with digests": (change(format_version=1), "it has the unknown '(tensors|digest)'"),
    "missing tensor": (drop, "lacks tensor 'backbone.body.features.conv0.weight'"),
    "NaN": (poison, "tensor 'head.0.bias' holds values not finite"),
    "shape": (reshape, "tensor 'head.0.bias' has the wrong shape or type"),
    "type": (retype, "tensor 'head.0.bias' has the wrong shape or type"),
    "unknown tensor": (add, "the unknown tensor 'surprise'"),
    "unknown tensor in head": (add_to_head, "it has the unknown tensor 'head.9.weight'"),
    "one list of photos": (only_trained_on, "lacks tensor 'photos.chosen_with'"),
    "photos twice": (photos(torch.tensor([3, 3])), "list of photos trained on is garbled"),
    "photos in disorder": (photos(torch.tensor([3, -3])), "photos trained on is garbled"),
    "photos in both": (photos(torch.tensor([3, 4]), torch.tensor([4])), "name the same ones"),
    "photos as table": (photos(torch.tensor([[3], [4]])), "'photos.trained_on' has the wrong"),
    "photos as number": (photos(torch.tensor(3)), "'photos.trained_on' has the wrong"),
    "photos as floats": (photos(torch.tensor([3.0])), "'photos.trained_on' has the wrong"),
    "one name less": (change(class_names=["a", "b", "c"]), "3 class names for 4 outputs"),
    "one name twice": (change(class_names=["a", "b", "c", "c"]), "same name, 'c'"),
    "a number for a name": (change(class_names=["a", "b", "c", 4]), "a class name is not a text"),
    "an empty name": (change(class_names=["a", "b", "c", " "]), "a class name is empty"),
    "a long name": (change(class_names=["a", "b", "c", "d" * 9999]), "has 9,999 characters"),
    "a terminal's command": (change(class_names=["a", "b", "c", "\x1b[2J"]), "cannot be shown"),
    "half a character": (change(class_names=["a", "b", "c", "\ud800"]), "cannot be shown"),
    "no names": (change(class_names=None), "its class names are no list"),
    "unknown backbone": (
        change(backbone=NAMED | {"name": "x"}),
        "needs the network 'x' of torchvision 1, which is unknown here .*; update flowerlib, or",
    ),
    "unknown layers": (change(backbone=NAMED | {"layers": "some"}), "unknown layers 'some'"),
    "unknown library": (change(backbone=NAMED | {"library": "os"}), "unknown library 'os'"),
    "garbled library": (change(backbone=NAMED | {"library": 1}), "the backbone is described by"),
    "name of a list": (change(backbone=NAMED | {"name": [1]}), "the backbone is described by"),
    "no backbone": (change(backbone={}), "its backbone lacks 'layers'"),
    "other backbone": (change(backbone=NAMED), "is damaged"),
    "no head": (change(head=[]), "no list of 1 to 100 layers"),
    "no linear layer": (change(head=[{"layer": "relu"}]), "no linear layer"),
    "a million layers": (change(head=[{"layer": "relu"}] * 30_000), "no list of 1 to 100 layers"),
    "unknown layer": (change(head=[LINEAR, {"layer": "exec"}]), "unknown layer 'exec'"),
    "garbled head": (change(head=[LINEAR | {"inputs": "two"}]), "has inputs 'two'"),
    "negative head": (change(head=[LINEAR | {"inputs": -2}]), "has inputs -2"),
    "giant head": (change(head=[LINEAR | {"outputs": 2**40}]), "has outputs 1099511627776"),
    "true outputs": (change(head=[LINEAR | {"outputs": True}]), "has outputs True"),
    "other layers": (change(head=[LINEAR, LINEAR | {"inputs": 3}]), "do not fit each other"),
    "other head": (change(head=[LINEAR]), "its head does not fit its backbone"),
    "dropout of 2": (change(head=[LINEAR, {"layer": "dropout", "p": 2}]), "has p 2"),
    "garbled results": (change(results=[1]), "its results are no JSON object"),
    "garbled versions": (change(versions={"flowerlib": "1", "torch": 2}), "its versions"),
    "one more field": (change(code="import os"), "it has the unknown 'code'"),
    "garbled preprocessing": (change(preprocessing={"resize": 96}), "exactly the fields"),
    "true pixels": (change(preprocessing=PIXELS | {"crop": True}), "whole numbers"),
    "many pixels": (change(preprocessing=PIXELS | {"resize": 5000}), "between 1 and 4096"),
    "no spread": (change(preprocessing=PIXELS | {"std": [1, 1, 0]}), "at least 1e-6"),
    "texts as means": (change(preprocessing=PIXELS | {"mean": "123"}), "three numbers"),
    "huge means": (change(preprocessing=PIXELS | {"mean": [0, 0, 10**400]}), "none above 1e6"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused(tmp_path: Path, saved: Path, damage: str) -> None:
    tensors, fields = parts_of(saved)
    spoil, message = DAMAGES[damage]
    spoil(tensors, fields)
    file = tmp_path / "c.safetensors"
    rewrite(file, tensors, fields)
    with pytest.raises(InputError, match=message) as problem:
        Classifier.load(file)
    assert "\n" not in str(problem.value)


def test_layers_that_do_not_fit_each_other_are_refused(tmp_path: Path) -> None:
    backbone = models.backbone("small_resnet", "none")
    head = models.hidden_head(backbone.num_features, 2, (8,))
    Classifier(backbone, head, ("a", "b"), Preprocessing(64, 64)).save(tmp_path / "c.safetensors")
    tensors, fields = parts_of(tmp_path / "c.safetensors")
    fields["head"][3]["inputs"] = 9
    tensors["head.3.weight"] = torch.zeros(2, 9)
    rewrite(tmp_path / "c.safetensors", tensors, fields)
    with pytest.raises(InputError, match="do not fit each other"):
        Classifier.load(tmp_path / "c.safetensors")


def one_bit(tensors: Tensors, _: dict) -> None:
    tensors["head.0.bias"].view(torch.int32)[0] ^= 1


def swap(tensors: Tensors, _: dict) -> None:
    first, second = [key for key in tensors if key.endswith("norm5.weight")], "norm5.bias"
    other = first[0].replace("norm5.weight", second)
    tensors[first[0]], tensors[other] = tensors[other], tensors[first[0]]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (one_bit, "tensor 'head.0.bias' does not match its digest"),
        (swap, "does not match its digest"),
        (change(class_names=["daisy", "iris", "lily", "Rose"]), "its description does not match"),
        (change(preprocessing=PIXELS), "its description does not match"),
        (change(results={"accuracy": 1.0}), "its description does not match"),
        (change(digest="0" * 64), "its description does not match"),
        (change(tensors={}), "its description does not match"),
    ],
)
def test_what_changed_after_saving_is_noticed(
    tmp_path: Path, saved: Path, spoil: Callable, message: str
) -> None:
    tensors, fields = parts_of(saved)
    spoil(tensors, fields)
    rewrite(tmp_path / "c.safetensors", tensors, fields, signed=False)
    with pytest.raises(InputError, match=message):
        Classifier.load(tmp_path / "c.safetensors")


def test_the_safetensors_library_reads_the_file(saved: Path, classifier: Classifier) -> None:
    tensors, fields = parts_of(saved)
    for key, value in classifier.backbone.body.state_dict().items():
        assert torch.equal(tensors[f"backbone.{key}"], value)
        assert fields["tensors"][f"backbone.{key}"] == sha256(value.numpy().tobytes()).hexdigest()
    assert fields["format_version"] == description.FORMAT_VERSION


def test_what_the_safetensors_library_writes_is_read(tmp_path: Path, saved: Path) -> None:
    tensors, fields = parts_of(saved)
    rewrite(tmp_path / "c.safetensors", tensors, fields)
    again = Classifier.load(tmp_path / "c.safetensors")
    assert again.backbone.digest() == Classifier.load(saved).backbone.digest()


def roles_of(made: Classifier) -> list[list[int]]:
    assert made.provenance is not None
    return [made.provenance.trained_on.tolist(), made.provenance.chosen_with.tolist()]


@pytest.mark.parametrize("version", range(1, description.FORMAT_VERSION + 1))
def test_every_format_so_far_is_read_for_ever(tmp_path: Path, version: int) -> None:
    """The samples were written when the format was new; see tests/samples/make.py."""
    sample = Path(__file__).parents[1].joinpath("samples") / f"classifier_format_{version}"
    file = tmp_path / "sample.safetensors"
    file.write_bytes(lzma.decompress(sample.with_suffix(".safetensors.xz").read_bytes()))
    answer = json.loads(sample.with_suffix(".json").read_text(encoding="utf-8"))
    found, made = Classifier.load(file), make.classifier()
    assert found.class_names == make.CLASS_NAMES
    assert (found.preprocessing, found.results) == (made.preprocessing, made.results)
    assert found.backbone.digest() == answer["digest"] == made.backbone.digest()
    assert describe_head(found.head) == describe_head(made.head)
    if version < 3:  # it did not say which photos were learned from
        assert found.provenance is None
    else:
        assert roles_of(found) == roles_of(made)
    for key, value in made.head.state_dict().items():
        assert torch.equal(found.head.state_dict()[key], value)
    logits = found.logits([make.picture()], **EXACT)[0]
    assert torch.allclose(logits, torch.tensor(answer["logits"]), atol=1e-4)
    # Written again it is of the newest format, and still the same.
    again = Classifier.load(found.save(tmp_path / "again.safetensors"))
    assert torch.equal(again.logits([make.picture()], **EXACT)[0], logits)
    assert (again.provenance is None) == (version < 3)


def test_stages_are_multi_level_features_for_ever(tmp_path: Path) -> None:
    """Written when the name of the network ended with ".stages"."""
    sample = Path(__file__).parents[1].joinpath("samples") / "classifier_format_3_stages"
    file = tmp_path / "sample.safetensors"
    file.write_bytes(lzma.decompress(sample.with_suffix(".safetensors.xz").read_bytes()))
    answer = json.loads(sample.with_suffix(".json").read_text(encoding="utf-8"))
    found = Classifier.load(file)
    assert (found.backbone.name, found.backbone.layers) == ("small_densenet", "multi-level")
    assert found.backbone.digest() == answer["digest"]
    logits = found.logits([make.picture()], **EXACT)[0]
    assert torch.allclose(logits, torch.tensor(answer["logits"]), atol=1e-4)
    again = Classifier.load(found.save(tmp_path / "again.safetensors"))
    assert torch.equal(again.logits([make.picture()], **EXACT)[0], logits)


def test_a_photo_squashed_under_its_earlier_name_is_squashed_for_ever(tmp_path: Path) -> None:
    """Written when `resize_mode` "squash" was called `fit` "squeeze"."""
    sample = Path(__file__).parents[1].joinpath("samples") / "classifier_format_3_squeeze"
    file = tmp_path / "sample.safetensors"
    file.write_bytes(lzma.decompress(sample.with_suffix(".safetensors.xz").read_bytes()))
    answer = json.loads(sample.with_suffix(".json").read_text(encoding="utf-8"))
    found = Classifier.load(file)
    assert found.preprocessing.resize_mode == "squash"
    logits = found.logits([make.picture()], **EXACT)[0]
    assert torch.allclose(logits, torch.tensor(answer["logits"]), atol=1e-4)
    again = Classifier.load(found.save(tmp_path / "again.safetensors"))
    assert again.preprocessing == found.preprocessing


def test_equal_classifiers_give_equal_bytes(tmp_path: Path, saved: Path) -> None:
    again = Classifier.load(saved).save(tmp_path / "again.safetensors")
    assert again.read_bytes() == saved.read_bytes()


def infinite(made: Classifier) -> None:
    made.head[0].bias[0] = float("inf")


def unwritable_results(made: Classifier) -> None:
    made.results["loss"] = float("nan")


def half(made: Classifier) -> None:
    made.backbone.body.half()


def renamed(made: Classifier) -> None:
    made.backbone.name = "small_resnet below"


def pooled_otherwise(made: Classifier) -> None:
    made.backbone.body.avgpool = nn.AdaptiveMaxPool2d(1)


def replaced(made: Classifier) -> None:
    made.backbone.body.avgpool.forward = lambda maps: maps.amax((2, 3), keepdim=True)


def hooked(made: Classifier) -> None:
    made.backbone.body.avgpool.register_forward_hook(lambda *given: 2 * given[2])


def test_a_folder_that_is_not_there_is_named_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        make.classifier().save(tmp_path / "missing" / "a.safetensors")
    assert str(refused.value).count("a.safetensors") == 1


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (pooled_otherwise, r"a small_resnet would be without .*\(avgpool: .*AdaptiveMaxPool2d\)"),
        (replaced, "<lambda> of "),
        (hooked, "a hook at avgpool"),
        (infinite, "its tensor head.0.bias holds values not finite"),
        (unwritable_results, "its results cannot be written as JSON"),
        (half, "its tensors are not those of small_resnet"),
        (renamed, "which is not in models.names"),
    ],
)
def test_what_could_not_be_read_again_is_not_saved(
    tmp_path: Path, spoil: Callable, message: str
) -> None:
    made = make.classifier()
    spoil(made)
    with pytest.raises(InputError, match=f"cannot be saved to .*{message}"):
        made.save(tmp_path / "c.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_what_matters_in_training_alone_may_be_another(tmp_path: Path) -> None:
    made = make.classifier()
    for layer in made.backbone.modules():
        if isinstance(layer, nn.ReLU):
            layer.inplace = False
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.01
    models.freeze(made.backbone.body)
    made.save(tmp_path / "c.safetensors")


def test_logits_can_be_calibrated(classifier: Classifier, splits: data.Splits) -> None:
    few, temperature = splits.test.subset([0, 1]), torch.ones(1, requires_grad=True)
    found = classifier.logits(few, **EXACT), classifier.evaluate(few, **EXACT).logits
    for logits in (*found, classifier.predict(few, **EXACT)[0].logits[None]):
        (logits / temperature).square().sum().backward()
    hidden = train.transfer(splits, "small_densenet", head="hidden", epochs=1, **EXACT)
    (hidden.valid_logits / temperature).square().sum().backward()
    assert temperature.grad != 0


@pytest.mark.parametrize("names", [(), ("a", ""), ("a", "a"), ("a", "b\n"), ("a", 1)])
def test_class_names_are_checked_at_once(names: tuple) -> None:
    made = make.classifier()
    with pytest.raises(InputError, match="A classifier needs other class names"):
        Classifier(made.backbone, made.head, names, made.preprocessing)


@pytest.mark.parametrize("share", [0, 0.0001, 0.01, 0.5, 0.999])
def test_a_file_cut_short_is_refused(tmp_path: Path, saved: Path, share: float) -> None:
    file = tmp_path / "cut.safetensors"
    content = saved.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"cut\.safetensors is no whole classifier file"):
        Classifier.load(file)


def test_a_header_of_any_length_is_read(tmp_path: Path) -> None:
    """Its length comes first, and may begin like a pickle: that of one file in thousands does."""
    content = honest("squeezenet1_1").save(tmp_path / "c.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length]
    header += b" " * ((0x0280 - length) % 2**16)
    file = tmp_path / "d.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + length :])
    assert file.read_bytes().startswith(b"\x80\x02")
    assert Classifier.load(file).class_names == ("a", "bœuf", "c")


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such classifier file"):
        Classifier.load(tmp_path / "none.safetensors")
    with pytest.raises(InputError, match=r"is a folder; give the file in it, classifier\.safeten"):
        Classifier.load(tmp_path)
    for zip_format in (True, False):
        torch.save({"state_dict": {}}, tmp_path / "o", _use_new_zipfile_serialization=zip_format)
        with pytest.raises(InputError, match=r"of torch\.save; .* flowerlib import-old"):
            Classifier.load(tmp_path / "o")
    (tmp_path / "letter.safetensors").write_text("Dear reader, this is a letter and no classifier.")
    with pytest.raises(InputError, match="is no whole classifier file"):
        Classifier.load(tmp_path / "letter.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match="not a flowerlib classifier"):
        Classifier.load(tmp_path / "a.safetensors")
    assert storage.cache_folder().is_dir()
