"""Mistakes in 02_dogs_vs_cats and in its solutions."""

from __future__ import annotations

from tests.project.mistakes import Mistake

LESSON = [
    Mistake(
        "our network learns its pictures",
        "the optimizer takes no step",
        "torch.optim.Adam.step = lambda self: None\nEPOCHS = 4  # so many show it",
        after="def fit",
    ),
    Mistake(
        "on validation pictures it is better than guessing",
        "the training labels are shuffled",
        "import numpy as np\n"
        "order = np.random.default_rng(0).permutation(len(splits.train))\n"
        "splits.train.labels[:] = splits.train.labels[order]",
        after="lesson.banner",
    ),
    Mistake(
        "every pass gives the same answers",
        "our network stays in train mode",
        "own.train()\nown.eval = lambda: own",
        after="def with_bug",
    ),
    Mistake(
        "over a tenth of all pictures get two answers",
        "the function follows the mode after all",
        "def with_bug(inputs):\n"
        "    hidden = nn.functional.relu(top[0](inputs))\n"
        "    return top[3](nn.functional.dropout(hidden, DROPOUT, training=top.training))",
        after="def with_bug",
    ),
    Mistake(
        "an unlucky pass is less accurate",
        "the share of dropout is 0",
        "DROPOUT = 0.0",
        after="def with_bug",
    ),
    Mistake(
        "tensors of the backbone are what they were, bit for bit",
        "the backbone has no gradients, but is in train mode",
        "backbone = models.backbone(BACKBONE, WEIGHTS, seed=SEED).requires_grad_(False)\n"
        "borrowed = nn.Sequential(backbone, head)\n"
        "EPOCHS = 2  # so many show it",
        after="borrowed = nn.Sequential(backbone, head)",
    ),
    Mistake(
        "the borrowed network is more accurate on validation",
        "the borrowed network has random weights",
        'backbone = models.freeze(models.backbone(BACKBONE, "none", seed=SEED))',
        after="an unlucky pass",
    ),
    Mistake(
        "a backbone without gradients changed in train()",
        "it is frozen by models.freeze, so that train() does nothing",
        "loaded = models.backbone\n"
        "models.backbone = lambda *given, **named: models.freeze(loaded(*given, **named))",
        after="ahead = next(",
    ),
    Mistake(
        "another batch moves features by over 10 %",
        "the naive backbone is in eval mode",
        "naive.eval()",
    ),
    Mistake(
        "after models.freeze, the rest of the batch does not matter",
        "the other backbone is not frozen either",
        "backbone = models.backbone(BACKBONE, WEIGHTS, seed=SEED)",
    ),
    Mistake(
        "the buffers are what they were",
        "the last stage is in train mode",
        "once = fit\nfit = lambda *given, mode, **named: once(*given, **named)",
        after="models.split(",
    ),
    Mistake(
        "the training loss has fallen further",
        "the borrowed weights learn at a rate for new ones, and a large one",
        "STAGE_LR = 0.1",
        after="drifted = head(",
    ),
    Mistake(
        "borrowed and frozen beats our own",
        "features of the test are in another order than its labels",
        "with torch.no_grad():\n"
        '    correct["frozen"] = head(backbone(test_images.flip(0))).argmax(1) == test_labels',
        after="test_images, test_labels",
    ),
]

SOLUTIONS = [
    Mistake(
        "the largest rate forgets more of the other task than the smallest",
        "the rates are listed from the largest on",
        "RATES = RATES[::-1]",
        after="def unfreeze",
    ),
    Mistake(
        "it forgets over 10 points of it",
        "the optimizer gets the weights of the head only",
        "adam = torch.optim.Adam\n"
        "torch.optim.Adam = lambda weights, lr: adam(list(weights)[-2:], lr)",
        after="def unfreeze",
    ),
    Mistake(
        "with the fewest pictures, the frozen network is ahead",
        "the class means are in another order than the classes",
        "train_labels = num_classes - 1 - train_labels",
        after="train_labels =",
    ),
]
