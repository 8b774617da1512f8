"""The solved heads against exact solutions and scikit-learn's, and the choice of the penalty."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowerlib import metrics, solvers
from flowerlib.support import storage
from flowerlib.support.errors import InputError

CLASSES, WIDTH = 5, 20


def clouds(count: int, seed: int, spread: float = 1.0) -> tuple[Tensor, Tensor]:
    """Overlapping classes whose axes have very different scales, like a network's features."""
    generator = torch.Generator().manual_seed(seed)
    centers = torch.randn(CLASSES, WIDTH, generator=torch.Generator().manual_seed(99))
    labels = torch.arange(count) % CLASSES
    values = centers[labels] + spread * torch.randn(count, WIDTH, generator=generator)
    return values * torch.logspace(0, -2, WIDTH) * 30 + 7, labels


def few(seed: int, sizes: list[int], width: int = 60) -> tuple[Tensor, Tensor]:
    """Few photos with many features, rectified as those of a network; `sizes` of each class."""
    generator = np.random.default_rng(seed)
    centers = np.random.default_rng(99).normal(size=(len(sizes), width)) * 0.4
    labels = np.repeat(np.arange(len(sizes)), sizes)
    values = np.maximum(centers[labels] + generator.normal(size=(len(labels), width)), 0)
    return torch.tensor(values, dtype=torch.float32), torch.tensor(labels)


def excess(
    head: nn.Sequential, values: Tensor, labels: Tensor, scale: float, penalty: float
) -> float:
    """By what share the head's objective lies above the lowest, which torch's L-BFGS finds."""
    layer = head[0]
    start = values.double().mean(0)
    scaled = (values.double() - start) / scale
    weight = torch.zeros(layer.weight.shape, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(len(weight), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=1000,
        history_size=30,
        line_search_fn="strong_wolfe",
        tolerance_grad=1e-12,
        tolerance_change=1e-15,
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(scaled @ weight.T + bias, labels)
        loss = loss + penalty / 2 * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    lowest = float(closure().detach())
    with torch.no_grad():
        loss = F.cross_entropy(values.double() @ layer.weight.double().T + layer.bias, labels)
        penalized = penalty / 2 * (layer.weight.double() * scale).square().sum()
    return float(loss + penalized) / lowest - 1


def spread_of(values: Tensor) -> float:
    return float((values.double() - values.double().mean(0)).square().sum(1).mean().sqrt())


@pytest.mark.parametrize("refit", [False, True])
@pytest.mark.parametrize(
    "sizes",
    [[8, 8, 8], [2, 2], [25, 3], [1, 9, 4, 2, 20, 6]],
    ids=["even", "two", "rare", "uneven"],
)
def test_few_photos_get_the_best_head(sizes: list[int], refit: bool) -> None:
    for seed in range(2):
        values, labels = few(seed, sizes)
        other, other_labels = few(seed + 100, [3] * len(sizes))
        found = solvers.logistic(values, labels, other, other_labels, len(sizes), refit=refit)
        seen, known = values, labels
        if refit:
            seen, known = torch.cat([values, other]), torch.cat([labels, other_labels])
        assert excess(found.head, seen, known, spread_of(values), found.penalty) < 1e-3


@pytest.mark.parametrize("refit", [False, True])
@pytest.mark.parametrize("penalty", [1e-4, 1e-6])
def test_many_photos_get_nearly_the_best_head(
    penalty: float, refit: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(solvers, "SMALL", 0)
    values, labels = clouds(700, 0, spread=2.0)
    other, other_labels = clouds(300, 1, spread=2.0)
    found = solvers.logistic(
        values, labels, other, other_labels, CLASSES, penalties=[penalty], refit=refit
    )
    assert found.precision == "fp32"
    seen, known = values, labels
    if refit:
        seen, known = torch.cat([values, other]), torch.cat([labels, other_labels])
    assert excess(found.head, seen, known, spread_of(values), penalty) < 1e-2


def test_a_head_that_is_not_the_best_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solvers, "MAX_STEPS", 3)
    with pytest.warns(RuntimeWarning, match="lowest objective"):
        solvers.logistic(*clouds(60, 0), *clouds(30, 1), CLASSES)


@pytest.mark.parametrize("penalty", [1e-2, 1e-3, 1e-4])
def test_agrees_with_scikit_learn(penalty: float) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    values, labels = clouds(400, 0, spread=2.0)
    other, other_labels = clouds(300, 1, spread=2.0)
    ours = solvers.logistic(values, labels, other, other_labels, CLASSES, penalties=[penalty])
    centered = (values - values.mean(0)).double()
    scale = centered.square().sum(1).mean().sqrt()
    # Its C multiplies the sum of the losses, our penalty stands beside their mean.
    oracle = linear_model.LogisticRegression(C=1 / (penalty * len(values)), max_iter=5000, tol=1e-8)
    oracle.fit((centered / scale).numpy(), labels.numpy())
    theirs = oracle.decision_function(((other - values.mean(0)) / scale).double().numpy())
    logits = ours.head(other).detach()
    loss = float(F.cross_entropy(logits, other_labels))
    expected = float(F.cross_entropy(torch.from_numpy(theirs), other_labels))
    assert loss == pytest.approx(expected, abs=0.003)
    assert (logits.argmax(1).numpy() == theirs.argmax(1)).mean() > 0.99
    assert ours.rows[0]["valid_loss"] == pytest.approx(loss, abs=1e-3)
    assert ours.rows[0]["valid_accuracy"] == metrics.accuracy(logits, other_labels)


def test_the_penalty_is_chosen_on_valid() -> None:
    values, labels = clouds(60, 0, spread=3.0)
    other, other_labels = clouds(300, 1, spread=3.0)
    found = solvers.logistic(
        values, labels, other, other_labels, CLASSES, penalties=(1e-6, 1e-2, 1e-1)
    )
    assert [row["penalty"] for row in found.rows] == [1e-1, 1e-2, 1e-6]
    best = found.rows[found.best]
    assert found.penalty == best["penalty"]
    top = max(row["valid_accuracy"] for row in found.rows)
    assert best["valid_accuracy"] >= top - (top * (1 - top) / 300) ** 0.5
    losses = [row["train_loss"] for row in found.rows]
    assert losses == sorted(losses, reverse=True)  # a weaker penalty fits the training set better
    assert metrics.accuracy(found.head(other), other_labels) == best["valid_accuracy"]


@pytest.mark.parametrize(
    ("figures", "chosen"),
    [
        ([(0.80, 0.9), (0.81, 0.5), (0.82, 0.7)], 1),  # equally accurate: the lowest loss
        ([(0.60, 0.5), (0.81, 0.9), (0.82, 0.8)], 2),  # the lowest loss, but far less accurate
        ([(0.81, 0.51), (0.82, 0.50), (0.82, 0.7)], 0),  # nearly equal losses: the strongest
    ],
)
def test_the_rule_of_choice(figures: list[tuple[float, float]], chosen: int) -> None:
    rows = [{"valid_accuracy": accuracy, "valid_loss": loss} for accuracy, loss in figures]
    assert solvers._choose(rows, 400) == chosen


def test_the_gradient_is_the_derivative() -> None:
    values, labels = clouds(50, 0)
    values = ((values - values.mean(0)) / 30).double()
    weight = torch.randn(CLASSES, WIDTH, generator=torch.Generator().manual_seed(1)).double()
    found, gradient, spread = solvers._CrossEntropy(values, labels)(weight)
    weight.requires_grad_()
    logits = values @ weight.T
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    assert found == pytest.approx(loss.item())
    assert torch.allclose(gradient, weight.grad)
    logits = logits.detach()
    offset = torch.zeros(CLASSES, dtype=torch.float64)
    second = torch.autograd.functional.hessian(
        lambda offset: F.cross_entropy(logits + offset, labels), offset
    )
    errors = logits.softmax(1) - F.one_hot(labels, CLASSES)
    assert torch.allclose(spread, second + errors.T @ errors / len(labels))


def test_logits_in_pieces_give_the_same_head(monkeypatch: pytest.MonkeyPatch) -> None:
    values, labels = clouds(100, 0, spread=2.0)
    whole = solvers.logistic(values, labels, values, labels, CLASSES)
    monkeypatch.setattr(solvers, "PIECE", 7 * CLASSES)  # 15 pieces, the last one smaller
    pieces = solvers.logistic(values, labels, values, labels, CLASSES)
    assert torch.allclose(whole.valid_logits, pieces.valid_logits, atol=0.1)
    assert whole.rows[whole.best]["train_loss"] == pytest.approx(
        pieces.rows[pieces.best]["train_loss"], rel=1e-3
    )


def test_features_in_a_file_give_the_same_head(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values, labels = clouds(400, 0, spread=2.0)
    usual = solvers.logistic(values, labels, values, labels, CLASSES, refit=True)
    monkeypatch.setattr(storage, "LARGE", 0)
    monkeypatch.setattr(solvers, "ROWS", 33)  # and centered in 13 pieces
    filed = solvers.logistic(values, labels, values, labels, CLASSES, refit=True)
    assert torch.allclose(usual.valid_logits, filed.valid_logits, atol=0.1)
    assert usual.rows[usual.best]["train_loss"] == pytest.approx(
        filed.rows[filed.best]["train_loss"], rel=1e-3
    )


@pytest.mark.parametrize("solve", [solvers.logistic, solvers.ridge])
def test_features_may_be_kept_in_half_the_memory(solve) -> None:
    values, labels = clouds(600, 0)
    other, other_labels = clouds(300, 1)
    halves = values.bfloat16(), other.bfloat16()
    half = solve(halves[0], labels, halves[1], other_labels, CLASSES, refit=True)
    same = solve(halves[0].float(), labels, halves[1].float(), other_labels, CLASSES, refit=True)
    # Sums in another order may round in another way.
    assert torch.allclose(half.head[0].weight, same.head[0].weight, rtol=1e-3, atol=1e-4)
    assert half.penalty == same.penalty


def test_the_axes_are_principal_and_keep_lengths() -> None:
    values, other = clouds(400, 0)[0], clouds(40, 1)[0]
    for seen in (values, values[:12]):
        axes = solvers._Axes(seen, other[:3], CLASSES)
        turned = axes.turn(seen, other[:3])[:, 1:]
        assert float(turned[: len(seen)].square().sum(1).mean()) == pytest.approx(1)
        covariance = turned.T @ turned / len(turned)
        assert torch.allclose(covariance, axes.variances[1:].diag(), atol=1e-9)
        lengths = (torch.cat([seen, other[:3]]).double() - axes.mean).norm(dim=1)
        assert torch.allclose(turned.norm(dim=1) * spread_of(seen), lengths)


def test_features_without_variance_are_no_trouble() -> None:
    values, labels = clouds(100, 0)
    values[:, 3] = 5.0
    values[:, 4] = values[:, 5]
    found = solvers.logistic(values, labels, values, labels, CLASSES)
    assert all(bool(torch.isfinite(p).all()) for p in found.head.parameters())
    assert found.rows[found.best]["valid_accuracy"] > 0.9


def test_more_features_than_photos() -> None:
    values = torch.randn(12, 40, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(12) % 3
    found = solvers.logistic(values, labels, values, labels, 3)
    assert found.rows[found.best]["valid_accuracy"] == 1.0


def test_refitting_few_photos_sees_what_only_valid_shows() -> None:
    """A third class has its mark in a direction in which no training photo differs."""
    train, valid = torch.zeros(6, 40), torch.zeros(6, 40)
    train[:, 0] = torch.tensor([1.0, 1.1, 0.9, -1.0, -1.1, -0.9])
    valid[:, 30] = torch.tensor([1.0, 1.1, 0.9, -1.0, -1.1, -0.9])
    labels, other = torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([2, 2, 2, 1, 1, 1])
    with warnings.catch_warnings(action="error"):
        found = solvers.logistic(train, labels, valid, other, 3, refit=True)
    assert metrics.accuracy(found.head(valid), other) == 1.0


def test_refitting_uses_valid_as_well_and_keeps_the_honest_figures() -> None:
    values, labels = clouds(60, 0, spread=2.0)
    other, other_labels = clouds(60, 1, spread=2.0)
    plain = solvers.logistic(values, labels, other, other_labels, CLASSES)
    again = solvers.logistic(values, labels, other, other_labels, CLASSES, refit=True)
    assert plain.rows == again.rows and plain.penalty == again.penalty
    losses = [float(F.cross_entropy(s.head(other).detach(), other_labels)) for s in (plain, again)]
    assert losses[1] < losses[0]


@pytest.mark.parametrize("solve", [solvers.logistic, solvers.ridge])
def test_valid_logits_are_those_before_the_refit(solve) -> None:
    values, labels = clouds(60, 0, spread=2.0)
    other, other_labels = clouds(60, 1, spread=2.0)
    plain = solve(values, labels, other, other_labels, CLASSES)
    again = solve(values, labels, other, other_labels, CLASSES, refit=True)
    assert torch.equal(plain.valid_logits, again.valid_logits)
    assert again.valid_logits.shape == (60, CLASSES) and again.valid_logits.dtype == torch.float32
    assert torch.allclose(plain.head(other), plain.valid_logits, atol=1e-3)
    best = again.rows[again.best]
    assert metrics.accuracy(again.valid_logits, other_labels) == best["valid_accuracy"]
    assert float(F.cross_entropy(again.valid_logits, other_labels)) == best["valid_loss"]


def test_the_same_every_time() -> None:
    values, labels = clouds(100, 0)
    heads = [solvers.logistic(values, labels, values, labels, CLASSES).head for _ in range(2)]
    assert np.array_equal(heads[0][0].weight.detach(), heads[1][0].weight.detach())


@pytest.mark.parametrize("solve", [solvers.logistic, solvers.ridge])
def test_features_that_are_all_the_same_leave_the_shares(solve) -> None:
    values, labels = torch.full((60, 20), 3.0), torch.arange(60) % CLASSES
    found = solve(values, labels, values, labels, CLASSES, refit=True)
    assert found.rows[found.best]["valid_accuracy"] == pytest.approx(1 / CLASSES)


@pytest.mark.parametrize("solve", [solvers.logistic, solvers.ridge])
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
def test_what_no_head_can_be_solved_from_is_refused(solve, change: dict, message: str) -> None:
    values, labels = clouds(60, 0)
    other, other_labels = clouds(30, 1)
    given = dict(features=values, labels=labels, valid_features=other, valid_labels=other_labels)
    with pytest.raises(InputError, match=message):
        solve(**given | change, num_classes=CLASSES)


@pytest.mark.parametrize("count", [400, 12], ids=["more photos than features", "fewer"])
@pytest.mark.parametrize("refit", [False, True])
def test_ridge_is_the_solution_of_the_normal_equations(count: int, refit: bool) -> None:
    values, labels = clouds(count, 0, spread=2.0)
    other, other_labels = clouds(300, 1, spread=2.0)
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
    temperature = 1 / float(scores.sum(1).mean())  # scores of least squares sum to 1
    nearest = min(solvers.TEMPERATURES, key=lambda known: abs(known - temperature))
    assert temperature == pytest.approx(nearest, rel=1e-3)
    assert torch.allclose(scores * temperature, expected, atol=2e-3)


def test_ridge_tells_honest_probabilities() -> None:
    values, labels = clouds(400, 0, spread=2.0)
    other, other_labels = clouds(300, 1, spread=2.0)
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
    values, labels = clouds(40, 0, spread=0.8)
    other, other_labels = clouds(10, 1, spread=0.3)
    unseen, unseen_labels = clouds(500, 2, spread=1.5)
    found = solvers.ridge(values, labels, other, other_labels, CLASSES)
    assert found.rows[found.best]["valid_accuracy"] == 1
    logits = found.head(unseen).detach()
    wrong = logits.argmax(1) != unseen_labels
    assert wrong.any() and logits[wrong].softmax(1).amax(1).mean() < 0.9
