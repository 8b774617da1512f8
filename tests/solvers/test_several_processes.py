"""Heads that several processes solve together are those of one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from flowerlib import solvers
from flowerlib.solvers import logistic_regression
from tests.solvers.drawn_features import network_like
from tests.warm import together

CLASSES = 6
PROGRAM = """
import sys
import torch
from flowerlib import solvers
from flowerlib.solvers import logistic_regression
from flowerlib.support import distributed
from tests.solvers.test_several_processes import CLASSES, sets

logistic_regression.SMALL = 0
with distributed.started():
    found = [
        solvers.logistic(*sets(torch.float32), CLASSES, refit=True),
        solvers.logistic(*sets(torch.bfloat16), CLASSES),
        solvers.ridge(*sets(torch.float32), CLASSES),
        solvers.logistic(*sets(torch.float32, 20), CLASSES),  # fewer photos than features
    ]
    layers = [one.head.requires_grad_(False)[0] for one in found]
    kept = [
        (layer.weight, layer.bias, one.rows, one.valid_logits)
        for layer, one in zip(layers, found)
    ]
    torch.save(kept, f"{sys.argv[1]}/{distributed.rank()}.pt")
"""


def sets(kind: torch.dtype, count: int = 601) -> tuple[torch.Tensor, ...]:
    """Features and labels to learn from and to choose with; the processes' shares are uneven."""
    values, labels = network_like(count, 0, CLASSES, 40)
    other, other_labels = network_like(19 if count < 40 else 201, 1, CLASSES, 40)
    return values.to(kind), labels, other.to(kind), other_labels


@pytest.mark.parametrize("size", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_heads_are_those_of_one_process(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Path
) -> None:
    monkeypatch.setattr(logistic_regression, "SMALL", 0)
    alone = [
        solvers.logistic(*sets(torch.float32), CLASSES, refit=True),
        solvers.logistic(*sets(torch.bfloat16), CLASSES),
        solvers.ridge(*sets(torch.float32), CLASSES),
        solvers.logistic(*sets(torch.float32, 20), CLASSES),
    ]
    own = {"PYTHONPATH": [str(repository)] * size}
    for ended in together(["-c", PROGRAM, str(tmp_path)], size, own=own):
        assert ended.code == 0, ended.err
    for rank in range(size):
        for expected, found in zip(alone, torch.load(tmp_path / f"{rank}.pt"), strict=True):
            weight, bias, rows, logits = found
            layer = expected.head[0].requires_grad_(False)
            assert float((weight - layer.weight).norm() / layer.weight.norm()) < 1e-4
            # The same bias for all classes changes nothing.
            assert float((bias - layer.bias).std() / layer.bias.std()) < 1e-4
            assert torch.equal(logits.argmax(1), expected.valid_logits.argmax(1))
            assert [row["penalty"] for row in rows] == [row["penalty"] for row in expected.rows]
