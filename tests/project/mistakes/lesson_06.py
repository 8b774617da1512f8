"""Mistakes in 06_first_five_last_five and in its solutions."""

from __future__ import annotations

from tests.project.mistakes import Mistake

LESSON = [
    Mistake(
        "clearly better than guessing",
        "training labels are in a random order",
        "order = torch.Generator().manual_seed(SEED)\n"
        "images, labels = first_train\n"
        "first_train = images, labels[torch.randperm(len(labels), generator=order)]",
    ),
    Mistake(
        "both give the same features",
        "the library gets pictures with another mean",
        "preprocessing = transforms.Preprocessing(\n"
        "    resize=32, crop=32, mean=(0.45,) * 3, std=(0.25,) * 3\n"
        ")",
    ),
    Mistake(
        "left every frozen weight as it was",
        "the frozen layers are not frozen",
        "extractor.requires_grad_(True)",
        after="short = features.extract",
    ),
    Mistake(
        "on stored features, accuracy is the same",
        "stored features are in another order than their labels",
        "stored = stored[0].flip(0), stored[1]",
    ),
    Mistake(
        "freezing makes an epoch faster",
        "the ways are sorted by their names",
        "rows = dict(sorted(rows.items()))",
        after="paid = sum",
    ),
    Mistake(
        "stored features make it over 1.5 times as fast",
        "the head on stored features still stands on layers that learn",
        "whole = nn.Sequential(feature_layers(SEED), classification_layers(5, SEED))\n"
        'rows["frozen, features stored"] = fit(whole, few[SEED], EPOCHS, SEED)',
        after="paid = sum",
    ),
    Mistake(
        "the first training took more than all of this could save",
        "the first training is one epoch, on as few pictures as the second has",
        "whole = nn.Sequential(feature_layers(SEED), classification_layers(5, SEED))\n"
        "pictures = tensors(first.train.per_class(PER_CLASS, seed=SEED))\n"
        "first_rows = fit(whole, pictures, 1, SEED)",
        after='ways["from scratch"] =',
    ),
    Mistake(
        "even random filters beat guessing",
        "features are in another order than their labels",
        "ordered, order = features_of, torch.Generator().manual_seed(SEED)\n\n"
        "def features_of(layers, pictures):\n"
        "    rows, labels = ordered(layers, pictures)\n"
        "    return rows[torch.randperm(len(rows), generator=order)], labels\n\n"
        'runs["random, frozen"] = [second_training(random[seed], True, seed) for seed in SEEDS]',
    ),
    Mistake(
        "features from shuffled labels are smaller",
        "the labels are not shuffled, so this is the usual first training",
        'teachers["labels shuffled"] = teachers["five classes"]',
        after="two = first.class_names",
    ),
    Mistake(
        "five classes teach more than nothing",
        "the weights of the first training are not loaded",
        'scaled["five classes"] = {s: Rescaled(feature_layers(s), few[s]) for s in SEEDS}\n'
        'found = [second_training(scaled["five classes"][seed], True, seed) for seed in SEEDS]\n'
        'reached["rescaled"]["five classes"] = mean_accuracies(found)',
    ),
    Mistake(
        "transfer gains on the test pictures",
        "the weights of the first training are not loaded",
        'runs["pretrained, frozen"] = [second_training(random[s], True, s) for s in SEEDS]',
    ),
]

SOLUTIONS = [
    Mistake(
        " filters: PyTorch counts ",
        "the convolutions have no bias",
        "whole = nn.Conv2d\nnn.Conv2d = lambda *sizes: whole(*sizes, bias=False)",
    ),
]
