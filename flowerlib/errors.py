"""The one error that is the user's to mend."""

from __future__ import annotations


class InputError(ValueError):
    """Something that was given cannot be used; the message says what, where and how to mend it.

    The message is one sentence (or one sentence a problem). The command line prints it and exits
    with code 2; in Python it is an ordinary `ValueError`.
    """
