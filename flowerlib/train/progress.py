"""How far a training is: a bar in a terminal, and the count of photos that it has seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from flowerlib.train.history import History

if TYPE_CHECKING:
    from tqdm import tqdm


@runtime_checkable
class CountsEpochs(Protocol):
    """A progress that tells photos seen in training from photos of a pass."""

    def training(self, seen: int, size: int, epochs: int, /) -> None:
        """Called with the photos seen in all epochs so far, those of one epoch, and the epochs."""


def counter(
    progress: Callable[[int, int], None] | None, size: int, epochs: int, finished: int = 0
) -> Callable[[int], None]:
    """A function that gets the number of photos in each batch, and reports their sum.

    Args:
        progress: called with (photos seen, photos in all epochs); or its `training`, if it has one.
        size: photos in an epoch.
        epochs: of the whole training.
        finished: of these, before a resumed training was stopped.
    """
    seen = finished * size

    def count(more: int) -> None:
        nonlocal seen
        seen = min(seen + more, epochs * size)  # several processes fill up the last batch
        if isinstance(progress, CountsEpochs):
            progress.training(seen, size, epochs)
        elif progress:
            progress(seen, epochs * size)

    return count


class Bar:
    """A report for `fit` that shows one progress bar in the terminal.

    Args:
        title: what stands in front of it.
    """

    def __init__(self, title: str = "training") -> None:
        self.title = title
        self.bar: tqdm | None = None

    def __call__(self, history: History) -> None:
        """Shows the last epoch; the bar goes away after the last of all."""
        from tqdm import tqdm

        if self.bar is None:
            self.bar = tqdm(total=history.epochs, desc=self.title, unit="epoch", leave=False)
        row = history.rows[-1]
        ends = history.interval(row)
        interval = f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else ""
        self.bar.set_postfix_str(
            f"valid loss {row['valid_loss']:.3f}, "
            f"valid accuracy {row['valid_accuracy']:.3f}{interval}"
        )
        self.bar.update(1)
        if len(history.rows) == history.epochs:
            self.bar.close()
