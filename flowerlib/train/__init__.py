"""Training: the loop, transfer, fine-tuning, checkpoints."""

from flowerlib.train.recipe import Bar, FeatureBatches, History, fit, measure, transfer

__all__ = [
    "Bar",
    "FeatureBatches",
    "History",
    "fit",
    "measure",
    "transfer",
]
