"""The same work on many things, dealt out to several and put together as if one had done it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from flowerlib.support.errors import InputError

Thing = TypeVar("Thing")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Task(Generic[Thing, Made]):
    """Work to be dealt out: `work` makes something of each thing, or raises an `InputError`."""

    work: Callable[[Thing], Made]
    things: Sequence[Thing]

    def share(self, rank: int, size: int) -> list[Made | InputError]:
        """Does every `size`-th thing from the one numbered `rank` on, up to the first refusal."""
        made: list[Made | InputError] = []
        for thing in self.things[rank::size]:
            try:
                made.append(self.work(thing))
            except InputError as problem:
                return [*made, problem]
        return made

    def whole(self, shares: Sequence[Sequence[Made | InputError]]) -> list[Made]:
        """What was made of all things, in their order, from the shares in the order of their ranks.

        Raises:
            InputError: the work refused some; it is that of the first, which one alone would meet.
        """
        found: list[Made] = []
        for at in range(len(self.things)):
            made = shares[at % len(shares)][at // len(shares)]
            if isinstance(made, InputError):
                raise made
            found.append(made)
        return found
