# %% [markdown]
# # Can two hundred photos teach a network to tell a bed from a sofa?
#
# You will build a classifier from a hundred photos of each class, compare heads and unfreezing in
# time and accuracy, and learn how far to trust the result.
#
# | | |
# |---|---|
# | **You will learn** | the six things below |
# | **You should know** | backbone, features, logistic regression (lessons 04 and 05) |
# | **Data** | drawn furniture, or product photos of beds and sofas |
# | **Time** | 40 minutes to read; about 55 seconds to run on two processor cores |
#
# - What becomes of wide photos before the network sees them.
# - What a deep head gains when photos are few.
# - How to measure how many photos are enough.
# - What unfreezing the backbone brings, and what it costs.
# - How to find photos that look alike, and [duplicates](../docs/glossary.md#near-duplicate).
# - Where in a photo the evidence for an answer is.

# %%
import copy
import io
import os
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from flowerlib import data, explain, features, lesson, metrics, models, plots

# %% [markdown]
# All settings are in one cell. On photos, `FLOWERLIB_BACKBONE=resnet50` and
# `FLOWERLIB_WEIGHTS=imagenet` choose the network of the article that this lesson follows. On drawn
# data, a small relative of it is enough.

# %% tags=["settings"]
SEED = 0
BACKBONE = os.environ.get("FLOWERLIB_BACKBONE", "small_resnet")
WEIGHTS = os.environ.get("FLOWERLIB_WEIGHTS", "small")
PER_CLASS, SIZE, HEIGHT = (80, 20, 100), 128, 80  # drawn data: train, valid, test; pixels
HIDDEN = (1024, 1024, 1024, 512)  # hidden layers of the article's head
EPOCHS, BATCH, LR, BODY_LR = 5, 16, 1e-3, 1e-4
UNFROZEN = (0.25, 1.0)  # shares of the backbone's layers
SIZES, DRAWS = (5, 10, 20, 50, 100), 10  # photos of each class; how often they are drawn
ALIKE = 0.99  # more similar photos are taken for duplicates

# %%
splits = data.beds_and_sofas(per_class=PER_CLASS, size=SIZE, height=HEIGHT)
backbone = models.freeze(models.backbone(BACKBONE, WEIGHTS, seed=SEED))
preprocessing = models.default_preprocessing(backbone)
lesson.banner(splits, backbone)

# %% [markdown]
# ## What does the network get to see?
#
# We learn from two hundred photos, *train* and *valid* together. Two hundred others, the test set,
# stay closed until the end.

# %%
known = data.join(splits.train, splits.valid)
labels = torch.from_numpy(known.labels)
print(f"{len(known)} photos, {labels.bincount().tolist()} of {', '.join(splits.class_names)}")

# %% [markdown]
# The network expects a square. By default, the shorter side is resized, and a square is cut out of
# the center. But furniture is wide. (Drawn pictures all have one shape.) *Squashing* the photo into
# the square, `v2.Resize((224, 224))` in torchvision, keeps all of it and changes its proportions;
# *padding* it with white, `v2.Pad`, keeps both and makes the object smaller.

# %%
ways = {"crop": preprocessing}
ways |= {"squash": preprocessing.squashed(), "pad": preprocessing.padded()}
widths = [known.image(i).width / known.image(i).height for i in range(len(known))]
widest = np.argsort(widths, kind="stable")[::-1]
shown = [known.image(int(i)) for i in (widest[0], widest[len(widest) // 2], widest[-1])]
tiles = [t for photo in shown for t in (photo, *(way.undo(way(photo)) for way in ways.values()))]
title = "The widest, a medium and the narrowest photo, and what is left of each"
grid = plots.photo_grid(tiles, ["whole", *ways] * 3, columns=4, title=title)
lesson.show(grid, alt="Three wide photos of furniture, each whole, cropped, squashed and padded.")

# %%
inside = (preprocessing.crop / preprocessing.resize) ** 2  # of the square of the shorter side
left = [inside * min(width, 1 / width) for width in widths]
print(f"cropping leaves {np.mean(left):.0%} of a photo on average, {min(left):.0%} at worst")

# %% [markdown]
# Which way is best for this network and these photos? Extract features in each way, train a linear
# head, here scikit-learn's logistic regression, and compare. To judge it on all two hundred photos,
# but never on those that it learned from, use
# [cross-validation](../docs/glossary.md#cross-validation): divide them into five folds, and let
# five heads each answer for one fold after learning from the other four.

# %%
values = {  # fp32, so that all processors compute with the same number of digits
    name: features.extract(backbone, known, way, precision="fp32").values
    for name, way in ways.items()
}
folds = StratifiedKFold(5, shuffle=True, random_state=SEED)


def cross_validated(rows, penalty=1.0):
    """Whether the answer to each photo is right, by a head that learned from other photos."""
    head = LogisticRegression(C=1 / penalty, max_iter=1000)
    return torch.from_numpy(cross_val_predict(head, rows, labels, cv=folds)) == labels


right = {name: cross_validated(rows) for name, rows in values.items()}


# %%
def with_interval(right):
    """A row of a table: accuracy with its 95 % interval."""
    low, high = metrics.wilson_interval(int(right.sum()), len(right))
    return {"accuracy": float(right.double().mean()), "low": low, "high": high}


rows = [{"way": name} | with_interval(hits) for name, hits in right.items()]
lesson.table(rows, caption=f"Cross-validated on {len(known)} photos, 95 % intervals")
lesson.verdict(
    *metrics.paired_difference(right["squash"], right["crop"]),
    better="Squashing beats cropping.",
    worse="Cropping beats squashing.",
    unclear="Two hundred photos cannot tell whether squashing or cropping is better.",
)
best = max(right, key=lambda name: int(right[name].sum()))
way, values, right = ways[best], values[best], right[best]
print(f"→ We go on with: {best}")

# %% [markdown]
# We go on with the most accurate way. Unless it is far ahead, this choice is partly luck, and its
# accuracy flatters it a little. That does no harm if the final figure comes from other photos.
#
# <details><summary>Check yourself: why not choose the way on the test set?</summary>
#
# Then the choice would be fitted to the test set, and no photos would be left to notice it.
#
# </details>
#
# <details><summary>Check yourself: when would squashing be a bad idea?</summary>
#
# Where the classes differ in their proportions, such as circles and ellipses.
# </details>

# %% [markdown]
# ## Which head suits so few photos?
#
# The beds-and-sofas article put a deep head on a frozen ResNet50.

# %% [markdown] tags=["source"]
# | | the beds-and-sofas article |
# |---|---|
# | photos | 100 beds and 100 sofas to learn from, 200 others for the test |
# | backbone | ResNet50 with ImageNet weights in Keras; layers from number 175 up are trained |
# | head | hidden layers of 1024, 1024, 1024 and 512 units, then 2 outputs |
# | training | 5 epochs |
# | result | 97 % of the 200 test photos right, after 30 s |


# %%
def deep_head(seed):
    """The article's head: features (N, D) → logits (N, 2)."""
    torch.manual_seed(seed)
    widths = [values.shape[1], *HIDDEN]
    pairs = zip(widths[:-1], widths[1:], strict=True)
    layers = [layer for pair in pairs for layer in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(HIDDEN[-1], 2))


print(models.summary(deep_head(SEED), values[:1]))
print(f"a linear head has {2 * values.shape[1] + 2:,} weights; there are {len(known)} photos")

# %% [markdown]
# One loop will train the deep head on features, and later the backbone on images. There is no
# dropout, and a borrowed network's BatchNorm should keep its statistics, so the mode is `eval()`
# throughout.


# %%
def fit(network, learn, valid, order_seed, groups=None):
    """Trains in place with Adam; returns a row with loss and accuracy for every epoch."""
    order = torch.Generator().manual_seed(order_seed)
    loader = DataLoader(TensorDataset(*learn), BATCH, shuffle=True, generator=order)
    optimizer = torch.optim.Adam(groups or network.parameters(), lr=LR)
    rows = []
    network.eval()
    for epoch in range(1, EPOCHS + 1):
        start = time.process_time()  # of the processor, so other programs do not count
        for inputs, truth in loader:
            loss = nn.functional.cross_entropy(network(inputs), truth)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        row = {"epoch": epoch, "seconds": time.process_time() - start}
        for part, (inputs, truth) in {"train": learn, "valid": valid}.items():
            logits = answers(network, inputs)
            row[f"{part}_loss"] = float(nn.functional.cross_entropy(logits, truth))
            row[f"{part}_accuracy"] = metrics.accuracy(logits, truth)
        rows.append(row)
    return rows


# %%
@torch.no_grad()
def answers(network, inputs):
    """What the network says to features or images, 50 at a time."""
    return torch.cat([network(batch) for batch in inputs.split(50)])


# %% [markdown]
# Train it as the article did, on *train*, and watch it on *valid*:

# %%
count = len(splits.train)  # train comes first in `known`
train, valid = (values[:count], labels[:count]), (values[count:], labels[count:])
deep_network = deep_head(SEED)
history = fit(deep_network, train, valid, SEED)
axes = plots.compare_curves({"deep head": history}, title="The article's head on frozen features")
lesson.show(axes, alt="Loss and accuracy of the deep head after each of five epochs.")

# %% [markdown]
# One training says little. Two things in it are random: the initial weights, and the order of the
# batches. Change one at a time, twice each, with the same photos:


# %%
def last_loss(start, order):
    """Validation loss of a deep head after its last epoch."""
    return fit(deep_head(start), train, valid, order)[-1]["valid_loss"]


first_loss, others = history[-1]["valid_loss"], (SEED + 1, SEED + 2)
losses = {
    "three random starts": [first_loss, *(last_loss(seed, SEED) for seed in others)],
    "three random orders": [first_loss, *(last_loss(SEED, seed) for seed in others)],
}
for name, found in losses.items():
    print(f"{name}: loss {', '.join(f'{loss:.2g}' for loss in found)}")
    lesson.claim(
        max(found) > 1.1 * min(found), f"{name}: the largest is over a tenth above the smallest"
    )

# %% [markdown]
# A linear head with a penalty depends on neither: its loss has a single minimum, and the solver
# finds it. Compare both by cross-validation on all two hundred photos:

# %%
deep = torch.zeros(len(known), dtype=torch.bool)
for learned, asked in folds.split(values, labels):
    head, rest = deep_head(SEED), (values[asked], labels[asked])
    fit(head, (values[learned], labels[learned]), rest, SEED)
    deep[asked] = answers(head, rest[0]).argmax(1) == rest[1]
print(f"deep head {float(deep.double().mean()):.3f}, linear {float(right.double().mean()):.3f}")
lesson.verdict(
    *metrics.paired_difference(right, deep),
    better="The linear head beats the deep one.",
    worse="The deep head beats the linear one.",
    unclear="With all its weights, the deep head is not clearly better or worse.",
)

# %% [markdown]
# How can so few weights be enough? The backbone has done the hard part: in the space of its
# features, one plane separates the photos that we learn from, or almost all.


# %%
def linear(rows, count):
    """A linear head that learned from the first `count` photos."""
    return LogisticRegression(max_iter=1000).fit(rows[:count], labels[:count])


fitted = linear(values, len(known)).score(values, labels)
lesson.claim(fitted > 0.99, f"a linear head fits {fitted:.3f} of the photos it learned from")

# %% [markdown]
# So more layers have nothing left to fit. What matters is which of the many heads that fit these
# photos is right about *others*. The penalty decides it for the linear head: among those that fit,
# small weights win. Its strength is a choice, too. We took scikit-learn's default, 1. Was it luck?

# %%
penalties, label = [0.01, 0.1, 1.0, 10.0, 100.0], "cross-validated accuracy"
found = [float(cross_validated(values, penalty).double().mean()) for penalty in penalties]
axes = plots.lines(penalties, {label: found}, x_label="penalty", y_label=label, log="x")
axes.set_title("The penalty of the linear head", loc="left", fontsize=11)
lesson.show(axes, alt="Cross-validated accuracy of the linear head for five penalties.")
lesson.claim(max(found) - found[2] < 0.03, "no other penalty is 3 points better than 1")

# %% [markdown]
# <details><summary>Check yourself: the deep head has millions of weights. Why does it not fail
# completely on so few photos?</summary>
#
# The features are good, so the task is easy. And small random weights and few steps keep the head
# close to simple functions, which works like a penalty.
#
# </details>
#
# <details><summary>Check yourself: is the cross-validated accuracy the result to report?</summary>
#
# No. The way of preparing the photos was chosen by it, so it flatters.
# </details>

# %% [markdown]
# ## How many photos are enough?
#
# To see what more photos bring, draw 5, 10, 20 or 50 of each class to learn from. Judge on the
# other half of the two hundred, the same for all sizes of a draw.


# %%
def learning_curve(rows, labels, sizes, judged):
    """Accuracies of linear heads: size → one for each draw of photos."""
    found = {size: [] for size in sizes}
    for draw in range(SEED, SEED + DRAWS):
        rng = np.random.default_rng(draw)
        orders = [rng.permutation(np.flatnonzero(labels == label)) for label in (0, 1)]
        asked = np.concatenate([order[:judged] for order in orders])
        for size in sizes:
            learned = np.concatenate([order[judged : judged + size] for order in orders])
            head = LogisticRegression(max_iter=1000).fit(rows[learned], labels[learned])
            found[size].append(head.score(rows[asked], labels[asked]))
    return {size: np.array(accuracies) for size, accuracies in found.items()}


# %%
curve = learning_curve(values, labels, SIZES[:-1], judged=50)
shown = {f"{size} of each class": found for size, found in curve.items()}
axes = plots.repeated_runs({"": shown}, title=f"{DRAWS} draws of the photos to learn from")
lesson.show(axes, alt="Accuracies of ten draws of 5, 10, 20 and 50 photos of each class.")

# %% tags=["hide-input"]
few, *_, more, many = curve.values()
lesson.claim(many.mean() > few.mean(), "50 photos of each class are better than 5")
lesson.claim(np.ptp(few) > np.ptp(many), "with 5, it matters more which photos they are")
lesson.verdict(
    *metrics.mean_interval(many - more),
    better="50 are better than 20: more photos may still help.",
    worse="50 are worse than 20.",
    unclear="Whether 50 are better than 20 is unclear.",
)

# %% [markdown]
# Look at the dots rather than the means: in practice, you have one draw. And all draws come from
# the same two hundred photos, so these intervals say nothing about other photos.
#
# <details><summary>Check yourself: why is a draw judged on the same photos for all sizes?</summary>
#
# So that sizes can be compared within a draw. Whether its judging half is easy or hard cancels.
#
# </details>
#
# <details><summary>Check yourself: why do draws of 5 photos differ more than draws of 50?</summary>
#
# One odd photo is then a fifth of all that is known about its class.
# </details>

# %% [markdown]
# ## What does unfreezing bring?
#
# So far, the whole backbone was frozen. Now let layers of it learn, too: the last quarter of those
# with weights, then all. Borrowed layers take smaller steps than the new head.


# %%
def unfrozen(share):
    """A copy of the backbone with a new head, and the names of the layers that may learn."""
    body = copy.deepcopy(backbone.body).requires_grad_(False)
    layers = {n: m for n, m in body.named_modules() if list(m.parameters(recurse=False))}
    names = list(layers)[round(len(layers) * (1 - share)) :]
    for name in names:
        layers[name].requires_grad_(True)
    torch.manual_seed(SEED)
    return nn.Sequential(body, nn.Linear(backbone.num_features, 2)), names


def images_of(part):
    """All photos of a set as the network sees them, (N, 3, H, W), and their labels, (N,)."""
    return next(iter(data.loader(part, way, batch_size=len(part))))


# %%
images = images_of(splits.train), images_of(splits.valid)
start = time.process_time()
stored = [(answers(backbone, pictures), truth) for pictures, truth in images]
extraction = time.process_time() - start

# %%
runs, networks, first = {}, {}, {}
for share in (0.0, *UNFROZEN):
    name = f"last {share:.0%}" if share else "frozen"
    networks[name], names = unfrozen(share)
    body, head = networks[name]
    groups = [{"params": head.parameters()}]
    if share:
        groups += [{"params": [w for w in body.parameters() if w.requires_grad], "lr": BODY_LR}]
    inputs = (networks[name], *images) if share else (head, *stored)
    runs[name], first[name] = fit(*inputs, SEED, groups), names[0] if names else "the head"

# %%
rows = []
for name, found in runs.items():
    learning = sum(w.numel() for w in networks[name].parameters() if w.requires_grad)
    row = {"unfrozen": name, "first layer that learns": first[name], "weights that learn": learning}
    rows.append(row | {key: found[-1][f"valid_{key}"] for key in ("loss", "accuracy")})
lesson.table(rows, caption=f"After {EPOCHS} epochs, on {len(splits.valid)} validation photos")

# %% tags=["hide-input"]
axes = plots.compare_curves(runs, title="Loss and accuracy as more layers learn")
lesson.show(axes, alt="Loss and accuracy by epoch: frozen, a quarter unfrozen, all unfrozen.")
seconds = {name: {"training": sum(row["seconds"] for row in found)} for name, found in runs.items()}
seconds["frozen"] = {"features": extraction} | seconds["frozen"]
axes = plots.time_bars(seconds, title="What unfreezing costs")
lesson.show(axes, alt="Bars of seconds, shortest where the backbone is frozen.")

# %% tags=["hide-input"]
epoch = [min(row["seconds"] for row in found) for found in runs.values()]  # the fastest of each
lesson.claim(epoch[0] < epoch[1] < epoch[2], "an epoch takes longer, the more layers learn")
before, after = backbone.body.state_dict(), networks["last 100%"][0].state_dict()
kinds = [name for name in before if "running_" in name]
same = all(torch.equal(before[name], after[name]) for name in kinds)
lesson.claim(kinds and same, "BatchNorm's statistics did not change, although all layers learned")

# %% [markdown]
# On so few validation photos, a single one is more than two points, so small differences mean
# nothing; the test set is larger. The cost is certain: gradients have to pass down to the first
# layer that learns, and features can no longer be stored.
#
# <details><summary>Check yourself: why does the backbone take smaller steps?</summary>
#
# The head is random and has far to go. The backbone is good already; large steps in directions that
# a still random head asks for could spoil it.
#
# </details>
#
# <details><summary>Check yourself: how often does a photo now pass through the backbone?</summary>
#
# In every epoch, and once more to be measured.
# </details>

# %% [markdown]
# ## Which photos look alike to the network?
#
# Two photos with similar features look alike to the network. That makes a search engine for
# [nearest neighbors](../docs/glossary.md#nearest-neighbors) without any training: compare the
# directions of the rows, by the cosine of the angle between them.

# %%
unit = nn.functional.normalize(values, dim=1)
found = (unit @ unit.T).topk(6, dim=1).indices  # the first is the photo itself
short, likeness = explain.nearest(values, values, 6)  # the library's short form
lesson.claim((short == found).float().mean() > 0.99, "both find the same nearest photos")
agree = (labels[found[:, 1:]] == labels[:, None]).double().mean(1)
lesson.claim(agree.mean() > 0.7, "of the five nearest photos, over 70 % are of the same class")

# %%
queries = [int((labels == label).nonzero()[0]) for label in (0, 1)] + [int(agree.argmin())]
shown = [index for query in queries for index in found[query].tolist()]
marks = ["query: " if place % 6 == 0 else "" for place in range(len(shown))]
names = [mark + known.class_name(index) for mark, index in zip(marks, shown, strict=True)]
grid = plots.photo_grid(list(map(known.image, shown)), names, title="What looks alike")
lesson.show(grid, alt="Three rows: a query and the five photos with the most similar features.")

# %% [markdown]
# The last query is the photo with the fewest neighbors of its class. Look for what they share:
# often the view, the colors or the background.
#
# The same search finds **duplicates**. A photo that lies in train and in test makes memorization
# look like generalization. If both files have the same bytes, that is easy to find; a photo that
# was saved again has other bytes. Make such a duplicate, and search for it:

# %%
buffer = io.BytesIO()
known.image(0).save(buffer, "JPEG", quality=90)
copied = data.Photos(np.asarray(Image.open(buffer))[None], known.labels[:1], known.class_names)
row = features.extract(backbone, copied, way, precision="fp32").values
nearest, likeness = explain.nearest(row, values, 2)
print("similarity to the nearest two:", ", ".join(f"{x:.3f}" for x in likeness[0].tolist()))
lesson.claim(copied.digest(0) != known.digest(0), "the duplicate has other bytes")
lesson.claim(int(nearest[0, 0]) == 0, "and yet the original is its nearest photo")
lesson.claim(likeness[0, 0] > ALIKE, "with a similarity above the threshold")

# %% [markdown]
# A pair above the threshold is a suspicion, not a proof: two sofas of one model can come as close.
#
# <details><summary>Check yourself: why is each photo its own nearest neighbor?</summary>
#
# Its features have the same direction as themselves, so the similarity is 1.
# </details>
#
# <details><summary>Check yourself: do duplicates inside the training set do as much harm?</summary>
#
# Less: they count twice. Between train and test, they make the test too easy.
# </details>

# %% [markdown]
# ## Which places in a photo speak for a sofa?
#
# As lesson 01 showed, features are averages of the last feature maps, and a linear head adds them
# up with its weights. Add up the *maps* with these weights, and every place gets a score of its
# own. Such a [heat map](../docs/glossary.md#heat-map) is the simplest case of
# [Grad-CAM](../docs/glossary.md#grad-cam), and it is exact: the mean over all places, plus the
# bias, is the score of the photo.

# %%
head, body, maps = linear(values, len(known)), copy.deepcopy(backbone.body), {}
weights = torch.from_numpy(head.coef_[0]).float()


def remember(layer, inputs, output):
    """Keeps the last maps (N, D, H, W) of which each feature is an average."""
    if output.ndim == 4 and output.shape[1] == len(weights) and output.shape[3] > 1:
        maps["last"] = output


for layer in body.modules():
    layer.register_forward_hook(remember)
photos = torch.stack([way(known.image(index)) for index in queries])
with torch.no_grad():
    features_of_photos = body(photos)
last = maps["last"]
if not torch.allclose(last.mean((2, 3)), features_of_photos, atol=1e-4):
    last = last.clamp(min=0)  # a DenseNet has one ReLU more
heat = torch.einsum("d,ndhw->nhw", weights, last)
scores = torch.from_numpy(head.decision_function(features_of_photos)).float()
apart = (heat.mean((1, 2)) + float(head.intercept_[0]) - scores).abs().max()
lesson.claim(apart < 0.01, "the mean of a heat map, plus the bias, is the score of the photo")

# %% tags=["hide-input"]
large = nn.functional.interpolate(heat[:, None], photos.shape[2:], mode="bilinear")[:, 0].numpy()
tiles, names = [], []
for index, photo, places, score in zip(queries, photos, large, scores.tolist(), strict=True):
    whole = way.undo(photo)
    gray, strength = whole.mean(2) / 2, places / (2 * np.abs(places).max())
    tiles += [whole, np.stack([gray + strength.clip(0), gray, gray - strength.clip(max=0)], 2)]
    names += [known.class_name(index), f"score {score:+.1f}"]
title = f"Red speaks for {splits.class_names[1]}, blue for {splits.class_names[0]}"
grid = plots.photo_grid(tiles, names, columns=6, title=title)
lesson.show(grid, alt="Three photos, and each again in gray with its heat map in red and blue.")

# %% [markdown]
# Look whether the colors are on the furniture or beside it.
#
# <details><summary>Check yourself: why does this take a linear head?</summary>
#
# It gives each feature one weight, the same for all photos. In a deep head, the weight depends on
# the photo, so Grad-CAM takes the gradient in its place.
# </details>
#
# <details><summary>Check yourself: can a heat map say why the network is wrong?</summary>
#
# It says where the evidence is, not what it is: shape, color or texture.
# </details>

# %% [markdown]
# ## Does it hold?
#
# All choices are made. The test set is opened, for classifiers that learned from the photos of
# *train*. As a baseline, one is a linear head on the pixels themselves, shrunk to 24 × 24. Only the
# last one, which is the one to use, has learned from all two hundred photos.

# %%
unseen = features.extract(backbone, splits.test, way, precision="fp32").values
pictures, truth = images_of(splits.test)
alike = explain.nearest(unseen, values, 1)[1]
print(f"test photos above {ALIKE} similarity to a known one: {int((alike > ALIKE).sum())}")


# %%
def pixels(part):
    """Each photo as a row of 24 × 24 × 3 numbers in [0, 1]."""
    tiny = [np.asarray(part.image(i).resize((24, 24))).ravel() / 255 for i in range(len(part))]
    return torch.tensor(np.stack(tiny), dtype=torch.float32)


final = linear(values, len(known))
found = {"linear head on pixels": linear(pixels(known), count).predict(pixels(splits.test))}
found["linear head"] = linear(values, count).predict(unseen)
found["deep head"] = answers(deep_network, unseen).argmax(1)
found |= {f"unfrozen, {n}": answers(networks[n], pictures).argmax(1) for n in list(networks)[1:]}
found["linear head, all 200 photos"] = final.predict(unseen)

# %%
tested = {name: torch.as_tensor(predicted) == truth for name, predicted in found.items()}
rows = [{"classifier": name} | with_interval(hits) for name, hits in tested.items()]
lesson.table(rows, caption=f"{len(truth)} test photos, 95 % intervals")
lesson.claim(rows[1]["low"] > rows[0]["high"], "features beat pixels: their intervals are apart")

# %% tags=["hide-input"]
lesson.verdict(
    *metrics.paired_difference(tested["linear head"], tested["deep head"]),
    better="The linear head beats the deep one.",
    worse="The deep head beats the linear one.",
    unclear="Between the linear and the deep head, there is no clear difference.",
)
lesson.verdict(
    *metrics.paired_difference(tested["unfrozen, last 100%"], tested["linear head"]),
    better="The unfrozen backbone beats the frozen one with a linear head.",
    worse="The frozen backbone with a linear head beats the unfrozen one.",
    unclear="Between the unfrozen and the frozen backbone, there is no clear difference.",
)

# %% [markdown]
# The article ends with a table of all test photos, *pass* or *fail*. It says which photos to look
# at:

# %%
chances = torch.from_numpy(final.predict_proba(unseen))
hits = tested["linear head, all 200 photos"]
rows = []
for i in range(len(truth)):
    row = {"photo": Path(splits.test.name(i)).name, "truth": splits.test.class_name(i)}
    row |= dict(zip(splits.class_names, chances[i].tolist(), strict=True))
    rows.append(row | {"result": "pass" if hits[i] else "FAIL"})
lesson.table(rows, caption=f"{int(hits.sum())} pass, {int((~hits).sum())} fail", scroll=True)

# %% tags=["hide-input"]
doubtful = chances[torch.arange(len(truth)), truth].argsort()[:12].tolist()
names = [f"{rows[i]['truth']}: {chances[i, truth[i]]:.2f}, {rows[i]['result']}" for i in doubtful]
title = "The twelve test photos with the least probability for the truth"
grid = plots.photo_grid([splits.test.image(i) for i in doubtful], names, columns=4, title=title)
lesson.show(grid, alt="Twelve photos with their class, its probability, and pass or fail.")

# %% [markdown]
# Was this division into known and unseen photos a lucky one? Put all four hundred together and draw
# again, now up to a hundred of each class. Nothing is chosen by these figures.

# %%
both, truths = torch.cat([values, unseen]), torch.cat([labels, truth])
curve = learning_curve(both, truths, SIZES, judged=100)
shown = {f"{size} of each class": found for size, found in curve.items()}
axes = plots.repeated_runs({"": shown}, title=f"{DRAWS} draws from all {len(both)} photos")
lesson.show(axes, alt="Accuracies of ten draws of 5, 10, 20, 50 and 100 photos of each class.")

# %% tags=["hide-input"]
shape = "{:.3f} (95 % interval {:.3f} to {:.3f})"
tests, redraws = with_interval(hits).values(), metrics.mean_interval(curve[SIZES[-1]])
text = f"test accuracy {shape.format(*tests)} on {len(truth)} photos, from {len(known)} others "
text += f"and a linear head; mean of {DRAWS} redraws {shape.format(*redraws)}"
lesson.headline(text)
lesson.measured("07_bed_or_sofa")

# %% [markdown]
# The interval of the redraws covers the choice of photos out of these four hundred, not other
# photos, another camera or another shop.

# %% [markdown]
# ## What can go wrong
#
# - **The object does not fit into the crop.** Look at what the network sees.
# - **Squashed in training, cropped at prediction.** What prepares the photos must travel with the
#   classifier. Flowerlib saves both in one file: `flowerlib train photos --resize-mode squash`.
# - **A small test set, a proud figure.** Two hundred photos leave an interval of several points.
# - **One draw, one seed.** Repeat before you compare.
# - **Draws that are not independent.** They share photos, so the interval of their mean does not
#   cover new ones.
# - **Duplicates on both sides.** Search for them by features, not only by bytes.
# - **Background instead of object.** If all sofas were photographed in one shop, the network may
#   learn the shop. The nearest neighbors and a heat map would show it.

# %% [markdown]
# ## Recap
#
# - Wide photos are cropped by default, or squashed, or padded. Measure it, with an interval.
# - Where a plane separates the classes, a deep head has nothing left to fit.
# - To see how many photos are enough, draw small sets, judge on the rest, and look at single draws.
# - Unfreezing takes much more time; whether it brings accuracy, a paired comparison must say.
# - Photos that look alike to the network have a cosine near 1; duplicates come closest.
# - The evidence is where the feature maps, weighted as the head weights the features, are large.

# %% [markdown]
# ## Exercises
#
# ### Exercise 07.1: how sure is the article's figure? (warm-up)
# The article got 194 of 200 test photos right. Compute the interval. How many test photos would you
# need until 98 of a hundred is outside the interval of 97 of a hundred?
#
# <details><summary>Hint</summary>
#
# `metrics.wilson_interval(correct, total)`, in a loop over growing totals.
#
# </details>
#
# ### Exercise 07.2: no training at all
# Let the nearest photos vote: a photo gets the class that most of its 1, 3, 5 or 15 nearest photos
# have. Compare with the linear head, in pairs, by the same cross-validation.
#
# <details><summary>Hint</summary>
#
# For each fold, `explain.nearest(values[asked], values[learned], 15)` gives positions in
# `values[learned]`. The mean of their labels is above one half if most are of class 1.
#
# </details>
#
# ### Exercise 07.3: how sure is a head when it is wrong?
# Train the deep head for 5 and for 20 epochs in each fold. Compare how sure it is when it is wrong,
# and `metrics.expected_calibration_error`, with the linear head.
#
# <details><summary>Hint</summary>
#
# Collect logits instead of answers in the cross-validation; `softmax(1).max(1)` says how sure it
# is. The linear head has `predict_proba`, or `cross_val_predict(…, method="predict_proba")`.
#
# </details>
#
# ### Exercise 07.4: a head by hand (challenge)
# [Ridge regression](../docs/glossary.md#ridge-regression) fits the numbers −1 and 1 by least
# squares, with a penalty on the weights. Solve it in three lines of PyTorch. Then find its
# leave-one-out accuracy *without* solving two hundred times. What happens to it if you subtract the
# mean of all rows first?
#
# <details><summary>Hint</summary>
#
# With few rows, solve for one coefficient a photo: `(K + penalty * I) a = y`, where `K` holds the
# products of all pairs of rows, plus 1 for the bias. With `G`, the inverse of that matrix, the
# left-out answer for photo `i` is `y[i] - a[i] / G[i, i]`. Check it on a few photos.
#
# </details>
#
# ### Exercise 07.5: your own photos
# Take two or more classes of your own, with at least 20 photos each. Crop, squash or pad? How many
# photos are enough? Which two are the most similar of different classes? The next cell is a start.
#
# <details><summary>Hint</summary>
#
# `data.image_folder` divides a folder with a subfolder for each class into train, valid and test.
# The cells above work for two classes; for more, replace the 2 in the heads.
#
# </details>

# %%
folder = None  # the path of your photos, in quotation marks
if folder:
    mine = data.image_folder(folder)
    known = data.join(mine.train, mine.valid)
    values = features.extract(backbone, known, way, precision="fp32").values

# %% [markdown]
# Solutions: [solutions/07_bed_or_sofa](solutions/07_bed_or_sofa.ipynb).
#
# Previous: [06_first_five_last_five](06_first_five_last_five.ipynb). This is the last lesson.
#
# ## Sources
#
# - [Transfer learning applied: 97% accuracy in 30
#   seconds](https://www.paralect.com/blog/post/transfer-learning-applied). The beds-and-sofas
#   article. Its figures were not measured here.
# - K. He, X. Zhang, S. Ren, J. Sun: [Deep residual learning for image
#   recognition](https://arxiv.org/abs/1512.03385), CVPR 2016. ResNet50.
# - B. Zhou et al.: [Learning deep features for discriminative
#   localization](https://arxiv.org/abs/1512.04150), CVPR 2016. The heat map of a linear head.
# - R. R. Selvaraju et al.: [Grad-CAM](https://arxiv.org/abs/1610.02391), ICCV 2017.
# - T. M. Cover: [Geometrical and statistical properties of systems of linear
#   inequalities](https://doi.org/10.1109/PGEC.1965.264137), IEEE Transactions on Electronic
#   Computers, 1965. Why few points in many dimensions can be separated by a plane.
# - A. Agresti, Y. Min: [Simple improved confidence intervals for comparing matched
#   proportions](https://doi.org/10.1002/sim.1781), Statistics in Medicine 24, 2005. The interval of
#   a paired difference.
# - E. B. Wilson: [Probable inference, the law of succession, and statistical
#   inference](https://doi.org/10.1080/01621459.1927.10502953), Journal of the American Statistical
#   Association 22, 1927. The interval of an accuracy.

# %% tags=["nbval-ignore-output"]
lesson.footer("fp32")
