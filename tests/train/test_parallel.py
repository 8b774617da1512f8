"""Two processes train as one: the same batches, the same steps, the same history."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from flowerlib import data, train
from flowerlib.data import loading
from flowerlib.support import distributed
from flowerlib.support.options import FineTuning, HiddenHead
from flowerlib.train import heads, steps
from tests.warm import together

PROGRAM = """
import json
import sys
from flowerlib.support import distributed
from flowerlib.train import heads
from tests.train.test_parallel import fine_tuned, hidden

heads.WORTH_SHARING = 0
with distributed.started():
    found = {
        "hidden": hidden(),
        "fine-tuned": fine_tuned(sys.argv[1], sys.argv[2]),
        "again": fine_tuned(sys.argv[1], sys.argv[2]),
    }
print(json.dumps(found))
"""


def summary(history: train.History, module: torch.nn.Module) -> dict[str, Any]:
    rows = [{key: row[key] for key in row if key != "seconds"} for row in history.rows]
    weights = [float(value.double().sum()) for value in module.state_dict().values()]
    return {"rows": rows, "best": history.best_epoch, "weights": weights}


def hidden() -> dict[str, Any]:
    """A hidden head; the last batch of an epoch has a single photo."""
    values = torch.randn(90, 12, generator=torch.Generator().manual_seed(0))
    labels = values[:, :4].argmax(1)
    known = steps.SplitFeatures(values, labels, 65, 90, "cpu", "fp32")
    settings = HiddenHead(hidden=(16,), dropout=0.0, epochs=3, batch_size=16)
    found = heads.train_hidden(known, settings, 4, seed=1)
    assert len(found.valid_logits) == 25
    return summary(found.history, found.module)


def fine_tuned(photos: str, folder: str) -> dict[str, Any]:
    """A network that learns block by block; stopped after its first epoch, and resumed."""
    state = Path(folder) / "state.pt"
    settings = FineTuning(epochs=2, batch_size=10, unfreeze_epochs=1, averaging="ema")

    class Stop(Exception):
        pass

    def stop(history: train.History) -> None:
        raise Stop

    def call(**named: Any) -> Any:
        return train.fine_tune(
            data.image_folder(photos), "small_densenet", settings, checkpoint=state, **named
        )

    if not state.exists():
        try:
            call(report=stop)
        except Stop:
            pass
    distributed.barrier()
    found = call()
    distributed.barrier()
    return summary(found.history, found.backbone.body)


def test_history_and_weights_are_those_of_one(
    flower_folder: Path, tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads, "WORTH_SHARING", 0)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    tuned = fine_tuned(str(flower_folder), str(tmp_path / "one"))
    expected = {"hidden": hidden(), "fine-tuned": tuned, "again": tuned}
    own = {"PYTHONPATH": [str(repository)] * 2}
    both = together(["-c", PROGRAM, str(flower_folder), str(tmp_path / "two")], own=own)
    assert [ended.code for ended in both] == [0, 0], both
    first, second = (json.loads(ended.out.splitlines()[-1]) for ended in both)
    assert first == second  # both have the same weights
    for name, one in expected.items():
        assert first[name]["best"] == one["best"]
        for found, row in zip(first[name]["rows"], one["rows"], strict=True):
            assert found == pytest.approx(row, abs=1e-3), name
        assert first[name]["weights"] == pytest.approx(one["weights"], rel=1e-2, abs=1e-2), name


def test_parts_of_a_batch_make_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "size", lambda: 2)
    parts = []
    for rank in range(2):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        parts.append(list(loading.Part(range(5), 4)))
    assert parts == [[[0, 2], [4]], [[1, 3], [4]]]  # the second borrows a photo
