"""The artifact: there and back bit for bit, no code in it, refused when anything is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from flowerlib import data, models, storage, train
from flowerlib.artifact import build_head, describe_head
from flowerlib.classifier import UNSTEADY, Classifier
from flowerlib.errors import InputError
from flowerlib.transforms import Preprocessing

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
    told = json.loads(json.dumps(classifier.results))
    assert again.results == {name: told[name] for name in told if name not in UNSTEADY}
    assert "seconds" in told  # what a clock measured stays out of the file
    assert again.backbone.digest() == classifier.backbone.digest()
    assert again.backbone.weights == "small"
    before, after = (c.logits(splits.test, **EXACT) for c in (classifier, again))
    assert torch.equal(before, after) and before.std() > 0


@pytest.mark.parametrize(
    "name", ["mobilenet_v3_small", "squeezenet1_1", "swin_t", "regnet_x_400mf"]
)
def test_other_networks_there_and_back(tmp_path: Path, name: str) -> None:
    backbone = models.backbone(name, "none")
    head = models.hidden_head(backbone.num_features, 2, (8,))
    first = Classifier(backbone, head, ("a", "b"), Preprocessing(64, 64))
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
    exif = Image.Exif()
    exif[0x0112] = 6
    splits.test.image(0).transpose(Image.Transpose.ROTATE_90).save(tmp_path / "a.png", exif=exif)
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

    def full(tensors: dict, path: Path, metadata: dict) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("flowerlib.artifact.save_file", full)
    with pytest.raises(InputError, match="Cannot write .*No space left on device"):
        classifier.save(target)
    assert target.read_bytes() == saved.read_bytes()
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(InputError, match="Cannot write"):
        classifier.save(tmp_path / "none" / "c.safetensors")


# ---------------------------------------------------------------------------------- damaged files

Tensors = dict[str, Tensor]


def parts_of(file: Path) -> tuple[Tensors, dict]:
    with safe_open(file, framework="pt") as opened:
        tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        return tensors, json.loads(opened.metadata()["flowerlib"])


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


def change(**entries: object) -> Callable[[Tensors, dict], None]:
    return lambda _, description: description.update(entries)


LINEAR = {"layer": "linear", "inputs": 2, "outputs": 4}
DAMAGES = {
    "newer": (change(format_version=99), "was written in format 99, which is newer"),
    "another format": (change(format="cake"), "not a flowerlib classifier"),
    "no version": (change(format_version=None), "not a flowerlib classifier"),
    "missing tensor": (drop, "its backbone lacks tensor .*conv0.weight"),
    "NaN": (poison, "tensor head.0.bias holds values not finite"),
    "shape": (reshape, "tensor head.0.bias has the wrong shape or type"),
    "type": (retype, "tensor head.0.bias has the wrong shape or type"),
    "unknown tensor": (add, "unknown tensor surprise"),
    "unknown tensor in head": (add_to_head, "its head has the unknown tensor 9.weight"),
    "one name less": (change(class_names=["a", "b", "c"]), "3 class names for 4 outputs"),
    "one name twice": (change(class_names=["a", "b", "c", "c"]), "same name|unique"),
    "a number for a name": (change(class_names=["a", "b", "c", 4]), "a class name is not a text"),
    "no names": (change(class_names=None), "is damaged"),
    "unknown backbone": (change(backbone={"name": "x", "weights": "none"}), 'the backbone "x"'),
    "no backbone": (change(backbone={}), "lacks or garbles 'name'"),
    "other backbone": (change(backbone={"name": "small_resnet", "weights": "none"}), "is damaged"),
    "no head": (change(head=[]), "with a linear one"),
    "unknown layer": (change(head=[LINEAR, {"layer": "exec"}]), "unknown layer"),
    "garbled head": (change(head=[LINEAR | {"inputs": "two"}]), "is damaged"),
    "negative head": (change(head=[LINEAR | {"inputs": -2}]), "is damaged"),
    "garbled results": (change(results=[1]), "is damaged"),
    "garbled preprocessing": (change(preprocessing={"resize": 96}), "exactly the fields"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused(tmp_path: Path, saved: Path, damage: str) -> None:
    tensors, description = parts_of(saved)
    spoil, message = DAMAGES[damage]
    spoil(tensors, description)
    file = tmp_path / "c.safetensors"
    save_file(tensors, file, metadata={"flowerlib": json.dumps(description)})
    with pytest.raises(InputError, match=message) as problem:
        Classifier.load(file)
    assert "\n" not in str(problem.value)


def test_layers_that_do_not_fit_each_other_are_refused(tmp_path: Path) -> None:
    backbone = models.backbone("small_resnet", "none")
    head = models.hidden_head(backbone.num_features, 2, (8,))
    Classifier(backbone, head, ("a", "b"), Preprocessing(64, 64)).save(tmp_path / "c.safetensors")
    tensors, description = parts_of(tmp_path / "c.safetensors")
    description["head"][3]["inputs"] = 9
    tensors["head.3.weight"] = torch.zeros(2, 9)
    save_file(tensors, tmp_path / "c.safetensors", {"flowerlib": json.dumps(description)})
    with pytest.raises(InputError, match="its head does not fit"):
        Classifier.load(tmp_path / "c.safetensors")


@pytest.mark.parametrize("share", [0, 0.0001, 0.01, 0.5, 0.999])
def test_a_file_cut_short_is_refused(tmp_path: Path, saved: Path, share: float) -> None:
    file = tmp_path / "cut.safetensors"
    content = saved.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"cut\.safetensors is no whole classifier file"):
        Classifier.load(file)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such classifier file"):
        Classifier.load(tmp_path / "none.safetensors")
    (tmp_path / "letter.safetensors").write_text("Dear reader, this is a letter and no classifier.")
    with pytest.raises(InputError, match="is no whole classifier file"):
        Classifier.load(tmp_path / "letter.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match="not a flowerlib classifier"):
        Classifier.load(tmp_path / "a.safetensors")
    assert storage.cache_folder().is_dir()
