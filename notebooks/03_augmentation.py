# %% [markdown]
# # Can one photo teach a network more than once?
#
# You will turn each training photo into many, see which changes are allowed, and measure what they
# are worth.
#
# | | |
# |---|---|
# | **You will learn** | the six things below |
# | **You should know** | Python; what a network, a loss and an epoch are |
# | **Data** | garden world: 20 of 102 drawn species; real world: 30 of Oxford's 102 flowers |
# | **Time** | garden world: under a minute on two processor cores; real world: some minutes |
#
# - What a random transform does to one photo, and what it does to a batch.
# - Why pictures for evaluation must stand still.
# - In which order the steps come, and how to undo the last one for display.
# - How random views can be the same on every machine.
# - Which changes keep the label, and which do not.
# - How to find out whether augmentation helps.

# %%
import os

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import nn
from torch.nn import functional as F
from torchvision.transforms import v2

from flowerlib import data, features, lesson, metrics, models, plots, train
from flowerlib.transforms import IMAGENET_MEAN, IMAGENET_STD, Preprocessing

# %% [markdown]
# All choices stand in one cell. In the garden world the pictures are drawn by this project, so
# nothing is downloaded; in the real world the same code runs on photos. The first output of each
# lesson says which world you are in.

# %% tags=["settings"]
BACKBONE = os.environ.get("FLOWERLIB_BACKBONE", "small_resnet")
WEIGHTS = os.environ.get("FLOWERLIB_WEIGHTS", "small")
PER_CLASS = (20, 5, 5)  # garden pictures of each species: train, valid, test
CLASSES = {"garden": 15, "real": 30}  # of the 102 species, those with the most pictures first
FEW, SIZE = 5, 32  # the experiment: training pictures of a class, and their side in pixels
LR, BATCH, EPOCHS = 0.003, 25, 30
SEEDS = (0, 1, 2, 3, 4)
SEED = 0
torch.backends.cudnn.allow_tf32 = False  # on a GPU, compute with all digits

# %%
flowers = data.flowers(per_class=PER_CLASS)
num_classes = CLASSES[flowers.world]
most = np.argsort(-flowers.train.counts(), kind="stable")[:num_classes]
splits = flowers.of_classes([flowers.class_names[i] for i in most])
lesson.banner(splits)

# %% [markdown]
# ## What do we have?
#
# Three sets of pictures, the *splits*. A network learns from *train*. We compare and choose with
# *valid*. *Test* stays closed until the end, because a set that we chose by says too much good
# about our choice. No picture may be in two of them: a network could simply remember it.

# %%
parts = (splits.train, splits.valid, splits.test)
contents = [{part.digest(i) for i in range(len(part))} for part in parts]
shared = (contents[0] & contents[1]) | (contents[0] & contents[2]) | (contents[1] & contents[2])
lesson.claim(not shared, "no picture of one split is in another one")

# %% [markdown]
# The line with the ✓ is a *claim*: a sentence with a condition. The code checks the condition, and
# the lesson stops with an error if it is false. When the text below says that one thing is better
# than another, look for the claim beside it. Numbers that depend on the world or the machine stand
# in the outputs, not in the text.

# %% [markdown]
# ## What does a transform do to a photo, and to a batch?
#
# A network with millions of weights can learn a few hundred photos by heart. *Augmentation* makes
# that harder: at each visit it shows the photo a little changed. The recipe that this lesson
# follows turns the photo by up to ten degrees and mirrors half of them. Here it is in
# torchvision's second version of transforms, `v2`:

# %%
source_train = v2.Compose(
    [
        v2.RandomRotation(10),
        v2.RandomHorizontalFlip(),
        v2.Resize(224),
        v2.CenterCrop(224),
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),  # 0..255 becomes 0..1
        v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
    ]
)

# %% [markdown]
# Another recipe of the same kind replaces the first steps by a random part of the photo, brought
# back to full size:

# %%
crop_train = v2.Compose(
    [v2.RandomResizedCrop(224), v2.RandomHorizontalFlip(), *source_train.transforms[-3:]]
)
display = Preprocessing(resize=224, crop=224)  # it knows the same mean and deviation
index = 3
image = splits.train.image(index)
torch.manual_seed(SEED)
views = [display.undo(source_train(image)) for _ in range(5)]
views += [display.undo(crop_train(image)) for _ in range(5)]

# %%
whole = display.pixels(image)
names = ["the photo"] + ["turn, flip"] * 5 + ["the photo"] + ["crop, flip"] * 5
grid = plots.photo_grid(
    [whole, *views[:5], whole, *views[5:]],
    names,
    title=f"Ten views of one photo, each is new; the label stays: {splits.train.class_name(index)}",
)
lesson.show(grid, alt="One flower, five views turned and mirrored, five cropped and mirrored.")

# %%
turn = source_train.transforms[0]
print(turn)
lesson.claim("nearest" in str(turn).lower(), "RandomRotation copies the nearest pixel by default")

# %% [markdown]
# That is why turned edges can look like stairs; `interpolation=v2.InterpolationMode.BILINEAR` makes
# them smooth. The black corners are the subject of the next section.
#
# By default `RandomResizedCrop` keeps between 8 % and 100 % of the area. That is a lot of freedom:
# a view may hold one petal, or background only. Nothing tells us; the label stays on it. So look
# at a batch, with names, before you train:

# %%
batches = data.loader(splits.train, crop_train, batch_size=12, shuffle=True, seed=SEED)
images, labels = next(iter(batches))
print("images", tuple(images.shape), images.dtype, "· labels", tuple(labels.shape), labels.dtype)
grid = plots.photo_grid(
    [display.undo(view) for view in images],
    [splits.class_names[label] for label in labels],
    title="The first batch: each view keeps its label, whether or not it shows the flower",
)
lesson.show(grid, alt="Twelve random crops of flowers in two rows, each with its class name.")

# %% [markdown]
# The loader calls the transform once for each photo. If you give a whole batch to the same
# transform, it makes *one* random choice for all of them:

# %%
flip = v2.RandomHorizontalFlip()


def mirrored(batch):
    """How many pictures of the batch are mirror images of those in `images`."""
    return int((batch == images.flip(3)).flatten(1).all(1).sum())


# %%
torch.manual_seed(SEED)
at_once = {mirrored(flip(images)) for _ in range(20)}
one_by_one = mirrored(torch.stack([flip(view) for view in images]))
lesson.claim(at_once == {0, 12}, "given a batch, the flip mirrors all 12 pictures or none")
lesson.claim(0 < one_by_one < 12, f"called for each picture, it mirrored {one_by_one} of 12")

# %% [markdown]
# No error tells you. The training still runs, with less variety than you believe.

# %% [markdown]
# ## Why must evaluation stand still?
#
# Training pictures may vary. Pictures that we measure with may not: two measurements of the same
# network would differ, and we could not compare two networks. So evaluation has a pipeline of its
# own, without chance: resize, cut the center, normalize. What both must share is the end of it,
# size and normalization. In this project `Preprocessing` is that pipeline, as plain data:

# %%
print(display)
valid_image = splits.valid.image(0)
still = torch.equal(display(valid_image), display(valid_image))
moved = not torch.equal(source_train(valid_image), source_train(valid_image))
lesson.claim(still, "evaluation preprocessing gives the same tensor twice")
lesson.claim(moved, "training preprocessing gives another tensor each time")

# %% [markdown]
# The order of the steps matters too. A picture that is turned leaves its square, and the empty
# corners are filled with black. Turning first and cutting the center afterwards cuts most of the
# corners off. To measure them, turn a white picture: what is not white is corner.

# %%
turn = v2.RandomRotation((10, 10), interpolation=v2.InterpolationMode.BILINEAR)
orders = {
    "cut, then turn": v2.Compose([v2.Resize(224), v2.CenterCrop(224), turn]),
    "turn, then cut": v2.Compose([v2.Resize(256), turn, v2.CenterCrop(224)]),
}
white = Image.new("RGB", (256, 256), "white")
corners = {name: float((np.asarray(steps(white)) < 128).mean()) for name, steps in orders.items()}
lesson.claim(corners["cut, then turn"] > 0.05, "cut first: over 5 % of the picture is corner")
lesson.claim(corners["turn, then cut"] < 0.005, "turned first: less than 0.5 % is")

# %% [markdown]
# Note that the source resizes to 224 and cuts 224: its center crop takes nothing off a square
# picture, and the corners stay. Does that hurt? Not by itself. But black corners then occur in
# training only, and evaluation has none.
#
# The last step, `Normalize`, subtracts a mean and divides by a deviation, channel by channel. The
# numbers are those of ImageNet, because pretrained networks expect them. The result is no picture
# any more. Drawn as it is, it looks wrong; multiply and add, and it is back:

# %%
tensor = display(image)
outside = float(((tensor < 0) | (tensor > 1)).float().mean())
back = display.undo(tensor)
shown = [steps(image) for steps in orders.values()]
shown += [tensor.permute(1, 2, 0).clamp(0, 1).numpy(), back]
grid = plots.photo_grid(
    shown,
    [*orders, "normalized", "undone"],
    columns=4,
    title="Turning last leaves black corners; a normalized picture must be undone for display",
)
lesson.show(grid, alt="Turned with black corners, turned without, in false colors, undone.")

# %%
error = float(np.abs(back - display.pixels(image) / 255).max())
lesson.claim(outside > 0.25, "of the normalized values, over 25 % lie outside of 0 to 1")
lesson.claim(error < 1e-5, "undoing the normalization gives the pixels back")

# %% [markdown]
# ## Can chance be the same everywhere?
#
# A view that nobody can make again is a problem: a run that fails cannot be repeated, and two
# programs cannot be compared. A seed at the top of the program is not enough, since several
# processes often load pictures side by side, and each has its own stream of random numbers. The
# cure is to give each view its own seed, made of three numbers: the seed of the run, the epoch, and
# the index of the picture. The project's data set does so, in the last lines:

# %%
lesson.show_source(data.Views.__getitem__)

# %%
few_photos = splits.train.subset(range(8))


def first_batch(epoch, workers):
    """The batch of eight views that this epoch starts with, in their fixed order."""
    batches = data.loader(few_photos, source_train, batch_size=8, seed=SEED, workers=workers)
    batches.dataset.epoch = epoch
    return next(iter(batches))[0]


# %%
alone = first_batch(epoch=1, workers=0)
lesson.claim(torch.equal(alone, first_batch(1, 0)), "the same epoch twice: the same views")
lesson.claim(torch.equal(alone, first_batch(1, 2)), "with two workers: still the same views")
lesson.claim(not torch.equal(alone, first_batch(2, 0)), "the next epoch: other views")

# %% [markdown]
# ## Which changes keep the label?
#
# A transform changes the picture and leaves the label as it is. That is a promise to the network:
# "these two are the same thing". It is true for a mirrored flower. It is false for an arrow, and
# for some digits:


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


# %%
left, six, nine = drawn(), drawn("6"), drawn("9")
right = v2.functional.horizontal_flip(left)
turned = v2.functional.rotate(six, 180)
grid = plots.photo_grid(
    [left, right, six, turned, nine],
    ["left", "left, mirrored", "six", "six, upside down", "nine"],
    columns=5,
    title="A mirrored arrow points right, and an upside-down six is a nine",
)
lesson.show(grid, alt="An arrow and its mirror image; a six, the six upside down, and a nine.")

# %%
ink = [255 - np.asarray(p, float)[..., 0] for p in (turned, six, nine)]
ink = [np.roll(i, 32 - np.argwhere(i > 99).mean(0).astype(int), (0, 1)).ravel() for i in ink]
as_six, as_nine = (float(np.corrcoef(ink[0], other)[0, 1]) for other in ink[1:])
lesson.claim(as_nine > 0.9 > as_six, "upside down, the six correlates over 0.9 with a nine only")

# %% [markdown]
# With flowers, color counts. `v2.ColorJitter(hue=0.5)` turns the circle of hues by up to half a
# turn, and a yellow flower may become blue. Is it still the same species? We ask a network that was
# not trained to name these species. It gives each picture a row of numbers, its *features*, and
# lesson 2 explains how. A class is represented by the mean of its training pictures, and a new
# picture is given to the class whose mean points in the most similar direction.


# %%
backbone = models.freeze(models.backbone(BACKBONE, WEIGHTS, seed=SEED))
preprocessing = models.default_preprocessing(backbone)
known = features.extract(backbone, splits.train.per_class(10), preprocessing, precision="fp32")
rows = F.normalize(known.values, dim=1)
means = torch.stack([rows[known.labels == label].mean(0) for label in range(num_classes)])
truth = torch.from_numpy(splits.valid.labels)


# %%
def look(change):
    """Features of the changed validation pictures, and the class that each is given to."""
    changed = data.loader(splits.valid, v2.Compose([change, preprocessing]), batch_size=16)
    with torch.inference_mode():
        values = torch.cat([backbone(images) for images, _ in changed])
    return values, (F.normalize(values, dim=1) @ F.normalize(means, dim=1).T).argmax(1)


# %%
changes = {
    "nothing": lambda image: image,
    "mirrored": v2.functional.horizontal_flip,
    "top down": v2.functional.vertical_flip,
    "hue, a quarter turn": lambda image: v2.functional.adjust_hue(image, 0.25),
    "hue, half a turn": lambda image: v2.functional.adjust_hue(image, 0.5),
}
seen = {name: look(change) for name, change in changes.items()}
values, before = seen["nothing"]
rows = [
    {"change": name, "accuracy": float((answers == truth).double().mean()),
     "same answer as before": float((answers == before).double().mean()),
     "cosine of features": float(F.cosine_similarity(found, values).mean())}
    for name, (found, answers) in seen.items()
]  # fmt: skip
lesson.table(rows, digits=2)

# %%
plain, mirror, upside, quarter, half = (row["accuracy"] for row in rows)
closer = rows[1]["cosine of features"] > rows[4]["cosine of features"] + 0.1
lesson.claim(min(mirror, upside) > plain - 0.1, "flipped either way, flowers lose under 10 points")
lesson.claim(max(quarter, half) < plain - 0.2, "turning the hue costs over 20 points")
lesson.claim(closer, "and half a turn moves the features farther than a mirror does")

# %%
lost = (before == truth) & (seen["hue, half a turn"][1] != truth)
chosen = [int(i) for i in lost.nonzero()[:24:4, 0]]
pictures, names = [], []
for name in ("nothing", "hue, half a turn"):
    pictures += [preprocessing.pixels(changes[name](splits.valid.image(i))) for i in chosen]
    names += [splits.class_names[seen[name][1][i]] for i in chosen]
grid = plots.photo_grid(
    pictures, names, columns=len(chosen), title="With another hue, a flower gets another name"
)
lesson.show(grid, alt="Flowers with their names; below, the same with turned hues and other names.")

# %% [markdown]
# The plant is the same, but many of the pictures now show another species. Their labels are wrong,
# and a network that trains on them is taught to ignore the color. Where color says nothing, as with
# cars, the same transform would be harmless. So the data decide, not the library.
#
# The mirror moved the features a little, though it changed nothing that matters. A network does
# not know by itself that a mirrored flower is the same. It must be taught, or get both views.

# %% [markdown]
# ## Does augmentation help?
#
# An experiment compares recipes and keeps all else equal: the same small network, the same start,
# the same few training pictures in the same order, the same number of steps. Flips go both ways
# here, since a flower seen from the front has no top; crops move the picture by some pixels. One
# run proves nothing, since another seed gives another accuracy. So each recipe runs with several
# seeds, and each seed draws its own training pictures. To make this fast, all pictures are shrunk
# once.

# %%
shrink = Preprocessing(resize=SIZE, crop=SIZE)


def shrunk(part):
    """The same photos in memory, SIZE pixels a side."""
    pictures = [shrink.pixels(part.image(i, shrink_to=SIZE)) for i in range(len(part))]
    return data.Photos(np.stack(pictures), part.labels, part.class_names)


pools = {seed: shrunk(splits.train.per_class(FEW, seed)) for seed in SEEDS}
valid = list(data.loader(shrunk(splits.valid), shrink, batch_size=256))

# %%
flips = [v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()]
crops = [v2.RandomCrop(SIZE, padding=3, padding_mode="reflect")]  # moves by up to 3 pixels
recipes = {"none": [], "flips": flips, "crops": crops, "flips and crops": flips + crops}


# %%
def block(inputs, outputs, stride):
    """Convolution, BatchNorm, ReLU; halves the size, by a stride of 2 or by pooling."""
    layers = [nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)]
    layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.MaxPool2d(2) if stride == 1 else nn.Identity())


def network(seed):
    """A small network, the same for the same seed."""
    torch.manual_seed(seed)
    body = nn.Sequential(block(3, 16, 2), block(16, 32, 1), block(32, 64, 1))
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(256, num_classes))


# %% [markdown]
# The loop is the usual one. The learning rate falls to zero over the last four fifths, so that
# the network settles. The number of steps depends on the settings only, so it is the same for all
# recipes.


# %%
def trained(recipe, seed):
    """A network that has learned from the training pictures of `seed` by this recipe."""
    model = network(seed).to(memory_format=torch.channels_last)  # a faster layout
    steps = v2.Compose([v2.PILToTensor(), *recipes[recipe]])
    batches = data.loader(pools[seed], steps, batch_size=BATCH, shuffle=True, seed=seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=LR, fused=True)
    total = EPOCHS * len(batches)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min(1, 1.25 * (1 - s / total)))
    for epoch in range(EPOCHS):
        batches.dataset.epoch = epoch  # other views in every epoch
        for pixels, labels in batches:
            loss = F.cross_entropy(model(shrink.normalize(pixels)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate.step()
    return model.eval()


# %%
torch.set_num_threads(1)  # two threads of so small a network only wait for each other
runs = {recipe: [trained(recipe, seed) for seed in SEEDS] for recipe in recipes}
loss = nn.CrossEntropyLoss()
measured = {
    recipe: torch.tensor([train.evaluate(model, valid, loss) for model in trained_])
    for recipe, trained_ in runs.items()
}

# %% [markdown]
# First a look at the networks without augmentation, on the pictures that they learned from:

# %%
own = [
    train.evaluate(model, data.loader(pools[seed], shrink, batch_size=256), loss)[1]
    for seed, model in zip(SEEDS, runs["none"], strict=True)
]
lesson.claim(min(own) > 0.95, "each of them knows over 95 % of its own training pictures")
lesson.claim(min(own) > measured["none"][:, 1].max() + 0.1, "and over 10 points less of valid")

# %% [markdown]
# They learned by heart, as we feared. Now the recipes. Each one is compared with *none* seed by
# seed, because both runs of a seed share their start and their training pictures. What is left
# after subtracting belongs to the recipe, and to luck; the interval says how much of it may be
# luck.

# %%
rows = []
for recipe, found in measured.items():
    mean, low, high = metrics.mean_interval(found[:, 1].tolist())
    gain, worst, best = metrics.mean_interval((found[:, 1] - measured["none"][:, 1]).tolist())
    rows.append({"recipe": recipe, "valid loss": float(found[:, 0].mean()), "accuracy": mean,
                 "gain over none": gain, "low": worst, "high": best})  # fmt: skip
lesson.table(rows, caption=f"Means over {len(SEEDS)} seeds; low and high: of the gain")

# %%
axes = plots.figure(7.0, 2.9).subplots()
for place, row in zip((2, 1, 0), rows[1:], strict=True):
    each = measured[row["recipe"]][:, 1] - measured["none"][:, 1]
    axes.plot([row["low"], row["high"]], [place] * 2, color=plots.BLUE, lw=6, alpha=0.35)
    axes.plot(each, [place] * len(each), "|", color=plots.ORANGE, ms=14, mew=2)
    axes.plot(row["gain over none"], place, "o", color=plots.BLUE)
axes.axvline(0, color=plots.GRAY, lw=1, ls=":")
axes.set_yticks((2, 1, 0), [row["recipe"] for row in rows[1:]])
axes.set(xlabel="gain in accuracy over no augmentation, same seed", ylim=(-0.6, 2.6))
axes.set_title("Flips and crops together help the network", loc="left")
axes.spines[["top", "right"]].set_visible(False)
lesson.show(
    axes,
    alt="Three gains with intervals and single seeds; that of flips and crops lies above zero.",
)

# %%
for row in rows[1:]:
    told = "lies above zero" if row["low"] > 0 else "does not lie above zero"
    print(f"{row['recipe']}: the interval of its gain {told}")
lesson.claim(rows[-1]["low"] > 0, "flips and crops together help: their interval is above zero")

# %% [markdown]
# If an interval contains zero, these runs do not show that the recipe helps, and they do not show
# that it is useless either. More seeds would make the interval narrower.
#
# Look at the single seeds too, the upright strokes. Some gain little, some much. Whoever tries one
# seed, and keeps the recipe if it looks better, chooses by luck.

# %% [markdown]
# ## Does it hold?
#
# The validation set chose the recipe, so its figure is a little too good. Now we open the test
# set, once, for two recipes: *none* as the baseline, and the one whose gain is the surest, with the
# highest lower end of its interval.

# %%
chosen = max(rows, key=lambda row: row["low"])["recipe"]
test = list(data.loader(shrunk(splits.test), shrink, batch_size=256))
ours, base = (
    torch.tensor([train.evaluate(model, test, loss)[1] for model in runs[recipe]])
    for recipe in (chosen, "none")
)
accuracy, least, highest = metrics.mean_interval(ours.tolist())
gain, low, high = metrics.mean_interval((ours - base).tolist())

# %%
lesson.headline(
    f"{FEW} pictures of each of {num_classes} species, {len(SEEDS)} seeds: test accuracy "
    f"{accuracy:.2f} with {chosen} (95 % interval {least:.2f} to {highest:.2f}), "
    f"{float(base.mean()):.2f} without; gain {gain:.3f} ({low:.3f} to {high:.3f})"
)
lesson.claim(low > 0, "on the test set, too, the interval of the gain lies above zero")

# %% [markdown] tags=["source"]
# The flower article that this course follows reports 91.4 % of its 819 test photos right, with a
# pretrained network and over 60 training photos of a class. That figure stands for the whole
# recipe. What augmentation alone is worth, only a pair of runs can tell, with it and without.

# %% [markdown]
# Our gain holds for this small network, on few and small pictures. It says nothing about other
# data: a recipe that helps flowers may harm digits. The same lesson on real photos found this:

# %%
lesson.measured("03_augmentation")

# %% [markdown]
# ## What can go wrong
#
# - **Augmenting the validation or test set.** The figure then changes from run to run, and two
#   networks are not compared on the same pictures.
# - **A random transform called on a whole batch.** It makes one choice for all of its pictures.
# - **A transform that breaks the label.** Nothing warns you. Draw the first batch with its names.
# - **Another normalization in training than in evaluation.** Both must share size, mean and
#   deviation.
# - **Views that depend on the number of workers.** Seed each view by run, epoch and picture.
# - **The same view in every epoch.** A loader whose epoch is never told draws the same views again.
#   `train.fit` tells it; a loop of your own must.
# - **Too few steps.** A network that sees new views learns more slowly than one that repeats the
#   same pictures. Stopped early, it may show no gain at all.
# - **One seed.** A gain of some points in a single run may be luck.

# %% [markdown]
# ## Recap
#
# - What a random transform does to one photo, and what it does to a batch. *A new view at each
#   call; given a batch, one choice for all.*
# - Why pictures for evaluation must stand still. *Two measurements must be comparable.*
# - In which order the steps come, and how to undo the last one for display. *Turn before you cut;
#   multiply by the deviation and add the mean.*
# - How random views can be the same on every machine. *A seed of its own for each run, epoch and
#   picture.*
# - Which changes keep the label, and which do not. *It depends on the data: flowers may be mirrored
#   and not recolored, arrows may not be mirrored.*
# - How to find out whether augmentation helps. *Same steps, several seeds, differences by seed,
#   intervals.*

# %% [markdown]
# ## Exercises
#
# ### Exercise 03.1: how large a cut is free of corners? (warm-up)
# A square photo is turned by 5, 10, 20 or 45 degrees. What is the largest centered square that
# shows no black corner? To which size must a photo be resized, so that a cut of 224 pixels is
# clean after a turn of 10 degrees?
#
# ### Exercise 03.2: which digits survive a mirror?
# Draw all ten digits. Mirror them left to right, flip them top down, and turn them by half a turn.
# Which stay what they are, and which become another digit?
#
# ### Exercise 03.3: two views for one answer
# Augmentation can be used after training as well. Take the mean of a picture's features and of its
# mirror's, and repeat the comparison with the class means. Is it better? Give an interval of the
# paired difference.
#
# ### Exercise 03.4: how many photos is augmentation worth? (stretch)
# Train the small network on five pictures of a class, on the same five augmented, and on ten
# without augmentation, with the same number of steps. What helps more?
#
# Solutions: [solutions/03_augmentation](solutions/03_augmentation.ipynb).
#
# Next: [02_dogs_vs_cats](02_dogs_vs_cats.ipynb)

# %% [markdown]
# ## Sources
#
# - The first recipe (turn by 10 degrees, mirror, resize, center crop, normalize) and the second one
#   (random resized crop, mirror) are those of the published articles that this course follows.
# - A. Krizhevsky, I. Sutskever, G. E. Hinton: "ImageNet classification with deep convolutional
#   neural networks", NeurIPS 2012. Random crops and mirror images against overfitting.
# - C. Szegedy and others: "Going deeper with convolutions", CVPR 2015. The random resized crop.
# - C. Shorten, T. M. Khoshgoftaar: "A survey on image data augmentation for deep learning", Journal
#   of Big Data 6, 2019. Which transforms are safe for which labels.
# - M.-E. Nilsback, A. Zisserman: "Automated flower classification over a large number of classes",
#   ICVGIP 2008. The photos.
# - Student: "The probable error of a mean", Biometrika 6, 1908. The interval over seeds.

# %% tags=["nbval-ignore-output"]
lesson.footer("fp32")
