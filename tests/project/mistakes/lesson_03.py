"""Mistakes in lesson 03 and in its solutions."""

from __future__ import annotations

from tests.project.mistakes import Mistake

LESSON: list[Mistake] = []

SOLUTIONS: list[Mistake] = []
