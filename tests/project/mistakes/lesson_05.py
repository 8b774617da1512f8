"""Mistakes in 05_heads and in its solutions."""

from __future__ import annotations

from tests.project.mistakes import Mistake

LESSON = [
    Mistake(
        "L-BFGS gives over 98 % of the answers alike",
        "L-BFGS ends after its first step",
        "once = torch.optim.LBFGS\n"
        "torch.optim.LBFGS = lambda weights, **given: once(weights, **{**given, 'max_iter': 1})",
        after="def logistic_regression",
    ),
    Mistake(
        "training the article's head leaves more to luck",
        "every head gets the same seed",
        "once = hidden_answers\nhidden_answers = lambda seed: once(SEED)",
    ),
    Mistake(
        "training loss falls with the penalty",
        "penalties are taken for scikit-learn's C, which is their inverse",
        "once = logistic_regression\n"
        "logistic_regression = lambda values, labels, c: once(values, labels, 1 / c / len(labels))",
        after="hidden = torch.stack",
    ),
    Mistake(
        "the strongest penalty is not the best on valid",
        "validation labels are in another order than features",
        "asked = valid.labels.flip(0)\n"
        "judged = [float(F.cross_entropy(layer(held_out), asked)) for layer in layers]",
    ),
    Mistake(
        "the library has the same loss to within 10 %",
        "the library adds up the loss of all pictures instead of averaging it",
        "once = solvers.logistic\n"
        "solvers.logistic = lambda *given, penalties: once(\n"
        "    *given, penalties=[penalty / len(known) for penalty in penalties]\n"
        ")",
    ),
    Mistake(
        "pretraining is worth over 10 points",
        "the random network is pretrained, too",
        "once = models.backbone\n"
        "models.backbone = lambda name, weights, seed: once(name, WEIGHTS, seed=seed)",
        after='better="The views help."',
    ),
    Mistake(
        "random filters are far better than guessing",
        "features come in a random order, labels do not",
        "once, order = extract, torch.Generator().manual_seed(SEED)\n\n"
        "def extract(network, photos):\n"
        "    found = once(network, photos)\n"
        "    found.values = found.values[torch.randperm(len(found), generator=order)]\n"
        "    return found",
        after='better="The views help."',
    ),
]

SOLUTIONS = [
    Mistake(
        "on average, more pictures help each time",
        "with all pictures, labels are in another order than features",
        "_, right = solve(known.values, known.labels.flip(0))\n"
        "found[most] = torch.stack([right, right]).double()\n"
        "rows = [(n, *metrics.crossed_interval(values)) for n, values in found.items()]",
    ),
    Mistake(
        "the first picture of a class helps most",
        "with one picture, labels are in another order than features",
        "once = solve\n"
        "solve = lambda values, labels: once(values, labels.flip(0))\n"
        "found[1] = torch.stack([right_with(1, seed) for seed in DRAWS]).double()\n"
        "rows[0] = (1, *metrics.crossed_interval(found[1]))",
    ),
    Mistake(
        "each further picture helps less",
        "the accuracies are sorted as words: of 1, 10, 2 and 5 pictures",
        "rows.sort(key=lambda row: str(row[0]))",
    ),
    Mistake(
        "the species with few pictures lose accuracy",
        "the other species have few pictures",
        "unequal = [rows if label % 2 else rows[:2] for label, rows in enumerate(of_class)]\n"
        'answers["two of every second species"] = answers_of(torch.cat(unequal))',
        after="answers = {",
    ),
]
