"""Every figure; functions return Axes and show nothing by themselves."""

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

__all__ = [
    "BLUE",
    "GRAY",
    "GREEN",
    "ORANGE",
    "RED",
    "accuracies",
    "confusion",
    "curves",
    "figure",
    "frontier",
    "photo_and_bars",
    "photo_grid",
    "save",
]
