"""Text that any terminal, pipe or file can take, and a sentence where it cannot be written.

Names of files are bytes, and terminals have code pages: what cannot be shown is escaped, never
dropped, and a name with a line end stays in one line.
"""

from __future__ import annotations

import contextlib
import sys
import unicodedata
from collections.abc import Iterator
from typing import TextIO

from flowerlib.support.errors import InputError, reason

# The project's own signs, for code pages that lack them.
PLAIN_SIGNS = str.maketrans(
    {"·": "-", "→": "->", "✓": "ok", "…": "...", "–": "-", "—": "-", "×": "x", "²": "^2"}
)
# Control characters, halves of surrogate pairs (bytes that are no UTF-8), ends of lines.
ESCAPED_CATEGORIES = ("Cc", "Cs", "Zl", "Zp")


def one_line(name: object) -> str:
    """A name as it is shown: what would steer the terminal or end the line is escaped."""
    text = str(name)
    if text.isprintable():
        return text
    return "".join(
        sign.encode("unicode_escape").decode("ascii")
        if unicodedata.category(sign) in ESCAPED_CATEGORIES
        else sign
        for sign in text
    )


def encodable(text: str, encoding: str) -> str:
    """The text in characters that `encoding` has; others are replaced or escaped."""
    try:
        text.encode(encoding)
        return text
    except UnicodeEncodeError:
        pass
    pieces = (_encodable_sign(sign, encoding) for sign in text)
    return "".join(pieces).encode(encoding, "backslashreplace").decode(encoding)


def _encodable_sign(sign: str, encoding: str) -> str:
    try:
        sign.encode(encoding)
        return sign
    except UnicodeEncodeError:
        return sign.translate(PLAIN_SIGNS)


def say(text: str, stream: TextIO | None = None) -> None:
    """Prints a text, by default on standard output.

    Raises:
        InputError: it cannot be written, such as on a full disk.
        BrokenPipeError: the program that read the output is gone.
    """
    stream = sys.stdout if stream is None else stream
    with _sentence_if_unwritable():
        print(encodable(text, getattr(stream, "encoding", None) or "utf-8"), file=stream)


def flush() -> None:
    """Hands on what was printed, as `say` does at some later time; raises as `say` does."""
    with _sentence_if_unwritable():
        sys.stdout.flush()


@contextlib.contextmanager
def _sentence_if_unwritable() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as problem:
        raise InputError(
            f"The output cannot be written ({reason(problem)}); send it to another place."
        ) from None
