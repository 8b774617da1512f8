"""The optimizers that do not load torch's compiler take the same steps as torch's own."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from flowerlib.quick_optim import quick


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD])
def test_the_same_bits(kind: type) -> None:
    torch.manual_seed(0)
    first = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    models = [first, copy.deepcopy(first)]
    makers = [kind, quick(kind)]
    optimizers = [
        make(each.parameters(), lr=0.1) for make, each in zip(makers, models, strict=True)
    ]
    schedules = [torch.optim.lr_scheduler.StepLR(each, 2, 0.5) for each in optimizers]
    for step in range(6):
        if step == 3:  # each goes on from the other's state
            states = [each.state_dict() for each in optimizers]
            for each, state in zip(optimizers, reversed(states), strict=True):
                each.load_state_dict(state)
        values, labels = torch.randn(8, 6), torch.randint(3, (8,))
        for model, optimizer, schedule in zip(models, optimizers, schedules, strict=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(values), labels).backward()
            optimizer.step()
            schedule.step()
    for ours, theirs in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(ours, theirs)
        assert ours.requires_grad and theirs.grad is not None


def test_it_is_still_that_optimizer() -> None:
    made = quick(torch.optim.Adam)([torch.ones(2, requires_grad=True)], lr=0.1)
    assert isinstance(made, torch.optim.Adam)
    assert quick(torch.optim.Adam) is type(made), "made once"
    assert type(made).__name__ == "Adam"
    with pytest.raises(ValueError, match="learning rate"):
        quick(torch.optim.Adam)([torch.ones(2, requires_grad=True)], lr=-1.0)
