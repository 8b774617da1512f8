"""How a classifier does on labelled photos, and how many of them it has learned from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from flowerlib import metrics


@dataclass(frozen=True, eq=False)  # tensors compare number by number
class Evaluation:
    """How a classifier does on labelled photos.

    Attributes:
        logits: float32 (N, C).
        labels: int64 (N,), positions in the classifier's class names.
        seconds: wall time.
        name: of the set of photos; "" if it has none.
        trained_on: bool (N,), photos that the classifier's weights were fitted to; None if that is
            not known, as of an imported classifier.
        chosen_with: bool (N,), further photos that its epoch or penalty was chosen with; None
            likewise.
        accuracy: fraction in [0, 1].
        interval: its 95 % interval (Wilson).
        unseen_accuracy, unseen_interval: the same without the photos that it learned from; None if
            nothing remains, or if it is not known.
    """

    logits: Tensor
    labels: Tensor
    seconds: float
    name: str = ""
    trained_on: Tensor | None = None
    chosen_with: Tensor | None = None

    @cached_property
    def right(self) -> Tensor:
        """Bool (N,): whether the most probable class is the label."""
        return self.logits.argmax(1) == self.labels

    @property
    def accuracy(self) -> float:
        return metrics.accuracy(self.logits, self.labels)

    @property
    def interval(self) -> tuple[float, float]:
        return metrics.wilson_interval(int(self.right.sum()), len(self.right))

    @property
    def unseen(self) -> Tensor | None:
        """Bool (N,): photos that the classifier did not learn from; None if it is not known."""
        if self.trained_on is None or self.chosen_with is None:
            return None
        return ~(self.trained_on | self.chosen_with)

    @property
    def unseen_accuracy(self) -> float | None:
        rest = self._rest()
        return float(rest.double().mean()) if len(rest) else None

    @property
    def unseen_interval(self) -> tuple[float, float] | None:
        rest = self._rest()
        return metrics.wilson_interval(int(rest.sum()), len(rest)) if len(rest) else None

    def _rest(self) -> Tensor:
        """Whether it is right, for the photos that it did not learn from."""
        return self.right[torch.zeros_like(self.right) if self.unseen is None else self.unseen]

    def role(self, index: int) -> str:
        """What photo `index` was to the classifier: "trained on", "chosen with", "" or "?"."""
        if self.trained_on is None or self.chosen_with is None:
            return "?"
        if self.trained_on[index]:
            return "trained on"
        return "chosen with" if self.chosen_with[index] else ""

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain data."""
        interval = self.unseen_interval

        def count(known: Tensor | None) -> int | None:
            return None if known is None else int(known.sum())

        return {
            "set": self.name,
            "num_images": len(self.labels),
            "accuracy": self.accuracy,
            "interval": list(self.interval),
            "trained_on": count(self.trained_on),
            "chosen_with": count(self.chosen_with),
            "unseen": {
                "num_images": count(self.unseen),
                "accuracy": self.unseen_accuracy,
                "interval": None if interval is None else list(interval),
            },
        }

    def __str__(self) -> str:
        accuracy = metrics.format_accuracy(int(self.right.sum()), len(self.right), self.name)
        return f"{accuracy}; {self._learned()}"

    __repr__ = __str__

    def _learned(self) -> str:
        """What is known about the photos that the classifier learned from."""
        if self.trained_on is None or self.chosen_with is None:
            return "whether it learned from any of them is not known"
        trained, chosen = int(self.trained_on.sum()), int(self.chosen_with.sum())
        if not trained + chosen:
            return "none of these files is among those that it learned from"
        roles = [f"trained on {trained}"] * bool(trained) + [f"chosen with {chosen}"] * bool(chosen)
        rest = self._rest()
        if not len(rest):
            return (
                f"it learned from all of them ({', '.join(roles)}), so this says nothing of others"
            )
        without = metrics.format_accuracy(int(rest.sum()), len(rest))
        return (
            f"it learned from {trained + chosen} of them ({', '.join(roles)}); without: {without}"
        )
