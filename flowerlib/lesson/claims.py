"""Sentences that a lesson checks against its numbers, or chooses by them."""

from __future__ import annotations

from typing import Any

from flowerlib.lesson import outputs
from flowerlib.support.errors import InputError


class FalseClaim(AssertionError):
    """A sentence that the lesson tells its reader is not true of the numbers that it measured."""


def claim(condition: Any, sentence: str) -> None:
    """Prints "✓ sentence" if `condition` holds, and fails the lesson if it does not.

    Raises:
        FalseClaim: `condition` is false; the message is the sentence.

    Shown in: every lesson.

    Example:
        >>> claim(2 + 2 == 4, "two and two are four")
        ✓ two and two are four
    """
    if not bool(condition):
        raise FalseClaim(f"This does not hold: {sentence}")
    outputs.say(f"✓ {sentence}")


def verdict(
    difference: float,
    low: float,
    high: float,
    *,
    better: str,
    worse: str,
    unclear: str,
    margin: float = 0.0,
) -> None:
    """Prints the one of three sentences that a difference and its interval support.

    For what may come out differently with other data, another backbone or another seed; what has
    to hold everywhere is a `claim`. Example: "→ A is ahead. (+0.020, 95 % interval +0.010 to
    +0.030)".

    Args:
        difference: first minus second, with the ends of its 95 % interval, such as
            `metrics.paired_difference` and `metrics.mean_interval` return them.
        better: said if the interval lies above `margin`.
        worse: said if it lies below `-margin`.
        unclear: said otherwise.
        margin: how large a difference has to be to matter.

    Raises:
        InputError: the difference is not between the ends of its interval.

    Example:
        >>> words = {"better": "It helps.", "worse": "It harms.", "unclear": "It may be luck."}
        >>> verdict(0.02, -0.01, 0.05, **words)
        → It may be luck. (+0.020, 95 % interval -0.010 to +0.050)
    """
    if not low <= difference <= high:
        raise InputError(
            f"lesson.verdict needs low <= difference <= high, got {low}, {difference}, {high}."
        )
    sentence = better if low > margin else worse if high < -margin else unclear
    outputs.say(f"→ {sentence} ({difference:+.3f}, 95 % interval {low:+.3f} to {high:+.3f})")
