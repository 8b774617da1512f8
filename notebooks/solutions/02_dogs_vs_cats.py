# %% [markdown]
# # Solutions to lesson 02: dogs and cats
#
# The same data, backbone and network from scratch as in the [lesson](../02_dogs_vs_cats.ipynb).
# Everything is judged on the validation set.

# %%
import copy
import os

import numpy as np
import torch
from torch import nn

from flowerlib import data, features, lesson, metrics, models, plots, solvers, train
from flowerlib.transforms import Preprocessing

# %% tags=["settings"]
BACKBONE = os.environ.get("FLOWERLIB_BACKBONE", "small_resnet")
WEIGHTS = os.environ.get("FLOWERLIB_WEIGHTS", "small")
PER_CLASS = (100, 60, 200)
SIZE, BATCH, LR, EPOCHS, DROPOUT = 64, 16, 0.001, 6, 0.5  # the network from scratch
PASSES = 20  # with dropout on
RATES, STAGE_EPOCHS = (0.0001, 0.001, 0.01), 2  # of the unfrozen stage
OTHERS = (50, 20)  # pictures of each class of another task: train, valid
SHARES, DRAWS = (0.1, 0.3, 1.0), 5  # of the training pictures
MORE_EPOCHS = 8  # of the network from scratch with few pictures
SEED = 0
torch.backends.cudnn.allow_tf32 = False

# %%
splits = data.dogs_vs_cats(per_class=PER_CLASS)
backbone = models.freeze(models.backbone(BACKBONE, WEIGHTS, seed=SEED))
preprocessing = models.default_preprocessing(backbone)
num_classes = len(splits.class_names)
lesson.banner(splits, backbone)


# %%
def tensors(part):
    """Images (N, 3, SIZE, SIZE) and labels (N,) of all pictures of a split."""
    batches = data.loader(part, Preprocessing(resize=SIZE, crop=SIZE), batch_size=256)
    return [torch.cat(column) for column in zip(*batches, strict=True)]


def own_network(chosen, epochs):
    """The network from scratch, trained on the chosen training pictures; its best epoch."""
    torch.manual_seed(SEED)
    network = models.SmallCNN(num_classes, SIZE, DROPOUT).to(memory_format=torch.channels_last)
    batches = train.FeatureBatches(
        train_images[chosen], train_labels[chosen], BATCH, shuffle=True, seed=SEED
    )
    valid = [(valid_images, valid_labels)]
    train.fit(network, batches, valid, epochs=epochs, lr=LR, loss=nn.CrossEntropyLoss())
    return network


def right(logits):
    """For each validation picture whether the answer is right."""
    return logits.argmax(1) == valid_labels


# %%
train_images, train_labels = tensors(splits.train)
valid_images, valid_labels = tensors(splits.valid)
cnn = own_network(torch.arange(len(train_labels)), EPOCHS)
with torch.inference_mode():
    plain = cnn(valid_images)

# %% [markdown]
# ## Exercise 02.1: can the slip be put to use?
#
# `eval()` switches dropout off. To have it on at evaluation, and nothing else, we switch that one
# module back.

# %%
cnn.eval()
dropout = next(module for module in cnn.modules() if isinstance(module, nn.Dropout))
dropout.train()
torch.manual_seed(SEED)
with torch.inference_mode():
    hidden = cnn.features(valid_images)
    passes = torch.stack([cnn.head(hidden).softmax(1) for _ in range(PASSES)])

# %%
dropout.eval()
answers = {"dropout on, average of all passes": passes.mean(0), "dropout off": plain.softmax(1)}
single = [(nn.functional.nll_loss(p.log(), valid_labels), right(p).double().mean()) for p in passes]
loss, accuracy = (float(torch.stack(column).mean()) for column in zip(*single, strict=True))
rows = [{"answer": "dropout on, a single pass", "loss": loss, "accuracy": accuracy}]
for name, answer in answers.items():
    loss = float(nn.functional.nll_loss(answer.log(), valid_labels))
    rows.append({"answer": name, "loss": loss, "accuracy": metrics.accuracy(answer, valid_labels)})
lesson.table(rows)
lesson.claim(rows[1]["loss"] < rows[0]["loss"], "the average has a lower loss than a single pass")
_, low, high = metrics.paired_difference(right(passes.mean(0)), right(plain))
lesson.claim(low < 0.03 and high > -0.03, "its accuracy can hardly be told from dropout off")

# %% [markdown]
# Averaging takes the noise out again, and its loss can never be higher than that of the single
# passes on average (the logarithm is concave). But it has the price of many passes, and dropout off
# is already an approximation of that average, in one pass. What the passes give in addition is
# their spread: a picture on which they disagree is one about which the network is unsure.

# %% [markdown]
# ## Exercise 02.2: does a mirror help?

# %%
with torch.inference_mode():
    mirrored = cnn(valid_images.flip(3))
changed = float((mirrored.argmax(1) != plain.argmax(1)).double().mean())
gain, low, high = metrics.paired_difference(right(plain + mirrored), right(plain))
rows = [
    {"pictures with another answer": changed, "both minus alone": gain, "low": low, "high": high}
]
lesson.table(rows)
lesson.claim(changed > 0.03, "the mirror changes the answer for over 3 % of the pictures")
lesson.claim(high > -0.02, "no sign that the average is worse by more than 2 points")

# %% [markdown]
# A network does not know that a mirrored cat is a cat unless somebody tells it: by mirrored
# training pictures, as in [lesson 01](../03_augmentation.ipynb), or by asking twice. Whether asking
# twice pays, the interval says.

# %% [markdown]
# ## Exercise 02.3: how does a network forget?
#
# The heads of both tasks are solved on frozen features, as in [lesson 03](../04_flowers.ipynb).
# Then the last stage is trained on dogs and cats at three rates, the same rate for their head. For
# the other task, too, only the last stage differs, so its pictures pass through the lower part
# once.

# %%
lower, stage = models.split(copy.deepcopy(backbone), preprocessing.crop)
others = data.cifar10(per_class=(*OTHERS, 0))
parts = [splits.train, splits.valid]
parts += [
    part.per_class(count) for part, count in zip((others.train, others.valid), OTHERS, strict=True)
]
maps = [features.extract(lower, part, preprocessing, precision="fp32") for part in parts]


# %%
@torch.no_grad()
def seen(stage, part):
    """Features (N, D) of kept maps."""
    return torch.cat([stage(values) for values in part.values.split(64)])


def solve(learn, check, classes):
    """A linear head on the features of the frozen stage, and its accuracy on `check`."""
    solution = solvers.logistic(
        seen(stage, learn), learn.labels, seen(stage, check), check.labels, classes
    )
    return solution.head, solution.rows[solution.best]["valid_accuracy"]


# %%
def unfreeze(rate):
    """Trains stage and head at one rate; returns the stage and the accuracy after each epoch."""
    network = nn.Sequential(copy.deepcopy(stage), copy.deepcopy(head)).requires_grad_(True).eval()
    batches = train.FeatureBatches(maps[0].values, maps[0].labels, BATCH, shuffle=True, seed=SEED)
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    accuracies = []
    for _ in range(STAGE_EPOCHS):
        for values, labels in batches:
            loss = nn.functional.cross_entropy(network(values), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        accuracies.append(metrics.accuracy(seen(network, maps[1]), maps[1].labels))
    return network[0], accuracies


# %%
head, start = solve(maps[0], maps[1], num_classes)
other_head, known = solve(maps[2], maps[3], len(others.class_names))
columns = ["learning rate", "before", *(f"epoch {e + 1}" for e in range(STAGE_EPOCHS))]
columns += ["other task before", "other task after"]
rows = []
for rate in RATES:
    trained, accuracies = unfreeze(rate)
    left = metrics.accuracy(other_head(seen(trained, maps[3])), maps[3].labels)
    rows.append((f"{rate:g}", start, *accuracies, known, left))
# A large rate blows up the last bits, in which two runs on two threads differ: not compared.
lesson.table(rows, columns, digits=2, volatile=[*columns[2:-2], columns[-1]])

# %%
small, large = rows[0], rows[-1]
lesson.claim(large[-3] < small[-3] + 0.03, "dogs and cats: the largest rate gains nothing by it")
lesson.claim(large[-1] < known - 0.1, "over 10 points of the other task are forgotten by it")
lesson.claim(small[-1] > large[-1] + 0.1, "the smallest rate forgets far less")

# %% [markdown]
# The head of the other task was solved before and not touched since; what broke is the stage below
# it. What was learned from a great many pictures is overwritten in two epochs. The task that is
# being trained hides it: the stage learns our own pictures again, from the beginning.

# %% [markdown]
# ## Exercise 02.4: how many pictures does a network of your own need?
#
# The frozen network is asked several times with other draws of pictures, since its head costs
# nothing; the network from scratch once for each share. With fewer pictures an epoch has fewer
# steps, so it gets more epochs there; the best one is kept.

# %%
train_features, valid_features = (seen(stage, part) for part in maps[:2])


def frozen_accuracy(count, seed):
    """Accuracy on valid of a linear head on `count` training pictures drawn with `seed`."""
    chosen = np.random.default_rng(seed).permutation(len(train_labels))[:count]
    solution = solvers.logistic(
        train_features[chosen], train_labels[chosen], valid_features, valid_labels, num_classes
    )
    return solution.rows[solution.best]["valid_accuracy"]


# %%
order = np.random.default_rng(SEED).permutation(len(train_labels))
rows = []
for share in SHARES:
    count = round(share * len(train_labels))
    own = plain if share == 1 else own_network(order[:count], MORE_EPOCHS)(valid_images).detach()
    mean = float(np.mean([frozen_accuracy(count, seed) for seed in range(DRAWS)]))
    own_accuracy = metrics.accuracy(own, valid_labels)
    rows.append({"pictures": count, "from scratch": own_accuracy, "frozen": mean})
lesson.table(rows, digits=2)

# %%
counts = [row["pictures"] for row in rows]
axes = plots.figure(6.5, 3.4).subplots()
for way, color in (("frozen", plots.BLUE), ("from scratch", plots.ORANGE)):
    axes.semilogx(counts, [row[way] for row in rows], "o-", color=color, label=way)
axes.set_xticks(counts, [str(count) for count in counts])
axes.minorticks_off()
axes.set(xlabel="training pictures", ylabel="accuracy on the validation set", ylim=(0.4, 1))
axes.set_title("With fewer pictures, borrowing matters more", loc="left")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False)
lesson.show(axes, alt="Accuracy over training pictures: frozen is above from scratch everywhere.")

# %%
gaps = [row["frozen"] - row["from scratch"] for row in rows]
lesson.claim(min(gaps) > 0, "frozen is ahead for every number of pictures")
lesson.claim(max(gaps[:-1]) > gaps[-1], "its lead is not the largest with all pictures")
lesson.claim(
    rows[1]["frozen"] > rows[2]["from scratch"],
    "with 30 % of the pictures it is ahead of the network from scratch with all of them",
)
lesson.claim(
    rows[2]["from scratch"] > rows[1]["from scratch"] + 0.02,
    "from scratch the last step still brings over 2 points",
)

# %% [markdown]
# The curve of the network from scratch still rises at its right end. It would take more pictures
# than we have to meet the other one.

# %% tags=["nbval-ignore-output"]
lesson.footer("fp32")
