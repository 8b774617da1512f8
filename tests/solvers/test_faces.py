"""What both solvers promise: the same answers to the same mistakes, honest figures, half memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from flowerlib import metrics, solvers
from flowerlib.solvers import LinearSolution
from flowerlib.support.errors import InputError
from tests.solvers.drawn_features import CLASSES, WIDTH, clouds

Solve = Callable[..., LinearSolution]
both = pytest.mark.parametrize("solve", [solvers.logistic, solvers.ridge])


@both
@pytest.mark.parametrize("count", [600, 12], ids=["many", "few"])
def test_features_may_come_in_half_the_memory(solve: Solve, count: int) -> None:
    values, labels = clouds(count, 0)
    other, other_labels = clouds(count // 2, 1)
    halves = values.bfloat16(), other.bfloat16()
    half = solve(halves[0], labels, halves[1], other_labels, CLASSES, refit=True)
    same = solve(halves[0].float(), labels, halves[1].float(), other_labels, CLASSES, refit=True)
    assert torch.equal(half.head[0].weight, same.head[0].weight)
    assert half.penalty == same.penalty


@both
def test_valid_logits_are_those_before_the_refit(solve: Solve) -> None:
    values, labels = clouds(60, 0, deviation=2.0)
    other, other_labels = clouds(60, 1, deviation=2.0)
    plain = solve(values, labels, other, other_labels, CLASSES)
    again = solve(values, labels, other, other_labels, CLASSES, refit=True)
    assert torch.equal(plain.valid_logits, again.valid_logits)
    assert again.valid_logits.shape == (60, CLASSES) and again.valid_logits.dtype == torch.float32
    assert torch.allclose(plain.head(other), plain.valid_logits, atol=1e-3)
    best = again.rows[again.best]
    assert metrics.accuracy(again.valid_logits, other_labels) == best["valid_accuracy"]
    assert float(F.cross_entropy(again.valid_logits, other_labels)) == best["valid_loss"]


@both
@pytest.mark.parametrize("count", [60, 5], ids=["many", "few"])
def test_features_that_are_all_the_same_leave_the_shares(solve: Solve, count: int) -> None:
    values, labels = torch.full((count, 20), 3.0), torch.arange(count) % CLASSES
    found = solve(values, labels, values, labels, CLASSES, refit=True)
    assert found.rows[found.best]["valid_accuracy"] == pytest.approx(1 / CLASSES)
    shares = found.head(values).softmax(1)
    assert torch.allclose(shares, torch.full_like(shares, 1 / CLASSES), atol=1e-3)


@both
def test_the_callers_random_numbers_go_on_as_if_nothing_was_solved(solve: Solve) -> None:
    """Another thread may be training with them, and must not find some of them gone."""
    values, labels = clouds(30, 0)
    before = torch.get_rng_state()
    solve(values, labels, values, labels, CLASSES, refit=True)
    assert torch.equal(torch.get_rng_state(), before)


@both
def test_a_single_class_is_answered_with_that_class(solve: Solve) -> None:
    values, _ = clouds(30, 0)
    labels = torch.zeros(30, dtype=torch.long)
    found = solve(values, labels, values, labels, 1, refit=True)
    assert found.rows[found.best]["valid_accuracy"] == 1


@both
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": torch.full((60, WIDTH), float("nan"))}, "NaN or infinite"),
        ({"valid_features": torch.full((30, WIDTH), float("inf"))}, "NaN or infinite"),
        ({"valid_features": torch.zeros(30, 7)}, "same backbone"),
        ({"labels": torch.arange(60) % 6}, "train labels must be 0 to 4"),
        ({"valid_labels": torch.zeros(29).long()}, "valid features"),
        ({"penalties": []}, "above 0"),
        ({"penalties": [1e-3, 0.0]}, "above 0"),
    ],
)
def test_what_no_head_can_be_solved_from_is_refused(
    solve: Solve, change: dict[str, object], message: str
) -> None:
    values, labels = clouds(60, 0)
    other, other_labels = clouds(30, 1)
    given = dict(features=values, labels=labels, valid_features=other, valid_labels=other_labels)
    with pytest.raises(InputError, match=message):
        solve(**given | change, num_classes=CLASSES)


def test_a_solution_says_what_it_is() -> None:
    values, labels = clouds(60, 0)
    found = solvers.logistic(values, labels, values, labels, CLASSES, penalties=[1e-3, 1e-4])
    assert repr(found) == (
        f"<LinearSolution: penalty {found.penalty:g}, the best of 2 on valid, 5 classes>"
    )
