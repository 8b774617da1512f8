"""Invalid input that the user can fix."""

from __future__ import annotations

__all__ = [
    "InputError",
]


class InputError(ValueError):
    """Something that was given cannot be used; the message says what, where and how to mend it.

    The message is one sentence (or one sentence a problem). The command line prints it and exits
    with code 2; in Python it is an ordinary `ValueError`.
    """


def listed(names: list[str], most: int = 5) -> str:
    """Names in a sentence, cut off after `most`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    word = "class" if len(names) == 1 else "classes"
    return f"{word} {', '.join(names[:most])}{more}"
