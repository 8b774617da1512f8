"""Old checkpoints: honest ones come back bit for bit, hostile ones are refused before they run."""

from __future__ import annotations

import contextlib
import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from flowerlib import cli, models
from flowerlib.classifier import Classifier, legacy
from flowerlib.classifier.legacy import checkpoints
from flowerlib.classifier.legacy.allowed_names import STORAGES
from flowerlib.support.errors import InputError
from tests.fuzz import checkpoints as corpus
from tests.fuzz import pickles
from tests.fuzz.checkpoints import CAT_TO_NAME, COUNT, FOLDERS, NAMES

CLASS_TO_IDX = {name: index for index, name in enumerate(FOLDERS)}
WIDTH = models.architecture("small_resnet").num_features
BOTH_FORMATS = pytest.mark.parametrize("zip_format", [True, False], ids=["zip", "stream"])


@pytest.fixture(scope="module")
def head() -> nn.Sequential:
    made = models.hidden_head(WIDTH, COUNT, (8,))
    corpus.randomize(made, seed=1)
    return made


@pytest.fixture
def write(tmp_path: Path, head: nn.Sequential) -> Callable[..., Path]:
    """Writes a classifier for the project's small network, with other entries as asked."""

    def save(zip_format: bool = True, **entries: Any) -> Path:
        content = {"arch": "small_resnet", "class_to_idx": CLASS_TO_IDX, "classifier": head}
        content = {key: value for key, value in {**content, **entries}.items() if value is not None}
        path = tmp_path / "old.pth"
        torch.save(content, path, _use_new_zipfile_serialization=zip_format)
        return path

    return save


def read(path: Path, **options: Any) -> legacy.Imported:
    return legacy.read(path, **{"weights": "small", **options})


def test_every_spelling_comes_back(tmp_path: Path) -> None:
    """Each form of the course's checkpoints in both formats, other spellings mixed at random."""
    wrong = []
    for name, path, expected in corpus.honest(tmp_path, 26, ("alexnet", "resnet18")):
        found = corpus.difference(legacy.read(path, **expected.options), expected)
        wrong += [f"{name}: {found}"] if found else []
        path.unlink()
    assert wrong == []


@BOTH_FORMATS
def test_old_densenet_keys(tmp_path: Path, zip_format: bool) -> None:
    place = len(corpus.FORMS) - 1
    name, path, expected = corpus.write_one(
        tmp_path, place, "old keys", "densenet121", zip_format, random.Random(3)
    )
    state = checkpoints.read(path).content
    state = next(value for value in state.values() if isinstance(value, dict) and len(value) > 500)
    assert "features.denseblock1.denselayer1.norm.1.weight" in state
    assert corpus.difference(legacy.read(path, **expected.options), expected) == "", name


def test_the_comparison_notices(tmp_path: Path) -> None:
    """The control: a weight, a class or an answer that differs is reported."""
    _, path, expected = next(corpus.honest(tmp_path, 1, ("alexnet",)))
    imported = legacy.read(path, **expected.options)
    assert corpus.difference(imported, expected) == ""
    other = copy.copy(expected)
    other.class_names = expected.class_names[::-1]
    assert corpus.difference(imported, other).startswith("classes")
    other = copy.copy(expected)
    other.head = [expected.head[0] + 1e-6, *expected.head[1:]]
    assert "head" in corpus.difference(imported, other)
    other = copy.copy(expected)
    other.model = copy.deepcopy(expected.model)
    other.model.classifier = nn.Sequential(nn.Tanh(), other.model.classifier)
    assert "probabilities" in corpus.difference(imported, other)
    next(imported.classifier.backbone.body.parameters()).data.view(-1)[0] += 1
    assert "backbone" in corpus.difference(imported, expected)


def test_hostile_pickles_are_refused_unexecuted(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    count = 0
    for name, path, attack in pickles.hostile(tmp_path, canary):
        with pytest.raises(InputError, match=attack.named) as problem:
            legacy.read(path)
        assert "\n" not in str(problem.value) and str(problem.value).isprintable(), name
        assert not canary.exists(), name
        count += 1
    assert count > 150


@pytest.mark.parametrize("name", ["os.system", "eval", "in a state", "global", "obj", "inst"])
@BOTH_FORMATS
def test_the_attacks_are_real(tmp_path: Path, name: str, zip_format: bool) -> None:
    """The control: what is refused above does run when torch is asked to trust the file."""
    canary = tmp_path / "canary"
    attack = pickles.attacks(canary)[name]
    assert attack.fires
    for found, path, _ in pickles.hostile(tmp_path, canary, [name]):
        if ("zip" in found) == zip_format:
            with contextlib.suppress(Exception):  # whatever comes after the harm is done
                torch.load(path, weights_only=False)
            assert canary.exists(), found
            canary.unlink()


def test_files_that_claim_what_they_do_not_hold(tmp_path: Path) -> None:
    count = 0
    for name, path, reason in pickles.broken(tmp_path):
        with pytest.raises(InputError) as problem:
            legacy.read(path)
        assert reason in str(problem.value), f"{name}: {problem.value}"
        count += 1
    assert count > 25
    assert not (tmp_path.parent / "x").exists()


@BOTH_FORMATS
def test_damaged_files(write: Callable[..., Path], head: nn.Sequential, zip_format: bool) -> None:
    """Cut or flipped: one sentence, or, in the format without checksums, other numbers or names."""
    path = write(zip_format)
    whole = path.read_bytes()
    dice = random.Random(0)
    refused = 0
    cuts = [whole[: dice.randrange(len(whole))] for _ in range(25)]
    flips = []
    for _ in range(35):
        content = bytearray(whole)
        content[dice.randrange(len(whole))] ^= 1 << dice.randrange(8)
        flips.append(bytes(content))
    for content in [*cuts, *flips]:
        path.write_bytes(content)
        try:
            imported = read(path)
        except InputError:
            refused += 1
            continue
        assert content not in cuts
        if zip_format:
            assert imported.classifier.class_names == FOLDERS
            for here, there in zip(imported.classifier.head, head, strict=True):
                for key, value in there.state_dict().items():
                    assert torch.equal(here.state_dict()[key], value)
    assert refused >= (45 if zip_format else 25)


@BOTH_FORMATS
def test_the_command_line(
    write: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    zip_format: bool,
    head: nn.Sequential,
) -> None:
    old, new = write(zip_format, epochs=5, cat_to_name=CAT_TO_NAME), tmp_path / "new.safetensors"
    command = ["import-old", str(old), "--out", str(new), "--weights", "small"]
    assert cli.main(command) == 0
    printed = capsys.readouterr().out
    assert f"head {WIDTH} → 8 → {COUNT}" in printed
    assert "5 class names, under 'class_to_idx', made readable with 'cat_to_name'" in printed
    assert "not needed: epochs" in printed
    assert "the backbone's weights are small" in printed.partition("so assumed:")[2]
    assert "normalized with ImageNet's mean" in printed.partition("so assumed:")[2]
    again = Classifier.load(new)
    assert again.class_names == NAMES
    values = torch.rand(3, WIDTH)
    assert torch.allclose(again.decide(values), head.eval()(values), atol=1e-6)
    assert cli.main(command) == 2
    assert "exists already" in capsys.readouterr().err


def test_the_command_line_refuses_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    canary, new = tmp_path / "canary", tmp_path / "new.safetensors"
    _, path, _ = next(pickles.hostile(tmp_path, canary))
    assert cli.main(["import-old", str(path), "--out", str(new)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert "system, which no checkpoint needs; nothing of it was run." in err
    assert not canary.exists() and not new.exists()


def test_a_network_cut_before_its_whole_classifier_is_saved_and_loaded(tmp_path: Path) -> None:
    """Old courses replace all of vgg's and alexnet's classifier; the artifact can hold that."""
    _, path, expected = corpus.write_one(
        tmp_path, 0, "classifier and state", "alexnet", True, random.Random(0)
    )
    imported = legacy.read(path, **expected.options)
    assert imported.classifier.backbone.name == "alexnet.features"
    again = Classifier.load(imported.classifier.save(tmp_path / "new.safetensors"))
    assert again.results["imported"]["file"] == path.name
    found = legacy.Imported(again, imported.found, imported.assumed)
    assert corpus.difference(found, expected) == ""


def sequential(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"arch": None}, "names no network before it"),
        ({"arch": "densenet"}, "names no network before it"),
        ({"arch": "densenet121"}, rf"takes {WIDTH} features, but densenet121 gives 1024"),
        ({"classifier": None}, "no network, no classifier and no state dict"),
        ({"class_to_idx": None}, "--names FILE, a JSON list of their 5 names"),
        ({"class_to_idx": {"a": 0, "b": 1}}, "5 outputs, but 2 class names"),
        ({"class_to_idx": {**CLASS_TO_IDX, "2": 7}}, "without a gap"),
        ({"class_to_idx": {**CLASS_TO_IDX, "2": 0}}, "without a gap"),
        ({"class_to_idx": None, "classes": ["a", "b", "c", "d", "a"]}, "two of its .* called 'a'"),
        ({"cat_to_name": {"1": "rose"}}, "no name for the class '10'"),
        ({"classifier": sequential(nn.Linear(WIDTH, 4), nn.Sigmoid())}, "holds 'Sigmoid'"),
        ({"classifier": sequential(nn.Linear(WIDTH, 4), nn.BatchNorm1d(4))}, "no linear layer has"),
        ({"classifier": sequential(nn.Linear(WIDTH, 4), nn.Linear(5, 4))}, "do not follow"),
        ({"classifier": sequential(nn.Linear(WIDTH, 5), nn.LogSoftmax(dim=0))}, "across photos"),
        (
            {"classifier": sequential(nn.Linear(WIDTH, 5), nn.Softmax(dim=1), nn.ReLU())},
            "continues after Softmax, with ReLU",
        ),
        ({"classifier": nn.Linear(WIDTH, 5).double()}, ""),
        ({"classifier": {"w": {}}}, "no network, no classifier and no state dict"),
        (
            {"classifier": {"weight": torch.full((5, WIDTH), float("nan"))}},
            "'weight' holds values that are not finite",
        ),
        (
            {"classifier": {"weight": torch.zeros(5, WIDTH, dtype=torch.int64)}},
            "torch.int64, not fractions",
        ),
        (
            {
                "classifier": None,
                "first": {"a.weight": torch.zeros(5, WIDTH)},
                "second": {"a.weight": torch.ones(5, WIDTH)},
            },
            "holds 2 classifiers, and does not say which",
        ),
        ({"classifier": None, "w": {"conv.weight": torch.zeros(1, 1, 1, 1)}}, "not those of any"),
        (
            {
                "classifier": None,
                "w": {"module.a.weight": torch.zeros(2, 2), "a.weight": torch.zeros(2, 2)},
            },
            "two tensors of its state dict have the same name",
        ),
    ],
)
def test_what_cannot_be_known_is_refused(
    write: Callable[..., Path], entries: dict[str, Any], message: str
) -> None:
    if not message:  # rounding 64 bits to 32 is said, not refused
        assert any("float64" in line for line in read(write(**entries)).assumed)
        return
    with pytest.raises(InputError, match=message):
        read(write(**entries))


TEN = [str(number) for number in range(12)]  # torchvision sorts them 0, 1, 10, 11, 2, ...
SORTED = sorted(TEN)


@pytest.mark.parametrize(
    ("entries", "names"),
    [
        ({"mapping_class_to_idx": CLASS_TO_IDX}, FOLDERS),
        ({"class_indices": CLASS_TO_IDX}, FOLDERS),
        ({"train_data.class_to_idx": CLASS_TO_IDX}, FOLDERS),
        ({"class2idx": CLASS_TO_IDX}, FOLDERS),
        ({"label2id": CLASS_TO_IDX}, FOLDERS),
        ({"id2label": dict(enumerate(FOLDERS))}, FOLDERS),
        ({"dataset.classes": list(FOLDERS)}, FOLDERS),
        ({"class_to_idx": CLASS_TO_IDX, "classes": list(NAMES)}, FOLDERS),
        ({"class_to_idx": CLASS_TO_IDX, "idx_to_class": dict(enumerate(FOLDERS))}, FOLDERS),
    ],
    ids=str,
)
def test_keys_that_tell_the_classes(
    write: Callable[..., Path], entries: dict[str, Any], names: tuple[str, ...]
) -> None:
    imported = read(write(**{"class_to_idx": None, **entries}))
    assert imported.classifier.class_names == names
    assert not any("not needed" in line for line in imported.found)


def of_twelve(**entries: Any) -> dict[str, Any]:
    return {"class_to_idx": None, "classifier": nn.Linear(WIDTH, 12), **entries}


BY_NUMBER, BY_NAME = dict(enumerate(SORTED)), {name: n for n, name in enumerate(SORTED)}


@pytest.mark.parametrize("key", ["class_to_idx", "class_dict", "mapping", "idx_to_class"])
@pytest.mark.parametrize("order", [BY_NUMBER, BY_NAME], ids=["by number", "by name"])
def test_classes_called_by_numbers(
    write: Callable[..., Path], key: str, order: dict[Any, Any]
) -> None:
    """Each way round under each name; never permuted."""
    path = write(**of_twelve(**{key: order}))
    if (key, order) == ("idx_to_class", BY_NAME):  # JSON could have made it of numbers to numbers
        with pytest.raises(InputError, match="can be read in two ways"):
            read(path)
        return
    imported = read(path)
    assert imported.classifier.class_names == tuple(SORTED)
    against = any("against its own name" in line for line in imported.assumed)
    assert against == (key == "class_to_idx" and order is BY_NUMBER)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"class_to_idx": {str(n): name for n, name in BY_NUMBER.items()}}, "in two ways"),
        ({"mapping": {n: int(name) for n, name in BY_NUMBER.items()}}, "in two ways"),
        ({"idx_to_class": {n: int(name) for n, name in BY_NUMBER.items()}}, "in two ways"),
        ({"class_to_idx": BY_NAME, "classes": TEN}, "'class_to_idx' and its 'classes' number"),
        ({"class_to_idx": BY_NAME, "idx_to_class": dict(enumerate(TEN))}, "in different ways"),
        ({"class_to_idx": {"a": True, "b": False}}, "without a gap"),
    ],
    ids=["texts", "numbers", "numbers by number", "list", "inverse", "truths"],
)
def test_an_order_that_could_be_another_is_refused(
    write: Callable[..., Path], entries: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as problem:
        read(write(**of_twelve(**entries)))
    assert "--names FILE" in str(problem.value) or message == "without a gap"


def test_json_turns_numbers_into_texts(write: Callable[..., Path]) -> None:
    names = json.loads(json.dumps(BY_NUMBER))
    imported = read(write(**of_twelve(idx_to_class=names)))
    assert imported.classifier.class_names == tuple(SORTED)


def changed_stride(network: nn.Module) -> None:
    network.conv1.stride = (1, 1)


def other_activation(network: nn.Module) -> None:
    network.relu = nn.GELU()


def hooked(network: nn.Module) -> None:
    network.layer1.register_forward_hook(torch.nn.functional.relu)


def one_more_layer(network: nn.Module) -> None:
    network.layer4.add_module("more", nn.Sigmoid())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed_stride, r"conv1 has another stride than \(2, 2\)"),
        (other_activation, "relu is 'GELU' where the network has ReLU"),
        (hooked, "'layer1' runs a function that the file does not hold"),
        (one_more_layer, "has the layer 'layer4.more', which the network has not"),
    ],
)
def test_a_network_that_works_otherwise_is_refused(
    tmp_path: Path, change: Callable[[nn.Module], None], message: str
) -> None:
    network = copy.deepcopy(corpus.torchvision_network("resnet18"))
    network.fc = nn.Linear(512, COUNT)
    network.class_to_idx = CLASS_TO_IDX
    change(network)
    torch.save(network, tmp_path / "whole.pth")
    with pytest.raises(InputError, match=message):
        legacy.read(tmp_path / "whole.pth")


def test_names_from_the_user(write: Callable[..., Path], tmp_path: Path) -> None:
    names = tmp_path / "names.json"
    names.write_text(json.dumps(NAMES))
    assert read(write(class_to_idx=None), names=names).classifier.class_names == NAMES
    names.write_text(json.dumps(CAT_TO_NAME), encoding="utf-8-sig")
    assert read(write(), names=names).classifier.class_names == NAMES
    names.write_text(json.dumps({"x": "rose"}))
    with pytest.raises(InputError, match="has no name for the class '1'"):
        read(write(), names=names)
    names.write_text('{"1": "rose", "1": "lily"}')
    with pytest.raises(InputError, match="cannot be read as JSON .*'1'"):
        read(write(), names=names)
    names.write_text("[1, 2]")
    with pytest.raises(InputError, match="must hold a JSON list of names"):
        read(write(), names=names)
    names.write_text("{")
    with pytest.raises(InputError, match="cannot be read as JSON"):
        read(write(), names=names)
    with pytest.raises(InputError, match="cannot be read as JSON"):
        read(write(), names=tmp_path / "nowhere.json")


def test_weights_without_effect_are_refused(tmp_path: Path) -> None:
    network = copy.deepcopy(corpus.torchvision_network("resnet18"))
    network.fc = nn.Linear(512, COUNT)
    state = {"state_dict": network.state_dict(), "class_to_idx": CLASS_TO_IDX}
    torch.save(state, tmp_path / "old.pth")
    assert legacy.read(tmp_path / "old.pth").classifier.class_names == FOLDERS
    with pytest.raises(InputError, match="holds weights of resnet18, so weights small would have"):
        read(tmp_path / "old.pth")


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        legacy.read(tmp_path / "nowhere.pth")
    with pytest.raises(InputError, match="directory"):
        legacy.read(tmp_path)


def test_tensors_of_every_type_bit_for_bit(tmp_path: Path) -> None:
    numbers = torch.arange(-6, 6)
    written = {str(dtype): numbers.to(dtype).reshape(3, 4) for dtype in STORAGES.values()}
    written |= {"turned": numbers.reshape(3, 4).t(), "part": numbers[5:9], "one": torch.tensor(2.5)}
    written |= {"repeated": torch.tensor([1.0]).expand(1), "empty": torch.empty(0, 3)}
    for zip_format in (True, False):
        path = tmp_path / "all.pth"
        torch.save(written, path, _use_new_zipfile_serialization=zip_format)
        found = checkpoints.read(path).content
        assert list(found) == list(written)
        for key, value in written.items():
            assert found[key].dtype == value.dtype and torch.equal(found[key], value), key


def test_nothing_of_the_file_is_imported(tmp_path: Path) -> None:
    """A module of the student's, which lies right beside the file, is not even looked for."""
    (tmp_path / "network.py").write_text("raise SystemExit('imported')")
    content = b"cnetwork\nFlower\n)R."
    pickles.write_pickle(tmp_path / "a.pth", content, True)
    assert str(checkpoints.read(tmp_path / "a.pth").content.kind) == "network.Flower"


def test_a_pickle_of_absurd_length_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte could make a dict: the file would take seventy times its size in memory."""
    monkeypatch.setattr("flowerlib.classifier.legacy.pickles.MAX_STEPS", 1000)
    pickles.write_pickle(tmp_path / "a.pth", b"\x80\x04(" + b"}" * 1000 + b"t.", True)
    with pytest.raises(InputError, match="holds a pickle of absurd length"):
        legacy.read(tmp_path / "a.pth")
