"""Makes every mistake of one lesson: python -m tests.project.mistakes.runner 01_cat_or_dog.py

Runs the lesson once. Where a mistake belongs, a forked process makes it and goes on from there, up
to the claim, so that a mistake costs only the cells between. Prints a line for each that is not
noticed; `ONLY=words` takes those whose claim or description holds the words.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import re
import sys
import time
from pathlib import Path

from tests.project import mistakes as known
from tests.project.mistakes import Mistake
from tools import notebooks

LIMIT = 900  # seconds for one mistake; it takes one or two minutes at most on an idle machine


class Noticed(Exception):
    """The claim is false, as it has to be."""


def unnoticed(source: Path, chosen: list[Mistake]) -> list[str]:
    """Makes each mistake; a line for each that leaves its claim true, or breaks the lesson."""
    from IPython.core.interactiveshell import InteractiveShell

    cells = [cell.source for cell in notebooks.read_text(source).cells if cell.cell_type == "code"]
    ends = [claimed(cells, mistake) for mistake in chosen]
    starts = [start(cells, mistake) for mistake in chosen]
    shell = InteractiveShell.instance()
    found = []
    for position in range(max(starts, default=-1) + 1):
        for mistake, begin, end in zip(chosen, starts, ends, strict=True):
            if begin == position:
                problem = in_a_copy(shell, mistake, cells[begin : end + 1])
                if problem:
                    found.append(f"{mistake.what}: {problem}")
        if position < max(starts):  # what follows the last mistake may take minutes
            run(shell, cells[position])
    return found


def claimed(cells: list[str], mistake: Mistake) -> int:
    """The position of the cell that makes the claim."""
    return next(at for at, cell in enumerate(cells) if mistake.claim in joined(cell))


def start(cells: list[str], mistake: Mistake) -> int:
    """The position of the cell that runs next once the mistake is made."""
    if not mistake.after:
        return claimed(cells, mistake)
    return next(at + 1 for at, cell in enumerate(cells) if mistake.after in cell)


def joined(cell: str) -> str:
    """A cell with strings that stand on several lines in one piece."""
    return re.sub(r'"\s*\n\s*f?"', "", cell)


def run(shell, cell: str) -> None:
    """Executes a cell without showing what it prints.

    Raises:
        Exception: whatever the cell raised.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        shell.run_cell(cell).raise_error()


def in_a_copy(shell, mistake: Mistake, cells: list[str]) -> str:
    """What is wrong with the mistake, or nothing if its claim turned out false."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    copy = context.Process(target=_made, args=(shell, mistake, cells, theirs))
    begin = time.perf_counter()
    copy.start()
    theirs.close()
    try:
        problem = ours.recv() if ours.poll(LIMIT) else f"not done in {LIMIT} s"
    except EOFError:
        problem = "the process ended"
    copy.kill()
    copy.join()
    seconds = time.perf_counter() - begin
    print(f"  {problem or 'noticed'}: {mistake.what} ({seconds:.1f} s)", flush=True)
    return problem


def _made(shell, mistake: Mistake, cells: list[str], answer) -> None:
    """Makes the mistake in this process and runs the cells up to the claim."""
    from flowerlib import lesson

    def claim(condition: object, sentence: str) -> None:
        if mistake.claim in sentence and not bool(condition):
            raise Noticed

    lesson.claim = claim
    try:
        for cell in (mistake.code, *cells):
            run(shell, cell)
        answer.send("the claim still holds")
    except Noticed:
        answer.send("")
    except BaseException as problem:  # the lesson broke before it came to the claim
        answer.send(f"{type(problem).__name__}: {problem}")


def main(name: str) -> int:
    """Makes the mistakes of the lesson in a file; exit code 1 if one was not noticed."""
    source = Path(name).resolve()
    words = os.environ.get("ONLY", "")
    chosen = [one for one in known.of(source) if words in one.claim or words in one.what]
    os.environ.update(notebooks.FIXED_ENVIRONMENT, FLOWERLIB_DATA=str(notebooks.no_photos()))
    os.environ["MPLBACKEND"] = "agg"
    os.chdir(source.parent)
    found = unnoticed(source, chosen)
    print(f"{len(chosen) - len(found)} of {len(chosen)} mistakes noticed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
