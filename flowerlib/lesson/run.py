"""The run of a lesson: on which data, on which machine, with which result."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING

from flowerlib.lesson import outputs
from flowerlib.support.errors import InputError

if TYPE_CHECKING:
    from flowerlib.data import Splits
    from flowerlib.models import Backbone

_started = time.perf_counter()
_data: str | None = None  # set by banner(), said again by footer()


def banner(splits: Splits, backbone: Backbone | None = None) -> None:
    """Says on which data the lesson runs, drawn or photos, and with which backbone.

    Device, precision and machine are printed by `footer()`: this text depends on the data only.
    """
    global _data
    _data = splits.data_kind
    lines = [splits.describe()]
    if backbone is not None:
        # Weights may be a path, which differs from machine to machine: its last part is enough.
        weights = os.path.basename(str(backbone.weights))
        size = f"{backbone.num_features:,} features a picture"
        lines.append(f"backbone {backbone.name} · {weights} weights · {size}")
    outputs.say("\n".join(lines))


def headline(text: str) -> None:
    """Shows the one result of the lesson; `make run` collects it into its table."""
    outputs.send(
        {"text/plain": f"Headline: {text}", "text/markdown": f"**Headline:** {text}"},
        {"flowerlib": {"headline": text}},
    )


def measured(name: str) -> None:
    """Shows what the lesson `name` found on photos, as recorded in results/.

    Args:
        name: of the lesson, such as "04_flowers".

    Raises:
        InputError: results/ does not hold it, such as outside the project's folder.
    """
    file = Path("..", "results", "lessons_real.json")  # a lesson runs in notebooks/
    try:
        found = json.loads(file.read_text(encoding="utf-8"))[name]
    except (OSError, ValueError, KeyError):
        raise InputError(
            f"{file} holds no figures of {name}; run the lesson inside the project's folder."
        ) from None
    text = (
        f"Recorded on real photos, {found['backbone']}, {found['cores']} processor cores, "
        f"{found['seconds']:.0f} s in all, {found['claims']} claims held: {found['headline']}"
    )
    outputs.send({"text/plain": text, "text/markdown": text})


def footer(precision: str | None = None) -> None:
    """Prints data, machine, device, torch and the seconds since this module was imported.

    All of it changes from machine to machine: tag its cell `nbval-ignore-output`.
    """
    import torch

    if torch.cuda.is_available():
        device = f"cuda ({torch.cuda.get_device_name()})"
    elif torch.backends.mps.is_available():
        device = "mps"
    else:
        threads = torch.get_num_threads()
        device = f"cpu ({threads} {'threads' if threads > 1 else 'thread'})"
    facts = [
        _data or "data not stated",
        machine(),
        f"device {device}" + (f", {precision}" if precision else ""),
        f"torch {torch.__version__}",
        f"Python {platform.python_version()}",
        f"{time.perf_counter() - _started:.0f} s",
    ]
    outputs.say(" · ".join(facts))


def machine() -> str:
    """The kind of machine: system, architecture and processor, without names of hosts or users."""
    processor = platform.processor()
    try:  # On Linux the standard library knows the architecture only.
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.split(":", 1)[1] for line in lines if line.startswith("model name")]
        processor = names[0].strip() if names else processor
    except OSError:
        pass
    kind = f"{platform.system()} {platform.machine()}"
    return f"{kind}, {processor}" if processor and processor != platform.machine() else kind
