# %% [markdown]
# # Solutions to lesson 03: flowers
#
# The same data, backbone and head as in the [lesson](../04_flowers.ipynb).

# %%
import os

import numpy as np
import torch
from torch import nn

from flowerlib import data, features, lesson, metrics, models, plots, solvers, train

# %% tags=["settings"]
BACKBONE = os.environ.get("FLOWERLIB_BACKBONE", "small_densenet")
WEIGHTS = os.environ.get("FLOWERLIB_WEIGHTS", "small")
PER_CLASS = (20, 5, 5)
SEED = 0
torch.backends.cudnn.allow_tf32 = False

# %%
splits = data.flowers(per_class=PER_CLASS)
backbone = models.freeze(models.backbone(BACKBONE, WEIGHTS, seed=SEED))
preprocessing = models.default_preprocessing(backbone)
num_classes = len(splits.class_names)
lesson.banner(splits, backbone)

# %%
train_part = features.extract(backbone, splits.train, preprocessing, precision="fp32")
valid_part = features.extract(backbone, splits.valid, preprocessing, precision="fp32")

# %% [markdown]
# ## Exercise 04.1: how sure is the source's figure?
#
# The width of an interval shrinks with the square root of the number of photos, so half the width
# needs about four times as many.

# %%
rows = []
for total in (819, 4 * 819):
    low, high = metrics.wilson_interval(round(0.914 * total), total)
    rows.append({"photos": total, "low": low, "high": high, "width": high - low})
lesson.table(rows)
lesson.claim(rows[0]["width"] > 0.03, "819 photos leave an interval of over 3 points")
lesson.claim(
    1.9 < rows[0]["width"] / rows[1]["width"] < 2.1, "four times the photos, half the width"
)

# %% [markdown]
# ## Exercise 04.2: what does dropout do?
#
# Dropout makes the reported training loss worse, because the head works with some of its units
# switched off. Measured fairly, the training loss is below validation loss with or without it.


# %%
def trained(dropout):
    """Losses and accuracy of the source's head with this dropout, after its best epoch."""
    torch.manual_seed(SEED)
    head = models.hidden_head(backbone.num_features, num_classes, (512,), dropout)
    batches = train.FeatureBatches(train_part.values, train_part.labels, shuffle=True, seed=SEED)
    valid = [(valid_part.values, valid_part.labels)]
    history = train.fit(head, batches, valid, epochs=10, lr=0.003)
    fair, _ = train.evaluate(head, [(train_part.values, train_part.labels)], nn.NLLLoss())
    best = history.rows[history.best_epoch - 1]
    return {"dropout": dropout, "reported": best["train_loss"], "fair": fair,
            "valid": best["valid_loss"], "accuracy": best["valid_accuracy"]}  # fmt: skip


# %%
rows = [trained(dropout) for dropout in (0.0, 0.2, 0.5)]
lesson.table(rows, digits={"dropout": 1, "reported": 2, "fair": 2, "valid": 2, "accuracy": 2})
lesson.claim(rows[2]["reported"] > rows[0]["reported"], "dropout raises the reported loss")
lesson.claim(all(row["fair"] < row["valid"] for row in rows), "measured alike, training is lower")
half = max(
    (high - low) / 2
    for low, high in [
        metrics.wilson_interval(round(r["accuracy"] * len(splits.valid)), len(splits.valid))
        for r in rows
    ]
)
spread = max(r["accuracy"] for r in rows) - min(r["accuracy"] for r in rows)
lesson.claim(spread < 2 * half, "the accuracies differ by less than an interval is wide")

# %% [markdown]
# ## Exercise 04.3: how few pictures are enough?
#
# A head on fewer pictures needs only some rows of the kept features: the backbone has nothing to
# do.


# %%
def accuracy_with(count):
    """Accuracy on valid of a linear head solved with `count` pictures of each class."""
    rng = np.random.default_rng(SEED)
    order = rng.permutation(len(splits.train))
    labels = splits.train.labels[order]
    chosen = np.concatenate([order[labels == c][:count] for c in range(num_classes)])
    solution = solvers.logistic(
        train_part.values[chosen], train_part.labels[chosen],
        valid_part.values, valid_part.labels, num_classes,
    )  # fmt: skip
    return solution.rows[solution.best]["valid_accuracy"]


# %%
most = int(splits.train.counts().max())
counts = [1, 2, 5, 10, most]
values = [accuracy_with(count) for count in counts]
lesson.table(
    [{"pictures": c, "accuracy": v} for c, v in zip(counts, values, strict=True)], digits=2
)
axes = plots.figure(6.5, 3.4).subplots()
axes.semilogx(counts, values, "s-", color=plots.BLUE)
axes.set_xticks(counts, [str(count) for count in counts])
axes.minorticks_off()
axes.set(
    xlabel="training pictures of each class", ylabel="accuracy on the validation set", ylim=(0, 1)
)
axes.set_title("The first pictures of a class help the most", loc="left")
axes.spines[["top", "right"]].set_visible(False)
lesson.show(axes, alt="Accuracy rises with the number of training pictures and flattens.")

# %%
lesson.claim(values == sorted(values), "more pictures never hurt")
lesson.claim(values[1] - values[0] > values[-1] - values[-2], "the second one helps the most")

# %% [markdown]
# ## Exercise 04.4: noise instead of views
#
# The batches of kept features get new noise each time they are gone through. Multiplying, not
# adding, leaves a feature that is zero at zero, and makes the noise as large as the feature.


# %%
class NoisyBatches(train.FeatureBatches):
    """Batches of features, every feature multiplied by 1 + strength * noise."""

    strength = 0.0

    def __iter__(self):
        for values, labels in super().__iter__():
            yield values * (1 + self.strength * torch.randn_like(values)), labels


# %%
def head_with(strength):
    """The best epoch of the source's head, trained on features with that much noise."""
    torch.manual_seed(SEED)
    head = models.hidden_head(backbone.num_features, num_classes, (512,), 0.2)
    batches = NoisyBatches(train_part.values, train_part.labels, shuffle=True, seed=SEED)
    batches.strength = strength
    valid = train.FeatureBatches(valid_part.values, valid_part.labels, 1024, shuffle=False)
    history = train.fit(head, batches, valid, epochs=10, lr=0.003)
    return history.rows[history.best_epoch - 1]


# %%
rows = [{"strength": strength, **head_with(strength)} for strength in (0.0, 0.1, 0.3, 1.0)]
columns = ["strength", "epoch", "train_loss", "valid_loss", "valid_accuracy"]
lesson.table(rows, columns, digits={"strength": 1})
losses = [row["valid_loss"] for row in rows]
lesson.claim(rows[0]["train_loss"] < rows[-1]["train_loss"], "noise makes learning harder")
lesson.claim(
    min(losses[1:]) < losses[0] + 0.05, "but some noise costs validation loss next to nothing"
)

# %% [markdown]
# Noise is the cheapest augmentation there is: no pass through the network, some random numbers for
# each batch. It does not know what a flower looks like from another side, so expect less of it
# than of views. The idea is studied in Bär et al., "Frozen feature augmentation for few-shot image
# classification" (CVPR 2024).

# %% tags=["nbval-ignore-output"]
lesson.footer("fp32")
