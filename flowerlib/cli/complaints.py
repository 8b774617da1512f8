"""What goes wrong, as one line on stderr."""

from __future__ import annotations

import sys
from contextlib import suppress

from flowerlib.support.console import say
from flowerlib.support.errors import InputError


def complain(sentence: str) -> None:
    """Says a sentence on stderr; where that fails, the exit code is all that is left to say."""
    with suppress(InputError, OSError, ValueError):
        say(f"flowerlib: {sentence}", sys.stderr)
