# %% [markdown]
# # Solutions to lesson 04: first five, last five
#
# The same data, network and loop as in the [lesson](../06_first_five_last_five.ipynb).

# %%
import copy
import time

import numpy as np
import torch
from torch import nn

from flowerlib import data, lesson, models, plots, train, transforms

# %% tags=["settings"]
FILTERS, HIDDEN, DROPOUT = 64, 128, 0.25
FIRST_PER_CLASS, FIRST_EPOCHS = 160, 2
PER_CLASS, EPOCHS, LONG = 30, 3, 12
BATCH, LR = 16, 0.001
DRAWN = 250, 20, 50  # garden world: pictures of each class in train, valid, test
SEEDS = (0, 1)
NUM_FEATURES = FILTERS * 14 * 14

# %%
splits = data.cifar10(per_class=DRAWN)
first = splits.of_classes(splits.class_names[:5])
last = splits.of_classes(splits.class_names[5:])
lesson.banner(splits)

# %%
preprocessing = transforms.Preprocessing(resize=32, crop=32, mean=(0.5,) * 3, std=(0.25,) * 3)


def tensors(part):
    return next(iter(data.loader(part, preprocessing, batch_size=len(part))))


def feature_layers(filters=FILTERS):
    return nn.Sequential(
        nn.Conv2d(3, filters, 3), nn.ReLU(), nn.Conv2d(filters, filters, 3), nn.ReLU(),
        nn.MaxPool2d(2), nn.Dropout(DROPOUT), nn.Flatten(),
    )  # fmt: skip


def classification_layers(num_classes):
    return nn.Sequential(
        nn.Linear(NUM_FEATURES, HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT),
        nn.Linear(HIDDEN, num_classes),
    )  # fmt: skip


# %% [markdown]
# The loop takes the optimizer from outside when it is given one: Exercise 06.4 needs that.


# %%
@torch.no_grad()
def accuracy(network, pictures):
    network.eval()
    batches = train.FeatureBatches(*pictures, 50, shuffle=False)
    right = [network(inputs).argmax(1) == labels for inputs, labels in batches]
    return float(torch.cat(right).double().mean())


def learn(network, pictures, valid, epochs, seed, optimizer=None):
    torch.manual_seed(seed)  # of dropout; the batches have their own
    batches = train.FeatureBatches(*pictures, BATCH, shuffle=True, seed=seed)
    optimizer = optimizer or torch.optim.Adam(
        models.trainable_parameters(network), lr=LR, fused=True
    )
    rows = []
    for _ in range(epochs):
        start = time.perf_counter()
        network.train()
        for inputs, labels in batches:
            loss = nn.functional.cross_entropy(network(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        seconds = time.perf_counter() - start
        rows.append({"accuracy": accuracy(network, valid), "seconds": seconds})
    return rows


# %%
def keep(features, pictures):
    with torch.no_grad():
        return torch.cat([features(part) for part in pictures[0].split(50)]), pictures[1]


def pretrained(part):
    """Frozen feature layers after a training on five classes, and their accuracy there."""
    torch.manual_seed(0)
    layers = feature_layers()
    network = nn.Sequential(layers, classification_layers(5))
    pictures = tensors(part.train.per_class(FIRST_PER_CLASS))
    rows = learn(network, pictures, tensors(part.valid), FIRST_EPOCHS, seed=0)
    return models.freeze(layers), rows[-1]["accuracy"]


# %%
def both(features, part, seed, epochs):
    """Accuracy after every epoch: on kept features, and from scratch."""
    pictures, valid = tensors(part.train.per_class(PER_CLASS, seed=seed)), tensors(part.valid)
    torch.manual_seed(seed)
    head = classification_layers(5)
    scratch = nn.Sequential(feature_layers(), copy.deepcopy(head))
    ours = learn(head, keep(features, pictures), keep(features, valid), epochs, seed)
    theirs = learn(scratch, pictures, valid, epochs, seed)
    return [[row["accuracy"] for row in rows] for rows in (ours, theirs)]


# %% [markdown]
# ## Exercise 06.1: what does a filter cost?
#
# The first convolution has three input channels, whatever the number of filters. The second one has
# as many inputs as outputs, so it grows with the square, and it is by far the larger one.

# %%
rows = []
for filters in (16, 32, 64, 128):
    first_weights, second_weights = 3 * 9 * filters, filters * 9 * filters
    products = first_weights * 30 * 30 + second_weights * 28 * 28
    weights = first_weights + second_weights
    counted = sum(p.numel() for p in feature_layers(filters).parameters())
    rows.append({"filters": filters, "weights": weights, "torch": counted, "products": products})
lesson.table(rows)

# %%
biases = all(row["torch"] == row["weights"] + 2 * row["filters"] for row in rows)
lesson.claim(biases, "torch counts one weight more for every filter: its bias")
growth = rows[3]["products"] / rows[2]["products"]
lesson.claim(3.5 < growth < 4, "from 64 to 128 filters, the work grows nearly by four")

# %% [markdown]
# ## Exercise 06.2: does it work in the other direction?

# %%
features, first_accuracy = pretrained(first)
other_features, other_accuracy = pretrained(last)
print(f"first five classes {first_accuracy:.2f}, last five {other_accuracy:.2f}")

# %%
back = np.array([both(other_features, first, seed, EPOCHS) for seed in SEEDS])
gains = back[:, 0].mean(1) - back[:, 1].mean(1)  # one a seed
rows = [("frozen", *back[:, 0].mean(0)), ("from scratch", *back[:, 1].mean(0))]
lesson.table(rows, ["first five classes", *[f"epoch {e}" for e in range(1, EPOCHS + 1)]])
lesson.claim(min(gains) > 0, "with both seeds there is a gain, in the mean over the epochs")

# %% [markdown]
# Neither half is the natural teacher of the other. Both have parts in common, and these move in
# both directions.

# %% [markdown]
# ## Exercise 06.3: do the curves meet?

# %%
far = np.array([both(features, last, seed, LONG) for seed in SEEDS])  # (seeds, 2, LONG)
ours, theirs = far.mean(0)
gap = ours - theirs
epochs = range(1, LONG + 1)

# %%
axes = plots.figure(7.5, 3.6).subplots()
axes.plot(epochs, ours, "o-", ms=4, color=plots.BLUE, label="frozen features")
axes.plot(epochs, theirs, "s-", ms=4, color=plots.ORANGE, label="from scratch")
axes.fill_between(epochs, ours, theirs, color=plots.GRAY, alpha=0.2, lw=0)
axes.set(xlabel="epoch", ylabel="accuracy, validation set", xticks=range(1, LONG + 1))
axes.set_title("The new network comes closer", loc="left")
axes.legend(frameon=False)
lesson.show(axes, alt="Two curves of accuracy over twelve epochs that come closer to each other.")

# %%
early, late = gap[:3].mean(), gap[-3:].mean()
lesson.table([("1 to 3", early), (f"{LONG - 2} to {LONG}", late)], ["epochs", "mean lead"])
lesson.claim(early > 0, "in the first three epochs frozen features lead")
lesson.claim(late < 0.75 * early, "in the last three, over a quarter of that lead is gone")

# %% [markdown]
# The lead shrinks as both go on. Whether it vanishes in the end is a
# question of pictures: with few of them, a new network learns these by heart before it has found
# features as general as those that many other pictures taught.

# %% [markdown]
# ## Exercise 06.4: start from there, but do not stay there
#
# Two groups of weights with two learning rates: the copied feature layers move slowly, the new
# classification layers at the usual pace. Nothing can be kept now, since the features change.


# %%
def fine_tuned(features, seed):
    """Rows of a training in which copied feature layers learn at a tenth of the rate."""
    layers = models.unfreeze(copy.deepcopy(features))
    torch.manual_seed(seed)
    head = classification_layers(5)
    groups = [{"params": layers.parameters(), "lr": LR / 10}, {"params": head.parameters()}]
    optimizer = torch.optim.Adam(groups, lr=LR, fused=True)
    pictures = tensors(last.train.per_class(PER_CLASS, seed=seed))
    network = nn.Sequential(layers, head)
    return learn(network, pictures, tensors(last.valid), EPOCHS, seed, optimizer)


# %%
before = copy.deepcopy(features.state_dict())
runs = [fine_tuned(features, seed) for seed in SEEDS]
tuned = np.mean([[row["accuracy"] for row in rows] for rows in runs], axis=0)
rows = [("frozen", *ours[:EPOCHS]), ("fine-tuned", *tuned), ("from scratch", *theirs[:EPOCHS])]
lesson.table(rows, ["last five classes", *[f"epoch {e}" for e in range(1, EPOCHS + 1)]])

# %%
same = all(torch.equal(before[name], value) for name, value in features.state_dict().items())
lesson.claim(same, "the frozen layers themselves did not change: a copy was trained")
lesson.claim(tuned.mean() > theirs[:EPOCHS].mean(), "the copy is ahead of a new start")
near = abs(tuned[-1] - ours[EPOCHS - 1]) < 0.05
lesson.claim(near, "after the last epoch, it is within 5 points of frozen layers")

# %%
pictures = keep(features, tensors(last.train.per_class(PER_CLASS)))
kept = learn(classification_layers(5), pictures, pictures, EPOCHS, seed=0)
cost = [sum(row["seconds"] for row in rows) for rows in (kept, runs[0])]
lesson.claim(cost[1] > 2 * cost[0], "training it takes over twice as long as with kept features")

# %% [markdown]
# A step of fine-tuning goes back through all layers, like a step from scratch. In so few epochs on
# few pictures, do not expect much for that price. It may pay with more pictures, or where the new
# pictures look unlike the old ones, so that the features themselves must change. Try it.

# %% tags=["nbval-ignore-output"]
lesson.footer("fp32")
