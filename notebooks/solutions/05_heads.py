# %% [markdown]
# # Solutions to lesson 05: heads
#
# The same data and backbone as in the [lesson](../05_heads.ipynb).

# %%
import os
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from flowerlib import data, features, lesson, metrics, models, plots, solvers, train

# %% tags=["settings"]
BACKBONE = os.environ.get("FLOWERLIB_BACKBONE", "small_densenet")
WEIGHTS = os.environ.get("FLOWERLIB_WEIGHTS", "small")
DRAWN = (20, 5, 5)
PER_CLASS = (10, 5, 5)  # of them, as in the lesson
COUNTS = (1, 2, 5)  # training pictures of a class
PENALTY = 1e-5
SEED = 0
DRAWS = range(SEED, SEED + 5)
SEEDS = (0, 1, 2)

# %%
splits = data.flowers(per_class=DRAWN).per_class(PER_CLASS)
backbone = models.freeze(models.backbone(BACKBONE, WEIGHTS, seed=SEED))
preprocessing = models.default_preprocessing(backbone)
num_classes = len(splits.class_names)
lesson.banner(splits, backbone)
extract = partial(features.extract, preprocessing=preprocessing, precision="fp32")
known, valid = extract(backbone, splits.train), extract(backbone, splits.valid)


# %%
def solve(values, labels):
    """The linear head, and which validation pictures it gets right."""
    solution = solvers.logistic(values, labels, valid.values, valid.labels, num_classes)
    return solution, solution.valid_logits.argmax(1) == valid.labels


# %% [markdown]
# ## Exercise 05.1: what does a weight say?

# %%
solution, right = solve(known.values, known.labels)
label = 0
feature = int(solution.head[0].weight[label].argmax())
top = valid.values[:, feature].topk(8).indices.tolist()
names = [splits.valid.class_name(i) for i in top]
print(f"the largest weight for {splits.class_names[label]} is that of feature {feature}")

# %% tags=["hide-input"]
pictures = [preprocessing.pixels(splits.valid.image(i)) for i in top]
title = f"Where feature {feature} is largest"
grid = plots.photo_grid(pictures, names, columns=4, title=title)
lesson.show(grid, alt="Eight validation pictures with large values of one feature, with names.")
share = sum(name == splits.class_names[label] for name in names)
print(f"{share} of {len(names)} are {splits.class_names[label]}, {len(set(names))} species in all")

# %% [markdown]
# **Answer.** The pictures are of several species, and often it is hard to say what they share: a
# color, a texture, a shape? A feature is a piece of evidence, not a class, and seldom has a name.
# The head adds up hundreds of them.

# %% [markdown]
# ## Exercise 05.2: how few pictures are enough?
#
# A head on fewer pictures needs only some rows of the cached features: the backbone has nothing to
# do, which is why no new pass is needed.


# %%
def right_with(count, seed):
    """Which validation pictures a head gets right that learned from `count` of each class."""
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(known)))
    labels = known.labels[order]
    rows = torch.cat([order[labels == label][:count] for label in range(num_classes)])
    return solve(known.values[rows], known.labels[rows])[1]


most = int(splits.train.counts().max())
found = {n: torch.stack([right_with(n, seed) for seed in DRAWS]).double() for n in COUNTS}
found[most] = torch.stack([right, right]).double()  # all of them: every draw is the same
rows = [(n, *metrics.crossed_interval(values)) for n, values in found.items()]
lesson.table(rows, ["pictures per class", "valid accuracy", "low", "high"], digits=2)

# %% tags=["hide-input"]
accuracies = [row[1] for row in rows]
steps = np.diff([0, *accuracies])
title = f"Accuracy over pictures per class, mean of {len(DRAWS)} draws"
shown = {"linear head": accuracies}
axes = plots.lines(list(found), shown, x_label="pictures per class", log="x", title=title)
lesson.show(axes, alt="Accuracy rises with the number of training pictures and flattens.")
lesson.claim(accuracies == sorted(accuracies), "on average, more pictures help each time")
lesson.claim(steps[0] == steps.max(), "the first picture of a class helps most")
each = steps / np.diff([0, *found])  # per further picture
lesson.claim(list(each) == sorted(each, reverse=True), "each further picture helps less")

# %% [markdown]
# **Answer.** The very first picture of a class helps most: without it, the class could not be named
# at all. Each further one helps less, but at every step here, more are better. How many are enough
# depends on the accuracy that you need; where the curve is still rising, more pictures would help.
# No new pass is needed, because the features of a picture do not depend on which others are used.

# %% [markdown]
# ## Exercise 05.3: noise instead of views
#
# Batches of cached features get new noise each time. Multiplying, not adding, leaves a feature at
# zero if it is zero, and makes the noise as large as the feature.


# %%
class NoisyBatches(train.FeatureBatches):
    """Batches of features, every feature multiplied by 1 + strength * noise."""

    strength = 0.0

    def __iter__(self):
        for values, labels in super().__iter__():
            yield values * (1 + self.strength * torch.randn_like(values)), labels


def trained(strength, seed):
    """Validation loss and right answers of the article's head, trained with that much noise."""
    torch.manual_seed(seed)
    head = models.hidden_head(backbone.num_features, num_classes, (512,), 0.2)
    batches = NoisyBatches(known.values, known.labels, shuffle=True, seed=seed)
    batches.strength = strength
    held_out = [(valid.values, valid.labels)]
    history = train.fit(head, batches, held_out, epochs=10, lr=0.003)
    with torch.inference_mode():
        return history.best["valid_loss"], head(valid.values).argmax(1) == valid.labels


# %%
runs = {s: [trained(s, seed) for seed in SEEDS] for s in (0.0, 0.1, 0.3, 1.0)}
losses = {s: float(np.mean([loss for loss, _ in seeds])) for s, seeds in runs.items()}
right = {s: torch.stack([answers for _, answers in seeds]).double() for s, seeds in runs.items()}
gains = {s: metrics.crossed_interval(right[s] - right[0.0]) for s in runs if s}
rows = [(f"{s}", losses[s], float(right[s].mean()), *gains.get(s, [None] * 3)) for s in runs]
lesson.table(rows, ["strength", "valid loss", "valid accuracy", "gain", "low", "high"])

# %%
best = min(losses, key=losses.get)
print(f"lowest validation loss: strength {best}")
strongest = max(gains, key=lambda s: gains[s][1])
lesson.verdict(
    *gains[strongest],
    better=f"Noise of strength {strongest} improves the accuracy.",
    worse=f"Even the most promising noise, of strength {strongest}, lowers the accuracy.",
    unclear="No strength shows a gain in accuracy with these seeds and pictures.",
)

# %% [markdown]
# **Answer.** The line above says whether any strength helps, for this backbone and these pictures.
# Noise is the cheapest augmentation there is: no pass through the network, only random numbers for
# each batch. But unlike a view, it does not know which changes leave a flower the same flower. A.
# Bär and others study the idea in "Frozen feature augmentation for few-shot image classification"
# (CVPR 2024).

# %% [markdown]
# ## Exercise 05.4: unequal classes
#
# The lesson's `logistic_regression`, with weights for the classes. A weight counts a picture as if
# it were there several times.


# %%
def answers_of(rows, weight=None):
    """Answers to the validation pictures by a head that learned from these training pictures."""
    inputs, labels = (known.values[rows] - mean) / scale, known.labels[rows]
    layer = nn.Linear(known.values.shape[1], num_classes)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(layer(inputs), labels, weight=weight)
        loss = loss + PENALTY / 2 * layer.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.inference_mode():
        return layer((valid.values - mean) / scale).argmax(1)


# %%
mean = known.values.mean(0)
scale = (known.values - mean).square().sum(1).mean().sqrt()
order = torch.from_numpy(np.random.default_rng(SEED).permutation(len(known)))
of_class = [order[known.labels[order] == label] for label in range(num_classes)]
everything = torch.cat(of_class)
unequal = torch.cat([rows[:2] if label % 2 else rows for label, rows in enumerate(of_class)])
weight = data.class_weights(known.labels[unequal].numpy(), num_classes)
answers = {
    "all pictures": answers_of(everything),
    "two of every second species": answers_of(unequal),
    "the same, classes weighted": answers_of(unequal, weight),
}

# %%
few = valid.labels % 2 == 1
rows = []
for name, found in answers.items():
    hits = found == valid.labels
    for group, of_group in (("few", few), ("many", ~few)):
        right, total = int(hits[of_group].sum()), int(of_group.sum())
        low, high = metrics.wilson_interval(right, total)
        rows.append((name, group, right / total, low, high))
lesson.table(rows, ["learned from", "species", "valid accuracy", "low", "high"], digits=2)

# %%
full, short, weighted = (found == valid.labels for found in answers.values())
lesson.claim(rows[2][4] < rows[0][3], "the species with few pictures lose accuracy")
lesson.verdict(
    *metrics.paired_difference(short[~few], full[~few]),
    better="The species with many pictures gain.",
    worse="The species with many pictures lose, too.",
    unclear="The species with many pictures neither clearly gain nor lose.",
)
lesson.verdict(
    *metrics.paired_difference(weighted[few], short[few]),
    better="Weights bring some of the lost accuracy back.",
    worse="With weights, the species with few pictures lose even more.",
    unclear="Weights make no clear difference to the species with few pictures.",
)

# %% [markdown]
# **Answer.** The table shows how much accuracy the species with few pictures lose; the first
# sentence says what becomes of the others, and the second what weights change. A mean over all
# pictures hides such a loss where rare classes are rare in the validation set, too, as they usually
# are: look at the accuracy of each class. Weights only say how much a mistake costs; no weight can
# add what two pictures do not show.

# %% [markdown]
# ## Exercise 05.5: your own photos
#
# With your own, `folder` is yours. Here, twenty classes of the lesson stand in for it.

# %%
folder = Path(tempfile.mkdtemp(), "photos")
splits = data.image_folder(data.to_folders(splits.of_classes(splits.class_names[:20]), folder))
right = {}
for name, network in (("last layer", backbone), ("multi-level", models.multi_level(backbone))):
    learn, held = extract(network, splits.train), extract(network, splits.valid)
    given = (learn.values, learn.labels, held.values, held.labels, len(splits.class_names))
    right[name] = solvers.logistic(*given).valid_logits.argmax(1) == held.labels
rows = [(name, int(found.sum()), len(found)) for name, found in right.items()]
rows = [(name, n / total, *metrics.wilson_interval(n, total)) for name, n, total in rows]
lesson.table(rows, ["features", "valid accuracy", "low", "high"], digits=2)

# %%
lesson.verdict(
    *metrics.paired_difference(right["multi-level"], right["last layer"]),
    better="Multi-level features are better: use them.",
    worse="The last layer is better: use it.",
    unclear="No difference can be shown on so few photos: use what is simpler, or collect more.",
)

# %% [markdown]
# **Answer.** Decide by the interval, not by the two accuracies. Where it contains zero, neither is
# shown to be better, and the last layer has fewer features.

# %% tags=["nbval-ignore-output"]
lesson.footer("fp32")
