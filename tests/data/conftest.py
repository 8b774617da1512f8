"""Photos that the tests of `data` share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def folder(flower_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of 14 flowers each, not divided."""
    root = tmp_path_factory.mktemp("undivided") / "photos"
    for part in ("train", "valid", "test"):
        shutil.copytree(flower_folder / part, root, dirs_exist_ok=True)
    return root
