"""A progress bar for trainings in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowerlib.train.history import History

if TYPE_CHECKING:
    from tqdm import tqdm


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
