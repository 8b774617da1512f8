# %% [markdown]
# # How good can a head get on frozen features?
#
# You will replace the article's head with one that does not depend on luck, find features that the
# last layer has discarded, and augment pictures whose features are cached.
#
# | | |
# |---|---|
# | **You will learn** | the six things below |
# | **You should know** | cached features and the article's head ([lesson 04](04_flowers.ipynb)) |
# | **Data** | 102 species of flowers: drawn, or Oxford's photos |
# | **Time** | 45 minutes to read; about 40 seconds to run on two processor cores |
#
# - What a linear head is, and why it can be *solved* instead of trained.
# - What a [penalty](../docs/glossary.md#penalty) on the weights does.
# - How to find out whether a hidden layer helps.
# - Where else in a network there are useful features.
# - How to augment pictures whose features are cached.
# - How much of the accuracy comes from pretraining.

# %%
import copy
import os
import time
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from flowerlib import data, features, lesson, metrics, models, plots, solvers, train, transforms

# %% tags=["settings"]
BACKBONE = os.environ.get("FLOWERLIB_BACKBONE", "small_densenet")
WEIGHTS = os.environ.get("FLOWERLIB_WEIGHTS", "small")
DRAWN = (20, 5, 5)  # pictures of each species, the same as in lesson 04: train, valid, test
PER_CLASS = (10, 5, 5)  # of them, to save time; of photos, as many at most
PENALTIES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
FEW = 5  # training pictures of a class in the plain experiments
VIEWS = 2  # augmented views of each picture
BLOCK_LR, BLOCK_EPOCHS = 0.0001, 3  # training of the last block
SEED = 0
SEEDS = (0, 1, 2)

# %%
splits = data.flowers(per_class=DRAWN).per_class(PER_CLASS)
backbone = models.freeze(models.backbone(BACKBONE, WEIGHTS, seed=SEED))
preprocessing = models.default_preprocessing(backbone)
num_classes = len(splits.class_names)
lesson.banner(splits, backbone)
extract = partial(features.extract, preprocessing=preprocessing, precision="fp32")
known, valid = extract(backbone, splits.train), extract(backbone, splits.valid)
print(known, valid, sep="\n")

# %% [markdown]
# ## What is a linear head?
#
# One linear layer: each class has one weight per feature, and its score, the
# [logit](../docs/glossary.md#logits), is the weighted sum. [Softmax](../docs/glossary.md#softmax)
# turns the scores into probabilities, and the loss is
# [cross-entropy](../docs/glossary.md#cross-entropy): minus the logarithm of the probability of the
# right class, in [nats](../docs/glossary.md#nat). Statisticians have known this head for decades as
# [logistic regression](../docs/glossary.md#logistic-regression).
#
# It has a property that networks with hidden layers lack: with a small
# [penalty](../docs/glossary.md#penalty) on large weights, its loss is a bowl: every path downhill
# ends at the bottom, where the answers are always the same. So we need no learning rate, no epochs
# and no luck: [L-BFGS](../docs/glossary.md#l-bfgs), one of PyTorch's optimizers, finds the bottom.
# It looks at all pictures at once, and calls `closure` for loss and gradient.


# %%
def logistic_regression(values, labels, penalty, seed=SEED):
    """The layer with the lowest mean cross-entropy + penalty / 2 * sum of its squared weights."""
    torch.manual_seed(seed)
    layer = nn.Linear(values.shape[1], num_classes)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(layer(values), labels) + penalty / 2 * layer.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return layer.requires_grad_(False)


# %% [markdown]
# So that the same penalties suit every backbone, features are centered and divided by one number
# first, both computed from the training features alone. Then we start twice, from different random
# weights:

# %%
mean = known.values.mean(0)
scale = (known.values - mean).square().sum(1).mean().sqrt()
inputs, held_out = (known.values - mean) / scale, (valid.values - mean) / scale
first, second = (logistic_regression(inputs, known.labels, 1e-5, seed) for seed in SEEDS[:2])
same = (first(held_out).argmax(1) == second(held_out).argmax(1)).double().mean()
print(f"two starts: {same:.1%} of the answers are the same")


# %% [markdown]
# And the article's head, with one hidden layer, from the same two seeds?


# %%
def hidden_answers(seed):
    """Which class the article's head gives to each validation picture."""
    torch.manual_seed(seed)
    head = models.hidden_head(backbone.num_features, num_classes)
    batches = train.FeatureBatches(known.values, known.labels, shuffle=True, seed=seed)
    train.fit(head, batches, [(valid.values, valid.labels)])
    with torch.inference_mode():
        return head(valid.values).argmax(1)


# %%
hidden = torch.stack([hidden_answers(seed) for seed in SEEDS])
agree = (hidden[0] == hidden[1]).double().mean()
print(f"two seeds: {agree:.1%} of the answers are the same")
lesson.claim(same > 0.98, "from two starts, L-BFGS gives over 98 % of the answers alike")
lesson.claim(agree < same, "training the article's head leaves more to luck: start, order, dropout")

# %% [markdown]
# <details><summary>Check yourself: how many weights does the linear head have, and the
# article's?</summary>
#
# Features times classes, plus one bias per class; the article's has features times 512 plus 512
# times classes, plus biases.
# </details>
#
# <details><summary>Check yourself: why does L-BFGS not need a learning rate?</summary>
#
# A line search finds the length of each step. It computes the loss several times, which takes only
# milliseconds on stored features.
# </details>

# %% [markdown]
# ## How strong should the penalty be?
#
# A strong penalty makes all weights small, so that the head gives nearly the same answer for every
# picture. A weak one lets it fit every training picture, including what is accidental in it. A good
# value is usually in between, and the validation set finds it:

# %%
layers = [logistic_regression(inputs, known.labels, penalty) for penalty in PENALTIES]
fitted = [float(F.cross_entropy(layer(inputs), known.labels)) for layer in layers]
judged = [float(F.cross_entropy(layer(held_out), valid.labels)) for layer in layers]
right = [metrics.accuracy(layer(held_out), valid.labels) for layer in layers]
rows = zip([f"{penalty:.0e}" for penalty in PENALTIES], fitted, judged, right, strict=True)
lesson.table(list(rows), ["penalty", "train loss", "valid loss", "valid accuracy"])

# %% tags=["hide-input"]
shown = {"training": fitted, "validation": judged}
title = f"The lowest validation loss is at penalty {PENALTIES[int(np.argmin(judged))]:.0e}"
axes = plots.lines(PENALTIES, shown, x_label="penalty", y_label="mean loss", log="xy", title=title)
lesson.show(axes, alt="Loss over the penalty: training loss falls with it, validation loss less.")
lesson.claim(fitted == sorted(fitted, reverse=True), "training loss falls with the penalty")
lesson.claim(min(judged) < judged[0], "the strongest penalty is not the best on valid")

# %% [markdown]
# <details><summary>Check yourself: with the weakest penalty, the training loss is close to 0. Why
# is the validation loss not?</summary>
#
# The head is sure of every training picture. It is also sure of some mistakes on new ones, and a
# sure mistake costs a lot of cross-entropy.
# </details>
#
# <details><summary>Check yourself: could the training loss choose the penalty?</summary>
#
# No: it is lowest with the weakest one, whatever that does to new pictures.
# </details>
#
# The library's short form is `solvers.logistic`: the same loss, solved for several penalties with
# fewer steps, and the penalty chosen on valid.


# %%
def solve(known, valid):
    """The linear head, and which validation pictures it gets right."""
    given = (known.values, known.labels, valid.values, valid.labels)
    solution = solvers.logistic(*given, num_classes, penalties=PENALTIES)
    return solution, solution.valid_logits.argmax(1) == valid.labels


# %%
start = time.perf_counter()
solution, linear = solve(known, valid)
linear_seconds = time.perf_counter() - start
theirs = [row["valid_loss"] for row in solution.rows]
print(f"chosen: {solution.penalty:.0e}, accuracy {linear.double().mean():.3f} on valid")
apart = abs(min(judged) / theirs[int(np.argmin(judged))] - 1)
lesson.claim(apart < 0.1, "at our best penalty, the library has the same loss to within 10 %")

# %% [markdown]
# ## Does a hidden layer help?
#
# The article's head is trained with several seeds, and all are compared with the linear head on the
# same validation pictures. As in lesson 03, the interval is over seeds and pictures.

# %% tags=["hide-input"]
lesson.verdict(
    *metrics.crossed_interval((hidden == valid.labels).double() - linear.double()),
    better="The hidden layer helps.",
    worse="The hidden layer hurts: the linear head is more accurate.",
    unclear="These runs do not show a difference between the two heads.",
)

# %% [markdown]
# Where a backbone's features are good, linear boundaries between the classes may be enough, and a
# hidden layer adds little but weights that can fit accidents. Where they are not, nonlinear
# boundaries may help. Nobody knows beforehand, so measure.
#
# <details><summary>Check yourself: why are several seeds needed for the article's head, but only
# one solution of the linear head?</summary>
#
# The article's head differs from seed to seed, and a comparison with one lucky or unlucky run would
# say nothing about the next. The linear head is the same from every start.
# </details>
#
# <details><summary>Check yourself: what is left of the article's head without its ReLU?</summary>
#
# Two linear layers in a row are one linear layer, so it would be a linear head, only harder to
# train.
# </details>

# %% [markdown]
# ## Is there more in a network than its last layer?
#
# The last layer of a pretrained network has learned to answer *its* question: which of ImageNet's
# classes is it? What does not matter for that, such as the texture of a petal, may be lost on the
# way. The [feature maps](../docs/glossary.md#feature-map) of earlier layers may still hold it. A
# [forward hook](../docs/glossary.md#hook) is a function that PyTorch calls after a layer, with its
# output. Ours remembers the last maps of every size:

# %%
maps = {}


def remember(layer, inputs, output):
    """Keeps maps (N, C, H, W), the last of each size."""
    if isinstance(output, torch.Tensor) and output.ndim == 4 and output.shape[3] > 1:
        maps[output.shape[3]] = output


# %%
network = copy.deepcopy(backbone.body)
for layer in network.modules():
    layer.register_forward_hook(remember)

# %% [markdown]
# Of each map we take two numbers, its mean and its standard deviation over the picture: how much
# there is of the filter's pattern, and how unevenly. Both are standardized over the channels of
# each picture, so that neither a bright picture nor a level with large numbers outweighs the rest.


# %%
def summary(maps):
    """Maps (N, C, H, W) → features (N, 2 C)."""
    parts = [maps.mean((2, 3)), maps.std((2, 3))]
    return torch.cat([F.layer_norm(part, part.shape[1:]) for part in parts], 1)


# %%
def levels(photos):
    """Size of the maps → a summary of them, for every photo."""
    found = {}
    with torch.no_grad():
        for images, _ in data.loader(photos, preprocessing, batch_size=16):
            network(images)
            for size, latest in maps.items():
                found.setdefault(size, []).append(summary(latest))
    return {f"maps of {size} × {size}": torch.cat(parts) for size, parts in found.items()}


# %% [markdown]
# To keep this quick, the heads learn from five pictures per class.

# %%
few = splits.train.per_class(FEW)
learned, asked = levels(few), levels(splits.valid)
for found in (learned, asked):  # every level counts the same, however many maps it has
    found["all of them"] = torch.cat([x / x.shape[1] ** 0.5 for x in found.values()], 1)
learned["the last layer"] = extract(backbone, few).values
asked["the last layer"] = valid.values

# %%
labels, penalties, right = torch.from_numpy(few.labels), (1e-5, 1e-6), {}
for name, values in learned.items():
    given = (values, labels, asked[name], valid.labels)
    found = solvers.logistic(*given, num_classes, penalties=penalties)
    right[name] = found.valid_logits.argmax(1) == valid.labels

# %% tags=["hide-input"]
values = [float(found.double().mean()) for found in right.values()]
ends = [metrics.wilson_interval(int(found.sum()), len(found)) for found in right.values()]
rows = [(name, value, *end) for name, value, end in zip(right, values, ends, strict=True)]
lesson.table(rows, ["features", "accuracy on valid", "low", "high"], digits=2)
axes = plots.accuracies(list(right), values, ends)
lesson.show(axes, alt="Accuracy of a linear head on each level, on all of them, on the last layer.")

# %% tags=["hide-input"]
lesson.verdict(
    *metrics.paired_difference(right["all of them"], right["the last layer"]),
    better="All levels together are better than the last layer alone.",
    worse="All levels together are worse than the last layer alone.",
    unclear="These pictures show no clear difference between all levels and the last layer.",
)

# %% [markdown]
# The library's short form is `models.multi_level`. Its [multi-level
# features](../docs/glossary.md#multi-level-features) are summaries of the maps at the ends of the
# last [stages](../docs/glossary.md#stage), beside the features of the last layer. On all training
# pictures:

# %%
staged = models.multi_level(backbone)
staged_known, staged_valid = extract(staged, splits.train), extract(staged, splits.valid)
_, multi = solve(staged_known, staged_valid)

# %% tags=["hide-input"]
lesson.verdict(
    *metrics.paired_difference(multi, linear),
    better="Multi-level features are better than those of the last layer.",
    worse="Multi-level features are worse than those of the last layer.",
    unclear="These pictures show no clear difference to the features of the last layer.",
)

# %% [markdown]
# They cost little, since every pass computes these maps anyway. Expect them to help most where the
# new classes differ in what did not matter for the old ones.
#
# <details><summary>Check yourself: why could maps of an early layer be better features for flowers
# than for cats and dogs?</summary>
#
# Early maps respond to colors and textures. Those distinguish species of flowers; cats and dogs
# share theirs. And cats and dogs are among ImageNet's own classes, so the last layer is made for
# them.
# </details>
#
# <details><summary>Check yourself: why two numbers of each map, and not all of its
# pixels?</summary>
#
# There would be thousands, and each would say something about one place only. A flower may be
# anywhere.
# </details>

# %% [markdown]
# ## Can cached features be augmented?
#
# Cached features seem to rule out augmentation, which shows a new view in every epoch. But does the
# view have to be new every time? Two methods are in between:
#
# - **A few views**: each picture is also cached rotated, mirrored and cropped, a few times. The
#   head learns from all of them.
# - **The last block**: cache the maps that go *into* the last stage of the network, and train that
#   stage together with the head. The rest of the network still runs only once.

# %%
views = data.RandomViews(splits.train, transforms.Augmentation(preprocessing), VIEWS, seed=SEED)
pictures = [preprocessing.pixels(splits.train.image(7))]
pictures += [views.image(view * len(splits.train) + 7) for view in range(VIEWS)]
names = ["the picture", *(f"view {view + 1}" for view in range(VIEWS))]
title = "One picture and its cached views"
grid = plots.photo_grid(pictures, names, columns=len(names), title=title)
lesson.show(grid, alt="A flower, and random views of it: rotated, mirrored, cropped.")

# %%
start = time.perf_counter()
more = extract(staged, views, preprocessing=preprocessing.whole())
joined = copy.copy(staged_known)
joined.values = torch.cat([staged_known.values, more.values])
joined.labels = torch.cat([staged_known.labels, more.labels])
_, augmented = solve(joined, staged_valid)
views_seconds = time.perf_counter() - start

# %% [markdown]
# For the last block, `models.split` cuts the backbone in two. The upper part starts from its
# pretrained weights, the head from the solution that we have, and both learn with a small learning
# rate, so that the first batches do not spoil them. BatchNorm keeps its statistics: the part stays
# in `eval()`, and only its gradients are switched on.

# %%
start = time.perf_counter()
lower, upper = models.split(copy.deepcopy(backbone), preprocessing.crop)
block_known, block_valid = extract(lower, splits.train), extract(lower, splits.valid)
block = nn.Sequential(models.freeze(upper).requires_grad_(True), copy.deepcopy(solution.head))
dataset = TensorDataset(block_known.values, block_known.labels)
order = torch.Generator().manual_seed(SEED)
batches = DataLoader(dataset, batch_size=64, shuffle=True, generator=order)
held = DataLoader(TensorDataset(block_valid.values, block_valid.labels), batch_size=256)

# %%
optimizer = torch.optim.AdamW(block.requires_grad_(True).parameters(), lr=BLOCK_LR)
loss = nn.CrossEntropyLoss()
train.fit(block, batches, held, epochs=BLOCK_EPOCHS, loss=loss, optimizer=optimizer)
with torch.inference_mode():
    tuned = torch.cat([block(values).argmax(1) for values, _ in held]) == block_valid.labels
block_seconds = time.perf_counter() - start

# %% [markdown]
# All methods on one page, each compared with the linear head on the last layer. Seconds include the
# passes that a method builds on.

# %%
base = known.seconds + valid.seconds + linear_seconds
multi_seconds = staged_known.seconds + staged_valid.seconds + linear_seconds
methods = {
    "last layer": (linear, base),
    "multi-level": (multi, multi_seconds),
    f"multi-level, with {VIEWS} views": (augmented, multi_seconds + views_seconds),
    "last layer, last block trained": (tuned, base + block_seconds),
}

# %%
gains = {name: metrics.paired_difference(found, linear) for name, (found, _) in methods.items()}
rows = [
    (name, float(found.double().mean()), *([None] * 3 if found is linear else gains[name]), seconds)
    for name, (found, seconds) in methods.items()
]
columns = ["linear head on", "valid accuracy", "gain", "low", "high", "seconds"]
lesson.table(rows, columns, digits={"seconds": 1}, volatile=["seconds"])

# %% tags=["hide-input"]
shown = {name: gains[name] for name in list(methods)[1:]}
axes = plots.differences(shown, title="Gain over the linear head on the last layer, on valid")
lesson.show(axes, alt="Gains in accuracy over the last layer, with intervals, of three methods.")

# %% tags=["hide-input"]
lesson.verdict(
    *metrics.paired_difference(augmented, multi),
    better="The views help.",
    worse="The views hurt.",
    unclear="These pictures do not show whether the views help.",
)
lesson.verdict(
    *gains["last layer, last block trained"],
    better="Training the last block helps.",
    worse="Training the last block hurts.",
    unclear="These pictures do not show whether training the last block helps.",
)

# %% [markdown]
# With few pictures per class, trained layers can forget as much as they learn. With thousands of
# photos, training the last stage can be worth its time: `train.transfer(..., preset="best")` does
# it, and [how_fast](../docs/how_fast.md) says what it brings.
#
# <details><summary>Check yourself: which is cheaper, ten cached views of each picture or ten epochs
# with a new view each?</summary>
#
# For one head on a frozen backbone, they cost the same: ten passes. But cached views serve every
# further head for nothing.
# </details>
#
# <details><summary>Check yourself: why are validation pictures not augmented?</summary>
#
# Validation stands for what users will send, and they send photos, not random parts of them.
# </details>

# %% [markdown]
# ## How much of it is pretraining?
#
# Maybe any network would do, or none. A *control* is a measurement without the thing whose effect
# we want to know. Here are two, on the same pictures: the same network with *random* weights,
# frozen; and no network at all, but the mean and standard deviation of the three color channels.

# %%
random_network = models.freeze(models.backbone(BACKBONE, "none", seed=SEED))
_, by_random = solve(extract(random_network, splits.train), extract(random_network, splits.valid))


def colors(photos):
    """Mean and standard deviation of red, green and blue (N, 6)."""
    pixels = [preprocessing.pixels(photos.image(i)).reshape(-1, 3) for i in range(len(photos))]
    return torch.tensor(np.array([[*p.mean(0), *p.std(0)] for p in pixels]), dtype=torch.float32)


# %%
given = (colors(splits.train), known.labels, colors(splits.valid), valid.labels)
by_color = solvers.logistic(*given, num_classes).valid_logits.argmax(1) == valid.labels
controls = {"pretrained": linear, "random weights": by_random, "six color numbers": by_color}
rows = [(name, int(right.sum()), len(right)) for name, right in controls.items()]
rows = [(name, n / total, *metrics.wilson_interval(n, total)) for name, n, total in rows]
lesson.table(rows, ["linear head on", "valid accuracy", "low", "high"], digits=2)

# %% tags=["hide-input"]
gain = metrics.paired_difference(linear, by_random)
lesson.claim(gain[1] > 0.1, "pretraining is worth over 10 points")
lesson.claim(rows[1][2] > 2 / num_classes, "random filters are far better than guessing")
lesson.verdict(
    *metrics.paired_difference(by_random, by_color),
    better="Random filters are better than six numbers about the colors.",
    worse="Random filters are worse than six numbers about the colors.",
    unclear="Random filters are neither clearly better nor worse than six color numbers.",
)

# %% [markdown]
# Random filters are not useless: each responds to some mixture of colors and edges, and a head can
# learn to read hundreds of such responses. Whoever reports a success of frozen features should
# therefore say what random ones reach.
#
# The small backbone was trained on drawn patterns, with the answers of an ImageNet network as its
# teacher ([distillation](../docs/glossary.md#distillation)). ImageNet has a daisy and an orchid
# among its thousand classes, so the teacher has seen some flowers, but it never had to distinguish
# a hundred species.
#
# <details><summary>Check yourself: random features do better than guessing. Has the random network
# learned anything?</summary>
#
# No. Only the head has learned, from whatever the random filters pass on.
# </details>
#
# <details><summary>Check yourself: why is it worth knowing what six color numbers reach?</summary>
#
# What they reach takes no network at all.
# </details>

# %% [markdown]
# ## Does it hold?
#
# The features whose gain has the highest lower bound on valid are used for the test set, once. The
# head is solved again on train and valid together, since more pictures usually make a better head.
# The opponent is the article's head. It learns from train alone, since it needs valid to choose its
# epoch; part of a difference may come from that.

# %%
candidates = {
    "last layer": (backbone, known, valid),
    "multi-level": (staged, staged_known, staged_valid),
    f"multi-level, with {VIEWS} views": (staged, joined, staged_valid),
}
chosen = max(candidates, key=lambda name: gains[name][1])
print("→ chosen on valid:", chosen)

# %%
net, learn, choose = candidates[chosen]
given = (learn.values, learn.labels, choose.values, choose.labels)
final = solvers.logistic(*given, num_classes, penalties=PENALTIES, refit=True)
article = train.transfer(splits, backbone, head="hidden", seed=SEED, precision="fp32")
test, last = extract(net, splits.test), extract(backbone, splits.test)

# %%
with torch.inference_mode():
    ours = final.head(test.values).argmax(1) == test.labels
    theirs = article.head(last.values).argmax(1) == test.labels
scores = [
    (float(hits.double().mean()), *metrics.wilson_interval(int(hits.sum()), len(hits)))
    for hits in (ours, theirs)
]

# %% tags=["hide-input"]
shape = "{:.3f} ({:.3f} to {:.3f})"
lesson.headline(
    f"test accuracy on {len(splits.test)} new pictures of {num_classes} species, 95 % intervals: "
    f"linear head ({chosen}) {shape.format(*scores[0])}, article's head {shape.format(*scores[1])}"
)

# %% tags=["hide-input"]
lesson.verdict(
    *metrics.paired_difference(ours, theirs),
    better="On the test set, our head is more accurate than the article's.",
    worse="On the test set, the article's head is more accurate than ours.",
    unclear="The test set does not show a difference between the two heads.",
)

# %%
lesson.measured("05_heads")

# %% [markdown]
# The intervals of two accuracies may overlap although one classifier is better: on the same
# pictures, compare in pairs, as above. The library's short form of this lesson, without the views,
# is `train.transfer(splits, BACKBONE)`.

# %% [markdown]
# ## What can go wrong
#
# - **A penalty chosen on the test set.** Its accuracy there will not hold up on new photos.
# - **Features scaled with all pictures.** Mean and scale come from train alone; a test picture must
#   not change them.
# - **Levels of different size put side by side.** The one with the largest numbers outweighs the
#   rest. Standardize.
# - **Hooks that stay.** A hook keeps the last maps in memory. Remove it (`handle.remove()`), or use
#   a copy of the network, as we did.
# - **Views in the validation set.** Only training pictures are augmented.
# - **A trained block with moving statistics.** Gradients on, mode `eval()`.
# - **The best of many methods.** Its gain on valid flatters it. Measure it on the test set, once.

# %% [markdown]
# ## Recap
#
# - A linear head is logistic regression. With a penalty, its loss has one minimum, so it is solved,
#   not trained.
# - A weaker penalty fits the training pictures better; the validation set says how weak it may be.
# - Whether a hidden layer helps has to be measured: over seeds, in pairs.
# - Means and standard deviations of earlier maps, standardized, are features too.
# - Cached features can be augmented: a few views, or the last block trained on cached maps.
# - Random weights, frozen, are the control that says what pretraining is worth.

# %% [markdown]
# ## Exercises
#
# ### Exercise 05.1: what does a weight say? (warm-up)
# Take one species. Which feature has the largest weight for it? Look at the eight validation
# pictures in which this feature is largest. Which species are they, and what do they share?
#
# <details><summary>Hint</summary>
#
# `weight = solution.head[0].weight` is (classes, features); `weight[label].argmax()` is a feature,
# `valid.values[:, feature].topk(8)` are pictures.
# </details>
#
# ### Exercise 05.2: how few pictures are enough?
# Solve the linear head with 1, 2, 5 and all training pictures of each class, five draws each. Plot
# accuracy against pictures. Which step helps most? Why is no new pass through the network needed?
#
# <details><summary>Hint</summary>
#
# `splits.train.per_class(count, seed)` draws pictures; you need the same rows of `known.values`.
# Draw positions instead: permute them, and take the first `count` of each label.
# </details>
#
# ### Exercise 05.3: noise instead of views (challenge)
# Multiply every feature by `1 + strength * noise`, with new noise in every batch, and train the
# article's head with strengths 0, 0.1, 0.3 and 1, three seeds each. Does any strength help?
#
# <details><summary>Starter</summary>
#
# ```python
# class NoisyBatches(train.FeatureBatches):
#     strength = 0.0
#
#     def __iter__(self):
#         for values, labels in super().__iter__():
#             yield ..., labels
# ```
# </details>
#
# ### Exercise 05.4: unequal classes
# Of every second species, let the head see only two training pictures. What becomes of the accuracy
# on these species, and on the others? Then give the loss weights that make all classes count alike.
#
# <details><summary>Hint</summary>
#
# `data.class_weights(labels)` computes the weights; `F.cross_entropy(…, weight=…)` takes them. Use
# `logistic_regression` from above.
# </details>
#
# ### Exercise 05.5: your own photos
# With photos of your own in `photos/<class>/`, compare the last layer with multi-level features, in
# pairs, on the validation photos. What would you use?
#
# <details><summary>Starter</summary>
#
# ```python
# splits = data.image_folder("photos")
# ```
# </details>
#
# Solutions: [solutions/05_heads](solutions/05_heads.ipynb).
#
# Previous: [04_flowers](04_flowers.ipynb) · Next:
# [06_first_five_last_five](06_first_five_last_five.ipynb)

# %% [markdown]
# ## Sources
#
# - S. Kornblith, J. Shlens, Q. V. Le: [Do better ImageNet models transfer
#   better?](https://arxiv.org/abs/1805.08974), CVPR 2019. Logistic regression on frozen features,
#   solved with L-BFGS, as the measure of transfer.
# - J. Nocedal, S. J. Wright: "Numerical optimization", 2nd edition, 2006. L-BFGS, chapter 7.
# - U. Evci et al.: [Head2Toe: utilizing intermediate representations for better transfer
#   learning](https://arxiv.org/abs/2201.03529), ICML 2022. Features of all layers.
# - M.-E. Nilsback, A. Zisserman: [Automated flower classification over a large number of
#   classes](https://doi.org/10.1109/ICVGIP.2008.47), ICVGIP 2008. The photos.
# - A. Agresti, Y. Min: [Simple improved confidence intervals for comparing matched
#   proportions](https://doi.org/10.1002/sim.1781), Statistics in Medicine 24, 2005. The interval of
#   paired differences.

# %% tags=["nbval-ignore-output"]
lesson.footer("fp32")
