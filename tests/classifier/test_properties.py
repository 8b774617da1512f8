"""What holds for any input: splits by content, maps of classes, a classifier's file there and back.

Hypothesis searches for a counterexample; derandomized, so that each run tries the same ones.
"""

from __future__ import annotations

import json
import random
import tempfile
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load

from flowerlib import data
from flowerlib.classifier import Classifier, description, tensorfile
from flowerlib.classifier.description import Description
from flowerlib.classifier.tensorfile import TensorFileError
from flowerlib.data import labeling
from flowerlib.support.errors import InputError
from flowerlib.transforms import FILTERS, RESIZE_MODES, Preprocessing
from tests.fuzz.artifacts import honest

quickly = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)

# Any text but control characters and halves of characters, which no class may be called.
characters = st.characters(exclude_categories=("Cc", "Cs"))
class_name = st.text(characters, min_size=1, max_size=20).filter(str.strip)
class_names = st.lists(class_name, min_size=2, max_size=8, unique=True)

finite = st.floats(allow_nan=False, allow_infinity=False)
plain_data = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def preprocessings(draw: Any) -> Preprocessing:
    resize, mode = draw(st.integers(1, 4096)), draw(st.sampled_from(RESIZE_MODES))
    return Preprocessing(
        resize,
        draw(st.integers(1, resize)) if mode == "crop" else resize,
        tuple(draw(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3))),
        tuple(draw(st.lists(st.floats(1e-6, 1e6), min_size=3, max_size=3))),
        draw(st.sampled_from(sorted(FILTERS))),
        mode,
    )


def described(
    names: list[str], preprocessing: Preprocessing, results: dict[str, Any]
) -> tuple[Description, str]:
    head = [{"layer": "linear", "inputs": 7, "outputs": len(names)}, {"layer": "log_softmax"}]
    versions = {"flowerlib": "1", "torch": "2"}
    made = Description("x", "none", head, tuple(names), preprocessing, results, versions)
    return made, description.to_text(made)


def read(text: str) -> Description:
    return description.read(tensorfile.Header({description.NAME: text}, {}, 0))


@settings(quickly, max_examples=40)
@given(class_names, preprocessings(), st.dictionaries(st.text(), plain_data, max_size=3))
@example(["zebra", "äpfel", "10", "2", "👩‍🌾"], Preprocessing(), {"": [1e-300, -0.0, 2**70]})
def test_a_description_there_and_back(
    names: list[str], preprocessing: Preprocessing, results: dict[str, Any]
) -> None:
    made, text = described(names, preprocessing, results)
    assert read(text) == made
    assert described(names, preprocessing, results)[1] == text


@quickly
@given(st.data())
def test_no_changed_bit_of_a_description_goes_unnoticed(draw: st.DataObject) -> None:
    made, text = described(["rose", "œillet"], Preprocessing(), {"accuracy": 0.5})
    at = draw.draw(st.integers(0, len(text) - 1))
    changed = text[:at] + chr(ord(text[at]) ^ 1 << draw.draw(st.integers(0, 6))) + text[at + 1 :]
    try:
        found = read(changed)
    except TensorFileError:
        return
    assert found == made  # such as another spelling of an escaped character


@quickly
@given(st.lists(st.text() | st.none() | st.integers(), max_size=4))
@example(["a", "a"])
@example(["a", "\x85"])
@example(["a", "\ud800"])
@example(["\u3000", "a"])
def test_class_names_are_usable_or_refused(names: list[Any]) -> None:
    texts = all(isinstance(name, str) and name.strip() for name in names)
    shown = texts and all(unicodedata.category(c)[0] != "C" for name in names for c in name)
    try:
        labeling.check_class_names(names)
    except ValueError as problem:
        assert not shown or len(set(names)) < len(names) or not names
        assert str(problem).isprintable()
    else:
        assert names and texts and len(set(names)) == len(names)
        assert read(described(names, Preprocessing(), {})[1]).class_names == tuple(names)


@settings(quickly, max_examples=12)
@given(st.lists(class_name, min_size=3, max_size=3, unique=True), preprocessings())
def test_a_whole_file_there_and_back(names: list[str], preprocessing: Preprocessing) -> None:
    given_ = honest("squeezenet1_1")
    made = Classifier(given_.backbone, given_.head, names, preprocessing)
    with tempfile.TemporaryDirectory() as folder:
        again = Classifier.load(made.save(Path(folder, "c.safetensors")))
    assert again.class_names == tuple(names)
    assert again.preprocessing == preprocessing


shapes = st.lists(st.integers(0, 4), max_size=3).map(tuple)


@quickly
@given(st.dictionaries(st.text(characters, min_size=1), shapes, max_size=5), st.booleans())
def test_tensors_there_and_back(wanted: dict[str, tuple[int, ...]], whole: bool) -> None:
    """Whatever the names, shapes and types; the safetensors library reads the same."""
    wanted.pop(tensorfile.METADATA, None)
    arrays = {
        name: np.arange(np.prod(shape, dtype=int)).reshape(shape).astype("<i8" if whole else "<f4")
        for name, shape in wanted.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tensors")
        tensorfile.write(path, arrays, {"text": "é"})
        other = load(path.read_bytes())
        with open(path, "rb") as file:
            header = tensorfile.read_header(file)
            assert header.metadata == {"text": "é"} and set(header.entries) == set(arrays)
            for name, array in arrays.items():
                found = np.empty_like(array)
                tensorfile.read_into(file, header, name, found, tensorfile.sha256(array))
                assert np.array_equal(found, array) and np.array_equal(other[name], array)
                assert found.shape == array.shape == other[name].shape


# A folder's name, as file systems of all kinds allow it; no split, and not hidden.
folder_names = st.lists(
    st.text(st.characters(categories=("L", "N"), max_codepoint=0x4FF), min_size=1, max_size=12),
    min_size=2,
    max_size=6,
    unique_by=lambda name: unicodedata.normalize("NFKD", name).casefold(),
).filter(lambda names: not {"train", "training", "learn", "valid", "val", "test"} & set(names))


def plant(root: Path, contents: dict[str, list[bytes]], stem: str) -> None:
    """Writes files whose content alone matters: splitting opens no picture."""
    for name, photos in contents.items():
        (root / name).mkdir(parents=True)
        for index, content in enumerate(photos):
            (root / name / f"{stem}{index}.jpg").write_bytes(content)


def classes_of(splits: data.Splits) -> dict[str, dict[bytes, str]]:
    """For each split, the class of every content."""
    found: dict[str, dict[bytes, str]] = {}
    for part in ("train", "valid", "test"):
        photos = getattr(splits, part)
        found[part] = {
            Path(photos.name(index)).read_bytes(): photos.class_name(index)
            for index in range(len(photos))
        }
    return found


@settings(quickly, max_examples=20)
@given(folder_names, st.randoms(use_true_random=False), st.integers(3, 9))
@example(["1", "10", "100", "2", "021"], random.Random(0), 4)
def test_a_photos_class_is_its_folders_name(names: list[str], dice: Any, count: int) -> None:
    """In every split, whatever the order of folders and files, with readable names or not."""
    contents = {name: [f"{name} {i}".encode() for i in range(count)] for name in names}
    right = {content: name for name, photos in contents.items() for content in photos}
    with tempfile.TemporaryDirectory() as folder:
        plant(Path(folder, "one"), contents, "a")
        first = data.image_folder(Path(folder, "one"))
        found = classes_of(first)
        assert {c: n for part in found.values() for c, n in part.items()} == right
        assert sum(map(len, found.values())) == len(right)  # nothing twice, nothing lost
        for part in (first.train, first.valid, first.test):
            assert part is not None and part.class_names == first.class_names
        # The same photos under other names and in another order lie in the same splits.
        shuffled = dice.sample(names, len(names))
        mixed = {name: dice.sample(contents[name], count) for name in shuffled}
        plant(Path(folder, "two"), mixed, "z")
        assert classes_of(data.image_folder(Path(folder, "two"))) == found
        # Readable names replace the folders', class by class.
        table = dict(zip(names, dice.sample(names, len(names)), strict=True))
        Path(folder, "one", "cat_to_name.json").write_text(json.dumps(table), encoding="utf-8")
        renamed = classes_of(data.image_folder(Path(folder, "one")))
        assert renamed == {
            part: {content: table[name] for content, name in group.items()}
            for part, group in found.items()
        }


@settings(quickly, max_examples=20)
@given(folder_names.filter(lambda names: len(names) > 2), st.integers(0, 5))
def test_a_class_that_a_split_lacks_is_named(names: list[str], which: int) -> None:
    gone = names[which % len(names)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        contents = {name: [name.encode()] for name in names}
        plant(root / "train", contents, "a")
        plant(root / "valid", {k: v for k, v in contents.items() if k != gone}, "b")
        with pytest.raises(InputError, match="lacks class") as problem:
            data.image_folder(root)
        assert gone in str(problem.value)
