"""The solved heads against exact solutions and scikit-learn's, and the choice of the penalty."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from flowerlib import metrics, solvers
from flowerlib.solvers import coordinates, lbfgs, objective
from flowerlib.solvers.solution import choose
from flowerlib.support import storage
from tests.solvers.drawn_features import (
    CLASSES,
    clouds,
    excess,
    few,
    network_like,
    root_mean_square,
)

UNEVEN = [[8, 8, 8], [2, 2], [25, 3], [1, 9, 4, 2, 20, 6]]


@pytest.mark.parametrize("refit", [False, True])
@pytest.mark.parametrize("width", [60, 15], ids=["more features than photos", "fewer"])
@pytest.mark.parametrize("sizes", UNEVEN, ids=["even", "two", "rare", "uneven"])
def test_few_photos_get_the_best_head(sizes: list[int], width: int, refit: bool) -> None:
    for seed in range(2):
        values, labels = few(seed, sizes, width)
        other, other_labels = few(seed + 100, [3] * len(sizes), width)
        found = solvers.logistic(values, labels, other, other_labels, len(sizes), refit=refit)
        seen, answers = values, labels
        if refit:
            seen, answers = torch.cat([values, other]), torch.cat([labels, other_labels])
        assert excess(found.head, seen, answers, root_mean_square(values), found.penalty) < 1e-3


@pytest.mark.parametrize("penalty", [1e-2, 1e-4, 1e-6, 1e-8])
def test_few_photos_get_the_best_head_of_each_penalty(penalty: float) -> None:
    """Also at the end of a path, where each start is a guess from the last two."""
    path = [value for value in (1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-7, 1e-8) if value >= penalty]
    values, labels = few(0, [12, 5, 9])
    rows = [{"valid_accuracy": 0.0, "valid_loss": 1.0}] * (len(path) - 1)
    rows.append({"valid_accuracy": 1.0, "valid_loss": 0.0})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solvers.logistic.__module__ + ".choose", lambda *_: len(path) - 1)
        found = solvers.logistic(values, labels, values, labels, 3, penalties=path)
    assert found.penalty == penalty
    assert excess(found.head, values, labels, root_mean_square(values), penalty) < 1e-3


@pytest.mark.parametrize("refit", [False, True])
@pytest.mark.parametrize(("penalty", "block"), [(1e-4, 16), (1e-6, 512)])
def test_many_photos_get_nearly_the_best_head(
    penalty: float, block: int, refit: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on thousands of photos: with the wide tolerance; with axes found block by block."""
    monkeypatch.setattr(solvers.logistic.__module__ + ".SMALL", 0)
    monkeypatch.setattr(coordinates, "BLOCK", block)
    values, labels = network_like(700, 0, 6, 40)
    other, other_labels = network_like(300, 1, 6, 40)
    found = solvers.logistic(
        values, labels, other, other_labels, 6, penalties=[penalty], refit=refit
    )
    seen, answers = values, labels
    if refit:
        seen, answers = torch.cat([values, other]), torch.cat([labels, other_labels])
    assert excess(found.head, seen, answers, root_mean_square(values), penalty) < 1e-2


def test_a_head_that_is_not_the_best_one_brings_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lbfgs, "MAX_STEPS", 3)
    with pytest.warns(RuntimeWarning, match="lowest objective"):
        solvers.logistic(*clouds(60, 0), *clouds(30, 1), CLASSES)


@pytest.mark.parametrize("penalty", [1e-2, 1e-3, 1e-4])
def test_agrees_with_scikit_learn(penalty: float) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    values, labels = clouds(400, 0, deviation=2.0)
    other, other_labels = clouds(300, 1, deviation=2.0)
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
    assert (logits.argmax(1).numpy() == theirs.argmax(1)).mean() >= 0.99
    assert ours.rows[0]["valid_loss"] == pytest.approx(loss, abs=1e-3)
    assert ours.rows[0]["valid_accuracy"] == metrics.accuracy(logits, other_labels)


def test_the_penalty_is_chosen_on_valid() -> None:
    values, labels = clouds(60, 0, deviation=3.0)
    other, other_labels = clouds(300, 1, deviation=3.0)
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
    assert choose(rows, 400) == chosen


def test_a_penalty_given_twice_is_solved_once() -> None:
    values, labels = clouds(60, 0)
    found = solvers.logistic(
        values, labels, values, labels, CLASSES, penalties=(1e-3, 1e-2, 1e-3, 1e-2)
    )
    assert [row["penalty"] for row in found.rows] == [1e-2, 1e-3]


def test_logits_in_chunks_give_the_same_head(monkeypatch: pytest.MonkeyPatch) -> None:
    values, labels = clouds(100, 0, deviation=2.0)
    whole = solvers.logistic(values, labels, values, labels, CLASSES)
    monkeypatch.setattr(objective, "CHUNK", 7 * CLASSES)  # 15 chunks, the last one smaller
    chunks = solvers.logistic(values, labels, values, labels, CLASSES)
    assert torch.allclose(whole.valid_logits, chunks.valid_logits, atol=0.1)
    assert whole.rows[whole.best]["train_loss"] == pytest.approx(
        chunks.rows[chunks.best]["train_loss"], rel=1e-2
    )


def test_features_in_a_file_give_the_same_head(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values, labels = clouds(400, 0, deviation=2.0)
    usual = solvers.logistic(values, labels, values, labels, CLASSES, refit=True)
    monkeypatch.setattr(storage, "LARGE", 0)
    monkeypatch.setattr(coordinates, "ROWS", 33)  # and centered in 13 chunks
    filed = solvers.logistic(values, labels, values, labels, CLASSES, refit=True)
    assert torch.allclose(usual.valid_logits, filed.valid_logits, atol=0.1)
    assert usual.rows[usual.best]["train_loss"] == pytest.approx(
        filed.rows[filed.best]["train_loss"], rel=1e-2
    )


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


@pytest.mark.parametrize("width", [40, 400], ids=["many", "few"])
def test_a_feature_of_another_size_hides_no_other(width: int) -> None:
    """A thousand times as large as the rest, and without meaning."""
    values, labels = few(0, [30, 30, 30], width)
    plain = solvers.logistic(values, labels, values, labels, 3, penalties=[1e-6])
    assert plain.rows[0]["valid_accuracy"] > 0.95
    values[:, 7] = 1000 * torch.randn(90, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings(action="error"):
        found = solvers.logistic(values, labels, values, labels, 3, penalties=[1e-10])
    assert found.rows[0]["valid_accuracy"] > 0.95


def test_refitting_few_photos_sees_what_only_valid_shows() -> None:
    """A third class has its mark in a direction in which no training photo differs."""
    train, valid = torch.zeros(6, 40), torch.zeros(6, 40)
    train[:, 0] = torch.tensor([1.0, 1.1, 0.9, -1.0, -1.1, -0.9])
    valid[:, 30] = torch.tensor([1.0, 1.1, 0.9, -1.0, -1.1, -0.9])
    labels, other = torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([2, 2, 2, 1, 1, 1])
    with warnings.catch_warnings(action="error"):
        found = solvers.logistic(train, labels, valid, other, 3, refit=True)
    assert metrics.accuracy(found.head(valid), other) == 1.0


def test_refitting_uses_valid_as_well_and_leaves_the_honest_figures() -> None:
    values, labels = clouds(60, 0, deviation=2.0)
    other, other_labels = clouds(60, 1, deviation=2.0)
    plain = solvers.logistic(values, labels, other, other_labels, CLASSES)
    again = solvers.logistic(values, labels, other, other_labels, CLASSES, refit=True)
    assert plain.rows == again.rows and plain.penalty == again.penalty
    losses = [float(F.cross_entropy(s.head(other).detach(), other_labels)) for s in (plain, again)]
    assert losses[1] < losses[0]


def test_the_same_every_time() -> None:
    values, labels = clouds(100, 0)
    heads = [solvers.logistic(values, labels, values, labels, CLASSES).head for _ in range(2)]
    assert np.array_equal(heads[0][0].weight.detach(), heads[1][0].weight.detach())
