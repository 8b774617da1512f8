# %% [markdown]
# # Solutions to lesson 01: is it a cat or a dog?
#
# The same pictures, backbone and loop as in the [lesson](../01_cat_or_dog.ipynb). Everything is
# measured on the validation set; the test set stays closed.

# %%
import os
import tempfile
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from flowerlib import data, lesson, metrics, models, plots

# %% tags=["settings"]
BACKBONE = os.environ.get("FLOWERLIB_BACKBONE", "small_densenet")
WEIGHTS = os.environ.get("FLOWERLIB_WEIGHTS", "pretrained")
PER_CLASS = (30, 60, 200)
BATCH, EPOCHS, LR = 16, 12, 0.003
SEED = 0

# %%
splits = data.dogs_vs_cats(per_class=PER_CLASS).per_class(PER_CLASS)
backbone = models.freeze(models.backbone(BACKBONE, WEIGHTS))
usual = models.default_preprocessing(backbone)
folder = data.to_folders(splits, Path(tempfile.mkdtemp(), "pets"))
lesson.banner(splits, backbone)

# %% [markdown]
# `models.backbone` borrows and cuts, `models.freeze` freezes. The rest is that of the lesson, with
# the preprocessing in two parts, since Exercise 01.2 leaves out the second.


# %%
to_size = [v2.Resize(usual.crop), v2.CenterCrop(usual.crop)]
to_numbers = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
normalize = v2.Normalize(usual.mean, usual.std)
preprocess = v2.Compose([*to_size, *to_numbers, normalize])


def loader(place, transform, shuffle=False):
    order = torch.Generator().manual_seed(SEED)
    return DataLoader(ImageFolder(place, transform), BATCH, shuffle, generator=order)


# %%
def train_head(lr, train_loader, epochs=EPOCHS):
    """A model with a new head, trained on the batches with a learning rate."""
    torch.manual_seed(SEED)
    head = nn.Linear(backbone.num_features, len(train_loader.dataset.classes))
    model = nn.Sequential(backbone, head)
    optimizer = torch.optim.Adam(head.parameters(), lr=lr)
    for _ in range(epochs):
        for images, labels in train_loader:
            loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


def probabilities(model, batches):
    with torch.no_grad():
        return torch.cat([model(images).softmax(1) for images, _ in batches])


# %%
valid_loader = loader(folder / "valid", preprocess)
class_names = valid_loader.dataset.classes
truth = torch.tensor(valid_loader.dataset.targets)
model = train_head(LR, loader(folder / "train", preprocess, shuffle=True))
answers = probabilities(model, valid_loader)
hits = answers.argmax(1) == truth


def row(name, hits):
    """A row of a table: an accuracy with its interval."""
    low, high = metrics.wilson_interval(int(hits.sum()), len(hits))
    accuracy = float(hits.double().mean())
    return {"model": name, "accuracy on valid": accuracy, "low": low, "high": high}


lesson.table([row("of the lesson", hits)])

# %% [markdown]
# ## Exercise 01.1: which pictures are hard?
#
# The wrong answers, the most confident first. Look for what they share: an odd pose, a head half
# out of the picture, a dark picture, a color that is more common in the other animal.

# %%
wrong = (~hits).nonzero().flatten()
wrong = wrong[answers[wrong].max(1).values.argsort(descending=True)].tolist()
shown = ImageFolder(folder / "valid", v2.Compose(to_size))
titles = [f"{class_names[int(answers[i].argmax())]}, {float(answers[i].max()):.0%}" for i in wrong]
grid = plots.photo_grid(
    [shown[i][0] for i in wrong[:12]],
    titles[:12],
    title=f"Wrong answers, and how sure they are ({len(wrong)} of {len(truth)} pictures)",
)
lesson.show(grid, alt="Validation pictures that the model names wrong, each with its answer.")

# %%
sure = answers.max(1).values
lesson.table(
    [
        ("right", int(hits.sum()), float(sure[hits].mean())),
        ("wrong", len(wrong), float(sure[~hits].mean())),
    ],
    ["answers", "pictures", "mean probability of the answer"],
    digits=2,
)
lesson.claim(sure[~hits].mean() < sure[hits].mean(), "the model is less sure where it is wrong")

# %% [markdown]
# **Answer:** whatever they seem to share, a handful of pictures only gives you a guess, to be
# tested on others. But one thing can be counted: where the model is wrong, it is less sure on
# average. So a person should look at the answers with the lowest probability first.

# %% [markdown]
# ## Exercise 01.2: what if preprocessing is forgotten?

# %%
careless = loader(folder / "valid", v2.Compose([*to_size, *to_numbers]))
careless_hits = probabilities(model, careless).argmax(1) == truth
lesson.table([row("with Normalize", hits), row("without", careless_hits)])
lesson.verdict(
    *metrics.paired_difference(careless_hits, hits),
    better="Without Normalize it is more accurate, by luck or by something to look into.",
    worse="Without Normalize it is less accurate.",
    unclear="These pictures show no clear difference.",
)

# %%
share = float((probabilities(model, careless).argmax(1) != answers.argmax(1)).double().mean())
print(f"{share:.0%} of the answers changed")
lesson.claim(share > 0, "without Normalize, some answers change, and no error appears")

# %% [markdown]
# **Answer:** the model still answers, without any error message, but some of its answers change.
# The sentence with the arrow says whether the accuracy suffers here. You only notice if you measure
# with the preprocessing that is really in use. That is why a classifier of this library has its
# preprocessing in its file.

# %% [markdown]
# ## Exercise 01.3: is another learning rate better?

# %%
right = {}
for lr in (LR / 10, LR, LR * 3):
    trained = train_head(lr, loader(folder / "train", preprocess, shuffle=True))
    right[f"{lr:g}"] = probabilities(trained, valid_loader).argmax(1) == truth
lesson.table([row(name, r) for name, r in right.items()])

# %%
ordered = sorted(right, key=lambda name: int(right[name].sum()))
for other in ordered[:-1]:
    gain, low, high = metrics.paired_difference(right[ordered[-1]], right[other])
    sure = "better than" if low > 0 else "not clearly better than"
    print(f"→ {ordered[-1]} is {sure} {other}: {gain:+.3f} ({low:+.3f} to {high:+.3f})")

# %% [markdown]
# **Answer:** the rate named first in the lines with an arrow has the highest accuracy. You can
# tell that it is better than another only where the paired interval lies above 0; with so few
# validation pictures, only large differences show. Note that the best of three is partly the
# luckiest of three: its accuracy on `valid` flatters it a little.

# %% [markdown]
# ## Exercise 01.4: your own photos
#
# Put the path of your own folder, with `train/` and `valid/` inside, in the place of `folder`. Here
# the lesson's pictures stand in for it.

# %%
mine = folder
own_model = train_head(LR, loader(mine / "train", preprocess, shuffle=True))
own_valid = loader(mine / "valid", preprocess)
own_truth = torch.tensor(own_valid.dataset.targets)
own_hits = probabilities(own_model, own_valid).argmax(1) == own_truth
lesson.table([row(f"{len(own_truth)} pictures", own_hits)])


# %%
rows = []
for times in (1, 2, 4, 8):
    total = times * len(own_truth)
    low, high = metrics.wilson_interval(times * int(own_hits.sum()), total)
    rows.append((times, total, high - low))
lesson.table(rows, ["times", "validation pictures", "width of the interval"], digits=3)
ratio = rows[2][2] / rows[0][2]
lesson.claim(0.4 < ratio < 0.6, "four times the pictures about halve the interval")

# %% [markdown]
# **Answer:** the first row of the table gives the width. It shrinks with the square root of the
# number of pictures, so halving it takes about four times as many, at the same accuracy.

# %% tags=["nbval-ignore-output"]
lesson.footer("fp32")
