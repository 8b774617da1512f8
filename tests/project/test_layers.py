"""Imports follow the contracts in pyproject.toml, and light modules stay light."""

from __future__ import annotations

import subprocess
import sys

import pytest


def test_imports_follow_the_contracts(repository):
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    result = subprocess.run(
        [sys.executable, "-c", command, "--no-cache"],
        cwd=repository,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("module", ["flowerlib", "flowerlib.cli", "flowerlib.garden"])
def test_import_does_not_load_torch(module):
    code = f"import sys, {module}; print(sorted({{'torch', 'torchvision'}} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"
