"""The solved head against scikit-learn's, and the choice of its penalty."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from flowerlib import metrics, solvers, storage
from tests.fuzz.memory import growth

CLASSES, WIDTH = 5, 20


def clouds(count: int, seed: int, spread: float = 1.0) -> tuple[Tensor, Tensor]:
    """Overlapping classes whose axes have very different scales, like a network's features."""
    generator = torch.Generator().manual_seed(seed)
    centers = torch.randn(CLASSES, WIDTH, generator=torch.Generator().manual_seed(99))
    labels = torch.arange(count) % CLASSES
    values = centers[labels] + spread * torch.randn(count, WIDTH, generator=generator)
    return values * torch.logspace(0, -2, WIDTH) * 30 + 7, labels


@pytest.mark.parametrize("penalty", [1e-2, 1e-3, 1e-4])
def test_agrees_with_scikit_learn(penalty: float) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    values, labels = clouds(400, 0, spread=2.0)
    other, other_labels = clouds(300, 1, spread=2.0)
    ours = solvers.logistic(
        values, labels, other, other_labels, CLASSES, penalties=[penalty], max_steps=200
    )
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
    values = (values - values.mean(0)) / 30
    weight = torch.randn(WIDTH, CLASSES, generator=torch.Generator().manual_seed(1))
    found, gradient, spread = solvers._CrossEntropy(values, labels)(weight)
    weight.requires_grad_()
    logits = values @ weight
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    shares = logits.detach().softmax(1)
    assert found == pytest.approx(loss.item(), rel=1e-5)
    assert torch.allclose(gradient, weight.grad, atol=1e-6)
    assert spread == pytest.approx(float((shares * (1 - shares)).mean()), rel=1e-4)


def test_no_weight_is_passed_through_the_features_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[Tensor] = []
    plain = solvers._CrossEntropy._pass

    def watched(self: solvers._CrossEntropy, weight: Tensor) -> tuple[float, Tensor, float]:
        passed.append(weight)
        return plain(self, weight)

    monkeypatch.setattr(solvers._CrossEntropy, "_pass", watched)
    solvers.logistic(*clouds(60, 0), *clouds(30, 1), CLASSES)
    assert len(passed) > len(solvers.PENALTIES)
    assert len({id(weight) for weight in passed}) == len(passed)


def test_logits_in_pieces_give_the_same_head(monkeypatch: pytest.MonkeyPatch) -> None:
    values, labels = clouds(100, 0, spread=2.0)
    whole = solvers.logistic(values, labels, values, labels, CLASSES, max_steps=4)
    monkeypatch.setattr(solvers, "PIECE", 7 * CLASSES)  # 15 pieces, the last one smaller
    pieces = solvers.logistic(values, labels, values, labels, CLASSES, max_steps=4)
    assert torch.allclose(whole.head(values), pieces.head(values), atol=0.02)


def test_features_in_a_file_give_the_same_head(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values, labels = clouds(400, 0, spread=2.0)
    usual = solvers.logistic(values, labels, values, labels, CLASSES, refit=True)
    monkeypatch.setattr(storage, "LARGE", 0)
    monkeypatch.setattr(solvers, "ROWS", 33)  # and centered in 13 pieces
    filed = solvers.logistic(values, labels, values, labels, CLASSES, refit=True)
    assert torch.allclose(usual.head(values), filed.head(values), atol=0.02)


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


def test_the_mean_of_many_features_takes_no_copy_of_them() -> None:
    values = torch.ones(2**16, 512, dtype=torch.bfloat16)  # 67 MB; 134 in float32
    with growth() as grown:
        mean = solvers._mean(values)
    assert torch.equal(mean, torch.ones(512)) and mean.dtype == torch.float32
    if grown.bytes < 0:
        pytest.skip("this system does not tell how much memory was used")
    assert grown.bytes < 32 << 20


def test_bf16_finds_the_same_head(monkeypatch: pytest.MonkeyPatch) -> None:
    values, labels = clouds(400, 0, spread=2.0)
    other, other_labels = clouds(300, 1, spread=2.0)
    exact = solvers.logistic(values, labels, other, other_labels, CLASSES, max_steps=4)
    monkeypatch.setattr(solvers, "LARGE", 0)
    monkeypatch.setattr(solvers, "FORGOTTEN", 0)  # here the weakest axes count as much as others
    monkeypatch.setattr(solvers, "choose_precision", lambda *given: "bf16")
    rough = solvers.logistic(values, labels, other, other_labels, CLASSES)
    assert not torch.equal(exact.head[0].weight, rough.head[0].weight)
    for one, two in zip(exact.rows, rough.rows, strict=True):
        assert one["valid_loss"] == pytest.approx(two["valid_loss"], rel=0.02)
    agree = exact.head(other).argmax(1) == rough.head(other).argmax(1)
    assert agree.double().mean() > 0.97


def test_rough_axes_are_those_of_pieces_without_the_weakest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(solvers, "WIDEST", 8)  # 20 features: pieces of 7, 7 and 6
    values, _ = clouds(400, 0)
    mean = values.mean(0)
    axes, variances = solvers._principal_axes(values, values[:0], mean, torch.float32, rough=True)
    places = torch.cat([its for _, its in axes])
    assert [len(its) for its, _ in axes] == [7, 7, 6] and len(places) < WIDTH
    assert places.sort().values.tolist() == list(range(1, len(variances)))
    turned = solvers._turned([values], mean, axes, torch.float32)
    assert torch.allclose(turned.square().mean(0), variances, rtol=1e-3)
    assert variances[1:].sum().item() == pytest.approx(1)
    assert torch.equal(variances, variances.sort(descending=True).values)
    square = axes[0][0][:, 0].square().sum()
    for its, _ in axes:  # at right angles, as long as all others
        assert torch.allclose(its.T @ its, square * torch.eye(its.shape[1]), atol=1e-6)
    share = 1 / (square * (values - mean).square().sum(1).mean())
    assert 0.99 < float(share) < 1
    monkeypatch.setattr(solvers, "FORGOTTEN", 0)
    axes, _ = solvers._principal_axes(values, values[:0], mean, torch.float32, rough=True)
    assert sum(its.shape[1] for its, _ in axes) == WIDTH


def test_a_strong_penalty_looks_at_strong_axes_only(monkeypatch: pytest.MonkeyPatch) -> None:
    values, labels = clouds(400, 0, spread=2.0)
    values *= 10 ** -torch.linspace(0, 3, WIDTH)  # which the weakest penalty cannot use, either
    widths: list[int] = []
    plain = solvers._CrossEntropy._pass

    def watched(self: solvers._CrossEntropy, weight: Tensor) -> tuple[float, Tensor, float]:
        widths.append(len(weight))
        return plain(self, weight)

    monkeypatch.setattr(solvers._CrossEntropy, "_pass", watched)
    given = dict(penalties=(1e-1, 1e-3, 1e-5), max_steps=20, refit=True)
    exact = solvers.logistic(values, labels, values, labels, CLASSES, **given)
    assert set(widths) == {WIDTH + 1}  # where a pass costs next to nothing, at all of them
    widths.clear()
    monkeypatch.setattr(solvers, "LARGE", 0)
    monkeypatch.setattr(solvers, "FORGOTTEN", 0)
    monkeypatch.setattr(solvers, "choose_precision", lambda *given: "fp32")
    found = solvers.logistic(values, labels, values, labels, CLASSES, **given)
    assert widths == sorted(widths) and 1 < widths[0] < widths[-1] <= WIDTH + 1
    for one, two in zip(exact.rows, found.rows, strict=True):
        assert one["train_loss"] == pytest.approx(two["train_loss"], rel=0.02)


def test_features_without_variance_are_no_trouble() -> None:
    values, labels = clouds(100, 0)
    values[:, 3] = 5.0
    values[:, 4] = values[:, 5]
    found = solvers.logistic(values, labels, values, labels, CLASSES)
    assert all(bool(torch.isfinite(p).all()) for p in found.head.parameters())
    assert found.rows[found.best]["valid_accuracy"] > 0.9


def test_rough_axes_of_constant_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solvers, "WIDEST", 8)
    values, labels = torch.full((60, 20), 3.0), torch.arange(60) % CLASSES
    found = solvers.logistic(values, labels, values, labels, CLASSES)
    assert found.rows[found.best]["valid_accuracy"] == pytest.approx(1 / CLASSES)


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
    stretch = float(scores.sum(1).mean())  # scores of least squares sum to 1
    assert stretch == pytest.approx(
        min(solvers.STRETCHES, key=lambda known: abs(known - stretch)), rel=1e-3
    )
    assert torch.allclose(scores / stretch, expected, atol=2e-3)


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
