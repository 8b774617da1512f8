# %% [markdown]
# # Can one photo teach a network more than once?
#
# You will turn each training photo into many, see which changes are allowed, and measure what they
# are worth.
#
# | | |
# |---|---|
# | **You will learn** | the five things below |
# | **You should know** | a training loop and the features of a network (lesson 01) |
# | **Data** | 20 species of flowers: drawn, or photos of Oxford's 102 flowers |
# | **Time** | 40 minutes to read; about 65 seconds to run on two processor cores |
#
# - What a random transform does to one photo, and what it does to a batch.
# - Why evaluation must be deterministic, and in which order the steps come.
# - How random augmentation can be reproducible.
# - Which changes preserve the label, and which do not.
# - How to find out whether augmentation helps.

# %%
import math
import os
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from flowerlib import data, features, lesson, metrics, models, plots
from flowerlib.transforms import IMAGENET_MEAN, IMAGENET_STD, Preprocessing

# %% [markdown]
# All settings are in one cell.

# %% tags=["settings"]
BACKBONE = os.environ.get("FLOWERLIB_BACKBONE", "small_resnet")
WEIGHTS = os.environ.get("FLOWERLIB_WEIGHTS", "small")
NUM_CLASSES = 20
PER_CLASS = (15, 10, 15)  # drawn pictures of each species: train, valid, test
TURNS = (-0.25, -0.1, 0, 0.1, 0.25, 0.5)  # of the circle of hues
FEW, SIZE = 5, 32  # the experiment: training pictures of a class, and their side in pixels
LR, BATCH, EPOCHS, MEASURED = 0.003, 25, 20, 2  # measured after every second epoch
SEEDS = (0, 1, 2, 3, 4)
SEED = 0

# %%
splits = data.flowers(per_class=PER_CLASS, num_classes=NUM_CLASSES)
lesson.banner(splits)

# %% [markdown]
# ## What does a transform do to a photo, and to a batch?
#
# A network with thousands of weights can memorize a few hundred photos. It has then learned those
# photos and not the species: this is [overfitting](../docs/glossary.md#overfitting).
# [Augmentation](../docs/glossary.md#augmentation) makes memorizing harder: at each visit, the
# network sees the photo a little changed, with the same label. A recipe found in many tutorials
# rotates the photo by up to ten degrees and mirrors half of the photos. Here it is with
# torchvision's second version of transforms, `v2`:

# %%
to_tensor = [
    v2.ToImage(),
    v2.ToDtype(torch.float32, scale=True),  # 0..255 becomes 0..1
    v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
]
rotate_and_flip = v2.Compose(
    [v2.RandomRotation(10), v2.RandomHorizontalFlip(), v2.Resize(224), v2.CenterCrop(224)]
    + to_tensor
)

# %% [markdown]
# Another common recipe takes a random part of the photo and enlarges it to full size:

# %%
crop_and_flip = v2.Compose([v2.RandomResizedCrop(224), v2.RandomHorizontalFlip(), *to_tensor])
image = splits.train.image(3)
torch.manual_seed(SEED)
views = [rotate_and_flip(image) for _ in range(3)] + [crop_and_flip(image) for _ in range(4)]
print(len(views), "views, each a tensor", tuple(views[0].shape))

# %% tags=["hide-input"]
display = Preprocessing(resize=224, crop=224)
shown = [display.pixels(image), *(display.undo(view) for view in views)]
names = ["the photo", *["rotate, flip"] * 3, *["crop, flip"] * 4]
title = f"Views of one photo, all labeled {splits.train.class_name(3)}"
grid = plots.photo_grid(shown, names, columns=4, title=title)
lesson.show(grid, alt="One flower, three views rotated and mirrored, four cropped and mirrored.")

# %% [markdown]
# By default, `RandomResizedCrop` takes between 8 % and 100 % of the area. That is a lot of freedom:
# a [view](../docs/glossary.md#view) may hold one petal, or only background, and the label stays on
# it. So look at a batch, with names, before you train. We write the pictures into folders, one per
# class, as you would store yours, and read them with plain PyTorch:

# %%
folder = data.to_folders(splits, Path(tempfile.mkdtemp(), "photos"))
dataset = ImageFolder(folder / "train", transform=crop_and_flip)
torch.manual_seed(SEED)
images, labels = next(iter(DataLoader(dataset, batch_size=12, shuffle=True)))
print("images", tuple(images.shape), images.dtype, "· labels", tuple(labels.shape), labels.dtype)

# %% tags=["hide-input"]
names = [dataset.classes[label] for label in labels]
title = "A batch: each view keeps its label, whether or not it shows the flower"
grid = plots.photo_grid(list(map(display.undo, images)), names, columns=4, title=title)
lesson.show(grid, alt="Twelve random crops of flowers in three rows, each with its class name.")

# %% [markdown]
# The data set calls the transform once for each photo. If you give a whole batch to the same
# transform, it makes *one* random choice for all of it:

# %%
flip = v2.RandomHorizontalFlip()


def mirrored(batch):
    """How many pictures of the batch are mirror images of those in `images`."""
    return int((batch == images.flip(3)).flatten(1).all(1).sum())


# %%
torch.manual_seed(SEED)
at_once = [mirrored(flip(images)) for _ in range(10)]
one_by_one = [mirrored(torch.stack([flip(view) for view in images])) for _ in range(10)]
print("of 12 mirrored, given the batch: ", at_once)
print("of 12 mirrored, given each photo:", one_by_one)
lesson.claim(set(at_once) == {0, 12}, "given a batch, the flip mirrors all of it or nothing")
lesson.claim(any(0 < n < 12 for n in one_by_one), "given single photos, it mirrors some of them")

# %% [markdown]
# No error message appears. The training runs, with less variety than you believe.
#
# <details><summary>Check yourself: how often does a network see the same picture in 20
# epochs?</summary>
#
# 20 times without augmentation; with random crops, almost never twice.
# </details>
#
# <details><summary>Check yourself: does augmentation make an epoch longer?</summary>
#
# It has as many steps, since each photo is still visited once. Only the transforms take time.
# </details>

# %% [markdown]
# ## Why must evaluation be deterministic?
#
# Training pictures may vary. Pictures that we measure with must not: two measurements of the same
# network would differ, and we could not compare two networks. So evaluation has a pipeline without
# randomness, its [preprocessing](../docs/glossary.md#preprocessing). Only the end of it, size and
# [normalization](../docs/glossary.md#normalization), is that of training:

# %%
evaluation = v2.Compose([v2.Resize(256), v2.CenterCrop(224), *to_tensor])
preprocessing = Preprocessing(resize=256, crop=224)  # the library's short form
photo = splits.valid.image(0)
print("evaluation, twice:", float((evaluation(photo) - evaluation(photo)).abs().max()))
print("training, twice:", float((rotate_and_flip(photo) - rotate_and_flip(photo)).abs().max()))
print("the short form against v2:", float((preprocessing(photo) - evaluation(photo)).abs().mean()))
lesson.claim(torch.equal(evaluation(photo), evaluation(photo)), "evaluation repeats itself exactly")
moved = (rotate_and_flip(photo) - rotate_and_flip(photo)).abs().max()
lesson.claim(moved > 0.1, "training views differ")
same = (preprocessing(photo) - evaluation(photo)).abs().mean()
lesson.claim(same < 0.001, "the short form gives the same numbers, apart from rounding")

# %% [markdown]
# The short form is plain data, so a classifier's file can hold it, and prediction later uses the
# same numbers.
#
# The order of the steps matters, too. Rotation leaves empty corners, filled with black. If the
# center is cropped afterwards, most of them are cut off. To measure this, rotate a white picture
# and count what is not white:

# %%
rotate = v2.RandomRotation((10, 10), interpolation=v2.InterpolationMode.BILINEAR)
orders = {
    "crop, then rotate": v2.Compose([v2.Resize(224), v2.CenterCrop(224), rotate]),
    "rotate, then crop": v2.Compose([v2.Resize(256), rotate, v2.CenterCrop(224)]),
}
white = Image.new("RGB", (256, 256), "white")
corners = {name: float((np.asarray(steps(white)) < 128).mean()) for name, steps in orders.items()}
lesson.table(list(corners.items()), ["order", "share of the picture that is corner"])

# %% [markdown]
# The tutorials' recipe above resizes to 224 and crops 224: of a square picture, its center crop
# removes nothing, and the corners stay. They then occur in training only; evaluation has none.
#
# The last step, `Normalize`, subtracts a mean and divides by a standard deviation,
# [channel](../docs/glossary.md#channel) by channel: those of ImageNet, which pretrained networks
# expect. The result is not a picture any more. To display it, multiply and add:

# %%
tensor = evaluation(image)
mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
restored = tensor * std + mean
outside = float(((tensor < 0) | (tensor > 1)).float().mean())
print(f"normalized: {outside:.0%} of the values are outside of 0..1")
print(f"restored: {float(restored.min()):.2f} to {float(restored.max()):.2f}")

# %% tags=["hide-input"]
shown = [steps(image) for steps in orders.values()]
shown += [pixels.permute(1, 2, 0).clamp(0, 1).numpy() for pixels in (tensor, restored)]
names, title = [*orders, "normalized", "restored"], "Rotating last leaves black corners"
grid = plots.photo_grid(shown, names, columns=4, title=title)
lesson.show(grid, alt="A flower rotated with black corners, without, in false colors, restored.")
last, first = corners.values()
lesson.claim(last > 10 * first, "rotating first leaves less than a tenth of the corners")
lesson.claim(outside > 0.25, "of the normalized values, over 25 % are outside of 0 to 1")
lesson.claim(-0.01 < restored.min() and restored.max() < 1.01, "restored, all are inside again")

# %% [markdown]
# <details><summary>Check yourself: a colleague augments the validation set as well, "to make it
# larger". What happens to the choice of the best epoch?</summary>
#
# Each epoch is then measured on other pictures. The best epoch is partly the one with the easiest
# views, and a repetition may choose another.
# </details>
#
# <details><summary>Check yourself: would a fixed seed make random crops of the validation set
# harmless?</summary>
#
# The measurement would repeat itself, but each picture would be judged by one random part of it.
# Another seed gives another accuracy.
# </details>

# %% [markdown]
# ## Can random augmentation be reproducible?
#
# A run that cannot be repeated cannot be debugged. PyTorch's usual answer is to give the
# `DataLoader` a generator: it decides the order, and it seeds the worker processes, in which the
# random transforms run.


# %%
def first_batch(workers, seed=SEED):
    """Eight views and their labels, as a loader gives them first."""
    torch.manual_seed(seed)  # without workers, views come from the global generator
    generator = torch.Generator().manual_seed(seed)
    batches = DataLoader(
        dataset, batch_size=8, shuffle=True, num_workers=workers, generator=generator
    )
    return next(iter(batches))


alone, two, again = first_batch(workers=0), first_batch(workers=2), first_batch(workers=2)
lesson.claim(torch.equal(two[0], again[0]), "with the same seed and two workers: the same views")
lesson.claim(torch.equal(two[1], alone[1]), "without workers: still the same order")
lesson.claim(not torch.equal(two[0], alone[0]), "but other views")

# %% [markdown]
# From this generator, PyTorch seeds its own random numbers in each worker, and those of NumPy and
# of Python's `random`. (Old versions left NumPy out: without an error, all workers drew the same
# numbers.) Only a library with random numbers of its own needs one more argument. Define that
# function in a module, not in a notebook: on some systems, workers cannot import it from there.
#
# ```python
# def seed_worker(worker):
#     another_library.seed(torch.initial_seed() % 2**32)
#
# DataLoader(..., generator=torch.Generator().manual_seed(0), worker_init_fn=seed_worker)
# ```
#
# A result that depends on the number of workers is still a nuisance: your colleague has other
# cores. The library's `data.loader` goes one step further and seeds each view by the seed of the
# run, the epoch, and the position of the photo.


# %%
def library_batch(workers, epoch):
    """The same from the library's loader, in this epoch."""
    batches = data.loader(splits.train, crop_and_flip, batch_size=8, seed=SEED, workers=workers)
    batches.dataset.epoch = epoch  # `train.fit` says so, too, before every epoch
    return next(iter(batches))[0]


alone, two, later = library_batch(0, 1), library_batch(2, 1), library_batch(0, 2)
lesson.claim(torch.equal(alone, two), "any number of workers: the same views")
lesson.claim(not torch.equal(alone, later), "the next epoch: other views")

# %% [markdown]
# <details><summary>Check yourself: with the plain loader, you raise <code>num_workers</code> from 2
# to 4. Are the views the same?</summary>
#
# Not all: each worker draws its own random numbers, and some batches now come from other workers.
# The order of the photos stays the same.
# </details>
#
# <details><summary>Check yourself: why is a view seeded by the epoch, too?</summary>
#
# Otherwise each photo would have one view only, the same in every epoch.
# </details>

# %% [markdown]
# ## Which changes preserve the label?
#
# A transform changes the picture and leaves the label alone. That is a statement: "both show the
# same thing". It is true of a mirrored flower. It is false of an arrow, and of some digits:


# %%
def drawn(text=None):
    """A black digit on white, or an arrow to the left, 64 x 64 pixels."""
    picture = Image.new("RGB", (64, 64), "white")
    pen = ImageDraw.Draw(picture)
    if text is None:
        pen.polygon([(8, 32), (32, 10), (32, 24), (56, 24), (56, 40), (32, 40), (32, 54)], "black")
    else:
        pen.text((32, 32), text, "black", ImageFont.load_default(size=56), anchor="mm")
    return picture


left, six, nine = drawn(), drawn("6"), drawn("9")
right, rotated = v2.functional.horizontal_flip(left), v2.functional.rotate(six, 180)

# %% tags=["hide-input"]
grid = plots.photo_grid(
    [left, right, six, rotated, nine],
    ["left", "left, mirrored", "six", "six, rotated by 180°", "nine"],
    columns=5,
    title="A mirrored arrow points right, and a six rotated by 180° is a nine",
)
lesson.show(grid, alt="An arrow and its mirror image; a six, the six rotated by 180°, and a nine.")
ink = [255 - np.asarray(p, float)[..., 0] for p in (rotated, six, nine)]
ink = [np.roll(i, 32 - np.argwhere(i > 99).mean(0).astype(int), (0, 1)).ravel() for i in ink]
as_six, as_nine = (float(np.corrcoef(ink[0], other)[0, 1]) for other in ink[1:])
lesson.claim(as_nine > 0.9 > as_six, "turned by 180°, the six correlates over 0.9 with a nine only")

# %% [markdown]
# With flowers, color matters. `v2.ColorJitter(hue=0.5)` moves every color along the circle of hues
# by up to half a turn, and a yellow flower may become blue. First we ask a pretrained network
# whether it still recognizes the species. It answers with features; each class is represented by
# the mean of its training features, and a picture is given to the class whose mean points in the
# most similar direction ([cosine similarity](../docs/glossary.md#cosine-similarity)).

# %%
backbone = models.freeze(models.backbone(BACKBONE, WEIGHTS, seed=SEED))
prepare = models.default_preprocessing(backbone)
# fp32: numbers of 32 bits, so that every processor computes nearly the same
known = features.extract(backbone, splits.train.per_class(10), prepare, precision="fp32")
rows = F.normalize(known.values, dim=1)
means = torch.stack([rows[known.labels == label].mean(0) for label in range(NUM_CLASSES)])


# %%
@torch.inference_mode()
def answers(change):
    """The class that each changed validation picture is given to."""
    changed = data.loader(splits.valid, v2.Compose([change, prepare]), batch_size=32)
    found = torch.cat([backbone(images) for images, _ in changed])
    return (F.normalize(found, dim=1) @ F.normalize(means, dim=1).T).argmax(1)


# %%
changes = {f"hue {turn:+g}": partial(v2.functional.adjust_hue, hue_factor=turn) for turn in TURNS}
changes |= {"mirrored": v2.functional.horizontal_flip, "upside down": v2.functional.vertical_flip}
truth = torch.from_numpy(splits.valid.labels)
is_right = {name: answers(change) == truth for name, change in changes.items()}
plain = is_right["hue +0"]

# %%
rows = []
for name, found in is_right.items():
    gain = [None] * 3 if found is plain else metrics.paired_difference(found, plain)
    rows.append((name, float(found.double().mean()), *gain))
columns = ["change", "accuracy", "difference", "low", "high"]
lesson.table(rows, columns, digits=2, caption="Validation set; difference to unchanged pictures")

# %% tags=["hide-input"]
levels = {"hue moved": [row[1] for row in rows[:-2]]} | {row[0]: row[1:2] for row in rows[-2:]}
title = "A quarter turn of the hue costs more than an upside-down picture"
axes = plots.lines(TURNS, levels, x_label="turn of the hue circle", title=title)
lesson.show(axes, alt="Accuracy over the turn of the hue; levels of mirrored and upside-down ones.")

# %% tags=["hide-input"]
quarter = metrics.paired_difference(is_right["hue +0.25"], is_right["upside down"])
lesson.claim(quarter[2] < 0, "a quarter turn of the hue costs more than an upside-down picture")
lesson.verdict(
    *metrics.paired_difference(is_right["hue +0.5"], is_right["hue +0.25"]),
    better="A half turn costs less than a quarter: the cost does not follow the angle.",
    worse="A half turn costs more than a quarter.",
    unclear="These pictures do not show whether a half turn or a quarter costs more.",
)

# %% [markdown]
# Does this prove that the label is wrong? Not quite. It shows that *one network* changes its
# answers, and that network may simply never have seen such colors. What matters for augmentation is
# another question: is a network that *learns* from recolored flowers worse on flowers as they are?
# The next section measures that. Here is what it would learn from, the first validation
# picture of four classes, whatever was answered:

# %% tags=["hide-input"]
firsts = [splits.valid.image(int((truth == label).nonzero()[0])) for label in range(4)]
pictures = [prepare.pixels(changes[f"hue {turn}"](p)) for turn in ("+0", "+0.5") for p in firsts]
title = "Half a turn of the hue: which species is it now?"
grid = plots.photo_grid(pictures, [*splits.class_names[:4]] * 2, columns=4, title=title)
lesson.show(grid, alt="Four flowers with their names, and below the same four in other colors.")

# %% [markdown]
# <details><summary>Check yourself: which of these preserve the label: mirroring traffic signs, hue
# for cars, rotating satellite images by 90 degrees?</summary>
#
# Signs: no, arrows and letters change. Cars: yes, a red one and a blue one are the same model.
# Satellite images: yes, they have no "up". The data decide, not the library.
# </details>
#
# <details><summary>Check yourself: why is there half a turn of the hue in one direction
# only?</summary>
#
# Hues form a circle: half a turn forward and half a turn back end at the same color.
# </details>

# %% [markdown]
# ## Does augmentation help?
#
# An experiment compares recipes and keeps all else equal: the same small network, the same initial
# weights, the same few training pictures in the same order, the same number of steps. One run
# proves nothing, so each recipe runs with several seeds, and each seed draws its own training
# pictures. To make this fast, pictures are shrunk once and stay in memory as tensors.

# %%
shrink, normalize = Preprocessing(resize=SIZE, crop=SIZE), v2.Compose(to_tensor[1:])


def shrunk(part):
    """Images uint8 (N, 3, SIZE, SIZE) and labels (N,)."""
    pixels = [shrink.pixels(part.image(i, shrink_to=SIZE)) for i in range(len(part))]
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2), torch.from_numpy(part.labels)


# %%
pools = {seed: shrunk(splits.train.per_class(FEW, seed)) for seed in SEEDS}
valid = shrunk(splits.valid)
flips = [v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()]  # from the front, nothing is "up"
crops = [v2.RandomCrop(SIZE, padding=3, padding_mode="reflect")]  # moves by up to 3 pixels
recipes = {"none": [nn.Identity()], "flips": flips, "flips and crops": flips + crops}
recipes["any hue"] = [v2.ColorJitter(hue=0.5)]


# %%
def block(inputs, outputs):
    """Convolution, BatchNorm, ReLU, and a pooling that halves the size."""
    layers = [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, nn.ReLU(), nn.MaxPool2d(2))


def network(seed):
    """A small network, the same for the same seed."""
    torch.manual_seed(seed)
    body = nn.Sequential(nn.AvgPool2d(2), block(3, 24), block(24, 48), block(48, 48))
    return nn.Sequential(body, nn.Flatten(), nn.Linear(192, NUM_CLASSES))


# %%
@torch.inference_mode()
def evaluate(model, images, labels):
    """Mean loss, accuracy, and which answers are right."""
    outputs = model.eval()(normalize(images))
    right = outputs.argmax(1) == labels
    return float(F.cross_entropy(outputs, labels)), float(right.double().mean()), right


# %% [markdown]
# The loop is the usual one. The transform is called once for each picture. The learning rate falls
# to zero over the last four fifths, so that the weights settle.


# %%
def trained(recipe, seed):
    """A network trained by this recipe, and its losses and accuracies on the way."""
    model, (images, labels), curve = network(seed), pools[seed], []
    transform, order = v2.Compose(recipes[recipe]), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    total = EPOCHS * math.ceil(len(images) / BATCH)
    fall = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min(1, 1.25 - 1.25 * s / total))
    for epoch in range(1, EPOCHS + 1):
        model.train()
        for batch in torch.randperm(len(images), generator=order).split(BATCH):
            views = torch.stack([transform(image) for image in images[batch]])
            loss = F.cross_entropy(model(normalize(views)), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            fall.step()
        if epoch % MEASURED == 0:
            curve.append(
                [epoch, *evaluate(model, images, labels)[:2], *evaluate(model, *valid)[:2]]
            )
    return model, curve


# %%
torch.set_num_threads(1)  # batches this small gain nothing from a second thread
runs = {recipe: [trained(recipe, seed) for seed in SEEDS] for recipe in recipes}
right = {
    recipe: torch.stack([evaluate(model, *valid)[2] for model, _ in found]).double()
    for recipe, found in runs.items()
}  # (seeds, pictures)

# %% [markdown]
# First losses and accuracies, mean over seeds, with and without augmentation. All are measured on
# unchanged pictures.

# %%
names = ("epoch", "train_loss", "train_accuracy", "valid_loss", "valid_accuracy")
curves = {
    recipe: [dict(zip(names, row, strict=True)) for row in np.mean([c for _, c in found], 0)]
    for recipe, found in runs.items()
}
lesson.table([{"recipe": name, **rows[-1]} for name, rows in curves.items()], digits=2)

# %% tags=["hide-input"]
shown = {f"augmentation: {name}": curves[name] for name in ("none", "flips and crops")}
title = "Augmentation narrows the gap between training and validation"
alt = "Losses and accuracies over epochs with and without augmentation; the gap is smaller with it."
lesson.show(plots.compare_curves(shown, title=title), alt=alt)
plain, both = curves["none"][-1], curves["flips and crops"][-1]
memorized = plain["train_accuracy"] - plain["valid_accuracy"]
narrower = both["valid_loss"] - both["train_loss"] < plain["valid_loss"] - plain["train_loss"]
lesson.claim(memorized > 0.2, "without augmentation, accuracy is over 20 points higher on train")
lesson.claim(narrower, "with flips and crops, the losses are closer together")

# %% [markdown]
# Without augmentation, the networks memorized. Now the gains. Each recipe is compared with *none*
# on the same pictures, seed by seed, since both runs of a seed share initial weights and training
# pictures. How sure is the mean gain? Two things could have been different: the seeds, and the
# validation pictures. An interval over seeds alone would be too narrow for new pictures;
# `metrics.crossed_interval` adds the variances of both means.

# %%
gains = {name: found - right["none"] for name, found in right.items() if name != "none"}
intervals = {name: metrics.crossed_interval(gain) for name, gain in gains.items()}
rows = [(name, *interval) for name, interval in intervals.items()]
lesson.table(rows, ["recipe", "gain in accuracy", "low", "high"])

# %% tags=["hide-input"]
best, worst = max(rows, key=lambda row: row[1])[0], min(rows, key=lambda row: row[1])[0]
title = f"The largest gain: {best}; the smallest: {worst}"
each = {name: gain.mean(1).tolist() for name, gain in gains.items()}
label = "gain in accuracy over no augmentation, validation set"
axes = plots.differences(intervals, runs=each, x_label=label, title=title)
lesson.show(axes, alt="Gain in accuracy of each recipe over none: intervals and single seeds.")

# %% tags=["hide-input"]
lesson.verdict(
    *intervals["flips"],
    better="Flips help.",
    worse="Flips hurt.",
    unclear="These runs do not show whether flips help.",
)
lesson.verdict(
    *metrics.crossed_interval(right["flips and crops"] - right["flips"]),
    better="Crops help beyond flips.",
    worse="Crops take back some of what flips gain.",
    unclear="These runs do not show that crops add anything to flips.",
)
lesson.claim(intervals["any hue"][2] < 0, "random hues hurt: their interval is below zero")

# %% [markdown]
# So not every change of hue preserves the label of a flower: a network that learned to ignore color
# is worse on flowers as they are. For cars, the same transform might help.
#
# Where an interval contains zero, these runs show neither that the recipe helps nor that it is
# useless. And look at the single seeds: whoever tries one, and adopts a recipe if it looks better,
# chooses partly by luck.
#
# <details><summary>Check yourself: why do all recipes start from the same initial weights and take
# the same number of steps?</summary>
#
# So that a difference comes from the recipe, and not from a lucky start or from longer training.
# </details>
#
# <details><summary>Check yourself: all seeds favor a recipe. Must its interval lie above
# zero?</summary>
#
# No. The gains may differ much from seed to seed, and all are measured on the same few pictures.
# </details>

# %% [markdown]
# ## Does it hold?
#
# The validation set chose the recipe, and a set used for choosing flatters the choice. The test set
# is used once, for two recipes: *none* as the baseline, and the one with the highest lower bound.

# %%
chosen = max(intervals, key=lambda name: intervals[name][1])
test = shrunk(splits.test)
ours, base = (
    torch.stack([evaluate(model, *test)[2] for model, _ in runs[recipe]]).double()
    for recipe in (chosen, "none")
)
accuracy, least, most = metrics.crossed_interval(ours)
plain, worst, best = metrics.crossed_interval(base)
gain, low, high = metrics.crossed_interval(ours - base)

# %%
lesson.headline(
    f"A small network that learned from {FEW} pictures of each of {NUM_CLASSES} species is right "
    f"on {accuracy:.2f} of {len(splits.test)} test pictures with {chosen} (95 % interval "
    f"{least:.2f} to {most:.2f}, {len(SEEDS)} seeds), on {plain:.2f} without augmentation "
    f"({worst:.2f} to {best:.2f}); gain {gain:.2f} ({low:.2f} to {high:.2f})"
)
lesson.verdict(
    *(gain, low, high),
    better="On the test set, too, the chosen augmentation helps.",
    worse="On the test set, the chosen augmentation hurts.",
    unclear="The test set does not confirm the gain; more pictures or seeds might.",
)

# %% [markdown]
# This gain is that of a small network, trained from scratch on few and small pictures. It says
# nothing about other data, nor about a pretrained network, which [lesson 05](05_heads.ipynb) tries.
# The same lesson on photos found this:

# %%
lesson.measured("03_augmentation")

# %% [markdown]
# ## What can go wrong
#
# - **Augmenting the validation or test set.** The accuracy then changes from run to run.
# - **A random transform called on a whole batch.** It makes one choice for all of its pictures.
# - **A transform that changes the label.** Nothing warns you. Draw the first batch with its names.
# - **Different normalization in training and evaluation.** Both must share size, mean and standard
#   deviation.
# - **Views that depend on the number of workers.** Seed each view by run, epoch and photo.
# - **The same views in every epoch.** `data.loader` must know the epoch; `train.fit` does that.
# - **Too few steps.** A network that sees new views learns more slowly. Stopped early, it may show
#   no gain at all.
# - **An interval over seeds only.** It says nothing about other pictures.

# %% [markdown]
# ## Recap
#
# - A random transform gives a new view at each call; given a batch, it makes one choice for all.
# - Evaluation is deterministic. Rotate before you crop. To display a normalized tensor, multiply by
#   the standard deviation and add the mean.
# - `generator=` makes views reproducible for a fixed number of workers; without workers, call
#   `torch.manual_seed` as well.
# - Which changes preserve the label depends on the data.
# - To tell whether augmentation helps: same steps, several seeds, paired differences, an interval
#   over seeds and pictures, one look at the test set.

# %% [markdown]
# ## Exercises
#
# ### Exercise 03.1: how large a crop is free of corners? (warm-up)
# A square photo is rotated by 5, 10, 20 or 45 degrees. What is the largest centered square that
# shows no black corner? To which size must a photo be resized, so that a crop of 224 pixels is
# clean after a rotation by 10 degrees?
#
# <details><summary>Hint</summary>
#
# Draw a square of side 1 inside a rotated one. How long are the two legs of the triangle that is
# left over at each corner? Check with `v2.functional.rotate(white, angle)`.
# </details>
#
# ### Exercise 03.2: which digits survive a mirror?
# Draw all ten digits. Mirror them left to right, flip them upside down, and rotate them by 180
# degrees. Which stay what they are, and which become another digit?
#
# <details><summary>Hint</summary>
#
# Use `drawn` from above. To compare shapes, cut out the ink, resize it to one size, and take
# `np.corrcoef`.
# </details>
#
# ### Exercise 03.3: how many photos is augmentation worth? (challenge)
# Train the small network on five pictures per class, on the same five augmented, and on ten without
# augmentation, with the same number of steps. What helps more?
#
# <details><summary>Hint</summary>
#
# Compare *five, augmented* with *ten* directly, seed by seed. Start with
# `pools[seed] = shrunk(splits.train.per_class(2 * FEW, seed))`, and count steps, not epochs.
# </details>
#
# ### Exercise 03.4: your own photos
# Choose 12 photos of your own from two classes, with names on them, and look at a batch of views.
# Which transforms preserve your labels? Write down one that does not.
#
# <details><summary>Starter</summary>
#
# ```python
# dataset = ImageFolder("my_photos", transform=crop_and_flip)  # my_photos/<class>/<photo>.jpg
# images, labels = next(iter(DataLoader(dataset, batch_size=12, shuffle=True)))
# ```
# </details>
#
# Solutions: [solutions/03_augmentation](solutions/03_augmentation.ipynb).

# %% [markdown]
# ## Sources
#
# - A. Krizhevsky, I. Sutskever, G. E. Hinton: [ImageNet classification with deep convolutional
#   neural
#   networks](https://proceedings.neurips.cc/paper/2012/hash/c399862d3b9d6b76c8436e924a68c45b-Abstract.html),
#   NeurIPS 2012. Random crops and mirror images against overfitting.
# - C. Szegedy et al.: [Going deeper with convolutions](https://arxiv.org/abs/1409.4842), CVPR 2015.
#   The random resized crop.
# - C. Shorten, T. M. Khoshgoftaar: [A survey on image data augmentation for deep
#   learning](https://doi.org/10.1186/s40537-019-0197-0), Journal of Big Data 6, 2019. Which
#   transforms are safe for which labels.
# - PyTorch documentation:
#   [Reproducibility](https://docs.pytorch.org/docs/stable/notes/randomness.html). `generator=` and
#   `worker_init_fn=`.
# - M.-E. Nilsback, A. Zisserman: [Automated flower classification over a large number of
#   classes](https://doi.org/10.1109/ICVGIP.2008.47), ICVGIP 2008. The photos.
# - A. C. Cameron, J. B. Gelbach, D. L. Miller: [Robust inference with multiway
#   clustering](https://doi.org/10.1198/jbes.2010.07136), Journal of Business & Economic Statistics
#   29, 2011. The interval over seeds and pictures.
#
# Previous: [02_dogs_vs_cats](02_dogs_vs_cats.ipynb) · Next: [04_flowers](04_flowers.ipynb)

# %% tags=["nbval-ignore-output"]
lesson.footer("fp32")
