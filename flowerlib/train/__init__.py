"""Training: the loop, transfer, fine-tuning, checkpoints."""

from flowerlib.train.recipe import Bar, FeatureBatches, History, evaluate, fit, transfer

__all__ = [
    "Bar",
    "FeatureBatches",
    "History",
    "fit",
    "evaluate",
    "transfer",
]
