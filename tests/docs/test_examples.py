"""The examples in the docstrings of what is public are true."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

import flowerlib

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
PARTS = sorted(part.name for part in pkgutil.iter_modules(flowerlib.__path__, "flowerlib."))


def public(part: str) -> dict:
    module = importlib.import_module(part)
    return {name: getattr(module, name) for name in getattr(module, "__all__", ())}


@pytest.mark.parametrize("part", [part for part in PARTS if not part.endswith("__main__")])
def test_examples_are_true(part, monkeypatch, own_cache):
    monkeypatch.setenv("COLUMNS", "80")
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    finder = doctest.DocTestFinder(exclude_empty=True)
    printed: list[str] = []
    for name, item in public(part).items():
        if not (inspect.isclass(item) or inspect.isfunction(item)):
            continue
        for example in finder.find(inspect.unwrap(item), f"{part}.{name}", globs=public(part)):
            runner.run(example, out=printed.append)
    assert runner.failures == 0, "".join(printed)


def test_most_of_what_numbers_go_through_has_an_example():
    for part in ("flowerlib.metrics", "flowerlib.explain"):
        for name, item in public(part).items():
            if inspect.isfunction(item):
                assert ">>>" in inspect.getdoc(item), f"{part}.{name} has no example"


@pytest.mark.parametrize("part", ["flowerlib.metrics", "flowerlib.transforms", "flowerlib.solvers"])
def test_a_module_names_everything_public_in_its_all(part):
    module = importlib.import_module(part)
    mine = {
        name
        for name, item in vars(module).items()
        if (inspect.isfunction(item) or inspect.isclass(item)) and item.__module__ == part
    }
    assert {name for name in mine if not name.startswith("_")} <= set(module.__all__)
