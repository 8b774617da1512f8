"""Damaged and odd photos: each opens to its known pixels or is named; a training never crashes.

The files and the pixels that they must give come from `tests.fuzz.photos`. After every 500, they
are the training set of a classifier: the training must end in one sentence that counts those that
cannot be used, and, once these are gone, in a classifier.
"""

from __future__ import annotations

import re
import shutil
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from flowerlib import data, train
from flowerlib.data.decoding import images
from flowerlib.support.errors import InputError
from tests.fuzz import Outcome, is_sentence
from tests.fuzz.photos import judge, odd_photos

FULL = 5_000
BATCH = 500


def attack(count: int, seed: int, folder: Path) -> Outcome:
    """Opens `count` files, and trains on them; see the module."""
    outcome, trainings = Outcome(), 0
    refused: set[Path] = set()
    root = folder / "photos"

    def opener(path: Path) -> Image.Image:
        try:
            return images.open_photo(path)
        except images.PhotoError as problem:
            refused.add(path)
            if not is_sentence(problem):
                outcome.failures.append(f"{path.name}: not one sentence: {problem!s:.200}")
            raise

    warnings.simplefilter("ignore")  # Pillow's remarks on odd files
    made = list(odd_photos(count, seed))
    for number, photo in enumerate(made):
        place = root / "train" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        fault = judge(photo, place, opener, images.PhotoError)
        outcome.ends["named" if place / photo.name in refused else "opened, right"] += 1
        outcome.failures += [fault] if fault else []
        if (number + 1) % BATCH == 0 or number + 1 == count:
            outcome.failures += faults_of_training(root, refused)
            trainings += 1
            shutil.rmtree(root)
            refused.clear()
    outcome.facts["kinds"] = len({re.sub(r"^\d+_|\..*$", "", photo.name) for photo in made})
    outcome.facts["trainings"] = 3 * trainings
    return outcome


def faults_of_training(root: Path, refused: set[Path]) -> list[str]:
    """Trains with the unusable files and without them; what was wrong with either end."""
    noise = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    for index, picture in enumerate(noise):
        place = root / "valid" / "ab"[index % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(place / f"{index}.png")
    unusable = {path for path in refused if not path.is_dir()}
    # Files that cannot even be read are named before any is decoded; the rest, once these are gone.
    no_files = {path for path in unusable if not path.is_file() or not path.stat().st_mode & 0o400}
    faults = []
    for some in (no_files, unusable - no_files):
        if some:
            end = end_of_training(root)
            found = re.match(r"(\d+) unreadable photo", end)
            # Copies of one content are looked at once.
            contents = some if some is no_files else {path.read_bytes() for path in some}
            if not found or int(found[1]) != len(contents):
                faults.append(f"{len(some)} unusable photos, and the training said: {end:.300}")
        for path in some:
            path.unlink()
    for path in refused - unusable:
        path.rmdir()
    if (end := end_of_training(root)) != "trained":
        faults.append(f"a training on usable photos alone said: {end:.300}")
    return faults


def end_of_training(root: Path) -> str:
    """What a training of the project's small network comes to, in a sentence."""
    try:
        splits = data.image_folder(root)
        made = train.transfer(splits, "small_resnet", device="cpu", precision="fp32")
    except InputError as problem:
        return str(problem) if "\n" not in str(problem) else f"several lines: {problem!s:.200}"
    except Exception as problem:
        return f"{type(problem).__name__}: {problem!s:.200}"
    return "trained" if made.class_names == ("a", "b") else f"classes {made.class_names}"
