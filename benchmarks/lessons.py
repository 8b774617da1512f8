"""Runs every lesson on real photos, with ImageNet weights, and records what it found."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Backbone → what FLOWERLIB_WEIGHTS is for it, and the record. The lessons quote the first.
BACKBONES = {
    "efficientnet_lite0": ("imagenet", "lessons_real"),
    "mobilenet_v2": ("weights/mobilenet_v2_features.safetensors", "lessons_mobilenet_v2"),
}
OWN = dict.fromkeys(  # what they train is not borrowed
    ("03_augmentation", "06_first_five_last_five"), "the lesson's own small network"
)


def measure(shared: Path, backbone: str, names: list[str]) -> Iterator[tuple[str, dict]]:
    """Executes the lessons with a cold cache; gives name, then headline, seconds, claims held, …

    Args:
        shared: folder with the photos, and with weights/ inside.
        backbone: one of `BACKBONES`.
        names: of the lessons; all of them if empty.
    """
    from flowerlib.cli import WAITING
    from tools import notebooks, summary

    weights, _ = BACKBONES[backbone]
    file = shared / weights
    os.environ |= WAITING | {
        "FLOWERLIB_DATA": str(shared),
        "FLOWERLIB_BACKBONE": backbone,
        "FLOWERLIB_WEIGHTS": str(file) if file.is_file() else weights,
    }
    for source in notebooks.lessons():
        if names and source.stem not in names:
            continue
        notebook = notebooks.read_text(source)
        with tempfile.TemporaryDirectory() as cache:
            os.environ["FLOWERLIB_CACHE"] = cache
            try:
                seconds = notebooks.execute(notebook, source.parent)
            except notebooks.LessonFailed as failure:
                sys.exit(f"{source.stem} failed on real photos in {failure}")
        row = summary.Row(source.stem, notebook, seconds)
        printed = [text for cell in notebook.cells for text in _printed(cell)]
        found = {
            "headline": row.headline(),
            "seconds": round(seconds, 1),
            "claims": sum(line.startswith("✓") for text in printed for line in text.splitlines()),
            "backbone": OWN.get(source.stem, backbone),
            "data": row.banner(),
            "cores": os.cpu_count(),
            **notebooks.where(),
        }
        print(json.dumps(found, ensure_ascii=False, indent=1), flush=True)
        yield source.stem, found


def _printed(cell: dict) -> list[str]:
    return [output["text"] for output in cell.get("outputs", []) if "text" in output]
