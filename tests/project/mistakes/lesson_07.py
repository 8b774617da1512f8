"""Mistakes in 07_bed_or_sofa and in its solutions."""

from __future__ import annotations

from tests.project.mistakes import Mistake

LESSON = [
    Mistake(
        ": the largest is over a tenth above the smallest",
        "every start is from the same weights",
        "once = deep_head\ndeep_head = lambda seed: once(SEED)",
    ),
    Mistake(
        ": the largest is over a tenth above the smallest",
        "every order of the batches is the same",
        "once = fit\nfit = lambda network, learn, valid, order: once(network, learn, valid, SEED)",
    ),
    Mistake(
        "a linear head fits",
        "labels are in a random order",
        "order = torch.Generator().manual_seed(SEED)\n"
        "labels = labels[torch.randperm(len(labels), generator=order)]",
    ),
    Mistake(
        "no other penalty is 3 points better",
        "labels are in a random order",
        "order = torch.Generator().manual_seed(SEED)\n"
        "labels = labels[torch.randperm(len(labels), generator=order)]",
    ),
    Mistake(
        "50 photos of each class are better than 5",
        "every head learns from all photos of its draw, whatever the size",
        "once = learning_curve\n"
        "learning_curve = lambda rows, labels, sizes, judged: dict.fromkeys(\n"
        "    sizes, once(rows, labels, sizes[-1:], judged)[sizes[-1]]\n"
        ")",
        after="def learning_curve",
    ),
    Mistake(
        "with 5, it matters more which photos they are",
        "every draw has the same seed",
        "once = np.random.default_rng\nnp.random.default_rng = lambda draw: once(SEED)",
        after="def learning_curve",
    ),
    Mistake(
        "an epoch takes longer, the more layers learn",
        "the ways are sorted by their names",
        "runs = dict(sorted(runs.items()))",
    ),
    Mistake(
        "BatchNorm's statistics did not change",
        "the unfrozen network is in train mode",
        'networks["last 100%"].train()(images[1][0])',
    ),
    Mistake(
        "both find the same nearest photos",
        "the library compares products, not angles",
        "def nearest(queries, values, count):\n"
        "    found = (queries @ values.T).topk(count, dim=1)\n"
        "    return found.indices, found.values\n\n"
        "explain.nearest = nearest",
    ),
    Mistake(
        "of the five nearest photos, over 70 %",
        "features are in another order than their labels",
        "order = torch.Generator().manual_seed(SEED)\n"
        "values = values[torch.randperm(len(values), generator=order)]",
    ),
    Mistake(
        "the duplicate has other bytes",
        "it is saved without loss",
        "once = Image.Image.save\n"
        'Image.Image.save = lambda image, file, *given, **more: once(image, file, "PNG")',
    ),
    Mistake(
        "and yet the original is its nearest photo",
        "features are in another order than photos",
        "values = values.flip(0)",
    ),
    Mistake(
        "with a similarity above the threshold",
        "the copy is padded, the photos were cropped",
        'way = ways["pad"]',
    ),
    Mistake(
        "the mean of a heat map, plus the bias, is the score",
        "negative scores of places are cut off, as in Grad-CAM",
        "once = torch.einsum\ntorch.einsum = lambda *given: once(*given).clamp(min=0)",
    ),
    Mistake(
        "features beat pixels",
        "features of test photos are in another order than their labels",
        "order = torch.Generator().manual_seed(SEED)\n"
        "unseen = unseen[torch.randperm(len(unseen), generator=order)]",
        after="unseen = features.extract",
    ),
]

SOLUTIONS = [
    Mistake(
        "both 0.95 and 0.98 are in the interval",
        "the interval reaches one standard error to each side, not two",
        "whole = metrics.wilson_interval\n"
        "metrics.wilson_interval = lambda correct, total: whole(correct, total, 1.0)",
    ),
    Mistake(
        "one neighbor is right on over 65 of 100",
        "labels are in a random order",
        "order = torch.Generator().manual_seed(SEED)\n"
        "labels = labels[torch.randperm(len(labels), generator=order)]",
        after="needed = next(",
    ),
    Mistake(
        "epochs, the deep head has the larger loss",
        "cross_entropy gets probabilities instead of logits",
        "logits = {name: given.softmax(1) for name, given in logits.items()}",
    ),
    Mistake(
        "ridge fits",
        "the targets are 0 and 1",
        "labels = (labels + 1) / 2",
    ),
    Mistake(
        "the short cut gives the same answers",
        "single precision",
        "products, targets = products.float(), targets.float()",
    ),
    Mistake(
        "subtracting the mean leaks the answers",
        "the mean of each row is subtracted, not the mean of all rows",
        "centered = rows - rows.mean(1, keepdim=True)\n"
        "shares = [share_right(centered @ centered.T, penalty) for penalty in penalties]\n"
        'found["mean of all rows subtracted"] = shares',
    ),
]
