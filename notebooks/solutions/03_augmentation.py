# %% [markdown]
# # Solutions to lesson 01: augmentation
#
# The same species and the same small network as in the [lesson](../03_augmentation.ipynb).

# %%
import math
import os

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import nn
from torch.nn import functional as F

from flowerlib import data, features, lesson, metrics, models, plots, train
from flowerlib.transforms import Preprocessing

from torchvision.transforms import v2

# %% tags=["settings"]
BACKBONE = os.environ.get("FLOWERLIB_BACKBONE", "small_resnet")
WEIGHTS = os.environ.get("FLOWERLIB_WEIGHTS", "small")
PER_CLASS = (20, 5, 5)
CLASSES = 15
FEW, SIZE = 5, 32
LR, BATCH, EPOCHS = 0.003, 25, 20
SEEDS = (0, 1, 2)
SEED = 0
torch.backends.cudnn.allow_tf32 = False

# %%
flowers = data.flowers(per_class=PER_CLASS)
most = np.argsort(-flowers.train.counts(), kind="stable")[:CLASSES]
splits = flowers.of_classes([flowers.class_names[i] for i in most])
backbone = models.freeze(models.backbone(BACKBONE, WEIGHTS, seed=SEED))
preprocessing = models.default_preprocessing(backbone)
lesson.banner(splits, backbone)

# %% [markdown]
# ## Exercise 03.1: how large a cut is free of corners?
#
# A square of side 1 that is turned by an angle fits an upright square of side
# 1 / (cos + sin) around the same center. Everything inside of that is photo.

# %%
rows = []
for angle in (5, 10, 20, 45):
    side = 1 / (math.cos(math.radians(angle)) + math.sin(math.radians(angle)))
    turned = v2.functional.rotate(Image.new("RGB", (256, 256), "white"), angle)
    inside = np.asarray(v2.functional.center_crop(turned, int(256 * side) - 2))
    beyond = np.asarray(v2.functional.center_crop(turned, int(256 * side) + 12))
    rows.append({"degrees": angle, "side": side, "corner inside": bool((inside == 0).any()),
                 "ten pixels more": bool((beyond == 0).any())})  # fmt: skip
lesson.table(rows)
lesson.claim(not any(row["corner inside"] for row in rows), "a cut of this side shows no corner")
lesson.claim(all(row["ten pixels more"] for row in rows), "a cut of ten pixels more shows some")

# %% [markdown]
# For 10 degrees, a cut of 224 needs a photo that was resized to 260 pixels before it is turned.

# %%
needed = 224 * (math.cos(math.radians(10)) + math.sin(math.radians(10)))
lesson.claim(259 < needed < 260, "224 pixels without corners need a square of just under 260")

# %% [markdown]
# ## Exercise 03.2: which digits survive a mirror?
#
# Each digit is drawn, changed, and compared with all ten. It survives if it correlates with itself
# by more than 0.9.


# %%
def ink(picture):
    """What a picture holds, cut out and brought to one size, as a vector."""
    dark = 255 - np.asarray(picture.convert("L"))
    rows, columns = np.nonzero(dark > 99)
    box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    return np.asarray(Image.fromarray(dark).crop(box).resize((24, 32)), float).ravel()


def digit(text):
    """A black digit on white, 64 x 64 pixels."""
    picture = Image.new("RGB", (64, 64), "white")
    font = ImageFont.load_default(size=56)
    ImageDraw.Draw(picture).text((32, 32), text, "black", font, anchor="mm")
    return picture


# %%
digits = [digit(str(number)) for number in range(10)]
plain = np.array([ink(picture) for picture in digits])
ways = {
    "mirrored": v2.functional.horizontal_flip,
    "top down": v2.functional.vertical_flip,
    "turned by half": lambda picture: v2.functional.rotate(picture, 180),
}
likeness = {
    way: np.corrcoef(np.array([ink(change(picture)) for picture in digits]), plain)[:10, 10:]
    for way, change in ways.items()
}
same = {way: [n for n in range(10) if found[n, n] > 0.9] for way, found in likeness.items()}
lesson.table([{"change": way, "digits that stay": str(found)} for way, found in same.items()])

# %%
grid = plots.photo_grid(
    [change(picture) for change in ways.values() for picture in digits],
    columns=10,
    title="Mirrored, top down, and turned by half: few digits stay what they are",
)
lesson.show(grid, alt="Ten digits in three rows: mirrored, flipped top down, turned by half.")

# %%
turned = likeness["turned by half"]
lesson.claim(all(0 in found for found in same.values()), "the 0 survives everything")
lesson.claim(all(len(found) <= 3 for found in same.values()), "no change leaves over 3 digits")
lesson.claim(turned[6, 9] > 0.9 and turned[9, 6] > 0.9, "turned by half, 6 and 9 change places")

# %% [markdown]
# A person would let pass some more, such as an 8 top down, whose rings differ in size. For a
# network that reads digits, none of the three changes is safe.

# %% [markdown]
# ## Exercise 03.3: two views for one answer
#
# The mean of the features of a picture and of its mirror image is a steadier description of it.
# The class means are computed from both views too. Both ways answer about the same pictures, so
# the comparison is paired.


# %%
def mirrored(part):
    """Features of the mirrored pictures, in the order of `part`."""
    steps = v2.Compose([v2.functional.horizontal_flip, preprocessing])
    batches = data.loader(part, steps, batch_size=16)
    with torch.inference_mode():
        return torch.cat([backbone(images) for images, _ in batches])


def right_answers(known, asked, labels):
    """Which pictures are given to their class by the nearest mean."""
    unit = F.normalize(known, dim=1)
    means = torch.stack([unit[labels == c].mean(0) for c in range(CLASSES)])
    answers = (F.normalize(asked, dim=1) @ F.normalize(means, dim=1).T).argmax(1)
    return answers == torch.from_numpy(splits.valid.labels)


# %%
few = splits.train.per_class(10)
known = features.extract(backbone, few, preprocessing, precision="fp32")
asked = features.extract(backbone, splits.valid, preprocessing, precision="fp32")
one = right_answers(known.values, asked.values, known.labels)
both = (known.values + mirrored(few)) / 2, (asked.values + mirrored(splits.valid)) / 2
two = right_answers(*both, known.labels)
gain, low, high = metrics.paired_difference(two, one)
rows = [("one view", float(one.double().mean())), ("two views", float(two.double().mean()))]
lesson.table(rows, ["features of", "accuracy"], digits=2)
print(f"gain {gain:+.3f}, 95 % interval {low:+.3f} to {high:+.3f}")
lesson.claim(high > 0, "the second view does no harm that the interval could show")

# %% [markdown]
# The second view costs a second pass and changes few answers. This is called test-time
# augmentation. It is not random: both views are the same each time, so evaluation stands still.

# %% [markdown]
# ## Exercise 03.4: how many photos is augmentation worth?
#
# The same network learns from five pictures of a class as they are, from the same five augmented,
# and from twice as many. All take the same number of steps.

# %%
shrink = Preprocessing(resize=SIZE, crop=SIZE)
augment = [v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()]
augment += [v2.RandomCrop(SIZE, padding=3, padding_mode="reflect")]


def shrunk(part):
    """The same photos in memory, SIZE pixels a side."""
    pictures = [shrink.pixels(part.image(i, shrink_to=SIZE)) for i in range(len(part))]
    return data.Photos(np.stack(pictures), part.labels, part.class_names)


def network(seed):
    """A small network, the same for the same seed."""
    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, 16, 3, 2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    for width in (16, 32):
        layers += [nn.Conv2d(width, 2 * width, 3, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(2 * width), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(256, CLASSES))


# %%
valid = list(data.loader(shrunk(splits.valid), shrink, batch_size=256))
total = EPOCHS * math.ceil(FEW * CLASSES / BATCH)  # steps


def accuracy(count, steps, seed):
    """Validation accuracy after `total` steps on `count` pictures of each class."""
    model, step = network(seed).to(memory_format=torch.channels_last), 0
    pool = shrunk(splits.train.per_class(count, seed))
    transform = v2.Compose([v2.PILToTensor(), *steps])
    batches = data.loader(pool, transform, batch_size=BATCH, shuffle=True, seed=seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=LR, fused=True)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min(1, 1.25 * (1 - s / total)))
    while step < total:
        for pixels, labels in batches:
            loss = F.cross_entropy(model(shrink.normalize(pixels)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate.step()
            step += 1
        batches.dataset.epoch += 1
    return train.evaluate(model, valid, nn.CrossEntropyLoss())[1]


# %%
ways = {"five": (FEW, []), "five, augmented": (FEW, augment), "ten": (2 * FEW, [])}
torch.set_num_threads(1)  # two threads of so small a network only wait for each other
found = {name: torch.tensor([accuracy(*way, seed) for seed in SEEDS]) for name, way in ways.items()}
rows = [
    dict(zip(("mean", "low", "high"), metrics.mean_interval(values.tolist()), strict=True))
    for values in found.values()
]
rows = [{"pictures of a class": name, **row} for name, row in zip(found, rows, strict=True)]
lesson.table(rows, digits=2)

# %%
for name in ("five, augmented", "ten"):
    gain, low, high = metrics.mean_interval((found[name] - found["five"]).tolist())
    print(f"{name}: gain over five {gain:+.3f}, 95 % interval {low:+.3f} to {high:+.3f}")
lesson.claim((found["ten"] > found["five"]).all(), "five more pictures help with every seed")

# %% [markdown]
# New pictures helped each time. What augmentation adds depends on the data; compare the two
# intervals, and note how wide three seeds leave them. A mirrored picture costs nothing, but it
# shows the same flower, in the same light, against the same background.

# %% tags=["nbval-ignore-output"]
lesson.footer("fp32")
