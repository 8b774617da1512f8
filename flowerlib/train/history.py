"""What a training measured after every epoch."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

from flowerlib import metrics
from flowerlib.support import storage
from flowerlib.support.errors import InputError


@dataclass(repr=False)
class History:
    """What was measured after every epoch.

    Attributes:
        epochs: how many were asked for.
        rows: one dict an epoch: epoch (from 1), train_loss, valid_loss (means, in nats),
            valid_accuracy (a fraction in [0, 1]), seconds. For a logistic regression head, one dict
            a penalty instead (see `solvers.logistic`).
        best_epoch: the one with the lowest validation loss, whose weights the model has in the end;
            0 before the first.
        num_valid: how many photos `valid_accuracy` was measured on; 0 where that is not known.
    """

    epochs: int
    rows: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    num_valid: int = 0

    @property
    def best(self) -> dict[str, float] | None:
        """The row of the best epoch or penalty; None before the first."""
        return self.rows[self.best_epoch - 1] if self.rows and self.best_epoch else None

    @property
    def what(self) -> str:
        """What a row stands for: "epoch", or "penalty" for a logistic regression head."""
        return "penalty" if self.rows and "penalty" in self.rows[0] else "epoch"

    def interval(self, row: dict[str, float]) -> tuple[float, float] | None:
        """The 95 % interval of a row's accuracy; None where the number of photos is not known."""
        if not self.num_valid:
            return None
        right = round(row["valid_accuracy"] * self.num_valid)
        return metrics.wilson_interval(right, self.num_valid)

    def __str__(self) -> str:
        if self.best is None:
            return f"{len(self.rows)} of {self.epochs} epochs"
        accuracy = f"accuracy {self.best['valid_accuracy']:.3f} on valid"
        if self.num_valid:
            right = round(self.best["valid_accuracy"] * self.num_valid)
            accuracy = metrics.format_accuracy(right, self.num_valid, "valid")
        return f"{accuracy}, on which the {self.what} {self.best[self.what]:g} was chosen"

    def __repr__(self) -> str:
        return f"<History: {self}>"

    def save(self, path: Path | str) -> None:
        """Writes the rows as CSV, each with the 95 % interval of its accuracy if it is known.

        Raises:
            InputError: there is no row, or the file cannot be written.
        """
        if not self.rows:
            raise InputError(f"No {self.what} has ended yet, so there is nothing to save.")
        rows: list[dict[str, float]] = []
        for row in self.rows:
            ends = zip(("valid_low", "valid_high"), self.interval(row) or (), strict=False)
            rows.append({**row, **dict(ends)})
        with storage.atomic_path(path) as temporary:
            with open(temporary, "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
