# %% [markdown]
# # Solutions to lesson 02: dogs and cats
#
# The backbone, our own network and the loop are those of the [lesson](../02_dogs_vs_cats.ipynb).
# There are up to 100 training pictures of each animal: Exercise 02.1 trains with all of them,
# 02.3 with 30 of each. Everything except Exercise 02.2 is measured on the validation set. On
# drawn data, the pictures are not those of the lesson, so the figures differ.

# %%
import copy
import os
import tempfile
from pathlib import Path

import torch
from torch import nn
from torchvision.transforms import v2

from flowerlib import data, lesson, metrics, models, plots, solvers

# %% tags=["settings"]
BACKBONE = os.environ.get("FLOWERLIB_BACKBONE", "small_resnet")
WEIGHTS = os.environ.get("FLOWERLIB_WEIGHTS", "pretrained")
PER_CLASS = (100, 60, 0)  # pictures of each animal; the lesson trains with 30
SIZE, BATCH, LR, DROPOUT = 96, 16, 0.001, 0.5  # as in the lesson
MY_EPOCHS = 20  # on photos of your own
PASSES = 20  # with dropout on
RATES, STAGE_EPOCHS = (0.0001, 0.001, 0.01), 3  # of the unfrozen stage
OTHERS = (20, 15)  # pictures of each class of another task: train, valid
TRAININGS = {10: 30, 30: 20, 100: 18}  # pictures of each animal: epochs of our own network
DRAWS = 5  # samples of so many pictures, for the frozen network
SEED = 0

# %%
splits = data.dogs_vs_cats(per_class=PER_CLASS).per_class(PER_CLASS)
backbone = models.freeze(models.backbone(BACKBONE, WEIGHTS, seed=SEED))
num_classes = len(splits.class_names)
lesson.banner(splits, backbone)

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


def whole(photos):
    """All images (N, 3, SIZE, SIZE) and labels (N,) of photos, without augmentation."""
    return next(iter(data.loader(photos, plain, batch_size=len(photos))))


# %%
def block(inputs, outputs, stride=1):
    return [nn.Conv2d(inputs, outputs, 3, stride, padding=1), nn.ReLU(), nn.MaxPool2d(2)]


def own_network():
    torch.manual_seed(SEED)
    body = nn.Sequential(*block(3, 32, stride=2), *block(32, 64), *block(64, 128), nn.Flatten())
    hidden = nn.Linear(128 * (SIZE // 16) ** 2, 128)
    top = nn.Sequential(hidden, nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(128, num_classes))
    return nn.Sequential(body, top)


# %%
def fit(model, optimizer, photos, valid, epochs):
    """The lesson's loop; leaves the model as it was when its loss on `valid` was lowest."""
    batches = data.loader(photos, augment, batch_size=BATCH, shuffle=True, seed=SEED)
    lowest, best_state = float("inf"), None
    for epoch in range(1, epochs + 1):
        model.train()
        batches.dataset.epoch = epoch  # other random changes in every epoch
        for images, labels in batches:
            loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        if epoch % 2:  # the lesson measures after every epoch, which takes longer
            continue
        with torch.no_grad():
            loss = float(nn.functional.cross_entropy(model(valid[0]), valid[1]))
        if loss < lowest:
            lowest, best_state = loss, copy.deepcopy(model.state_dict())
    model.load_state_dict(best_state)
    return model


def own_trained(photos, valid, epochs):
    """Our own network, trained on photos."""
    network = own_network()
    return fit(network, torch.optim.Adam(network.parameters(), lr=LR), photos, valid, epochs)


# %%
valid_images, labels = valid = whole(splits.valid)
few = splits.train.per_class(30)
own = own_trained(splits.train, valid, TRAININGS[100])
with torch.no_grad():
    logits = own(valid_images)
number = int((logits.argmax(1) == labels).sum())
print(
    "our own network, trained with all pictures:",
    metrics.format_accuracy(number, len(labels), "valid"),
)

# %% [markdown]
# ## Exercise 02.1: can the bug be put to use?
#
# `eval()` switches dropout off. To have it on, and nothing else, we switch that one module back.

# %%
dropout = own[1][2]
dropout.train()
torch.manual_seed(SEED)
with torch.no_grad():
    inputs = own[0](valid_images)
    passes = torch.stack([own[1](inputs).softmax(1) for _ in range(PASSES)])


# %%
dropout.eval()


def loss_of(answers):
    return float(nn.functional.nll_loss(answers.log(), labels))


def right(answers):
    return answers.argmax(1) == labels


off, mean = logits.softmax(1), passes.mean(0)
single = sum(loss_of(answers) for answers in passes) / PASSES
accuracy = sum(float(right(answers).double().mean()) for answers in passes) / PASSES
rows = [("dropout on, mean of single passes", single, accuracy)]
rows += [
    (f"dropout on, average of {PASSES} passes", loss_of(mean), float(right(mean).double().mean()))
]
rows += [("dropout off", loss_of(off), float(right(off).double().mean()))]
lesson.table(rows, ["answer", "loss on valid", "accuracy on valid"])

# %%
lesson.verdict(
    *metrics.paired_difference(right(mean), right(off)),
    better="The average is more accurate than dropout off.",
    worse="The average is less accurate than dropout off.",
    unclear="These pictures show no clear difference between the average and dropout off.",
)
wavering = (passes.argmax(2) != passes[0].argmax(1)).any(0)
rows = []
for name, some in (("all passes agree", ~wavering), ("passes disagree", wavering)):
    count, number = int(some.sum()), int(right(off)[some].sum())
    rows.append((name, count, number / count, *metrics.wilson_interval(number, count)))
lesson.table(rows, ["pictures", "how many", "accuracy, dropout off", "low", "high"], digits=2)
if rows[0][3] > rows[1][4]:
    print("→ Where the passes disagree, fewer answers are right.")
else:
    print("→ These pictures show no clear difference between the two rows.")

# %% [markdown]
# **Answer:** the average of many passes has a lower loss than single passes have on average
# (always, since the logarithm is concave), but it takes many passes. The first sentence with an
# arrow compares its accuracy with that of dropout off, which takes one. The second says whether
# disagreement between passes shows which answers to doubt. That is what the bug can be good for,
# used on purpose: Monte Carlo dropout.

# %% [markdown]
# ## Exercise 02.2: your own photos
#
# Put the path of your own folder in the place of `folder`. Here drawn pictures that no other cell
# uses stand in for your photos.

# %%
others = data.garden("pets", per_class=(10, 5, 10), seed=1)
folder = data.to_folders(others, Path(tempfile.mkdtemp(), "mine"))
mine = data.image_folder(folder)
print(mine.class_names, mine.sizes())

# %%
my_valid = whole(mine.valid)
own_mine = own_trained(mine.train, my_valid, MY_EPOCHS)
head = nn.Linear(backbone.num_features, len(mine.class_names))
borrowed = nn.Sequential(backbone, head)
fit(borrowed, torch.optim.Adam(head.parameters(), lr=LR), mine.train, my_valid, MY_EPOCHS)
images, truth = whole(mine.test)
with torch.no_grad():
    found = {"our own": own_mine(images), "borrowed": borrowed(images)}
rows = []
for name, answers in found.items():
    hits = answers.argmax(1) == truth
    low, high = metrics.wilson_interval(int(hits.sum()), len(hits))
    rows.append((name, f"{int(hits.sum())} of {len(hits)}", low, high))
lesson.table(rows, ["classifier", "right on test", "low", "high"], digits=2)
narrow = min(high - low for *_, low, high in rows)
print(f"the narrower of the two intervals is {100 * narrow:.0f} points wide")

# %% [markdown]
# **Answer:** the table says how many each gets right. But with so few photos to measure on, the
# intervals are wide, and only a large difference can be shown. A borrowed network needs few
# photos to train with, so use the larger part to measure: a narrow interval needs many.

# %% [markdown]
# ## Exercise 02.3: how does a network forget?
#
# The heads of both tasks are solved on frozen features. Then the last stage is trained on cats and
# dogs at three learning rates, the same for their head. Only the last stage differs, so all
# pictures pass through the lower part once.

# %%
lower, stage = models.split(copy.deepcopy(backbone), SIZE)
others = data.cifar10(per_class=(*OTHERS, 0))
parts = [few, splits.valid]
parts += [part.per_class(n) for part, n in zip((others.train, others.valid), OTHERS, strict=True)]
with torch.no_grad():
    maps = []
    for part in parts:
        pieces = [lower(images) for images, _ in data.loader(part, plain)]
        maps.append((torch.cat(pieces), torch.tensor(part.labels)))


# %%
@torch.no_grad()
def seen(network, part):
    """What a network makes of stored maps."""
    return torch.cat([network(values) for values in maps[part][0].split(64)])


def solve(learn, check, classes):
    """A linear head on features of the frozen stage, and its accuracy on `check`."""
    known, asked = maps[learn][1], maps[check][1]
    found = solvers.logistic(seen(stage, learn), known, seen(stage, check), asked, classes)
    return found.head, metrics.accuracy(found.head(seen(stage, check)).detach(), asked)


# %%
def unfreeze(rate):
    """Trains stage and head at one rate; returns the stage and the accuracy after each epoch."""
    network = nn.Sequential(copy.deepcopy(stage), copy.deepcopy(head)).requires_grad_(True).eval()
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    accuracies = []
    for epoch in range(STAGE_EPOCHS):
        order = torch.randperm(len(few), generator=torch.Generator().manual_seed(epoch))
        for some in order.split(BATCH):
            loss = nn.functional.cross_entropy(network(maps[0][0][some]), maps[0][1][some])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        accuracies.append(metrics.accuracy(seen(network, 1), labels))
    return network[0], accuracies


# %%
head, start = solve(0, 1, num_classes)
other_head, known = solve(2, 3, len(others.class_names))
columns = ["learning rate", "before", *(f"epoch {e + 1}" for e in range(STAGE_EPOCHS))]
columns += ["other task before", "other task after"]
rows = []
for rate in RATES:
    trained, accuracies = unfreeze(rate)
    after = metrics.accuracy(other_head(seen(trained, 3)).detach(), maps[3][1])
    rows.append((f"{rate:g}", start, *accuracies, known, after))
# A large rate magnifies the last bits, in which two machines differ: not compared.
lesson.table(rows, columns, digits=2, volatile=[*columns[2:-2], columns[-1]])

# %%
lost = [known - row[-1] for row in rows]
lesson.claim(
    lost[-1] > lost[0], "the largest rate forgets more of the other task than the smallest"
)
lesson.claim(lost[-1] > 0.1, "it forgets over 10 points of it")

# %% [markdown]
# **Answer:** by steps that are too large. The head of the other task was not touched; what
# changed is the stage below it. At a large rate, what it had learned from very many pictures is
# overwritten within a few epochs. The accuracy on cats and dogs may hide this, because the stage
# is trained on them at the same time. So a large rate gives up what we borrowed the network for.

# %% [markdown]
# ## Exercise 02.4: how many pictures does a network of your own need?
#
# The frozen network answers by the nearest class mean, which needs no training and no choice, so we
# can afford several samples of pictures. Our own network is trained once for each number. With
# fewer pictures an epoch has fewer steps, so it gets more epochs there.

# %%
with torch.no_grad():
    train_features = backbone(whole(splits.train)[0])
    valid_features = backbone(valid_images)
train_labels = torch.tensor(splits.train.labels)


def frozen_accuracy(count, seed):
    order = torch.randperm(len(train_labels), generator=torch.Generator().manual_seed(seed))
    of_class = [order[train_labels[order] == label][:count] for label in range(num_classes)]
    means = torch.stack([train_features[chosen].mean(0) for chosen in of_class])
    return metrics.accuracy(-torch.cdist(valid_features, means), labels)


# %%
columns = ["of each animal", "epochs of our own", "our own", "frozen", "lowest", "highest", "lead"]
rows = []
for count, epochs in TRAININGS.items():
    network = own if count == 100 else own_trained(splits.train.per_class(count), valid, epochs)
    with torch.no_grad():
        ours = metrics.accuracy(network(valid_images), labels)
    draws = [frozen_accuracy(count, seed) for seed in range(SEED, SEED + DRAWS)]
    mean = sum(draws) / DRAWS
    rows.append((count, epochs, ours, mean, min(draws), max(draws), mean - ours))
lesson.table(rows, columns, digits=2)

# %%
counts, _, ours, frozen, lowest, highest, lead = zip(*rows, strict=True)
axes = plots.figure(5.6, 3.4).subplots()
axes.semilogx(counts, frozen, "o-", color=plots.BLUE, label=f"frozen, mean of {DRAWS} samples")
axes.fill_between(counts, lowest, highest, color=plots.BLUE, alpha=0.2)
axes.semilogx(counts, ours, "s-", color=plots.ORANGE, label="our own")
axes.set_xticks(counts, [str(count) for count in counts])
axes.minorticks_off()
axes.set(xlabel="training pictures of each animal", ylabel="accuracy on valid", ylim=(0.4, 1))
axes.set_title("How many pictures does each need?", loc="left")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False)
lesson.show(axes, alt="Accuracy over training pictures: the frozen network and our own.")

# %%
lesson.claim(lead[0] > 0, "with the fewest pictures, the frozen network is ahead")
goal = frozen[counts.index(30)]
enough = [count for count, accuracy in zip(counts, ours, strict=True) if accuracy >= goal]
if enough:
    print(f"→ Our own is as good as frozen with 30 from {enough[0]} pictures of each animal on.")
else:
    print(f"→ Not even {counts[-1]} pictures of each animal are enough for our own.")
if lead[-1] < min(lead[:-1]):
    print("→ The lead of the frozen network is smallest with the most pictures.")

# %% [markdown]
# **Answer:** the first line with an arrow gives the number. The validation set is small, so each
# accuracy of our own network may be off by several points, and another number may look like
# enough on other pictures. The band shows how much the frozen network depends on the sample; with
# all pictures, every sample is the same.

# %% tags=["nbval-ignore-output"]
lesson.footer("fp32")
