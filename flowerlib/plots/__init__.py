"""Every figure; functions return Axes and show nothing by themselves."""

from flowerlib.plots.comparisons import (
    compare_curves,
    differences,
    learning_rates,
    lines,
    time_bars,
)
from flowerlib.plots.diagrams import feature_maps, transfer_diagram
from flowerlib.plots.figures import (
    BLUE,
    GRAY,
    GREEN,
    ORANGE,
    RED,
    accuracies,
    confusion,
    curves,
    figure,
    frontier,
    photo_and_bars,
    photo_grid,
    save,
)
from flowerlib.plots.repetitions import repeated_runs

__all__ = [
    "BLUE",
    "GRAY",
    "GREEN",
    "ORANGE",
    "RED",
    "accuracies",
    "compare_curves",
    "confusion",
    "curves",
    "differences",
    "feature_maps",
    "figure",
    "frontier",
    "learning_rates",
    "lines",
    "photo_and_bars",
    "photo_grid",
    "repeated_runs",
    "save",
    "time_bars",
    "transfer_diagram",
]
