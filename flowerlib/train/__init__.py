"""Training: the loop, transfer learning in one call, fine-tuning, checkpoints."""

from flowerlib.support.options import FineTuning
from flowerlib.train.batches import FeatureBatches
from flowerlib.train.checkpoints import Checkpoint
from flowerlib.train.evaluation import evaluate
from flowerlib.train.fine_tuning.rate_finder import RateSearch, find_learning_rate
from flowerlib.train.fine_tuning.whole_network import fine_tune
from flowerlib.train.history import History
from flowerlib.train.loop import fit
from flowerlib.train.progress import Bar
from flowerlib.train.test_time_views import averaged_logits
from flowerlib.train.transfer_learning import transfer

__all__ = [
    "Bar",
    "Checkpoint",
    "FeatureBatches",
    "FineTuning",
    "History",
    "RateSearch",
    "averaged_logits",
    "evaluate",
    "find_learning_rate",
    "fine_tune",
    "fit",
    "transfer",
]
