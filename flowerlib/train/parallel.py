"""Training by several processes: each has its part of every batch, and all take the same step.

The gradients are averaged by torch's DistributedDataParallel. Alone, nothing of this happens.
"""

from __future__ import annotations

from torch import Tensor, nn

from flowerlib.support import distributed
from flowerlib.train.evaluation import RunningLoss, weight_of


def learner(model: nn.Module) -> nn.Module:
    """The model; of several processes, one whose gradients are the mean of those of all.

    Made again where other parameters shall learn. The main process's weights become those of all.
    """
    if distributed.size() == 1:
        return model
    return nn.parallel.DistributedDataParallel(model, find_unused_parameters=True)


def batch_loss(model: nn.Module, inputs: Tensor, labels: Tensor, loss: RunningLoss) -> Tensor:
    """The loss of a batch, a scalar with a gradient.

    Of several processes, each passes its rows of the batch through the `learner`; the mean of what
    they get is the loss of the whole batch.
    """
    if distributed.size() == 1:
        return loss(model(inputs), labels)
    mine = distributed.mine(labels)
    outputs: Tensor = model(distributed.mine(inputs))
    if not (weight := weight_of(loss.loss, mine)):
        return outputs.sum() * 0  # the others wait for the gradients of this process, too
    # Times the number of processes, by which the sum of all gradients is divided.
    return loss(outputs, mine) * (weight / weight_of(loss.loss, labels) * distributed.size())
