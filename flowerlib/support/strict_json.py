"""JSON read strictly, since Python's own reader takes what other readers refuse."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

MAX_ITEMS = 200_000  # brackets and commas in a JSON text; each can cost 300 bytes of memory


def strict_json(text: str) -> dict[str, Any]:
    """An object from JSON: no name twice, no NaN or Infinity, not nested absurdly deep, not huge.

    Raises:
        ValueError: with one line that says why not.
    """
    if sum(map(text.count, "[{,")) > MAX_ITEMS:
        raise ValueError("it has absurdly many entries")
    try:
        found = json.loads(text, object_pairs_hook=distinct, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(found, dict):
        raise ValueError("it is no object")
    return found


def distinct(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A dict of pairs from JSON, for `object_pairs_hook`; Python alone would keep the last of two.

    Raises:
        ValueError: a name is there twice.
    """
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"it has {key!a:.80} twice")
        found[key] = value
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"it has the number {name}")
