"""What can be wrong with a stored notebook, found without a kernel.

Each check takes a `Pair` and returns sentences, one a problem; no sentence means that all is well.
Lessons pass all of `LESSON_CHECKS`, notebooks of solutions those of `PAIR_CHECKS`.
"""

from __future__ import annotations

import ast
import itertools
import re
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools import notebooks

MAX_BYTES = 1_000_000
MAX_CODE_CELLS = 40
MAX_MEDIAN_LINES = 6
MAX_LINES = 25
WORDS_PER_CODE_CELL = (40, 90)
MAX_WORDS = 2200
SELF_CHECKS = 2  # in each section that is a question
MAX_VOLATILE_SHARE = 0.3
QUESTIONS = (4, 6)
EXERCISES = (3, 5)
FACTS = ("You will learn", "You should know", "Data", "Time")
CLOSING = ("Does it hold?", "What can go wrong", "Recap", "Exercises", "Sources")

# Folders of one machine: home and temporary folders, drive letters, the top of this checkout.
ABSOLUTE_PATH = re.compile(
    r"(?<![\w./~-])/(?:home|Users|root|tmp|work|mnt|opt|usr|var|private|content|kaggle)/[\w.]"
    r"|(?<![A-Za-z])[A-Za-z]:\\{1,2}\w"
)
INSTALL = re.compile(
    r"(?:^|[!%;&|]\s*|-m\s+)(?:pip3?|conda|mamba|apt(?:-get)?)\s+install", re.MULTILINE
)
# A number that says something measured: it has a decimal point or is a percentage.
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?=\s?%)|(?<![\w.])\d[\d,]*\.\d+(?![\d.]*\w)")


@dataclass
class Pair:
    """A lesson or a notebook of solutions: its two files, read."""

    source: Path
    text: Any  # the notebook that the .py describes, without outputs
    stored: Any | None  # the .ipynb, None if it is missing
    bytes: int

    @property
    def name(self) -> str:
        return self.source.stem

    def code(self) -> list[Any]:
        """The stored code cells."""
        return [cell for cell in self.stored.cells if cell.cell_type == "code"]

    def markdown(self) -> list[Any]:
        """The stored cells of prose."""
        return [cell for cell in self.stored.cells if cell.cell_type == "markdown"]

    def outputs(self) -> Iterator[tuple[int, Any]]:
        """Every stored output with the number of its code cell, from 1."""
        for number, cell in enumerate(self.code(), start=1):
            for output in cell.outputs:
                yield number, output


def read(source: Path) -> Pair:
    """Reads the `.py` at `source` and the `.ipynb` beside it."""
    import nbformat

    stored = source.with_suffix(".ipynb")
    there = stored.is_file()
    return Pair(
        source=source,
        text=notebooks.read_text(source),
        stored=nbformat.read(stored, as_version=4) if there else None,
        bytes=stored.stat().st_size if there else 0,
    )


def problems(source: Path) -> list[str]:
    """All that is wrong with one notebook, each sentence beginning with its name."""
    pair = read(source)
    if pair.stored is None:
        return [f"{pair.name}: there is no {pair.name}.ipynb; run make render."]
    checks = PAIR_CHECKS if source.parent.name == "solutions" else LESSON_CHECKS
    return [f"{pair.name}: {problem}" for check in checks for problem in check(pair)]


# --- of every notebook ---------------------------------------------------------------------------


def same_content(pair: Pair) -> list[str]:
    """The `.ipynb` holds the cells of the `.py`: types, sources, tags."""

    def cells(notebook: Any) -> list[tuple[str, str, list[str]]]:
        return [(c.cell_type, c.source, list(c.metadata.get("tags", []))) for c in notebook.cells]

    text, stored = cells(pair.text), cells(pair.stored)
    for number, (left, right) in enumerate(zip(text, stored, strict=False), start=1):
        if left != right:
            return [
                f"cell {number} differs between .py and .ipynb; put into the .py what shall stay, "
                "then run make render, which writes the .ipynb from it."
            ]
    if len(text) != len(stored):
        return [f"the .py has {len(text)} cells and the .ipynb {len(stored)}; run make render."]
    return []


def fresh(pair: Pair) -> list[str]:
    """The outputs come from this code: the stamp's hashes fit code and outputs."""
    stamp = pair.stored.metadata.get("flowerlib", {})
    if missing := [name for name in ("code", "outputs", "pictures", "torch") if name not in stamp]:
        return [f"its metadata has no stamp of {missing[0]}; run make render."]
    found = []
    if stamp["code"] != notebooks.code_hash(pair.text):
        found.append("its code changed after its outputs were made; run make render.")
    if stamp["outputs"] != notebooks.outputs_hash(pair.stored):
        found.append(
            "its outputs are not those of make render: it was edited, or saved after a run in "
            "Jupyter that gave others; run make render."
        )
    if stamp["pictures"] != "drawn":
        found.append(f"it was rendered on {stamp['pictures']}; readers get drawn data.")
    return found


def counts(pair: Pair) -> list[str]:
    """Cells ran once each, in order, in a fresh kernel."""
    got = [cell.execution_count for cell in pair.code()]
    if got != list(range(1, len(got) + 1)):
        return [f"execution counts are {got}, not 1 to {len(got)}; run make render."]
    return []


def kernel_name(pair: Pair) -> list[str]:
    """Every Jupyter knows the kernel."""
    name = pair.stored.metadata.get("kernelspec", {}).get("name")
    return [] if name == "python3" else [f"its kernel is {name!r}, not 'python3'; run make render."]


def no_errors(pair: Pair) -> list[str]:
    """No tracebacks and nothing on standard error, such as warnings."""
    found = []
    for number, output in pair.outputs():
        if output.output_type == "error":
            found.append(f"code cell {number} holds a traceback: {output.ename}.")
        elif output.get("name") == "stderr":
            first = output.text.strip().splitlines()[0] if output.text.strip() else ""
            found.append(f"code cell {number} wrote to standard error: {first}")
    return found


def no_widgets(pair: Pair) -> list[str]:
    """No widgets: web viewers show them as nothing, or refuse the notebook."""
    found = ["its metadata holds widgets."] if "widgets" in pair.stored.metadata else []
    for number, output in pair.outputs():
        if any("widget" in mime for mime in output.get("data", {})):
            found.append(f"code cell {number} shows a widget.")
    return found


def whole_streams(pair: Pair) -> list[str]:
    """What a cell printed is one output, as Jupyter saves it, not pieces of a busy machine's."""
    pieces = []
    for number, cell in enumerate(pair.code(), start=1):
        names = [output.get("name") for output in cell.outputs]
        if any(name and name == after for name, after in itertools.pairwise(names)):
            pieces.append(f"what code cell {number} printed is in pieces; run make render.")
    return pieces


def has_outputs(pair: Pair) -> list[str]:
    """Outputs were not cleared: what should show something does."""
    speaks = re.compile(r"^(?:print|lesson\.(?!live\b)\w+)\(", re.MULTILINE)
    found = []
    for number, cell in enumerate(pair.code(), start=1):
        if speaks.search(cell.source) and not cell.outputs:
            found.append(f"code cell {number} should show something and has no output.")
    if not any(cell.outputs for cell in pair.code()):
        found.append("it has no outputs at all; run make render.")
    return found


def small_file(pair: Pair) -> list[str]:
    """Viewers on the web give up on large files."""
    if pair.bytes >= MAX_BYTES:
        return [f"the .ipynb has {pair.bytes:,} bytes; the limit is {MAX_BYTES:,}."]
    return []


def alt_texts(pair: Pair) -> list[str]:
    """Every picture says in words what it shows."""
    found = []
    for number, output in pair.outputs():
        for mime in [mime for mime in output.get("data", {}) if mime.startswith("image/")]:
            alt = output.get("metadata", {}).get(mime, {}).get("alt", "")
            if len(alt.split()) < 3:
                found.append(f"a picture of code cell {number} has no alt text; use lesson.show.")
    return found


def no_machine(pair: Pair) -> list[str]:
    """Nothing that is true on one machine only: no absolute paths, no installs."""
    found = []
    for number, cell in enumerate(pair.stored.cells, start=1):
        if match := ABSOLUTE_PATH.search(cell.source):
            found.append(f"cell {number} holds an absolute path: {match[0]}…")
        if cell.cell_type == "code" and INSTALL.search(cell.source):
            found.append(f"cell {number} installs something.")
    for number, output in pair.outputs():
        shown = [output.get("text", "")]
        shown += [str(v) for m, v in output.get("data", {}).items() if not m.startswith("image/")]
        if match := ABSOLUTE_PATH.search("\n".join(shown)):
            found.append(f"the output of code cell {number} holds an absolute path: {match[0]}…")
    return found


def plain_python(pair: Pair) -> list[str]:
    """Code is Python without magics, so that the `.py` runs wherever Python does."""
    found = []
    for number, cell in enumerate(pair.code(), start=1):
        try:
            ast.parse(cell.source)
        except SyntaxError:
            found.append(f"code cell {number} is not plain Python.")
    return found


def few_volatile(pair: Pair) -> list[str]:
    """Few outputs are exempt from the comparison with a fresh run, and every cell is executed."""
    speaking = [cell for cell in pair.code() if cell.outputs]
    exempt = [cell for cell in speaking if _exempt(cell)]
    found = []
    for number, cell in enumerate(pair.code(), start=1):
        if "nbval-skip" in cell.metadata.get("tags", []) or "NBVAL_SKIP" in cell.source:
            found.append(f"code cell {number} is skipped by the tests.")
    if speaking and len(exempt) / len(speaking) > MAX_VOLATILE_SHARE:
        found.append(
            f"{len(exempt)} of {len(speaking)} outputs are exempt from comparison; "
            f"the limit is a share of {MAX_VOLATILE_SHARE}."
        )
    return found


def _exempt(cell: Any) -> bool:
    markers = ("NBVAL_IGNORE_OUTPUT", "PYTEST_VALIDATE_IGNORE_OUTPUT")
    return notebooks.IGNORED in cell.metadata.get("tags", []) or any(
        m in cell.source for m in markers
    )


# --- of lessons ----------------------------------------------------------------------------------


def opening(pair: Pair) -> list[str]:
    """Title that asks, a promise of one sentence, the table of facts."""
    first = pair.stored.cells[0] if pair.stored.cells else None
    if first is None or first.cell_type != "markdown":
        return ["it does not begin with a title."]
    found = []
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", first.source)]
    if not re.fullmatch(r"# .+\?", paragraphs[0]):
        found.append("its title is not a question (first line: '# …?').")
    promise = paragraphs[1] if len(paragraphs) > 1 else ""
    if not promise or promise[0] in "#|-*>" or len(re.findall(r"[.!?](?=\s|$)", promise)) != 1:
        found.append("below the title there is no promise of one sentence.")
    for fact in FACTS:
        if not re.search(rf"^\|\s*\**{fact}\b", first.source, re.MULTILINE):
            found.append(f"the first cell's table has no row '{fact}'.")
    return found


def sections(pair: Pair) -> list[str]:
    """Four to six sections that are questions, then the closing sections in their order."""
    headings = [
        line[3:].strip()
        for cell in pair.markdown()
        for line in cell.source.splitlines()
        if line.startswith("## ")
    ]
    found = [f"there is no section '## {name}'." for name in CLOSING if name not in headings]
    if found:
        return found
    start = headings.index(CLOSING[0])
    if tuple(headings[start:]) != CLOSING:
        found.append(f"it closes with {headings[start:]}, not with {list(CLOSING)}.")
    questions = headings[:start]
    if not QUESTIONS[0] <= len(questions) <= QUESTIONS[1]:
        found.append(f"it has {len(questions)} sections before '{CLOSING[0]}', not 4 to 6.")
    found += [f"the section '{name}' is not a question." for name in questions if name[-1:] != "?"]
    return found


def self_checks(pair: Pair) -> list[str]:
    """Every section that asks a question also asks the reader, with the answers folded."""
    prose = "\n".join(cell.source for cell in pair.markdown()).partition(f"\n## {CLOSING[0]}")[0]
    _, *parts = re.split(r"^## (.+)$", prose, flags=re.MULTILINE)
    asked = {
        name: text.count("<summary>Check yourself: ")
        for name, text in zip(parts[::2], parts[1::2], strict=True)
    }
    return [
        f"the section '{name}' has {number} questions to check oneself, not {SELF_CHECKS} or more."
        for name, number in asked.items()
        if number < SELF_CHECKS
    ]


def settings_cell(pair: Pair) -> list[str]:
    """One cell holds the settings, tagged so, and only assigns."""
    cells = [cell for cell in pair.code() if "settings" in cell.metadata.get("tags", [])]
    if len(cells) != 1:
        return [f"{len(cells)} code cells are tagged 'settings', not one."]
    try:
        statements = ast.parse(cells[0].source).body
    except SyntaxError:  # plain_python reports it
        return []
    if not statements or not all(isinstance(s, ast.Assign | ast.AnnAssign) for s in statements):
        return ["the settings cell does more than assign values."]
    return []


def shown_data(pair: Pair) -> list[str]:
    """The first output says on which data the lesson ran."""
    for _, output in pair.outputs():
        shown = output.get("text") or output.get("data", {}).get("text/plain", "")
        if not re.match(r"(drawn data|photos) ·", shown):
            return ["its first output is not lesson.banner's."]
        return []
    return ["it has no outputs, so none says on which data."]


def shown_result(pair: Pair) -> list[str]:
    """One headline, and the footer as the last code cell."""
    marked = [output.get("metadata", {}).get("flowerlib", {}) for _, output in pair.outputs()]
    number = sum("headline" in mark for mark in marked)
    found = [] if number == 1 else [f"it shows {number} headlines (lesson.headline), not one."]
    last = pair.code()[-1] if pair.code() else None
    if last is None or not re.search(r"^lesson\.footer\(", last.source, re.MULTILINE):
        found.append("its last code cell does not call lesson.footer().")
    return found


def exercises(pair: Pair) -> list[str]:
    """Three to five exercises with ids, each solved in `solutions/`."""
    number = pair.name[:2]
    prose = "\n\n".join(cell.source for cell in pair.markdown())
    ids = re.findall(r"^### Exercise (\d\d\.\d+)", prose, re.MULTILINE)
    found = []
    if not EXERCISES[0] <= len(ids) <= EXERCISES[1]:
        found.append(f"it has {len(ids)} exercises ('### Exercise {number}.1 …'), not 3 to 5.")
    if ids != [f"{number}.{i}" for i in range(1, len(ids) + 1)]:
        found.append(f"its exercises are numbered {ids}.")
    solved = pair.source.parent / "solutions" / pair.source.name
    if not solved.is_file():
        return [*found, f"there is no solutions/{solved.name}."]
    headings = re.findall(
        r"^#+ Exercise (\d\d\.\d+)",
        "\n".join(c.source for c in notebooks.read_text(solved).cells if c.cell_type == "markdown"),
        re.MULTILINE,
    )
    return found + [f"exercise {i} has no solution." for i in ids if i not in headings]


def budgets(pair: Pair) -> list[str]:
    """Short cells, few of them, and enough prose between them but not more."""
    lines = [sum(1 for line in c.source.splitlines() if line.strip()) for c in pair.code()]
    if not lines:
        return ["it has no code."]
    found = []
    if len(lines) > MAX_CODE_CELLS:
        found.append(f"it has {len(lines)} code cells; the limit is {MAX_CODE_CELLS}.")
    if statistics.median(lines) > MAX_MEDIAN_LINES:
        found.append(f"half of its code cells have over {MAX_MEDIAN_LINES} lines.")
    for number, length in enumerate(lines, start=1):
        if length > MAX_LINES:
            found.append(f"code cell {number} has {length} lines; the limit is {MAX_LINES}.")
    prose = " ".join(without_code(cell.source) for cell in pair.markdown())
    words = len(re.findall(r"[^\W\d_][\w'’-]*", prose))
    ratio, (low, high) = words / len(lines), WORDS_PER_CODE_CELL
    if not low <= ratio <= high:
        found.append(f"it has {ratio:.0f} words a code cell, not {low} to {high}.")
    if words > MAX_WORDS:
        found.append(f"it has {words:,} words of prose; the limit is {MAX_WORDS:,}.")
    return found


def covered_numbers(pair: Pair) -> list[str]:
    """A number in the prose with a decimal point or a percent sign is checked by code.

    It must stand in the sentence of a claim or a verdict, in a code cell (a setting), or in the
    output of a cell that reads results/….json; or its own cell is tagged `source` and names where
    it was published.
    """
    evidence: list[float] = []
    for cell in pair.code():
        evidence += _literals(cell.source)
        measured = re.search(r"\bresults\b.*\.json\b", cell.source, re.DOTALL)
        for output in cell.outputs:
            shown = output.get("text") or output.get("data", {}).get("text/plain", "")
            if not measured:
                lines = [line for line in shown.splitlines() if line.startswith(("✓", "→"))]
                shown = "\n".join(lines)
            evidence += [
                float(n.replace(",", "")) for n in re.findall(r"\d[\d,]*(?:\.\d+)?", shown)
            ]
    found = []
    ended = False
    for number, cell in enumerate(pair.stored.cells, start=1):
        if cell.cell_type != "markdown":
            continue
        ended = ended or bool(re.search(r"^## Sources", cell.source, re.MULTILINE))
        if ended or "source" in cell.metadata.get("tags", []):
            continue
        prose = re.sub(r"Exercise \d\d\.\d+|95 ?% interval", "", without_code(cell.source))
        for match in NUMBER.finditer(prose):
            if not is_covered(match[0].replace(",", ""), evidence):
                found.append(f"cell {number} says {match[0]}, which no claim and no result covers.")
    return found


def _literals(source: str) -> list[float]:
    """The numbers that a code cell is written with, those inside texts left out."""
    try:
        tree = ast.parse(source)
    except SyntaxError:  # plain_python reports it
        return []
    nodes = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return [float(value) for value in nodes if isinstance(value, int | float)]


def is_covered(written: str, evidence: list[float]) -> bool:
    """Whether some value, as it is or as a fraction or a percentage of it, rounds to `written`."""
    digits = len(written.partition(".")[2])
    wanted = float(written)
    return any(
        abs(round(value * scale, digits) - wanted) < 1e-9
        for value in evidence
        for scale in (1, 100, 0.01)
    )


def without_code(markdown: str) -> str:
    """Prose without fenced and inline code, link targets and bare addresses."""
    markdown = re.sub(r"^(```+).*?^\1", " ", markdown, flags=re.MULTILINE | re.DOTALL)
    markdown = re.sub(r"`[^`\n]*`", " ", markdown)
    markdown = re.sub(r"\]\([^)]*\)", "]", markdown)
    return re.sub(r"https?://\S+", " ", markdown)


PAIR_CHECKS: tuple[Callable[[Pair], list[str]], ...] = (
    same_content,
    fresh,
    counts,
    kernel_name,
    no_errors,
    no_widgets,
    has_outputs,
    whole_streams,
    small_file,
    alt_texts,
    no_machine,
    plain_python,
    few_volatile,
)
LESSON_CHECKS: tuple[Callable[[Pair], list[str]], ...] = (
    *PAIR_CHECKS,
    opening,
    sections,
    self_checks,
    settings_cell,
    shown_data,
    shown_result,
    exercises,
    budgets,
    covered_numbers,
)
