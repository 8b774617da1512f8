# %% [markdown]
# # Dog or cat: train your own network, borrow one, or not train at all?
#
# You will train a small network from scratch, then put a borrowed one in its place, frozen first
# and partly unfrozen after that, and compare all of them on one page by time and by accuracy.
#
# | | |
# |---|---|
# | **You will learn** | the five things below |
# | **You should know** | Python; what a loss, a gradient step and a convolution are |
# | **Data** | drawn data: drawn pets; photos: photos of dogs and cats |
# | **Time** | drawn data: under a minute on two processor cores; photos: some minutes |
#
# - How a training loop works, written out.
# - Why one network can give two answers to one picture.
# - What the four steps of transfer learning are.
# - Why a frozen network must stay in `eval()`, and how to unfreeze it with care.
# - How to compare classifiers by time and accuracy, on the same pictures.
#
# Previous: [03_augmentation](03_augmentation.ipynb) · Next: [04_flowers](04_flowers.ipynb)

# %%
import copy
import os
import time

import torch
import torchvision
from safetensors.torch import load_file
from torch import nn

from flowerlib import data, features, lesson, metrics, models, plots, train
from flowerlib.transforms import Preprocessing

# %% [markdown]
# All choices stand in one cell. For real photos, set `FLOWERLIB_BACKBONE` and `FLOWERLIB_WEIGHTS`
# as well, for instance to `resnet101` and `imagenet`. `FLOWERLIB_CONTROL` may name a weights file
# of `squeezenet1_1`, or be the word `imagenet`; it is for the last section before the test.

# %% tags=["settings"]
BACKBONE = os.environ.get("FLOWERLIB_BACKBONE", "small_resnet")
WEIGHTS = os.environ.get("FLOWERLIB_WEIGHTS", "small")
CONTROL = os.environ.get("FLOWERLIB_CONTROL", "")  # weights with ImageNet's 1000 classes
PER_CLASS = (100, 60, 200)  # garden pictures of each animal: train, valid, test
SIZE, BATCH = 64, 16  # pixels for the network from scratch; pictures in a batch
LR, EPOCHS, DROPOUT = 0.001, 10, 0.5  # its training
PASSES = 100  # through a head whose dropout stays on
HEAD_LR, HEAD_EPOCHS = 0.001, 20  # a new head on frozen features
STAGE_LR, STAGE_EPOCHS = 0.0001, 3  # the last stage of the borrowed network, unfrozen
SEED = 0
torch.backends.cudnn.allow_tf32 = False  # on a GPU, compute with all digits

# %%
splits = data.dogs_vs_cats(per_class=PER_CLASS)
backbone = models.freeze(models.backbone(BACKBONE, WEIGHTS, seed=SEED))
preprocessing = models.default_preprocessing(backbone)
num_classes = len(splits.class_names)
lesson.banner(splits, backbone)

# %% [markdown]
# ## How far does a small network of our own get?
#
# The task is the oldest exercise in image classification: which of two animals is it? For a
# person it is easy. For a program it is not, since both have fur, ears and four legs, and every
# picture has another pose, light and background.

# %%
shown = [i for label in range(num_classes) for i in (splits.train.labels == label).nonzero()[0][:6]]
pictures = [preprocessing.pixels(splits.train.image(i)) for i in shown]
names = [splits.train.class_name(i) for i in shown]
title = "Training pictures: poses, light and backgrounds vary in both classes"
grid = plots.photo_grid(pictures, names, title=title)
lesson.show(grid, alt="Twelve training pictures in two rows: six cats above, six dogs below.")

# %% [markdown]
# The source first built a network of its own: three convolutions with 32, 64 and 128 filters, a
# pooling after each, a hidden layer of 128 units with dropout, and two outputs. Then it borrowed
# one.

# %% [markdown] tags=["source"]
# | | the source's own network | its borrowed one |
# |---|---|---|
# | network | three convolutions, hidden layer, dropout | resnet101 with ImageNet weights, frozen |
# | training | 10 epochs | one epoch of a new head |
# | accuracy | 84 % | "far better" |
# | time | 70 minutes | 15 minutes on a T4 GPU |

# %% [markdown]
# The library has the same network. Read it once: every layer of it is here, and nothing else.

# %%
lesson.show_source(models.SmallCNN)

# %% [markdown]
# The pictures are small, so all of them fit into memory as one tensor. They are opened once, and
# not again in every epoch. (This is possible because each picture looks the same in every epoch;
# [lesson 01](03_augmentation.ipynb) is about the other case.)

# %%
small = Preprocessing(resize=SIZE, crop=SIZE)


def tensors(part):
    """Images (N, 3, SIZE, SIZE) and labels (N,) of all pictures of a split."""
    batches = data.loader(part, small, batch_size=256)
    return [torch.cat(column) for column in zip(*batches, strict=True)]


# %% [markdown]
# And this is the training loop, without any library around it. For each batch: compute the
# outputs and the loss, forget the old gradients, compute new ones, let the optimizer take a step.
# The function does not care what the network is or what goes in. We will use it three times.


# %%
def one_epoch(model, batches, optimizer):
    """Trains in place, in whatever mode the model is; returns the mean loss."""
    total, count = 0.0, 0
    for inputs, labels in batches:
        loss = nn.functional.cross_entropy(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(labels)
        count += len(labels)
    return total / count


# %%
start = time.perf_counter()
train_images, train_labels = tensors(splits.train)
valid_images, valid_labels = tensors(splits.valid)
torch.manual_seed(SEED)
cnn = models.SmallCNN(num_classes, SIZE, DROPOUT).to(memory_format=torch.channels_last)
batches = train.FeatureBatches(train_images, train_labels, BATCH, shuffle=True, seed=SEED)
optimizer = torch.optim.Adam(cnn.parameters(), lr=LR)
print(f"{sum(weight.numel() for weight in cnn.parameters()):,} weights to learn")

# %% [markdown]
# Around the loop goes a second one, over the epochs. It switches the network to `train()` before
# each pass and measures on the validation set after it; `train.evaluate` switches to `eval()`. The
# weights of the best epoch are kept.

# %%
history = train.History(EPOCHS, num_valid=len(splits.valid))
best, best_state = 0.0, None
for epoch in range(1, EPOCHS + 1):
    cnn.train()
    train_loss = one_epoch(cnn, batches, optimizer)
    valid_loss, accuracy = train.evaluate(
        cnn, [(valid_images, valid_labels)], nn.CrossEntropyLoss()
    )
    history.rows.append({"epoch": epoch, "train_loss": train_loss, "valid_loss": valid_loss,
                         "valid_accuracy": accuracy})  # fmt: skip
    if accuracy > best:
        best, best_state = accuracy, copy.deepcopy(cnn.state_dict())
        history.best_epoch = epoch
cnn.load_state_dict(best_state)
cnn.eval()
scratch_seconds = time.perf_counter() - start

# %%
lesson.table(history.rows, digits={"train_loss": 2, "valid_loss": 2, "valid_accuracy": 2})
curves = plots.curves(history)
curves[0].set_title("Training loss runs away from validation loss", loc="left", fontsize=11)
lesson.show(curves, alt="Training loss falls far below validation loss; accuracy rises.")

# %%
gaps = [row["valid_loss"] - row["train_loss"] for row in history.rows]
fall = history.rows[0]["train_loss"] - history.rows[-1]["train_loss"]
lesson.claim(fall > 0.2, "training loss has fallen")
lesson.claim(gaps[-1] > gaps[0], "at the end validation loss stands higher above it than at first")
guessing = metrics.wilson_interval(len(valid_labels) // 2, len(valid_labels))
lesson.claim(best > guessing[1] + 0.05, "validation accuracy is far above guessing")

# %% [markdown]
# So it learns: without being told what an ear is, from labels alone. But the two losses move
# apart. The network has over a million weights for so few pictures, and it begins to know the
# pictures instead of the animals.

# %% [markdown]
# ## Why does the same picture get two answers?
#
# Dropout switches off hidden units at random, so that the network cannot rely on any single one.
# That is meant for training only. The source called it as a function,
# `torch.nn.functional.dropout(x, p)`. Such a function knows nothing of `eval()`: unless it is
# handed `training=self.training`, it drops units forever, in validation, in the test, and in use.
# A module, `nn.Dropout`, is switched off by `eval()`. Our network has the module; here is its head
# as the source wrote it, with the same weights:


# %%
def slipped(hidden):
    """The head of `cnn` with the slip: this dropout is never switched off."""
    hidden = nn.functional.relu(cnn.head[0](hidden))
    return cnn.head[3](nn.functional.dropout(hidden, DROPOUT))


# %%
torch.manual_seed(SEED)
with torch.inference_mode():
    hidden = cnn.features(valid_images)
    plain = cnn.head(hidden)
    again = cnn.head(hidden)
    noisy = torch.stack([slipped(hidden) for _ in range(PASSES)])  # (PASSES, N, 2)

# %% [markdown]
# Take the one validation picture about which the network is least sure, and ask both heads five
# times. The table gives the probability of a dog.

# %%
dog = [name.startswith("dog") for name in splits.class_names].index(True)
unsure = int((plain.softmax(1)[:, dog] - 0.5).abs().argmin())
slip = noisy[:5, unsure].softmax(1)[:, dog].tolist()
module = [float(logits[unsure].softmax(0)[dog]) for logits in (plain, again)]
rows = [("functional dropout", *slip), ("nn.Dropout", *module, *module[:1] * 3)]
lesson.table(rows, ["head", *(f"pass {number}" for number in range(1, 6))], digits=2)

# %%
answers = noisy.argmax(2)
right = (answers == valid_labels).double().mean(1)  # accuracy of each pass
wavering = float((answers != answers[0]).any(0).double().mean())
spread = [float(value) for value in (right.mean(), right.min(), right.max())]
rows = [("nn.Dropout", best, best, best, 0.0), ("functional dropout", *spread, wavering)]
columns = ["head", "mean accuracy", "worst pass", "best pass", "pictures with two answers"]
lesson.table(rows, columns, digits=2)

# %%
lesson.claim(torch.equal(plain, again), "in eval() the module gives the same answer twice")
lesson.claim(max(slip) - min(slip) > 0.02, "the function gives the same picture other answers")
lesson.claim(wavering > 0.1, "over a tenth of all pictures are called both dog and cat")
losses = [nn.functional.cross_entropy(logits, valid_labels) for logits in (plain, *noisy)]
lesson.claim(torch.stack(losses[1:]).mean() > losses[0], "on average the slip raises the loss")
lesson.claim(right.min() < best - 0.02, "and an unlucky pass costs over 2 points of accuracy")

# %% [markdown]
# Nothing crashed, and the accuracy looks plausible. That is the nature of such slips: they cost a
# little on average, more in an unlucky pass, and only a direct question finds them. Ask your own
# network the same thing twice.

# %% [markdown]
# ## What are the four steps of transfer?
#
# A network that was trained on many other pictures has already learned edges, textures, fur and
# eyes. Borrowing it takes four steps:
#
# 1. **Take** a trained network.
# 2. **Cut** off its last layer, which knows only the old classes.
# 3. **Train a head**, a new last layer, and nothing else.
# 4. **Unfreeze** some of the rest, if it pays.
#
# Steps 1 and 2 were done in the cell of the banner, by `models.backbone`. Where the old last layer
# was, there is now an identity: the features pass through.

# %%
print(list(backbone.body.children())[-1])
lesson.claim(
    not any(models.trainable_parameters(backbone)), "no weight of the backbone asks for a gradient"
)

# %% [markdown]
# Step 3 could send every batch through the whole network in every epoch. But a frozen network
# gives the same features for the same picture each time, so `features.extract` computes them once
# ([lesson 03](04_flowers.ipynb) proves that nothing is lost). We tell it not to use its cache on
# disk, because the time shall count.

# %%
start = time.perf_counter()
train_features, valid_features = [
    features.extract(backbone, part, preprocessing, precision="fp32", cache=False)
    for part in (splits.train, splits.valid)
]
pass_seconds = time.perf_counter() - start

# %% [markdown]
# The head is one linear layer, and it is trained by the loop from above. Only what goes in has
# changed: features in the place of images.

# %%
start = time.perf_counter()
torch.manual_seed(SEED)
head = models.linear_head(backbone.num_features, num_classes)
batches = train.FeatureBatches(
    train_features.values, train_features.labels, BATCH, shuffle=True, seed=SEED
)
optimizer = torch.optim.Adam(head.parameters(), lr=HEAD_LR)
for _ in range(HEAD_EPOCHS):
    one_epoch(head, batches, optimizer)
head_seconds = time.perf_counter() - start

# %%
frozen = metrics.accuracy(head(valid_features.values).detach(), valid_labels)
sizes = [sum(weight.numel() for weight in model.parameters()) for model in (cnn, head)]
rows = [("from scratch", f"{sizes[0]:,}", best), ("frozen", f"{sizes[1]:,}", frozen)]
lesson.table(rows, ["way", "weights trained", "accuracy on valid"], digits=2)
lesson.claim(frozen > best, "the frozen network with a new head is ahead on the validation set")
lesson.claim(pass_seconds > head_seconds, "the one pass took longer than all training of the head")

# %% [markdown]
# A thousand weights or two do better than over a million. The knowledge is in the weights that were
# not trained here; they saw many more pictures than we have. Once the features are there, the head
# costs next to nothing.

# %% [markdown]
# ## Why must a frozen network stay in eval mode?
#
# Without gradients no weight moves. But a BatchNorm layer also holds a running mean and a running
# variance. They are buffers, not weights, and in training mode every batch that passes through
# changes them. A program that calls `network.train()` at the start of an epoch, as ours does,
# thaws them. How much of a network is that? Here is densenet121, the backbone of the next lesson,
# with random weights, no gradient and five small batches of noise:

# %%
densenet = models.Network(models.backbone("densenet121", "none"), models.linear_head(1024, 2))
densenet.requires_grad_(False).train()
before = copy.deepcopy(densenet.state_dict())
for seed in range(5):
    noise = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(seed))
    densenet(noise)
changed = sum(not torch.equal(before[key], now) for key, now in densenet.state_dict().items())
lesson.claim(
    changed == 363 and len(before) == 727, f"{changed} of {len(before)} frozen tensors changed"
)

# %% [markdown]
# That is half of all its tensors. Now the same mistake with our own backbone. In training mode
# BatchNorm also computes with the mean and variance of the batch, so the features of a picture
# depend on the pictures that happen to be beside it. We pass one picture twice, with other
# neighbors each time:

# %%
naive = models.backbone(BACKBONE, WEIGHTS, seed=SEED).requires_grad_(False).train()
mixed = data.loader(splits.train, preprocessing, batch_size=64, shuffle=True, seed=SEED)
images, _ = next(iter(mixed))
companies = [torch.cat([images[:1], others]) for others in (images[1:8], images[8:15])]


def apart(network):
    """How far the features of one picture move with its neighbors, relative to their length."""
    one, other = [network(company)[0] for company in companies]
    return float((one - other).norm() / one.norm())


naive_apart, frozen_apart = apart(naive), apart(backbone)

# %%
lesson.claim(naive_apart > 0.1, "left in train(), other neighbors move features by over 10 %")
lesson.claim(frozen_apart < 0.001, "after models.freeze the neighbors do not matter")

# %% [markdown]
# Then we let a few more small batches pass, switch to `eval()` at last, and put the trained head
# on top. No weight has changed since, but the running statistics have:

# %%
for batch in images.split(8):
    naive(batch)
drifted = features.extract(naive, splits.valid, preprocessing, precision="fp32", cache=False)
moved = float((drifted.values - valid_features.values).norm() / valid_features.values.norm())
after = metrics.accuracy(head(drifted.values), valid_labels)

# %%
rows = [("frozen, in eval()", frozen), ("no gradients, but in train()", after)]
lesson.table(rows, ["backbone", "accuracy on valid"], digits=2)
lesson.claim(moved > 0.1, "the statistics drifted, and features with them, by over 10 %")
lesson.claim(after <= frozen, "the drift does not help")

# %% [markdown]
# How much this costs depends on how unlike the new pictures are. The worst case is a network whose
# statistics were merged into its convolutions, as is often done to make it faster: its BatchNorm
# layers hold mean 0 and variance 1, and real batches have neither. The weights file of our
# recorded run on real photos is of that kind.

# %% [markdown]
# ## Is it worth unfreezing?
#
# Step 4 lets a part of the borrowed network learn as well. Two rules keep it from forgetting what
# it knows:
#
# - **Train the head first.** A random head sends random gradients down. Ours is trained.
# - **Give old weights a smaller learning rate** than new ones. An optimizer takes *parameter
#   groups*, each with a rate of its own.
#
# We unfreeze the last stage only. `models.split` cuts before it: the lower part stays frozen, so
# its output, too, is computed once. The copy keeps our frozen backbone as it is.

# %%
start = time.perf_counter()
lower, stage = models.split(copy.deepcopy(backbone), preprocessing.crop)
train_maps = features.extract(lower, splits.train, preprocessing, precision="fp32", cache=False)
tuned = nn.Sequential(stage, copy.deepcopy(head)).requires_grad_(True)
stage_buffers = copy.deepcopy(dict(stage.named_buffers()))

# %%
optimizer = torch.optim.Adam(
    [
        {"params": tuned[0].parameters(), "lr": STAGE_LR},  # borrowed: small steps
        {"params": tuned[1].parameters(), "lr": HEAD_LR},  # new: larger ones
    ]
)
batches = train.FeatureBatches(train_maps.values, train_maps.labels, BATCH, shuffle=True, seed=SEED)
tuned.eval()  # gradients flow in eval mode, too; BatchNorm keeps its statistics
losses = [one_epoch(tuned, batches, optimizer) for _ in range(STAGE_EPOCHS)]
tune_seconds = time.perf_counter() - start

# %% [markdown]
# Note the mode. `eval()` does not forbid learning. Mode and gradients are two separate switches,
# and here we want *gradients on, mode eval*: few pictures in small batches are a poor source for a
# mean and a variance.

# %%
valid_maps = features.extract(lower, splits.valid, preprocessing, precision="fp32", cache=False)
with torch.inference_mode():
    tuned_accuracy = metrics.accuracy(tuned(valid_maps.values), valid_labels)
rows = [("frozen", frozen), (f"unfrozen for {STAGE_EPOCHS} epochs", tuned_accuracy)]
lesson.table(rows, ["last stage", "accuracy on valid"], digits=2)

# %%
same = all(torch.equal(stage_buffers[name], now) for name, now in stage.named_buffers())
lesson.claim(same, "the running statistics are what they were, bit for bit")
lesson.claim(losses[-1] < losses[0], "the training loss has fallen further")
lesson.claim(tuned_accuracy > best, "and the tuned network is ahead of the one from scratch")

# %% [markdown]
# Training loss falls, since there are many more weights to bend. Whether new pictures profit is
# another question, and a few validation pictures more or less do not answer it. The test will put
# an interval around the difference.

# %% [markdown]
# ## Does it take any training at all?
#
# A network with ImageNet's classes has seen dogs and cats by name: its outputs 151 to 268 are 118
# breeds of dogs, 281 to 285 are five kinds of cats. We can read the answer off them, without one
# step of training. Such a *control* belongs beside every result: it says how much of the success
# is ours. It needs weights with those classes, named in the settings.

# %%
KINDS = {"cat": slice(281, 286), "dog": slice(151, 269)}
kinds = [KINDS[name.rstrip("s")] for name in splits.class_names]


def imagenet_logits(part):
    """Outputs (N, 1000) of squeezenet1_1 for a split; None where no weights are named."""
    if not CONTROL:
        return None
    named = "IMAGENET1K_V1" if CONTROL == "imagenet" else None
    network = torchvision.models.squeezenet1_1(weights=named)
    if named is None:
        network.load_state_dict(load_file(CONTROL))
    network.eval()
    with torch.inference_mode():
        batches = data.loader(part, Preprocessing(resize=256, crop=224), batch_size=25)
        return torch.cat([network(images) for images, _ in batches])


# %% [markdown]
# How should 118 outputs be weighed against five? Summing probabilities lets the dogs win by their
# number: a blurred cat gets a little probability from each of many breeds. A mean over the logits
# of each kind treats both alike. Even without training, that is a choice, and it is made on the
# validation set.

# %%
logits = imagenet_logits(splits.valid)
if logits is None:
    print("No weights with ImageNet's classes are named, so the control is not computed here.")
else:
    sums = torch.stack([logits.softmax(1)[:, kind].sum(1) for kind in kinds], 1)
    means = torch.stack([logits[:, kind].mean(1) for kind in kinds], 1)
    by_sum, by_mean = (metrics.accuracy(answer, valid_labels) for answer in (sums, means))
    rows = [("sum of probabilities", by_sum), ("mean of logits", by_mean)]
    lesson.table(rows, ["rule", "accuracy on valid"], digits=2)
    lesson.claim(by_mean > by_sum, "the mean of logits is fairer to five kinds of cats")

# %% [markdown]
# The garden's pets have no such shortcut: no network knows them by name, and the figure of the
# control stands in the recorded run at the end of the next section. None of our other claims
# leans on it.

# %% [markdown]
# ## Does it hold?
#
# All choices are made: epochs, rates, which stage, which rule. Now the test set is opened, once,
# for all methods together.

# %%
test_images, test_labels = tensors(splits.test)
test_features, test_maps = [
    features.extract(part, splits.test, preprocessing, precision="fp32", cache=False)
    for part in (backbone, lower)
]
with torch.inference_mode():
    outputs = {
        "from scratch": cnn(test_images),
        "frozen": head(test_features.values),
        "fine-tuned": tuned(test_maps.values),
    }
logits = imagenet_logits(splits.test)
if logits is not None:
    outputs["no training"] = torch.stack([logits[:, kind].mean(1) for kind in kinds], 1)

# %% [markdown]
# The seconds count everything that each method had to do before it could answer: opening the
# training and validation pictures, passes through the frozen part, training. *Fine-tuned* began
# with the finished head, so it pays for that as well.

# %%
frozen_seconds = pass_seconds + head_seconds
seconds = {"from scratch": scratch_seconds, "frozen": frozen_seconds}
seconds |= {"fine-tuned": frozen_seconds + tune_seconds, "no training": 0.0}
correct = {way: logits.argmax(1) == test_labels for way, logits in outputs.items()}
scores, rows = {}, []
for way, right in correct.items():
    low, high = metrics.wilson_interval(int(right.sum()), len(right))
    scores[way] = (float(right.double().mean()), low, high)
    rows.append({"way": way, "accuracy": scores[way][0], "low": low, "high": high,
                 "seconds": seconds[way]})  # fmt: skip
lesson.table(rows, digits={"accuracy": 2, "low": 2, "high": 2, "seconds": 1}, volatile=["seconds"])

# %%
axes = plots.figure(7.5, 3.8).subplots()
colors = {"from scratch": plots.ORANGE, "frozen": plots.BLUE, "fine-tuned": plots.GREEN}
for way, color in colors.items():
    value, low, high = scores[way]
    axes.plot([seconds[way]] * 2, [low, high], color=color, lw=3, alpha=0.5)
    axes.plot(seconds[way], value, "o", color=color, ms=8, label=way)
if "no training" in scores:
    axes.axhline(scores["no training"][0], color=plots.GRAY, ls="--", label="no training")
axes.set(xscale="log", xlabel="seconds before the first answer, all included (log scale)")
axes.set_xticks([1, 3, 10, 30, 100, 300], ["1", "3", "10", "30", "100", "300"])
axes.minorticks_off()
axes.set_ylabel("test accuracy, 95 % interval")
axes.set_title("Borrowed networks are more accurate than the one from scratch", loc="left")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
lesson.show(axes, alt="Accuracy against seconds: frozen and fine-tuned lie above from scratch.")

# %% [markdown]
# Intervals side by side waste information, because all methods saw the *same* pictures. On most of
# them two methods agree, and these say nothing about which is better. The paired comparison counts
# only the others: how often was one right where the other was wrong? Its p-value says how often
# two equally good methods would differ at least so much by luck.

# %%
pairs = [("frozen", "from scratch"), ("fine-tuned", "from scratch"), ("fine-tuned", "frozen")]
pairs += [("frozen", "no training")] * ("no training" in correct)
gains, rows = {}, []
for first, second in pairs:
    gain, low, high = gains[first, second] = metrics.paired_difference(
        correct[first], correct[second]
    )
    p_value = f"{metrics.mcnemar_test(correct[first], correct[second]):.1g}"
    rows.append({"first": first, "second": second, "first minus second": gain,
                 "low": low, "high": high, "p-value": p_value})  # fmt: skip
lesson.table(rows)

# %%
told = [
    f"{way} {value:.2f} ({low:.2f} to {high:.2f})" for way, (value, low, high) in scores.items()
]
gain, low, high = gains["frozen", "from scratch"]
lesson.headline(
    f"accuracy on {len(test_labels)} unseen pictures with 95 % intervals: {', '.join(told)}; "
    f"frozen minus from scratch, paired: {gain:.2f} ({low:.2f} to {high:.2f})"
)

# %%
lesson.claim(
    gains["frozen", "from scratch"][1] > 0,
    "frozen beats from scratch: the paired interval is above 0",
)
lesson.claim(gains["fine-tuned", "from scratch"][1] > 0, "and so does fine-tuned")
lesson.claim(
    gains["fine-tuned", "frozen"][1] > -0.05, "fine-tuned is behind frozen by less than 5 points"
)

# %%
lesson.measured("02_dogs_vs_cats")

# %% [markdown]
# Here, too, borrowing beats building, as in the source. The comparison of the two borrowed ones is
# a lesson of its own: if the interval of *fine-tuned minus frozen* contains zero, these test
# pictures cannot tell which is better, and the cheaper one is the sensible choice. More epochs
# would hardly help the network from scratch: its training loss had already run away from its
# validation loss. What it lacks is pictures; Exercise 02.4 measures how many.

# %% [markdown]
# ## What can go wrong
#
# - **Dropout as a function.** Without `training=self.training` it stays on. Ask the same thing
#   twice.
# - **`train()` on a frozen network.** Its statistics drift. `models.freeze` makes the call do
#   nothing.
# - **One large learning rate for everything.** What the borrowed weights knew is soon lost;
#   Exercise 02.3 measures it.
# - **A weak opponent.** A network from scratch with too few epochs, or a bad rate, makes any other
#   look good. Show its curve. And run the control that needs no training.
# - **Time without its cost.** "One epoch" is no unit: with a frozen network it may mean one pass,
#   with kept features next to nothing. Count seconds, and say what is in them.
# - **Two intervals that overlap** do not prove that two methods are equal. Compare in pairs.

# %% [markdown]
# ## Recap
#
# - How a training loop works, written out. *Outputs, loss, gradients, step; measured on other
#   pictures after each epoch.*
# - Why one network can give two answers to one picture. *Its dropout is still on.*
# - What the four steps of transfer learning are. *Take, cut, train a head, unfreeze if it pays.*
# - Why a frozen network must stay in `eval()`, and how to unfreeze it with care. *BatchNorm's
#   statistics change without any gradient; head first, small rate for old weights.*
# - How to compare classifiers by time and accuracy, on the same pictures. *All seconds, all
#   intervals, and the paired difference.*

# %% [markdown]
# ## Exercises
#
# ### Exercise 02.1: can the slip be put to use? (warm-up)
# Average the probabilities of 20 passes with dropout on. Is the average better than a single pass?
# Is it better than one pass with dropout off?
#
# ### Exercise 02.2: does a mirror help?
# A mirrored cat is a cat. Show the network from scratch each validation picture and its mirror
# image, and average the two outputs. Compare in pairs with the picture alone. How many answers
# change?
#
# ### Exercise 02.3: how does a network forget?
# Unfreeze the last stage with one large learning rate for everything, ten and a hundred times the
# small one. Compare the validation accuracy epoch by epoch. Then ask what the stage still knows
# about other pictures: solve a linear head on its features of `data.cifar10()` before, and measure
# the same head after.
#
# ### Exercise 02.4: how many pictures does a network of your own need? (stretch)
# Train both ways with a tenth, three tenths and all of the training pictures, the frozen network
# with several draws. Draw accuracy over pictures on a log axis. How many pictures does the frozen
# network need to equal your own network with all of them?
#
# Solutions: [solutions/02_dogs_vs_cats](solutions/02_dogs_vs_cats.ipynb).
#
# Previous: [03_augmentation](03_augmentation.ipynb) · Next: [04_flowers](04_flowers.ipynb)

# %% [markdown]
# ## Sources
#
# - J. Elson, J. Douceur, J. Howell, J. Saul: "Asirra: a CAPTCHA that exploits interest-aligned
#   manual image categorization", CCS 2007. The photos.
# - N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever, R. Salakhutdinov: "Dropout: a simple way
#   to prevent neural networks from overfitting", JMLR 15, 2014.
# - S. Ioffe, C. Szegedy: "Batch normalization", ICML 2015. The buffers that move.
# - K. He, X. Zhang, S. Ren, J. Sun: "Deep residual learning for image recognition", CVPR 2016.
# - J. Yosinski, J. Clune, Y. Bengio, H. Lipson: "How transferable are features in deep neural
#   networks?", NeurIPS 2014. Freezing and unfreezing, layer by layer.
# - Q. McNemar: "Note on the sampling error of the difference between correlated proportions",
#   Psychometrika 12, 1947. The paired test.
# - The source's figures (84 %, 70 and 15 minutes) are those reported with the recipe; they were not
#   measured here.

# %% tags=["nbval-ignore-output"]
lesson.footer("fp32")
