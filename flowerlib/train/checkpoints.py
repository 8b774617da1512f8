"""What a training remembers from epoch to epoch, in memory and on disk.

With the file, a training that was killed continues to the same weights, bit for bit on a CPU, as if
it had never stopped: it holds the model, the best weights so far, the optimizer, the history and
the state of torch's random numbers. The order of the batches needs no place in it, because it
follows from (seed, epoch) alone.
"""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, TypedDict, cast

import torch
from torch import Tensor, nn

from flowerlib.support import distributed, storage
from flowerlib.support.errors import InputError
from flowerlib.train.evaluation import Measurement
from flowerlib.train.history import History

# What torch raises for a damaged file, and what a file of something else leads to.
UNREADABLE = (
    RuntimeError,
    pickle.UnpicklingError,
    EOFError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
)


class SavedState(TypedDict):
    """What a checkpoint's file holds: tensors and plain data."""

    parts: dict[str, dict[str, Any]]
    best: dict[str, Tensor]
    best_loss: float
    best_epoch: int
    num_valid: int
    rows: list[dict[str, float]]
    random: Tensor
    random_gpu: list[Tensor]


class Checkpoint:
    """One file that is replaced, whole or not at all, after every epoch.

    Args:
        path: the file; it is there only while a training is unfinished.
        run: plain data that says which training the file belongs to; another one's is refused.
    """

    def __init__(self, path: Path | str, run: object = "") -> None:
        self.path = Path(path)
        self.run = hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()

    def save(self, state: SavedState) -> None:
        """Writes the state at the end of an epoch; of several processes, the main one does.

        Raises:
            InputError: the folder is missing, not writable, or full.
        """
        if not distributed.is_main():
            return
        with storage.atomic_path(self.path) as temporary:
            try:
                torch.save({**state, "run": self.run}, temporary)
            except RuntimeError:  # how torch puts any error of the disk, without its cause
                raise OSError("torch could not write all of it; the disk may be full") from None

    def load(self) -> SavedState | None:
        """Reads the state, or None if there is no file; the main process, for all.

        Only tensors and plain data are read: torch refuses anything else unexecuted.

        Raises:
            InputError: the file is damaged, or belongs to another training.
        """
        return distributed.from_main(self._read)

    def _read(self) -> SavedState | None:
        if not self.path.is_file():
            return None
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            run = state.pop("run")
            if set(state) != set(SavedState.__annotations__):
                raise KeyError
        except UNREADABLE:
            raise InputError(
                f"{self.path} cannot be read as the state of a training; remove it to start over."
            ) from None
        if run != self.run:
            raise InputError(
                f"{self.path} belongs to a training with other data or settings; give those again, "
                "or remove it to start over."
            )
        return cast(SavedState, state)

    def remove(self) -> None:
        """Deletes the file: the training is finished."""
        self.path.unlink(missing_ok=True)


class HasState(Protocol):
    """A model, an optimizer, a learning-rate schedule …"""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> object: ...


class TrainingState:
    """The history of a training, its best weights, and the checkpoint that keeps both.

    It continues where the checkpoint's file was left, if there is one.

    Args:
        checkpoint: None keeps nothing on disk.
        parts: what else belongs to the state, such as the optimizer.
    """

    def __init__(
        self,
        history: History,
        model: nn.Module,
        checkpoint: Checkpoint | None = None,
        **parts: HasState,
    ) -> None:
        self.history, self.model, self.checkpoint = history, model, checkpoint
        self.parts: dict[str, HasState] = {"model": model, **parts}
        self.best_loss, self.best = float("inf"), copy.deepcopy(model.state_dict())
        if checkpoint and (saved := checkpoint.load()):
            self._continue(saved)

    def remaining_epochs(self, patience: int | None = None) -> Iterator[int]:
        """The numbers of the epochs that are left, until validation loss stops improving."""
        history = self.history
        for epoch in range(len(history.rows) + 1, history.epochs + 1):
            # Asked here, so that a training that had stopped early stays stopped when resumed.
            if patience is not None and history.rows:
                if epoch - 1 - history.best_epoch >= patience:
                    return
            yield epoch

    def end_epoch(self, train_loss: float, valid: Measurement, seconds: float) -> None:
        """Adds a row to the history, remembers the best weights, writes the checkpoint.

        Raises:
            InputError: a loss is not finite, or the checkpoint cannot be written.
        """
        epoch = len(self.history.rows) + 1
        if not (train_loss < float("inf") and valid.loss < float("inf")):
            raise InputError(f"The loss is not finite in epoch {epoch}; lower the learning rate.")
        self.history.num_valid = valid.num_samples
        self.history.rows.append(
            {
                "epoch": epoch,
                "train_loss": train_loss,
                "valid_loss": valid.loss,
                "valid_accuracy": valid.accuracy,
                "seconds": seconds,
            }
        )
        if valid.loss < self.best_loss:
            self.best_loss, self.history.best_epoch = valid.loss, epoch
            self.best = copy.deepcopy(self.model.state_dict())
        if self.checkpoint:
            self.checkpoint.save(self._to_dict())

    def restore_best(self) -> None:
        """Gives the model the weights of its best epoch, and leaves it in `eval()`."""
        self.model.load_state_dict(self.best)
        self.model.eval()

    def _to_dict(self) -> SavedState:
        gpu = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        return {
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
            "best": self.best,
            "best_loss": self.best_loss,
            "best_epoch": self.history.best_epoch,
            "num_valid": self.history.num_valid,
            "rows": self.history.rows,
            "random": torch.get_rng_state(),
            "random_gpu": gpu,
        }

    def _continue(self, saved: SavedState) -> None:
        """Puts everything where the checkpoint left it, the random numbers included."""
        for name, part in self.parts.items():
            part.load_state_dict(saved["parts"][name])
        self.best, self.best_loss = saved["best"], saved["best_loss"]
        self.history.rows, self.history.best_epoch = saved["rows"], saved["best_epoch"]
        self.history.num_valid = saved["num_valid"]
        torch.set_rng_state(saved["random"])
        if saved["random_gpu"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(saved["random_gpu"])
