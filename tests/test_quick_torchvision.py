"""torchvision without the compiler is the same torchvision; the compiler comes when asked."""

from __future__ import annotations

import subprocess
import sys

import pytest

WITHOUT = """
import sys, torch
from flowerlib.quick_torchvision import torchvision
assert "torch._dynamo" not in sys.modules, "the compiler was loaded"
assert "torch._dynamo.utils" not in sys.modules, "a stand-in was left behind"
torchvision.models.resnet18()(torch.zeros(2, 3, 64, 64))
assert "torch._dynamo" not in sys.modules, "a forward pass loads the compiler"
"""
# Whole trainings, as far as they load modules: weights from a file, the fused network, the solver,
# the loop, the last stage.
TRAINING = """
import sys
from flowerlib import data, train
splits = data.garden("furniture", per_class=(4, 2, 0), size=32)
for options in ({}, {"head": "hidden", "epochs": 1}, {"effort": "best"}):
    train.transfer(splits, "small_resnet", cache=False, **options)
for name in ("torch._dynamo", "sympy", "matplotlib"):
    assert name not in sys.modules, f"{name} was loaded"
"""
AFTERWARDS = """
from torchvision.ops import roi_align
from torchvision.transforms import v2
boxes = [torch.tensor([[0.0, 0.0, 4.0, 4.0]])]
assert roi_align(torch.ones(1, 3, 8, 8), boxes, 2).shape == (1, 3, 2, 2)
image = torchvision.tv_tensors.Image(torch.rand(3, 8, 8))
assert type(v2.functional.horizontal_flip(image)) is torchvision.tv_tensors.Image
assert torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)) == 2
from torch._dynamo.utils import is_compile_supported
assert is_compile_supported("cpu") in (True, False)
"""
# A torchvision that asks the compiler for more than the stand-in knows.
ASKS_FOR_MORE = """
import inspect, sys, torch
from pathlib import Path
source = Path("flowerlib/quick_torchvision.py").read_text()
line = "    stand_in.is_compile_supported = _can_compile\\n"
assert line in source
found = {"__name__": "without"}
exec(source.replace(line, ""), found)
torchvision = found["torchvision"]
assert "torch._dynamo" in sys.modules, "the plain way loads the compiler"
assert torch.compiler.disable.__module__ == "torch.compiler"
"""


@pytest.mark.parametrize(
    "program", [WITHOUT + TRAINING + AFTERWARDS, ASKS_FOR_MORE + AFTERWARDS], ids="ab"
)
def test_in_a_fresh_process(repository, program: str) -> None:
    quick = f"import gc, os; gc.disable()\n{program}\nos._exit(0)"  # no end of torch's libraries
    done = subprocess.run(
        [sys.executable, "-c", quick], cwd=repository, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
