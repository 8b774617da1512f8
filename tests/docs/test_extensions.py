"""What the site adds to Sphinx: launch links, which lessons use a function, citations."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

import flowerlib

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture
def extension(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(DOCS / "_ext"), *sys.path])
    return importlib.import_module


@pytest.mark.parametrize(
    ("origin", "page"),
    [
        ("https://github.com/some/one.git", "https://github.com/some/one"),
        ("https://user:word@github.com/some/one", "https://github.com/some/one"),
        ("git@github.com:some/one.git", "https://github.com/some/one"),
        ("ssh://git@github.com/some/o.n-e/", "https://github.com/some/o.n-e"),
        ("https://example.org/some/one.git", ""),
        ("../flowerlib", ""),
        ("", ""),
    ],
)
def test_where_a_copy_comes_from(extension, origin, page):
    assert extension("site_settings").github_page(origin) == page


def test_a_folder_without_git_has_no_repository(extension, tmp_path):
    assert extension("site_settings").repository_of(tmp_path) == ""


def test_launch_links_follow_the_one_setting(extension):
    links = extension("site_settings").launch_links(
        "https://github.com/some/one", "notebooks/04_flowers.ipynb"
    )
    assert links == {
        "Colab": "https://colab.research.google.com/github/some/one/blob/main/"
        "notebooks/04_flowers.ipynb",
        "Binder": "https://mybinder.org/v2/gh/some/one/main?urlpath=lab/tree/"
        "notebooks/04_flowers.ipynb",
        "Codespaces": "https://codespaces.new/some/one",
    }


@pytest.mark.parametrize(
    ("url", "colab"),
    [
        ("", "../docs/online.html#colab"),
        (
            "https://github.com/some/one",
            "https://colab.research.google.com/github/some/one/blob/main/notebooks/04_flowers.ipynb",
        ),
    ],
)
def test_a_lesson_says_where_it_can_be_run(extension, url, colab):
    pytest.importorskip("sphinx")
    app = SimpleNamespace(config=SimpleNamespace(repository_url=url))
    context = {"pathto": lambda name, raw=0: f"../{name}" if raw else f"../{name}.html"}
    extension("lesson_pages").add_links(app, "notebooks/04_flowers", "page.html", context, None)
    assert context["launch_links"]["Colab"] == colab
    assert context["lesson_files"] == {
        "notebook": "../_downloads/lessons/04_flowers.ipynb",
        "script": "../_downloads/lessons/04_flowers.py",
    }


def test_what_a_lesson_uses(extension):
    pytest.importorskip("sphinx")
    code = """
from flowerlib import data, train as training
from flowerlib.classifier import Classifier
import numpy as np
splits = data.flowers(per_class=3)
training.fit(np.mean, data.loader)
other.data.garden()
"""
    assert extension("reference").uses(code) == {
        "flowerlib.data",
        "flowerlib.data.flowers",
        "flowerlib.data.loader",
        "flowerlib.train",
        "flowerlib.train.fit",
        "flowerlib.classifier.Classifier",
    }


def test_the_opening_of_a_lesson(extension):
    pytest.importorskip("sphinx")
    pages = extension("lesson_pages")
    cell = {"source": ["# Why?\n", "\n", "You will\n", "see.\n", "\n", "| | |\n"]}
    assert pages.opening({"cells": [cell]}) == ("Why?", "You will see.")


def test_the_services_are_set_up(repository):
    container = json.loads((repository / ".devcontainer" / "devcontainer.json").read_text("utf-8"))
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    assert container["postCreateCommand"] == "make .venv/.installed"
    assert "READY = $(VENV)/.installed" in makefile
    environment = yaml.safe_load((repository / "binder" / "environment.yml").read_text("utf-8"))
    assert {"pytorch-cpu", "torchvision"} <= set(environment["dependencies"])
    assert "pip install" in (repository / "binder" / "postBuild").read_text(encoding="utf-8")


def test_the_citation_names_this_version(repository):
    citation = yaml.safe_load((repository / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == flowerlib.__version__
    assert citation["cff-version"] == "1.2.0"
    assert citation["license"] == "MIT"


def test_issue_forms_have_what_the_host_requires(repository):
    forms = sorted((repository / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert len(forms) >= 3
    for path in forms:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        if path.name == "config.yml":
            continue
        assert {"name", "description", "body"} <= set(form)
        ids = [field["id"] for field in form["body"]]
        assert len(ids) == len(set(ids))


def test_inventories_are_plain_and_sorted_by_project(repository):
    lists = sorted((repository / "docs" / "inventories").glob("*.inv"))
    assert lists
    for path in lists:
        head, *lines = path.read_text(encoding="utf-8").splitlines()
        assert head == "# Sphinx inventory version 1"
        assert all(re.fullmatch(r"[\w.]+ \w+ [\w./-]+", line) for line in lines[2:])


def test_the_glossary_explains_each_word_once(repository):
    text = (repository / "docs" / "glossary.md").read_text(encoding="utf-8")
    terms = re.findall(r"^### (.+)$", text, re.MULTILINE)
    assert len(terms) == len({term.lower() for term in terms}) > 50
    for entry in re.split(r"^### .+$", text, flags=re.MULTILINE)[1:]:
        words = entry.partition("\n## ")[0].split()
        assert 3 < len(words) < 60
