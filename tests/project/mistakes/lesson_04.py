"""Mistakes in 04_flowers and in its solutions."""

from __future__ import annotations

from tests.project.mistakes import Mistake

LESSON = [
    Mistake(
        "train() changes tensors; eval() does not",
        "the network stays in train mode",
        "network.eval = network.train",
    ),
    Mistake(
        "every batch has the same loss both ways",
        "the network is in train mode while its features are cached",
        "network.train()",
        after="slow_losses =",
    ),
    Mistake(
        "an epoch on features is over 5 times as fast",
        "the features are computed again in the epoch",
        "once = one_epoch\n"
        "def one_epoch(cached, *given):\n"
        "    with torch.no_grad():\n"
        "        cached = [(network(images), labels) for images, labels in batches]\n"
        "    return once(cached, *given)",
        after="slow_losses =",
    ),
    Mistake(
        "cached features differ from fresh ones by less than 0.1 %",
        "the network is in train mode when it gives fresh features",
        "network.train()",
    ),
    Mistake(
        "after epoch 1, the reported training loss is higher",
        "the classes are in another order in valid",
        "valid.labels = num_classes - 1 - valid.labels",
        after="known, valid =",
    ),
    Mistake(
        "measured alike, it is lower",
        "the validation pictures are those of training",
        "valid = known",
        after="known, valid =",
    ),
    Mistake(
        "dropout raises the loss of the very same weights",
        "the head is frozen by models.freeze, so that train() does nothing",
        "models.freeze(head)",
    ),
    Mistake(
        "at the end, the gap is wider",
        "the optimizer takes no step",
        "torch.optim.Adam.step = lambda self: None",
        after="def measured",
    ),
    Mistake(
        "ten times as large or as small a rate can cost over 2 points",
        "the learning rate is not passed on",
        "for rate in (0.0003, 0.03):\n"
        '    against[f"learning rate {rate:g}"] = '
        "metrics.paired_difference(right_answers(), recipe)",
    ),
    Mistake(
        "the head is recovered bit for bit",
        "dropout is left on",
        "old_head.train()",
    ),
    Mistake(
        "so is the backbone, under today's names",
        "the backbone is built again with random weights",
        'dense = models.backbone("small_densenet", "none")',
    ),
    Mistake(
        "from scratch, training took over ten times as long",
        "one of the times is in minutes",
        'scratch["processor_seconds"] /= 60',
    ),
    Mistake(
        "the surest mistake has a probability above a half",
        "the mistakes are sorted from the least sure on",
        "worst = wrong[sure[wrong].argsort()][:8].tolist()",
    ),
]

# Divides by the number of photos, not by its root.
NARROW = """
def wilson_interval(correct, total):
    share = correct / total
    half = 1.96 * (share * (1 - share)) ** 0.5 / total
    return share - half, share + half

metrics.wilson_interval = wilson_interval
"""

SOLUTIONS = [
    Mistake(
        "formula and draws agree",
        "the interval of the mean of all draws is taken",
        "drawn = shares.mean() + np.array((-1.96, 1.96)) * shares.std() / DRAWS**0.5",
    ),
    Mistake(
        "819 photos leave an interval of over 3 points",
        "one standard deviation is taken for an interval of 95 %",
        "wilson = metrics.wilson_interval(round(share * total), total, z=1)",
    ),
    Mistake(
        "four times the photos, half the width",
        "the deviation is divided by the number of photos, not by its root",
        NARROW,
        after="lesson.banner",
    ),
    Mistake(
        "dropout raises the reported training loss",
        "the share of dropout is taken for the share that is kept",
        "hidden_head = models.hidden_head\n"
        "models.hidden_head = lambda *given: hidden_head(*given[:-1], 1 - given[-1])",
        after="def trained",
    ),
    Mistake(
        "measured alike, training is lower",
        "the validation pictures are those of training",
        "valid = known",
        after="def trained",
    ),
    Mistake(
        "with dropout, the gap between train and valid is smaller",
        "dropout is not passed on",
        "hidden_head = models.hidden_head\n"
        "models.hidden_head = lambda *given: hidden_head(*given[:-1], 0.0)",
        after="def trained",
    ),
    Mistake(
        "those that the network is sure of are more often right",
        "the labels are counted from 1",
        "valid.labels = (valid.labels + 1) % num_classes",
    ),
]
