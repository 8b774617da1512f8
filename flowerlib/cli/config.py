"""A training's options as a TOML file: read with --config, written into the folder of its run."""

from __future__ import annotations

import argparse
import json
import os
import tomllib
from pathlib import Path

from flowerlib.support.errors import InputError

NAME = "config.toml"
# Of one call and not of the training: chosen again by whoever repeats it.
OF_THE_CALL = {"command", "config", "force", "out", "quiet", "resume", "run", "verbose"}


def arguments(file: Path, options: argparse.Namespace) -> list[str]:
    """The options in a file, as they would be typed.

    Args:
        file: keys are the options' names without dashes in front, and `data`; relative paths in it
            count from the working directory, as on the command line.
        options: what was typed; its names are the keys that are known.

    Raises:
        InputError: the file cannot be read, is no TOML, or holds a key that is no option.
    """
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as problem:
        raise InputError(f"{file} cannot be read ({problem.strerror}).") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise InputError(f"{file} is not a TOML file ({problem}).") from None
    found = {key.replace("-", "_"): value for key, value in found.items()}
    if wrong := sorted(key for key in found if key in OF_THE_CALL):
        raise InputError(f"{file}: give {', '.join(wrong)} on the command line, for each run.")
    if unknown := sorted(key for key in found if key not in vars(options)):
        raise InputError(f"{file}: {options.command} has no option {', '.join(unknown)}.")
    typed: list[str] = []
    for key, value in found.items():
        if key == "data":
            typed += [] if options.data else [str(value)]
        elif value is not False:
            values = [] if value is True else value if isinstance(value, list) else [value]
            typed += [f"--{key.replace('_', '-')}", *map(str, values)]
    return [*typed, "--config", str(file)]  # after a list of numbers, so that data are not its last


def text(options: argparse.Namespace) -> str:
    """The options as a TOML file that repeats the run from any working directory."""
    lines = [f"# flowerlib {options.command} --config {NAME} --out FOLDER"]
    for key, value in sorted(vars(options).items()):
        if key not in OF_THE_CALL and value is not None and value is not False:
            lines.append(f"{key.replace('_', '-')} = {_written(value)}")
    return "\n".join(lines) + "\n"


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "true"
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, (int, float)):
        return repr(value)
    written = str(value)
    if os.path.exists(written):
        written = os.path.abspath(written)
    return json.dumps(written, ensure_ascii=False).replace("\x7f", "\\u007f")
