# %% [markdown]
# # Solutions to lesson 03: flowers
#
# The same data, backbone and head as in the [lesson](../03_flowers.ipynb).

# %%
import os

import numpy as np
import torch
from torch import nn

from flowerlib import data, features, lesson, metrics, models, photos, plots, solvers, train

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
# ## Exercise 03.1: how sure is the source's figure?
#
# The width of an interval shrinks with the square root of the number of photos, so half the width
# needs about four times as many.

# %%
rows = []
for total in (819, 4 * 819):
    low, high = metrics.interval(round(0.914 * total), total)
    rows.append({"photos": total, "low": low, "high": high, "width": high - low})
lesson.table(rows)
lesson.claim(rows[0]["width"] > 0.03, "819 photos leave an interval of over 3 points")
lesson.claim(
    1.9 < rows[0]["width"] / rows[1]["width"] < 2.1, "four times the photos, half the width"
)

# %% [markdown]
# ## Exercise 03.2: what does dropout do?
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
    fair, _ = train.measure(head, [(train_part.values, train_part.labels)], nn.NLLLoss())
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
        metrics.interval(round(r["accuracy"] * len(splits.valid)), len(splits.valid)) for r in rows
    ]
)
spread = max(r["accuracy"] for r in rows) - min(r["accuracy"] for r in rows)
lesson.claim(spread < 2 * half, "the accuracies differ by less than an interval is wide")

# %% [markdown]
# ## Exercise 03.3: how few pictures are enough?
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
# ## Exercise 03.4: caching and augmentation together
#
# A second pass, over mirrored pictures, gives the second row of features of each picture. Both
# rows have the same label.

# %%
images = photos.loader(splits.train, preprocessing, batch_size=32)
with torch.inference_mode():
    mirrored = torch.cat([backbone(batch.flip(3)) for batch, _ in images])
both = torch.cat([train_part.values, mirrored])
labels = torch.cat([train_part.labels, train_part.labels])

# %%
rows = []
for name, values, targets in (
    ("as they are", train_part.values, train_part.labels), ("and mirrored", both, labels)
):  # fmt: skip
    solution = solvers.logistic(values, targets, valid_part.values, valid_part.labels, num_classes)
    accuracy = solution.rows[solution.best]["valid_accuracy"]
    low, high = metrics.interval(round(accuracy * len(splits.valid)), len(splits.valid))
    rows.append({"pictures": name, "accuracy": accuracy, "low": low, "high": high})
lesson.table(rows, digits=2)
lesson.claim(rows[1]["accuracy"] > rows[0]["low"], "mirrored pictures do no harm beyond noise")

# %% [markdown]
# Caching and augmentation are no enemies: a few fixed views of each picture, each kept once, cost
# a few passes instead of one for every epoch. Whether the views help is a question for the
# validation set, and its interval says how large an answer must be to count.

# %% tags=["nbval-ignore-output"]
lesson.footer("fp32")
