"""Importing flowerlib changes nothing in the process that it is imported into."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc, importlib, locale, logging, os, pkgutil, random, signal, sys, warnings
import matplotlib, numpy, torch, torchvision
from PIL import Image, ImageFile
import sklearn.linear_model, sympy, threadpoolctl, timm  # these change settings by themselves

ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = True, 12345
torch.manual_seed(3), numpy.random.seed(3), random.seed(3)

def settings():
    return {
        "Pillow": (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS),
        "warnings": list(warnings.filters),
        "showwarning": warnings.showwarning,
        "gc": (gc.isenabled(), gc.get_threshold()),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "dtype": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "determinism": torch.are_deterministic_algorithms_enabled(),
        "random": (torch.random.initial_seed(), random.getstate(), numpy.random.get_state()[2]),
        "matplotlib": matplotlib.rcParams.copy(),
        "logging": (logging.root.level, list(logging.root.handlers)),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "locale": locale.setlocale(locale.LC_ALL),
        "streams": (sys.stdout.errors, sys.stderr.errors),
        "optimizer": torch.optim.Adam.step,
        "call": torch.nn.Module.__call__,
    }

before = settings()
import flowerlib
for module in pkgutil.walk_packages(flowerlib.__path__, "flowerlib."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
after = settings()
print([name for name in before if before[name] != after[name]])
"""


def test_an_import_changes_no_setting_of_the_process() -> None:
    found = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip() == "[]"
