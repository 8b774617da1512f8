"""SIGKILL at random moments: what is on disk stays whole, what is resumed ends with the same bits.

Each attack starts a task in a folder of its own, kills it, sometimes kills it a second time after
it went on, and lets it end. Half of the kills come at a random moment of the task, the other half
within two milliseconds after a file began to be written, where half a file could stay. Then every
file under its final name must be readable, and the task, gone on with, must end with the SHA-256
of a run that nobody killed. Random views are opened by 0, 1, 2 or 4 workers, redrawn after each
kill.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import shutil
import time
import tomllib
import warnings
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
from PIL import Image
from torch import nn

# What the children need is imported here, once, before they are forked.
from flowerlib import data, features, garden, models, train
from flowerlib.classifier import Classifier
from flowerlib.cli import runs
from flowerlib.cli.run_folder import RESULTS
from flowerlib.train.checkpoints import Checkpoint
from flowerlib.transforms import Augmentation, Preprocessing
from tests.fuzz import Outcome
from tests.fuzz.children import Child, done, in_a_new_process, wait_until

FULL = 500
WORKERS = (0, 1, 2, 4)
SMALL = Preprocessing(48, 48)
SAVES = 24  # of the artifact, two classifiers in turn
WITHIN = 0.002  # seconds after a file began to be written

Task = Callable[[Path, int], str]  # folder, workers → digest of the result


def pictures(count: int, size: int = 48) -> data.Photos:
    """Noise in four classes, each with a color of its own."""
    noise = np.random.default_rng(5).integers(0, 200, (count, size, size, 3), np.uint8)
    labels = np.arange(count) % 4
    noise[np.arange(count), :, :, labels % 3] += (20 + 10 * labels[:, None, None]).astype(np.uint8)
    return data.Photos(noise, labels, ("a", "b", "c", "d"))


def digest(*parts: Any) -> str:
    """SHA-256 of modules' states, tensors, and plain data without its times."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, nn.Module):
            for key, value in part.state_dict().items():
                total.update(key.encode() + value.numpy().tobytes())
        elif isinstance(part, torch.Tensor):
            total.update(part.numpy().tobytes())
        elif isinstance(part, (bytes, np.ndarray)):
            total.update(part)
        else:
            total.update(json.dumps(timeless(part), sort_keys=True).encode())
    return total.hexdigest()


def timeless(data: Any) -> Any:
    """Plain data without entries that differ from run to run."""
    if isinstance(data, dict):
        unsteady = ("seconds", "images_per_second")
        return {key: timeless(value) for key, value in data.items() if key not in unsteady}
    return [timeless(value) for value in data] if isinstance(data, list) else data


def training_on_features(folder: Path, workers: int) -> str:
    """A head with dropout on features, 40 epochs, its state kept after each."""
    generator = torch.Generator().manual_seed(3)
    values, labels = torch.randn(96, 32, generator=generator), torch.arange(96) % 3
    torch.manual_seed(1)
    head = models.hidden_head(32, 3, (16,), 0.5)
    history = train.fit(
        head,
        train.FeatureBatches(values, labels, 16, shuffle=True),
        train.FeatureBatches(values[:30], labels[:30], 64, shuffle=False),
        epochs=40,
        checkpoint=Checkpoint(folder / "training.pt", "features"),
    )
    return digest(head, history.rows, history.best_epoch)


def training_on_views(folder: Path, workers: int) -> str:
    """A whole small ResNet with its BatchNorm statistics, on random views that workers draw."""
    some = pictures(12)
    torch.manual_seed(1)
    backbone = models.backbone("small_resnet", "none")
    network = models.Network(backbone, models.linear_head(backbone.num_features, 4))
    history = train.fit(
        network,
        data.loader(some, Augmentation(SMALL), batch_size=6, shuffle=True, workers=workers),
        data.loader(some, SMALL, batch_size=12),
        epochs=4,
        lr=0.001,
        loss=nn.CrossEntropyLoss(),
        checkpoint=Checkpoint(folder / "training.pt", "views"),
    )
    return digest(network, history.rows, history.best_epoch)


def saving(folder: Path, workers: int) -> str:
    """Two classifiers, saved to one file in turn."""
    path = folder / "classifier.safetensors"
    made = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        backbone = models.backbone("small_resnet", "none", seed=seed)
        head = models.linear_head(backbone.num_features, 4)
        made.append(Classifier(backbone, head, ("a", "b", "c", "d"), SMALL, {"seed": seed}))
    if path.exists():  # after a kill: one of the two, whole
        found = Classifier.load(path)
        right = made[found.results["seed"] - 1]
        if digest(found.backbone, found.head) != digest(right.backbone, right.head):
            raise AssertionError("the file holds neither of the two classifiers")
    for number in range(SAVES):
        made[number % 2].save(path)
    return digest(path.read_bytes())


def caching_features(folder: Path, workers: int) -> str:
    """Features of 48 pictures, a file of the cache for each eight."""
    features.SHARD = 8
    backbone = models.backbone("small_resnet", "small")
    found = features.extract(backbone, pictures(48), SMALL, device="cpu", precision="fp32")
    return digest(found.values)


def caching_pictures(folder: Path, workers: int) -> str:
    """Twenty drawn sets of the garden, a file of the cache for each."""
    drawn = [garden.pictures("things", [0, 7], [seed, 1], seed=seed, size=64) for seed in range(20)]
    return digest(*drawn)


def run(folder: Path, workers: int) -> str:
    """What `flowerlib train --resume` does: pictures, features, head, test, artifact, figures."""
    out = folder / "run"
    if not (out / RESULTS).exists():
        splits = data.garden("things", per_class=(3, 2, 2), size=48, num_classes=4)
        runs.train(
            splits,
            out,
            resume=True,
            say=lambda line: None,
            backbone="small_resnet",
            preprocessing=SMALL,
            head="hidden",
            hidden=32,
            epochs=15,
            device="cpu",
            precision="fp32",
        )
    rows = list(csv.DictReader((out / "history.csv").read_text().splitlines()))
    results = json.loads((out / RESULTS).read_text())
    return digest((out / "classifier.safetensors").read_bytes(), rows, results)


TASKS: tuple[Task, ...] = (
    training_on_features,
    saving,
    caching_features,
    training_on_views,
    caching_pictures,
    run,
)


def files(folder: Path) -> Iterator[os.DirEntry]:
    """All files below a folder, as they come and go."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.name.startswith("."):  # not its final name yet
            yield entry
        elif entry.is_dir():
            yield from files(Path(entry.path))
        else:
            yield entry


def unfinished(folder: Path) -> set[str]:
    """Files that are being written, or were when their writer died."""
    return {entry.path for entry in files(folder) if entry.name.startswith(".")}


def unreadable(folder: Path) -> list[str]:
    """Files under their final name that cannot be read to the end."""
    readers: dict[str, Callable[[Path], Any]] = {
        ".safetensors": lambda path: safetensors.numpy.load_file(path),
        ".pt": lambda path: torch.load(path, weights_only=True)["rows"],
        ".pixels": lambda path: check_pixels(path.read_bytes()),
        ".onnx": lambda path: check_network(path.read_bytes()),
        ".json": lambda path: json.loads(path.read_text()),
        ".toml": lambda path: tomllib.loads(path.read_text()),
        ".png": lambda path: Image.open(path).load(),
        ".csv": lambda path: path.read_text().rindex("\n"),
    }
    found = []
    for entry in files(folder):
        path = Path(entry.path)
        if not entry.name.startswith("."):
            try:
                readers[path.suffix](path)
            except Exception as problem:
                found.append(f"{path.name}: {type(problem).__name__} {problem!s:.100}")
    return found


def check_pixels(content: bytes) -> None:
    """Compares a file of the garden's cache with the CRC-32 at its end."""
    assert zlib.crc32(content[:-4]) == int.from_bytes(content[-4:], "little"), "another CRC-32"


def check_network(content: bytes) -> None:
    """Compares a converted network in the cache with the CRC-32 at its beginning."""
    assert zlib.crc32(content[4:]) == int.from_bytes(content[:4], "big"), "another CRC-32"


def whole(task: Task, folder: Path, workers: int) -> str:
    """Goes on with a task where a kill may have stopped it; its end."""
    os.environ["FLOWERLIB_CACHE"] = str(folder / "cache")
    warnings.simplefilter("ignore")  # torch finds four workers too many for two cores
    warnings.filterwarnings("error", "Damaged cache file")
    if broken := unreadable(folder):
        raise AssertionError(f"half a file stayed: {'; '.join(broken)}")
    return task(folder, workers)


def attack(count: int, seed: int, folder: Path) -> Outcome:
    """Kills `count` tasks; see the module."""
    return in_a_new_process(attack_here, count, seed, folder)


def attack_here(count: int, seed: int, folder: Path) -> Outcome:
    """As `attack`, in a process that has computed nothing with torch."""
    outcome, dice = Outcome(), random.Random(seed)
    garden.class_names("things")  # imported before the children are forked
    chosen = [TASKS[number % len(TASKS)] for number in range(count)]
    right, lasting = {}, {}
    for task in dict.fromkeys(chosen):
        ends = set()
        numbers = WORKERS if count == FULL else WORKERS[:2]
        for workers in numbers if task is training_on_views else (0,):
            place = folder / f"{task.__name__} {workers}"
            place.mkdir()
            start = time.perf_counter()
            ends.add(done(partial(whole, task, place, workers)))
            lasting.setdefault(task, time.perf_counter() - start)
        if len(ends) > 1:
            outcome.failures.append(f"{task.__name__}: {len(ends)} ends for {numbers} workers")
        right[task] = ends.pop()
    kills, writing, again = 0, 0, 0
    for number, task in enumerate(chosen):
        place, name = folder / str(number), task.__name__.replace("_", " ")
        place.mkdir()
        times = dice.choice((1, 1, 2))
        hits = [strike(task, place, lasting[task], dice) for _ in range(times)]
        # Other work on the machine comes and goes; the moments follow it.
        lasting[task] *= 0.8 if hits[0] == ENDED else 1.03
        kills += sum(hit != ENDED for hit in hits)
        writing += hits.count(WRITING)
        again += ENDED not in hits and len(hits) == 2
        try:
            end = done(partial(whole, task, place, dice.choice(WORKERS)))
            fault = None if end == right[task] else "other bits than without a kill"
        except RuntimeError as problem:
            fault = str(problem)
        outcome.ends[f"{name}: {'broken' if fault else hits[0]}"] += 1
        outcome.failures += [f"{number} {name}, {hits}: {fault}"] if fault else []
        shutil.rmtree(place)
    outcome.facts |= {
        "kills": kills,
        "kills_while_a_file_was_written": writing,
        "killed_twice": again,
        "workers": list(WORKERS),
    }
    return outcome


WRITING = "killed while a file was written, resumed equal"
BETWEEN = "killed between files, resumed equal"
ENDED = "ended before its kill, equal"


def strike(task: Task, place: Path, lasting: float, dice: random.Random) -> str:
    """Starts or goes on with a task and kills it; how that went, if the rest goes well."""
    workers, known = dice.choice(WORKERS), unfinished(place)
    at_a_file = dice.random() < 0.5
    moment, within = dice.uniform(0, lasting), dice.uniform(0, WITHIN)
    child = Child(partial(whole, task, place, workers))
    if at_a_file:
        wait_until(child, 0.8 * moment, lambda: bool(unfinished(place) - known))
        time.sleep(within)
    else:
        wait_until(child, moment)
    if not child.kill():
        return ENDED
    return WRITING if unfinished(place) - known else BETWEEN
