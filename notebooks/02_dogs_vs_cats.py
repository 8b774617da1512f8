# %% [markdown]
# # Dog or cat: train your own network, borrow one, or not train at all?
#
# You will train a network of your own, put a borrowed one beside it, first frozen and then trained
# in part, and compare them fairly, by accuracy and by time.
#
# | | |
# |---|---|
# | **You will learn** | traps of dropout and BatchNorm, careful unfreezing, fair comparison |
# | **You should know** | the recipe of [lesson 01](01_cat_or_dog.ipynb); what a convolution does |
# | **Data** | drawn cats and dogs, or photos of cats and dogs |
# | **Time** | 40 minutes to read; about 55 seconds to run on two processor cores |
#
# Previous: [01_cat_or_dog](01_cat_or_dog.ipynb) · Next: [03_augmentation](03_augmentation.ipynb)

# %%
import copy
import os
import tempfile
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from flowerlib import data, lesson, metrics, models, plots

# %% [markdown]
# All settings are in one cell. To compare with ResNet101 on photos, set `FLOWERLIB_BACKBONE` to
# `resnet101` and `FLOWERLIB_WEIGHTS` to `imagenet`.

# %% tags=["settings"]
BACKBONE = os.environ.get("FLOWERLIB_BACKBONE", "small_resnet")
WEIGHTS = os.environ.get("FLOWERLIB_WEIGHTS", "pretrained")
PER_CLASS = (30, 60, 200)  # drawn pictures of each animal: train, valid, test
PHOTOS = (300, 60, 200)  # photos of each, at most
SIZE, BATCH, EPOCHS = 96, 16, 32  # both networks: pixels, pictures in a batch, epochs
LR, DROPOUT = 0.001, 0.5  # both networks' learning rate; the dropout of our own
PASSES = 100  # through a head whose dropout stays on
STAGE_LR, STAGE_EPOCHS = 0.0001, 5  # the last stage of the borrowed network, unfrozen
DEPTH = 3 if "resnet" in BACKBONE else 4  # how far the table of layers is opened
SEED = 0

# %%
splits = data.dogs_vs_cats(per_class=PER_CLASS).per_class(PHOTOS)
backbone = models.freeze(models.backbone(BACKBONE, WEIGHTS, seed=SEED))
num_classes = len(splits.class_names)
lesson.banner(splits, backbone)

# %% [markdown]
# ## How far does a network of our own get?
#
# An article about dogs and cats, which this lesson follows, first built a network of its own and
# then borrowed one:

# %% [markdown] tags=["source"]
# | the dogs-and-cats article | its own network | its borrowed network |
# |---|---|---|
# | network | three convolutions (32, 64, 128 filters), hidden layer, dropout | ResNet101, frozen |
# | training | 10 epochs | one epoch of a new head |
# | accuracy | 84 % | "far better" |
# | time | 70 minutes | 15 minutes on a T4 GPU |

# %% [markdown]
# Is that a fair comparison? Only if both networks see the same pictures, at the same size, with the
# same random changes, and are trained for as long as it helps. So both get this
# [augmentation](../docs/glossary.md#augmentation): a random part of the picture, mirrored half the
# time. (Lesson 03 is about it.) Pictures that we measure on are not changed at random.

# %%
usual = models.default_preprocessing(backbone)  # its colors, which our own network gets as well
colors = [
    v2.ToImage(),
    v2.ToDtype(torch.float32, scale=True),
    v2.Normalize(usual.mean, usual.std),
]
crop = v2.RandomResizedCrop(SIZE, scale=(0.6, 1), ratio=(0.9, 1.1))
augment = v2.Compose([crop, v2.RandomHorizontalFlip(), *colors])
plain = v2.Compose([v2.Resize(SIZE), v2.CenterCrop(SIZE), *colors])

# %%
folder = data.to_folders(splits, Path(tempfile.mkdtemp(), "pets"))
train_loader = DataLoader(ImageFolder(folder / "train", augment), BATCH, shuffle=True)


# %%
def whole(part):
    """All images (N, 3, SIZE, SIZE) and labels (N,) of a part, without augmentation."""
    return next(iter(DataLoader(ImageFolder(folder / part, plain), len(getattr(splits, part)))))


images = {part: whole(part) for part in ("train", "valid")}
labels = images["valid"][1]

# %% [markdown]
# Here is the network, with the article's layers. Each [block](../docs/glossary.md#block) has a
# [convolution](../docs/glossary.md#convolution), whose [filters](../docs/glossary.md#filter) look
# for small patterns; [ReLU](../docs/glossary.md#relu), which sets negative values to 0; and a
# [pooling](../docs/glossary.md#pooling) that halves the size. (To save time, the first convolution
# also halves it.) The [hidden layer](../docs/glossary.md#hidden-layer) has
# [dropout](../docs/glossary.md#dropout): in training it sets half of its values to 0 at random, so
# that the network cannot rely on any single one.


# %%
def block(inputs, outputs, stride=1):
    return [nn.Conv2d(inputs, outputs, 3, stride, padding=1), nn.ReLU(), nn.MaxPool2d(2)]


torch.manual_seed(SEED)
body = nn.Sequential(*block(3, 32, stride=2), *block(32, 64), *block(64, 128), nn.Flatten())
hidden = nn.Linear(128 * (SIZE // 16) ** 2, 128)
top = nn.Sequential(hidden, nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(128, num_classes))
own = nn.Sequential(body, top)

# %% [markdown]
# After every epoch we measure loss and accuracy, on the training pictures and on `valid`, both
# without augmentation and in `eval()`. Where it does far better on the former, the network is
# [overfitting](../docs/glossary.md#overfitting).


# %%
def measure(model, inputs):
    row = {}
    with torch.no_grad():
        for part, (values, truth) in inputs.items():
            logits = torch.cat([model(some) for some in values.split(BATCH)])
            row[f"{part}_loss"] = float(nn.functional.cross_entropy(logits, truth))
            row[f"{part}_accuracy"] = metrics.accuracy(logits, truth)
    return row


# %% [markdown]
# The training loop is that of lesson 01. Each network ends with its weights from the epoch with the
# lowest validation loss, so that none is penalized for training too long.


# %%
def fit(model, optimizer, epochs, judge, mode=True):
    rows, best_state = [], None
    for epoch in range(1, epochs + 1):
        start = time.perf_counter()
        model.train(mode)
        for images, labels in train_loader:
            loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        rows.append({"epoch": epoch, "seconds": time.perf_counter() - start} | judge())
        if rows[-1] is best_of(rows):
            best_state = copy.deepcopy(model.state_dict())
    model.load_state_dict(best_state)
    return rows


def best_of(rows):
    return min(rows, key=lambda row: row["valid_loss"])


# %%
optimizer = torch.optim.Adam(own.parameters(), lr=LR)
own_rows = fit(own, optimizer, EPOCHS, lambda: measure(own, images))
last, best = own_rows[-1], best_of(own_rows)["valid_accuracy"]
columns = ["epoch", "train_loss", "valid_loss", "train_accuracy", "valid_accuracy"]
lesson.table(own_rows[3::4], columns, digits=2)

# %% tags=["hide-input"]
print(f"best: epoch {best_of(own_rows)['epoch']}, accuracy {best:.2f} on validation")
lesson.claim(last["train_loss"] < own_rows[0]["train_loss"], "our network learns its pictures")
guess = metrics.wilson_interval(len(labels) // num_classes, len(labels))[1]
lesson.claim(best > guess, "on validation pictures it is better than guessing")
if last["train_accuracy"] - last["valid_accuracy"] > 0.1:
    print("→ At the end it is far more accurate on its training pictures: it overfits.")

# %% [markdown]
# <details><summary>Check yourself: why measure training pictures without augmentation?</summary>
#
# With it, they would be harder than the validation pictures, and dropout would be on. Training loss
# could then be above validation loss, and the two curves could not be compared.
# </details>
#
# <details><summary>Check yourself: what is overfitting?</summary>
#
# The network memorizes its pictures instead of learning what sets all cats apart from all dogs.
# </details>

# %% [markdown]
# ## Why does the same picture get two answers?
#
# Dropout is meant for training only. The article called it as a function,
# `torch.nn.functional.dropout(x, p)`. Such a function does not know about `eval()`: unless it gets
# `training=self.training`, it always sets values to 0, in validation, in the test and in use. The
# module `nn.Dropout` is switched off by `eval()`. Our network has the module. Here is its head as
# the article wrote it, with the same weights:


# %%
def with_bug(inputs):
    hidden = nn.functional.relu(top[0](inputs))
    return top[3](nn.functional.dropout(hidden, DROPOUT))  # never switched off


# %%
torch.manual_seed(SEED)
own.eval()
with torch.no_grad():
    inputs = body(images["valid"][0])
    passes = {
        "nn.Dropout": torch.stack([top(inputs) for _ in range(PASSES)]),
        "the function": torch.stack([with_bug(inputs) for _ in range(PASSES)]),
    }  # each (PASSES, N, num_classes)

# %% [markdown]
# Take the validation picture about which the network is least sure, and ask both heads five times.
# The table gives the probability of the second class:

# %%
unsure = int((passes["nn.Dropout"][0].softmax(1)[:, 1] - 0.5).abs().argmin())
rows = [(name, *logits[:5, unsure].softmax(1)[:, 1].tolist()) for name, logits in passes.items()]
lesson.table(rows, ["dropout by", *(f"pass {number}" for number in range(1, 6))], digits=2)

# %% [markdown]
# And over all validation pictures and all passes:

# %%
rows = []
for name, logits in passes.items():
    answers = logits.argmax(2)
    right = (answers == labels).double().mean(1)
    changing = float((answers != answers[0]).any(0).double().mean())
    rows.append((name, float(right.min()), float(right.max()), changing))
lesson.table(rows, ["dropout by", "worst pass", "best pass", "share with two answers"], digits=2)

# %% tags=["hide-input"]
lesson.claim(rows[0][3] == 0, "with nn.Dropout in eval(), every pass gives the same answers")
lesson.claim(rows[1][3] > 0.1, "with the function, over a tenth of all pictures get two answers")
lesson.claim(rows[1][1] < rows[0][1], "and an unlucky pass is less accurate")

# %% [markdown]
# Nothing crashed, and each accuracy looks plausible. What finds such a bug is a direct test: ask
# your network the same thing twice.
#
# <details><summary>Check yourself: where else would the bug do harm?</summary>
#
# Everywhere: in validation curves, in the choice of the best epoch, in the test, and for each user,
# who may get a different answer every time.
# </details>
#
# <details><summary>Check yourself: what does <code>training=self.training</code> do?</summary>
#
# It passes the module's mode on to the function: dropout is on in `train()` and off in `eval()`.
# </details>

# %% [markdown]
# ## What does a borrowed network bring?
#
# Now the borrowed one. `models.backbone` loads it and cuts off its head, and `models.freeze` calls
# `requires_grad_(False)` and `eval()`, as you did by hand in lesson 01. A new head follows. Layer
# by layer, how many weights learn, and how many are frozen?

# %%
torch.manual_seed(SEED)
head = nn.Linear(backbone.num_features, num_classes)
borrowed = nn.Sequential(backbone, head)
lesson.table(models.summary(borrowed, images["valid"][0][:1], depth=DEPTH).rows)

# %% [markdown]
# The same loop trains it, on the same pictures, with the same augmentation, for as many epochs. To
# measure it, the frozen backbone has to see each unchanged picture only once:

# %%
with torch.no_grad():
    features = {part: (backbone(values), truth) for part, (values, truth) in images.items()}
before = copy.deepcopy(backbone.state_dict())
optimizer = torch.optim.Adam(head.parameters(), lr=LR)
borrowed_rows = fit(borrowed, optimizer, EPOCHS, lambda: measure(head, features))
frozen = best_of(borrowed_rows)["valid_accuracy"]

# %% tags=["hide-input"]
curves = plots.compare_curves(
    {"our own": own_rows, "borrowed": borrowed_rows},
    title=f"On validation, the borrowed network reaches {frozen:.2f}, our own {best:.2f}",
)
lesson.show(curves, alt="Loss and accuracy by epoch on train and valid: our own and the borrowed.")

# %% tags=["hide-input"]
same = [torch.equal(before[key], now) for key, now in backbone.state_dict().items()]
lesson.claim(all(same), f"all {len(same)} tensors of the backbone are what they were, bit for bit")
lesson.claim(frozen > best, "the borrowed network is more accurate on validation")
ahead = next(row["epoch"] for row in borrowed_rows if row["valid_accuracy"] > best)
print(f"→ It passed the accuracy of our own after {ahead} of {EPOCHS} epochs.")
peak = best_of(own_rows)["epoch"]
if peak < EPOCHS - 3:
    print(f"→ Ours was best in epoch {peak}: more of them did not lower its validation loss.")
else:
    print(f"→ Ours was best in epoch {peak}, one of the last: more of them may help it.")

# %% [markdown]
# The borrowed weights did not learn here; they were trained before, on far more pictures than we
# have. How many would our own network need? Exercise 02.4 measures it.
#
# <details><summary>Check yourself: may the borrowed network get larger pictures?</summary>
#
# Not for a fair comparison. You could not tell whether it is better because it is borrowed or
# because it sees more detail.
# </details>
#
# <details><summary>Check yourself: why does the backbone see <code>valid</code> once?</summary>
#
# Neither those pictures nor the backbone change from epoch to epoch. In training, the pictures are
# augmented, so they are different each time.
# </details>

# %% [markdown]
# ## Why must a frozen network stay in eval mode?
#
# Without gradients no weight changes. But a network is more than its weights.
# [BatchNorm](../docs/glossary.md#batchnorm) layers hold the values between other layers in a
# reasonable range, which makes deep networks easier to train: they subtract a mean and divide by a
# standard deviation. In `eval()` these come from the
# [pretraining](../docs/glossary.md#pretraining), stored as [buffers](../docs/glossary.md#buffer).
# In `train()` they come from the current batch, and the buffers move toward its values. A program
# that calls `model.train()` in every epoch does this even to a network without gradients. Let us do
# so, on purpose:

# %%
naive = models.backbone(BACKBONE, WEIGHTS, seed=SEED).requires_grad_(False)
naive.train()  # a frozen backbone of models.freeze would ignore this
before = copy.deepcopy(naive.state_dict())
order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(SEED))
with torch.no_grad():
    batches = [head(naive(images["valid"][0][some])) for some in order.split(BATCH)]
in_train = torch.cat(batches)[order.argsort()]  # back in the old order

# %%
changed = [not torch.equal(before[key], now) for key, now in naive.state_dict().items()]
print(f"{sum(changed)} of {len(changed)} tensors changed, though none has a gradient")
lesson.claim(sum(changed) > 0, "a backbone without gradients changed in train()")

# %% [markdown]
# In `train()`, a picture's features also depend on the other pictures in its batch. Here is one
# picture in two different batches:


# %%
mixed = images["valid"][0][order]


def apart(network):
    """Distance of one picture's features in two batches, relative to their length."""
    batches = [torch.cat([mixed[:1], mixed[at : at + BATCH]]) for at in (1, 1 + BATCH)]
    with torch.no_grad():
        one, other = (network(batch)[0] for batch in batches)
    return float((one - other).norm() / one.norm())


print(f"in train(): {apart(naive):.2f} · frozen: {apart(backbone):.2f}")
lesson.claim(apart(naive) > 0.1, "in train(), another batch moves features by over 10 %")
lesson.claim(apart(backbone) < 0.001, "after models.freeze, the rest of the batch does not matter")

# %% [markdown]
# What does it cost? First the answers given in `train()`, then those after switching back to
# `eval()`, with buffers that moved:

# %%
naive.eval()
with torch.no_grad():
    drifted = head(naive(images["valid"][0]))
    steady = head(features["valid"][0])
answers = {"frozen, in eval()": steady, "in train()": in_train, "eval() again, drifted": drifted}
right = {name: logits.argmax(1) == labels for name, logits in answers.items()}
rows = [
    {"backbone": name, "accuracy on valid": float(r.double().mean())} for name, r in right.items()
]
lesson.table(rows, digits=2)

# %% tags=["hide-input"]
for name in ("in train()", "eval() again, drifted"):
    lesson.verdict(
        *metrics.paired_difference(right[name], right["frozen, in eval()"]),
        better=f"{name}: more accurate here than frozen.",
        worse=f"{name}: less accurate than frozen.",
        unclear=f"{name}: these pictures show no clear difference in accuracy.",
    )

# %% [markdown]
# How much it costs depends on how far the means and deviations of your batches are from the
# stored ones. In any case, the answer for one photo should not depend on which others are in its
# batch.
#
# <details><summary>Check yourself: does <code>requires_grad_(False)</code> freeze it all?</summary>
#
# No: in `train()`, BatchNorm's buffers move without any gradient. It takes `eval()` as well.
# </details>
#
# <details><summary>Check yourself: which other layer of this lesson depends on the mode?</summary>
#
# Dropout.
# </details>

# %% [markdown]
# ## Is it worth unfreezing?
#
# Now we [unfreeze](../docs/glossary.md#unfreezing) a part of the borrowed network, so that it
# learns as well: its last [stage](../docs/glossary.md#stage), the layers that work on the smallest
# maps. This is called [**fine-tuning**](../docs/glossary.md#fine-tuning). Two rules help the
# network not to forget:
#
# - **Train the head first.** The gradients of a random head would change the borrowed weights at
#   random. Ours is trained.
# - **Take smaller steps with borrowed weights** than with new ones. An optimizer accepts *parameter
#   groups*, each with its own learning rate.
#
# In plain PyTorch, one line unfreezes the last stage of a ResNet:
# `network.layer4.requires_grad_(True)`. Here `models.split` also cuts the backbone before that
# stage, so that pictures that do not change pass through the lower part only once. We split a
# copy, because we use the frozen one again.

# %%
lower, stage = models.split(copy.deepcopy(backbone), SIZE)
models.freeze(lower)
tuned = nn.Sequential(lower, stage.requires_grad_(True), copy.deepcopy(head))
optimizer = torch.optim.Adam(
    [
        {"params": tuned[1].parameters(), "lr": STAGE_LR},  # borrowed: small steps
        {"params": tuned[2].parameters(), "lr": LR},  # new: larger ones
    ]
)

# %%
with torch.no_grad():
    maps = {part: (lower(values), truth) for part, (values, truth) in images.items()}
buffers = copy.deepcopy(dict(stage.named_buffers()))
tuned_rows = fit(tuned, optimizer, STAGE_EPOCHS, lambda: measure(tuned[1:], maps), mode=False)
lesson.table([{"epoch": 0} | measure(head, features), *tuned_rows], columns, digits=2)

# %% [markdown]
# `mode=False` trains in `eval()`. Mode and gradients are two separate switches, and here we want
# *gradients on, mode eval*: the few pictures of a batch give a poor mean and standard deviation.

# %% tags=["hide-input"]
same = all(torch.equal(buffers[name], now) for name, now in stage.named_buffers())
lesson.claim(same, "the buffers are what they were, bit for bit")
fall = best_of(borrowed_rows)["train_loss"] - tuned_rows[-1]["train_loss"]
lesson.claim(fall > 0, "the training loss has fallen further")

# %% [markdown]
# Training loss falls, since there are many more weights to adjust. Whether the answers on new
# pictures improve is for the test to say.
#
# <details><summary>Check yourself: does <code>eval()</code> stop a network from learning?</summary>
#
# No. `requires_grad_(False)` and `no_grad()` do.
# </details>
#
# <details><summary>Check yourself: why is the lower part not unfrozen as well?</summary>
#
# It responds to simpler patterns, which most pictures share, and the more weights learn, the easier
# it is to overfit a few pictures.
# </details>

# %% [markdown]
# ## Does it take any training at all?
#
# A simple [control](../docs/glossary.md#baseline): average the features of all training cats, and
# those of all dogs, and give each new picture the class whose mean is nearer. No gradient, no
# epoch, nothing to choose.

# %%
values, truth = features["train"]
means = torch.stack([values[truth == label].mean(0) for label in range(num_classes)])
nearest = metrics.accuracy(-torch.cdist(features["valid"][0], means), labels)
rows = [("our own", best), ("borrowed, nearest mean", nearest), ("borrowed, new head", frozen)]
lesson.table(rows, ["classifier", "accuracy on valid"], digits=2)

# %% [markdown]
# Such a control belongs beside every result. It shows how much of the accuracy was in the features
# already, and how much training the head adds.
#
# <details><summary>Check yourself: could we do the same with the pixels of the pictures?</summary>
#
# Yes, with `flatten(1)` of `images`; try it. But the mean of all cats is a blur, and so is that
# of all dogs.
# </details>
#
# <details><summary>Check yourself: does this control use the labels?</summary>
#
# Yes, those of the training pictures, like the other classifiers. It only needs no gradient
# steps.
# </details>

# %% [markdown]
# ## Does it hold?
#
# All choices are made. Now we open `test`, once, for all classifiers together.

# %%
test_images, test_labels = whole("test")
with torch.no_grad():
    test_features = backbone(test_images)
    outputs = {
        "our own": own(test_images),
        "frozen": head(test_features),
        "fine-tuned": tuned(test_images),
        "nearest mean": -torch.cdist(test_features, means),
    }
correct = {name: logits.argmax(1) == test_labels for name, logits in outputs.items()}

# %%
scores, rows = {}, []
for name, hits in correct.items():
    low, high = metrics.wilson_interval(int(hits.sum()), len(hits))
    scores[name] = float(hits.double().mean()), low, high
    rows.append({"classifier": name, "accuracy on test": scores[name][0], "low": low, "high": high})
lesson.table(rows)

# %%
print(f"our own: {best:.2f} on validation, {scores['our own'][0]:.2f} on test")

# %% [markdown]
# Our own network's epoch was chosen on `valid`, from many that go up and down. Such a choice tends
# to flatter, which is why there is a [test set](../docs/glossary.md#test-set).
#
# And what did they cost? Here are the seconds of training, each with what it builds on: fine-tuning
# began with the trained head. The frozen network saves no passes here, since every augmented
# picture is new to it. Without augmentation it needs one pass for all epochs, as lesson 04 shows.

# %% tags=["nbval-ignore-output"]
seconds = [sum(row["seconds"] for row in rows) for rows in (own_rows, borrowed_rows, tuned_rows)]
parts = {
    "our own": {"the whole network": seconds[0]},
    "frozen": {"a new head": seconds[1]},
    "fine-tuned": {"a new head": seconds[1], "the last stage": seconds[2]},
}
bars = plots.time_bars(parts, title=f"Training time on {len(splits.train)} pictures")
lesson.show(bars, alt="Seconds of training: our own, frozen, and fine-tuned, which adds to frozen.")

# %% [markdown]
# Intervals side by side waste information, because all classifiers saw the *same* pictures. On most
# of them two agree, and these say nothing about which is better. The [paired
# comparison](../docs/glossary.md#paired-comparison) counts only the others: how often was one right
# where the other was wrong? [McNemar's test](../docs/glossary.md#mcnemars-test) asks how often two
# equally good classifiers would differ at least this much by chance; that is its p-value.

# %%
columns = ["first", "second", "difference", "low", "high", "p-value", "both say the same"]
rows = []
for one, other in (("frozen", "our own"), ("fine-tuned", "frozen"), ("frozen", "nearest mean")):
    gain, low, high = metrics.paired_difference(correct[one], correct[other])
    p = metrics.mcnemar_test(correct[one], correct[other])
    rows.append((one, other, gain, low, high, f"{p:.1g}", (p < 0.05) == (low > 0 or high < 0)))
lesson.table(rows, columns)

# %% [markdown]
# Usually the two agree: the interval excludes 0 and p is below 0.05, or neither. In close cases
# they may not. If two classifiers are equally good, the exact test finds a difference in *at most*
# 5 % of comparisons, the interval in about 5 %, so the test is stricter. If the last column says
# "no", call it undecided.


# %% tags=["hide-input"]
def compare(one, other, **sentences):
    """The verdict of the interval, if the exact test agrees."""
    if metrics.mcnemar_test(correct[one], correct[other]) >= 0.05:
        sentences["better"] = sentences["worse"] = sentences["unclear"]
    lesson.verdict(*metrics.paired_difference(correct[one], correct[other]), **sentences)


# %% tags=["hide-input"]
lesson.claim(rows[0][3] > 0, "borrowed and frozen beats our own: the interval is above 0")
compare(
    "fine-tuned",
    "frozen",
    better="Fine-tuning pays.",
    worse="Fine-tuning does harm.",
    unclear="These pictures cannot tell whether fine-tuning pays; frozen is cheaper.",
)
compare(
    "frozen",
    "nearest mean",
    better="Training the head pays.",
    worse="The nearest mean, which needs no training, is better.",
    unclear="These pictures cannot tell whether training the head pays.",
)

# %% tags=["hide-input"]
found = [f"{name} {a:.2f} ({low:.2f} to {high:.2f})" for name, (a, low, high) in scores.items()]
lesson.headline(
    f"{len(splits.train)} training pictures; accuracy on {len(test_labels)} test pictures, 95 % "
    f"intervals: {', '.join(found)}"
)

# %%
lesson.measured("02_dogs_vs_cats")

# %% [markdown]
# ## What can go wrong
#
# - **Dropout as a function.** Without `training=self.training` it stays on. Ask the same thing
#   twice.
# - **`train()` on a frozen network.** Its buffers drift. `models.freeze` makes the call do nothing.
# - **One large learning rate for everything.** What the borrowed weights had learned is soon lost;
#   Exercise 02.3 measures it.
# - **A weak baseline.** A network of your own with fewer pixels, without augmentation or with too
#   few epochs makes any other look good. Give both the same, and show both curves.
# - **Time without its first part.** Fine-tuning starts from a trained head; count that as well.
# - **Two intervals that overlap** do not show that two classifiers are equal. Compare in pairs.

# %% [markdown]
# ## Recap
#
# Dropout as a function stays on; as a module it obeys `eval()`. A frozen backbone needs
# `requires_grad_(False)` *and* `eval()`, since BatchNorm's buffers move without gradients.
# Fine-tune after the head is trained, with small steps, in `eval()`. Compare with the same
# pictures, size, augmentation and epochs, with a control, in pairs, and count all seconds.

# %% [markdown]
# ## Exercises
#
# ### Exercise 02.1: can the bug be put to use? (warm-up)
# Average the probabilities of 20 passes with dropout on. Is the average better than a single pass?
# Is it better than one pass with dropout off?
#
# <details><summary>Hint</summary>
#
# `passes["the function"]` holds the logits of all passes. Average their softmax, not the logits.
# Compare losses as well as accuracies.
# </details>
#
# ### Exercise 02.2: your own photos
# Take about twenty photos each of two things at home. Which classifier can tell them apart, your
# own network or a new head on the borrowed one? How wide is the interval?
#
# <details><summary>Hint</summary>
#
# `data.image_folder(path)` divides class folders into three parts; `data.to_folders` writes these,
# and the cells above run on them. So few photos leave only a handful to test with: expect a wide
# interval.
# </details>

# %%
# Exercise 02.2: start here. Put the path of your own folder in the place of `folder`.
mine = data.image_folder(folder)
print(mine.class_names, mine.sizes())

# %% [markdown]
# ### Exercise 02.3: how does a network forget?
# Unfreeze the last stage with one learning rate for everything: the small one, then ten and a
# hundred times as large. Compare the validation accuracy epoch by epoch. Then find out whether the
# stage is still good for other pictures: solve a linear head on its features of `data.cifar10()`
# before, and measure the same head after.
#
# <details><summary>Hint</summary>
#
# `maps` holds what goes into the stage, so only `tuned[1:]` has to be trained.
# `solvers.logistic(train_features, train_labels, valid_features, valid_labels, num_classes)` solves
# a head.
# </details>
#
# ### Exercise 02.4: how many pictures does a network of your own need? (harder)
# Train both networks with 10, 30 and 100 pictures of each animal, the frozen one with several
# samples of each size. Plot accuracy against the number of pictures, on a log axis. From how many
# pictures on is your own network as good as the frozen one with 30?
#
# <details><summary>Hint</summary>
#
# `data.dogs_vs_cats(per_class=(100, 60, 200))` draws enough; `splits.train.per_class(10, seed=1)`
# takes some. With fewer pictures an epoch has fewer steps, so give it more epochs.
# </details>
#
# Solutions: [solutions/02_dogs_vs_cats](solutions/02_dogs_vs_cats.ipynb).
#
# Previous: [01_cat_or_dog](01_cat_or_dog.ipynb) · Next: [03_augmentation](03_augmentation.ipynb)

# %% [markdown]
# ## Sources
#
# - J. Elson, J. Douceur, J. Howell, J. Saul: [Asirra: a CAPTCHA that exploits interest-aligned
#   manual image categorization](https://doi.org/10.1145/1315245.1315291), CCS 2007. The photos.
# - N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever, R. Salakhutdinov: [Dropout: a simple way
#   to prevent neural networks from overfitting](https://jmlr.org/papers/v15/srivastava14a.html),
#   JMLR 15, 2014.
# - S. Ioffe, C. Szegedy: [Batch normalization](https://arxiv.org/abs/1502.03167), ICML 2015.
# - K. He, X. Zhang, S. Ren, J. Sun: [Deep residual learning for image
#   recognition](https://arxiv.org/abs/1512.03385), CVPR 2016. ResNet101.
# - J. Yosinski, J. Clune, Y. Bengio, H. Lipson: [How transferable are features in deep neural
#   networks?](https://arxiv.org/abs/1411.1792), NeurIPS 2014. Freezing, layer by layer.
# - Q. McNemar: [Note on the sampling error of the difference between correlated
#   proportions](https://doi.org/10.1007/BF02295996), Psychometrika 12, 1947. The exact test.
# - A. Agresti, Y. Min: [Simple improved confidence intervals for comparing matched
#   proportions](https://doi.org/10.1002/sim.1781), Statistics in Medicine 24, 2005. The interval.
# - The figures of the dogs-and-cats article are quoted as published; they were not measured here.

# %% tags=["nbval-ignore-output"]
lesson.footer("fp32")
