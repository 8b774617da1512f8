"""Errors reach the caller whole, also from another process."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pkgutil
from pathlib import Path

import pytest

import flowerlib
from flowerlib.data.decoding.images import PhotoError
from flowerlib.support.errors import InputError


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
