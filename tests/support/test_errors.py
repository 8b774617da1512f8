"""Errors reach the caller whole, also from another process."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pkgutil
from pathlib import Path

import pytest
from PIL import Image

import flowerlib
from flowerlib import audit, data
from flowerlib.data.decoding.images import PhotoError
from flowerlib.support.errors import InputError, plural


def kinds_of_error() -> list[type[Exception]]:
    """Every class of exceptions that the package defines."""
    found = set()
    for module in pkgutil.walk_packages(flowerlib.__path__, "flowerlib."):
        if not module.name.endswith("__main__"):
            for _, kind in inspect.getmembers(
                importlib.import_module(module.name), inspect.isclass
            ):
                if issubclass(kind, Exception) and kind.__module__.startswith("flowerlib"):
                    found.add(kind)
    return sorted(found, key=lambda kind: kind.__name__)


def test_errors_survive_pickle_and_copy() -> None:
    kinds = kinds_of_error()
    assert {InputError, PhotoError} <= set(kinds)
    for kind in kinds:
        problem = kind(*(("a.jpg", "the file is empty") if kind is PhotoError else ("It is.",)))
        for twin in (pickle.loads(pickle.dumps(problem)), copy.deepcopy(problem)):
            assert type(twin) is kind and str(twin) == str(problem) and vars(twin) == vars(problem)


def test_a_photo_error_says_which_and_why() -> None:
    problem = PhotoError("a.jpg", "the file is empty")
    assert (str(problem), problem.path, problem.reason) == (
        "a.jpg: the file is empty.",
        Path("a.jpg"),
        "the file is empty",
    )
    with pytest.raises(ValueError, match="the file is empty"):
        raise problem


def test_one_is_no_plural(tmp_path: Path) -> None:
    assert [f"{count} {plural(count, 'photo')}" for count in (0, 1, 2)] == [
        "0 photos",
        "1 photo",
        "2 photos",
    ]
    assert (plural(1, "class", "classes"), plural(3, "class", "classes")) == ("class", "classes")
    (tmp_path / "red").mkdir()
    Image.new("RGB", (64, 64), "red").save(tmp_path / "red" / "a.jpg")
    photos = data.Photos([tmp_path / "red" / "a.jpg"], [0], ["red"])
    assert repr(photos) == "<1 photo of 1 class>"
    assert "1 photo checked" in repr(audit.check(tmp_path))
