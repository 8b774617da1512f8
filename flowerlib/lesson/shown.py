"""What a lesson shows: source code, tables, figures with alt text, a training that runs."""

from __future__ import annotations

import inspect
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from flowerlib.lesson import outputs
from flowerlib.support import tables
from flowerlib.support.errors import InputError

if TYPE_CHECKING:
    from flowerlib.train import History


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
    outputs.send({"text/plain": source, "text/markdown": f"{fence}python\n{source}\n{fence}"})


def table(
    rows: Sequence[Mapping[str, Any] | Sequence[Any]],
    columns: Sequence[str] | None = None,
    *,
    caption: str | None = None,
    digits: int | Mapping[str, int] = 3,
    volatile: Sequence[str] = (),
    scroll: bool = False,
) -> None:
    """Shows rows as a table.

    Args:
        rows: dicts, or sequences together with `columns`.
        columns: names and order of the columns; by default the keys of the first row.
        caption: one line above the table.
        digits: digits after the point of floats, one number or one a column (3 where not named).
        volatile: columns that differ from run to run, such as seconds: shown to the reader, left
            out of the plain text and of the comparison with the stored output.
        scroll: for long tables: the reader sees about ten rows, and scrolls through the rest.

    Raises:
        InputError: the rows make no table, or a name in `volatile` is not a column.

    Example:
        >>> table([("frozen", 0.91), ("from scratch", 0.6)], ["way", "accuracy"], digits=2)
        way           accuracy
        ------------  --------
        frozen            0.91
        from scratch      0.60
    """
    made = tables.table(rows, columns, digits=digits)
    if unknown := [name for name in volatile if name not in made.columns]:
        raise InputError(f"lesson.table: volatile {unknown[0]!r} is not among {made.columns}.")
    html = made.html(caption, volatile)
    if scroll:  # reachable by keyboard as well
        html = f'<div style="max-height: 22em; overflow-y: auto" tabindex="0">\n{html}\n</div>'
    outputs.send({"text/plain": made.text(caption, volatile), "text/html": html})


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
    figure = outputs.figure_of(figure)
    data, metadata = outputs.picture(figure, alt, dpi)
    outputs.close(figure)
    outputs.send(data, metadata)


def live(
    *, alt: str = "Loss and accuracy after every epoch, training and validation."
) -> Callable[[History], None]:
    """Gives a `report` for `train.fit` that shows the training while it runs.

    In a notebook one display is redrawn in place, at most once a second, and at the end the curves
    and a plain table stay. In a terminal the report does nothing.
    """
    return _Live(alt) if outputs.shell() is not None else lambda history: None


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
            outputs.shell().events.register("post_run_cell", self.finish)
        self.history = history
        if len(history.rows) >= history.epochs:
            self.finish()
        elif time.perf_counter() - self.drawn > 1.0:
            self.draw()

    def draw(self) -> None:
        from flowerlib import plots

        figure = outputs.figure_of(plots.curves(cast("History", self.history)))
        data, metadata = outputs.picture(figure, self.alt, dpi=110)
        outputs.close(figure)
        self.handle.update(data, metadata=metadata, raw=True)
        self.drawn = time.perf_counter()

    def finish(self, result: Any = None) -> None:
        """Draws the curves a last time and shows the table; the second call does nothing."""
        if self.history is None:
            return
        self.draw()
        rows, caption = [dict(row) for row in self.history.rows], str(self.history)
        self.history = self.handle = None
        outputs.shell().events.unregister("post_run_cell", self.finish)
        table(rows, caption=caption, volatile=[name for name in ("seconds",) if name in rows[0]])
