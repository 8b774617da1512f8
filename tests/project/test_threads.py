"""Many threads in one process: each answers as alone, and torch stays whole."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from flowerlib import data, features, models, train
from flowerlib.classifier import Classifier
from flowerlib.data import Photos
from flowerlib.features import engine
from flowerlib.support.errors import InputError
from flowerlib.support.threads import limited_to, one_thread
from flowerlib.transforms import Preprocessing

SMALL = Preprocessing(48, 48)
NAMES = ("daisy", "iris", "lily")


def fresh() -> Classifier:
    """A classifier that has answered nothing yet; all are alike."""
    backbone = models.backbone("small_densenet", "small")
    with models.seeded(1):
        head = models.linear_head(backbone.num_features, len(NAMES))
    return Classifier(backbone, head, NAMES, SMALL)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (16, 48, 48, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def alone(pictures: np.ndarray) -> torch.Tensor:
    """What one thread gets, picture by picture."""
    classifier = fresh()
    return torch.stack([classifier.predict(p, precision="fp32").logits for p in pictures])


def threads_here_and_in_a_new_thread() -> tuple[int, int]:
    with ThreadPoolExecutor(1) as pool:
        return torch.get_num_threads(), pool.submit(torch.get_num_threads).result()


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What `work` gives for 0..count - 1, each in a thread of its own, all started together."""
    barrier = threading.Barrier(count)

    def started(number: int) -> Any:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(started, range(count)))


@pytest.mark.parametrize("count", [8, 32])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_cold_and_warm_threads_answer_as_one_alone(
    pictures: np.ndarray, alone: torch.Tensor, count: int, precision: str
) -> None:
    before = threads_here_and_in_a_new_thread()
    classifier = fresh()
    expected = alone
    if precision == "bf16":
        expected = torch.stack([fresh().predict(p, precision="bf16").logits for p in pictures[:4]])
    for _ in range(2):  # cold, then warm
        found = at_once(
            count,
            lambda n: classifier.predict(pictures[n % len(expected)], precision=precision).logits,
        )
        for number, logits in enumerate(found):
            assert torch.equal(logits, expected[number % len(expected)])
    assert threads_here_and_in_a_new_thread() == before


@pytest.mark.slow
def test_a_thousand_answers_in_threads(pictures: np.ndarray, alone: torch.Tensor) -> None:
    classifier = fresh()
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda n: classifier.predict(pictures[n % 16]).logits, range(1000))
        assert all(torch.equal(f, alone[n % 16]) for n, f in enumerate(found))


def test_engines_are_made_once(pictures: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    build = engine.Engine.__init__

    def spy(self: engine.Engine, *given: Any, **options: Any) -> None:
        made.append(options["precision"])
        build(self, *given, **options)

    monkeypatch.setattr(engine.Engine, "__init__", spy)
    classifier = fresh()
    at_once(8, lambda n: classifier.predict(pictures[n], precision="fp32"))
    assert made == ["fp32"]
    classifier.predict(list(pictures[:3]), precision="bf16")
    assert made == ["fp32", "bf16"]


def test_somebody_elses_model_is_not_disturbed(pictures: np.ndarray) -> None:
    with models.seeded(2):
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = network(images)
    stop, failures, passes = threading.Event(), list[Any](), [0]

    def loop() -> None:
        while not stop.is_set():
            try:
                if not torch.equal(network(images), expected):
                    failures.append("another answer")
            except Exception as problem:
                failures.append(problem)
            passes[0] += 1

    other = threading.Thread(target=loop)
    other.start()
    try:
        at_once(4, lambda n: fresh().predict(pictures[n]))
        at_once(2, lambda n: fresh().predict(pictures[n], precision="bf16"))
    finally:
        stop.set()
        other.join()
    assert passes[0] and not failures
    assert torch.equal(network(images), expected)
    assert isinstance(nn.Module().train(), nn.Module)


def transferred(splits: data.Splits, **options: Any) -> Classifier:
    return train.transfer(splits, "small_densenet", preprocessing=SMALL, cache=False, **options)


@pytest.mark.parametrize(
    "options",
    [{}, {"head": "hidden", "hidden": 8, "epochs": 2}, {"weights": "none", "seed": 3}],
    ids=["linear", "hidden", "random"],
)
def test_two_trainings_at_once_are_as_alone(flower_folder: Path, options: dict[str, Any]) -> None:
    splits = data.image_folder(flower_folder)
    threads = threads_here_and_in_a_new_thread()
    expected = transferred(splits, **options).head.state_dict()
    for found in at_once(2, lambda _: transferred(splits, **options).head.state_dict()):
        assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert threads_here_and_in_a_new_thread() == threads


def test_the_number_of_threads_stays_when_a_pass_is_given_up(
    pictures: np.ndarray, tmp_path: Path
) -> None:
    usual = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        before = threads_here_and_in_a_new_thread()
        backbone = models.backbone("small_densenet", "small")
        ready = engine.Engine(backbone, SMALL, device="cpu", precision="fp32")
        photos = Photos(np.tile(pictures, (8, 1, 1, 1)), np.zeros(128, np.int64), ("a",))
        half_way = ready.stream(photos, [])
        next(half_way)
        assert threads_here_and_in_a_new_thread() == before  # also between two batches
        half_way.close()
        assert threads_here_and_in_a_new_thread() == before
        with pytest.raises(InputError):
            fresh().predict([tmp_path / "none.jpg"] * 4)
        with pytest.raises(ZeroDivisionError):
            features.extract(backbone, photos, SMALL, cache=False, progress=lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError), one_thread():
            assert torch.get_num_threads() == 1
            assert threads_here_and_in_a_new_thread()[1] == 3  # nobody else's
            raise ZeroDivisionError
        assert threads_here_and_in_a_new_thread() == before
    finally:
        torch.set_num_threads(usual)


def test_predict_follows_what_was_changed(pictures: np.ndarray) -> None:
    classifier = fresh()

    def agree() -> torch.Tensor:
        """The answer, which must be that of a classifier without a past."""
        now = Classifier(
            classifier.backbone, classifier.head, NAMES, classifier.preprocessing
        ).predict(pictures[0])
        found = classifier.predict(pictures[0])
        assert torch.equal(found.logits, now.logits)
        return found.logits

    answers = [agree()]
    classifier.preprocessing = Preprocessing(64, 64)
    answers.append(agree())
    convolution = [value for value in classifier.backbone.parameters() if value.ndim == 4][-1]
    with torch.no_grad():
        convolution.mul_(1.5)
    answers.append(agree())
    convolution.data.copy_(convolution.data.flip(0))  # the same numbers in other places
    answers.append(agree())
    norm = next(m for m in classifier.backbone.modules() if isinstance(m, nn.BatchNorm2d))
    norm.running_mean[0] += 1
    answers.append(agree())
    norm.eps = 1.0
    answers.append(agree())
    with torch.no_grad():
        classifier.head[-1].bias.add_(1)
    answers.append(agree())
    classifier.backbone = models.freeze(models.backbone("small_densenet", "none", seed=5))
    answers.append(agree())
    for number, logits in enumerate(answers):
        assert not any(torch.equal(logits, other) for other in answers[:number])


# Says how many threads an operation ran in: CPU seconds of the process per second of this thread.
PROGRAM = """
import threading, time, torch
from flowerlib.support import threads

if torch.get_num_threads() < 2:
    raise SystemExit("one core")
values = torch.rand(1200, 1200)

def used():
    mine, everyone = time.thread_time(), time.process_time()
    for _ in range(4):
        values @ values
        values.exp()
    return (time.process_time() - everyone) / (time.thread_time() - mine)

def report():
    with threads.limited_to(1000):
        found.append((torch.get_num_threads(), used()))
    found.append((torch.get_num_threads(), used()))

found = []
report()
one = threading.Thread(target=report)  # new, so torch has not set it up yet
one.start()
one.join()
print(found)
"""


def test_small_operations_run_in_one_thread_and_the_next_ones_in_all() -> None:
    environment = {name: value for name, value in os.environ.items() if "_NUM_THREADS" not in name}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment
    )
    if "one core" in done.stderr:
        pytest.skip("one core")
    assert done.returncode == 0, done.stderr
    (small, in_one), (again, _), (thread_small, thread_in_one), (thread_again, _) = eval(
        done.stdout
    )
    assert small == thread_small == 1 and in_one < 1.3 and thread_in_one < 1.3
    assert again == thread_again > 1


def test_put_back_after_an_error_and_beside_other_threads() -> None:
    if torch.get_num_threads() < 2:
        pytest.skip("torch has one thread here")
    before, seen, inside = torch.get_num_threads(), [], threading.Event()
    leave = threading.Event()

    def other() -> None:
        inside.wait()
        seen.append(torch.get_num_threads())
        leave.set()

    one = threading.Thread(target=other)
    one.start()
    with pytest.raises(ZeroDivisionError), limited_to(1):
        assert torch.get_num_threads() == 1
        inside.set()
        leave.wait()
        raise ZeroDivisionError
    one.join()
    assert torch.get_num_threads() == before and seen == [before]


def test_large_work_keeps_all_threads() -> None:
    before = torch.get_num_threads()
    with limited_to(2**40):
        assert torch.get_num_threads() == before
