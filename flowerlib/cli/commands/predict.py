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
    from flowerlib.data import Photos
    from flowerlib.data.contents import Contents
    from flowerlib.data.decoding.images import PhotoError
    from flowerlib.data.folders.addresses import Place


def predict(options: argparse.Namespace) -> int:
    from flowerlib.data.decoding import images

    if options.out:
        return _table(options)
    if distributed.size() > 1:
        raise InputError("several processes answer into a table; name it with --out.")
    photos = _photos(options.photos)
    # Not by Path's methods: they raise where a name is longer than the system allows.
    files = photos if isinstance(photos, list) else []
    missing = [path for path in files if not os.path.exists(path)]
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

    photos = distributed.from_main(lambda: _photos(options.photos))
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


def _photos(several: Sequence[Place]) -> list[str] | Photos:
    """All photos that were named: as paths, if they are files of this computer."""
    from flowerlib.data import contents

    inside = [_photos_in(given) for given in several]
    if not any(map(len, inside)):
        raise InputError(f"There is no photo below {', '.join(map(str, several))}.")
    for given, photos in zip(several, inside, strict=True):
        if not len(photos):
            complain(f"{one_line(given)}: there is no photo in this folder.")
    files = [photos for photos in inside if isinstance(photos, contents.Files)]
    if len(files) == len(inside):
        return [name for photos in files for name in photos.names]
    from flowerlib.data import Photos  # torch; files do without

    photos = contents.joined(inside)
    return Photos(photos, [0] * len(photos), ("photo",))


def _photos_in(given: Place) -> Contents:
    """The photo itself, or all photos in a folder or in shards; what else is there is named."""
    from flowerlib.data.contents import Files
    from flowerlib.data.folders import addresses
    from flowerlib.data.records import packed, packs

    if packs.kind(given):
        return packed.pictures(given)
    place = addresses.at(given)
    if (one := addresses.one(place)) is not None:
        return one
    found = addresses.read(place)
    if problem := found.closed_problem():
        raise InputError(f"{given}: {problem}.")
    if line := found.counts().sentence():
        complain(f"{one_line(given)}: {line}")
    paths = [*found.folder.below()]
    if found.marks is None:
        return Files(map(Path, paths))
    return addresses.pictures(found, paths)


def _as_data(answer: Prediction | PhotoError) -> dict[str, object]:
    """A prediction as JSON holds it, or the PhotoError that stands in its place."""
    from flowerlib.data.decoding.images import PhotoError

    if isinstance(answer, PhotoError):
        return {"photo": answer.name, "error": answer.reason}
    top = zip(answer.names, answer.probabilities, strict=True)
    return {
        "photo": answer.photo,
        "top": [{"class": name, "probability": round(share, 6)} for name, share in top],
    }
