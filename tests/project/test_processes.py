"""Classifiers, backbones and photos in other processes, pickled and copied: the same answers."""

from __future__ import annotations

import copy
import io
import multiprocessing
import os
import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from flowerlib import data, features, models, transforms
from flowerlib.classifier import Classifier
from flowerlib.data.decoding import decoder
from flowerlib.data.decoding.images import open_photo
from flowerlib.data.items import FETCHING, Items
from flowerlib.features import engine
from flowerlib.models import random_weights
from flowerlib.support.locks import ProcessLock
from flowerlib.support.threads import one_thread
from tests.project.test_threads import SMALL, fresh
from tests.warm import CONTEXT

FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (12, 48, 48, 3), dtype=np.uint8)


def answers(classifier: Classifier, pictures: np.ndarray) -> torch.Tensor:
    return torch.stack([answer.logits for answer in classifier.predict(pictures)])


def saved(value: Any) -> Any:
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


COPIES: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "torch.save": saved,
}


@pytest.mark.parametrize("way", COPIES)
def test_a_classifier_survives_fresh_and_after_use(way: str, pictures: np.ndarray) -> None:
    classifier = fresh()
    expected = answers(fresh(), pictures)
    digest = classifier.backbone.digest()
    for _ in range(2):
        again = COPIES[way](classifier)
        assert torch.equal(answers(again, pictures), expected)
        again.backbone.train()  # still frozen
        assert not any(module.training for module in again.backbone.modules())
        again.backbone(torch.rand(2, 3, 48, 48))
        assert again.backbone.digest() == digest == classifier.backbone.digest()
        assert torch.equal(answers(classifier, pictures), expected)


@pytest.mark.parametrize("way", COPIES)
def test_frozen_modules_of_any_kind_survive(way: str) -> None:
    frozen = models.freeze(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
    again = COPIES[way](nn.Sequential(frozen, nn.Flatten()))
    again.train()
    assert again.training and not any(module.training for module in again[0].modules())
    state = {name: value.clone() for name, value in again.state_dict().items()}
    again(torch.rand(2, 3, 8, 8))
    assert all(torch.equal(value, state[name]) for name, value in again.state_dict().items())
    thawed = models.unfreeze(again[0]).train()
    assert all(module.training for module in thawed.modules())


@pytest.mark.parametrize("way", COPIES)
def test_photos_and_backbones_survive(way: str, flower_folder: Path) -> None:
    shown = data.image_folder(flower_folder).valid
    backbone = models.freeze(models.backbone("small_densenet", "small"))
    expected = features.extract(backbone, shown, SMALL, precision="fp32", cache=False)
    found = features.extract(
        COPIES[way](backbone), COPIES[way](shown), SMALL, precision="fp32", cache=False
    )
    assert torch.equal(found.values, expected.values)
    assert torch.equal(found.labels, expected.labels)


def predicted(
    classifier: Classifier, given: np.ndarray, queue: Any, numbers: tuple[int, ...] = ()
) -> None:
    """What a process of `in_processes` does."""
    try:
        shown = given[list(numbers)] if numbers else given
        queue.put((os.getpid(), answers(classifier, shown).numpy()))
    except BaseException as problem:
        queue.put((os.getpid(), repr(problem)))


def in_processes(
    method: str, count: int, classifier: Classifier, pictures: np.ndarray
) -> list[np.ndarray]:
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    workers = [
        context.Process(target=predicted, args=(classifier, pictures, queue), daemon=True)
        for _ in range(count)
    ]
    for worker in workers:
        worker.start()
    try:
        return [queue.get(timeout=60)[1] for _ in workers]
    finally:
        until = time.monotonic() + 20
        for worker in workers:
            worker.join(max(0, until - time.monotonic()))
            worker.kill()


@FORKS
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
def test_forked_workers_answer_alike(used: bool, pictures: np.ndarray) -> None:
    usual = torch.get_num_threads()
    torch.set_num_threads(3)  # torch's own pool exists in the parent, and not in the children
    try:
        torch.rand(400, 400) @ torch.rand(400, 400)
        classifier = fresh()
        expected = answers(fresh(), pictures).numpy()
        if used:
            answers(classifier, pictures)
        for found in in_processes("fork", 4, classifier, pictures):
            assert np.array_equal(found, expected), found
    finally:
        torch.set_num_threads(usual)


@FORKS
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_process_forked_while_a_thread_prepares_to_predict_answers(
    pictures: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent, begun, go_on = os.getpid(), threading.Event(), threading.Event()

    class Slow(engine.Engine):
        def __init__(self, *given: Any, **options: Any) -> None:
            if os.getpid() == parent:
                begun.set()
                go_on.wait(120)
            super().__init__(*given, **options)

    expected = answers(fresh(), pictures).numpy()
    monkeypatch.setattr(engine, "Engine", Slow)
    classifier = fresh()
    thread = threading.Thread(target=answers, args=(classifier, pictures))
    thread.start()
    try:
        assert begun.wait(60)
        (found,) = in_processes("fork", 1, classifier, pictures)
        assert np.array_equal(found, expected), found
    finally:
        go_on.set()
        thread.join()


def answer_of_a_fork(work: Callable[..., None], *given: Any) -> Any:
    """What a function puts into the queue that it gets last, in a process forked from this one."""
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    worker = context.Process(target=work, args=(*given, queue), daemon=True)
    worker.start()
    try:
        return queue.get(timeout=60)
    finally:
        worker.kill()
        worker.join()


def opened(queue: Any) -> None:
    """What needs a lock: a PIL image, an item of a data set, torch's random numbers."""
    picture = Image.new("RGB", (8, 8))
    Items(lambda row: picture, [0]).opened(0)
    with models.seeded(0):
        queue.put(open_photo(picture).size)


@FORKS
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("lock", [decoder.LOADING, FETCHING, random_weights.RANDOM])
def test_a_process_forked_while_a_thread_holds_a_lock_goes_on(lock: ProcessLock) -> None:
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with lock():
            held.set()
            go_on.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert held.wait(60)
        assert answer_of_a_fork(opened) == (8, 8)
    finally:
        go_on.set()
        thread.join()


def threads_in_each(queue: Any) -> None:
    """In a new process: torch's threads in a thread that works first, then in the main one."""

    def inside() -> int:
        with one_thread():
            pass
        return torch.get_num_threads()

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(inside).result()
    queue.put((first, inside()))


@FORKS
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_every_thread_of_a_forked_process_is_left_alone() -> None:
    """What one of them sets holds for no other: the others would wait for the parent's threads."""
    usual = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert answer_of_a_fork(threads_in_each) == (1, 1)
    finally:
        torch.set_num_threads(usual)


def extracted(backbone: models.Backbone, shown: data.Photos, queue: Any) -> None:
    found = features.extract(backbone, shown, SMALL, precision="fp32", cache=False)
    queue.put(found.values.numpy())


@FORKS
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_worker_extracts_many_features(pictures: np.ndarray) -> None:
    many = np.tile(pictures, (10, 1, 1, 1))
    shown = data.Photos(many, np.zeros(len(many), np.int64), ("a",))
    backbone = models.backbone("small_densenet", "small")
    usual = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        torch.rand(400, 400) @ torch.rand(400, 400)
        expected = features.extract(backbone, shown, SMALL, precision="fp32", cache=False)
        found = answer_of_a_fork(extracted, backbone, shown)
        assert np.array_equal(found, expected.values.numpy())
    finally:
        torch.set_num_threads(usual)


def test_a_worker_that_is_no_fork_of_this_process_answers_alike(pictures: np.ndarray) -> None:
    classifier = fresh()
    expected = answers(classifier, pictures).numpy()
    (found,) = in_processes(CONTEXT.get_start_method(), 1, classifier, pictures)
    assert np.array_equal(found, expected), found


class Predicted(torch.utils.data.Dataset):
    """A data set whose items are a classifier's answers."""

    def __init__(self, classifier: Classifier, pictures: np.ndarray) -> None:
        self.classifier, self.pictures = classifier, pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.classifier.predict(self.pictures[index]).logits


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_loaders_workers_answer_alike(method: str, pictures: np.ndarray) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this system")
    classifier = fresh()
    expected = torch.stack([classifier.predict(picture).logits for picture in pictures])
    loader = torch.utils.data.DataLoader(
        Predicted(classifier, pictures), 4, num_workers=1, multiprocessing_context=method
    )
    assert torch.equal(torch.cat(list(loader)), expected)


def test_workers_that_are_no_forks_of_this_process_give_the_same_batches(
    flower_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = data.image_folder(flower_folder).train
    method = multiprocessing.get_start_method(allow_none=True)
    augmented = transforms.Augmentation(SMALL)
    expected = list(data.loader(shown, augmented, batch_size=8, shuffle=True, workers=0))
    multiprocessing.set_start_method(CONTEXT.get_start_method(), force=True)
    try:
        found = list(data.loader(shown, augmented, batch_size=8, shuffle=True, workers=1))
    finally:
        multiprocessing.set_start_method(method, force=True)
    for (images, labels), (others, other_labels) in zip(found, expected, strict=True):
        assert torch.equal(images, others) and torch.equal(labels, other_labels)


@pytest.mark.slow
@FORKS
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_thousand_answers_of_four_processes(method: str, pictures: np.ndarray) -> None:
    classifier = fresh()
    many = np.tile(pictures, (21, 1, 1, 1))[:250]
    expected = answers(classifier, many).numpy()
    for found in in_processes(method, 4, classifier, many):
        assert np.array_equal(found, expected), found
