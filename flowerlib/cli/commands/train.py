"""flowerlib train."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flowerlib.cli import columns, config
from flowerlib.cli.progress import Progress
from flowerlib.support import distributed, storage
from flowerlib.support import options as known
from flowerlib.support.console import say
from flowerlib.support.errors import InputError

if TYPE_CHECKING:
    from flowerlib.train import Bar, History


def train(options: argparse.Namespace) -> int:
    from flowerlib import data
    from flowerlib.cli import runs

    start = time.perf_counter()
    if options.data is None:
        raise InputError("train needs photos: a folder, a named set, or `data` in the --config.")
    settings = _settings(options)  # refused before a photo is read
    usual = known.GARDEN_BACKBONE if options.data == "garden" else known.BACKBONE
    quiet = options.quiet or not distributed.is_main()
    with Progress(quiet=quiet) as progress:
        found = runs.train(
            lambda: data.from_name(
                options.data, split=options.split, columns=columns.named(options)
            ),
            options.out,
            photos=data.folder_of(options.data),
            force=options.force,
            resume=options.resume,
            say=progress.say,
            config=config.text(options),
            backbone=usual if options.backbone is None else options.backbone,
            weights=options.weights,
            head=options.head,
            layers=options.layers,
            **settings,
            preset=options.preset,
            resize_mode=options.resize_mode,
            seed=options.seed,
            device=options.device,
            precision=options.precision,
            cache=options.cache,
            report=_epochs() if sys.stderr.isatty() and not quiet else None,
            progress=progress,
        )
    if quiet:
        return 0
    if options.verbose:
        for line in _details(found):
            say(line)
    say(f"{found['seconds']['total']:.1f} s, {time.perf_counter() - start:.1f} s with start-up")
    say(
        f"written to {options.out}: try  flowerlib predict PHOTO --model "
        f"{options.out / 'classifier.safetensors'}"
    )
    return 0


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """What `train.transfer` needs to know about the hidden head or about fine-tuning."""
    of_head = {name: getattr(options, name) for name in known.options_of(known.HiddenHead)}
    of_all = {name: getattr(options, name) for name in known.options_of(known.FineTuning)}
    fine_tune = known.of_fine_tuning(options.fine_tune, options.preset, options.head)
    if fine_tune == "all":
        of_head = {name: value for name, value in of_head.items() if name not in of_all}
        given = {name: value for name, value in of_all.items() if value is not None}
        known.of_the_head(options.head, **of_head)
        return {"fine_tune": fine_tune, "fine_tuning": known.FineTuning(**given)}
    known.of_the_head(options.head, **of_head)
    for name, value in of_all.items():
        if value is not None and name not in of_head:
            raise InputError(f"{config.flag(name)} has no effect without --fine-tune all.")
    return {"fine_tune": fine_tune, **of_head}


def _epochs() -> Callable[[History], None]:
    """A `train.Bar` that is made when the first epoch ends: until then torch is not needed."""
    bars: list[Bar] = []

    def report(history: History) -> None:
        from flowerlib.train import Bar

        if not bars:
            bars.append(Bar())
        bars[0](history)

    return report


def _details(found: Mapping[str, Any]) -> list[str]:
    """With what it was computed, and where the time went."""
    return [
        f"features cached in {storage.cache_folder()}",
        f"{found['threads']} threads · "
        + " · ".join(f"{name} {version}" for name, version in found["versions"].items()),
        "seconds: " + ", ".join(f"{name} {value:.1f}" for name, value in found["seconds"].items()),
    ]
