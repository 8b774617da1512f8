"""Numbers that are known from elsewhere: by hand, from a table, or from scikit-learn."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flowerlib import metrics
from flowerlib.support.errors import InputError

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


def test_wilson_interval_of_the_source() -> None:
    low, high = metrics.wilson_interval(749, 819)  # 91.4 %
    assert (round(low, 3), round(high, 3)) == (0.893, 0.932)
    assert metrics.wilson_interval(10, 10)[1] == pytest.approx(1)
    assert metrics.wilson_interval(10, 10)[0] == pytest.approx(0.7225, abs=1e-4)


@pytest.mark.parametrize("total", [1, 5, 24, 1000, 6149])
def test_an_interval_ends_at_0_and_1_without_rounding(total: int) -> None:
    assert metrics.wilson_interval(0, total)[0] == 0
    assert metrics.wilson_interval(total, total)[1] == 1


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_intervals_hold_the_share(counts: tuple[int, int]) -> None:
    correct, total = counts
    low, high = metrics.wilson_interval(correct, total)
    assert 0 <= low <= correct / total + 1e-12 and correct / total - 1e-12 <= high <= 1
    mirrored = metrics.wilson_interval(total - correct, total)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-9)


@pytest.mark.parametrize("counts", [(0, 0), (5, 4), (-1, 4)])
def test_impossible_counts_are_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="correct"):
        metrics.wilson_interval(*counts)


def test_mcnemar_by_hand() -> None:
    first = torch.tensor([True] * 8 + [False] * 2 + [True] * 50)
    second = torch.tensor([False] * 8 + [True] * 2 + [True] * 50)
    # Of ten photos that tell them apart, 2 or fewer or 8 or more: 2 * (1 + 10 + 45) / 1024.
    assert metrics.mcnemar_test(first, second) == pytest.approx(112 / 1024)
    assert metrics.mcnemar_test(first, first) == 1.0


def test_calibration_error_by_hand() -> None:
    sure = torch.tensor([[0.9, 0.1]] * 10)
    assert metrics.expected_calibration_error(sure, torch.tensor([0] * 9 + [1])) == pytest.approx(
        0, abs=1e-6
    )
    assert metrics.expected_calibration_error(
        sure, torch.tensor([0] * 5 + [1] * 5)
    ) == pytest.approx(0.4)
    certain = torch.eye(2)[torch.tensor([0, 1, 0])]
    assert metrics.expected_calibration_error(certain, torch.tensor([0, 1, 0])) == 0


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
        assert (low, high) == pytest.approx(expected)
    with pytest.raises(ValueError, match="two or more"):
        metrics.mean_interval([0.5])


def test_paired_difference_by_hand() -> None:
    first = torch.tensor([True] * 80 + [False] * 20)
    second = torch.tensor([True] * 70 + [False] * 25 + [True] * 5)
    difference, low, high = metrics.paired_difference(first, second)
    assert difference == pytest.approx(0.05)  # 10 won, 5 lost, of 100
    half = 1.96 * math.sqrt((16 / 102 - (5 / 102) ** 2) / 102)
    assert (low, high) == pytest.approx((5 / 102 - half, 5 / 102 + half), abs=1e-5)


@pytest.mark.parametrize("total", [1, 20, 800])
def test_two_heads_that_never_disagree_may_still_differ(total: int) -> None:
    right = torch.arange(total) % 3 > 0
    difference, low, high = metrics.paired_difference(right, right)
    assert difference == 0 and -1 <= low == -high < -1.8 / (total + 2)


def crossed_coverage(seed_sd: float, photo_sd: float, noise_sd: float, draws: int) -> float:
    """Share of experiments, 5 runs on the same 150 photos, whose interval holds the true mean."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(draws):
        runs = rng.normal(0, seed_sd, (5, 1)) + rng.normal(0, photo_sd, (1, 150))
        _, low, high = metrics.crossed_interval(0.1 + runs + rng.normal(0, noise_sd, (5, 150)))
        held += low <= 0.1 <= high
    return held / draws


@pytest.mark.parametrize("sds", [(0.03, 0.4, 0.3), (0.05, 0.1, 0.4), (0.0, 0.5, 0.1)])
def test_crossed_interval_covers_runs_and_photos(sds: tuple[float, float, float]) -> None:
    assert 0.92 < crossed_coverage(*sds, draws=400) < 0.99


def test_an_interval_over_runs_alone_is_too_narrow_for_other_photos() -> None:
    """What the crossed interval is for."""
    rng = np.random.default_rng(0)
    values = rng.normal(0, 0.4, (1, 100)) + rng.normal(0, 0.02, (5, 1))
    mean, low, high = metrics.crossed_interval(values)
    same, least, most = metrics.mean_interval(values.mean(1).tolist())
    assert mean == pytest.approx(same)
    assert high - low > 2 * (most - least)


@pytest.mark.parametrize("rare", [0.0, 0.001, 0.004])
def test_crossed_interval_holds_differences_that_hardly_any_photo_shows(rare: float) -> None:
    """Half of such samples of 200 photos show none of them."""
    rng, held, draws = np.random.default_rng(0), 0, 500
    for _ in range(draws):
        runs = np.repeat(rng.random((1, 200)) < rare, 3, 0)
        _, low, high = metrics.crossed_interval(runs.astype(float))
        held += low <= rare <= high
    assert held / draws > 0.93


def test_crossed_interval_of_runs_that_agree_is_that_of_two_that_never_disagree() -> None:
    mean, low, high = metrics.crossed_interval(np.zeros((5, 800)))
    right = torch.ones(800, dtype=torch.bool)
    assert (mean, low, high) == pytest.approx(metrics.paired_difference(right, right), abs=1e-5)


@pytest.mark.parametrize(
    "values", [np.ones(5), np.ones((1, 5)), np.ones((5, 1)), np.full((2, 2), np.nan)]
)
def test_crossed_interval_needs_runs_and_photos(values: np.ndarray) -> None:
    with pytest.raises(InputError, match="two or more runs on two or more photos"):
        metrics.crossed_interval(values)


def paired_coverage(
    total: int, accuracy: float, gain: float, correlation: float, draws: int, seed: int = 0
) -> float:
    """How often the interval holds the true gain of one classifier over another."""
    other = accuracy - gain
    together = correlation * math.sqrt(accuracy * (1 - accuracy) * other * (1 - other))
    both = min(accuracy * other + together, accuracy, other)
    cells = np.maximum([both, accuracy - both, other - both, 1 + both - accuracy - other], 0)
    counts = np.random.default_rng(seed).multinomial(total, cells, size=draws)
    held = 0
    for drawn in counts:
        first = torch.from_numpy(np.repeat([True, True, False, False], drawn))
        second = torch.from_numpy(np.repeat([True, False, True, False], drawn))
        _, low, high = metrics.paired_difference(first, second)
        held += low <= gain <= high
    return held / draws


@pytest.mark.parametrize("total", [20, 100, 800])
def test_paired_intervals_hold_the_truth_as_often_as_they_say(total: int) -> None:
    pairs = itertools.product((0.7, 0.9, 0.95), (0, 0.02, 0.1), (0, 0.5))
    found = [paired_coverage(total, *pair, draws=150) for pair in pairs]
    assert 0.93 < np.mean(found) < 0.97


@pytest.mark.slow
@pytest.mark.parametrize("total", [20, 100, 800])
def test_paired_intervals_on_a_large_grid(total: int) -> None:
    accuracies, gains = (0.6, 0.7, 0.8, 0.9, 0.95, 0.98), (0, 0.01, 0.02, 0.05, 0.1, 0.2)
    pairs = itertools.product(accuracies, gains, (0, 0.3, 0.5, 0.7, 0.9))
    found = [paired_coverage(total, *pair, draws=600) for pair in pairs]
    assert 0.93 < np.mean(found) < 0.97 and min(found) > 0.83


@pytest.mark.parametrize("total", [20, 100, 800])
def test_single_intervals_hold_the_truth_as_often_as_they_say(total: int) -> None:
    held = [metrics.wilson_interval(correct, total) for correct in range(total + 1)]
    coverages = []
    for accuracy in np.linspace(0.5, 0.99, 50):
        inside = [low <= accuracy <= high for low, high in held]
        logs = [
            math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1)
            + k * math.log(accuracy) + (total - k) * math.log(1 - accuracy)
            for k in range(total + 1)
        ]  # fmt: skip
        coverages.append(float(np.exp(logs) @ inside))
    assert 0.94 < np.mean(coverages) < 0.97 and min(coverages) > 0.87


@pytest.mark.parametrize("runs", [2, 3, 5, 20])
def test_intervals_of_few_runs_hold_the_truth_as_often_as_they_say(runs: int) -> None:
    """Accuracies of runs that differ in their training and in the photos they are judged on."""
    generator = np.random.default_rng(0)
    truths = generator.normal(0.9, 0.01, size=(2000, runs)).clip(0, 1)
    accuracies = generator.binomial(800, truths) / 800
    held = [low <= 0.9 <= high for _, low, high in map(metrics.mean_interval, accuracies)]
    assert 0.93 < np.mean(held) < 0.97


def test_the_paired_interval_leaves_out_0_where_the_test_says_so() -> None:
    for wins, losses in itertools.product(range(16), range(16)):
        first = torch.tensor([True] * wins + [False] * losses + [True] * 20)
        second = torch.tensor([False] * wins + [True] * losses + [True] * 20)
        difference, low, high = metrics.paired_difference(first, second)
        assert -1 <= low <= difference <= high <= 1
        if metrics.mcnemar_test(first, second) < 0.05:
            assert low > 0 or high < 0


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (torch.ones(3, dtype=torch.bool), torch.ones(3, 1, dtype=torch.bool), "two arrays"),
        (torch.ones(3, dtype=torch.bool), torch.ones(2, dtype=torch.bool), "two arrays"),
        (torch.ones(0, dtype=torch.bool), torch.ones(0, dtype=torch.bool), "two arrays"),
        (torch.ones(3, dtype=torch.uint8), torch.ones(3, dtype=torch.bool), "booleans"),
        (np.array([0.5, 1.0]), np.array([True, True]), "booleans"),
    ],
)
@pytest.mark.parametrize("compare", [metrics.paired_difference, metrics.mcnemar_test])
def test_what_cannot_be_compared_in_pairs_is_refused(compare, first, second, message) -> None:
    with pytest.raises(InputError, match=message):
        compare(first, second)


MEASURES = [
    metrics.accuracy,
    metrics.confusion,
    metrics.top_k_accuracy,
    lambda logits, labels: metrics.expected_calibration_error(
        torch.as_tensor(logits).softmax(1), labels
    ),
]


@pytest.mark.parametrize("kind", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.bool])
@pytest.mark.parametrize("measure", MEASURES)
def test_labels_may_be_of_any_integer_type(measure, kind: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    classes = 2 if kind == torch.bool else 100
    logits, labels = torch.randn(300, classes, generator=generator), torch.arange(300) % classes
    expected = torch.as_tensor(measure(logits, labels))
    assert torch.equal(torch.as_tensor(measure(logits, labels.to(kind))), expected)
    given = logits.numpy(), labels.to(kind).numpy()
    assert torch.equal(torch.as_tensor(measure(*given)), expected)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 2, 3], "labels must be 0 to 2, since there are 3 columns of logits; got 3"),
        ([0, 1, 2, -1], "labels must be 0 to 2.*got -1"),
        ([0.0, 1.0, 2.0, 1.0], "labels must be integers"),
    ],
)
@pytest.mark.parametrize("measure", MEASURES)
def test_labels_that_cannot_be_are_refused(measure, labels: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        measure(LOGITS, torch.tensor(labels))


@pytest.mark.parametrize("measure", MEASURES[:3])
def test_logits_that_are_not_numbers_do_not_count_as_class_0(measure) -> None:
    broken = LOGITS.clone()
    broken[1, 2] = math.nan
    with pytest.raises(InputError, match="NaN"):
        measure(broken, LABELS)
    masked = LOGITS.clone()
    masked[:, 2] = -math.inf
    measure(masked, LABELS)


def test_of_equal_logits_the_first_counts_as_the_largest() -> None:
    logits, labels = torch.zeros(40, 20), torch.arange(40) % 20
    assert metrics.accuracy(logits, labels) == metrics.top_k_accuracy(logits, labels, 1) == 0.05
    assert metrics.top_k_accuracy(logits, labels, 5) == 0.25


def test_logits_are_no_probabilities() -> None:
    for scores in (LOGITS, LOGITS.log_softmax(1)):
        with pytest.raises(InputError, match="rows sum to 1"):
            metrics.expected_calibration_error(scores, LABELS)


@pytest.mark.parametrize("counts", [(0.9, 100), (90, 100.0), (torch.tensor(0.9), 100)])
def test_a_share_is_no_count(counts) -> None:
    with pytest.raises(InputError, match="counts"):
        metrics.wilson_interval(*counts)
