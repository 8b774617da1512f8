"""The figure of a search for the learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.axes import Axes

from flowerlib.plots.figures import BLUE, GRAY, _tidy, figure

if TYPE_CHECKING:
    from flowerlib.train import RateSearch


def learning_rates(search: RateSearch) -> Axes:
    """Training loss at rising learning rates.

    Args:
        search: from `train.find_learning_rate`.

    Returns:
        Axes; a dotted line marks the suggestion.
    """
    axes: Axes = figure(7.0, 3.4).subplots()
    axes.plot(search.rates, search.losses, "-", color=BLUE)
    axes.axvline(search.suggestion, color=GRAY, lw=1, ls=":")
    axes.set_xscale("log")
    title = f"A tenth of the rate with the lowest loss: {search.suggestion:.1e}"
    return _tidy(axes, title, "learning rate", "mean training loss (nats)")
