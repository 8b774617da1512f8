"""`torchrun -m flowerlib …`: the files and figures of one process, written and said once."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from flowerlib import cli
from tests.warm import together

SMALL = ["--backbone", "small_densenet"]
TUNED = ["--fine-tune", "all", "--epochs", "4", "--batch-size", "8"]


@pytest.fixture(scope="module")
def alone(flower_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of one process."""
    out = tmp_path_factory.mktemp("alone") / "run"
    arguments = ["train", str(flower_folder), *SMALL, "--no-cache", "--out", str(out)]
    assert cli.main(arguments) == 0
    return out


@pytest.fixture(scope="module")
def tuned(flower_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two processes that fine-tunes, undisturbed."""
    out = tmp_path_factory.mktemp("tuned") / "run"
    arguments = ["-m", "flowerlib", "train", str(flower_folder), *SMALL, *TUNED, "--no-cache"]
    both = together([*arguments, "--out", str(out)])
    assert [ended.code for ended in both] == [0, 0], both
    return out


def steady(results: Path) -> dict[str, object]:
    """What results.json holds but for what a clock measured."""
    found = json.loads(results.read_text())
    for name in ("seconds", "images_per_second", "threads"):
        del found[name]
    return found


def test_two_processes_train_as_one(alone: Path, flower_folder: Path, tmp_path: Path) -> None:
    out, arguments = tmp_path / "run", ["--nproc-per-node", "2", "--standalone", "-m", "flowerlib"]
    command = [sys.executable, "-m", "torch.distributed.run", *arguments, "train"]
    command += [str(flower_folder), *SMALL, "--no-cache", "--out", str(out)]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ})
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("written to") == 1
    assert ended.stderr.count("features:") <= 2  # one line a pass, or none, never one a process
    assert {file.name for file in out.iterdir()} == {file.name for file in alone.iterdir()}
    assert steady(out / "results.json") == steady(alone / "results.json")
    assert (out / "history.csv").read_bytes() == (alone / "history.csv").read_bytes()
    mine, theirs = (load_file(folder / "classifier.safetensors") for folder in (out, alone))
    assert all((mine[name] == theirs[name]).all() for name in theirs)


def test_evaluate_answers_once(alone: Path, flower_folder: Path) -> None:
    model = str(alone / "classifier.safetensors")
    arguments = ["-m", "flowerlib", "evaluate", str(flower_folder), "--split", "test", "--json"]
    first, second = together([*arguments, "--model", model])
    assert (first.code, second.code, second.out) == (0, 0, ""), (first, second)
    expected = json.loads((alone / "results.json").read_text())["test"]["accuracy"]
    assert json.loads(first.out)["accuracy"] == expected


def test_one_sentence_says_which_process_failed(flower_folder: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "run")
    arguments = ["-m", "flowerlib", "train", str(flower_folder), *SMALL, "--out", out]
    caches = [str(tmp_path / "cache"), str(flower_folder / "train" / "rose" / "rose_00.jpg")]
    both = together(arguments, own={"FLOWERLIB_CACHE": caches})  # the second has no folder
    assert [ended.code for ended in both] == [2, 2]
    said = [line for ended in both for line in ended.err.splitlines() if "flowerlib: " in line]
    assert len(said) == 1 and said[0].startswith("flowerlib: process 1 of 2: The cache folder")
    assert not Path(out).exists()


def test_commands_for_one_process_say_so() -> None:
    both = together(["-m", "flowerlib", "doctor"])
    assert [ended.code for ended in both] == [2, 2]
    assert "doctor is for one process" in both[0].err


def test_commands_of_the_page_are_commands(repository: Path) -> None:
    page = (repository / "docs" / "scale.md").read_text(encoding="utf-8")
    commands = re.findall(r"-m flowerlib (.*)", page.replace(" \\\n", " "))
    assert len(commands) == 5
    for command in commands:
        options = cli.parser().parse_args(command.split())
        assert options.command in ("train", "predict") and options.out


def children(process: int) -> list[int]:
    """The processes that a process has started, as Linux tells."""
    listed = Path(f"/proc/{process}/task/{process}/children")
    return [int(number) for number in listed.read_text().split()]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("moment", range(4))
def test_a_killed_process_costs_time_alone(
    moment: int, flower_folder: Path, tmp_path: Path, tuned: Path
) -> None:
    """torchrun starts all of them again, and they go on."""
    out, cache = tmp_path / "run", tmp_path / "cache"
    arguments = ["--nproc-per-node", "2", "--standalone", "--max-restarts", "1", "-m", "flowerlib"]
    command = [sys.executable, "-m", "torch.distributed.run", *arguments, "train"]
    command += [str(flower_folder), *SMALL, *TUNED, "--out", str(out)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "FLOWERLIB_CACHE": str(cache)},
    ) as started:
        moments = [out, cache / "features", out / "training.pt", out / "training.pt"]
        while not moments[moment].exists() and started.poll() is None:
            time.sleep(0.01)
        time.sleep(0.2 * moment)
        os.kill(children(started.pid)[moment % 2], signal.SIGKILL)
        said, _ = started.communicate(timeout=240)
    assert started.returncode == 0, said
    assert "exitcode: -9" in said or "SIGKILL" in said or moment == 3  # it may have ended before
    mine, theirs = (load_file(folder / "classifier.safetensors") for folder in (out, tuned))
    for name in theirs:
        assert np.allclose(mine[name], theirs[name], atol=1e-5), name
    assert not (out / "training.pt").exists()
