"""Ridge regression against the normal equations, and its temperature."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from flowerlib import metrics, solvers
from flowerlib.solvers.temperature import TEMPERATURES, temperature
from tests.solvers.drawn_features import CLASSES, WIDTH, clouds


@pytest.mark.parametrize("count", [400, 12], ids=["more photos than features", "fewer"])
@pytest.mark.parametrize("refit", [False, True])
def test_ridge_is_the_solution_of_the_normal_equations(count: int, refit: bool) -> None:
    values, labels = clouds(count, 0, deviation=2.0)
    other, other_labels = clouds(300, 1, deviation=2.0)
    penalty = 1e-3
    ours = solvers.ridge(
        values, labels, other, other_labels, CLASSES, penalties=[penalty], refit=refit
    )
    seen, known = (torch.cat([values, other]), torch.cat([labels, other_labels]))
    if not refit:
        seen, known = values, labels
    centered = (seen - seen.mean(0)).double()
    total = centered.square().sum(1).mean()
    targets = F.one_hot(known, CLASSES).double()
    curvature = centered.T @ centered / len(seen) + penalty * total * torch.eye(WIDTH)
    weight = torch.linalg.solve(curvature, centered.T @ (targets - targets.mean(0)) / len(seen))
    expected = (other - seen.mean(0)).double() @ weight + targets.mean(0)
    scores = ours.head(other).detach().double()
    divisor = 1 / float(scores.sum(1).mean())  # scores of least squares sum to 1
    nearest = min(TEMPERATURES, key=lambda value: abs(value - divisor))
    assert divisor == pytest.approx(nearest, rel=1e-3)
    assert torch.allclose(scores * divisor, expected, atol=2e-3)


def test_ridge_gives_honest_probabilities() -> None:
    values, labels = clouds(400, 0, deviation=2.0)
    other, other_labels = clouds(300, 1, deviation=2.0)
    found = solvers.ridge(values, labels, other, other_labels, CLASSES)
    best, logits = found.rows[found.best], found.head(other).detach()
    assert [row["penalty"] for row in found.rows] == sorted(solvers.RIDGE_PENALTIES, reverse=True)
    assert best["valid_loss"] == pytest.approx(
        float(F.cross_entropy(logits, other_labels)), abs=1e-4
    )
    assert best["valid_accuracy"] == metrics.accuracy(logits, other_labels)
    loss = float(F.cross_entropy(found.head(values).detach(), labels))
    assert best["train_loss"] == pytest.approx(loss, abs=1e-4)
    # Neither twice nor half as sure would be closer to the truth.
    for factor in (0.5, 2):
        assert F.cross_entropy(factor * logits, other_labels) > best["valid_loss"]
    rival = solvers.logistic(values, labels, other, other_labels, CLASSES)
    assert best["valid_accuracy"] > rival.rows[rival.best]["valid_accuracy"] - 0.05


def test_ridge_is_not_sure_of_everything_where_few_valid_photos_are_all_right() -> None:
    values, labels = clouds(40, 0, deviation=0.8)
    other, other_labels = clouds(10, 1, deviation=0.3)
    unseen, unseen_labels = clouds(500, 2, deviation=1.5)
    found = solvers.ridge(values, labels, other, other_labels, CLASSES)
    assert found.rows[found.best]["valid_accuracy"] == 1
    logits = found.head(unseen).detach()
    wrong = logits.argmax(1) != unseen_labels
    assert wrong.any() and logits[wrong].softmax(1).amax(1).mean() < 0.9


def test_the_temperature_is_the_one_that_scores_were_divided_by() -> None:
    logits = 4 * torch.randn(4000, 6, generator=torch.Generator().manual_seed(0))
    labels = torch.multinomial(logits.softmax(1), 1, generator=torch.Generator().manual_seed(1))
    for power in (0, 4, 12):
        assert temperature(logits * TEMPERATURES[power], labels[:, 0]) == TEMPERATURES[power]
