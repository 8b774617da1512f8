"""For every claim of the lessons and solutions, a mistake that makes it false.

A claim that nothing can make false tells its reader nothing. Each module holds the mistakes of one
lesson and of its solutions, in the order of the claims.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mistake:
    """A mistake, made on purpose in a lesson.

    Attributes:
        claim: a part of the sentence that has to turn out false.
        what: the mistake in a few words.
        code: a cell that makes it.
        after: a part of the code cell behind which it is put: the first that holds it. By default,
            the mistake comes right before the cell of the claim.
    """

    claim: str
    what: str
    code: str
    after: str = ""


def of(source: Path) -> list[Mistake]:
    """The mistakes of a lesson, or of its solutions."""
    module = importlib.import_module(f"{__name__}.lesson_{source.stem[:2]}")
    return module.SOLUTIONS if source.parent.name == "solutions" else module.LESSON
