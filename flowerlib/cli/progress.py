"""How far a pass over photos is: a bar in a terminal, one line at its end elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from flowerlib.support.console import flush, say
from flowerlib.support.errors import plural

if TYPE_CHECKING:
    from tqdm import tqdm


class Progress:
    """Photos done, photos a second and the time left.

    Args:
        what: what is done with the photos, such as "features".
        quiet: show nothing.
    """

    def __init__(self, what: str = "features", *, quiet: bool = False) -> None:
        self.what, self.quiet = what, quiet
        self.bar: tqdm | None = None
        self.start = 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *problem: object) -> None:
        self._close()

    def __call__(self, done: int, total: int) -> None:
        """Called again and again with the number of photos done, of all of this pass."""
        from tqdm import tqdm

        if self.quiet:
            return
        if self.bar is None:
            self.start = time.perf_counter()
            self.bar = tqdm(
                total=total, desc=self.what, unit="photo", leave=False, disable=None, miniters=1
            )
        if total != self.bar.total or done < self.bar.n:  # another pass has begun
            self.start = time.perf_counter()
            self.bar.reset(total)
        self.bar.update(done - self.bar.n)
        if self.bar.disable:
            self.bar.n = done
            if done == total:
                seconds = time.perf_counter() - self.start
                rate = f", {total / seconds:,.0f} a second" if seconds >= 1 else ""
                photos = f"{total:,} {plural(total, 'photo')}"
                say(f"{self.what}: {photos} in {seconds:.1f} s{rate}", sys.stderr)

    def say(self, line: str) -> None:
        """Says a line for the user where the bar was."""
        self._close()
        say(line)
        flush()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
