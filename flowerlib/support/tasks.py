"""The same work on many things, dealt out to several and put together as if one had done it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from flowerlib.support.errors import InputError

Thing = TypeVar("Thing")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Share(Generic[Made]):
    """What came of a share: what was made, up to the first thing that the work refused.

    Attributes:
        made: of each thing before that.
        problem: why it was refused; "" if nothing was.
    """

    made: list[Made]
    problem: str


@dataclass(frozen=True)
class Task(Generic[Thing, Made]):
    """Work to be dealt out.

    Attributes:
        work: makes something of a thing, or refuses it by an `InputError`.
        things: in their order.
    """

    work: Callable[[Thing], Made]
    things: Sequence[Thing]

    def share(self, rank: int, size: int) -> Share[Made]:
        """Does every `size`-th thing, from the one numbered `rank` on; ends with a refused one."""
        made: list[Made] = []
        try:
            for thing in self.things[rank::size]:
                made.append(self.work(thing))
        except InputError as problem:
            return Share(made, str(problem))
        return Share(made, "")

    def whole(self, shares: Sequence[Share[Made]]) -> list[Made]:
        """What was made of all things, in their order, from the shares in the order of their ranks.

        Raises:
            InputError: the work refused some; it is that of the first, which one alone would meet.
        """
        size = len(shares)
        refused = {
            rank + size * len(share.made): share.problem
            for rank, share in enumerate(shares)
            if share.problem
        }
        if refused:
            raise InputError(refused[min(refused)])
        return [shares[at % size].made[at // size] for at in range(len(self.things))]
