"""The grammar of the command line: commands, options, and how each value is read."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flowerlib
from flowerlib.cli import columns
from flowerlib.cli import commands as runs
from flowerlib.cli.config import flag
from flowerlib.support import options, storage
from flowerlib.support.errors import InputError
from flowerlib.support.options import Choice, FineTuning, HiddenHead, Number

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
        help="photos, one folder a class (perhaps at s3://…), a table of them, or shards",
    )
    train.add_argument("--out", type=_path, required=True, metavar="DIR", help="folder for results")
    train.add_argument(
        "--backbone",
        metavar="NAME",
        help=f"of torchvision, or timm/NAME; default: {options.BACKBONE}, or "
        f"{options.GARDEN_BACKBONE} for garden",
    )
    train.add_argument(
        "--weights", type=_word_or_path, metavar="imagenet|small|none|FILE", help="of the backbone"
    )
    _add_choice(train, "preset", options.PRESET)
    _add_choice(train, "resize_mode", options.RESIZE_MODE)
    _add_choice(train, "head", options.HEAD)
    _add_choice(train, "layers", options.LAYERS)
    train.add_argument(
        "--fine-tune",
        choices=options.FINE_TUNE.words,
        help=f"{options.FINE_TUNE.help}; default: last for the preset best, else none",
    )
    train.add_argument("--split", choices=("udacity", "official"), help="of flowers; udacity")
    _add_seed(train)
    train.add_argument("--force", action="store_true", help="overwrite a finished or stopped run")
    train.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    train.add_argument(
        "--config", type=_path, metavar="FILE.toml", help="options, such as an earlier run's"
    )
    amount = train.add_mutually_exclusive_group()
    amount.add_argument("--quiet", action="store_true", help="say only what went wrong")
    amount.add_argument("--verbose", action="store_true", help="say also with what it is computed")
    train.add_argument("--cache", action="store_true", help="read and write features; the default")
    train.add_argument("--no-cache", dest="cache", action="store_false", help="do neither")
    train.set_defaults(cache=True)
    _add_settings(train)

    predict = add("predict", "say what is on photos")
    predict.add_argument(
        "photos",
        nargs="+",
        type=_place,
        metavar="IMAGE|DIR",
        help="or shards, a Parquet table, s3://…",
    )
    predict.add_argument("--top-k", type=_positive, metavar="K", help="default: 5, or 1 with --out")

    evaluate = add("evaluate", "measure a classifier on labeled photos")
    evaluate.add_argument("data", metavar="DIR|CSV", help="photos, one folder a class, or a table")
    evaluate.add_argument(
        "--split", choices=("train", "valid", "test"), help="of photos that hold several; test"
    )
    evaluate.add_argument("--table", action="store_true", help="one line a photo, pass or FAIL")

    for command in (predict, evaluate):
        command.add_argument("--model", type=_path, required=True, metavar="FILE")
    forms = predict.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true")
    forms.add_argument("--csv", action="store_true")
    forms.add_argument(
        "--out",
        type=_path,
        metavar="FILE",
        help="write a table, .csv or .parquet, and go on where an earlier call was stopped",
    )
    evaluate.add_argument("--json", action="store_true")
    for command in (train, predict, evaluate):
        _add_choice(command, "device", options.DEVICE)
        _add_choice(command, "precision", options.PRECISION)

    check = add("check", "look for broken photos, copies, uneven classes before training")
    check.add_argument(
        "data", type=_place, metavar="DIR|CSV", help="photos, one folder a class, or a table"
    )
    check.add_argument("--json", type=_path, metavar="FILE", help="write the whole report")
    check.add_argument("--manifest", type=_path, metavar="FILE", help="write every photo's SHA-256")
    check.add_argument("--against", type=_path, metavar="MANIFEST", help="report what has changed")
    check.add_argument("--examples", type=_positive, default=5, metavar="N", help="a section (5)")

    for command in (train, evaluate, check):
        columns.add_to(command)

    download = add("download", "fetch a named data set, checked against its digest")
    download.add_argument("name", metavar="flowers|cifar10", help="continues where it was stopped")
    old = add("import-old", "turn an old torch.save checkpoint into a classifier file")
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
    _add_seed(garden)
    add("doctor", "say what is installed, which device, which data sets")
    return top


def _add_choice(command: argparse.ArgumentParser, name: str, choice: Choice) -> None:
    command.add_argument(
        flag(name),
        choices=choice.words,
        default=choice.default,
        help=f"{choice.help}; default: {choice.default}",
    )


def _add_seed(command: argparse.ArgumentParser) -> None:
    seed = options.SEED
    command.add_argument(
        "--seed", type=_number(seed), default=seed.default, metavar="N", help=seed.help
    )


def _add_settings(command: argparse.ArgumentParser) -> None:
    """The settings of what is trained by epochs: the hidden head, or all with --fine-tune all."""
    kinds = {"--head hidden": HiddenHead, "--fine-tune all": FineTuning}
    uses: dict[str, dict[str, options.Option]] = {}
    for kind, settings in kinds.items():
        for name, option in options.options_of(settings).items():
            uses.setdefault(name, {})[kind] = option
    groups = {(kind,): command.add_argument_group(f"with {kind}") for kind in reversed(kinds)} | {
        tuple(kinds): command.add_argument_group(f"with {' or '.join(kinds)}")
    }
    for name, by_kind in uses.items():
        option = next(iter(by_kind.values()))
        defaults = " or ".join(str(one.default) for one in by_kind.values())
        details: dict[str, Any] = {"help": f"{option.help}; default: {defaults}"}
        if isinstance(option, Choice):
            details["choices"] = option.words
        else:
            details["type"] = _number(option)
            details["metavar"] = "N" if isinstance(option.default, int) else "F"
        if name == "hidden":
            details["nargs"] = "+"
        groups[tuple(by_kind)].add_argument(flag(name), **details)


def _number(option: Number) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            return option.read(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {option.requirement}") from None

    return read


_positive = _number(options.COUNT)


def _path(text: str) -> Path:
    """A path; `~` is expanded, which not every shell does."""
    try:
        return storage.expand(text)
    except InputError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def _place(text: str) -> Path | str:
    """A path, or an address such as s3://bucket/photos, which a path would garble."""
    return text if "://" in text else _path(text)


def _word_or_path(text: str) -> str:
    return str(_path(text)) if text.startswith("~") else text
