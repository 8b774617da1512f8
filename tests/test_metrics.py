"""Numbers that are known from elsewhere: by hand, from a table, or from scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flowerlib import metrics

LOGITS = torch.tensor([[3.0, 1, 0], [0, 2, 1], [0, 1, 2], [5, 4, 0]])
LABELS = torch.tensor([0, 1, 1, 1])


def test_accuracies_by_hand() -> None:
    assert metrics.accuracy(LOGITS, LABELS) == 0.5
    assert metrics.top_k_accuracy(LOGITS, LABELS, 2) == 1.0
    assert metrics.top_k_accuracy(LOGITS, LABELS, 9) == 1.0


def test_confusion_agrees_with_scikit_learn() -> None:
    oracle = pytest.importorskip("sklearn.metrics")
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(200, 5, generator=generator), torch.arange(200) % 5
    found = metrics.confusion(logits, labels)
    assert np.array_equal(found, oracle.confusion_matrix(labels, logits.argmax(1)))
    recall = oracle.recall_score(labels, logits.argmax(1), average=None)
    assert np.allclose(metrics.per_class(found), recall)


def test_a_class_without_photos_has_no_recall() -> None:
    recall = metrics.per_class(metrics.confusion(LOGITS, LABELS))
    assert recall[0] == 1 and math.isnan(recall[2])


def test_wilson_interval_of_the_source() -> None:
    low, high = metrics.interval(749, 819)  # 91.4 %
    assert (round(low, 3), round(high, 3)) == (0.893, 0.932)
    assert metrics.interval(10, 10)[1] == pytest.approx(1)
    assert metrics.interval(10, 10)[0] == pytest.approx(0.7225, abs=1e-4)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_intervals_hold_the_share(counts: tuple[int, int]) -> None:
    correct, total = counts
    low, high = metrics.interval(correct, total)
    assert 0 <= low <= correct / total + 1e-12 and correct / total - 1e-12 <= high <= 1
    mirrored = metrics.interval(total - correct, total)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-9)


@pytest.mark.parametrize("counts", [(0, 0), (5, 4), (-1, 4)])
def test_impossible_counts_are_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="correct"):
        metrics.interval(*counts)


def test_mcnemar_by_hand() -> None:
    first = torch.tensor([True] * 8 + [False] * 2 + [True] * 50)
    second = torch.tensor([False] * 8 + [True] * 2 + [True] * 50)
    # Of ten photos that tell them apart, 2 or fewer or 8 or more: 2 * (1 + 10 + 45) / 1024.
    assert metrics.paired_p_value(first, second) == pytest.approx(112 / 1024)
    assert metrics.paired_p_value(first, first) == 1.0


def test_calibration_error_by_hand() -> None:
    sure = torch.tensor([[0.9, 0.1]] * 10)
    assert metrics.calibration_error(sure, torch.tensor([0] * 9 + [1])) == pytest.approx(
        0, abs=1e-6
    )
    assert metrics.calibration_error(sure, torch.tensor([0] * 5 + [1] * 5)) == pytest.approx(0.4)
    certain = torch.eye(2)[torch.tensor([0, 1, 0])]
    assert metrics.calibration_error(certain, torch.tensor([0, 1, 0])) == 0


@pytest.mark.parametrize("labels", [torch.zeros(3, dtype=torch.long), torch.zeros(0).long()])
def test_shapes_that_do_not_fit_are_refused(labels: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="expected logits"):
        metrics.accuracy(LOGITS, labels)


def test_mean_interval_agrees_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for runs in ([0.8, 0.84], [0.8, 0.82, 0.9], list(np.linspace(0.1, 0.3, 14))):
        mean, low, high = metrics.mean_interval(runs)
        expected = stats.t.interval(0.95, len(runs) - 1, np.mean(runs), stats.sem(runs))
        assert mean == pytest.approx(np.mean(runs))
        assert (low, high) == pytest.approx(expected, rel=2e-3)
    with pytest.raises(ValueError, match="two or more"):
        metrics.mean_interval([0.5])


def test_paired_difference_by_hand() -> None:
    first = torch.tensor([True] * 80 + [False] * 20)
    second = torch.tensor([True] * 70 + [False] * 25 + [True] * 5)
    difference, low, high = metrics.paired_difference(first, second)
    assert difference == pytest.approx(0.05)  # 10 won, 5 lost, of 100
    half = 1.96 * math.sqrt((0.15 - 0.05**2) / 100)
    assert (low, high) == pytest.approx((0.05 - half, 0.05 + half), abs=1e-5)
    assert metrics.paired_difference(first, first) == (0, 0, 0)
