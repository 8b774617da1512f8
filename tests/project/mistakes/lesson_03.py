"""Mistakes in 03_augmentation and in its solutions."""

from __future__ import annotations

from tests.project.mistakes import Mistake

LESSON = [
    Mistake(
        "given a batch, the flip mirrors all of it or nothing",
        "the flip is called for each picture of the batch",
        "once = flip\nflip = lambda batch: torch.stack([once(view) for view in batch])",
        after="def mirrored",
    ),
    Mistake(
        "given single photos, it mirrors some of them",
        "each call begins with the same seed",
        "once = flip\ndef flip(pictures):\n    torch.manual_seed(SEED)\n    return once(pictures)",
        after="def mirrored",
    ),
    Mistake(
        "evaluation repeats itself exactly",
        "evaluation crops at random",
        "v2.CenterCrop = v2.RandomCrop",
    ),
    Mistake(
        "training views differ",
        "each view begins with the same seed",
        "once = rotate_and_flip\n"
        "def rotate_and_flip(picture):\n"
        "    torch.manual_seed(SEED)\n"
        "    return once(picture)",
    ),
    Mistake(
        "the short form gives the same numbers",
        "normalization is dropped",
        "to_tensor = to_tensor[:2]",
    ),
    Mistake(
        "rotating first leaves less than a tenth of the corners",
        "the picture is resized to no more than the crop",
        "steps = v2.Compose([v2.Resize(224), rotate, v2.CenterCrop(224)])\n"
        'corners["rotate, then crop"] = float((np.asarray(steps(white)) < 128).mean())',
        after="corners =",
    ),
    Mistake(
        "of the normalized values, over 25 % are outside of 0 to 1",
        "normalization is dropped",
        "evaluation = v2.Compose(evaluation.transforms[:-1])",
        after="corners =",
    ),
    Mistake(
        "restored, all are inside again",
        "normalization is undone with other statistics",
        "IMAGENET_MEAN = IMAGENET_STD = (0.5, 0.5, 0.5)",
        after="corners =",
    ),
    Mistake(
        "with the same seed and two workers: the same views",
        "each worker takes a seed of its own",
        "from functools import partial\n"
        "DataLoader = partial(DataLoader, worker_init_fn=lambda worker: torch.seed())",
    ),
    Mistake(
        "without workers: still the same order",
        "nothing is seeded",
        "torch.manual_seed = lambda seed: None\n"
        "whole = DataLoader\n"
        "DataLoader = lambda *given, generator, **named: whole(*given, **named)",
    ),
    Mistake(
        "but other views",
        "training has the transform of evaluation",
        "dataset.transform = evaluation",
    ),
    Mistake(
        "any number of workers: the same views",
        "a view is seeded by the process that draws it",
        "from flowerlib.data import views\n"
        "seeded = views.seeded\n"
        "views.seeded = lambda seed, *given: seeded(torch.initial_seed() % 2**32, *given)",
    ),
    Mistake(
        "the next epoch: other views",
        "a view is seeded without the epoch",
        "from flowerlib.data import views\n"
        "seeded = views.seeded\n"
        "views.seeded = lambda seed, epoch, index: seeded(seed, 0, index)",
    ),
    Mistake(
        "turned by 180°, the six correlates over 0.9 with a nine only",
        "the six is flipped, not rotated",
        "rotated = v2.functional.vertical_flip(six)",
    ),
    Mistake(
        "a quarter turn of the hue costs more than an upside-down picture",
        "the class means are in another order than the classes",
        "means = means.flip(0)",
        after="means = torch.stack",
    ),
    Mistake(
        "without augmentation, accuracy is over 20 points higher on train",
        "the learning rate is far too small",
        "LR = 1e-7",
        after='recipes["any hue"]',
    ),
    Mistake(
        "with flips and crops, the losses are closer together",
        "no recipe is used",
        'recipes = dict.fromkeys(recipes, recipes["none"])',
        after='recipes["any hue"]',
    ),
    Mistake(
        "random hues hurt: their interval is below zero",
        "the validation pictures get random hues as well",
        "jitter = v2.ColorJitter(hue=0.5)\n"
        "valid = torch.stack([jitter(image) for image in valid[0]]), valid[1]\n"
        "right = {\n"
        "    recipe: torch.stack([evaluate(model, *valid)[2] for model, _ in found]).double()\n"
        "    for recipe, found in runs.items()\n"
        "}",
        after="runs = {",
    ),
]

SOLUTIONS = [
    Mistake(
        "a crop of this side shows no corner",
        "the crop is taken at the top left",
        "v2.functional.center_crop = lambda picture, side: "
        "v2.functional.crop(picture, 0, 0, side, side)",
    ),
    Mistake(
        "a crop of ten pixels more shows some",
        "the corners are filled with white",
        "rotate = v2.functional.rotate\n"
        "v2.functional.rotate = lambda picture, angle: rotate(picture, angle, fill=255)",
    ),
    Mistake(
        "224 pixels without corners need a square of just under 260",
        "sine and cosine get degrees",
        "math.radians = float",
    ),
    Mistake(
        "at 5 degrees, 92 % of the side remain",
        "the table is sorted by the side",
        "rows.sort(key=lambda row: row[1])",
    ),
    Mistake(
        "at 45 degrees, 71 % of the side remain",
        "the area is taken for the side",
        "rows = [(angle, side**2, *found) for angle, side, *found in rows]",
    ),
    Mistake(
        "the 0 survives everything",
        "the digits begin with 1",
        "before = digit\ndigit = lambda text: before(str((int(text) + 1) % 10))",
        after="def digit",
    ),
    Mistake(
        "no change leaves over 3 digits",
        "the mirror is a random one, which mirrors none",
        "v2.functional.horizontal_flip = v2.RandomHorizontalFlip(p=0)",
        after="def digit",
    ),
    Mistake(
        "rotated, 6 and 9 change places",
        "digits are flipped, not rotated",
        "v2.functional.rotate = lambda picture, angle: v2.functional.vertical_flip(picture)",
        after="def digit",
    ),
    Mistake(
        "five more pictures help",
        "those who should have ten get five",
        "found = [right_answers(*methods['five'], seed) for seed in SEEDS]\n"
        "right['ten'] = torch.stack(found).double()",
    ),
]
