"""Long modules run first; the list of them in tests/order.py names files that are there."""

from __future__ import annotations

from pathlib import Path

from tests.order import LONG


def test_the_long_modules_are_there(repository: Path) -> None:
    assert len(set(LONG)) == len(LONG)
    assert not [module for module in LONG if not (repository / "tests" / module).is_file()]
