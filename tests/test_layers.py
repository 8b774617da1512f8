"""The order of the rooms: imports only point left, and heavy libraries stay in their rooms."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

# Left to right, also within a layer.
ORDER = (
    (
        "errors",
        "options",
        "console",
        "nbval",
        "modes",
        "storage",
        "tensorfile",
        "downloads",
        "archives",
    ),
    (
        "metadata",
        "colors",
        "decoding",
        "images",
        "copies",
        "transforms",
        "metrics",
        "tables",
        "manifest",
    ),
    ("heads", "description"),
    ("garden",),
    (
        "labels",
        "listing",
        "layout",
        "provenance",
        "seen",
        "files",
        "photos",
        "thumbnails",
        "division",
        "folders",
        "oxford",
        "cifar",
        "named_sets",
        "data",
        "stages",
        "state_dicts",
        "models",
    ),
    (
        "threads",
        "fingerprint",
        "folding",
        "runtime",
        "conversion",
        "engine",
        "feature_cache",
        "features",
    ),
    ("artifact", "inputs", "evaluation", "classifier", "legacy"),
    ("solvers", "resume", "tuning", "train"),
    ("depth", "explain", "drawing", "plots"),
    ("survey", "report", "check", "run_folder", "runs", "doctor", "lesson", "cli"),
)
PLACE = {room: place for place, room in enumerate(room for layer in ORDER for room in layer)}
ONLY_IN = {"matplotlib": {"drawing", "plots"}, "IPython": {"lesson"}}
# Only downloads touches the network; urllib.parse, which only takes addresses apart, is for all.
NETWORK = "urllib.request http socket ssl ftplib requests urllib3 httpx aiohttp asyncio".split()
NETWORK += ["torch.hub", "torchvision.datasets", "huggingface_hub", "webbrowser"]


def imports(file: Path) -> set[str]:
    """Dotted names of everything that a file imports, anywhere in it, relative imports resolved."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = "flowerlib.garden" if file.parent.name == "garden" else "flowerlib"
            module = ".".join(filter(None, [base if node.level else "", node.module or ""]))
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def wrong_imports(package: Path) -> list[str]:
    """A sentence for every import in the package that the order of the rooms forbids."""
    found = []
    for file in sorted(package.rglob("*.py")):
        room = file.relative_to(package).with_suffix("").parts[0]
        if room in ("__init__", "__main__"):
            continue
        if room not in PLACE:
            found.append(f"{room} has no place in the order of the rooms")
            continue
        for name in sorted(imports(file)):
            top, *rest = name.split(".")
            if top == "flowerlib" and rest and rest[0] in PLACE:
                if PLACE[rest[0]] > PLACE[room]:
                    found.append(f"{room} imports {rest[0]}, which is right of it")
            elif room not in ONLY_IN.get(top, {room}):
                found.append(f"{room} imports {top}")
            elif room != "downloads" and any(f"{name}.".startswith(f"{n}.") for n in NETWORK):
                found.append(f"{room} imports {name}, which reaches the network")
            elif room == "garden" and top in ("torch", "torchvision"):
                found.append(f"garden imports {top}")
    return found


def test_imports_only_point_left(repository):
    assert wrong_imports(repository / "flowerlib") == []


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("data.py", "from flowerlib import train", "data imports train, which is right of it"),
        ("data.py", "def f():\n    from .train import fit", "data imports train, which is right"),
        ("train.py", "import matplotlib.pyplot as plt", "train imports matplotlib"),
        ("plots.py", "from IPython.display import display", "plots imports IPython"),
        ("garden/flowers.py", "import torch", "garden imports torch"),
        (
            "data.py",
            "from urllib.request import urlopen",
            "data imports urllib.request.urlopen, which",
        ),
        ("data.py", "from urllib import request", "data imports urllib.request, which reaches"),
        ("models.py", "import torch.hub", "models imports torch.hub, which reaches the network"),
        ("utils.py", "", "utils has no place"),
    ],
)
def test_a_wrong_import_is_found(tmp_path, file, text, problem):
    path = tmp_path / "flowerlib" / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    found = wrong_imports(tmp_path / "flowerlib")
    assert len(found) == 1
    assert found[0].startswith(problem)


@pytest.mark.parametrize("module", ["flowerlib", "flowerlib.cli", "flowerlib.garden"])
def test_import_does_not_load_torch(module):
    code = f"import sys, {module}; print(sorted({{'torch', 'torchvision'}} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"
