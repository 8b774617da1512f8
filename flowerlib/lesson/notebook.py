"""What only lessons use: claims that are checked, tables, figures with alt text, banner, footer.

Everything shown carries a plain-text form that is the same on every run, because the lessons'
stored outputs are compared with fresh ones; what changes from run to run (seconds, the machine) is
kept to `footer()` and to columns that a table declares volatile. Outside a notebook each function
prints that plain text instead.
"""

from __future__ import annotations

import inspect
import io
import json
import os
import platform
import sys
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from flowerlib.support import console, tables
from flowerlib.support.errors import InputError

if TYPE_CHECKING:
    from flowerlib.data import Splits
    from flowerlib.models import Backbone
    from flowerlib.train import History

_started = time.perf_counter()
_world: str | None = None  # set by banner(), told again by footer()


class FalseClaim(AssertionError):
    """A sentence that the lesson tells its reader is not true of the numbers that it measured."""


def claim(condition: Any, sentence: str) -> None:
    """Prints "✓ sentence" if `condition` holds, and fails the lesson if it does not.

    Raises:
        FalseClaim: `condition` is false; the message is the sentence.

    Shown in: every lesson.
    """
    if not bool(condition):
        raise FalseClaim(f"This does not hold: {sentence}")
    _print(f"✓ {sentence}")


def verdict(
    difference: float,
    low: float,
    high: float,
    *,
    better: str,
    worse: str,
    unclear: str,
    margin: float = 0.0,
) -> None:
    """Prints the one of three sentences that a difference and its interval support.

    For what may come out differently with other data, another backbone or another seed; what has
    to hold everywhere is a `claim`. Example: "→ A is ahead. (+0.020, 95 % interval +0.010 to
    +0.030)".

    Args:
        difference: first minus second, with the ends of its 95 % interval, such as
            `metrics.paired_difference` and `metrics.mean_interval` return them.
        better: said if the interval lies above `margin`.
        worse: said if it lies below `-margin`.
        unclear: said otherwise.
        margin: how large a difference has to be to matter.

    Raises:
        InputError: the difference is not between the ends of its interval.
    """
    if not low <= difference <= high:
        raise InputError(
            f"lesson.verdict needs low <= difference <= high, got {low}, {difference}, {high}."
        )
    sentence = better if low > margin else worse if high < -margin else unclear
    _print(f"→ {sentence} ({difference:+.3f}, 95 % interval {low:+.3f} to {high:+.3f})")


def banner(splits: Splits, backbone: Backbone | None = None) -> None:
    """Says in which world the lesson runs, on which pictures, with which backbone.

    Device, precision and machine are told by `footer()`: this text depends on the data only.
    """
    global _world
    _world = splits.world
    lines = [splits.describe()]
    if backbone is not None:
        # Weights may be a path, which differs from machine to machine: its last part is enough.
        weights = os.path.basename(str(backbone.weights))
        size = f"{backbone.num_features:,} features a picture"
        lines.append(f"backbone {backbone.name} · {weights} weights · {size}")
    _print("\n".join(lines))


def show_source(item: Any) -> None:
    """Shows the real source of a function, class or module, highlighted.

    Raises:
        InputError: there is no Python source for it (a builtin, or an object that is not code).
    """
    try:
        target = inspect.unwrap(item) if callable(item) else item
        source = textwrap.dedent(inspect.getsource(target)).rstrip()
    except (OSError, TypeError):
        raise InputError(
            f"{item!r} has no Python source to show; give a function, class or module."
        ) from None
    fence = "````"  # four, because a docstring may contain three
    _display({"text/plain": source, "text/markdown": f"{fence}python\n{source}\n{fence}"})


def table(
    rows: Sequence[Mapping[str, Any] | Sequence[Any]],
    columns: Sequence[str] | None = None,
    *,
    caption: str | None = None,
    digits: int | Mapping[str, int] = 3,
    volatile: Sequence[str] = (),
) -> None:
    """Shows rows as a table.

    Args:
        rows: dicts, or sequences together with `columns`.
        columns: names and order of the columns; by default the keys of the first row.
        caption: one line above the table.
        digits: digits after the point of floats, one number or one a column (3 where not named).
        volatile: columns that differ from run to run, such as seconds: shown to the reader, left
            out of the plain text and of the comparison with the stored output.

    Raises:
        InputError: the rows make no table, or a name in `volatile` is not a column.
    """
    made = tables.table(rows, columns, digits=digits)
    if unknown := [name for name in volatile if name not in made.columns]:
        raise InputError(f"lesson.table: volatile {unknown[0]!r} is not among {made.columns}.")
    _display(
        {"text/plain": made.text(caption, volatile), "text/html": made.html(caption, volatile)}
    )


def show(figure: Any, *, alt: str, dpi: int = 110) -> None:
    """Shows a matplotlib figure, or the figure of the given axes, with alt text, and closes it.

    The picture is stored as PNG, or as JPEG where it is mostly photos and that is much smaller.

    Args:
        alt: what a person who cannot see the figure should know of it; the same on every run.
        dpi: dots per inch of the stored picture.

    Raises:
        InputError: `alt` is empty.
    """
    if not alt.strip():
        raise InputError("lesson.show needs alt text: a sentence that says what the figure shows.")
    figure = _figure_of(figure)
    data, metadata = _picture(figure, alt, dpi)
    _close(figure)
    _display(data, metadata)


def headline(text: str) -> None:
    """Shows the one result of the lesson; `make run` collects it into its table."""
    _display(
        {"text/plain": f"Headline: {text}", "text/markdown": f"**Headline:** {text}"},
        {"flowerlib": {"headline": text}},
    )


def measured(name: str) -> None:
    """Shows what the lesson `name` found in the real world, as recorded in results/.

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
    _display({"text/plain": text, "text/markdown": text})


def footer(precision: str | None = None) -> None:
    """Prints world, machine, device, torch and the seconds since this module was imported.

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
        f"world {_world or 'not told'}",
        machine(),
        f"device {device}" + (f", {precision}" if precision else ""),
        f"torch {torch.__version__}",
        f"Python {platform.python_version()}",
        f"{time.perf_counter() - _started:.0f} s",
    ]
    _print(" · ".join(facts))


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


def live(*, alt: str = "Loss and accuracy after every epoch, training and validation.") -> Callable:
    """Gives a `report` for `train.fit` that shows the training while it runs.

    In a notebook one display is redrawn in place, at most once a second, and at the end the curves
    and a plain table stay. In a terminal the report does nothing.

    Shown in: notebooks/04_flowers.ipynb
    """
    return _Live(alt) if _shell() is not None else lambda history: None


class _Live:
    """The report of `live()`: call it with the history after every epoch."""

    def __init__(self, alt: str) -> None:
        self.alt = alt
        self.handle: Any = None
        self.history: History | None = None
        self.drawn = 0.0

    def __call__(self, history: History) -> None:
        if self.handle is None:
            from IPython.display import display

            # The plain text never changes: stored outputs hold the last update, a fresh run is
            # compared by its first message.
            self.handle = display({"text/plain": self.alt}, raw=True, display_id=True)
            # Early stopping is not announced, so the end of the cell is taken for the end as well.
            _shell().events.register("post_run_cell", self.finish)
        self.history = history
        if len(history.rows) >= history.epochs:
            self.finish()
        elif time.perf_counter() - self.drawn > 1.0:
            self.draw()

    def draw(self) -> None:
        from flowerlib import plots

        figure = _figure_of(plots.curves(cast("History", self.history)))
        data, metadata = _picture(figure, self.alt, dpi=110)
        _close(figure)
        self.handle.update(data, metadata=metadata, raw=True)
        self.drawn = time.perf_counter()

    def finish(self, result: Any = None) -> None:
        """Draws the curves a last time and shows the table; the second call does nothing."""
        if self.history is None:
            return
        self.draw()
        rows, caption = [dict(row) for row in self.history.rows], str(self.history)
        self.history = self.handle = None
        _shell().events.unregister("post_run_cell", self.finish)
        table(rows, caption=caption, volatile=[name for name in ("seconds",) if name in rows[0]])


def _shell() -> Any:
    """The running notebook's shell, or None. IPython is not imported where it is not running."""
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython

    shell = get_ipython()
    return shell if hasattr(shell, "kernel") else None


def _display(data: dict[str, str], metadata: dict[str, Any] | None = None) -> None:
    """Sends mime data to the notebook; elsewhere prints its plain text."""
    if _shell() is None:
        _print(data["text/plain"])
        return
    from IPython.display import display

    display(data, metadata=metadata or {}, raw=True)


def _print(text: str) -> None:
    console.say(text)
    console.flush()


def _figure_of(item: Any) -> Any:
    """The figure that `item` is, or that the axes or array of axes `item` belong to."""
    while not hasattr(item, "savefig"):
        if hasattr(item, "get_figure"):
            item = item.get_figure()
        elif isinstance(item, Sequence) and len(item):
            item = item[0]
        elif hasattr(item, "flat"):
            item = item.flat[0]
        else:
            raise InputError(f"lesson.show: {type(item).__name__} is not a figure and has no axes.")
    return item


def _picture(figure: Any, alt: str, dpi: int) -> tuple[dict[str, str], dict[str, Any]]:
    """A figure as mime data and metadata: PNG, or JPEG if that takes less than half the bytes."""
    import base64

    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", facecolor="white")
    picture = Image.open(buffer).convert("RGB")
    png, jpeg = io.BytesIO(), io.BytesIO()
    picture.save(png, "PNG", optimize=True)
    picture.save(jpeg, "JPEG", quality=88)
    photos = len(png.getvalue()) > 100_000 and 2 * len(jpeg.getvalue()) < len(png.getvalue())
    mime, encoded = ("image/jpeg", jpeg) if photos else ("image/png", png)
    text = base64.b64encode(encoded.getvalue()).decode("ascii")
    return {mime: text, "text/plain": alt}, {mime: {"alt": alt}}


def _close(figure: Any) -> None:
    """Closes a figure, or the notebook would show it a second time at the end of the cell."""
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close(figure)
