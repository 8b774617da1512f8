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


def reason(problem: BaseException) -> str:
    """Why something went wrong below us, in one short line without a full stop."""
    text = getattr(problem, "strerror", None) or str(problem)
    lines = text.strip().splitlines() or [type(problem).__name__]
    return lines[0][:200].rstrip(".")


def listed(names: list[str]) -> str:
    """Names of classes in a sentence, cut off after five."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{plural(len(names), 'class', 'classes')} {', '.join(names[:5])}{more}"


def plural(count: int, one: str, many: str = "") -> str:
    """The word for so many: `one` for 1, else `many`, which is `one` with an s unless given."""
    return one if count == 1 else many or f"{one}s"


def first_line(problem: Exception) -> str:
    """What an error of somebody else's code says, for a sentence of ours; its kind if nothing."""
    lines = str(problem).strip().splitlines() or [type(problem).__name__]
    return lines[0]
