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
from torchvision.transforms import v2
image = torchvision.tv_tensors.Image(torch.rand(3, 8, 8))
mirrored = v2.RandomHorizontalFlip(p=1)(v2.ToDtype(torch.float32)(image))
assert "torch._dynamo" not in sys.modules, "transforms load the compiler"
"""
# The loop of a lesson.
STEPS = """
from flowerlib import quick_optim
def steps(kind):
    weights = torch.nn.Parameter(torch.ones(3))
    optimizer = kind([weights], lr=0.1)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
    for _ in range(3):
        optimizer.zero_grad()
        weights.sin().sum().backward()
        optimizer.step()
        rate.step()
    return weights
kinds = (torch.optim.Adam, torch.optim.SGD)
quick_optim.everywhere()
quickly = [steps(kind) for kind in kinds]
quick_optim.everywhere()
seen = []
optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(3))])
optimizer.register_step_post_hook(lambda *_: seen.append("step"))
optimizer.step()
assert seen == ["step"], "hooks are lost"
assert "torch._dynamo" not in sys.modules, "optimizers load the compiler"
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
flipped = torch.compile(v2.functional.horizontal_flip, backend="eager")(image)
assert torch.equal(flipped, image.flip(2)) and type(flipped) is torchvision.tv_tensors.Image
assert torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)) == 2
from torch._dynamo.utils import is_compile_supported
assert is_compile_supported("cpu") in (True, False)
"""
# Once the compiler is there, optimizers take torch's own way, and get to the same numbers.
TORCHS = """
assert all(torch.equal(ours, steps(kind)) for ours, kind in zip(quickly, kinds, strict=True))
weights = torch.ones(1, requires_grad=True).clone()
weights.grad = torch.ones(1, requires_grad=True)
torch.optim.SGD([weights], lr=0.1, differentiable=True).step()
assert weights.requires_grad and weights.grad_fn is not None
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
    "program",
    [WITHOUT + TRAINING + STEPS + AFTERWARDS + TORCHS, ASKS_FOR_MORE + AFTERWARDS],
    ids="ab",
)
def test_in_a_fresh_process(repository, program: str) -> None:
    quick = f"import gc, os; gc.disable()\n{program}\nos._exit(0)"  # no end of torch's libraries
    done = subprocess.run(
        [sys.executable, "-c", quick], cwd=repository, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
