"""Says what is installed, what the machine can do, which data are there, and how to mend it."""

from __future__ import annotations

import os
import platform
import sys

from flowerlib.cli import runs
from flowerlib.support import storage
from flowerlib.support.errors import InputError
from flowerlib.support.options import BACKBONE

PAIR = (
    "torch and torchvision do not belong together; reinstall both as a pair: "
    "pip install --upgrade --force-reinstall torch torchvision"
)

# Packages whose name differs from that of the module.
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn"}


def is_broken_installation(problem: Exception) -> bool:
    """Whether a package is missing or broken, rather than this program."""
    if isinstance(problem, ImportError):
        return not (problem.name or "").startswith("flowerlib")
    return "torchvision::nms" in str(problem)


def import_problem(problem: Exception) -> str:
    """One sentence about a package that cannot be imported, with the cure."""
    text = str(problem)
    if "torchvision" in text or "nms" in text or "undefined symbol" in text:
        return f"{PAIR} (the error was: {text.splitlines()[0]})."
    module = (getattr(problem, "name", None) or "").split(".")[0]
    if module in sys.stdlib_module_names:
        return f"this Python was built without {module} ({text}); install another Python."
    name = DISTRIBUTIONS.get(module, module)
    if not name:
        return f"a package cannot be imported ({text}); install flowerlib again."
    return f"the package {name} cannot be imported ({text}); install it: pip install {name}."


def examine() -> tuple[list[tuple[str, str]], bool]:
    """Looks at packages, devices, precision, data sets and the cache.

    Returns:
        Rows (what, state), and whether everything needed is there.
    """
    rows = [("system", f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores")]
    rows += list(runs.versions().items())
    try:
        import torch
        import torchvision

        torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except (ImportError, RuntimeError, AttributeError) as problem:
        if "nms" in str(problem) or isinstance(problem, AttributeError):
            rows.append(("pair", f"BROKEN: {PAIR}"))
        else:
            rows.append(("pair", f"BROKEN: {import_problem(problem)}"))
        return rows, False
    rows.append(("pair", "torch and torchvision belong together"))
    from flowerlib import data
    from flowerlib.features import engine

    device = engine.choose_device("auto")
    rows.append(("device", device + (f", {torch.get_num_threads()} threads" * (device == "cpu"))))
    precision = engine.choose_precision("auto", device)
    rows.append(("precision", precision))
    if device == "cpu":
        rows.append(("processor", _processor(torch.backends.cpu.get_cpu_capability(), precision)))
    rows.append(weights := _weights())
    healthy = not weights[1].startswith("BROKEN")
    try:
        rows.append(("cache", str(storage.cache_folder())))
        place = data.find("flowers")
        rows.append(
            ("flowers", str(place) if place else "not in place: flowerlib download flowers")
        )
    except InputError as problem:
        rows.append(("problem", str(problem)))
        healthy = False
    rows.append(("garden", "in place (drawn by flowerlib itself)"))
    return rows, healthy


def _weights() -> tuple[str, str]:
    """Whether the ImageNet weights of the default backbone are as they were published."""
    from flowerlib import models
    from flowerlib.models import lite_networks

    try:
        lite_networks.published_weights(BACKBONE)
    except InputError as problem:
        return "weights", f"BROKEN: {problem}"
    return "weights", f"{BACKBONE}: {models.weights_origin(BACKBONE)}, as published"


def _processor(instructions: str, precision: str) -> str:
    """The instruction set that torch uses here, and what follows from it."""
    if precision == "bf16":
        return f"{instructions} with bf16, so torch computes networks in bf16"
    return (
        f"{instructions} without bf16, so ONNX Runtime computes networks in fp32; "
        "--precision bf16 works, but slowly"
    )
