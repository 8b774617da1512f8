"""A training that was stopped ends with the same weights as one that was not."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from flowerlib import data, models, train
from flowerlib.support.errors import InputError
from flowerlib.train.checkpoints import Checkpoint
from flowerlib.transforms import Augmentation, Preprocessing
from tests.warm import Python


class Stopped(Exception):
    """Stands for a kill right after an epoch."""


def feature_batches() -> tuple[train.FeatureBatches, train.FeatureBatches]:
    generator = torch.Generator().manual_seed(3)
    values, labels = torch.randn(90, 12, generator=generator), torch.arange(90) % 3
    return (
        train.FeatureBatches(values, labels, 16, shuffle=True),
        train.FeatureBatches(values[:30], labels[:30], 64, shuffle=False),
    )


def trained(checkpoint: Checkpoint | None, stop_after: int = 0) -> tuple[nn.Module, train.History]:
    """Five epochs of a small head with dropout; stops with an exception after some of them."""

    def stop(history: train.History) -> None:
        if len(history.rows) == stop_after:
            raise Stopped

    torch.manual_seed(1)
    head = models.hidden_head(12, 3, (8,), 0.5)
    history = train.fit(head, *feature_batches(), epochs=5, report=stop, checkpoint=checkpoint)
    return head, history


def steady(history: train.History) -> list[dict[str, float]]:
    return [{key: row[key] for key in row if key != "seconds"} for row in history.rows]


@pytest.mark.parametrize("stop_after", [1, 3, 4])
def test_a_resumed_training_ends_with_the_same_bits(tmp_path: Path, stop_after: int) -> None:
    whole, history = trained(None)
    checkpoint = Checkpoint(tmp_path / "training.pt", "a run")
    with pytest.raises(Stopped):
        trained(checkpoint, stop_after)
    torch.manual_seed(99)  # the process that goes on had other random numbers
    resumed, continued = trained(checkpoint)
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key
    assert steady(continued) == steady(history)
    assert continued.best_epoch == history.best_epoch


def test_a_training_that_stopped_early_stays_stopped(tmp_path: Path) -> None:
    def run(patience: int) -> tuple[int, int, str]:
        torch.manual_seed(1)
        head, checkpoint = models.hidden_head(12, 3, (8,), 0.5), Checkpoint(tmp_path / "state.pt")
        history = train.fit(
            head, *feature_batches(), epochs=40, lr=0.1, patience=patience, checkpoint=checkpoint
        )
        weights = b"".join(value.numpy().tobytes() for value in head.state_dict().values())
        return len(history.rows), history.best_epoch, hashlib.sha256(weights).hexdigest()

    first = run(patience=2)
    assert first[0] == first[1] + 2 < 40
    assert run(patience=2) == run(patience=2) == first
    assert run(patience=3)[0] > first[0]  # more patience goes on


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_full_disk_is_reported_in_one_sentence(tmp_path: Path) -> None:
    import resource

    checkpoint = Checkpoint(tmp_path / "training.pt")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(InputError, match=r"^Cannot write .*g\.pt: .* disk may be full\.$"):
            trained(checkpoint)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_random_views_and_their_order_resume_for_any_number_of_workers(tmp_path: Path) -> None:
    pictures = torch.randint(0, 256, (24, 16, 16, 3), dtype=torch.uint8).numpy()
    some = data.Photos(pictures, [0, 1] * 12, ("a", "b"))
    preprocessing = Preprocessing(16, 16)

    def run(workers: int, checkpoint: Checkpoint | None = None, stop_after: int = 0) -> str:
        def stop(history: train.History) -> None:
            if len(history.rows) == stop_after:
                raise Stopped

        torch.manual_seed(0)
        model = models.SmallCNN(2, 16)
        batches = data.loader(
            some, Augmentation(preprocessing), batch_size=8, shuffle=True, workers=workers
        )
        valid = data.loader(some, preprocessing, batch_size=24)
        train.fit(
            model, batches, valid, epochs=3, lr=0.001, loss=nn.CrossEntropyLoss(),
            report=stop, checkpoint=checkpoint,
        )  # fmt: skip
        weights = b"".join(value.numpy().tobytes() for value in model.state_dict().values())
        return hashlib.sha256(weights).hexdigest()

    whole = run(0)
    assert run(2) == whole
    checkpoint = Checkpoint(tmp_path / "training.pt")
    with pytest.raises(Stopped):
        run(0, checkpoint, stop_after=2)
    assert run(2, checkpoint) == whole


def test_another_trainings_state_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        trained(Checkpoint(tmp_path / "training.pt", ["lr", 0.1]), 2)
    with pytest.raises(InputError, match="belongs to a training with other data or settings"):
        trained(Checkpoint(tmp_path / "training.pt", ["lr", 0.2]))


@pytest.mark.parametrize("content", [b"", b"not a file of torch", b"PK\x03\x04 cut"])
def test_a_damaged_state_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "training.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as the state of a training"):
        trained(Checkpoint(path))


@pytest.mark.parametrize("content", [torch.zeros(3), [1], "state", {"run": 1}, None])
def test_another_file_of_torch_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "training.pt")
    with pytest.raises(InputError, match="cannot be read as the state of a training"):
        Checkpoint(tmp_path / "training.pt").load()


def test_a_hostile_state_is_not_executed(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "canary"),)

    torch.save({"run": Hostile()}, tmp_path / "training.pt")
    with pytest.raises(InputError, match="cannot be read"):
        Checkpoint(tmp_path / "training.pt").load()
    assert not (tmp_path / "canary").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_run_of_the_command_line_resumes_to_the_same_file(
    flower_folder: Path, tmp_path: Path
) -> None:
    def start(out: str, *more: str) -> Python:
        command = ["-m", "flowerlib", "train", str(flower_folder)]
        command += ["--backbone", "small_resnet", "--weights", "small", "--head", "hidden"]
        command += ["--epochs", "60", "--precision", "fp32", "--out", str(tmp_path / out), *more]
        return Python(command)

    with start("whole") as process:
        assert process.ended().code == 0
    state = tmp_path / "killed" / "training.pt"
    with start("killed") as process:
        while not state.exists():
            assert process.is_running(), "it ended before it could be killed"
            time.sleep(0.01)
        process.kill()
    assert not (tmp_path / "killed" / "results.json").exists()
    with start("killed", "--resume") as process:
        ended = process.ended()
        assert ended.code == 0 and "nothing to resume" not in ended.out
    first, second = (
        (tmp_path / out / "classifier.safetensors").read_bytes() for out in ("whole", "killed")
    )
    assert first == second
    assert not state.exists()
