# %% [markdown]
# # Can a network reuse on five classes what it learned on five others?
#
# You will train a small network on five kinds of pictures, freeze its feature layers, teach it five
# other kinds, and measure what pretraining and freezing each contribute.
#
# | | |
# |---|---|
# | **You will learn** | the five things below |
# | **You should know** | the training loop, freezing and the head (lessons 01 and 02) |
# | **Data** | ten kinds of drawn things, or CIFAR-10 photos |
# | **Time** | 40 minutes to read; about 55 seconds to run on two processor cores |
#
# - How to divide a network into feature layers and classification layers.
# - What freezing saves in each training step, and what computing features only once saves.
# - How to separate the effect of pretraining from the effect of freezing.
# - What frozen filters respond to, and why looking at them is not enough.
# - When transfer stops helping.

# %%
import copy
import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from flowerlib import data, features, lesson, metrics, models, plots, transforms

# %% [markdown]
# Here nothing is borrowed: both trainings happen in this notebook, so you see what transfer costs
# and what it gains. All settings are in one cell.

# %% tags=["settings"]
SEED = 0
SEEDS = range(SEED, SEED + 4)  # repetitions of everything, the first training included
FILTERS, HIDDEN, DROPOUT = 16, 128, 0.25
FIRST_PER_CLASS, FIRST_EPOCHS = 200, 2  # training pictures of each of the first five classes
PER_CLASS, EPOCHS = 30, 3  # and of each of the last five
MANY_PER_CLASS = 90  # for the question when transfer stops helping
BATCH, LR = 16, 0.001
DRAWN = 250, 40, 60  # drawn data: pictures of each class in train, valid, test

# %%
splits = data.cifar10(per_class=DRAWN)
first = splits.of_classes(splits.class_names[:5])
last = splits.of_classes(splits.class_names[5:])
lesson.banner(splits)

# %% [markdown]
# ## Which classes come first?
#
# The ten classes are divided in the order of the class list, as in the article that this lesson
# follows. No picture and no class is on both sides. What the sides may share is smaller than a
# class: edges, wheels, sea and sky.

# %% tags=["hide-input"]
firsts = [int(np.flatnonzero(splits.train.labels == label)[0]) for label in range(10)]
title = "The first five classes (top) and the last five (bottom)"
shown = [splits.train.image(index) for index in firsts]
grid = plots.photo_grid(shown, splits.class_names, columns=5, title=title)
lesson.show(grid, alt="Ten small pictures with the names of their classes, in two rows of five.")

# %% [markdown]
# <details><summary>Check yourself: why must no class be on both sides?</summary>
#
# The first training would have learned to name it, and transfer would look better than it is.
# </details>
#
# <details><summary>Check yourself: could this division be an unlucky one?</summary>
#
# Yes, similar classes may all be on one side. Exercise 06.2 exchanges the sides.
# </details>
#
# Pictures of 32 by 32 pixels take little memory, so each set becomes two tensors: images and
# labels. `per_class` draws a few pictures of each class at random.


# %%
def tensors(part):
    """All pictures of a set, (N, 3, 32, 32), and their labels, (N,)."""
    return next(iter(data.loader(part, preprocessing, batch_size=len(part))))


preprocessing = transforms.Preprocessing(resize=32, crop=32, mean=(0.5,) * 3, std=(0.25,) * 3)
first_train = tensors(first.train.per_class(FIRST_PER_CLASS, seed=SEED))
first_valid, last_valid = tensors(first.valid), tensors(last.valid)
few = {seed: tensors(last.train.per_class(PER_CLASS, seed=seed)) for seed in SEEDS}
print(f"first training: {len(first_train[0])} pictures; second: {len(few[SEED][0])}")

# %% [markdown]
# ## What is inside the network?
#
# The article, a Keras example on CIFAR-10, writes its network as two lists of layers: one extracts
# features from the picture, the other classifies them.

# %% [markdown] tags=["source"]
# | | the first-five-last-five article |
# |---|---|
# | feature layers | two convolutions of 64 filters, 3 by 3, each with ReLU; pooling by 2; dropout |
# | classification layers | a dense layer of 128 units with ReLU; one unit for each class, softmax |
# | first training | all layers, on the first five classes |
# | second training | feature layers frozen; new classification layers, on the last five classes |
# | bug | a dropout rate of `25`, where `0.25` was meant |

# %% [markdown]
# A dropout rate is the share of values that are set to zero, so 25 makes no sense. Keras 2 silently
# clipped it to 1, and because it applied dropout only for rates *below* 1, it applied none: the
# network was trained without a layer that its listing shows. PyTorch refuses:

# %%
try:
    nn.Dropout(25)
except ValueError as problem:
    print("ValueError:", problem)

# %% [markdown]
# Below are the two lists in PyTorch, with a quarter of the article's filters, to save time.
# Softmax is missing on purpose, since `cross_entropy` contains it. And dropout moved to the front
# of the second list. It is still the same network; but if we freeze the first list and put it into
# `eval()`, dropout stays on, and frozen and trained networks are treated alike.


# %%
def feature_layers(seed):
    """Images (N, 3, 32, 32) → features (N, FILTERS * 14 * 14)."""
    torch.manual_seed(seed)
    one, two = nn.Conv2d(3, FILTERS, 3), nn.Conv2d(FILTERS, FILTERS, 3)
    return nn.Sequential(one, nn.ReLU(), two, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())


# %%
def classification_layers(num_classes, seed):
    """Features (N, FILTERS * 14 * 14) → logits (N, num_classes)."""
    torch.manual_seed(seed)
    hidden, output = nn.Linear(FILTERS * 14 * 14, HIDDEN), nn.Linear(HIDDEN, num_classes)
    return nn.Sequential(nn.Dropout(DROPOUT), hidden, nn.ReLU(), nn.Dropout(DROPOUT), output)


# %% [markdown]
# `models.summary` sends a picture through the layers and lists the size of each output, and the
# weights, biases included:

# %%
network = nn.Sequential(feature_layers(SEED), classification_layers(5, SEED))
print(models.summary(network, last_valid[0][:1], depth=2))
convolutions = 3 * 9 * FILTERS * 30 * 30 + FILTERS * 9 * FILTERS * 28 * 28
linear = FILTERS * 14 * 14 * HIDDEN + HIDDEN * 5
print(f"\nmultiplications: {convolutions:,} in the convolutions, {linear:,} in the linear layers")

# %% [markdown]
# A filter has few weights but is applied at every place in the picture; a weight of a linear layer
# is used once. So the convolutions hold less than one weight in a hundred, and yet do most of the
# multiplications. Feature layers are cheap to store and expensive to run.
#
# The training loop is the one from lesson 02. It measures accuracy after each epoch, on the sets
# that it is given, and times the training alone.


# %%
@torch.no_grad()
def accuracy(network, pictures):
    """Share of pictures that the network gets right, with dropout off."""
    network.eval()
    answers = torch.cat([network(batch).argmax(1) for batch in pictures[0].split(50)])
    return float((answers == pictures[1]).double().mean())


# %%
def fit(network, pictures, epochs, seed, **watched):
    """Trains in place with Adam; returns a row with accuracies and seconds for every epoch."""
    torch.manual_seed(seed)  # for dropout
    order = torch.Generator().manual_seed(seed)  # its own, so that all networks get one order
    loader = DataLoader(TensorDataset(*pictures), BATCH, shuffle=True, generator=order)
    trainable = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(trainable, lr=LR)
    rows = []
    for epoch in range(1, epochs + 1):
        start = time.process_time()
        network.train()
        for inputs, labels in loader:
            loss = nn.functional.cross_entropy(network(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        row = {"epoch": epoch, "seconds": time.process_time() - start}
        rows.append(
            row | {f"{name}_accuracy": accuracy(network, watched[name]) for name in watched}
        )
    return rows


# %% [markdown]
# The first training, on the first five classes, updates all layers:

# %%
first_rows = fit(network, first_train, FIRST_EPOCHS, SEED, valid=first_valid)
lesson.table(first_rows, volatile=["seconds"])
count = len(first_valid[1])
low, high = metrics.wilson_interval(round(first_rows[-1]["valid_accuracy"] * count), count)
interval = f"on {count} pictures, the 95 % interval of the last accuracy is {low:.2f} to {high:.2f}"
lesson.claim(low > 0.25, f"clearly better than guessing (0.2): {interval}")

# %% [markdown]
# <details><summary>Check yourself: why does <code>fit</code> use two random generators?</summary>
#
# Networks with and without frozen layers may need different numbers of random values for dropout.
# With a single source, they would also get their batches in different orders.
#
# </details>
#
# <details><summary>Check yourself: dropout sets a quarter of the values to zero. Why are the others
# not left as they are?</summary>
#
# PyTorch scales them up, so that their sum is the same on average as in evaluation.
# </details>

# %% [markdown]
# ## What does freezing change?
#
# In PyTorch, a frozen weight is one that requires no gradient. New classification layers, for five
# new classes, go on top of the frozen ones:

# %%
extractor = network[0].requires_grad_(False)
before = copy.deepcopy(extractor.state_dict())
network = nn.Sequential(extractor, classification_layers(5, SEED))
print(models.summary(network, last_valid[0][:1]))

# %% [markdown]
# Most weights are still trained, and yet a step costs less. Backpropagation starts at the loss and
# stops below the lowest layer that learns. Nothing has to go back through the convolutions, where
# the work is: they only compute forward.
#
# Even that is repeated in every epoch, with the same result. So, as in lesson 04, compute the
# features once and train on them instead of the pictures:


# %%
@torch.no_grad()
def features_of(extractor, pictures):
    """Features of all pictures in place of the pictures, with the same labels."""
    return torch.cat([extractor(batch) for batch in pictures[0].split(50)]), pictures[1]


# %% [markdown]
# The library's short form does this for a set of photos, batch by batch, and can cache the result
# on disk:

# %%
stored = features_of(extractor, last_valid)
backbone = models.Backbone("first five", extractor, stored[0].shape[1], "own")
short = features.extract(backbone, last.valid, preprocessing, precision="fp32", cache=False)
error = float((short.values - stored[0]).norm() / stored[0].norm())
lesson.claim(error < 1e-4, "both give the same features, to 4 digits")

# %% [markdown]
# Now time the second training in three ways. All start with the same classification layers and get
# the same few pictures in the same order. The seconds are those of the processor
# (`time.process_time`), so what other programs compute in the meantime does not count.

# %%
start = time.process_time()
inputs = {"frozen, features stored": features_of(extractor, few[SEED])}
extraction = time.process_time() - start
ways = {"frozen, features stored": classification_layers(5, SEED), "frozen": network}
ways["from scratch"] = nn.Sequential(feature_layers(SEED), classification_layers(5, SEED))
rows = {way: fit(ways[way], inputs.get(way, few[SEED]), EPOCHS, SEED) for way in ways}

# %%
paid = sum(row["seconds"] for row in first_rows)
unchanged = all(torch.equal(value, before[name]) for name, value in extractor.state_dict().items())
lesson.claim(unchanged, "the second training left every frozen weight as it was")
apart = accuracy(network, last_valid) - accuracy(ways["frozen, features stored"], stored)
lesson.claim(abs(apart) < 0.03, "on stored features, accuracy is the same up to 3 points")

# %% tags=["hide-input"]
second = {way: sum(row["seconds"] for row in found) for way, found in rows.items()}
parts = {way: {"first training": paid, "second training": second[way]} for way in second}
parts["frozen, features stored"]["computing features"] = extraction
del parts["from scratch"]["first training"]
axes = plots.time_bars(parts, title="Time with the first training included")
lesson.show(axes, alt="Bars of seconds; the first training is the longest part of the frozen ones.")

# %% tags=["hide-input"]
fastest = {way: min(row["seconds"] for row in found) for way, found in rows.items()}  # of epochs
stored_epoch, frozen_epoch, full_epoch = fastest.values()
lesson.claim(frozen_epoch < full_epoch, "freezing makes an epoch faster")
lesson.claim(1.5 * stored_epoch < full_epoch, "stored features make it over 1.5 times as fast")
lesson.claim(paid > EPOCHS * full_epoch, "the first training took more than all of this could save")

# %% [markdown]
# If the first training counts, training from scratch is fastest. Transfer pays off when the
# features are used again, or when somebody else has paid for them.
#
# <details><summary>Check yourself: most of the weights are not frozen. Why is the step faster
# nevertheless?</summary>
#
# Time follows multiplications, not weights, and most multiplications are in the convolutions. Of
# these, the backward pass is saved; the forward pass is saved by storing features.
#
# </details>
#
# <details><summary>Check yourself: would freezing the upper convolution alone save as
# much?</summary>
#
# No. Gradients would still have to pass through it to the lower one, which learns.
# </details>

# %% [markdown]
# ## Is it the pretraining or the freezing?
#
# "Pretrained and frozen" differs from "from scratch" in two things, and a fair comparison changes
# one thing at a time. That makes four networks. And everything is repeated with other seeds:
# another first training, other pictures, other initial weights, another order of batches. Within a
# seed, the four share all of it, so we compare them in pairs. The interval of a mean of so few
# numbers is [Student's interval](../docs/glossary.md#students-interval).


# %%
def pretrain(names, epochs, seed, shuffled=False):
    """Feature layers after a first training on these of the first five classes."""
    pictures, labels = tensors(first.train.of_classes(names).per_class(FIRST_PER_CLASS, seed=seed))
    if shuffled:
        labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]
    layers = feature_layers(seed)
    network = nn.Sequential(layers, classification_layers(len(names), seed))
    fit(network, (pictures, labels), epochs, seed)
    return layers


pretrained = {SEED: extractor}  # trained above, in the same way
pretrained |= {seed: pretrain(first.class_names, FIRST_EPOCHS, seed) for seed in SEEDS[1:]}
random = {seed: feature_layers(seed) for seed in SEEDS}


# %%
def second_training(layers, frozen, seed, pictures=None):
    """Trains a copy of the feature layers with a new head, or the head alone on their features."""
    sets = {"train": few[seed] if pictures is None else pictures, "valid": last_valid}
    layers, head = copy.deepcopy(layers), classification_layers(5, seed)
    network = nn.Sequential(layers.requires_grad_(not frozen), head)
    if not frozen:
        return network, fit(network, sets["train"], EPOCHS, seed, **sets)
    sets = {name: features_of(layers, part) for name, part in sets.items()}
    return network, fit(head, sets["train"], EPOCHS, seed, **sets)


# %%
kinds = {
    "pretrained, frozen": (pretrained, True),
    "pretrained, trained": (pretrained, False),
    "random, frozen": (random, True),
    "random, trained": (random, False),  # "from scratch"
}
runs = {
    kind: [second_training(layers[seed], frozen, seed) for seed in SEEDS]
    for kind, (layers, frozen) in kinds.items()
}

# %% tags=["hide-input"]
parts = ("train_accuracy", "valid_accuracy")
mean_rows = {
    kind: [
        {"epoch": epoch + 1}
        | {part: np.mean([rows[epoch][part] for _, rows in found]) for part in parts}
        for epoch in range(EPOCHS)
    ]
    for kind, found in runs.items()
}
axes = plots.compare_curves(mean_rows, title=f"Last five classes, mean of {len(SEEDS)} seeds")
lesson.show(axes, alt="Accuracy by epoch, on training and validation pictures, of four networks.")


# %%
def mean_accuracies(found):
    """Validation accuracy, mean over the epochs, of each run."""
    return np.array([np.mean([row["valid_accuracy"] for row in rows]) for _, rows in found])


valid = {kind: mean_accuracies(found) for kind, found in runs.items()}
both, further, untaught, scratch = valid.values()
columns = ["network", "mean", "low", "high"]
rows = [(kind, *metrics.mean_interval(found)) for kind, found in valid.items()]
lesson.table(rows, columns, caption="Validation accuracy, mean over epochs: none is chosen")
lesson.claim(metrics.mean_interval(untaught)[1] > 0.2, "even random filters beat guessing (0.2)")

# %% tags=["hide-input"]
lesson.verdict(
    *metrics.mean_interval(both - untaught),
    better="Pretraining helps where feature layers are frozen.",
    worse="Pretraining harms where feature layers are frozen.",
    unclear="Whether pretraining helps frozen layers is unclear.",
)
lesson.verdict(
    *metrics.mean_interval(further - scratch),
    better="Pretraining helps where feature layers are trained.",
    worse="Pretraining harms where feature layers are trained.",
    unclear="Whether pretraining helps trained layers is unclear.",
)

# %% tags=["hide-input"]
lesson.verdict(
    *metrics.mean_interval(both - further),
    better="Freezing helps pretrained layers.",
    worse="Freezing harms pretrained layers.",
    unclear="For pretrained layers, freezing makes no clear difference.",
)
lesson.verdict(
    *metrics.mean_interval(untaught - scratch),
    better="Freezing helps random layers.",
    worse="Freezing harms random layers: trained on these few pictures, they improve.",
    unclear="For random layers, freezing makes no clear difference.",
)

# %% [markdown]
# Frozen *random* filters are the baseline that pretrained ones must beat, and even they do better
# than guessing: a head can use whatever its inputs preserve.
#
# <details><summary>Check yourself: which pair shows the effect of freezing alone?</summary>
#
# Two pairs do: pretrained layers, frozen or trained, and random layers, frozen or trained.
#
# </details>
#
# <details><summary>Check yourself: why are they compared within a seed?</summary>
#
# There they share pictures and initial weights, so what is easy or lucky about a seed cancels.
# </details>

# %% [markdown]
# ## What do the frozen layers see?
#
# Let one picture pass, from a class that the filters were never trained on. Each tile is a *feature
# map*: the output of one filter of the second convolution, bright where it responds.

# %%
picture = last_valid[0][:1]
layers = {"random": random[SEED][:4], "trained": pretrained[SEED][:4]}
maps = {name: found(picture)[0].detach() for name, found in layers.items()}
title = "Outlines appear with and without training"
axes = plots.feature_maps(preprocessing.undo(picture[0]), maps, title=title)
lesson.show(axes, alt="A picture; five feature maps of random filters and five of trained ones.")

# %% [markdown]
# It is tempting to look at the lower row and say: this network has learned edges. The upper row,
# from filters without any training, is the control, and it shows outlines, too. Even a random
# filter of 3 by 3 weights responds to changes of brightness, and those are edges. So measure how
# closely each map follows the strength of the edges in a picture:


# %%
@torch.no_grad()
def follows_edges(layers, images):
    """Mean absolute correlation of the feature maps with the strength of the edges."""
    gray = images.mean(1)
    across = gray[:, 2:-2, 3:-1] - gray[:, 2:-2, 1:-3]
    down = gray[:, 3:-1, 2:-2] - gray[:, 1:-3, 2:-2]
    edges = (across**2 + down**2).sqrt().flatten(1)[:, None]  # (N, 1, 28 * 28)
    maps = layers[:4](images).flatten(2)  # (N, FILTERS, 28 * 28)
    edges, maps = (values - values.mean(2, keepdim=True) for values in (edges, maps))
    return float(torch.cosine_similarity(edges, maps, dim=2).abs().mean())


# %%
edges = [
    np.array([follows_edges(layers[seed], last_valid[0][:50]) for seed in SEEDS])
    for layers in (pretrained, random)
]
print(f"correlation with edges: pretrained {edges[0].mean():.2f}, random {edges[1].mean():.2f}")
lesson.verdict(
    *metrics.mean_interval(edges[0] - edges[1]),
    better="Pretrained filters follow edges more closely than random ones.",
    worse="Pretrained filters follow edges less closely than random ones.",
    unclear="Pretrained and random filters show no clear difference in that.",
)

# %% [markdown]
# A picture of feature maps shows that a network responds to edges, not that it has *learned* to.
# For that, the maps of an untrained network must stand beside it.
#
# <details><summary>Check yourself: why the absolute value of the correlation?</summary>
#
# A filter may be dark where the edges are. It follows them all the same.
# </details>
#
# <details><summary>Check yourself: a map follows the edges closely. Is its filter made for
# edges?</summary>
#
# Perhaps not. It may respond to a color, and color changes at edges.
# </details>

# %% [markdown]
# ## When does transfer not help?
#
# First, are features good because of *what* the first training taught? Repeat it on two classes
# only, in as many steps, and on all five with *shuffled* labels, where only memorization can help.

# %%
two = first.class_names[:2]
teachers = {
    "five classes": pretrained,
    "two classes": {seed: pretrain(two, FIRST_EPOCHS * 5 // 2, seed) for seed in SEEDS},
    "labels shuffled": {
        seed: pretrain(first.class_names, FIRST_EPOCHS, seed, shuffled=True) for seed in SEEDS
    },
    "none (random)": random,
}


# %%
class Rescaled(nn.Module):
    """Feature layers whose features are divided by their root mean square on some pictures."""

    def __init__(self, layers, pictures):
        super().__init__()
        self.layers = layers
        self.size = float(features_of(layers, pictures)[0].square().mean().sqrt())

    def forward(self, images):
        return self.layers(images) / self.size


scaled = {
    name: {seed: Rescaled(layers[seed], few[seed]) for seed in SEEDS}
    for name, layers in teachers.items()
}

# %%
reached = {"as they are": dict.fromkeys(teachers), "rescaled": dict.fromkeys(teachers)}
reached["as they are"] |= {"five classes": both, "none (random)": untaught}  # measured above
for group, made in (("as they are", teachers), ("rescaled", scaled)):
    for name in teachers:
        if reached[group][name] is None:
            found = [second_training(made[name][seed], True, seed) for seed in SEEDS]
            reached[group][name] = mean_accuracies(found)
rows = [
    {
        "first training": name,
        "size of features": np.mean([layers.size for layers in scaled[name].values()]),
        "accuracy as they are": reached["as they are"][name].mean(),
        "accuracy rescaled": reached["rescaled"][name].mean(),
    }
    for name in teachers
]
lesson.table(rows)
sizes = {row["first training"]: row["size of features"] for row in rows}
smaller = sizes["labels shuffled"] < sizes["none (random)"]
lesson.claim(smaller, "features from shuffled labels are smaller than random ones")

# %% [markdown]
# After training on shuffled labels, features are smaller. A new head starts with weights of the
# usual size, and its few steps have a length that suits inputs of that size; on small ones, they
# change its answers less. So "as they are" compares two things: what the features hold, and how
# large they are. Divided by their size, features are compared fairly:

# %% tags=["hide-input"]
axes = plots.repeated_runs(
    reached, title="What the first training taught", label="validation accuracy"
)
lesson.show(axes, alt="Accuracy of each seed after four first trainings, as they are and rescaled.")

# %% tags=["hide-input"]
five, two, nonsense, nothing = reached["rescaled"].values()
lesson.claim(five.mean() > nothing.mean(), "five classes teach more than nothing, in the mean")
lesson.verdict(
    *metrics.mean_interval(nonsense - reached["as they are"]["labels shuffled"]),
    better="Features from shuffled labels are better than they looked.",
    worse="Features from shuffled labels are worse than they looked.",
    unclear="For features from shuffled labels, rescaling makes no clear difference.",
)
lesson.verdict(
    *metrics.mean_interval(nonsense - nothing),
    better="Rescaled, features from shuffled labels beat random ones.",
    worse="Rescaled, random ones beat features from shuffled labels.",
    unclear="Rescaled, they are not clearly better or worse than random features.",
)
lesson.verdict(
    *metrics.mean_interval(five - two),
    better="Five classes teach more than two.",
    worse="Two classes teach more than five.",
    unclear="Whether five classes teach more than two is unclear.",
)

# %% [markdown]
# Larger experiments found that shuffled labels do teach something: the labels are wrong, but the
# pictures are real, and to memorize them, filters adapt to what varies in pictures (Maennel et al.,
# in the sources). Look at the dots: each is another first training. A single one would have proved
# little.
#
# Second, does transfer still help when pictures are no longer scarce? Compare pretrained, frozen
# layers with training from scratch on three times as many pictures of each class:

# %%
many = {seed: tensors(last.train.per_class(MANY_PER_CLASS, seed=seed)) for seed in SEEDS}
ours, theirs = (
    mean_accuracies([second_training(made[seed], frozen, seed, many[seed]) for seed in SEEDS])
    for made, frozen in (kinds["pretrained, frozen"], kinds["random, trained"])
)
gains = {PER_CLASS: both - scratch, MANY_PER_CLASS: ours - theirs}
for count, gain in gains.items():
    print(f"{count} pictures a class: gain by transfer {gain.mean():.3f}")
lesson.verdict(
    *metrics.mean_interval(gains[PER_CLASS] - gains[MANY_PER_CLASS]),
    better="With more pictures, transfer gains less.",
    worse="With more pictures, transfer gains more.",
    unclear="Whether transfer gains less with more pictures is unclear.",
)

# %% [markdown]
# More pictures also mean more steps in as many epochs, so this does not say which of the two
# matters. Exercise 06.3 separates them.
#
# <details><summary>Check yourself: "features pretrained on task A are worse than random." What do
# you ask first?</summary>
#
# How many first trainings there were, how large the features are, and whether the learning rate was
# tuned for each.
#
# </details>
#
# <details><summary>Check yourself: why is the size of features measured on training
# pictures?</summary>
#
# Validation pictures may only judge. A number computed from them would let them help.
# </details>

# %% [markdown]
# ## Does it hold?
#
# All comparisons so far used validation pictures. The test pictures are opened here, once, with the
# four kinds of networks as they were after their last epoch. No epoch was chosen.

# %%
test = tensors(last.test)
found = {kind: np.array([accuracy(n, test) for n, _ in runs[kind]]) for kind in runs}
found["gain of the first over the last"] = found["pretrained, frozen"] - found["random, trained"]
rows = [(name, *metrics.mean_interval(values)) for name, values in found.items()]
lesson.table(rows, columns, caption=f"Accuracy on {len(test[1])} test pictures, {len(SEEDS)} seeds")
lesson.claim(rows[-1][1] > 0, "in the mean of the seeds, transfer gains on the test pictures, too")

# %% tags=["hide-input"]
lesson.verdict(
    *rows[-1][1:],
    better="The gain on the test pictures is clear.",
    worse="On the test pictures, transfer clearly loses.",
    unclear="With these few seeds, the gain on the test pictures is not clear.",
)
means = {name: f"{mean:.2f} ({low:.2f} to {high:.2f})" for name, mean, low, high in rows}
lesson.headline(
    f"last five classes from {PER_CLASS} pictures each, test accuracy over {len(SEEDS)} seeds with "
    f"95 % intervals: pretrained and frozen {means['pretrained, frozen']}, from scratch "
    f"{means['random, trained']}, gain {means['gain of the first over the last']}"
)

# %% [markdown]
# These intervals cover repeated runs, the first training included, on one set of test pictures.
# They do not cover other test pictures, or another division of the classes. The same lesson on the
# photos of CIFAR-10:

# %%
lesson.measured("06_first_five_last_five")

# %% [markdown]
# ## What can go wrong
#
# - **A number in the wrong unit.** A dropout rate of 25 was silently ignored. Find out what your
#   library does with nonsense.
# - **Two changes at once.** In `eval()`, a frozen network also loses the dropout among its frozen
#   layers. Then "frozen against trained" compares dropout as well.
# - **One first training.** It is one draw, whatever you repeat after it. Repeat it, too.
# - **Features of another size.** A learning rate that suits one set of features may not suit
#   another. Rescale them, or tune the rate for each.
# - **A time without its beginning.** "Trained in a second" leaves out the first training. Say who
#   paid for it.
# - **A number of epochs that decides.** After one epoch, frozen features may win by far, after many
#   they may not. Show the whole curve.

# %% [markdown]
# ## Recap
#
# - A network is two lists of layers. The feature layers have few weights and do most of the work.
# - Freezing saves the backward pass through them in each step; stored features also the forward
#   pass, in all epochs but one.
# - To separate pretraining from freezing, train all four combinations, with seeds, and compare in
#   pairs.
# - Frozen filters respond to edges, among other things; but so do random ones.
# - Features may look bad only because they are small: rescale them before you compare first
#   trainings. Whether transfer gains less with more pictures has to be measured, with several
#   seeds.

# %% [markdown]
# ## Exercises
#
# ### Exercise 06.1: what does a filter cost? (warm-up)
# Compute weights and multiplications of the feature layers for 16, 32, 64 and 128 filters. When the
# number of filters doubles, which convolution doubles, and which grows fourfold?
#
# <details><summary>Hint</summary>
#
# The first convolution has 3 input channels, the second as many as the first has filters. Check the
# weights with `sum(p.numel() for p in layers.parameters())`.
#
# </details>
#
# ### Exercise 06.2: does it work in the other direction?
# Train on the last five classes first, and transfer to the first five. Is there still a gain?
#
# <details><summary>Hint</summary>
#
# `first, last = last, first`, then run the cells from "Is it the pretraining or the freezing?"
# again, with `few` and `last_valid` made again. Two of the four networks are enough.
#
# </details>
#
# ### Exercise 06.3: steps or pictures?
# Train on few pictures for three times as many epochs, frozen and from scratch. That is as many
# steps as with many pictures. What becomes of the gain: does it shrink with steps or with pictures?
#
# <details><summary>Hint</summary>
#
# Give `second_training` an argument `epochs`. Compare the last epochs, and subtract within a seed
# before you take the mean.
#
# </details>
#
# ### Exercise 06.4: your own classes (challenge)
# Take a folder of your photos with at least four classes, one folder each, and divide the classes
# into two halves. Does pretraining on one half help with the other? The next cell is a start.
#
# <details><summary>Hint</summary>
#
# The feature layers expect 32 by 32 pixels. With `resize` and `crop` of 64 in the preprocessing,
# use `nn.MaxPool2d(4)` and adapt `FILTERS * 14 * 14`.
#
# </details>

# %%
folder = None  # the path of your photos, in quotation marks
if folder:
    mine = data.image_folder(folder)
    half = len(mine.class_names) // 2
    first, last = mine.of_classes(mine.class_names[:half]), mine.of_classes(mine.class_names[half:])

# %% [markdown]
# Solutions: [solutions/06_first_five_last_five](solutions/06_first_five_last_five.ipynb).
#
# Previous: [05_heads](05_heads.ipynb) · Next: [07_bed_or_sofa](07_bed_or_sofa.ipynb)
#
# ## Sources
#
# - The first-five-last-five article: a Keras notebook that carries Keras' example
#   [mnist_transfer_cnn](https://github.com/keras-team/keras/blob/2.3.1/examples/mnist_transfer_cnn.py)
#   over to CIFAR-10.
# - A. Krizhevsky: [Learning multiple layers of features from tiny
#   images](https://www.cs.toronto.edu/~kriz/cifar.html), 2009. The photos.
# - J. Yosinski, J. Clune, Y. Bengio, H. Lipson: [How transferable are features in deep neural
#   networks?](https://arxiv.org/abs/1411.1792), NIPS 2014. Halves of ImageNet's classes, layer by
#   layer.
# - H. Maennel et al.: [What do neural networks learn when trained with random
#   labels?](https://arxiv.org/abs/2006.10455), NeurIPS 2020. Why shuffled labels can teach.
# - N. Srivastava et al.: [Dropout: a simple way to prevent neural networks from
#   overfitting](https://jmlr.org/papers/v15/srivastava14a.html), JMLR 15, 2014.

# %% tags=["nbval-ignore-output"]
lesson.footer("fp32")
