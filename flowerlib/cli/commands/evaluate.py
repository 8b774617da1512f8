"""flowerlib evaluate."""

from __future__ import annotations

import argparse
import json

from flowerlib.cli import columns
from flowerlib.cli.complaints import complain
from flowerlib.cli.progress import Progress
from flowerlib.support import distributed, tables
from flowerlib.support.console import one_line, say


def evaluate(options: argparse.Namespace) -> int:
    from flowerlib import data, metrics
    from flowerlib.classifier import Classifier

    classifier = Classifier.load(options.model)
    photos, counts, notes = distributed.from_main(
        lambda: data.labeled_photos(
            options.data,
            classifier.class_names,
            split=options.split,
            columns=columns.named(options),
        )
    )
    place = one_line(options.data)
    for line in filter(None, [counts.sentence(), *notes]):
        complain(f"{place}: {one_line(line)}")
    with Progress("measured", quiet=not distributed.is_main()) as progress:
        found = classifier.evaluate(
            photos,
            device=options.device,
            precision=options.precision,
            progress=progress,
            name=f"{place}, {options.split}" if options.split else place,
        )
    if not distributed.is_main():
        return 0
    probabilities, answers = found.logits.softmax(1).max(1)
    rows = [
        {
            "photo": photos.name(index),
            "truth": photos.class_name(index),
            "answer": classifier.class_names[int(answers[index])],
            "probability": float(probabilities[index]),
            "verdict": "pass" if answers[index] == found.labels[index] else "FAIL",
            "learned": found.role(index),
        }
        for index in range(len(photos))
    ]
    if options.json:
        summary: dict[str, object] = {
            "data": options.data,
            "split": options.split,  # null: as the notes say, or of photos that no split divides
            **found.to_dict(),
            "files": counts.to_dict(),
            "notes": notes,
            "calibration_error": metrics.expected_calibration_error(
                found.logits.softmax(1), found.labels
            ),
            "seconds": round(found.seconds, 3),
        }
        if options.table:
            summary["photos"] = rows
        say(json.dumps(summary, indent=2))
        return 0
    if options.table:
        say(tables.table(rows).text())
        say("")
    say(str(found))
    return 0
