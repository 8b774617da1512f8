"""Mistakes in 01_cat_or_dog and in its solutions."""

from __future__ import annotations

from tests.project.mistakes import Mistake

LESSON = [
    Mistake(
        "each feature is the average of one map",
        "maximum pooling instead of average pooling",
        "features = list(maps.values())[-1].clamp(min=0).amax(dim=(1, 2))[None]",
    ),
    Mistake(
        "less than 1 % of the weights learn",
        "the backbone is not frozen",
        "network.requires_grad_(True)",
        after="network.requires_grad_(False)",
    ),
    Mistake(
        "bit for bit",
        "the backbone is in train mode",
        "network.train()",
        after="def one_epoch",
    ),
    Mistake(
        "training raised the accuracy on valid",
        "the optimizer takes no step",
        "torch.optim.Adam.step = lambda self: None",
        after="def one_epoch",
    ),
    Mistake(
        "our loop is better than guessing",
        "the classes are in another order in test",
        'correct["our loop"] = ~correct["our loop"]',
        after="correct = {",
    ),
    Mistake(
        "borrowed weights gain",
        "the library's backbone keeps its random weights",
        'classifier = train.transfer(pets, backbone=BACKBONE, weights="none", seed=SEED)',
        after="prediction = classifier.predict(picture)",
    ),
]

SOLUTIONS = [
    Mistake(
        "less sure where it is wrong",
        "the classes are in another order in valid",
        "hits = answers.argmax(1) == 1 - truth",
        after="titles =",
    ),
    Mistake(
        "some answers change, and no error appears",
        "the pictures without Normalize are normalized after all",
        "careless = valid_loader",
    ),
    Mistake(
        "four times the pictures about halve the interval",
        "the interval is said to be that of the first pictures alone",
        "whole = metrics.wilson_interval\n"
        "metrics.wilson_interval = lambda hits, total: "
        "whole(int(own_hits.sum()), len(own_hits))",
    ),
]
