"""Every torch writes classifier files, every torch reads them all: same weights, same answers.

Each version lives in an environment of its own below build/torch_versions, 5 to 7 GB large. What is
missing is installed by pip, and removed after its use; what is there already is used again, and
left there unless its room is needed. The oldest torch stands beside the oldest of everything else
that pyproject.toml allows.

What is done inside an environment is in `_one_torch`.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.fuzz import Outcome

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENTS = ROOT / "build" / "torch_versions"

# The last release of each minor version of torch that has a torchvision built for it. 2.13 is
# missing: its one release is served as a CPU-only wheel, beside which torchvision cannot stand.
PAIRS = {
    "2.6.0": "0.21.0",
    "2.7.1": "0.22.1",
    "2.8.0": "0.23.0",
    "2.9.1": "0.24.1",
    "2.10.0": "0.25.0",
    "2.11.0": "0.26.0",
    "2.12.1": "0.27.1",
    "2.14.1": "0.29.1",
    "2.15.0": "0.29.2",
}
FULL = len(PAIRS) ** 2

TOLERANCE = 1e-4  # of a logit, in fp32 on a CPU: kernels may add up in another order
ROOM = 12 << 30  # bytes that an environment may need while pip unpacks it
SPARE = 10 << 30  # bytes of the disk that are never used

NAMES = ("daisy", "iris", "lily", "rose")


def attack(count: int, seed: int, folder: Path) -> Outcome:
    """Writes with every version, then reads every file with every version.

    Args:
        count: pairs of a writer and a reader, a square number: 4 are the oldest and the newest
            version.
        seed: of the garden's photos.
        folder: for photos, classifier files and what the versions said of them.
    """
    order = [*PAIRS][:1] + [*PAIRS][:0:-1]
    chosen = [version for version in PAIRS if version in order[: math.isqrt(count)]]
    outcome = Outcome()
    _draw(folder / "photos", seed)
    already = {version for version in chosen if _is_complete(version)}
    written: dict[str, dict] = {}
    for version in chosen:
        found = _run(version, "write", folder, outcome)
        if found:
            written[version] = found
        if version != chosen[-1] and not _room():
            _remove(version)
    # Those that are still there come first, to make room for those that are not.
    tables: dict[str, dict] = {}
    for version in sorted(chosen, key=lambda version: not _is_complete(version)):
        if version in written:
            tables[version] = _run(version, "read", folder, outcome)
        if version not in already or not _room():
            _remove(version)
    for writer in chosen:
        for reader in chosen:
            _judge(writer, reader, (tables.get(reader) or {}).get(writer), outcome)
    largest = {
        writer: {
            reader: max(pair["difference"] for pair in tables[reader][writer].values())
            for reader in chosen
            if tables.get(reader, {}).get(writer)
        }
        for writer in chosen
    }
    differences = [value for row in largest.values() for value in row.values()]
    outcome.facts = {
        "tolerance": TOLERANCE,
        "largest_difference": max(differences, default=None),
        "pairs_bit_equal": sum(value == 0 for value in differences),
        "spread_of_logits": {
            name: written[version]["classifiers"][name]["spread"]
            for version in chosen[-1:]
            if version in written
            for name in written[version]["classifiers"]
        },
        "largest_difference_of_writer_and_reader": largest,
        "environments": {version: found["versions"] for version, found in written.items()},
    }
    return outcome


def last_line(text: str) -> str:
    """Where a program says what went wrong."""
    return (text.strip().splitlines() or ["no word"])[-1]


def _judge(writer: str, reader: str, pair: dict | None, outcome: Outcome) -> None:
    """Books what became of one pair, for each of the writer's files."""
    if not pair:
        outcome.ends["not read"] += 1
        outcome.failures.append(f"torch {reader} has not read what torch {writer} wrote")
        return
    broken = [
        f"torch {writer} → torch {reader}, {name}: {what}"
        for name, found in pair.items()
        for what, holds in (
            ("other weights", found["weights_equal"]),
            ("other class names or preprocessing", found["description_equal"]),
            ("other answers", found["answers_equal"]),
            (f"logits differ by {found['difference']:.2g}", found["difference"] <= TOLERANCE),
        )
        if not holds
    ]
    outcome.failures += broken
    outcome.ends["differs" if broken else "read: weights equal, logits within tolerance"] += 1


# ---- environments ------------------------------------------------------------------------------


def _python(version: str) -> Path:
    inside = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    return ENVIRONMENTS.joinpath(version, *inside)


def _is_complete(version: str) -> bool:
    return (ENVIRONMENTS / version / "ready").exists()


def _room() -> bool:
    return shutil.disk_usage(ROOT).free > ROOM + SPARE


def _remove(version: str) -> None:
    shutil.rmtree(ENVIRONMENTS / version, ignore_errors=True)


def _requirements(version: str) -> list[str]:
    """What pip is asked for: the pair, and the packages that flowerlib itself imports."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    others = [line for line in project["dependencies"] if not line.startswith("torch")]
    if version == next(iter(PAIRS)):
        others = [line.replace(">=", "==") for line in others]
    return [f"torch=={version}", f"torchvision=={PAIRS[version]}", *others]


def _make(version: str) -> str | None:
    """Makes the environment if it is not there; says what went wrong."""
    if _is_complete(version):
        return None
    if not _room():
        return "no room on the disk for its environment"
    place = ENVIRONMENTS / version
    for command in (
        [sys.executable, "-m", "venv", "--clear", place],
        [_python(version), "-m", "pip", "install", "-q", "--no-cache-dir", *_requirements(version)],
    ):
        done = subprocess.run([*map(str, command)], capture_output=True, text=True)
        if done.returncode:
            return f"cannot be installed: {last_line(done.stderr)}"
    (place / "ready").touch()
    return None


def _run(version: str, task: str, folder: Path, outcome: Outcome) -> dict:
    """Has an environment do `write` or `read`; what it found, or nothing after a failure."""
    if problem := _make(version):
        outcome.failures.append(f"torch {version}: {problem}")
        return {}
    done = subprocess.run(
        [_python(version), "-m", "tests.fuzz.attacks._one_torch", task, folder, version],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        outcome.failures.append(f"torch {version}, {task}: {last_line(done.stderr)}")
        return {}
    return json.loads((folder / f"{task}_{version}.json").read_text(encoding="utf-8"))


def _draw(folder: Path, seed: int) -> None:
    """Garden flowers as PNG, whose pixels do not depend on a decoder: 4 classes, 56 photos."""
    from PIL import Image

    from flowerlib import garden

    for label, name in enumerate(NAMES):
        for index in range(14):
            part = "train" if index < 8 else "valid" if index < 11 else "test"
            place = folder / part / name
            place.mkdir(parents=True, exist_ok=True)
            picture = garden.picture("flowers", 3 * label, index, seed=seed, size=96)
            Image.fromarray(picture).save(place / f"{index:02}.png")
