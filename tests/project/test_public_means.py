"""The code takes no means that other packages keep to themselves, and changes no process for good.

What the means below gave once, public ones give as well: multiprocessing, psutil, signals, the
commands of the system.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

MEANS = {
    r"\bsys\.modules\[": "a module put in another's place",
    r"torch\.ops\.mkldnn": "operators of torch's own",
    r"\btorch\._(?!_)": "private parts of torch",
    r"\bctypes\b": "functions of the C library",
    r"\bos\._exit\b": "an end without clean-up",
    r"\bset_threshold\b": "another garbage collection for the whole process",
    r"\bMALLOC_": "settings of one C library's allocator",
}
# File → the means that it may name, and why.
EXCEPTIONS = {
    "flowerlib/cli/entry.py": (r"\bos\._exit\b", "the command line's own process, at its very end"),
    "flowerlib/classifier/legacy/allowed_names.py": (
        r"\btorch\._(?!_)",
        "names that old checkpoints hold, as text",
    ),
    "tests/support/test_console.py": (r"\btorch\._(?!_)", "the name of a module that is missing"),
}


def taken(text: str) -> set[str]:
    """The means that a file names."""
    return {means for means in MEANS if re.search(means, text)}


def test_no_file_takes_private_means(repository: Path) -> None:
    found = {}
    for folder in ("flowerlib", "tools", "tests", "benchmarks"):
        for path in (repository / folder).rglob("*.py"):
            name = path.relative_to(repository).as_posix()
            if path != Path(__file__):
                found[name] = taken(path.read_text(encoding="utf-8"))
    assert len(found) > 300
    allowed = {name: {means} for name, (means, _) in EXCEPTIONS.items()}
    assert {name: means for name, means in found.items() if means} == allowed


@pytest.mark.parametrize(
    "line",
    [
        "del sys.modules[name]",
        "torch.ops.mkldnn._convolution_pointwise(x)",
        "torch._dynamo.reset()",
        "import ctypes",
        "os._exit(0)",
        "gc.set_threshold(10**6)",
        'env["MALLOC_ARENA_MAX"] = "1"',
    ],
)
def test_private_means_are_found(line: str) -> None:
    assert len(taken(line)) == 1
    assert not taken("torch.__version__, sys.modules, torch.compiler.reset(), os.kill(pid, 9)")
