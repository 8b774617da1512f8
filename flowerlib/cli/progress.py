"""How far a pass or a training is: a bar in a terminal, one line at its end elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from flowerlib.support.console import flush, say
from flowerlib.support.errors import plural

if TYPE_CHECKING:
    from tqdm import tqdm


class Progress:
    """Photos done, photos a second and the time left, of `what`, such as "features"."""

    def __init__(self, what: str = "features", *, quiet: bool = False) -> None:
        self.what, self.quiet = what, quiet
        self.bar: tqdm | None = None
        self.start, self.first = 0.0, 0  # of this pass: when it began, and with which photo
        self.current: tuple[int, str] | None = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *problem: object) -> None:
        self._close()

    def __call__(self, done: int, total: int) -> None:
        """Called again and again with the number of photos done, of all of this pass."""
        photos = f"{total:,} {plural(total, 'photo')}"
        self._show(done, total, self.what, f"{self.what}: {photos}")

    def training(self, seen: int, size: int, epochs: int) -> None:
        """Called again and again with the number of photos seen in training, in all epochs."""
        total = size * epochs
        at_end = f"training: {epochs} {plural(epochs, 'epoch')}, {total:,} photos seen"
        self._show(seen, total, f"epoch {max(1, -(-seen // size))} of {epochs}", at_end)

    def _show(self, done: int, total: int, now: str, at_end: str) -> None:
        """Draws the bar, or says the sentence `at_end` when all is done."""
        from tqdm import tqdm

        if self.quiet:
            return
        if self.bar is None or (total, at_end) != self.current or done < self.bar.n:
            self._close()  # a pass, or a training, has begun
            self.bar = tqdm(
                desc=now, total=total, unit="photo", leave=False, disable=None, miniters=1
            )
            self.current, self.start, self.first = (total, at_end), time.perf_counter(), done
        if not self.bar.disable:
            self.bar.update(done - self.bar.n)
            if not self.bar.desc.startswith(now):
                self.bar.set_description(now)
            return
        self.bar.n = done
        if done == total:
            seconds = time.perf_counter() - self.start
            rate = f", {(total - self.first) / seconds:,.0f} a second" if seconds >= 1 else ""
            say(f"{at_end} in {seconds:.1f} s{rate}", sys.stderr)

    def say(self, line: str) -> None:
        """Says a line for the user where the bar was; nothing if quiet."""
        if self.quiet:
            return
        self._close()
        say(line)
        flush()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
