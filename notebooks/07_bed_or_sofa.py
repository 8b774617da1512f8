# %% [markdown]
# # Can two hundred photos teach a network to tell a bed from a sofa?
#
# You will build a classifier from a hundred photos of each class, find out which head suits so few
# photos, and know how far to trust its accuracy.
#
# | | |
# |---|---|
# | **You will learn** | the five things below |
# | **You should know** | what a backbone, a feature and a head are (lesson 03) |
# | **Data** | garden world: drawn furniture; real world: product photos of beds and sofas |
# | **Time** | garden world: under a minute on two processor cores; real world: some minutes |
#
# - Why the shape of a photo matters before any training.
# - Why a tall head is no gain when photos are few.
# - How to measure how many photos are enough.
# - How to search for photos that look alike, and for copies.
# - Where the seconds go between a cold start and an answer.

# %%
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from flowerlib import data, explain, features, lesson, metrics
from flowerlib import models, plots, solvers, train

# %% [markdown]
# All choices stand in one cell. The penalty of the linear head is fixed in advance, so that it is
# never chosen on photos that judge it.

# %% tags=["settings"]
BACKBONE = os.environ.get("FLOWERLIB_BACKBONE", "small_resnet")
WEIGHTS = os.environ.get("FLOWERLIB_WEIGHTS", "small")
PER_CLASS = (80, 20, 100)  # garden pictures of each class: train, valid, test
TALL, DROPOUT = (1024, 1024, 1024, 512), 0.0  # the source's head
LR, BATCH, EPOCHS = 0.001, 16, 5  # its training
PENALTY = 1e-4  # of the linear head
SIZES = (5, 10, 20, 50, 100)  # photos of each class to learn from
DRAWS = 10  # how often the photos to learn from are drawn again
ALIKE = 0.99  # photos above this similarity are taken for copies
SEED = 0
torch.backends.cudnn.allow_tf32 = False  # on a GPU, compute with all digits

# %%
splits = data.beds_and_sofas(per_class=PER_CLASS)
backbone = models.freeze(models.backbone(BACKBONE, WEIGHTS, seed=SEED))
preprocessing = models.default_preprocessing(backbone)
num_classes = len(splits.class_names)
lesson.banner(splits, backbone)

# %% [markdown]
# ## What does the network get to see?
#
# We may learn from two hundred photos, *train* and *valid* together. Another two hundred are the
# test set, which stays closed until the end.

# %%
learn = data.join(splits.train, splits.valid)
labels = torch.from_numpy(learn.labels)
print(f"{len(learn)} photos, {labels.bincount().tolist()} of {', '.join(splits.class_names)}")

# %%
shown = [int(i) for label in range(num_classes) for i in np.flatnonzero(labels == label)[:6]]
grid = plots.photo_grid(
    [learn.image(i) for i in shown],
    [learn.class_name(i) for i in shown],
    title="Both classes have cushions, legs and rooms around them",
)
lesson.show(grid, alt="Six pictures of beds above six pictures of sofas, each with its class name.")

# %% [markdown]
# The backbone wants a square. The usual way resizes the shorter side and cuts a square out of the
# middle, as ImageNet's photos were treated. But furniture is wide, and photographers fill the frame
# with it. How much of a photo is left?


# %%
def share_seen(image):
    """The share of the photo's area that the usual preprocessing keeps."""
    side = preprocessing.crop / preprocessing.resize * min(image.size)
    return side**2 / (image.width * image.height)


shares = [share_seen(learn.image(i)) for i in range(len(learn))]
print(f"the usual way keeps {np.mean(shares):.0%} of a photo, at worst {min(shares):.0%}")

# %% [markdown]
# The garden's pictures are square and lose nothing. Product photos lose much, and what they lose
# are the ends: the headboard of a bed, the arms of a sofa. There are two ways to keep the whole
# photo. *Squeezing* it into the square bends proportions. *Padding* it with white keeps them, and
# makes the object smaller. What one way spoils the other keeps, and a head need not choose: it can
# get both rows of features, one behind the other. That costs a second pass.


# %%
def extract(part, prepared):
    """Features (N, D) of photos that are prepared in this way."""
    return features.extract(backbone, part, prepared, precision="fp32").values


def whole(part):
    """Features (N, 2 D) of whole photos: squeezed, and beside them padded."""
    ways = preprocessing.squashed(), preprocessing.padded()
    return torch.cat([extract(part, way) for way in ways], 1)


# %%
values = whole(learn)
squeezed, padded = values.chunk(2, 1)
seen = {
    "the middle": extract(learn, preprocessing),
    "all, squeezed": squeezed,
    "all, padded": padded,
    "squeezed and padded": values,
}
print(f"{len(values)} photos, each a row of {values.shape[1]} numbers")

# %% [markdown]
# To compare them without the test set, we draw from the two hundred: some photos of each class to
# learn from, others to judge with, and all of it again with another draw. The head is linear,
# solved as in lesson 03.


# %%
def draw(labels, count, judged, seed):
    """Positions of `count` photos of each class to learn from, and of `judged` others to judge."""
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(np.flatnonzero(labels == label)) for label in range(num_classes)]
    learning = np.concatenate([order[judged : judged + count] for order in orders])
    return learning, np.concatenate([order[:judged] for order in orders])


def linear_accuracy(values, labels, learning, judging):
    """Solves a linear head on some photos and measures it on others."""
    solution = solvers.logistic(
        values[learning], labels[learning], values[judging], labels[judging],
        num_classes, penalties=(PENALTY,),
    )  # fmt: skip
    return solution.rows[0]["valid_accuracy"]


# %% [markdown]
# Many solutions in hundreds of dimensions take a while. But two hundred rows span at most two
# hundred directions, and a linear head with a penalty uses no other. So we turn the features into a
# basis of just these directions. Distances and angles between photos stay the same, and so do the
# answers.


# %%
def turned(values):
    """The same rows in a basis of the directions that they span: (N, D) → (N, at most N)."""
    return values @ torch.linalg.qr(values.T).Q


small = turned(values)
error = float((small @ small.T - values @ values.T).norm() / (values @ values.T).norm())
lesson.claim(error < 1e-4, "the products of all pairs of rows stay the same, to 4 digits")

# %%
pairs = [draw(labels, 80, 20, seed) for seed in range(DRAWS)]
rows, accuracies = [], {}
for name, given in seen.items():
    rotated = turned(given)
    accuracies[name] = [linear_accuracy(rotated, labels, *pair) for pair in pairs]
    mean, low, high = metrics.mean_interval(accuracies[name])
    rows.append({"the network sees": name, "mean": mean, "low": low, "high": high})
by_linear = accuracies["squeezed and padded"]
lesson.table(rows, caption=f"Accuracy of {DRAWS} draws, 80 photos a class to learn from")
lesson.claim(rows[3]["mean"] > rows[0]["mean"] - 0.03, "seeing all costs less than 3 points")

# %% [markdown]
# For square pictures all rows are equal. For others, some forty judging photos in a draw cannot
# settle a small difference, and where scores leave a choice open, knowledge of the photos may
# decide it: we take both, squeezed and padded, which leaves nothing out, neither the ends nor the
# proportions. What we may not do is open the test set now and take what is best there.

# %% [markdown]
# ## Which head suits so few photos?
#
# The article behind this lesson trained a tall head on the features of a frozen ResNet50.

# %% [markdown] tags=["source"]
# | | the source |
# |---|---|
# | photos | 100 beds and 100 sofas to learn from, 200 others for the test |
# | backbone | resnet50 with ImageNet weights, frozen |
# | head | hidden layers of 1024, 1024, 1024 and 512 units, then 2 outputs |
# | training | 5 epochs |
# | result | 97 % of the 200 test photos right, after 30 s |

# %% [markdown]
# A head with so many layers has many weights. Count them, beside those of a linear head:


# %%
def tall_head(seed):
    """The source's head, its random start decided by `seed`."""
    torch.manual_seed(seed)
    return models.hidden_head(values.shape[1], num_classes, TALL, DROPOUT)


# %%
tall_size = sum(p.numel() for p in tall_head(SEED).parameters())
flat = models.linear_head(values.shape[1], num_classes)
flat_size = sum(p.numel() for p in flat.parameters())
print(f"tall head {tall_size:,} weights, linear head {flat_size:,}, photos {len(learn)}")
lesson.claim(tall_size > 500 * flat_size, "the tall head has over 500 times as many weights")

# %% [markdown]
# Train it as the source did, on *train*, and watch it on *valid*:


# %%
def train_tall(learning, judging, seed, report=None):
    """Trains a tall head on some rows of features; returns it and its history."""
    head = tall_head(seed)
    batches = train.FeatureBatches(
        values[learning], labels[learning], BATCH, shuffle=True, seed=seed
    )
    judges = train.FeatureBatches(values[judging], labels[judging], 1024, shuffle=False)
    return head, train.fit(head, batches, judges, epochs=EPOCHS, lr=LR, report=report)


# %%
split = len(splits.train)  # train comes first in `learn`
tall, history = train_tall(slice(None, split), slice(split, None), SEED, lesson.live())

# %% [markdown]
# One training says little: another random start would end elsewhere. So train the tall head on
# each of the ten draws from above, with the accuracy after its last epoch, and put the linear head
# beside it, on the same photos.

# %%
by_tall = [train_tall(*pair, seed)[1].rows[-1] for seed, pair in enumerate(pairs)]
again = [train_tall(*pairs[0], seed)[1].rows[-1] for seed in range(3)]  # other starts
tall_accuracies = [row["valid_accuracy"] for row in by_tall]
gains = [ours - theirs for ours, theirs in zip(by_linear, tall_accuracies, strict=True)]
rows = [
    dict(zip(("head", "mean", "low", "high"), (name, *metrics.mean_interval(found)), strict=True))
    for name, found in (("tall", tall_accuracies), ("linear", by_linear), ("gain of linear", gains))
]
lesson.table(rows, digits=3, caption=f"Accuracy of {DRAWS} draws, 80 photos a class to learn from")

# %%
ends = [row["valid_loss"] for row in again]
print("valid loss, same photos, five random starts:", ", ".join(f"{end:.2f}" for end in ends))
gaps = [row["valid_loss"] - row["train_loss"] for row in by_tall]
lesson.claim(np.mean(gains) > -0.01, "over the draws the tall head is not 1 point better, nor more")
lesson.claim(max(ends) > 1.2 * min(ends), "its loss depends on the random start alone")
lesson.claim(np.mean(gaps) > 0, "it fits its own photos better than the others")

# %% [markdown]
# Why are so many more weights no gain? The backbone has done the hard part. In the space of its
# features one plane can separate the photos that we learn from:

# %%
solution = solvers.logistic(values, labels, values, labels, num_classes, penalties=(PENALTY,))
fitted = solution.rows[0]["valid_accuracy"]  # on the photos that it was solved with
lesson.claim(fitted > 0.99, "the linear head fits over 99 % of the photos it learned from")

# %% [markdown]
# So there is nothing left to fit for more layers. What matters is which of the many heads that fit
# these photos is right about *others*. The linear head's penalty picks the plane with small
# weights, always the same one. The tall head picks one of very many bent surfaces; which one
# depends on its random start, the order of the batches and the epoch at which we stop.

# %% [markdown]
# ## How many photos are enough?
#
# Photos cost work, so before we ask for more of them we want to know what they would bring. Each
# draw now keeps half of each class to judge with. Of the other half the head gets 5, 10, 20 or 50.


# %%
def learning_curve(values, labels, sizes, judged):
    """A row for each size: accuracy over the draws, mean with its interval, and the worst."""
    rows = []
    for size in sizes:
        found = [
            linear_accuracy(values, labels, *draw(labels, size, judged, seed))
            for seed in range(DRAWS)
        ]
        mean, low, high = metrics.mean_interval(found)
        rows.append(
            {"photos a class": size, "mean": mean, "low": low, "high": high, "worst": min(found)}
        )
    return rows


curve = learning_curve(small, labels, SIZES[:-1], judged=50)

# %%
chance = 1 / num_classes  # with no photo at all
sizes, means = [row["photos a class"] for row in curve], [row["mean"] for row in curve]
axes = plots.figure(6.8, 3.6).subplots()
axes.fill_between(
    sizes, [row["low"] for row in curve], [row["high"] for row in curve],
    color=plots.BLUE, alpha=0.25, label="95 % interval of the mean",
)  # fmt: skip
axes.plot([0, *sizes], [chance, *means], "o-", color=plots.BLUE, label=f"mean of {DRAWS} draws")
axes.plot(sizes, [row["worst"] for row in curve], "v:", color=plots.GRAY, label="worst draw")
axes.set_xticks([0, *sizes])
axes.set(xlabel="photos of each class to learn from", ylabel="accuracy on the other half")
axes.set_title("The first five photos of each class bring the most", loc="left")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, loc="lower right")
lesson.show(axes, alt="Accuracy over photos a class rises and flattens, in the mean and the worst.")

# %%
first, later = means[0] - chance, means[-1] - means[0]
lesson.claim(first > 2 * later, "the first 5 bring over twice as much as the next 45")
lesson.claim(later > 0, "but fifty photos of each class are better than five")
lesson.claim(curve[0]["worst"] < curve[0]["low"], "the worst draw lies below the interval")

# %% [markdown]
# With no photo at all, guessing is right half of the time; the curve starts there. Now read the
# gray line. With few photos it matters which ones: the mean hides a bad draw, and in practice you
# have only one. The blue band says how well ten draws know the mean. It is no promise about other
# photos, since all draws come from the same two hundred. What a hundred photos of each class bring,
# the section "Does it hold?" will say.

# %% [markdown]
# ## Which photos look alike to the network?
#
# Features can do more than feed a head. Two photos with similar features look alike to the network,
# and that is a search engine for pictures without any training. `explain.nearest` compares the
# directions of the rows:

# %%
lesson.show_source(explain.nearest)

# %%
found, _ = explain.nearest(values, values, 6)
neighbors = found[:, 1:]  # the first is the photo itself
agree = (labels[neighbors] == labels[:, None]).double().mean(1)
lesson.claim(bool((found[:, 0] == torch.arange(len(values))).all()), "each is nearest to itself")
lesson.claim(agree.mean() > 0.7, "of five nearest photos, over 70 % are of the same class")

# %%
queries = [int((labels == c).nonzero()[0]) for c in range(num_classes)] + [int(agree.argmin())]
axes = plots.figure(8.6, 4.9).subplots(len(queries), 6)
for line, query in zip(axes, queries, strict=True):
    for place, (axis, index) in enumerate(zip(line, found[query].tolist(), strict=True)):
        axis.imshow(learn.image(index).resize((96, 96)))
        axis.set(xticks=[], yticks=[])
        wrong = labels[index] != labels[query]
        color = "black" if place == 0 else plots.RED if wrong else plots.GREEN
        mark = "query: " if place == 0 else "✗ " if wrong else ""
        axis.set_title(mark + learn.class_name(index), fontsize=9, color=color)
        axis.spines[:].set(color=color, linewidth=3 if wrong or place == 0 else 1)
axes[0, 0].figure.suptitle(
    "Most neighbors share the class; the last query finds the fewest that do", x=0.01, ha="left"
)
lesson.show(axes, alt="Three rows: a query and its five nearest pictures; wrong ones are marked.")

# %% [markdown]
# The last row is the photo with the fewest neighbors of its own class. Look at what its neighbors
# share with it: often the view, the colors or the room, not the kind of furniture. The network
# compares everything it can see.
#
# The same search finds **copies**. A photo that is in a set twice counts twice, and one that lies
# in train and test makes memory look like skill. Byte for byte, a copy is easy to find. But a copy
# that was saved again has other bytes. Make one, and search for it:

# %%
buffer = io.BytesIO()
learn.image(0).save(buffer, "JPEG", quality=90)
copied = data.Photos(np.asarray(Image.open(buffer))[None], learn.labels[:1], learn.class_names)
copy_row = whole(copied)
nearest, likeness = explain.nearest(copy_row, values, 2)

# %%
lesson.claim(copied.digest(0) != learn.digest(0), "the copy has other bytes than its original")
lesson.claim(int(nearest[0, 0]) == 0, "yet its nearest photo is the original")
lesson.claim(likeness[0, 0] > ALIKE, "with a similarity above 0.99")
lesson.claim(likeness[0, 0] > likeness[0, 1], "and the second nearest is less similar")

# %%
twins, likeness = explain.nearest(values, values, 2)
pairs_found = int((likeness[:, 1] > ALIKE).sum()) // 2
print(f"pairs above {ALIKE} among the {len(learn)} photos: {pairs_found}")
print(f"the most similar pair of different photos: {float(likeness[:, 1].max()):.3f}")

# %% [markdown]
# A pair above the threshold is a suspicion, not a proof: two drawings of one model in one room can
# come as close. A person decides. Two hundred photos make one small table of similarities; for
# millions, one would use an index.

# %% [markdown]
# ## Does it hold?
#
# All choices are made: photos squeezed and padded, a linear head, its penalty, all two hundred
# photos to learn from. Two others stand beside it, learned from the same photos: the tall head, and
# a linear head on the pixels themselves, shrunk to 24 by 24, without a network. The test set is
# opened here.

# %%
unseen = whole(splits.test)
truth = torch.from_numpy(splits.test.labels)
copies = int((explain.nearest(unseen, values, 1)[1] > ALIKE).sum())
print(f"test photos above {ALIKE} similarity to one that we learned from: {copies}")


# %%
def pixels(part):
    """Each photo as a row of 24 x 24 x 3 numbers in [0, 1]."""
    tiny = [np.asarray(part.image(i).resize((24, 24))).ravel() / 255 for i in range(len(part))]
    return torch.tensor(np.stack(tiny), dtype=torch.float32)


def solve(rows):
    """A linear head for these rows of all two hundred photos."""
    return solvers.logistic(rows, labels, rows, labels, num_classes, penalties=(PENALTY,)).head


everyone = slice(None)
tall, _ = train_tall(everyone, everyone, SEED)
with torch.no_grad():
    logits = {
        "linear head on pixels": solve(pixels(learn))(pixels(splits.test)),
        "tall head on features": tall(unseen),
        "linear head on features": solve(values)(unseen),
    }

# %%
right = {name: answers.argmax(1) == truth for name, answers in logits.items()}
rows = []
for name, hits in right.items():
    low, high = metrics.wilson_interval(int(hits.sum()), len(hits))
    rows.append({"way": name, "accuracy": float(hits.double().mean()), "low": low, "high": high})
lesson.table(rows, digits=3, caption=f"{len(truth)} photos that no head has seen")
pixel, tall_row, linear = rows
difference, lowest, highest = metrics.paired_difference(
    right["linear head on features"], right["tall head on features"]
)
print(f"linear minus tall, on the same photos: {difference:.3f}, {lowest:.3f} to {highest:.3f}")
lesson.claim(linear["low"] > pixel["high"], "its interval lies above that of the pixels")
lesson.claim(difference > -0.02, "the tall head is not 2 points better, nor more")

# %% [markdown]
# The source ends with a table of all test photos, each with both probabilities, and *pass* or
# *fail*. Here are the first three of each class, and every failure. Such a list is worth more than
# the accuracy: it says which photos to look at.

# %%
chances = logits["linear head on features"].softmax(1)
hits = right["linear head on features"]
listed = [i for c in range(num_classes) for i in (truth == c).nonzero()[:3, 0].tolist()]
listed += [i for i in (~hits).nonzero()[:, 0].tolist() if i not in listed]
rows = []
for i in listed:
    row = {"photo": Path(splits.test.name(i)).name, "truth": splits.test.class_name(i)}
    for name, chance in zip(splits.class_names, chances[i].tolist(), strict=True):
        row[f"probability of {name}"] = chance
    rows.append(row | {"result": "pass" if hits[i] else "fail"})
lesson.table(rows, caption=f"{int(hits.sum())} pass, {int((~hits).sum())} fail")

# %% [markdown]
# Is this one division into photos to learn from and test photos a lucky one? Put all four hundred
# together and draw the hundred of each class again, ten times. Now the learning curve gets its last
# point. Nothing is chosen by these figures.

# %%
both = turned(torch.cat([values, unseen]))
curve = learning_curve(both, torch.cat([labels, truth]), SIZES, judged=100)
lesson.table(curve, caption=f"{DRAWS} draws of all {len(both)} photos, 100 a class to judge")
lesson.claim(curve[-1]["mean"] > curve[0]["mean"], "a hundred of each class beat five")

# %% [markdown]
# Last, the clock. A fresh Python process knows none of our variables and may not use the cache of
# features. It must do all the work between a cold start and the table:

# %%
program = """
import json, sys, time; clock = [("Python", time.time())]
import torch
from flowerlib import data, features, models, solvers
clock.append(("imports", time.time()))
per_class, name, weights, penalty = json.loads(sys.argv[1])
splits = data.beds_and_sofas(per_class=tuple(per_class))
backbone = models.freeze(models.backbone(name, weights))
clock.append(("photos listed, backbone", time.time()))
every = data.join(splits.train, splits.valid, splits.test)
network, known = models.default_preprocessing(backbone), len(every) - len(splits.test)
rows = torch.cat([
    features.extract(backbone, every, way, precision="fp32", cache=False).values
    for way in (network.squashed(), network.padded())
], 1)
labels = torch.from_numpy(every.labels)
clock.append(("features", time.time()))
mine = rows[:known], labels[:known]
head = solvers.logistic(*mine, *mine, len(every.class_names), penalties=(penalty,)).head
clock.append(("head", time.time()))
passed = (head(rows[known:]).argmax(1) == labels[known:]).tolist()
clock.append(("answers", time.time()))
json.dump([clock, passed], sys.stdout)
"""

# %%
given = json.dumps([PER_CLASS, BACKBONE, WEIGHTS, PENALTY])
start = time.time()
done = subprocess.run(
    [sys.executable, "-c", program, given], capture_output=True, text=True, check=True
)
clock, passed = json.loads(done.stdout)
begins = [start] + [at for _, at in clock]
seconds = {step: at - begin for begin, (step, at) in zip(begins, clock, strict=False)}
rows = [{"step": step, "seconds": spent} for step, spent in seconds.items()]
rows.append({"step": "all", "seconds": sum(seconds.values())})
lesson.table(rows, digits=1, volatile=["seconds"])

# %%
waiting = seconds["imports"] + seconds["features"]
lesson.claim(sum(passed) == int(hits.sum()), "the fresh process gets as many test photos right")
lesson.claim(waiting > 2 * (seconds["head"] + seconds["answers"]),
             "imports and features take over twice as long as head and answers")  # fmt: skip

# %%
last = curve[-1]
lesson.headline(
    f"test accuracy {linear['accuracy']:.3f} (95 % interval {linear['low']:.3f} to "
    f"{linear['high']:.3f}) on {len(truth)} unseen photos; mean of {DRAWS} redraws "
    f"{last['mean']:.3f} ({last['low']:.3f} to {last['high']:.3f}); tall head "
    f"{tall_row['accuracy']:.3f}; head solved in {seconds['head']:.1f} s, cold start to answers "
    f"{sum(seconds.values()):.1f} s"
)

# %%
lesson.measured("07_bed_or_sofa")

# %% [markdown]
# The learning itself is not what you wait for. Loading the libraries and the one pass through the
# backbone dominate, and both are the same for any head. A second head on the same photos costs
# next to nothing, because features can be kept.

# %% [markdown]
# ## What can go wrong
#
# - **The object does not fit into the crop.** Count how much of your photos the preprocessing
#   keeps, and look at what the network sees.
# - **Squashed in training, cropped at prediction.** Whatever prepares the photos must travel with
#   the classifier. Flowerlib's file holds its preprocessing; `flowerlib train --resize-mode squash`
#   makes one that squashes.
# - **A small test set, a proud figure.** Two hundred photos leave an interval of some points. A
#   better head inside it is only another head.
# - **One draw.** With few photos, another draw is another result. Draw again before you compare.
# - **Draws that are not independent.** They share photos, so the interval of their mean does not
#   cover new photos, another camera or another shop.
# - **Copies on both sides.** Search for them by features, not only by bytes.
# - **Background instead of object.** If all sofas were photographed in one shop, the network may
#   learn the shop. Its neighbors would show it.

# %% [markdown]
# ## Recap
#
# - Why the shape of a photo matters before any training. *A crop may cut off what tells the classes
#   apart; squeezing and padding keep all of it.*
# - Why a tall head is no gain when photos are few. *The features separate the classes already; more
#   weights add only ways to differ on new photos.*
# - How to measure how many photos are enough. *Draw small sets from what you have, judge on the
#   rest, and look at the worst draw too.*
# - How to search for photos that look alike, and for copies. *Compare the directions of their
#   features; copies come close to 1.*
# - Where the seconds go between a cold start and an answer. *Into imports and the pass through the
#   backbone, not into the head.*

# %% [markdown]
# ## Exercises
#
# ### Exercise 07.1: how sure is the source's figure? (warm-up)
# The source got 194 of 200 test photos right. Compute the interval. How many test photos would you
# need until 98 of a hundred is outside the interval of 97 of a hundred?
#
# ### Exercise 07.2: no training at all
# Let the nearest photos vote: a photo gets the class that most of its 1, 3, 5 or 15 nearest photos
# have. Compare with the linear head, on the same draws.
#
# ### Exercise 07.3: how sure is a head when it is wrong?
# Train the tall head for 5 and for 30 epochs on each draw. Compare how sure it is when it is wrong,
# and `metrics.expected_calibration_error`, with those of the linear head.
#
# ### Exercise 07.4: a head by hand (stretch)
# Ridge regression fits the numbers −1 and 1 by least squares, with a penalty on the weights. Solve
# it in three lines of torch. Then find its leave-one-out accuracy *without* solving two hundred
# times, prove the short cut on some photos, and choose the penalty with it.
#
# Solutions: [solutions/07_bed_or_sofa](solutions/07_bed_or_sofa.ipynb).
#
# Previous: [06_first_five_last_five](06_first_five_last_five.ipynb) ·
# Next: back to the start, [03_augmentation](03_augmentation.ipynb)

# %% [markdown]
# ## Sources
#
# - K. He, X. Zhang, S. Ren, J. Sun: "Deep residual learning for image recognition", CVPR 2016. The
#   source's backbone.
# - T. M. Cover: "Geometrical and statistical properties of systems of linear inequalities", IEEE
#   Transactions on Electronic Computers, 1965. Why few points in many dimensions are separable.
# - E. B. Wilson: "Probable inference, the law of succession, and statistical inference", JASA 22,
#   1927. The interval of an accuracy.
# - Student: "The probable error of a mean", Biometrika 6, 1908. The interval of a mean of draws.
# - The source's figures (97 % of 200 photos, 30 s) are those reported with it; they were not
#   measured here.

# %% tags=["nbval-ignore-output"]
lesson.footer("fp32")
