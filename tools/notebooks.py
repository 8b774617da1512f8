"""Run, render and check the lessons.

    python tools/notebooks.py run           execute every lesson, show the results as pages
    python tools/notebooks.py render [NAME] write notebooks/*.ipynb from the .py, with outputs
    python tools/notebooks.py check         find what is wrong with the stored notebooks

A lesson is a pair: people edit the `.py` (percent format), readers see the `.ipynb`.
Text goes one way, from `.py` to `.ipynb`; the `.ipynb` holds the outputs of one clean run, and a
stamp in its metadata says which code, data, torch and machine they came from.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import math
import os
import re
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
if str(REPOSITORY) not in sys.path:  # so that it runs as a script as well as with -m
    sys.path.insert(0, str(REPOSITORY))

from flowerlib import lesson  # noqa: E402
from flowerlib.cli import WAITING  # noqa: E402
from flowerlib.lesson.nbval import PATTERNS  # noqa: E402
from flowerlib.support import storage  # noqa: E402

NOTEBOOKS = REPOSITORY / "notebooks"
BUILD = REPOSITORY / "build"

# Sums over threads depend on how many there are, so stored outputs and their comparison use a fixed
# number. One, because tests run two kernels on two cores: with two threads each they take an eighth
# longer, and many times as long if threads wait awake.
FIXED_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}

IGNORED = "nbval-ignore-output"  # the tag of cells whose outputs are not compared

# What a kernel says about itself includes the Python version; this is all that viewers need.
KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {"file_extension": ".py", "name": "python", "pygments_lexer": "ipython3"}


class LessonFailed(Exception):
    """A cell raised; says which one and how."""


def no_photos() -> Path:
    """An empty folder for `FLOWERLIB_DATA`: lessons then draw, whatever photos data/ holds."""
    folder = BUILD / "no_photos"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def lessons() -> list[Path]:
    """The `.py` of every lesson, in the order of the course."""
    return sorted(NOTEBOOKS.glob("[0-9]*.py"))


def solutions() -> list[Path]:
    """The `.py` of every notebook of solutions."""
    return sorted((NOTEBOOKS / "solutions").glob("[0-9]*.py"))


def read_text(path: Path) -> Any:
    """A `.py` in percent format as a notebook without outputs, with ids that follow the content."""
    import jupytext

    notebook = jupytext.read(path, fmt="py:percent")
    notebook.metadata.clear()
    notebook.metadata.update(kernelspec=KERNELSPEC, language_info=LANGUAGE)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        # Not by position: then a new cell would change the ids of all cells below it.
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        tags = cell.metadata.get("tags")
        cell.metadata.clear()
        if tags:
            cell.metadata["tags"] = tags
    return notebook


def code_hash(notebook: Any) -> str:
    """Digest of the code cells: changes when code does, not when prose or outputs do."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()[:16]


def outputs_hash(notebook: Any) -> str:
    """Digest of what the outputs say in text, in every run alike.

    Pictures are left out, and what nbval does not compare.
    """
    digest = hashlib.sha256()
    for cell in notebook.cells:
        outputs = [] if IGNORED in cell.metadata.get("tags", []) else cell.get("outputs", [])
        for output in outputs:
            shown = [output.get("name", ""), output.get("text", "")]
            data = output.get("data", {})
            shown += [f"{mime} {data[mime]}" for mime in sorted(data) if "image" not in mime]
            digest.update(_steady("\0".join(shown)).encode() + b"\0")
        digest.update(b"\1")
    return digest.hexdigest()[:16]


def _steady(text: str) -> str:
    """A text without seconds and places on the disk, as nbval compares it."""
    patterns = PATTERNS.read_text(encoding="utf-8")
    for regex, instead in re.findall(r"^regex: (.*)\nreplace: (.*)$", patterns, re.MULTILINE):
        text = re.sub(regex, instead, text)
    return text


def where() -> dict[str, str]:
    """What stored figures may depend on: machine, instructions that torch uses, release of torch.

    Processors of one name differ: some have AVX-512, and of those, some bf16.
    """
    import torch

    from flowerlib.features.engine import computes_in_bf16

    instructions = torch.backends.cpu.get_cpu_capability() + " with bf16" * computes_in_bf16()
    return {
        "machine": lesson.machine(),
        "instructions": instructions,
        "torch": version("torch").split("+")[0],
    }


def why_figures_may_differ() -> str | None:
    """Why a fresh run here need not meet the stored numbers to the last digit; None if it must.

    A trained network's figures depend on the processor and on the release of torch. Where either
    is not that of the stored outputs, tests compare the words, and the claims guard the numbers.
    """
    here = where()
    for path in [source.with_suffix(".ipynb") for source in lessons() + solutions()]:
        if not path.is_file():
            continue
        stamp = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("flowerlib", {})
        for name, value in here.items():
            if stamp.get(name) != value:
                return f"{path.name} was rendered with {name} {stamp.get(name)}, here is {value}"
    return "here is a GPU" if shutil.which("nvidia-smi") else None


def execute(notebook: Any, folder: Path) -> float:
    """Runs all cells in a fresh kernel with `folder` as working directory; returns seconds.

    Raises:
        LessonFailed: a cell raised or the kernel died. The outputs up to there are in `notebook`.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    client = NotebookClient(
        notebook,
        timeout=1800,
        kernel_name=KERNELSPEC["name"],
        record_timing=False,
        coalesce_streams=True,  # as JupyterLab saves them: a busy machine prints in pieces
        extra_arguments=["--IPKernelApp.log_level=40"],  # errors; a kernel warns of each start
        resources={"metadata": {"path": str(folder)}},
    )
    start = time.perf_counter()
    try:
        client.execute()
    except CellExecutionError:
        raise LessonFailed(_failure(notebook)) from None
    except DeadKernelError:
        raise LessonFailed("The kernel died; memory may have run out.") from None
    finally:
        notebook.metadata["language_info"] = dict(LANGUAGE)
    return time.perf_counter() - start


def _failure(notebook: Any) -> str:
    """The cell that failed and the end of its traceback, as plain text."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, start=1):
        for output in cell.outputs:
            if output.output_type == "error":
                trace = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(output.traceback))
                tail = "\n".join(trace.splitlines()[-15:])
                return f"code cell {number}:\n\n{_indent(cell.source)}\n\n{_indent(tail)}"
    return "no cell holds the error"


def _indent(text: str) -> str:
    return "\n".join("    " + line for line in text.splitlines())


def render(sources: list[Path]) -> int:
    """Writes the `.ipynb` beside each `.py`, run on drawn data; returns the exit code."""
    import nbformat

    for name in ("BACKBONE", "WEIGHTS"):
        os.environ.pop(f"FLOWERLIB_{name}", None)
    os.environ.update(FIXED_ENVIRONMENT, FLOWERLIB_DATA=str(no_photos()))
    failures = 0
    for source in sources:
        print(f"{source.stem} …", end=" ", flush=True)
        notebook = read_text(source)
        try:
            seconds = execute(notebook, source.parent)
        except LessonFailed as failure:
            print(f"failed in {failure}", flush=True)
            failures += 1
            continue
        notebook.metadata["flowerlib"] = {
            "code": code_hash(notebook),
            "outputs": outputs_hash(notebook),
            "pictures": "drawn",
            "seconds": round(seconds, 1),
            **where(),
        }
        with storage.atomic_path(source.with_suffix(".ipynb")) as path:
            path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8", newline="\n")
        print(f"{seconds:.1f} s", flush=True)
    _write_indexes()
    return 1 if failures else 0


def _write_indexes() -> None:
    """The lists of lessons in the two READMEs, with today's titles and times."""
    from tools import summary

    index, readme = NOTEBOOKS / "README.md", NOTEBOOKS.parent / "README.md"
    if index.is_file() and readme.is_file():
        text = with_times(index.read_text(encoding="utf-8"))
        index.write_text(text, encoding="utf-8", newline="\n")
        text = summary.with_lessons(readme.read_text(encoding="utf-8"), lessons())
        readme.write_text(text, encoding="utf-8", newline="\n")


def with_times(index: str) -> str:
    """notebooks/README.md with the last column of its table as the records have it.

    Seconds in the garden come from the stamp of the last rendering, those on real photos from
    results/lessons_real.json.
    """
    real = json.loads((REPOSITORY / "results" / "lessons_real.json").read_text(encoding="utf-8"))

    def row(found: re.Match) -> str:
        stored = json.loads((NOTEBOOKS / f"{found['name']}.ipynb").read_text(encoding="utf-8"))
        garden = stored["metadata"]["flowerlib"]["seconds"]
        photos = real.get(found["name"])  # a new lesson has no record yet
        minutes = f"{math.ceil(photos['seconds'] / 60)} min" if photos else "–"
        return f"{found['row']}| {garden:.0f} s, {minutes} |"

    line = r"^(?P<row>\| \[(?P<name>\d\w+)\].*)\| [^|]*\|$"
    return re.sub(line, row, index, flags=re.MULTILINE)


def run(sources: list[Path]) -> int:
    """Executes lessons, prints a table of results, builds the site with them; gives the exit code.

    The committed notebooks are not touched: executed ones are in build/lessons/, also those that
    failed. The data are the environment's: `FLOWERLIB_DATA`.
    """
    import nbformat

    from tools import summary

    executed = BUILD / "lessons"
    shutil.rmtree(executed, ignore_errors=True)
    executed.mkdir(parents=True)
    rows = []
    for source in sources:
        print(f"{source.stem} …", end=" ", flush=True)
        notebook = read_text(source)
        start = time.perf_counter()
        failure = None
        try:
            execute(notebook, source.parent)
        except LessonFailed as problem:
            failure = str(problem)
        row = summary.Row(source.stem, notebook, time.perf_counter() - start, failed=bool(failure))
        rows.append(row)
        nbformat.write(notebook, executed / f"{source.stem}.ipynb")
        print(f"failed in {failure}" if failure else f"{row.seconds:.1f} s", flush=True)
    print("\n" + summary.text_table(rows) + "\n", flush=True)
    print(build_site(executed))
    return 1 if any(row.failed for row in rows) else 0


def build_site(executed: Path) -> str:
    """Builds the course's site with executed lessons in it; gives a sentence that says where."""
    if importlib.util.find_spec("myst_nb") is None:
        return (
            f"Executed notebooks are in {os.path.relpath(executed)}. "
            "To read them as pages, install the extra docs: pip install -e '.[docs]'"
        )
    site = BUILD / "site"
    options = [
        "-q",
        "-c",
        "docs",
        "-d",
        str(BUILD / "doctrees"),
        "-D",
        f"executed_lessons={executed}",
    ]
    command = [sys.executable, "-m", "sphinx", *options, ".", str(site)]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    return f"Open {os.path.relpath(site / 'index.html')} in a browser to read them."


def check(sources: list[Path]) -> int:
    """Prints what is wrong with the stored notebooks; returns the exit code."""
    from tools import notebook_checks

    found = [problem for source in sources for problem in notebook_checks.problems(source)]
    for problem in found:
        print(problem)
    print(f"{len(sources)} notebooks, {len(found)} problems")
    return 1 if found else 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Run, render and check the lessons.")
    parser.add_argument("action", choices=["run", "render", "check"])
    parser.add_argument("names", nargs="*", help="lessons by name, such as 04_flowers; else all")
    given = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):  # a Windows console may not know every letter we print
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    os.environ.setdefault("FLOWERLIB_CACHE", str(BUILD / "cache"))
    for name in ("FLOWERLIB_CACHE", "FLOWERLIB_DATA"):  # kernels work in the notebook's folder
        if folder := os.environ.get(name):
            os.environ[name] = str(Path(folder).expanduser().resolve())
    if Path(weights := os.environ.get("FLOWERLIB_WEIGHTS", "")).is_file():  # or it is a word
        os.environ["FLOWERLIB_WEIGHTS"] = str(Path(weights).resolve())
    for name, value in WAITING.items():
        os.environ.setdefault(name, value)
    BUILD.mkdir(exist_ok=True)
    os.environ["IPYTHONDIR"] = str(BUILD / "ipython")  # no profile or start-up file of the user's

    # A notebook of solutions has its lesson's name, so pages of both would be one file.
    chosen = lessons() if given.action == "run" else lessons() + solutions()
    names = [Path(name).stem for name in given.names]
    if unknown := set(names) - {source.stem for source in chosen}:
        print(f"There is no lesson named {sorted(unknown)[0]} in notebooks/.", file=sys.stderr)
        return 2
    if names:
        chosen = [source for source in chosen if source.stem in names]
    if not chosen:
        print("There are no lessons in notebooks/.", file=sys.stderr)
        return 2
    return {"run": run, "render": render, "check": check}[given.action](chosen)


if __name__ == "__main__":
    sys.exit(main())
