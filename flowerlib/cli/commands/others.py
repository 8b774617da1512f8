"""Commands of a few lines: download, import-old, garden, doctor."""

from __future__ import annotations

import argparse

from flowerlib.support import storage, tables
from flowerlib.support.console import say
from flowerlib.support.errors import InputError


def download(options: argparse.Namespace) -> int:
    from flowerlib import data

    say(f"{options.name} is complete in {data.download(options.name)}")
    return 0


def import_old(options: argparse.Namespace) -> int:
    if options.out.exists():
        raise InputError(f"{options.out} exists already; choose another name, or remove it.")
    from flowerlib.classifier import legacy

    imported = legacy.read(
        options.file, backbone=options.backbone, weights=options.weights, names=options.names
    )
    imported.classifier.save(options.out)
    say(f"{options.file}:")
    for line in imported.found:
        say(f"  {line}")
    say("not in the file, so assumed:")
    for line in imported.assumed:
        say(f"  {line}")
    say(f"written to {options.out}: try  flowerlib predict PHOTO --model {options.out}")
    return 0


def garden(options: argparse.Namespace) -> int:
    from PIL import Image

    from flowerlib import garden

    sheet = garden.sheet(
        options.kind, columns=options.columns, size=options.size, seed=options.seed
    )
    with storage.atomic_path(options.out) as temporary:
        Image.fromarray(sheet).save(temporary, format="PNG")
    say(f"{options.out}: {sheet.shape[1]} x {sheet.shape[0]} pixels")
    return 0


def doctor(options: argparse.Namespace) -> int:
    from flowerlib.cli import doctor

    rows, healthy = doctor.examine()
    say(tables.table(rows, columns=["what", "state"]).text())
    return 0 if healthy else 2
