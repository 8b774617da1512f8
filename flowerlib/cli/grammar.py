"""The grammar of the command line: commands, options, and how each value is read."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import flowerlib
from flowerlib.cli import columns
from flowerlib.cli import commands as runs
from flowerlib.support import storage
from flowerlib.support.errors import InputError
from flowerlib.support.options import (
    COUNT,
    HEADS,
    HIDDEN_HEAD,
    LAYERS,
    PRESETS,
    RESIZE_MODES,
    SEED,
    Setting,
)

GARDEN_KINDS = ("flowers", "pets", "furniture", "things", "patterns")


def parser() -> argparse.ArgumentParser:
    """The grammar of the command line."""
    top = argparse.ArgumentParser(
        prog="flowerlib", description="Transfer learning on your own photos, on a laptop."
    )
    top.add_argument("--version", action="version", version=f"flowerlib {flowerlib.__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text.capitalize() + ".")
        command.set_defaults(run=getattr(runs, name.replace("-", "_")), command=name)
        return command

    train = add("train", "train a classifier on a folder of photos")
    train.add_argument(
        "data",
        nargs="?",
        metavar="DIR|CSV|flowers|garden",
        help="photos, one folder a class, or a table of them",
    )
    train.add_argument("--out", type=_path, required=True, metavar="DIR", help="folder for results")
    train.add_argument("--backbone", metavar="NAME", help="default: densenet121, or small_densenet")
    train.add_argument(
        "--weights", type=_word_or_path, metavar="imagenet|small|none|FILE", help="of the backbone"
    )
    train.add_argument("--preset", choices=tuple(PRESETS), default="standard")
    train.add_argument(
        "--resize-mode",
        choices=RESIZE_MODES,
        default="crop",
        help="crop shows only the middle of wide photos; squash and pad, all of them",
    )
    train.add_argument("--head", choices=HEADS, default="linear")
    train.add_argument(
        "--layers",
        choices=LAYERS,
        default="auto",
        help="what the head sees; auto: stages for linear and ridge",
    )
    for name, setting in HIDDEN_HEAD.items():
        train.add_argument(
            f"--{name.replace('_', '-')}",
            type=_number(setting),
            nargs="+" if name == "hidden" else None,
            metavar="N" if isinstance(setting.default, int) else "F",
            help=f"of the hidden head; default: {setting.default}",
        )
    train.add_argument("--split", choices=("udacity", "official"), help="of flowers; udacity")
    train.add_argument("--seed", type=_number(SEED), default=SEED.default, metavar="N")
    train.add_argument("--force", action="store_true", help="overwrite a finished run")
    train.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    train.add_argument(
        "--config", type=_path, metavar="FILE.toml", help="options, such as an earlier run's"
    )
    amount = train.add_mutually_exclusive_group()
    amount.add_argument("--quiet", action="store_true", help="say only what went wrong")
    amount.add_argument("--verbose", action="store_true", help="say also with what it is computed")
    train.add_argument("--no-cache", action="store_true", help="neither read nor write features")

    predict = add("predict", "say what is on photos")
    predict.add_argument("photos", nargs="+", type=_path, metavar="IMAGE|DIR")
    predict.add_argument("--top-k", type=_positive, metavar="K", help="default: 5")

    evaluate = add("evaluate", "measure a classifier on labeled photos")
    evaluate.add_argument("data", metavar="DIR|CSV", help="photos, one folder a class, or a table")
    evaluate.add_argument(
        "--split", choices=("train", "valid", "test"), help="of photos that hold several"
    )
    evaluate.add_argument("--table", action="store_true", help="one line a photo, pass or FAIL")

    for command in (predict, evaluate):
        command.add_argument("--model", type=_path, required=True, metavar="FILE")
    forms = predict.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true")
    forms.add_argument("--csv", action="store_true")
    evaluate.add_argument("--json", action="store_true")
    for command in (train, predict, evaluate):
        command.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
        command.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")

    check = add("check", "look for broken photos, copies, uneven classes before training")
    check.add_argument(
        "data", type=_path, metavar="DIR|CSV", help="photos, one folder a class, or a table"
    )
    check.add_argument("--json", type=_path, metavar="FILE", help="write the whole report")
    check.add_argument("--manifest", type=_path, metavar="FILE", help="write every photo's SHA-256")
    check.add_argument("--against", type=_path, metavar="MANIFEST", help="report what has changed")
    check.add_argument("--examples", type=_positive, default=5, metavar="N", help="a section (5)")

    for command in (train, evaluate, check):
        columns.add_to(command)

    download = add("download", "fetch a named data set, checked against its digest")
    download.add_argument("name", metavar="flowers|cifar10", help="goes on where it was stopped")
    old = add(
        "import-old",
        "turn an old torch.save checkpoint into a classifier file",
    )
    old.add_argument("file", type=_path, metavar="FILE", help="nothing in it is run")
    old.add_argument("--out", type=_path, required=True, metavar="NEW.safetensors")
    old.add_argument("--backbone", metavar="NAME", help="if the file does not name its network")
    old.add_argument(
        "--weights",
        type=_word_or_path,
        metavar="imagenet|none|FILE",
        help="of the backbone, if the file holds only the classifier; imagenet",
    )
    old.add_argument(
        "--names", type=_path, metavar="FILE.json", help="class names, such as cat_to_name.json"
    )
    garden = add("garden", "draw a contact sheet of the drawn pictures")
    garden.add_argument("--kind", choices=GARDEN_KINDS, default="flowers")
    garden.add_argument("--out", type=_path, required=True, metavar="FILE.png")
    garden.add_argument("--columns", type=_positive, default=12, metavar="N")
    garden.add_argument("--size", type=_positive, default=128, metavar="PIXELS")
    garden.add_argument("--seed", type=_number(SEED), default=SEED.default, metavar="N")
    add("doctor", "say what is installed, which device, which data sets")
    return top


def _number(setting: Setting) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            return setting.read(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {setting.told}") from None

    return read


_positive = _number(COUNT)


def _path(text: str) -> Path:
    """A path; `~` is expanded, which not every shell does."""
    try:
        return storage.expand(text)
    except InputError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def _word_or_path(text: str) -> str:
    return str(_path(text)) if text.startswith("~") else text
