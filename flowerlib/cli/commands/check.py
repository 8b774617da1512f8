"""flowerlib check."""

from __future__ import annotations

import argparse
import json

from flowerlib.cli import columns
from flowerlib.cli.progress import Progress
from flowerlib.support import storage
from flowerlib.support.console import say


def check(options: argparse.Namespace) -> int:
    from flowerlib import audit

    with Progress("checked") as progress:
        report = audit.check(
            options.data, columns=columns.named(options), against=options.against, progress=progress
        )
    if options.json:
        with storage.atomic_path(options.json) as temporary:
            temporary.write_text(json.dumps(report.to_dict(), indent=2) + "\n", encoding="utf-8")
    if options.manifest:
        audit.save_manifest(options.manifest, report.entries())
    say(report.text(options.examples))
    return 1 if report.serious else 0
