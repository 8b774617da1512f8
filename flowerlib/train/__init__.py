"""Training: the loop, transfer learning in one call, fine-tuning, checkpoints."""

from flowerlib.train.batches import FeatureBatches
from flowerlib.train.checkpoints import Checkpoint
from flowerlib.train.evaluation import evaluate
from flowerlib.train.history import History
from flowerlib.train.loop import fit
from flowerlib.train.progress import Bar
from flowerlib.train.transfer_learning import transfer

__all__ = [
    "Bar",
    "Checkpoint",
    "FeatureBatches",
    "History",
    "evaluate",
    "fit",
    "transfer",
]
