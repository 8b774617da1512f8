# %% [markdown]
# # Can a network reuse on five classes what it learned on five others?
#
# You will train a small network on five kinds of pictures, freeze its feature layers, and teach it
# five other kinds, which takes less time than training anew and gives better answers.
#
# | | |
# |---|---|
# | **You will learn** | the five things below |
# | **You should know** | Python; what a loss, a gradient step and a convolution are |
# | **Data** | garden world: ten kinds of drawn things; real world: CIFAR-10 photos |
# | **Time** | garden world: under a minute on two processor cores; real world: about as long |
#
# - How to divide a network into feature layers and classification layers.
# - What freezing saves in each training step, and what keeping the features saves beyond that.
# - How to compare two ways of training fairly.
# - What frozen filters respond to.
# - When transfer stops helping.

# %%
import copy
import time

import numpy as np
import torch
from torch import nn

from flowerlib import data, lesson, metrics, models, plots, train, transforms

# %% [markdown]
# Lessons 2 and 3 took networks that had been trained elsewhere. Here nothing is borrowed: both
# trainings happen in this notebook, so you see what a transfer costs and what it brings. All sizes
# stand in one cell.

# %% tags=["settings"]
FILTERS, HIDDEN = 64, 128  # as in the source
DROPOUT = 0.25
FIRST_PER_CLASS, FIRST_EPOCHS = 200, 2  # training pictures of each of the first five classes
PER_CLASS = 30  # and of each of the last five
EPOCHS = {"garden": 3, "real": 4}
MANY_PER_CLASS = 100  # for the question when transfer stops helping
BATCH, LR = 16, 0.001
DRAWN = 250, 20, 50  # garden world: pictures of each class in train, valid, test
SEEDS = (0, 1, 2, 3)

# %%
splits = data.cifar10(per_class=DRAWN)
epochs = EPOCHS[splits.world]
first = splits.of_classes(splits.class_names[:5])
last = splits.of_classes(splits.class_names[5:])
lesson.banner(splits)

# %% [markdown]
# ## Which classes come first?
#
# The ten classes are divided in the order of their names' list. No picture and no class is on both
# sides. What both sides may have in common is smaller than a class: edges, corners, wheels, legs,
# the sea, the sky.

# %%
rows = [("first five", ", ".join(first.class_names)), ("last five", ", ".join(last.class_names))]
lesson.table(rows, ["side", "classes"])

# %%
shown = [int(np.flatnonzero(splits.train.labels == label)[0]) for label in range(10)]
grid = plots.photo_grid(
    [splits.train.image(i) for i in shown],
    [splits.train.class_name(i) for i in shown],
    columns=5,
    title="Above the classes that come first, below those that come last",
)
lesson.show(grid, alt="Ten small pictures with the names of their classes, in two rows of five.")

# %% [markdown]
# Pictures of 32 by 32 pixels take little memory. So we turn each set into a single tensor, with
# values centered around zero. `per_class` draws a few pictures of each class at random.

# %%
preprocessing = transforms.Preprocessing(resize=32, crop=32, mean=(0.5,) * 3, std=(0.25,) * 3)


def tensors(part):
    """All pictures of a set, (N, 3, 32, 32), and their labels, (N,)."""
    return next(iter(data.loader(part, preprocessing, batch_size=len(part))))


# %%
first_train = tensors(first.train.per_class(FIRST_PER_CLASS))
first_valid, last_valid = tensors(first.valid), tensors(last.valid)
print(f"to learn from: {len(first_train[0])} pictures of {', '.join(first.class_names)}")

# %% [markdown]
# ## What is inside the source's network?
#
# The source of this lesson is a Keras example on CIFAR-10. It writes a network as two lists of
# layers, and that is its best idea: what looks at the picture is apart from what names it.

# %% [markdown] tags=["source"]
# | | the source |
# |---|---|
# | feature layers | two convolutions of 64 filters, 3 by 3, each with ReLU; pooling by 2; dropout |
# | classification layers | a dense layer of 128 units with ReLU; one unit for each class, softmax |
# | first training | all layers, on the first five classes |
# | second training | feature layers frozen; the others start anew, on the last five classes |
# | slip | a dropout rate of `25`, where `0.25` was meant |

# %% [markdown]
# A rate is the share of values that dropout sets to zero, so 25 has no meaning. Keras 2 cut such a
# rate down to 1 without a word, and since it applied dropout only for rates *below* 1, it applied
# none: a network is then trained without the layer that stands in its list. Torch refuses:

# %%
try:
    nn.Dropout(25)
    refusal = ""
except ValueError as problem:
    refusal = str(problem)
print(refusal)
lesson.claim("between 0 and 1" in refusal, "torch refuses a dropout rate of 25")

# %% [markdown]
# A program that stops is kinder than one that carries on. Here are the two lists in torch, with the
# rate that was meant. The softmax of the source is missing on purpose: torch's cross-entropy
# contains it.

# %%
NUM_FEATURES = FILTERS * 14 * 14


def feature_layers():
    """Images (N, 3, 32, 32) → features (N, FILTERS * 14 * 14)."""
    return nn.Sequential(
        nn.Conv2d(3, FILTERS, 3), nn.ReLU(),  # (N, FILTERS, 30, 30): no padding
        nn.Conv2d(FILTERS, FILTERS, 3), nn.ReLU(),  # (N, FILTERS, 28, 28)
        nn.MaxPool2d(2), nn.Dropout(DROPOUT), nn.Flatten(),  # (N, FILTERS * 14 * 14)
    )  # fmt: skip


def classification_layers(num_classes):
    """Features (N, FILTERS * 14 * 14) → logits (N, num_classes)."""
    return nn.Sequential(
        nn.Linear(NUM_FEATURES, HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT),
        nn.Linear(HIDDEN, num_classes),
    )  # fmt: skip


# %% [markdown]
# Which half is the larger one? That depends on what you count. A filter has few weights, but it is
# applied at every place of the picture. A weight of a dense layer is used once.

# %%
first_filters, second_filters = 3 * 9 * FILTERS, FILTERS * 9 * FILTERS
dense = NUM_FEATURES * HIDDEN + HIDDEN * 5
work = first_filters * 30 * 30 + second_filters * 28 * 28  # multiplications for one picture
rows = [
    {"layers": "feature layers", "weights": first_filters + second_filters, "products": work},
    {"layers": "classification layers", "weights": dense, "products": dense},
]
lesson.table(rows)

# %%
share = (first_filters + second_filters) / (first_filters + second_filters + dense)
lesson.claim(share < 0.03, "the feature layers hold under 3 % of the weights")
lesson.claim(work / (work + dense) > 0.9, "and do over 90 % of the multiplications")

# %% [markdown]
# So feature layers are small to store and expensive to use. That is what makes it attractive to
# leave them alone.
#
# The training loop is the usual one. It measures accuracy on the validation pictures after every
# epoch, and it counts only the seconds of training.


# %%
def learn(network, pictures, valid, epochs, seed):
    """Trains in place with Adam; returns a row with accuracy and seconds for every epoch."""
    torch.manual_seed(seed)  # of dropout; the batches have their own
    batches = train.FeatureBatches(*pictures, BATCH, shuffle=True, seed=seed)
    optimizer = torch.optim.Adam(models.trainable_parameters(network), lr=LR, fused=True)
    rows = []
    for epoch in range(1, epochs + 1):
        start = time.perf_counter()
        network.train()
        for inputs, labels in batches:
            loss = nn.functional.cross_entropy(network(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        seconds = time.perf_counter() - start
        accuracy = float(right(network, valid).double().mean())
        rows.append({"epoch": epoch, "accuracy": accuracy, "seconds": seconds})
    return rows


# %%
@torch.no_grad()
def right(network, pictures):
    """Whether the network is right about each picture, (N,) booleans; dropout is off."""
    network.eval()
    batches = train.FeatureBatches(*pictures, 50, shuffle=False)
    return torch.cat([network(inputs).argmax(1) == labels for inputs, labels in batches])


# %% [markdown]
# The first training, on the first five classes:

# %%
torch.manual_seed(0)
features = feature_layers()
network = nn.Sequential(features, classification_layers(5))
first_rows = learn(network, first_train, first_valid, FIRST_EPOCHS, seed=0)
lesson.table(first_rows, volatile=["seconds"])
lesson.claim(first_rows[-1]["accuracy"] > 0.4, "over twice as many right as by guessing (0.2)")

# %% [markdown]
# ## What does freezing change?
#
# `models.freeze` switches gradients off and keeps the layers in `eval()` mode, also when the
# network around them is set to train. With the second half comes a small surprise: the dropout in
# the feature layers is off from now on. So the same picture gives the same features every time.

# %%
models.freeze(features)
network = nn.Sequential(features, classification_layers(5)).train()
trained = sum(p.numel() for p in models.trainable_parameters(network))
print(f"{trained:,} of {sum(p.numel() for p in network.parameters()):,} weights are still trained")
once, twice = features(last_valid[0][:8]), features(last_valid[0][:8])
lesson.claim(torch.equal(once, twice), "frozen layers give the same features every time")

# %% [markdown]
# Most weights are still trained, and yet a step costs much less. Backpropagation goes from the loss
# down to the lowest layer that learns, and stops there. Nothing has to go back through the
# convolutions, where the work is; they only compute forward.
#
# And even that is done again in every epoch, with the same result. The remedy is known from
# lesson 3: compute the features once, keep them, train on them. Three ways, then. Each starts from
# the same classification layers and sees the same few pictures in the same order.


# %%
def keep(features, pictures):
    """Features of all pictures in place of the pictures, with the same labels."""
    with torch.no_grad():
        return torch.cat([features(part) for part in pictures[0].split(50)]), pictures[1]


# %%
kept_valid = keep(features, last_valid)
alone, together = features(last_valid[0][:BATCH]), kept_valid[0][:BATCH]
error = ((alone - together).norm() / alone.norm()).item()
lesson.claim(error < 1e-5, "kept features equal fresh ones up to rounding, 1 part in 100,000")


# %%
def three_ways(features, seed, per_class):
    """Rows of each way to learn the last five classes, and the two networks that came of it."""
    pictures = tensors(last.train.per_class(per_class, seed=seed))
    torch.manual_seed(seed)
    head = classification_layers(5)
    scratch = nn.Sequential(feature_layers(), copy.deepcopy(head))  # the same start for all
    frozen = nn.Sequential(features, copy.deepcopy(head))
    start = time.perf_counter()
    kept = keep(features, pictures)
    seconds = time.perf_counter() - start
    rows = {
        "from scratch": learn(scratch, pictures, last_valid, epochs, seed),
        "frozen": learn(frozen, pictures, last_valid, epochs, seed),
        "frozen, kept": learn(head, kept, kept_valid, epochs, seed),
    }
    rows["frozen, kept"][0]["seconds"] += seconds  # the one pass belongs to the first epoch
    return rows, scratch, nn.Sequential(features, head)


# %% [markdown]
# One seed could be lucky. So the whole comparison is repeated with other pictures, another start
# and another order. The feature layers stay the same in all repetitions: they are what we reuse.

# %%
runs = [three_ways(features, seed, PER_CLASS) for seed in SEEDS]
ways = list(runs[0][0])
# accuracy and seconds[way]: (number of seeds, epochs)
accuracy = {w: np.array([[row["accuracy"] for row in run[0][w]] for run in runs]) for w in ways}
seconds = {w: np.array([[row["seconds"] for row in run[0][w]] for run in runs]) for w in ways}

# %%
rows = [
    {
        "way": way,
        "after epoch 1": accuracy[way][:, 0].mean(),
        f"after epoch {epochs}": accuracy[way][:, -1].mean(),
        "seconds an epoch": seconds[way].mean(),
        "seconds in all": seconds[way].sum(1).mean(),
    }
    for way in ways
]
lesson.table(rows, volatile=["seconds an epoch", "seconds in all"])

# %%
apart = np.abs(accuracy["frozen"].mean(0) - accuracy["frozen, kept"].mean(0)).max()
epoch_cost = {way: np.median(seconds[way]) for way in ways}
total = {way: seconds[way].sum() for way in ways}
lesson.claim(apart < 0.02, "frozen and kept: mean accuracies agree to 0.02 after every epoch")
lesson.claim(epoch_cost["frozen"] < epoch_cost["from scratch"], "a frozen epoch takes less time")
lesson.claim(total["frozen"] < total["from scratch"], "and so do all epochs together")
lesson.claim(2 * total["frozen, kept"] < total["from scratch"], "keeping: under half the time")
first_cost, new_cost = sum(row["seconds"] for row in first_rows), seconds["from scratch"].sum(1)
lesson.claim(first_cost > new_cost.mean(), "the first training took longer than a new start")

# %% [markdown]
# The two frozen ways are one method at two prices; what differs is rounding in the last digits.
# From here on we use the cheaper one.
#
# One price is missing in this table: the first training. It took longer than a new start. It is
# paid once, and it is worth paying if the features are used again, or if somebody else has paid.

# %% [markdown]
# ## Does transfer beat starting anew?
#
# A fair comparison changes one thing. Both ways have the same pictures, epochs, batch order, start
# of the classification layers, learning rate. So for every seed we may subtract one accuracy from
# the other, and ask for the interval of the *difference*. What both ways have in common cancels.

# %%
gain = accuracy["frozen, kept"] - accuracy["from scratch"]  # (number of seeds, epochs)
rows = []
for epoch in range(epochs):
    mean, low, high = metrics.mean_interval(gain[:, epoch].tolist())
    rows.append({"epoch": epoch + 1, "mean gain": mean, "low": low, "high": high})
lesson.table(rows, caption=f"Gain by transfer over {len(SEEDS)} seeds, with 95 % interval")

# %%
axes = plots.figure(9.0, 3.5).subplots(1, 2, sharey=True)
styles = zip(ways, ("s-", "^:", "o-"), (plots.ORANGE, plots.GRAY, plots.BLUE), strict=True)
for way, marker, color in styles:
    spent, mean = seconds[way].cumsum(1).mean(0), accuracy[way].mean(0)
    axes[0].plot(range(1, epochs + 1), mean, marker, color=color, label=way)
    axes[1].plot(spent, mean, marker, color=color)
axes[0].set(xlabel="epoch", ylabel="accuracy, validation set", xticks=range(1, epochs + 1))
axes[1].set(xlabel="seconds of training", xlim=(0, None))
axes[0].set_title("At the same epoch, frozen is ahead", loc="left", fontsize=11)
axes[1].set_title("At the same second, even more so", loc="left", fontsize=11)
axes[0].legend(frameon=False)
lesson.show(axes, alt="Accuracy by epoch and by seconds: frozen layers lie above scratch in both.")

# %%
overall = metrics.mean_interval(gain.mean(1).tolist())
means = gain.mean(0)
lesson.claim((means > 0).all(), "after every epoch, frozen layers are ahead, in the mean of seeds")
lesson.claim(overall[1] > 0, "averaged over the epochs, the interval of the gain is above zero")
lesson.claim(means[-1] < means[0], "the lead is smaller after the last epoch than after the first")

# %% [markdown]
# The lead is largest at the start. A new network has to find out what an edge is while it learns
# what to do with edges; the frozen one has that behind it. Then the new network comes closer. In
# this many epochs the curves do not meet; Exercise 06.3 follows them further.

# %% [markdown]
# ## What do the frozen layers see?
#
# A filter of the first layer has 3 by 3 weights for each of red, green and blue. So it can be shown
# as a tiny picture: gray is zero, brighter is positive, darker negative. Below each other: the
# filters before any training, and after the first one.

# %%
torch.manual_seed(0)
untrained = feature_layers()  # the same seed, so the same start as `features` had
tiles = []
for layers in (untrained, features):
    weights = layers[0].weight.detach()[:32]  # (32, 3, 3, 3)
    scale = features[0].weight.detach().abs().max()  # one scale for both
    tiles += list((0.5 + 0.5 * weights / scale).permute(0, 2, 3, 1).clamp(0, 1).numpy())

# %%
made = plots.figure(9.0, 2.9)
for axis, tile in zip(made.subplots(4, 16).ravel(), tiles, strict=True):
    axis.imshow(tile)
    axis.set_axis_off()
made.suptitle(
    "Filters of the first layer, before (upper two rows) and after training: little changed",
    fontsize=11, x=0.01, ha="left",
)  # fmt: skip
lesson.show(made, alt="Two times 32 colored tiles of 3 by 3: the trained ones resemble the others.")

# %%
moved = (features[0].weight - untrained[0].weight).norm() / untrained[0].weight.norm()
moved_second = (features[2].weight - untrained[2].weight).norm() / untrained[2].weight.norm()
rows = [("first", moved.item()), ("second", moved_second.item())]
lesson.table(rows, ["convolution", "change, relative to the start"])
lesson.claim(moved < 0.3, "the first convolution moved by less than 30 % of its size")
lesson.claim(moved_second > 2 * moved, "the second one moved over twice as far")

# %% [markdown]
# Do you see edges? Hardly: filters this small look like the random start that they came from, and
# the first layer moved least. Training changed the second one more, and its filters, 64 channels
# deep, cannot be shown as colors. So look at what comes out: let one picture pass. Each tile below
# is one filter's answer after the second convolution, bright where it responds.

# %%
picture = last_valid[0][:1]
with torch.no_grad():
    maps = features[:4](picture)[0]  # (FILTERS, 28, 28)
strongest = maps.flatten(1).std(1).argsort(descending=True)[:11]
tiles = [preprocessing.undo(picture[0])] + [maps[k] / maps[k].max() for k in strongest]
names = [last.class_names[int(last_valid[1][0])]] + [f"filter {int(k)}" for k in strongest]
grid = plots.photo_grid(tiles, names, title="The liveliest answers mark edges and surfaces")
lesson.show(grid, alt="A picture and eleven maps of where filters of the second layer respond.")

# %% [markdown]
# The network never saw this class. Yet outlines, bright and dark surfaces come apart, and the
# classification layers can build on that. Edges and surfaces belong to no class, so they can move.

# %% [markdown]
# ## When does transfer not help?
#
# Two doubts. First, are these features good because of what the first training taught, or would any
# do? We train the same layers again, equally long, on worse lessons: on two classes only, and on
# all five with *shuffled* labels, where there is nothing to learn but by heart. Random layers,
# frozen without any training, stand beside them.


# %%
def pretrained(pictures, num_classes, epochs):
    """Frozen feature layers after a first training on these pictures."""
    torch.manual_seed(0)
    layers = feature_layers()
    network = nn.Sequential(layers, classification_layers(num_classes))
    few = [tensor[:50] for tensor in pictures]  # measured after every epoch; not looked at
    learn(network, pictures, few, epochs, seed=0)
    return models.freeze(layers)


# %%
pair = tensors(first.train.of_classes(first.class_names[:2]).per_class(FIRST_PER_CLASS))
mixed = torch.randperm(len(first_train[1]), generator=torch.Generator().manual_seed(0))
teachers = {
    "two classes": pretrained(pair, 2, FIRST_EPOCHS * 5 // 2),  # as many steps
    "five, labels shuffled": pretrained((first_train[0], first_train[1][mixed]), 5, FIRST_EPOCHS),
    "none: random": models.freeze(untrained),
}


# %%
def transferred(layers):
    """Accuracy on the last five classes, mean over the epochs, for every seed."""
    valid, means = keep(layers, last_valid), []
    for seed in SEEDS:
        torch.manual_seed(seed)
        head = classification_layers(5)
        pictures = keep(layers, tensors(last.train.per_class(PER_CLASS, seed=seed)))
        rows = learn(head, pictures, valid, epochs, seed)
        means.append(float(np.mean([row["accuracy"] for row in rows])))
    return means


# %%
reached = {"five classes": accuracy["frozen, kept"].mean(1).tolist()}
reached |= {name: transferred(layers) for name, layers in teachers.items()}
reached["from scratch, no transfer"] = accuracy["from scratch"].mean(1).tolist()
intervals = {name: metrics.mean_interval(values) for name, values in reached.items()}
axes = plots.accuracies(
    list(reached), [i[0] for i in intervals.values()], [i[1:] for i in intervals.values()]
)
axes.set_title("Features are worth what they were taught", loc="left")
axes.set_xlabel("accuracy on the last five classes, mean over epochs and seeds")
lesson.show(axes, alt="Accuracies with intervals: features from five classes are ahead of others.")

# %%
means = {name: float(np.mean(values)) for name, values in reached.items()}
five, two, shuffled, plain, _ = means.values()
lesson.claim(five > two, "features from two classes are worth less than those from five")
lesson.claim(five > max(shuffled, plain) + 0.05, "shuffled and random: over 5 points less")
lesson.claim(shuffled < plain + 0.02, "shuffled labels teach nothing that random layers lack")

# %% [markdown]
# Features are no better than the lesson that made them. Two classes teach less than five; how much
# less may depend on which two. Shuffled labels ask for nothing that can be seen, and their features
# are not worth freezing. Somebody who only looks at "pretrained: yes" would not notice.
#
# Second, does transfer still help when pictures are no longer scarce? The same comparison with more
# pictures of each class, in as many epochs, so with more steps too:


# %%
def with_many(seed):
    """Gain of kept features over a new start after every epoch, with more pictures."""
    pictures = tensors(last.train.per_class(MANY_PER_CLASS, seed=seed))
    torch.manual_seed(seed)
    head = classification_layers(5)
    scratch = nn.Sequential(feature_layers(), copy.deepcopy(head))
    kept = learn(head, keep(features, pictures), kept_valid, epochs, seed)
    new = learn(scratch, pictures, last_valid, epochs, seed)
    return [ours["accuracy"] - theirs["accuracy"] for ours, theirs in zip(kept, new, strict=True)]


# %%
many = np.array([with_many(seed) for seed in SEEDS[:2]])
few = gain[:2]  # of the same seeds
rows = [(PER_CLASS, *few.mean(0)), (MANY_PER_CLASS, *many.mean(0))]
lesson.table(rows, ["pictures a class", *[f"gain, epoch {e}" for e in range(1, epochs + 1)]])
lesson.claim(many.mean() < few.mean(), "with more pictures, the gain over the epochs is smaller")

# %% [markdown]
# It is smaller because a new network can now find good filters itself. Transfer is a remedy for too
# few pictures or too little time. Where both are plenty, frozen layers can even become a limit:
# they cannot learn what the first five classes did not need.

# %% [markdown]
# ## Does it hold?
#
# All comparisons so far used the validation pictures. The test pictures are opened here, once, with
# the networks that the seeds left behind after their last epoch: no epoch was chosen. Both networks
# of a seed answer the same test pictures, so we may again subtract.

# %%
last_test = tensors(last.test)
transfer = [float(right(network, last_test).double().mean()) for _, _, network in runs]
scratch = [float(right(network, last_test).double().mean()) for _, network, _ in runs]
gains = [ours - theirs for ours, theirs in zip(transfer, scratch, strict=True)]

# %%
names, groups = ("frozen features", "from scratch", "gain"), (transfer, scratch, gains)
found = {name: metrics.mean_interval(group) for name, group in zip(names, groups, strict=True)}
rows = [(name, *found[name]) for name in names]
lesson.table(rows, ["test accuracy", "mean of seeds", "low", "high"])

# %%
told = {name: f"{mean:.2f} ({low:.2f} to {high:.2f})" for name, (mean, low, high) in found.items()}
lesson.headline(
    f"last five classes from {PER_CLASS} pictures each, {epochs} epochs, test accuracy over "
    f"{len(SEEDS)} seeds with 95 % intervals: frozen features {told['frozen features']}, "
    f"from scratch {told['from scratch']}, gain {told['gain']}"
)
lesson.claim(min(gains) > 0, "with every seed, frozen features are ahead on the test pictures")
lesson.claim(found["gain"][1] > 0, "the interval of the gain lies above zero")

# %% [markdown]
# These intervals speak of other trainings on other few pictures, judged by the same test set. They
# do not say how well the *first* training would repeat: there was only one. Exercise 06.2 repeats
# it the other way round.
#
# The same lesson, run on the real photos of CIFAR-10:

# %%
lesson.measured("06_first_five_last_five")

# %% [markdown]
# ## What can go wrong
#
# - **A number in the wrong unit.** A rate of 25 was ignored without a word. Look at what a library
#   does with nonsense, or use one that refuses it.
# - **Dropout that stays on in frozen layers.** Then kept features are not what the network would
#   compute, and the frozen half is noisy for no gain. `models.freeze` keeps it in `eval()`.
# - **An optimizer from before.** Adam remembers. If it still holds the frozen weights with old
#   gradients, its next step moves them. Make a new optimizer with the weights that shall learn.
# - **A time without its beginning.** "Trained in a second" leaves out the first training. Say who
#   paid for it.
# - **A budget that decides.** With one epoch frozen features win by far, with many they may not win
#   at all. Show the curve, not one point of it.
# - **A new start with a bad learning rate.** Training from scratch is a fair opponent only if its
#   settings suit it. Here both ways use one rate; try others before you believe us.

# %% [markdown]
# ## Recap
#
# - How to divide a network into feature layers and classification layers. *Two lists: the small one
#   does most of the work.*
# - What freezing saves in each training step, and what keeping the features saves beyond that.
#   *The way back through the convolutions; then the way forward, in all epochs but the first.*
# - How to compare two ways of training fairly. *Change one thing, repeat with seeds, subtract by
#   seed, give the interval of the difference, show the whole curve.*
# - What frozen filters respond to. *Edges and surfaces, which other classes have as well.*
# - When transfer stops helping. *When the first training taught nothing; and the gain shrinks as
#   pictures and epochs grow.*

# %% [markdown]
# ## Exercises
#
# ### Exercise 06.1: what does a filter cost? (warm-up)
# Compute weights and multiplications of the feature layers for 16, 32, 64 and 128 filters. When the
# number of filters doubles, what grows by two and what by four? Check the weights with torch.
#
# ### Exercise 06.2: does it work in the other direction?
# Train on the last five classes first and transfer to the first five. Is there still a gain, in the
# mean over the epochs?
#
# ### Exercise 06.3: do the curves meet?
# Go on for four times as many epochs, with two seeds. Draw both curves and the gap. What becomes of
# the lead?
#
# ### Exercise 06.4: start from there, but do not stay there (stretch)
# Copy the pretrained feature layers and let them learn too, with a smaller learning rate than the
# classification layers. Compare with frozen layers and with a new start, in accuracy and in time.
# When would you pay for it?
#
# Solutions: [solutions/06_first_five_last_five](solutions/06_first_five_last_five.ipynb).
#
# Previous: [04_flowers](04_flowers.ipynb) · Next: [07_bed_or_sofa](07_bed_or_sofa.ipynb)

# %% [markdown]
# ## Sources
#
# - The recipe is a Keras example of transfer between the halves of CIFAR-10's classes, itself after
#   the example `mnist_transfer_cnn` of Keras, which does the same with handwritten digits.
# - A. Krizhevsky: "Learning multiple layers of features from tiny images", 2009. The photos.
# - J. Yosinski, J. Clune, Y. Bengio, H. Lipson: "How transferable are features in deep neural
#   networks?", NIPS 2014. Halves of ImageNet's classes, layer by layer; the model of this lesson.
# - N. Srivastava et al.: "Dropout: a simple way to prevent neural networks from overfitting", JMLR
#   15, 2014.
# - Student: "The probable error of a mean", Biometrika 6, 1908. The interval over seeds.

# %% tags=["nbval-ignore-output"]
lesson.footer("fp32")
