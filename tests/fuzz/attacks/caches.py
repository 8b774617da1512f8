"""Caches that two fill at once, full disks, read-only folders, damage, and whatever makes a feature
stale: each ends in the right result or in one sentence, with nothing half-written.

Each attack has a process of its own. Where that may mount, the full disk is a small tmpfs and the
read-only folder a read-only mount, seen by the attacks alone; elsewhere a limit on the size of
files and permissions stand in for them, and the record says so. Permissions do not bind root: as
root, without mounts, the read-only folders are left out.
"""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import time
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from flowerlib import data, features, garden, models, train
from flowerlib.cli import runs  # noqa: F401
from flowerlib.features import conversion, runtime
from flowerlib.garden import painter
from flowerlib.support.errors import InputError
from flowerlib.train.checkpoints import Checkpoint
from flowerlib.transforms import Preprocessing
from tests.fuzz import Outcome, is_sentence
from tests.fuzz.attacks.kills import SMALL, pictures, unfinished, unreadable
from tests.fuzz.children import MOUNTS, Child, command, done, in_a_new_process

FULL = 50
PHOTOS = 24
DRAWN = ("things", [0, 7, 3], [4, 1, 1])  # kind, labels, indices


def small() -> models.Backbone:
    """The project's own network."""
    return models.backbone("small_resnet", "small")


def extracted(some: data.Photos, backbone: Any = None, preprocessing: Any = SMALL) -> Any:
    """Features with the cache, a file for each eight photos."""
    features.SHARD = 8
    backbone = backbone or small()
    return features.extract(backbone, some, preprocessing, device="cpu", precision="fp32")


def fresh(some: data.Photos, backbone: Any = None, preprocessing: Any = SMALL) -> torch.Tensor:
    """What a cache must answer."""
    options = {"device": "cpu", "precision": "fp32", "cache": False}
    return features.extract(backbone or small(), some, preprocessing, **options).values


def drawn() -> np.ndarray:
    """Pictures of the garden, kept in its cache."""
    return garden.pictures(*DRAWN, size=64)


def require(holds: Any, broken: str) -> None:
    """Raises if a promise does not hold."""
    if not holds:
        raise AssertionError(broken)


def require_close(found: torch.Tensor, right: torch.Tensor) -> None:
    """The same up to rounding, which may depend on the other photos of a batch."""
    require(torch.allclose(found, right, atol=1e-5), "wrong features")


def require_whole(*folders: Path) -> None:
    """No half file, neither under a final name nor under a temporary one."""
    for folder in folders:
        require(not (broken := unreadable(folder)), f"half-written: {broken}")
        require(not (left := unfinished(folder)), f"left behind: {left}")


def sentence(problem: InputError | str) -> str:
    """One printable sentence, or it is a fault."""
    require(is_sentence(problem), f"said {str(problem)!r:.300}")
    return str(problem)


def end_of(work: Callable[[], Any]) -> Any:
    """What the work gives, or its sentence."""
    try:
        return work()
    except InputError as problem:
        return sentence(problem)


def complaint_of(work: Callable[[], tuple[int, str, str]]) -> str | None:
    """Nothing after a command that went well; the sentence after one that ended with 2."""
    code, _, complaint = work()
    if code == 0:
        return None
    said = [line for line in complaint.splitlines() if line.startswith("flowerlib: ")]
    require(code == 2 and len(said) == 1, f"exit code {code}: {complaint!r:.300}")
    return sentence(said[0])


def mounts() -> bool:
    """Whether this process may mount: what it mounts goes with the attack's process."""
    return MOUNTS in os.environ


def mount(*arguments: str | Path) -> None:
    """The system's command."""
    subprocess.run(["mount", *map(str, arguments)], check=True, capture_output=True)


def small_disk(at: Path, size: int) -> Callable[[], None]:
    """Makes `at` a disk of `size` bytes; calling the answer makes it larger."""
    at.mkdir(exist_ok=True)
    if mounts():
        mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", at)

        def enlarge() -> None:
            mount("-o", "remount,size=100000000", at)
    else:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 4, limits[1]))

        def enlarge() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    return enlarge


def make_read_only(folder: Path) -> None:
    """From now on this process cannot write below the folder."""
    if mounts():
        mount("--bind", folder, folder)
        mount("-o", "remount,bind,ro", folder)
    else:
        for place, _, _ in os.walk(folder):
            os.chmod(place, 0o555)
    require(not os.access(folder, os.W_OK), "this system has no read-only folder for root")


def use(cache: Path) -> Path:
    """Makes `cache` the cache of this process."""
    os.environ["FLOWERLIB_CACHE"] = str(cache)
    return cache


# --- attacks: folder, dice → how it ended


def two_extract(folder: Path, dice: random.Random) -> str:
    """Two processes want features of overlapping photos at the same moment."""
    cache, some = use(folder / "cache"), pictures(2 * PHOTOS)
    if damaged := dice.random() < 0.5:  # a damaged file, which both will want to remove
        extracted(some.subset(range(8)))
        (file,) = cache.rglob("*.safetensors")
        file.write_bytes(file.read_bytes()[:-1])
    first, right = dice.randrange(PHOTOS), fresh(some)
    begin = time.time() + 0.05

    def fill(part: range, late: float) -> None:
        wait_for(begin + late)
        require_close(extracted(some.subset(part)).values, right[part.start : part.stop])

    parts = (range(2 * PHOTOS), range(first, first + PHOTOS))
    lates = (0, dice.uniform(0, 0.2))
    for child in [Child(partial(fill, *one)) for one in zip(parts, lates, strict=True)]:
        child.result()
    after = extracted(some)
    require_close(after.values, right)
    require(after.computed == 0, "something that was computed is not kept")
    require_whole(folder)
    return f"two processes, features{', a damaged file' * damaged}: right"


def two_draw(folder: Path, dice: random.Random) -> str:
    """Two processes want the same pictures at the same moment."""
    cache, right = use(folder / "cache"), painter.draw_many(*DRAWN, 0, 64)
    begin = time.time() + 0.05

    def fill() -> None:
        wait_for(begin)
        require((drawn() == right).all(), "wrong pictures")

    for child in [Child(fill), Child(fill)]:
        child.result()
    require((drawn() == right).all() and len(list(cache.rglob("*.pixels"))) == 1, "not kept once")
    require_whole(folder)
    return "two processes, pictures: right"


def full_features(folder: Path, dice: random.Random) -> str:
    """The disk is full after none, some or all of the cache's files."""
    disk, some = use(folder / "disk"), pictures(PHOTOS)
    right = fresh(some)
    enlarge = small_disk(disk, dice.randrange(4_000, 80_000))
    end = end_of(lambda: extracted(some))
    require_whole(disk)
    if isinstance(end, str):
        require("Features cannot be cached in" in end, f"said {end}")
        enlarge()
        end = end_of(lambda: extracted(some))
        require_whole(disk)
        require_close(end.values, right)
        return "full disk, features: one sentence; right with room"
    require_close(end.values, right)
    return "full disk, features: right, it was enough"


def full_pictures(folder: Path, dice: random.Random) -> str:
    """The disk is too small for the garden's pictures."""
    disk, right = use(folder / "disk"), painter.draw_many(*DRAWN, 0, 64)
    enlarge = small_disk(disk, dice.randrange(4_000, right.nbytes))
    end = end_of(drawn)
    require(isinstance(end, str) and "Cannot write" in end, f"said {end}")
    require_whole(disk)
    enlarge()
    require((drawn() == right).all(), "wrong pictures")
    return "full disk, pictures: one sentence; right with room"


def full_training(folder: Path, dice: random.Random) -> str:
    """The disk is full when the state of a training is kept; on a larger one it goes on."""
    generator = torch.Generator().manual_seed(3)
    values, labels = torch.randn(96, 32, generator=generator), torch.arange(96) % 3

    def fit(path: Path | None) -> list[torch.Tensor]:
        torch.manual_seed(1)
        head = models.hidden_head(32, 3, (64,), 0.5)
        batches = train.FeatureBatches(values, labels, 32, shuffle=True)
        kept = Checkpoint(path) if path else None
        train.fit(head, batches, batches, epochs=6, checkpoint=kept)
        return list(head.state_dict().values())

    right, disk = fit(None), folder / "disk"
    # Two states must fit at a time; history makes each one larger than the last.
    enlarge = small_disk(disk, 4096 * dice.randrange(1, 34))
    end, how = end_of(lambda: fit(disk / "training.pt")), "right, it was enough"
    require_whole(disk)
    if isinstance(end, str):
        require("training.pt" in end, f"said {end}")
        enlarge()
        end, how = end_of(lambda: fit(disk / "training.pt")), "one sentence; right with room"
    equal = all(torch.equal(one, other) for one, other in zip(end, right, strict=True))
    require(equal, "another end than on a large disk")
    return f"full disk, a training's state: {how}"


def full_command(folder: Path, dice: random.Random) -> str:
    """`flowerlib train` on a disk that is full when a state, the artifact or a figure is saved."""
    source, disk = photo_folder(folder / "photos"), folder / "disk"
    use(folder / "cache")
    enlarge = small_disk(disk, dice.randrange(20_000, 3_600_000))
    run = partial(command, *training(source, disk / "run"))
    first = complaint_of(run)
    require_whole(disk)
    if first is None:
        return "full disk, flowerlib train: right, it was enough"
    require(not (disk / "run" / "results.json").exists(), "a failed run looks finished")
    enlarge()
    require(complaint_of(partial(run, "--resume")) is None, "it does not go on")
    require_whole(disk)
    return "full disk, flowerlib train: exit code 2, one sentence; went on with room"


def read_only_features(folder: Path, dice: random.Random) -> str:
    """A cache of features that is complete, lacks some, or is damaged, and cannot be written to."""
    cache, some = use(folder / "cache"), pictures(PHOTOS)
    right, state = fresh(some), dice.choice(("complete", "lacking", "damaged"))
    extracted(some.subset(range(PHOTOS - 8)) if state == "lacking" else some)
    if state == "damaged":
        file = dice.choice(sorted(cache.rglob("*.safetensors")))
        file.write_bytes(file.read_bytes()[: -dice.randrange(1, 900)])
    before = [path.read_bytes() for path in sorted(cache.rglob("*.safetensors"))]
    make_read_only(cache)
    end = end_of(lambda: extracted(some))
    require(before == [p.read_bytes() for p in sorted(cache.rglob("*.safetensors"))], "changed")
    if state == "complete":
        require_close(end.values, right)
        return "read-only, a complete cache: right"
    require(isinstance(end, str) and "Features cannot be cached in" in end, f"said {end}")
    return f"read-only, a {state} cache: one sentence"


def read_only_pictures(folder: Path, dice: random.Random) -> str:
    """The garden's cache cannot be written to: what it holds is read, else one sentence."""
    cache, right = use(folder / "cache"), painter.draw_many(*DRAWN, 0, 64)
    if held := dice.random() < 0.5:
        drawn()
    cache.mkdir(exist_ok=True)
    make_read_only(folder)
    end = end_of(drawn)
    if held:
        require((end == right).all(), "wrong pictures")
        return "read-only, pictures that are there: right"
    require(isinstance(end, str), "a cache was written where none can be")
    return "read-only, pictures: one sentence"


def read_only_command(folder: Path, dice: random.Random) -> str:
    """`flowerlib train` where the cache or the folder for results cannot be written to."""
    source, which = photo_folder(folder / "photos"), dice.choice(("cache", "out", "out/run"))
    use(folder / "cache")
    for name in ("cache", "out", "out/run"):
        (folder / name).mkdir()
    make_read_only(folder / which)
    line = complaint_of(partial(command, *training(source, folder / "out" / "run")))
    require(line is not None and str(folder / which) in line, f"said {line}")
    require(not list((folder / "out" / "run").iterdir()), "something was left in the folder")
    return "read-only, flowerlib train: exit code 2, one sentence"


def changed_file(folder: Path, dice: random.Random) -> str:
    """A photo is replaced by another one of its size, name and time."""
    use(folder / "cache")
    pixels = [np.asarray(pictures(2).image(at)) for at in range(2)]
    path = folder / "a.bmp"

    def put(content: np.ndarray) -> data.Photos:
        Image.fromarray(content).save(path)
        os.utime(path, (1_000_000_000, 1_000_000_000))
        return data.Photos([path], [0], ["a"])

    size = path.stat().st_size if extracted(put(pixels[0])) and path.exists() else 0
    other = pixels[0].copy()
    other[tuple(dice.randrange(edge) for edge in other.shape)] ^= 1 << dice.randrange(4, 8)
    some = put(other)
    require(path.stat().st_size == size, "the control: another size")
    found = extracted(some)
    require(found.computed == 1 and torch.equal(found.values, fresh(some)), "stale features")
    return "a changed photo: recomputed"


def changed_weight(folder: Path, dice: random.Random) -> str:
    """One weight or statistic of the network becomes the next larger float."""
    use(folder / "cache")
    some, backbone = pictures(8), small()
    extracted(some, backbone)
    state = {
        key: value for key, value in backbone.state_dict().items() if value.is_floating_point()
    }
    values = state[dice.choice(sorted(state))].view(-1)
    at = dice.randrange(len(values))
    with torch.no_grad():
        values[at] = torch.nextafter(values[at], torch.tensor(float("inf")))
    found = extracted(some, backbone)
    right = fresh(some, backbone)
    require(found.computed == 8 and torch.equal(found.values, right), "stale features")
    return "a changed weight: recomputed"


def changed_preprocessing(folder: Path, dice: random.Random) -> str:
    """Size, crop, mean or standard deviation change a little."""
    use(folder / "cache")
    some = pictures(8)
    extracted(some)
    mean, std = (list(SMALL.mean), list(SMALL.std))
    dice.choice((mean, std))[dice.randrange(3)] += 1e-6
    other = dice.choice(
        (
            Preprocessing(48, 48, mean=tuple(mean), std=tuple(std)),
            Preprocessing(49, 48),
            Preprocessing(48, 47),
        )
    )
    if other == SMALL:
        other = Preprocessing(50, 48)
    found = extracted(some, preprocessing=other)
    right = fresh(some, preprocessing=other)
    require(found.computed == 8 and torch.equal(found.values, right), "stale features")
    return "changed preprocessing: recomputed"


def damaged_features(folder: Path, dice: random.Random) -> str:
    """Files of the cache are cut, overwritten, mixed up, or have a bit flipped anywhere."""
    cache, some = use(folder / "cache"), pictures(PHOTOS)
    extracted(some)
    extracted(some, preprocessing=Preprocessing(40, 40))  # other features of the same photos
    here = sorted(cache.glob("*/*/*.safetensors"), key=lambda path: path.parent.name)
    file, other = dice.choice(here), dice.choice(here)
    while other.parent == file.parent:
        other = dice.choice(here)
    strayed = dice.random() < 0.2
    file.write_bytes(other.read_bytes() if strayed else damage(file.read_bytes(), dice))
    for _ in range(2):  # bit for bit: what is computed again are whole batches
        for preprocessing in (SMALL, Preprocessing(40, 40)):
            found = extracted(some, preprocessing=preprocessing).values
            require(torch.equal(found, fresh(some, preprocessing=preprocessing)), "wrong features")
    require(extracted(some).computed == 0, "the damage was not mended")
    require_whole(folder)
    return "a damaged file of features: right"


def damaged_pictures(folder: Path, dice: random.Random) -> str:
    """A file of the garden's cache is cut, overwritten, or has a bit flipped anywhere."""
    cache, right = use(folder / "cache"), drawn_once(folder)
    (file,) = cache.rglob("*.pixels")
    content = file.read_bytes()
    file.write_bytes(damage(content, dice))
    for _ in range(2):
        require((drawn() == right).all(), "wrong pictures")
    require(file.read_bytes() == content, "the damage was not mended")
    require_whole(folder)
    return "a damaged file of pictures: right"


# --- what several attacks need


def wait_for(moment: float) -> None:
    """Spins, so that several processes begin within microseconds."""
    while time.time() < moment:
        pass


def damage(content: bytes, dice: random.Random) -> bytes:
    """Cut, overwritten, emptied, made longer, or with a bit flipped, at any place."""
    at = dice.randrange(len(content))
    kinds = {
        "cut": content[:at],
        "bit": content[:at] + bytes([content[at] ^ 1 << dice.randrange(8)]) + content[at + 1 :],
        "noise": content[:at] + dice.randbytes(64) + content[at + 64 :],
        "empty": b"",
        "archive": b"PK\x03\x04" + content[4:],
        "longer": content + dice.randbytes(8),
    }
    return kinds[dice.choice(["bit", "bit", *kinds])]


def drawn_once(folder: Path) -> np.ndarray:
    """The pictures, which are in the cache from now on."""
    right = painter.draw_many(*DRAWN, 0, 64)
    require((drawn() == right).all(), "wrong pictures")
    return right


def photo_folder(root: Path) -> Path:
    """Two classes of noise as PNG, with a folder for each split."""
    source = pictures(24)
    for number in range(len(source)):
        part = ("train", "train", "valid", "test")[number // 2 % 4]
        place = root / part / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        source.image(number).save(place / f"{number}.png")
    return root


def training(source: Path, out: Path) -> list[str]:
    """The command that trains a small network with a hidden head."""
    options = "--backbone small_resnet --head hidden --hidden 16 --epochs 4"
    return [
        *("train", str(source), "--out", str(out)),
        *options.split(),
        *("--device", "cpu", "--precision", "fp32"),
    ]


ATTACKS = (
    two_extract,
    full_features,
    damaged_features,
    read_only_features,
    changed_weight,
    two_draw,
    full_training,
    damaged_pictures,
    read_only_pictures,
    full_pictures,
    changed_preprocessing,
    damaged_features,
    changed_file,
    full_command,
    read_only_command,
    two_extract,
)
READ_ONLY = (read_only_features, read_only_pictures, read_only_command)


def attack(count: int, seed: int, folder: Path) -> Outcome:
    """Makes `count` attacks; see the module."""
    return in_a_new_process(attack_here, count, seed, folder)


def convert(given: Path, made: Path) -> str:
    """Converts a network in a fork, which has torch already; a fresh process takes seconds."""

    def work() -> str:
        network, pixels = torch.load(given, weights_only=False)
        return json.dumps(conversion.convert(network, pixels, str(made)))

    return done(work)


def attack_here(count: int, seed: int, folder: Path) -> Outcome:
    """As `attack`, in a process that has computed nothing with torch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "run_conversion", convert)
        return attack_all(count, seed, folder)


def attack_all(count: int, seed: int, folder: Path) -> Outcome:
    """One attack after the other."""
    outcome = Outcome()
    warnings.simplefilter("ignore")  # damaged files are reported by a warning
    kinds: Counter[str] = Counter()
    unbound = not mounts() and os.geteuid() == 0
    possible = [kind for kind in ATTACKS if not (unbound and kind in READ_ONLY)]
    for number in range(count):
        kind = possible[number % len(possible)]
        kinds[kind.__name__] += 1
        place = folder / str(number)
        place.mkdir()
        place.chmod(0o755)
        try:
            end = done(partial(kind, place, random.Random(f"{seed} {number}")))
        except RuntimeError as problem:
            end = "broken"
            outcome.failures.append(f"{number} {kind.__name__}: {problem}")
        outcome.ends[end] += 1
    permissions = "left out: root may write anywhere" if unbound else "permissions"
    outcome.facts |= {
        "kinds": len(kinds),
        "full_disk": "a small tmpfs" if mounts() else "a limit on the size of files",
        "read_only_folder": "a read-only mount" if mounts() else permissions,
    }
    return outcome
