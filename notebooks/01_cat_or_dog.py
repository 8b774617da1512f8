# %% [markdown]
# # A quick win: is it a cat or a dog?
#
# You will turn a network that others trained into a classifier of cats and dogs, in plain PyTorch
# that you can carry to any project.
#
# | | |
# |---|---|
# | **You will learn** | transfer learning's recipe: borrow, cut, freeze, new head, train, test |
# | **You should know** | Python; what a tensor is |
# | **Data** | drawn cats and dogs, or photos of cats and dogs |
# | **Time** | 30 minutes to read; about 35 seconds to run on two processor cores |
#
# Important terms are **bold** where they first appear, with a link to the
# [glossary](../docs/glossary.md). The folded questions are for you: answer, then unfold.
#
# Next: [02_dogs_vs_cats](02_dogs_vs_cats.ipynb)

# %%
import copy
import os
import tempfile
from collections import OrderedDict
from importlib import resources
from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from flowerlib import data, lesson, metrics, models, plots, train

# %% [markdown]
# All settings are in one cell. Run the lesson as it is first; then change a number and run it
# again.

# %% tags=["settings"]
BACKBONE = os.environ.get("FLOWERLIB_BACKBONE", "small_densenet")
WEIGHTS = os.environ.get("FLOWERLIB_WEIGHTS", "pretrained")
PER_CLASS = (30, 60, 200)  # pictures of each animal: to train, to validate, to test
SIZE = 96  # side of the pictures that our network expects, in pixels
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # its colors: red, green, blue
BATCH, EPOCHS, LR = 16, 12, 0.003
SEED = 0

# %%
splits = data.dogs_vs_cats(per_class=PER_CLASS).per_class(PER_CLASS)
lesson.banner(splits)

# %% [markdown]
# ## What is on the disk?
#
# Photos for a classifier are usually stored in one folder per
# [**class**](../docs/glossary.md#class), inside `train`, `valid` and `test`. We write our pictures
# to such folders, as you would store your own:

# %%
folder = data.to_folders(splits, Path(tempfile.mkdtemp(), "pets"))
for place in sorted(folder.glob("*/*")):
    print(f"{place.relative_to(folder).as_posix():12} {len(list(place.iterdir())):4} pictures")

# %% [markdown]
# The network learns from `train`. With `valid`, the [**validation
# set**](../docs/glossary.md#validation-set), we watch how well it does and make our choices, and
# `test` stays closed until the end. torchvision reads such folders: the name of the folder is the
# class, and the class gets a number, its [**label**](../docs/glossary.md#class).

# %%
train_set = ImageFolder(folder / "train")
picture, label = train_set[0]
print(train_set.class_to_idx)
print(f"{len(train_set)} pictures; the first is {picture.size} pixels and has label {label}")

# %% tags=["hide-input"]
some = [i for label in (0, 1) for i in range(len(train_set)) if train_set.targets[i] == label]
some = some[:6] + some[-6:]
grid = plots.photo_grid(
    [train_set[i][0] for i in some],
    [train_set.classes[train_set[i][1]] for i in some],
    title="Cats and dogs come in many colors and poses",
)
lesson.show(grid, alt="Twelve training pictures in two rows: six cats above, six dogs below.")

# %% [markdown]
# <details><summary>Check yourself: why are there three folders, and not one?</summary>
#
# A network can memorize what it learns from, so it must be measured on other pictures. And the best
# of many networks on `valid` is partly the luckiest one; only `test` can say how good it is.
# </details>
#
# <details><summary>Check yourself: which label would a third folder "bird" get?</summary>
#
# 0: torchvision sorts the names, so "bird" comes first, and cats and dogs move up to 1 and 2. That
# is why you should store class names with a network, never numbers alone.
# </details>

# %% [markdown]
# ## What do we borrow?
#
# A network for pictures is a chain of layers. Early ones usually respond to edges and colors,
# later ones to textures and parts. These are useful for most kinds of pictures, so you need not
# learn them [**from scratch**](../docs/glossary.md#from-scratch): people publish networks
# together with their [**weights**](../docs/glossary.md#parameter), the numbers that training
# found. Using them for a task of your own is called [**transfer
# learning**](../docs/glossary.md#transfer-learning). In your own project, one line loads such a
# network and downloads its weights once:
#
# ```python
# network = torchvision.models.densenet121(weights="IMAGENET1K_V1")
# ```
#
# It was trained on [**ImageNet**](../docs/glossary.md#imagenet), which has over a million photos of
# 1000 classes. So that you need no download here, we use a smaller network of the same kind. Its
# weights come with this project: it was trained on drawn patterns, never on a pet, to imitate a
# network trained on ImageNet.

# %%
if BACKBONE == "small_densenet":
    network = torchvision.models.DenseNet(64, (1, 2, 6, 6), 32, bn_size=1)
    file = resources.files("flowerlib.models") / "weights" / "small_densenet.safetensors"
    print(network.load_state_dict(load_file(str(file)), strict=False))
else:  # another one, named in the settings, with the size and colors that it was trained with
    borrowed = models.backbone(BACKBONE, WEIGHTS)
    network = nn.Sequential(OrderedDict(backbone=borrowed, head=nn.Identity()))  # already cut
    usual = models.default_preprocessing(borrowed)
    SIZE, MEAN, STD = usual.crop, usual.mean, usual.std

# %%
for name, layer in network.named_children():
    count = sum(weight.numel() for weight in layer.parameters())
    print(f"{name}: {type(layer).__name__}, {count:,} weights")

# %% [markdown]
# The network has two parts. Most of it is the [**backbone**](../docs/glossary.md#backbone), which
# turns a picture into a few hundred numbers, its [**features**](../docs/glossary.md#features).
# The last layer is the [**head**](../docs/glossary.md#head), which decides between classes by
# those numbers. The old head is of no use to us: it names the old classes, not ours. (Our small
# network comes without one: its file does not hold the head's weights, the "missing keys" above.)
# So we cut it off, by putting a layer in its place that does nothing:

# %%
name = list(dict(network.named_children()))[-1]  # "classifier" in a DenseNet, "fc" in a ResNet
setattr(network, name, nn.Identity())
print(name, "is now", getattr(network, name))

# %% [markdown]
# In your own project, you know the name and write `network.classifier = nn.Identity()`.
#
# <details><summary>Check yourself: which part decides that a picture shows fur?</summary>
#
# Neither says so in words. Some features of the backbone may be large for fur; the head learns
# whether they are evidence for a cat or for a dog.
# </details>
#
# <details><summary>Check yourself: could we keep the old head and train it a little?</summary>
#
# No: it has one output for each old class. ImageNet has many breeds, for example, but no class
# that is just "cat" or "dog". What we borrow the network for are the layers before the head.
# </details>

# %% [markdown]
# ## What does the network see?
#
# A network expects pictures like those that it was trained on: of the same size, with colors
# shifted and scaled by the same means and standard deviations. Making them so is called
# [**preprocessing**](../docs/glossary.md#preprocessing). The next cell turns a picture into a
# [**tensor**](../docs/glossary.md#tensor) with three numbers for each pixel: red, green and blue.

# %%
preprocess = v2.Compose(
    [
        v2.Resize(SIZE),
        v2.CenterCrop(SIZE),
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),  # 0 … 255 becomes 0 … 1
        v2.Normalize(MEAN, STD),
    ]
)

# %% [markdown]
# A `DataLoader` hands out the pictures in [**batches**](../docs/glossary.md#batch), a few at a
# time, which is faster than one by one. Training pictures are shuffled; the others need no
# shuffling.


# %%
def loader(part, shuffle=False):
    order = torch.Generator().manual_seed(SEED)  # the same order in every run of this lesson
    return DataLoader(ImageFolder(folder / part, preprocess), BATCH, shuffle, generator=order)


train_loader = loader("train", shuffle=True)
images, labels = next(iter(train_loader))
print("images", tuple(images.shape), "labels", labels.tolist())

# %% [markdown]
# Now the batch passes through the backbone. `eval()` says that we use the network and do not train
# it; more on that below. `no_grad()` tells PyTorch not to prepare for learning.

# %%
device = "cuda" if torch.cuda.is_available() else "cpu"
network = network.to(device).eval()
with torch.no_grad():
    features = network(images.to(device))
print(f"{len(features)} pictures, {features.shape[1]} features each")

# %% [markdown]
# What happens in between? The layers turn a picture into [**feature
# maps**](../docs/glossary.md#feature-map), small gray pictures that are bright where a layer found
# what it responds to. Layers whose maps have the same size form a
# [**stage**](../docs/glossary.md#stage). Here are maps of one picture at the end of every stage; of
# each stage, the five that vary most. (The folded code notes what every layer puts out while the
# picture passes. You can skip it.)

# %% tags=["hide-input"]
maps = {}


def note(layer, inputs, output):
    """Keeps the last maps of each size."""
    if output.ndim == 4 and 1 < output.shape[-1] < SIZE // 2:
        maps[output.shape[-1]] = output[0].cpu()


hooks = [layer.register_forward_hook(note) for layer in network.modules()]
with torch.no_grad():
    network(images[:1].to(device))
for hook in hooks:
    hook.remove()

# %% tags=["hide-input"]
stages = {f"stage {number}": values for number, values in enumerate(maps.values(), 1)}
red, green, blue = (images[0, color] * STD[color] + MEAN[color] for color in range(3))
shown = torch.stack([red, green, blue], dim=2).clip(0, 1).numpy()
drawn = plots.feature_maps(shown, stages, title="One picture, and five maps of each stage")
lesson.show(drawn, alt="One picture and five feature maps of each stage; they become coarser.")

# %% [markdown]
# From stage to stage, maps become smaller, and each of their pixels sums up a larger part of the
# picture. In the last stage, negative values are set to 0 and each map is averaged. These averages
# are the features:

# %%
averages = list(maps.values())[-1].clamp(min=0).mean(dim=(1, 2))
close = torch.allclose(averages, features[0].cpu(), atol=1e-4)
lesson.claim(close, "each feature is the average of one map of the last stage")

# %% [markdown]
# <details><summary>Check yourself: what are the numbers in <code>images.shape</code>?</summary>
#
# Pictures in the batch, colors, height, width.
# </details>
#
# <details><summary>Check yourself: where in the picture is the ear? Can the features say?</summary>
#
# Hardly: an average over the whole map does not say where the map was bright.
# </details>

# %% [markdown]
# ## What learns, and what stays as it is?
#
# The backbone has learned from very many pictures, and our few might spoil it sooner than improve
# it. So it is [**frozen**](../docs/glossary.md#frozen), which takes two lines. The first excludes
# its weights from learning. The second matters as much: unless a network is in `eval()`, some
# layers change a little whenever pictures pass, even if no weight learns. (Lesson 02 shows what
# happens then, and tries a backbone that may learn.)

# %%
network.requires_grad_(False)
network.eval()
before = copy.deepcopy(network.state_dict())  # for a check at the end

# %% [markdown]
# The new head is a single layer, with one output for each of our classes. It starts with random
# weights; the [**seed**](../docs/glossary.md#seed) makes them the same in every run. Backbone and
# head, one after the other, are our model:

# %%
torch.manual_seed(SEED)
head = nn.Linear(features.shape[1], len(train_set.classes))
model = nn.Sequential(network, head).to(device)
summary = models.summary(model, images[:1].to(device))
lesson.table(summary.rows)

# %% tags=["hide-input"]
parts = [(name, values.shape) for name, values in stages.items()]
diagram = plots.transfer_diagram(
    [*parts, ("features", (features.shape[1],))],
    image=images[0].shape,
    removed="old head: the old classes",
    head=f"new head: {len(train_set.classes)} classes",
    title="Only the new head learns",
)
lesson.show(diagram, alt="Stages from picture to features are frozen; a new head replaces the old.")

# %%
share = summary.trainable / (summary.trainable + summary.frozen)
print(f"{summary.trainable:,} of all weights learn: {share:.2%}")
lesson.claim(share < 0.01, "less than 1 % of the weights learn")

# %% [markdown]
# The fewer weights have to be learned, the fewer pictures are usually enough.
#
# <details><summary>Check yourself: how many weights does a head for ten classes have?</summary>
#
# One for each feature and class, and one more per class, the bias: with 620 features, 620 × 10 + 10
# = 6,210.
# </details>
#
# <details><summary>Check yourself: the table's last row says "mixed". Is that a mistake?</summary>
#
# No: the backbone is in `eval()`, as it must be. The head is in `train()`, where a new layer
# begins; a single linear layer does the same in both.
# </details>

# %% [markdown]
# ## How does the head learn?
#
# Let the untrained model answer. Its two outputs per picture are called
# [**logits**](../docs/glossary.md#logits): any numbers, and the larger one is the answer.
# [**Softmax**](../docs/glossary.md#softmax) turns them into probabilities, which are positive and
# sum to 1.

# %%
with torch.no_grad():
    logits = model(images[:3].to(device)).cpu()
print("logits", logits)
print("softmax", logits.softmax(1))

# %% [markdown]
# The [**loss**](../docs/glossary.md#loss) says in one number how bad the answers are:
# [**cross-entropy**](../docs/glossary.md#cross-entropy) is small if the right class gets a high
# probability. The loop below has five lines, and nearly every program that trains a network has the
# same five. For each batch, answer and measure the loss; clear the old
# [**gradients**](../docs/glossary.md#gradient-step); compute new ones, which say for each weight in
# which direction the loss falls; let the [**optimizer**](../docs/glossary.md#optimizer) take a step
# in that direction, of a length that the [**learning rate**](../docs/glossary.md#learning-rate)
# sets. Going through all training pictures once is an [**epoch**](../docs/glossary.md#epoch).


# %%
def one_epoch(model, optimizer):
    for images, labels in train_loader:
        loss = nn.functional.cross_entropy(model(images.to(device)), labels.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def right(model, batches):
    with torch.no_grad():
        answers = [(model(images.to(device)).argmax(1).cpu(), labels) for images, labels in batches]
    return torch.cat([answer == labels for answer, labels in answers])


# %% [markdown]
# The second function returns, for each picture, whether the answer was right. The share of right
# answers is the [**accuracy**](../docs/glossary.md#accuracy). We watch it on `valid`, whose
# pictures the head does not learn from:

# %%
valid_loader = loader("valid")
optimizer = torch.optim.Adam(head.parameters(), lr=LR)
rows = [{"epoch": 0, "accuracy on valid": float(right(model, valid_loader).double().mean())}]
for epoch in range(1, EPOCHS + 1):
    one_epoch(model, optimizer)
    if epoch % 3 == 0:
        accuracy = float(right(model, valid_loader).double().mean())
        rows.append({"epoch": epoch, "accuracy on valid": accuracy})
lesson.table(rows, digits=2)

# %% tags=["hide-input"]
same = [torch.equal(before[key], now) for key, now in network.state_dict().items()]
lesson.claim(all(same), f"all {len(same)} tensors of the backbone are what they were, bit for bit")
guess = 1 / len(train_set.classes)
learned = rows[-1]["accuracy on valid"] - rows[0]["accuracy on valid"]
lesson.claim(learned > 0.1, "training raised the accuracy on valid by over 10 points")

# %% [markdown]
# Now ask it about one picture that it did not learn from:

# %%
valid_set = ImageFolder(folder / "valid")
picture, label = valid_set[-1]
with torch.no_grad():
    probabilities = model(preprocess(picture)[None].to(device)).softmax(1)[0].cpu()
answer = train_set.classes[int(probabilities.argmax())]
print(f"answer {answer} ({float(probabilities.max()):.0%}), right is {train_set.classes[label]}")

# %% [markdown]
# <details><summary>Check yourself: what accuracy do you expect at epoch 0?</summary>
#
# One half, on average over many random heads: a head with its two outputs exchanged is just as
# likely, and right exactly where the other is wrong. A single head may be above or below.
# </details>
#
# <details><summary>Check yourself: why does softmax not appear in the loop?</summary>
#
# `cross_entropy` takes logits and applies it itself. If softmax is applied twice, learning is slow,
# and no error message says why.
# </details>

# %% [markdown]
# ## Can it be shorter?
#
# Yes: in three lines, with this project's library.

# %%
pets = data.image_folder(folder)
classifier = train.transfer(pets, backbone=BACKBONE, weights=WEIGHTS)
prediction = classifier.predict(picture)

# %%
print(f"answer {prediction.name} ({prediction.probabilities[0]:.0%})")

# %% [markdown]
# This is the same recipe, refined; later lessons build it step by step. The frozen backbone sees
# every picture once, and its features are stored (lesson 04). The head is solved rather than
# trained in small steps, and may use features of earlier stages as well (lesson 05). After all
# choices are made on `valid`, the head learns from those pictures, too. And the classifier holds
# the class names and the preprocessing, and can be saved in one file.
#
# <details><summary>Check yourself: why may the backbone see every picture only once?</summary>
#
# It is frozen, so the same picture gives the same features every time.
# </details>
#
# <details><summary>Check yourself: what would be lost if only the weights were saved?</summary>
#
# The class names and the preprocessing. Whoever loads the weights would have to guess both.
# </details>

# %% [markdown]
# ## Does it hold?
#
# All choices are made, so we open `test`, once. One question is left: do the borrowed weights
# matter, or would any network do? So we add a [**control**](../docs/glossary.md#baseline): the same
# three lines with random weights in the backbone. Nothing else changes.

# %%
control = train.transfer(pets, backbone=BACKBONE, weights="none", seed=SEED)

# %%
test_loader = loader("test")
paths, numbers = zip(*test_loader.dataset.samples, strict=True)
truth = [train_set.classes[number] for number in numbers]


def right_names(classifier):
    answers = classifier.predict(list(paths))
    return torch.tensor([a.name == name for a, name in zip(answers, truth, strict=True)])


correct = {
    "our loop": right(model, test_loader),
    "the library": right_names(classifier),
    "the library, random weights": right_names(control),
}

# %% [markdown]
# An accuracy measured on a few hundred pictures is not exact: on others, it would be a little
# different. The 95 % [**interval**](../docs/glossary.md#confidence-interval) says how far off it
# may reasonably be.

# %%
rows = []
for name, hits in correct.items():
    low, high = metrics.wilson_interval(int(hits.sum()), len(hits))
    accuracy = float(hits.double().mean())
    rows.append({"model": name, "accuracy on test": accuracy, "low": low, "high": high})
lesson.table(rows)

# %% tags=["hide-input"]
ours, library, blank = ([row[key] for key in ("accuracy on test", "low", "high")] for row in rows)
lesson.claim(ours[1] > guess, "our loop is better than guessing: its interval lies above one half")
gain, low, high = metrics.paired_difference(*list(correct.values())[1:])
lesson.claim(low > 0, f"borrowed weights gain {gain:.2f} (95 % interval {low:.2f} to {high:.2f})")
if blank[1] > guess:
    print("→ Random weights beat guessing, too: even random filters pass on shapes and colors.")
lesson.verdict(
    *metrics.paired_difference(correct["the library"], correct["our loop"]),
    better="The library, which learned from valid as well, is more accurate than our loop.",
    worse="Our loop is more accurate than the library.",
    unclear="These pictures cannot tell which is more accurate, our loop or the library.",
)

# %% tags=["hide-input"]
lesson.headline(
    f"accuracy on {len(truth)} test pictures with 95 % intervals: plain PyTorch "
    f"{ours[0]:.2f} ({ours[1]:.2f} to {ours[2]:.2f}), the library's three lines {library[0]:.2f} "
    f"({library[1]:.2f} to {library[2]:.2f}), the same with random weights {blank[0]:.2f} "
    f"({blank[1]:.2f} to {blank[2]:.2f})"
)

# %%
lesson.measured("01_cat_or_dog")

# %% [markdown]
# How much the borrowed weights gain depends on the photos. The recipe stays the same.

# %% [markdown]
# ## What can go wrong
#
# - **`eval()` is forgotten.** The backbone is then not quite frozen. Lesson 02 measures it.
# - **Preprocessing differs** between training and use. No error appears; Exercise 01.2 measures it.
# - **Labels without names.** A new class folder shifts the numbers. Store the names.
# - **Softmax before `cross_entropy`.** It is applied twice, and the model learns slowly.
# - **Choosing on `test`.** The accuracy of the best is then too good to be true.

# %% [markdown]
# ## Recap
#
# Borrow a trained network. Cut off its head: what comes out are features. Freeze the backbone with
# `requires_grad_(False)` and `eval()`. Put a new head on it, train that head in five lines, watch
# `valid`, and measure on `test` once, with an interval.

# %% [markdown]
# ## Exercises
#
# ### Exercise 01.1: which pictures are hard? (warm-up)
# Show the validation pictures that the model gets wrong. Do they have something in common?
#
# <details><summary>Hint</summary>
#
# `hits = right(model, valid_loader)` says which ones; the loader does not shuffle, so the order is
# that of `valid_set.samples`. `plots.photo_grid` shows them.
# </details>

# %%
# Exercise 01.1: start here.
wrong = (~right(model, valid_loader)).nonzero().flatten().tolist()

# %% [markdown]
# ### Exercise 01.2: what if preprocessing is forgotten?
# Somebody uses the model without `Normalize`. What happens to the accuracy on `valid`?
#
# <details><summary>Hint</summary>
#
# Copy `preprocess` without its last line, and give it to `ImageFolder` in a new `DataLoader`.
# </details>
#
# ### Exercise 01.3: is another learning rate better?
# Train a new head with a tenth and with three times the learning rate. Compare the three on
# `valid`, with intervals. Can you tell which is best?
#
# <details><summary>Hint</summary>
#
# The rate is `lr` of the optimizer. Each run needs a head of its own, and the same seed before it.
# `metrics.paired_difference` compares two models on the same pictures.
# </details>
#
# ### Exercise 01.4: your own photos
# Collect 20 or more photos of each of two or three things, in one folder per class. Train and
# validate. How large is the interval, and how many photos would you need to halve it?
#
# <details><summary>Hint</summary>
#
# Make two folders, `train` and `valid`, each with a folder per class. The cells above take the
# number of classes from `len(train_set.classes)`. `metrics.wilson_interval(right, total)` gives the
# interval; try it with more photos at the same accuracy.
# </details>

# %%
# Exercise 01.4: start here. Put the path of your own folder in the place of `folder`.
my_folder = folder
print(*(f"{place.parent.name}/{place.name}" for place in sorted(my_folder.glob("*/*"))))

# %% [markdown]
# Solutions: [solutions/01_cat_or_dog](solutions/01_cat_or_dog.ipynb).
#
# Next: [02_dogs_vs_cats](02_dogs_vs_cats.ipynb)

# %% [markdown]
# ## Sources
#
# - J. Donahue et al.: [DeCAF: a deep convolutional activation feature for generic visual
#   recognition](https://arxiv.org/abs/1310.1531), ICML 2014. Features of a borrowed network.
# - G. Huang, Z. Liu, L. van der Maaten, K. Weinberger: [Densely connected convolutional
#   networks](https://arxiv.org/abs/1608.06993), CVPR 2017. The DenseNet.
# - J. Deng et al.: [ImageNet: a large-scale hierarchical image
#   database](https://doi.org/10.1109/CVPR.2009.5206848), CVPR 2009.
# - S. Chilamkurthy: [Transfer learning for computer vision
#   tutorial](https://pytorch.org/tutorials/beginner/transfer_learning_tutorial.html), PyTorch. The
#   recipe with ants and bees.
# - E. B. Wilson: [Probable inference, the law of succession, and statistical
#   inference](https://doi.org/10.1080/01621459.1927.10502953), JASA, 1927. The interval.

# %% tags=["nbval-ignore-output"]
lesson.footer("fp32")
