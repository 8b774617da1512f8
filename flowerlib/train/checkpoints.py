"""The state of an unfinished training, kept on disk after every epoch.

With it a training that was killed goes on to the same weights, bit for bit on a CPU, as if it had
never stopped: the file holds the model, the best weights so far, the optimizer, the history and the
state of torch's random numbers. The order of the batches needs no place in it, because it follows
from (seed, epoch) alone.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import nn

from flowerlib.support import storage
from flowerlib.support.errors import InputError


class Checkpoint:
    """One file that is replaced, whole or not at all, after every epoch.

    Attributes:
        path: the file; it is there only while a training is unfinished.
        run: says which training the file belongs to; another one's file is refused.
    """

    def __init__(self, path: Path | str, run: Any = "") -> None:
        self.path = Path(path)
        self.run = hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()

    def save(
        self,
        model: nn.Module,
        best: dict[str, torch.Tensor],
        optimizer: torch.optim.Optimizer,
        rows: list[dict[str, float]],
        best_epoch: int,
        best_loss: float,
    ) -> None:
        """Writes the state at the end of an epoch.

        Raises:
            InputError: the folder is missing, not writable, or full.
        """
        state = {
            "run": self.run,
            "model": model.state_dict(),
            "best": best,
            "optimizer": optimizer.state_dict(),
            "rows": rows,
            "best_epoch": best_epoch,
            "best_loss": best_loss,
            "random": torch.get_rng_state(),
            "random_gpu": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        with storage.atomic_path(self.path) as temporary:
            try:
                torch.save(state, temporary)
            except RuntimeError:  # how torch puts any error of the disk, without its cause
                raise OSError("torch could not write all of it; is the disk full?") from None

    def load(self) -> dict[str, Any] | None:
        """Reads the state, or None if there is no file.

        Only tensors and plain data are read: torch refuses anything else unexecuted.

        Raises:
            InputError: the file is damaged, or belongs to another training.
        """
        if not self.path.is_file():
            return None
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            run = state["run"]
        except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError, TypeError):
            raise InputError(
                f"{self.path} cannot be read as the state of a training; remove it to start over."
            ) from None
        if run != self.run:
            raise InputError(
                f"{self.path} belongs to a training with other data or settings; give those again, "
                "or remove it to start over."
            )
        return state

    def remove(self) -> None:
        """Deletes the file: the training is finished."""
        self.path.unlink(missing_ok=True)
