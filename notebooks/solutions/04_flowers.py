# %% [markdown]
# # Solutions to lesson 04: flowers
#
# The same data, backbone and head as in the [lesson](../04_flowers.ipynb).

# %%
import argparse
import contextlib
import io
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from flowerlib import data, features, lesson, metrics, models, plots, train
from flowerlib.classifier import Classifier

# %% tags=["settings"]
BACKBONE = os.environ.get("FLOWERLIB_BACKBONE", "small_densenet")
WEIGHTS = os.environ.get("FLOWERLIB_WEIGHTS", "small")
PER_CLASS = (20, 5, 5)
DRAWS = 10_000
SEED = 0
SEEDS = (0, 1, 2)

# %%
splits = data.flowers(per_class=PER_CLASS)
backbone = models.freeze(models.backbone(BACKBONE, WEIGHTS, seed=SEED))
preprocessing = models.default_preprocessing(backbone)
num_classes = len(splits.class_names)
lesson.banner(splits, backbone)

# %% [markdown]
# ## Exercise 04.1: how sure is the article's figure?
#
# Suppose that the classifier names 91.4 % of all flowers. A test of 819 photos is then like 819
# draws from an urn, and the share of right answers varies from test to test. The standard deviation
# of one draw is the square root of *p* (1 − *p*); that of the mean of *n* draws is smaller by the
# square root of *n*. About 95 % of all tests are within 1.96 standard deviations.

# %%
share, total = 0.914, 819
half = 1.96 * (share * (1 - share) / total) ** 0.5
shares = np.random.default_rng(SEED).binomial(total, share, size=DRAWS) / total
drawn = np.quantile(shares, (0.025, 0.975))
wilson = metrics.wilson_interval(round(share * total), total)
rows = [("by the formula", share - half, share + half), ("95 % of the draws", *drawn)]
lesson.table([*rows, ("Wilson's interval", *wilson)], ["", "from", "to"])

# %%
four = metrics.wilson_interval(round(share * 4 * total), 4 * total)
ratio = (wilson[1] - wilson[0]) / (four[1] - four[0])
print(f"with four times the photos, the interval is {ratio:.2f} times as narrow")
lesson.claim(abs(drawn - np.array(rows[0][1:])).max() < 0.005, "formula and draws agree")
lesson.claim(wilson[1] - wilson[0] > 0.03, "819 photos leave an interval of over 3 points")
lesson.claim(1.9 < ratio < 2.1, "four times the photos, half the width")

# %% [markdown]
# **Answer.** The article's figure is uncertain by about two points in either direction. Half the
# width takes four times as many photos, about 3,300. Wilson's interval turns the question around:
# for which true shares would 91.4 % be no surprise? It stays inside 0 to 1, even if all
# answers are right.

# %% [markdown]
# ## Exercise 04.2: what does dropout do?

# %%
known = features.extract(backbone, splits.train, preprocessing, precision="fp32")
valid = features.extract(backbone, splits.valid, preprocessing, precision="fp32")


def trained(dropout, seed):
    """Reported loss, loss measured alike, validation loss and accuracy; and the right answers."""
    torch.manual_seed(seed)
    head = models.hidden_head(backbone.num_features, num_classes, (512,), dropout)
    batches = train.FeatureBatches(known.values, known.labels, shuffle=True, seed=seed)
    history = train.fit(head, batches, [(valid.values, valid.labels)], epochs=10, lr=0.003)
    alike, _ = train.evaluate(head, [(known.values, known.labels)], nn.NLLLoss())
    best = history.best
    with torch.inference_mode():
        right = head(valid.values).argmax(1) == valid.labels
    return [best["train_loss"], alike, best["valid_loss"], best["valid_accuracy"]], right


# %%
runs = {dropout: [trained(dropout, seed) for seed in SEEDS] for dropout in (0.0, 0.2, 0.5)}
means = {dropout: np.mean([row for row, _ in found], 0) for dropout, found in runs.items()}
columns = ["dropout", "reported", "measured alike", "valid loss", "valid accuracy"]
rows = [(f"{dropout}", *map(float, row)) for dropout, row in means.items()]
lesson.table(rows, columns, caption=f"Means over {len(SEEDS)} seeds")
right = {d: torch.stack([found for _, found in seeds]).double() for d, seeds in runs.items()}

# %%
lesson.claim(means[0.5][0] > means[0.0][0], "dropout raises the reported training loss")
lesson.claim(all(row[1] < row[2] for row in means.values()), "measured alike, training is lower")
gaps = {dropout: row[2] - row[1] for dropout, row in means.items()}
lesson.claim(gaps[0.5] < gaps[0.0], "with dropout, the gap between train and valid is smaller")
lesson.verdict(
    *metrics.crossed_interval(right[0.5] - right[0.0]),
    better="Dropout of 0.5 improves the accuracy.",
    worse="Dropout of 0.5 lowers the accuracy.",
    unclear="No difference in accuracy can be shown.",
)

# %% [markdown]
# **Answer.** Dropout raises the *reported* loss, because units are missing while it is measured. It
# also closes part of the real gap, that between training and validation measured alike: the head
# memorizes less. What that is worth in accuracy is the last sentence above.

# %% [markdown]
# ## Exercise 04.3: an option for your program
#
# The test comes first. It asks for three things: a high bar makes the program unsure, no bar leaves
# it as it was, and the answer is still a success.


# %%
def test_least():
    """With --least 1, no answer is sure enough; without it, every photo gets names."""
    printed = {}
    for option in ([], ["--least", "1"]):
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            assert main([str(photo), "--model", str(model), *option]) == 0
        printed[bool(option)] = output.getvalue()
    assert printed[True] == "flower.png: not sure\n"
    assert "%" in printed[False]


# %%
def main(arguments=None):
    """Prints the most probable names of the flower in each photo; returns the exit code."""
    parser = argparse.ArgumentParser(description="Names the flower in a photo.")
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--top", default=3, type=int, help="how many names (default: 3)")
    parser.add_argument("--least", default=0.0, type=float, metavar="SHARE", help="else not sure")
    given = parser.parse_args(arguments)
    classifier = Classifier.load(given.model)
    for photo in given.photos:
        if not photo.is_file():
            print(f"{photo} is not a file.", file=sys.stderr)
            return 1
        answer = classifier.predict(photo, top_k=given.top)
        shares = zip(answer.names, answer.probabilities, strict=True)
        named = ", ".join(f"{name} {share:.0%}" for name, share in shares)
        sure = answer.probabilities[0] >= given.least
        print(f"{photo.name}: {named if sure else 'not sure'}")
    return 0


# %%
folder = Path(tempfile.mkdtemp())
model, photo = folder / "flowers.safetensors", folder / "flower.png"
classifier = train.transfer(splits, backbone, head="hidden", seed=SEED, precision="fp32")
classifier.save(model)
splits.valid.image(0).save(photo)
test_least()
print("the test passes")

# %% [markdown]
# How high should the bar be? On the validation set, compare the share of photos that get an answer
# with the accuracy among those:

# %%
with torch.inference_mode():
    sure, answers = classifier.head(valid.values).exp().max(1)
rows = []
for least in (0.0, 0.5, 0.8, 0.95):
    answered = sure >= least
    right, total = int((answers == valid.labels)[answered].sum()), int(answered.sum())
    low, high = metrics.wilson_interval(right, total)
    rows.append((least, total / len(sure), right / total, low, high))
lesson.table(rows, ["least", "share answered", "accuracy among them", "low", "high"], digits=2)
lesson.claim(rows[-1][2] > rows[0][2], "those that the network is sure of are more often right")

# %% [markdown]
# **Answer.** One option and two lines of code. The bar is a trade: the higher it is, the fewer
# photos get a name, and the more of those names are right. How high it should be depends on what a
# wrong name costs.

# %% [markdown]
# ## Exercise 04.4: your own photos
#
# With your own, `photos` is your folder. Here, forty classes of the lesson stand in for it.

# %%
some = splits.of_classes(splits.class_names[:40])
photos = data.to_folders(some, folder / "photos")
own = data.image_folder(photos)
mine = train.transfer(own, backbone, head="hidden", seed=SEED, precision="fp32")
test = mine.evaluate(own.test, precision="fp32")
low, high = test.interval
print(
    f"accuracy {test.accuracy:.2f}, 95 % interval {low:.2f} to {high:.2f}, {len(own.test)} photos"
)

# %% tags=["hide-input"]
wrong = (test.logits.argmax(1) != test.labels).nonzero()[:, 0]
surest = wrong[test.logits[wrong].softmax(1).max(1).values.argsort(descending=True)][:4].tolist()
shown = surest or [0]
names = [
    f"{own.test.class_name(i)} → {own.class_names[int(test.logits[i].argmax())]}"
    if surest
    else own.test.class_name(i)
    for i in shown
]
title = "The surest mistakes, truth → answer" if surest else "No mistake: a right answer"
grid = plots.photo_grid([own.test.image(i) for i in shown], names, columns=4, title=title)
lesson.show(grid, alt="Up to four of the surest mistakes, or one right answer if there is none.")

# %% [markdown]
# **Answer.** Look for a reason in each: is the flower small, turned away, or like those of another
# class? A reason that recurs says which photos to collect next.

# %% tags=["nbval-ignore-output"]
lesson.footer("fp32")
