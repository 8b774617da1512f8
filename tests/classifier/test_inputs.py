"""What people give to `predict`: an answer for the right photo, or one sentence before any work."""

from __future__ import annotations

import copy
import io
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from flowerlib import models
from flowerlib.classifier import Classifier, Prediction, inputs
from flowerlib.classifier.classifier import Evaluation
from flowerlib.data.decoding import images
from flowerlib.support.errors import InputError
from flowerlib.transforms import Preprocessing
from tests.samples import make

EXACT = {"precision": "fp32", "device": "cpu"}


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    """Untrained, of two classes; different pictures get different logits."""
    backbone = models.backbone("small_resnet", "none")
    head = models.linear_head(backbone.num_features, 2)
    make.fill(backbone.body)
    make.fill(head)
    return Classifier(backbone, head, ("cat", "dog"), Preprocessing(40, 32))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four different small pictures in lossless files."""
    folder = tmp_path_factory.mktemp("pictures")
    for seed in range(4):
        values = np.random.default_rng(seed).integers(0, 256, (70, 80, 3), np.uint8)
        values[..., seed % 3] //= 4
        Image.fromarray(values).save(folder / f"p{seed}.png")
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def expected(classifier: Classifier, files: list[Path]) -> torch.Tensor:
    """The logits of each file alone."""
    return torch.stack([classifier.predict(str(file), **EXACT).logits for file in files])


class Column:
    """As a pandas Series: goes through its values in order, but [] looks for a label."""

    def __init__(self, values: dict[int, str]) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[str]:
        return iter(self.values.values())

    def __getitem__(self, label: int) -> str:
        return self.values[label]


class PathLike:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


def test_fewer_classes_than_five_are_all_named(classifier: Classifier, files: list[Path]) -> None:
    answer = classifier.predict(files[0], **EXACT)
    assert len(answer.names) == 2
    assert sum(answer.probabilities) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("top_k", [2.5, "2", float("nan"), [1]])
def test_top_k_that_is_no_whole_number(classifier: Classifier, top_k: Any) -> None:
    with pytest.raises(InputError, match="top_k must be a whole number"):
        classifier.predict("not even opened.jpg", top_k)


@pytest.mark.parametrize("of", ["list", "tuple", "generator", "array", "column", "paths", "map"])
def test_answers_are_in_the_order_given_under_the_right_names(
    classifier: Classifier, files: list[Path], expected: torch.Tensor, of: str
) -> None:
    order = [3, 2, 0, 1]
    paths = [str(files[number]) for number in order]
    given = {
        "list": paths,
        "tuple": tuple(paths),
        "generator": (path for path in paths),
        "array": np.array(paths),
        "column": Column(dict(zip(order, paths, strict=True))),
        "paths": [PathLike(files[number]) for number in order],
        "map": map(Path, paths),
    }[of]
    answers = classifier.predict(given, **EXACT)
    assert [answer.photo for answer in answers] == paths
    for answer, number in zip(answers, order, strict=True):
        assert torch.allclose(answer.logits, expected[number], atol=1e-5)


def test_each_way_to_give_a_picture_gets_the_same_answer(
    classifier: Classifier, files: list[Path], expected: torch.Tensor
) -> None:
    file = files[1]
    content, pixels = file.read_bytes(), np.asarray(Image.open(file))
    stream = io.BytesIO(content)
    stream.seek(0, os.SEEK_END)  # as it is left after something was written to it
    with open(file, "rb") as opened:
        ways = {
            "path": file,
            "PIL image": Image.open(file),
            "array": pixels,
            "tensor": torch.tensor(pixels).permute(2, 0, 1),
            "bytes": content,
            "bytearray": bytearray(content),
            "BytesIO": stream,
            "file": opened,
            "array that cannot be written to": np.broadcast_to(pixels, pixels.shape),
            "array of other strides": np.ascontiguousarray(pixels[:, ::-1])[:, ::-1],
        }
        for way, given in ways.items():
            answer = classifier.predict(given, **EXACT)
            assert isinstance(answer, Prediction), way
            assert torch.equal(answer.logits, expected[1]), way
            assert answer.photo == (str(file) if way in ("path", "file") else "image"), way


@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_gray_pixels_and_pixels_with_alpha(
    classifier: Classifier, files: list[Path], mode: str
) -> None:
    picture = Image.open(files[0]).convert(mode)
    answers = [classifier.predict(given, **EXACT) for given in (picture, np.asarray(picture))]
    assert torch.equal(answers[0].logits, answers[1].logits)


def test_stacks_hold_several(classifier: Classifier, files: list[Path], expected: Any) -> None:
    stack = np.stack([np.asarray(Image.open(file)) for file in files])
    for given in (stack, torch.from_numpy(stack).permute(0, 3, 1, 2), list(stack)):
        answers = classifier.predict(given, **EXACT)
        assert [answer.photo for answer in answers] == [f"image {n}" for n in range(4)]
        found = torch.stack([answer.logits for answer in answers])
        assert torch.allclose(found, expected, atol=1e-5)


def closed_picture(files: list[Path]) -> Image.Image:
    picture = Image.open(files[0])
    picture.close()
    return picture


class Table:
    columns = ("path",)

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)


class Upload:
    """As a web server's: `read` is to be awaited."""

    async def read(self) -> bytes:
        return b""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "None; give a path"),
        (7, r"7 \(int\); give a path"),
        ([Path("a.jpg"), None], "image 1 is None; give a path"),
        ([float("nan")], r"image 0 is nan \(float\)"),
        ([["a.jpg"], ["b.jpg"]], r"image 0 is \['a.jpg'\] \(list\)"),
        ([], "no photo to look at"),
        (iter(()), "no photo to look at"),
        (np.array([], dtype=str), "no photo to look at"),
        (np.empty((0, 8, 8, 3), np.uint8), "no photo to look at"),
        ({"a.jpg": 1}, "a dict; give a list"),
        ({"a.jpg"}, "a set, which has no order; give a list"),
        (Table(), r'a table; give the column of paths, as in df\["path"\]'),
        ("https://example.org/cat.jpg", "is an address; fetch the file first"),
        ("data:image/jpeg;base64,AAAA", "is an address"),
        ("", "an empty path"),
        (os.curdir, "is a folder; give its files"),
        ("none.jpg", "none.jpg: there is no such file"),
        ("a\0b.jpg", "the file cannot be read"),
        (b"none.jpg", "image: this is a text file, not a picture"),
        (b"", "image: the file is empty"),
        (io.StringIO("a"), r'gives str instead of bytes; open it with mode "rb"'),
        (Upload(), "gives coroutine instead of bytes"),
        (np.zeros((8, 8)), r"an array \(8, 8\) of float64; give uint8 \(height, width, 3\)"),
        (np.zeros((3, 8, 8), np.uint8), r"an array \(3, 8, 8\) of uint8"),
        (np.zeros((0, 8, 3), np.uint8), r"an array \(0, 8, 3\) of uint8"),
        (np.zeros((2, 8, 8, 3)), "image 0 is an array"),
        (torch.rand(3, 8, 8), r"a tensor \(3, 8, 8\) of torch.float32; give uint8"),
        (torch.rand(2, 3, 8, 8), "image 0 is a tensor"),
        (torch.zeros(8, 8, 3, dtype=torch.uint8), r"a tensor \(8, 8, 3\) of torch.uint8"),
        (Image.new("RGB", (0, 4)), "the picture has no pixels"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
@pytest.mark.filterwarnings("ignore:coroutine")
def test_what_is_no_photo_is_refused(classifier: Classifier, given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as problem:
        classifier.predict(given, **EXACT)
    assert "\n" not in str(problem.value)


def test_a_picture_that_was_closed(classifier: Classifier, files: list[Path]) -> None:
    with pytest.raises(InputError, match="image: the picture cannot be used"):
        classifier.predict(closed_picture(files), **EXACT)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F"])
def test_pictures_of_every_mode(classifier: Classifier, files: list[Path], mode: str) -> None:
    picture = Image.open(files[0]).convert("RGB")
    given = picture.convert("L").convert(mode) if mode in ("I", "F") else picture.convert(mode)
    assert classifier.predict(given, **EXACT).photo == "image"


def test_nothing_is_computed_before_all_is_recognized(
    classifier: Classifier, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "open_photo", lambda *_, **__: pytest.fail("opened a photo"))
    with pytest.raises(InputError, match="image 2 is None"):
        classifier.predict([files[0], files[1], None], **EXACT)
    with pytest.raises(InputError, match=r"2 unreadable photos: one\.jpg: .*; two\.jpg: "):
        classifier.predict([files[0], "one.jpg", "two.jpg"], **EXACT)


@pytest.fixture
def mixed(files: list[Path], tmp_path: Path) -> list[Path]:
    """Readable, text, readable, cut, missing, readable."""
    text, cut = tmp_path / "text.jpg", tmp_path / "cut.png"
    text.write_text("Dear reader")
    cut.write_bytes(files[3].read_bytes()[:500])
    return [files[0], text, files[1], cut, tmp_path / "none.jpg", files[2]]


def test_unreadable_photos_are_all_named(classifier: Classifier, mixed: list[Path]) -> None:
    with pytest.raises(InputError) as problem:
        classifier.predict([*mixed[:4], mixed[5]], **EXACT)
    assert "2 unreadable photos" in str(problem.value)
    assert "text.jpg: " in str(problem.value) and "cut.png: " in str(problem.value)


def test_unreadable_photos_are_returned_in_their_place(
    classifier: Classifier, mixed: list[Path], expected: torch.Tensor
) -> None:
    answers = classifier.predict(mixed, unreadable="return", **EXACT)
    right, wrong = Prediction, images.PhotoError
    assert [type(answer) for answer in answers] == [right, wrong, right, wrong, wrong, right]
    assert [answer.path.name for answer in answers if isinstance(answer, images.PhotoError)] == [
        "text.jpg",
        "cut.png",
        "none.jpg",
    ]
    for place, number in ((0, 0), (2, 1), (5, 2)):
        assert answers[place].photo == str(mixed[place])
        assert torch.allclose(answers[place].logits, expected[number], atol=1e-5)
    alone = classifier.predict(mixed[1], unreadable="return", **EXACT)
    assert isinstance(alone, images.PhotoError)
    with pytest.raises(InputError, match='must be "raise" or "return"'):
        classifier.predict(mixed, unreadable="skip", **EXACT)


def test_recognized_photos_say_their_names(files: list[Path]) -> None:
    with open(files[0], "rb") as opened:
        given, single = inputs.recognize([files[1], opened, files[2].read_bytes()])
    assert not single
    assert [given.name(n) for n in range(3)] == [str(files[1]), str(files[0]), "image 2"]


def test_answers_survive_pickle_and_copy(classifier: Classifier, mixed: list[Path]) -> None:
    answers = classifier.predict(mixed, unreadable="return", **EXACT)
    for twin in (pickle.loads(pickle.dumps(answers)), copy.deepcopy(answers)):
        for one, other in zip(answers, twin, strict=True):
            assert str(one) == str(other) and type(one) is type(other)
            if isinstance(one, Prediction):
                assert one == other and torch.equal(one.logits, other.logits)
    assert len({answers[0], answers[0], answers[2]}) == 2


def test_an_evaluation_survives_pickle_and_copy() -> None:
    found = Evaluation(torch.eye(3), torch.arange(3), 0.5)
    for twin in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
        assert str(twin) == str(found) and torch.equal(twin.logits, found.logits)
        assert twin != found  # no error: each is itself alone
