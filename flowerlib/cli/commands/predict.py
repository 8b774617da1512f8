"""flowerlib predict."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flowerlib.cli.complaints import complain
from flowerlib.cli.progress import Progress
from flowerlib.support import distributed
from flowerlib.support.console import one_line, say
from flowerlib.support.errors import InputError, plural

if TYPE_CHECKING:
    from flowerlib.classifier import Prediction
    from flowerlib.data.decoding.images import PhotoError


def predict(options: argparse.Namespace) -> int:
    from flowerlib.data.decoding import images

    if options.out:
        return _table(options)
    if distributed.size() > 1:
        raise InputError("several processes answer into a table; name it with --out.")
    inside = [_photos_in(given) for given in options.photos]
    photos = [file for files in inside for file in files]
    if not photos:
        raise InputError(f"There is no photo below {', '.join(map(str, options.photos))}.")
    for given, files in zip(options.photos, inside, strict=True):
        if not files:
            complain(f"{one_line(given)}: there is no photo in this folder.")
    # Not by Path's methods: they raise where a name is longer than the system allows.
    missing = [path for path in photos if not os.path.exists(path)]
    if len(missing) == len(photos):  # said before torch is loaded
        images.refuse([images.PhotoError(path, "there is no such file") for path in missing])
    from flowerlib.classifier import Classifier

    found = Classifier.load(options.model).predict(
        photos,
        options.top_k,
        unreadable="return",
        device=options.device,
        precision=options.precision,
    )
    answers = [answer for answer in found if not isinstance(answer, images.PhotoError)]
    problems = [answer for answer in found if isinstance(answer, images.PhotoError)]
    if not answers:
        images.refuse(problems)
    if options.json:
        say(json.dumps([_as_data(answer) for answer in found], indent=2))
    else:
        _say_answers(answers, options.csv)
    for problem in problems:
        complain(one_line(problem))
    if problems:
        complain(f"{len(problems)} of {len(photos)} {plural(len(photos), 'photo')} left out.")
    return 1 if problems else 0


def _table(options: argparse.Namespace) -> int:
    from flowerlib.classifier import Classifier, write_answers

    photos = distributed.from_main(
        lambda: [str(file) for given in options.photos for file in _photos_in(given)]
    )
    if not photos:
        raise InputError(f"There is no photo below {', '.join(map(str, options.photos))}.")
    with Progress("answered", quiet=not distributed.is_main()) as progress:
        problems = write_answers(
            Classifier.load(options.model),
            photos,
            options.out,
            top_k=options.top_k or 1,
            device=options.device,
            precision=options.precision,
            progress=progress,
        )
    if distributed.is_main():
        answered = f"{len(photos) - problems:,} of " * bool(problems) + f"{len(photos):,}"
        say(f"{answered} {plural(len(photos), 'photo')} answered in {options.out}")
    if problems:
        count = f"{len(photos):,} {plural(len(photos), 'photo')}"
        complain(f"{problems:,} of {count} cannot be read; the table says why.")
    return 1 if problems else 0


def _say_answers(answers: list[Prediction], as_csv: bool) -> None:
    if as_csv:
        say(_csv_line(["photo", "rank", "class", "probability"]))
    for answer in answers:
        rows = zip(answer.names, answer.probabilities, strict=True)
        if as_csv:
            for rank, (name, share) in enumerate(rows, 1):
                say(_csv_line([answer.photo, rank, name, f"{share:.6f}"]))
            continue
        say(one_line(answer.photo))
        for name, share in rows:
            say(f"  {share:6.1%}  {name}")


def _csv_line(cells: Sequence[object]) -> str:
    """One row of CSV without its line end, which is the output's own."""
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().removesuffix("\r\n")


def _photos_in(given: Path) -> list[Path]:
    """The photo itself, or all photos in a folder; what else is there is named on stderr."""
    from flowerlib.data.folders import listing

    if not os.path.isdir(given):
        return [given]
    found = listing.read(given)
    if problem := found.closed_problem():
        raise InputError(f"{given}: {problem}.")
    if line := found.counts().sentence():
        complain(f"{one_line(given)}: {line}")
    return [Path(file) for file in found.folder.below()]


def _as_data(answer: Prediction | PhotoError) -> dict[str, object]:
    """A prediction as JSON holds it, or the PhotoError that stands in its place."""
    from flowerlib.data.decoding.images import PhotoError

    if isinstance(answer, PhotoError):
        return {"photo": str(answer.path), "error": answer.reason}
    top = zip(answer.names, answer.probabilities, strict=True)
    return {
        "photo": answer.photo,
        "top": [{"class": name, "probability": round(share, 6)} for name, share in top],
    }
