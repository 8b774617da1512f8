# %% [markdown]
# # Solutions to lesson 06: first five, last five
#
# The data, the network and the loop of the [lesson](../06_first_five_last_five.ipynb), in short. As
# there, every seed repeats everything, the first training included.

# %%
import copy
import tempfile

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from flowerlib import data, lesson, metrics, plots, transforms

# %% tags=["settings"]
SEED = 0
SEEDS = range(SEED, SEED + 4)
FILTERS, HIDDEN, DROPOUT = 16, 128, 0.25
FIRST_PER_CLASS, FIRST_EPOCHS = 200, 2
PER_CLASS, EPOCHS = 30, 3
MORE = 3  # times as many epochs, or as many pictures
BATCH, LR = 16, 0.001
DRAWN = 250, 40, 60  # drawn data: pictures of each class in train, valid, test

# %%
splits = data.cifar10(per_class=DRAWN)
first = splits.of_classes(splits.class_names[:5])
last = splits.of_classes(splits.class_names[5:])
lesson.banner(splits)

# %%
preprocessing = transforms.Preprocessing(resize=32, crop=32, mean=(0.5,) * 3, std=(0.25,) * 3)


def tensors(part):
    return next(iter(data.loader(part, preprocessing, batch_size=len(part))))


def feature_layers(seed, filters=FILTERS):
    torch.manual_seed(seed)
    one, two = nn.Conv2d(3, filters, 3), nn.Conv2d(filters, filters, 3)
    return nn.Sequential(one, nn.ReLU(), two, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())


def classification_layers(num_classes, seed):
    torch.manual_seed(seed)
    hidden, output = nn.Linear(FILTERS * 14 * 14, HIDDEN), nn.Linear(HIDDEN, num_classes)
    return nn.Sequential(nn.Dropout(DROPOUT), hidden, nn.ReLU(), nn.Dropout(DROPOUT), output)


# %%
@torch.no_grad()
def accuracy(network, pictures):
    network.eval()
    answers = torch.cat([network(batch).argmax(1) for batch in pictures[0].split(50)])
    return float((answers == pictures[1]).double().mean())


def fit(network, pictures, epochs, seed, valid=None):
    """Trains in place; returns the validation accuracy after every epoch."""
    torch.manual_seed(seed)
    order = torch.Generator().manual_seed(seed)
    loader = DataLoader(TensorDataset(*pictures), BATCH, shuffle=True, generator=order)
    trainable = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(trainable, lr=LR)
    found = []
    for _ in range(epochs):
        network.train()
        for inputs, labels in loader:
            loss = nn.functional.cross_entropy(network(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        found.append(accuracy(network, valid) if valid else None)
    return found


# %%
def pretrain(part, seed):
    """Feature layers after a first training on a few pictures of each class of these splits."""
    layers, classes = feature_layers(seed), len(part.class_names)
    pictures = tensors(part.train.per_class(FIRST_PER_CLASS, seed=seed))
    fit(nn.Sequential(layers, classification_layers(classes, seed)), pictures, FIRST_EPOCHS, seed)
    return layers.requires_grad_(False)


@torch.no_grad()
def features_of(layers, pictures):
    return torch.cat([layers(batch) for batch in pictures[0].split(50)]), pictures[1]


# %%
def gain(layers, part, seed, *, epochs=EPOCHS, per_class=PER_CLASS):
    """Validation accuracy after every epoch: on pretrained, frozen layers minus from scratch."""
    pictures = tensors(part.train.per_class(per_class, seed=seed))
    valid, classes = tensors(part.valid), len(part.class_names)
    head = classification_layers(classes, seed)
    scratch = nn.Sequential(feature_layers(seed), copy.deepcopy(head))
    ours = fit(head, features_of(layers, pictures), epochs, seed, features_of(layers, valid))
    return np.subtract(ours, fit(scratch, pictures, epochs, seed, valid))


# %% [markdown]
# ## Exercise 06.1: what does a filter cost?
#
# The first convolution has three input channels, whatever the number of filters. The second has as
# many inputs as outputs.

# %%
rows = []
for filters in (16, 32, 64, 128):
    weights = 3 * 9 * filters + filters, filters * 9 * filters + filters  # the last term: biases
    products = 3 * 9 * filters * 30 * 30, filters * 9 * filters * 28 * 28
    counted = sum(weight.numel() for weight in feature_layers(SEED, filters).parameters())
    lesson.claim(counted == sum(weights), f"{filters} filters: PyTorch counts {counted:,} weights")
    rows.append((filters, *weights, *products))
names = ["weights of 1", "weights of 2", "multiplications of 1", "multiplications of 2"]
lesson.table(rows, ["filters", *names])

# %% [markdown]
# **Answer.** Twice as many filters double the first convolution, in weights and in multiplications,
# and quadruple the second. From 16 filters on, the second is by far the larger one.

# %% [markdown]
# ## Exercise 06.2: does it work in the other direction?

# %%
back = np.array([gain(pretrain(last, seed), first, seed) for seed in SEEDS]).mean(1)
print("gain on the first five classes, one a seed:", np.round(back, 3).tolist())
lesson.verdict(
    *metrics.mean_interval(back),
    better="Answer: yes, pretraining on the last five classes helps with the first five.",
    worse="Answer: no, pretraining on the last five classes harms the first five.",
    unclear="Answer: it cannot be decided from these seeds; repeat with more of them.",
)

# %% [markdown]
# Nothing in the method prefers one direction: what the halves have in common can be transferred
# either way.

# %% [markdown]
# ## Exercise 06.3: steps or pictures?
#
# Three trainings: few pictures; few pictures for three times as many epochs; three times as many
# pictures. The last two take as many steps. We compare the gain after the last epoch.

# %%
forward = {seed: pretrain(first, seed) for seed in SEEDS}
longer = np.array([gain(forward[s], last, s, epochs=MORE * EPOCHS) for s in SEEDS])
gains = {
    "few pictures": longer[:, EPOCHS - 1],
    "few pictures, more steps": longer[:, -1],
    "more pictures and steps": np.array(
        [gain(forward[s], last, s, per_class=MORE * PER_CLASS)[-1] for s in SEEDS]
    ),
}

# %%
epochs = list(range(1, MORE * EPOCHS + 1))
axes = plots.lines(epochs, {"gain": longer.mean(0)}, x_label="epoch", y_label="gain in accuracy")
axes.set_title("Gain by transfer on few pictures, mean of the seeds", loc="left", fontsize=11)
lesson.show(axes, alt="The gain by transfer after each of nine epochs.")

# %%
few, steps, pictures = gains.values()
lesson.table(
    [(n, *metrics.mean_interval(g)) for n, g in gains.items()], ["", "gain", "low", "high"]
)
lesson.verdict(
    *metrics.mean_interval(few - steps),
    better="With more steps on the same pictures, the gain shrinks.",
    worse="With more steps on the same pictures, the gain grows.",
    unclear="More steps on the same pictures make no clear difference to the gain.",
)
lesson.verdict(
    *metrics.mean_interval(steps - pictures),
    better="With as many steps, the gain is smaller if there are more pictures.",
    worse="With as many steps, the gain is larger if there are more pictures.",
    unclear="With as many steps, the number of pictures makes no clear difference to the gain.",
)

# %% [markdown]
# **Answer.** The first sentence above says what steps do to the gain, the second what pictures do.
# Where one finds no clear difference, four seeds are too few for a difference of this size.

# %% [markdown]
# ## Exercise 06.4: your own classes
#
# As we do not have your photos, eight species of drawn flowers are written into a folder, which is
# then read as yours would be.

# %%
with tempfile.TemporaryDirectory() as folder:
    drawn = data.garden("flowers", per_class=(60, 20, 20), size=64, num_classes=8)
    mine = data.image_folder(data.to_folders(drawn, f"{folder}/photos"))
    half = len(mine.class_names) // 2
    one, other = (
        mine.of_classes(mine.class_names[part]) for part in (slice(half), slice(half, None))
    )
    own = np.array([gain(pretrain(one, seed), other, seed) for seed in SEEDS]).mean(1)

# %%
print("gain on the other half, one a seed:", np.round(own, 3).tolist())
lesson.verdict(
    *metrics.mean_interval(own),
    better="Answer: pretraining on one half of these species helps with the other.",
    worse="Answer: pretraining on one half of these species harms the other.",
    unclear="Answer: for these species, the gain is not clear.",
)

# %% [markdown]
# On photos of your own, compare with a borrowed network as well (lesson 05): a small network that
# has seen a few hundred photos is a weak teacher.

# %% tags=["nbval-ignore-output"]
lesson.footer("fp32")
