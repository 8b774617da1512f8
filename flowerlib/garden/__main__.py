"""`python -m flowerlib.garden`: `draw` (a worker of `garden.pictures`) or `sheet`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from PIL import Image

from flowerlib import garden
from flowerlib.errors import InputError


def main(arguments: list[str] | None = None) -> int:
    """Runs one of the two commands; gives the exit code (2 for an error that the user can mend)."""
    parser = argparse.ArgumentParser(prog="python -m flowerlib.garden", description=garden.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("draw", help="read an order (JSON) from stdin, write raw pixels to stdout")
    sheet = commands.add_parser("sheet", help="write a contact sheet")
    sheet.add_argument("--kind", choices=garden.KINDS, default="flowers")
    sheet.add_argument("--out", type=Path, required=True, help="picture to write, .png or .jpg")
    sheet.add_argument("--columns", type=int, help="pictures in a row")
    sheet.add_argument("--size", type=int, default=128, help="pixels a picture, 32 to 256")
    sheet.add_argument("--seed", type=int, default=0)
    sheet.add_argument("--labels", action="store_true", help="write the names below the pictures")
    options = parser.parse_args(arguments)
    if options.command == "draw":
        sys.stdout.buffer.write(garden.draw_many(**json.load(sys.stdin)).tobytes())
        return 0
    try:
        drawn = garden.sheet(
            options.kind,
            columns=options.columns,
            size=options.size,
            seed=options.seed,
            labels=options.labels,
        )
        Image.fromarray(drawn).save(options.out)
    except (InputError, OSError, ValueError) as problem:
        print(f"Cannot make the sheet: {problem}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
