"""What goes wrong, as one line on stderr."""

from __future__ import annotations

import sys
from contextlib import suppress

from flowerlib.support import distributed
from flowerlib.support.console import say
from flowerlib.support.errors import InputError


def complain(sentence: str) -> None:
    """Says a sentence on stderr; where that fails, the exit code is all that is left to say.

    Of several processes that work together, the main one says it for all.
    """
    if not distributed.is_main():
        return
    _say(sentence)


def give_up(sentence: str) -> None:
    """Says why the command ends; of several processes, the first to fail does, with its number."""
    if distributed.first_to_fail():
        which = f"process {distributed.rank()} of {distributed.size()}: "
        _say(which * (distributed.size() > 1) + sentence)


def _say(sentence: str) -> None:
    with suppress(InputError, OSError, ValueError):
        say(f"flowerlib: {sentence}", sys.stderr)
