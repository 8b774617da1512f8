# %% [markdown]
# # Can a borrowed network learn to name 102 flowers?
#
# You will train a flower classifier by a published recipe, see why one pass over the photos is
# enough for all of its epochs, and turn the result into a file and a program.
#
# | | |
# |---|---|
# | **You will learn** | the six things below |
# | **You should know** | a training loop (lesson 01); freezing, dropout, `eval()` (lesson 02) |
# | **Data** | 102 species of flowers: drawn, or Oxford's photos |
# | **Time** | 45 minutes to read; about 55 seconds to run on two processor cores |
#
# - How a pretrained network, frozen, becomes a classifier of something else.
# - Why a frozen network needs only one pass over the photos.
# - Why validation loss can be below training loss.
# - Which settings of the training matter.
# - How to save a classifier so that it can be opened years later, by anybody.
# - How to make a small program of it, with a test.

# %%
import argparse
import contextlib
import copy
import inspect
import io
import json
import os
import pickle
import re
import subprocess
import sys
import tempfile
import time
from collections import OrderedDict
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from flowerlib import data, features, lesson, metrics, models, plots, train
from flowerlib.classifier import Classifier, legacy

# %% [markdown]
# All settings are in one cell. For photos, set `FLOWERLIB_BACKBONE` and `FLOWERLIB_WEIGHTS` as
# well, for instance to `densenet121` and `imagenet`.

# %% tags=["settings"]
BACKBONE = os.environ.get("FLOWERLIB_BACKBONE", "small_densenet")
WEIGHTS = os.environ.get("FLOWERLIB_WEIGHTS", "small")
PER_CLASS = (20, 5, 5)  # drawn pictures of each species: train, valid, test
HIDDEN, DROPOUT, LR, BATCH, EPOCHS = 512, 0.2, 0.003, 64, 10  # as in the article
SLOW_PHOTOS = 256  # how many of them take the slow path
SEED = 0

# %%
splits = data.flowers(per_class=PER_CLASS)
backbone = models.freeze(models.backbone(BACKBONE, WEIGHTS, seed=SEED))
preprocessing = models.default_preprocessing(backbone)
num_classes = len(splits.class_names)
lesson.banner(splits, backbone)

# %% [markdown]
# ## What do we have?
#
# Three sets of pictures. The network learns from *train*; choices are made on *valid*; *test* is
# used once, at the end. If we chose anything by looking at the test set, its accuracy would no
# longer say how well we do on new flowers.

# %%
parts = {"train": splits.train, "valid": splits.valid, "test": splits.test}
rows = [
    (name, len(part), int(part.counts().min()), int(part.counts().max()))
    for name, part in parts.items()
]
lesson.table(rows, ["split", "pictures", "fewest of a class", "most of a class"])

# %% tags=["hide-input"]
shown = [int(np.flatnonzero(splits.train.labels == label)[0]) for label in range(12)]
pictures = [preprocessing.pixels(splits.train.image(i)) for i in shown]
names = [splits.train.class_name(i) for i in shown]
title = "A training picture of each of the first 12 classes, as the network sees it"
grid = plots.photo_grid(pictures, names, columns=4, title=title)
lesson.show(grid, alt="Twelve flower pictures in three rows, each with the name of its class.")

# %% [markdown]
# This project identifies a class by its name, never by its number. The reason is an old trap: the
# Oxford photos are often stored in folders called `1` to `102`, and most libraries, torchvision's
# `ImageFolder` too, sort folder names as text.

# %%
folders = sorted(str(number) for number in range(1, 103))
shifted = sum(int(name) != index + 1 for index, name in enumerate(folders))
print(folders[:6])
print(f"{shifted} of 102 folders are not where their number says")

# %% [markdown]
# A program that takes index 3 for folder 4 is wrong about most classes, without any error message.
# So the list of names travels with the splits, and later with the saved classifier.
#
# <details><summary>Check yourself: why does folder 10 come before folder 2?</summary>
#
# Text is compared letter by letter, and 1 comes before 2.
# </details>
#
# <details><summary>Check yourself: what if one class has no folder in <code>valid</code>?</summary>
#
# `ImageFolder` then moves all later labels of that split down by one, and no error appears.
# </details>

# %% [markdown]
# ## What is the article's recipe?
#
# The *flower article* of this course, "Faster Machine Learning through Transfer Learning", is one
# of many reports on the final project of a popular course on PyTorch. A network that was trained on
# ImageNet loses its last layer and is frozen. What remains, the
# [backbone](../docs/glossary.md#backbone), turns each photo into a row of numbers, its features. A
# small new [head](../docs/glossary.md#head) learns to name the flower from them.

# %% [markdown] tags=["source"]
# | | the flower article |
# |---|---|
# | photos | Oxford's 102 flowers: 6,552 for training, 818 for validation, 819 for the test |
# | backbone | densenet121 with ImageNet weights, frozen |
# | head | one hidden layer, ReLU, dropout, LogSoftmax |
# | training | NLLLoss, Adam with learning rate 0.003, batches of 64, 10 epochs |
# | result | 91.4 % of the test photos right |
# | time | 62 to 82 minutes on a GPU |

# %% [markdown]
# In plain PyTorch, with densenet121 and its ImageNet weights, it takes three statements:
#
# ```python
# network = torchvision.models.densenet121(weights="IMAGENET1K_V1")
# network.requires_grad_(False)
# network.classifier = nn.Sequential(
#     nn.Linear(1024, 512), nn.ReLU(), nn.Dropout(0.2), nn.Linear(512, 102), nn.LogSoftmax(dim=1)
# )
# ```
#
# The next cell does the same with the backbone of the settings. In torchvision's networks, its last
# layer is already replaced by `nn.Identity()`; that place is called `classifier` in a DenseNet and
# `fc` in a ResNet. LogSoftmax turns scores into logarithms of probabilities;
# [NLLLoss](../docs/glossary.md#nllloss) (negative log likelihood) expects exactly those.


# %%
def new_head(num_features=backbone.num_features):
    """The article's head, with the same initial weights each time."""
    torch.manual_seed(SEED)
    return nn.Sequential(
        nn.Linear(num_features, HIDDEN),
        nn.ReLU(),
        nn.Dropout(DROPOUT),
        nn.Linear(HIDDEN, num_classes),
        nn.LogSoftmax(dim=1),
    )


# %%
network = copy.deepcopy(backbone.body)
network.requires_grad_(False)
last = "fc" if hasattr(network, "fc") else "classifier"
if not hasattr(network, last):  # not torchvision's, and without a last layer: the head comes after
    network = nn.Sequential(OrderedDict(backbone=network))
setattr(network, last, new_head())
side = preprocessing.crop
print(models.summary(network, torch.zeros(1, 3, side, side), depth=2))

# %% [markdown]
# Only the new layers learn. *Frozen* needs one thing more, as lesson 02 showed:
# [BatchNorm](../docs/glossary.md#batchnorm) layers update their running statistics in [training
# mode](../docs/glossary.md#training-mode-and-evaluation-mode), without any gradient. So the network
# goes to `eval()`, and only the head to `train()`. Here is what one batch does in either mode:


# %%
def changed_by(network, images):
    """How many of the network's tensors one forward pass changes."""
    before = copy.deepcopy(network.state_dict())
    with torch.no_grad():
        network(images)
    return sum(not torch.equal(before[key], now) for key, now in network.state_dict().items())


# %%
images, _ = next(iter(data.loader(splits.train, preprocessing, batch_size=BATCH)))
in_train = changed_by(copy.deepcopy(network).train(), images)
in_eval = changed_by(network.eval(), images)
print(
    f"tensors changed: {in_train} in train(), {in_eval} in eval(), of {len(network.state_dict())}"
)
lesson.claim(
    in_train > 0 and in_eval == 0, "without a gradient, train() changes tensors; eval() does not"
)

# %% [markdown]
# <details><summary>Check yourself: why is the head in training mode while the rest is
# not?</summary>
#
# Dropout works in training mode only, and the head has no BatchNorm.
# </details>
#
# <details><summary>Check yourself: what if an optimizer got
# <code>network.parameters()</code>?</summary>
#
# It skips weights without gradients, so nothing would change. Passing only the head's weights says
# what is meant.
# </details>

# %% [markdown]
# ## Does every epoch need the whole network?
#
# Here is the training loop. Each batch goes through the network, the loss goes backward through the
# head, [Adam](../docs/glossary.md#adam) takes a step. A few hundred pictures are enough to measure
# the speed.


# %%
def one_epoch(batches, model, optimizer):
    """Trains in place; returns the loss of every batch."""
    losses = []
    for inputs, labels in batches:
        loss = nn.functional.nll_loss(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


some = splits.train.subset(np.random.default_rng(SEED).permutation(len(splits.train))[:SLOW_PHOTOS])
batches = data.loader(some, preprocessing, batch_size=BATCH)

# %%
head = new_head().train()
setattr(network, last, head)
start = time.perf_counter()
slow_losses = one_epoch(batches, network, torch.optim.Adam(head.parameters(), lr=LR))
slow_seconds = time.perf_counter() - start

# %% [markdown]
# The network is frozen and the pictures stay the same, so the next epoch would compute the same
# features again. Nothing is lost if we compute them once and keep them in a
# [cache](../docs/glossary.md#cache):

# %%
setattr(network, last, nn.Identity())
with torch.no_grad():
    cached = [(network(images), labels) for images, labels in batches]
head = new_head().train()
start = time.perf_counter()
fast_losses = one_epoch(cached, head, torch.optim.Adam(head.parameters(), lr=LR))
fast_seconds = time.perf_counter() - start

# %%
apart = max(abs(slow - fast) for slow, fast in zip(slow_losses, fast_losses, strict=True))
rows = [("through the network", slow_losses[-1], slow_seconds)]
rows += [("on cached features", fast_losses[-1], fast_seconds)]
lesson.table(rows, ["an epoch", "last loss", "seconds"], digits=2, volatile=["seconds"])
lesson.claim(apart < 0.001, "every batch has the same loss both ways, to within 0.001")
lesson.claim(slow_seconds > 5 * fast_seconds, "an epoch on features is over 5 times as fast")

# %% [markdown]
# This is no approximation. It is the same computation without the repetition. It holds as long as
# each picture looks the same in every epoch; [lesson 05](05_heads.ipynb) is about the other case.
#
# The library's short form of the cell above is `features.extract`. It also stores the features on
# disk, under a key of everything that could change them, and runs the network
# [faster](../docs/how_fast.md).

# %%
extract = partial(features.extract, backbone, preprocessing=preprocessing, precision="fp32")
known, valid = extract(splits.train), extract(splits.valid)
with torch.no_grad():
    direct = network(images)
error = float((direct - known.values[: len(images)]).norm() / direct.norm())
lesson.claim(error < 0.001, "cached features differ from fresh ones by less than 0.1 %: rounding")

# %% [markdown]
# <details><summary>Check yourself: could the features be cached if the backbone learned?</summary>
#
# No: its weights would change with every step, and the features with them.
# </details>
#
# <details><summary>Check yourself: and if the pictures were augmented?</summary>
#
# Every epoch would show other pictures, and each would need a pass of its own.
# </details>

# %% [markdown]
# ## Why is validation loss below training loss at first?
#
# Ten epochs now cost little. After each, we measure loss and accuracy on train and on valid, and
# keep the weights of the best epoch. "Reported" is the mean loss of the batches, which most
# programs print as training loss.


# %%
def measured(head, part):
    """Loss and accuracy of a head on a set of features, dropout off."""
    with torch.no_grad():
        logs = head.eval()(part.values)
    loss = float(nn.functional.nll_loss(logs, part.labels))
    return loss, metrics.accuracy(logs, part.labels)


# %%
head, rows, states = new_head(), [], []
order = torch.Generator().manual_seed(SEED)
dataset = TensorDataset(known.values, known.labels)
batches = DataLoader(dataset, batch_size=BATCH, shuffle=True, generator=order)
optimizer = torch.optim.Adam(head.parameters(), lr=LR)
for epoch in range(1, EPOCHS + 1):
    reported = float(np.mean(one_epoch(batches, head.train(), optimizer)))
    rows.append((epoch, reported, *measured(head, known), *measured(head, valid)))
    states.append(copy.deepcopy(head.state_dict()))
best = min(rows, key=lambda row: row[4])

# %%
head.load_state_dict(states[best[0] - 1])
columns = ["epoch", "reported", "train loss", "train accuracy", "valid loss", "valid accuracy"]
lesson.table(rows, columns, caption=f"The best epoch by validation loss: {best[0]}")

# %% [markdown]
# In the first epoch, the head seems to do better on pictures that it never saw than on those it
# learns from. But the column "reported" is not measured like the others: *with* dropout, which
# switches off hidden units at random, and *during* the epoch, while the head still improves.
# Measured alike, the training loss is the lower one.

# %% tags=["hide-input"]
_, reported, fair, _, held_out, _ = (list(column) for column in zip(*rows, strict=True))
axes = plots.lines(
    range(1, EPOCHS + 1),
    {"training, as reported": reported, "training, measured alike": fair, "validation": held_out},
    x_label="epoch",
    y_label="mean loss (nats)",
    log="y",
    title="Measured alike, training loss is below validation loss from the start",
)
lesson.show(axes, alt="Three curves of loss over epochs; the fair training loss is the lowest.")

# %% tags=["hide-input"]
with torch.no_grad():
    noisy = float(nn.functional.nll_loss(head.train()(known.values), known.labels))
lesson.claim(reported[0] > held_out[0], "after epoch 1, the reported training loss is higher")
lesson.claim(all(f < v for f, v in zip(fair, held_out, strict=True)), "measured alike, it is lower")
lesson.claim(noisy > measured(head, known)[0], "dropout raises the loss of the very same weights")
lesson.claim(held_out[-1] - fair[-1] > held_out[0] - fair[0], "at the end, the gap is wider")

# %% [markdown]
# The puzzle was one of measurement. The fair curves say what to expect: loss is lower on the
# training photos, and the gap grows.
#
# <details><summary>Check yourself: which of the two reasons remains without dropout?</summary>
#
# The moment of measuring: the mean over an epoch includes its bad beginning.
# </details>
#
# <details><summary>Check yourself: what does the head learn after the best epoch?</summary>
#
# Nothing that lowers the validation loss: that is how the best epoch was chosen. Where only the
# training loss still falls, the head memorizes.
# </details>

# %% [markdown]
# ## Which settings matter?
#
# The flower article recommends trying other learning rates, batch sizes and depths, and other
# backbones. The first three take moments on cached features; for the last, change `BACKBONE` in the
# settings. `train.fit` is the library's short form of the loop above: it, too, keeps the epoch with
# the lowest validation loss.


# %%
def right_answers(hidden=(HIDDEN,), dropout=DROPOUT, lr=LR, batch=BATCH, epochs=EPOCHS, seed=SEED):
    """Which validation pictures a head gets right that was trained with these settings."""
    torch.manual_seed(seed)
    head = models.hidden_head(backbone.num_features, num_classes, hidden, dropout)
    batches = train.FeatureBatches(known.values, known.labels, batch, shuffle=True, seed=seed)
    train.fit(head, batches, [(valid.values, valid.labels)], epochs=epochs, lr=lr)
    with torch.no_grad():
        return head(valid.values).argmax(1) == valid.labels


# %%
changes = {"another seed": {"seed": SEED + 1}, "a third seed": {"seed": SEED + 2}}
changes |= {f"learning rate {lr:g}": {"lr": lr} for lr in (0.0003, 0.001, 0.01, 0.03)}
changes |= {f"batches of {size}": {"batch": size} for size in (32, 256)}
changes |= {f"dropout {share}": {"dropout": share} for share in (0.0, 0.5)}
changes |= {"no hidden layer": {"hidden": ()}, "128 hidden units": {"hidden": (128,)}}
changes |= {"two hidden layers": {"hidden": (512, 512)}, "3 epochs": {"epochs": 3}}
recipe = right_answers()
found = {name: right_answers(**change) for name, change in changes.items()}
against = {name: metrics.paired_difference(right, recipe) for name, right in found.items()}

# %% tags=["hide-input"]
low, high = metrics.wilson_interval(int(recipe.sum()), len(recipe))
print(
    f"the article's: {recipe.double().mean():.3f} on valid, 95 % interval {low:.3f} to {high:.3f}"
)
groups = {
    "worse": [name for name, (_, _, high) in against.items() if high < 0],
    "better": [name for name, (_, low, _) in against.items() if low > 0],
}
for group, some_names in groups.items():
    print(f"→ {group}: {', '.join(some_names) or 'none'}")
title = "Against the article's settings, same validation pictures"
lesson.show(
    plots.differences(against, title=title),
    alt="Differences in accuracy to the article's settings, with intervals: one row per change.",
)
farthest = [against[f"learning rate {lr:g}"][0] for lr in (0.0003, 0.03)]
lesson.claim(min(farthest) < -0.02, "ten times as large or as small a rate can cost over 2 points")

# %% [markdown]
# Read the figure with care. The first two rows change nothing but the seed, so a difference of
# their size may be luck. And of fourteen intervals at 95 %, one may miss zero by chance: do not
# adopt the best of many settings because of a single interval.
#
# <details><summary>Check yourself: a colleague tries a hundred settings and reports the best
# validation accuracy. What is wrong with that number?</summary>
#
# The best of a hundred is partly the luckiest, so it flatters.
# </details>
#
# <details><summary>Check yourself: how could it be reported honestly?</summary>
#
# Choose on valid, then measure the chosen one once on the test set.
# </details>

# %% [markdown]
# ## How does the classifier leave the notebook?
#
# The flower article reports a loss: networks saved with an older version of the software could not
# be used with the newer one, and had to be trained again. We can replay that. This is how the
# course's students saved their work, with the layer names that DenseNets had in 2017 (`norm.1`
# where it is `norm1` today). We do it with a small DenseNet and an untrained head:

# %%
folder = Path(tempfile.mkdtemp())
dense = models.freeze(models.backbone("small_densenet", "small"))
network, old_head = copy.deepcopy(dense.body), new_head(dense.num_features).eval()
network.classifier = old_head
old_names = {
    re.sub(r"(norm|conv|relu)([12])\.", r"\1.\2.", name) if "denselayer" in name else name: tensor
    for name, tensor in network.state_dict().items()
}
checkpoint = {"arch": "small_densenet", "epochs": EPOCHS, "state_dict": old_names}
checkpoint["classifier"] = old_head
checkpoint["class_to_idx"] = {name: index for index, name in enumerate(splits.class_names)}
torch.save(checkpoint, folder / "checkpoint.pth")

# %%
unmatched = network.load_state_dict(old_names, strict=False).missing_keys
print(f"{len(unmatched)} of {len(old_names)} tensors have another name today")
try:
    torch.load(folder / "checkpoint.pth")
except pickle.UnpicklingError as error:
    print("torch.load:", str(error).partition(".")[0])

# %% [markdown]
# It refuses with good reason. The file contains a [pickle](../docs/glossary.md#pickle), which can
# hold any Python object, such as the head above, and opening it runs code that the *file* chooses:


# %%
class Surprise:
    """What it is pickled as: a call of `print`. It could be any call."""

    def __reduce__(self):
        return print, ("This line was printed by a file that was only opened.",)


torch.save({"weights": Surprise()}, folder / "surprise.pth")
opened = torch.load(folder / "surprise.pth", weights_only=False)

# %% [markdown]
# `weights_only=False`, the advice in the error message, is for files that you trust. The library
# reads old checkpoints without running anything: on the command line,
# `flowerlib import-old checkpoint.pth --out flowers.safetensors`; in Python:

# %%
imported = legacy.read(folder / "checkpoint.pth")
print("found:", *imported.found, sep="\n  ")
print("assumed:", *imported.assumed, sep="\n  ")
inputs = torch.rand(8, dense.num_features)
same = torch.equal(imported.classifier.head(inputs), old_head(inputs))
lesson.claim(same, "the head is recovered bit for bit")
same = imported.classifier.backbone.digest() == dense.digest()
lesson.claim(same, "so is the backbone, under today's names")

# %% [markdown]
# For the future, save [safetensors](../docs/glossary.md#safetensors): plain numbers, names and
# preprocessing in one file. It depends on no version of torch, and there is nothing in it to run.

# %%
classifier = Classifier(backbone, head.eval(), splits.class_names, preprocessing)
model, photo = folder / "flowers.safetensors", folder / "flower.png"
classifier.save(model)
splits.valid.image(0).save(photo)
answer = classifier.predict(photo, top_k=5, precision="fp32")
bars = plots.photo_and_bars(splits.valid.image(0), answer, truth=splits.valid.class_name(0))
lesson.show(bars, alt="A validation picture beside bars for its five most probable classes.")
print(f"{model.stat().st_size / 1e6:.1f} MB")

# %% [markdown]
# And a program around it? `argparse`, part of Python, reads a command line. This is all of it:


# %%
def main(arguments=None):
    """Prints the most probable names of the flower in each photo; returns the exit code."""
    parser = argparse.ArgumentParser(description="Names the flower in a photo.")
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--top", default=3, type=int, help="how many names (default: 3)")
    given = parser.parse_args(arguments)
    classifier = Classifier.load(given.model)
    for photo in given.photos:
        if not photo.is_file():
            print(f"{photo} is not a file.", file=sys.stderr)
            return 1
        answer = classifier.predict(photo, top_k=given.top)
        shares = zip(answer.names, answer.probabilities, strict=True)
        print(f"{photo.name}: {', '.join(f'{name} {share:.0%}' for name, share in shares)}")
    return 0


# %% [markdown]
# Its unit test calls `main` with a list in place of the command line, and asks for what a user
# would notice: the right name first, as many names as asked for, an error in words.


# %%
def test_main():
    """A known photo gets its name; a missing one an error, no traceback."""
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        good = main([str(photo), "--model", str(model), "--top", "2"])
        bad = main(["missing.png", "--model", str(model)])
    assert (good, bad) == (0, 1)
    name, *others = output.getvalue().removeprefix("flower.png: ").split(", ")
    assert name.startswith(classifier.predict(photo).name) and len(others) == 1
    assert "missing.png is not a file" in errors.getvalue()


test_main()

# %% [markdown]
# Last, the program must run outside of this notebook. We write it to a file, and a fresh Python
# process, which knows nothing of our variables, opens classifier and photo:

# %%
header = (
    "import argparse, sys\nfrom pathlib import Path\nfrom flowerlib.classifier import Classifier\n"
)
ending = '\nif __name__ == "__main__":\n    sys.exit(main())\n'
program = folder / "name_flower.py"
program.write_text(f"{header}\n{inspect.getsource(main)}{ending}", encoding="utf-8")
command = [sys.executable, str(program), str(photo), "--model", str(model)]
done = subprocess.run(command, capture_output=True, text=True, check=True)
print(f"$ python name_flower.py flower.png --model flowers.safetensors\n{done.stdout}")

# %% [markdown]
# <details><summary>Check yourself: why does the program read the class names from the file, and not
# from a list in its code?</summary>
#
# A list in the code fits one model only; with another, the program would name the wrong flowers
# without an error.
# </details>
#
# <details><summary>Check yourself: why does the test redirect the output?</summary>
#
# The output is what a user sees, so that is what the test has to look at.
# </details>

# %% [markdown]
# ## Does it hold?
#
# The test set is used here, once, for the head with the article's settings.

# %%
test = classifier.evaluate(splits.test, precision="fp32")
low, high = test.interval
lesson.headline(
    f"test accuracy {test.accuracy:.2f} (95 % interval {low:.2f} to {high:.2f}) on "
    f"{len(splits.test)} new pictures of {num_classes} species, with the article's head"
)

# %%
lesson.measured("04_flowers")

# %% [markdown]
# Only a result on photos can be compared with the article's figure, which has an interval, too
# (Exercise 04.1).
#
# What does borrowing save? The fair opponent is the same network with random weights, all of it
# trained, on the same drawn pictures, and trained *well*: flips, rotations and crops, many epochs,
# a learning rate that rises and falls. That takes too long for a lesson, so it was recorded:

# %%
record = json.loads(Path("..", "results", "scratch.json").read_text(encoding="utf-8"))
frozen, scratch = record["frozen"], {**record["test"], **record}
rows = {"from scratch": scratch, "frozen, 5 seeds": frozen}.items()
rows = [(name, row["accuracy"], *row["interval"], row["processor_seconds"]) for name, row in rows]
lesson.table(rows, ["network", "test accuracy", "low", "high", "processor seconds"], digits=2)

# %% tags=["hide-input"]
epochs = [row["epoch"] for row in record["rows"]]
levels = {"from scratch": [row["valid_accuracy"] for row in record["rows"]]}
levels["frozen, the article's head"] = [frozen["valid_accuracy"]]
axes = plots.lines(epochs, levels, x_label="epoch", title="Recorded on drawn data, validation set")
lesson.show(axes, alt="Validation accuracy over epochs from scratch; the frozen network as a line.")

# %% tags=["hide-input"]
lesson.claim(
    scratch["processor_seconds"] > 10 * frozen["processor_seconds"],
    "from scratch, training took over ten times as long",
)
lesson.verdict(
    *record["frozen_minus_scratch"],
    better="The frozen network is more accurate, too.",
    worse="But given that time, the network from scratch is more accurate.",
    unclear="Given that time, no difference in accuracy can be shown.",
)

# %% [markdown]
# That was measured on drawn pictures only. [Lesson 05](05_heads.ipynb) tries to get more out of the
# frozen network, still without training it.
#
# An accuracy hides which mistakes are made. Look at them:

# %%
counts = metrics.confusion(test.logits, test.labels)
axes = plots.confusion(counts, splits.class_names, name="test", most=10)
lesson.show(axes, alt="The ten pairs of species that are confused most often, with counts.")

# %% tags=["hide-input"]
sure, answers = test.logits.softmax(1).max(1)
wrong = (answers != test.labels).nonzero()[:, 0]
worst = wrong[sure[wrong].argsort(descending=True)][:8].tolist()
pictures = [preprocessing.pixels(splits.test.image(i)) for i in worst]
names = [f"{splits.test.class_name(i)} → {splits.class_names[answers[i]]}" for i in worst]
title = "The surest mistakes on the test set, truth → answer"
grid = plots.photo_grid(pictures, names, columns=4, title=title)
lesson.show(grid, alt="Up to eight test pictures with the right name and the wrong answer.")

# %%
image = splits.test.image(worst[0])
answer = classifier.predict(image, top_k=5, precision="fp32")
bars = plots.photo_and_bars(image, answer, truth=splits.test.class_name(worst[0]))
lesson.show(bars, alt="A test picture beside its five most probable classes; the first is wrong.")
lesson.claim(answer.probabilities[0] > 0.5, "the surest mistake has a probability above a half")

# %% [markdown]
# A wrong answer can be a sure one, however high the accuracy over many pictures.

# %% [markdown]
# ## What can go wrong
#
# - **Frozen is not frozen.** In training mode, BatchNorm's statistics move. Compare tensors before
#   and after.
# - **Labels by position.** Folders sorted as text, or a class folder that is missing in one split,
#   shift every later label. `data.image_folder` refuses such a set and names the class.
# - **Different preprocessing at prediction.** A photo that is resized or normalized differently has
#   other features. That is why the file holds the preprocessing.
# - **Photos on their side.** Cameras store the rotation in the EXIF data. Programs that ignore it
#   show the network a fallen flower.
# - **Loss and last layer that do not fit.** Softmax before CrossEntropyLoss learns slowly; scores
#   without LogSoftmax make NLLLoss negative. `train.fit` refuses both.
# - **Choosing on the test set.** Whoever picks epoch or settings by test accuracy reports a number
#   that will not hold up.
# - **The same photo in train and test.** That makes memorization look like generalization.
#   `data.image_folder` puts equal files into the same split.
# - **Opening somebody's checkpoint with `weights_only=False`.** It may run anything.

# %% [markdown]
# ## Recap
#
# - Freezing means no gradients *and* `eval()`; a new head learns to name new classes.
# - The same picture gives the same features in every epoch, so compute them once.
# - Training loss is reported with dropout on, during the epoch; measure alike before you compare.
# - Some settings matter; for others, no difference can be shown. One as small as that between seeds
#   may be luck.
# - Save numbers, names and preprocessing (safetensors), not Python objects (pickle).
# - A command line is a function of a list of words, and can be tested like any other.

# %% [markdown]
# ## Exercises
#
# ### Exercise 04.1: how sure is the article's figure? (warm-up)
# The article's test set had 819 photos. Derive an interval for its accuracy: how far does the share
# of right answers vary if you draw 819 photos again and again? How many photos would make the
# interval half as wide? Check with `metrics.wilson_interval`.
#
# <details><summary>Hint</summary>
#
# `np.random.default_rng(0).binomial(819, 0.914, size=10_000) / 819` draws ten thousand test sets.
# </details>
#
# ### Exercise 04.2: what does dropout do?
# Train the head with dropout 0, 0.2 and 0.5, with three seeds each. Compare reported training loss,
# training loss measured alike, validation loss and accuracy. Which gap closes? Does the accuracy
# change?
#
# <details><summary>Hint</summary>
#
# `history = train.fit(head, batches, valid, ...)` has `train_loss` as reported; `train.evaluate`
# measures with dropout off.
# </details>
#
# ### Exercise 04.3: an option for your program (challenge)
# Give `main` an option `--least 0.5`: below that probability, the program says "not sure" in place
# of names. Write the test first.
#
# <details><summary>Starter</summary>
#
# ```python
# parser.add_argument("--least", default=0.0, type=float, metavar="SHARE")
# ```
# </details>
#
# ### Exercise 04.4: your own photos
# Put photos of your own into `photos/<class>/`, train the article's head on them, and look at the
# surest mistakes.
#
# <details><summary>Starter</summary>
#
# ```python
# splits = data.image_folder("photos")
# classifier = train.transfer(splits, "small_densenet", head="hidden")
# ```
# </details>
#
# Solutions: [solutions/04_flowers](solutions/04_flowers.ipynb).
#
# Previous: [03_augmentation](03_augmentation.ipynb) · Next: [05_heads](05_heads.ipynb)

# %% [markdown]
# ## Sources
#
# - ["Faster Machine Learning through Transfer
#   Learning"](https://www.tarasowski.de/transfer-learning-image-classifier). The flower article.
#   Its figures (91.4 %, 62 to 82 minutes on a GPU) were not measured here.
# - M.-E. Nilsback, A. Zisserman: [Automated flower classification over a large number of
#   classes](https://doi.org/10.1109/ICVGIP.2008.47), ICVGIP 2008. The photos.
# - G. Huang, Z. Liu, L. van der Maaten, K. Q. Weinberger: [Densely connected convolutional
#   networks](https://arxiv.org/abs/1608.06993), CVPR 2017. The backbone.
# - S. Ioffe, C. Szegedy: [Batch normalization](https://arxiv.org/abs/1502.03167), ICML 2015. The
#   statistics that move.
# - PyTorch documentation: [torch.load](https://docs.pytorch.org/docs/stable/generated/torch.load.html).
#   What `weights_only` means.
# - E. B. Wilson: [Probable inference, the law of succession, and statistical
#   inference](https://doi.org/10.1080/01621459.1927.10502953), Journal of the American Statistical
#   Association 22, 1927. The interval.

# %% tags=["nbval-ignore-output"]
lesson.footer("fp32")
