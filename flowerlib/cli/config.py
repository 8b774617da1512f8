"""A training's options as a TOML file: read with --config, written into the folder of its run."""

from __future__ import annotations

import argparse
import json
import os
import tomllib
from pathlib import Path

from flowerlib.support import storage
from flowerlib.support.errors import InputError

NAME = "config.toml"
PLACES = {"data", "weights"}  # which may be paths
# Of one call and not of the training: chosen again by whoever repeats it.
OF_THE_CALL = {"command", "config", "force", "out", "quiet", "resume", "run", "verbose"}


def arguments(file: Path, options: argparse.Namespace) -> list[str]:
    """The options in a file, as they would be typed.

    Args:
        file: keys are the options' names without dashes in front, and `data`; relative paths in it
            count from the working directory, as on the command line.
        options: what was typed; its names are the keys that are known.

    Raises:
        InputError: the file cannot be read, is no TOML, holds a key that is no option, or says
            yes or no to one that takes a value.
    """
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as problem:
        raise InputError(f"{file} cannot be read ({problem.strerror}).") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise InputError(f"{file} is not a TOML file ({problem}).") from None
    keys = [key.replace("-", "_") for key in found]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise InputError(f"{file}: {', '.join(twice)} is there twice, with - and with _.")
    found = dict(zip(keys, found.values(), strict=True))
    if wrong := sorted(key for key in found if key in OF_THE_CALL):
        raise InputError(f"{file}: give {', '.join(wrong)} on the command line, for each run.")
    if unknown := sorted(key for key in found if key not in vars(options)):
        raise InputError(f"{file}: {options.command} has no option {', '.join(unknown)}.")
    for key, value in found.items():
        if isinstance(value, bool) and not isinstance(getattr(options, key), bool):
            raise InputError(
                f"{file}: {key} is {str(value).lower()}, but takes a value, such as the command "
                "line does; give one, or leave it out."
            )
    typed: list[str] = []
    for key, value in found.items():
        if key == "data":
            typed += [str(value)] if options.data is None else []
        elif isinstance(value, list):
            typed += [flag(key), *map(str, value)]
        elif isinstance(value, bool):
            typed.append(flag(key if value else f"no_{key}"))
        else:  # with =, since a value may begin with a dash
            typed.append(f"{flag(key)}={value}")
    return [*typed, "--config", str(file)]  # after a list of numbers, so that data are not its last


def text(options: argparse.Namespace) -> str:
    """The options as a TOML file that repeats the run from any working directory."""
    lines = [f"# flowerlib {options.command} --config {NAME} --out FOLDER"]
    for key, value in sorted(vars(options).items()):
        if key in OF_THE_CALL or value is None:
            continue
        name = key.replace("_", "-")
        try:
            line = f"{name} = {_written(_from_root(key, value) if key in PLACES else value)}"
            line.encode()
        except UnicodeEncodeError:
            line = f"# {name} is left out, since its name is not UTF-8: give it on the command line"
        lines.append(line)
    return "\n".join(lines) + "\n"


def flag(key: str) -> str:
    """How an option is typed."""
    return f"--{key.replace('_', '-')}"


def _from_root(key: str, place: str) -> str:
    """A path from the root of the file system; what is no path, but a word, as it is."""
    from flowerlib.models.backbones import WORDS  # torch, which a training needs anyway

    words = ("garden", "flowers") if key == "data" else ("none", *WORDS)
    if place in words or "://" in place:
        return place
    return os.path.abspath(storage.expand(place))


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, (int, float)):
        return repr(value)
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
