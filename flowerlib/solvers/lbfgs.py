"""L-BFGS: minimizes a smooth convex function from its values and gradients.

Near the lowest point a function is a parabola, and Newton's step leads there: the gradient divided
by the curvature. The curvature of a head is a matrix of (classes * features) squared numbers, far
too many. L-BFGS divides by an estimate instead, corrected by what the last steps have shown: a step
and the change of the gradient along it say how the function curves in that direction.

Source: Nocedal and Wright, "Numerical Optimization" (2006), algorithms 7.4, 7.5 and 3.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

MEMORY = 8  # steps that it remembers
CALM = 2  # steps in a row that promise little, until it ends: one alone may be a bad guess
FLAT = 1e-9  # a share so small that no step is worth a try
MAX_STEPS = 500  # more than any data was seen to need
ENOUGH = 1e-4  # of the decrease that the gradient promises: a step that reaches it is taken
SHORTEST = 1e-9  # a step that is multiplied by less changes nothing but rounding

Pairs = list[tuple[Tensor, Tensor]]  # (step, change of the gradient), the oldest first


class Evaluation(NamedTuple):
    """A function at one point.

    Attributes:
        value: of the function.
        gradient: shaped like the point.
        divide: divides a gradient by an estimate of the curvature.
    """

    value: float
    gradient: Tensor
    divide: Callable[[Tensor], Tensor]


Function = Callable[[Tensor], Evaluation]


def minimize(
    function: Function, point: Tensor, pairs: Pairs, tolerance: float
) -> tuple[Tensor, float, float]:
    """Follows a function down until the next step promises to save a share below `tolerance`.

    Args:
        function: convex, above 0.
        point: where to start, of any shape.
        pairs: what steps on a similar function have shown, or an empty list; goes on in place.
        tolerance: a share of the value, such as 1e-4; the lowest value may be some ten times
            farther away.

    Returns:
        The point where it ended, the value there, and the share that the next step promises: above
        `tolerance` only after `MAX_STEPS`, or where rounding hides the way down.
    """
    here, calm = function(point), 0
    for _ in range(MAX_STEPS):
        direction = _direction(here, pairs)
        promise = _dot(here.gradient, direction)
        share = promise / 2 / here.value if promise > 0 else 0.0  # a parabola would save this
        calm = calm + 1 if share <= tolerance else 0
        if calm == CALM or share <= FLAT:
            break
        moved, there = _line_search(function, point, here, direction, promise)
        if there.value >= here.value:
            break
        pairs.append((moved - point, there.gradient - here.gradient))
        del pairs[:-MEMORY]
        point, here = moved, there
    return point, here.value, share


def _direction(here: Evaluation, pairs: Pairs) -> Tensor:
    """The two loops: the gradient divided by the curvature, as the remembered steps correct it."""
    known = [(step, change, _dot(step, change)) for step, change in pairs]
    known = [pair for pair in known if pair[-1] > 0]  # others show rounding only
    direction, shares = here.gradient.clone(), []
    for step, change, curvature in reversed(known):
        shares.append(_dot(step, direction) / curvature)
        direction.add_(change, alpha=-shares[-1])
    direction = here.divide(direction)
    if known:  # the estimate has the right shape; the last step tells its size
        _, change, curvature = known[-1]
        direction *= curvature / _dot(change, here.divide(change))
    for (step, change, curvature), share in zip(known, reversed(shares), strict=True):
        direction.add_(step, alpha=share - _dot(change, direction) / curvature)
    return direction


def _line_search(
    function: Function, point: Tensor, here: Evaluation, direction: Tensor, promise: float
) -> tuple[Tensor, Evaluation]:
    """The first of ever shorter steps along minus `direction` that saves enough."""
    length = 1.0
    while True:
        moved = point - length * direction
        there = function(moved)
        if there.value <= here.value - ENOUGH * length * promise or length < SHORTEST:
            return moved, there
        # The lowest point of the parabola through both values and the slope here.
        rise = there.value - here.value + length * promise
        length *= min(0.5, max(0.1, length * promise / (2 * rise)))


def _dot(one: Tensor, other: Tensor) -> float:
    return float(torch.dot(one.flatten(), other.flatten()))
