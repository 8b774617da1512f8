"""Contact sheets: pictures on warm off-white paper, with thin margins and, if wanted, captions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from flowerlib.garden.painter import class_names, pictures
from flowerlib.support.errors import InputError

PAPER, INK = (250, 246, 238), (92, 84, 74)
FEW = 48  # a sheet of fewer classes shows some classes more than once


def sheet(
    kind: str,
    *,
    columns: int | None = None,
    size: int = 128,
    seed: int = 0,
    labels: bool = False,
) -> np.ndarray:
    """Composes a contact sheet, uint8 (H, W, 3): every class once, or more often if they are few.

    Args:
        columns: pictures in a row; by default chosen so that the sheet is wide and full.
        size: pixels a picture, 32 to 256.
        labels: write the class's name below each picture.

    Raises:
        InputError: an argument is out of its range.
    """
    count = len(class_names(kind))
    if columns is not None and columns < 1:
        raise InputError(f"A sheet has 1 column or more, not {columns}.")
    classes, indices, columns = layout(count, columns)
    names = class_names(kind) if labels else None
    drawn = pictures(kind, classes, indices, seed=seed, size=size)
    return compose(drawn, columns, [names[i] for i in classes] if names else None)


def layout(classes: int, columns: int | None) -> tuple[list[int], list[int], int]:
    """Chooses what a sheet shows: labels and indices of its pictures in reading order, and columns.

    Kinds of many classes show each once, in as full and as wide a sheet as their number allows.
    Kinds of few classes show each in rows of its own.
    """
    if classes >= FEW:
        labels, indices = list(range(classes)), [0] * classes
        return labels, indices, columns or _full_columns(classes)
    columns = columns or (10 if classes >= 8 else 8)
    rows = max(1, -(-FEW // (columns * classes)))
    labels = [label for label in range(classes) for _ in range(rows * columns)]
    return labels, [i for _ in range(classes) for i in range(rows * columns)], columns


def _full_columns(count: int) -> int:
    """Number of columns between 1.2 and 3 times the rows that leaves the fewest empty places."""
    wide = [c for c in range(1, count + 1) if 1.2 <= c / -(-count // c) <= 3]
    return min(wide, key=lambda c: (-count % c, abs(c / -(-count // c) - 1.8)))


def compose(pictures: np.ndarray, columns: int, names: Sequence[str] | None = None) -> np.ndarray:
    """Sets pictures (N, size, size, 3) uint8 in a grid of `columns`; gives uint8 (H, W, 3).

    Args:
        names: captions (N,), drawn small below each picture and cut where they are too long.
    """
    count, size = pictures.shape[:2]
    columns = min(columns, count)
    rows = -(-count // columns)
    gap, edge = max(3, round(size * 0.05)), max(10, round(size * 0.28))
    type_size = max(8, round(size * 0.085))
    caption = round(type_size * 1.7) if names else 0
    width = 2 * edge + columns * size + (columns - 1) * gap
    height = 2 * edge + rows * (size + caption) + (rows - 1) * gap
    page = Image.new("RGB", (width, height), PAPER)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(type_size)
    for i in range(count):
        row, column = divmod(i, columns)
        left, top = edge + column * (size + gap), edge + row * (size + caption + gap)
        page.paste(Image.fromarray(pictures[i]), (left, top))
        if names:
            text = _fitted(names[i], pen, font, size)
            pen.text((left + size / 2, top + size + 2), text, fill=INK, font=font, anchor="ma")
    return np.asarray(page)


def _fitted(text: str, pen: ImageDraw.ImageDraw, font: Any, width: int) -> str:
    """`text`, or as much of it as fits into `width` pixels, with an ellipsis."""
    if pen.textlength(text, font=font) <= width:
        return text
    while text and pen.textlength(text + "…", font=font) > width:
        text = text[:-1]
    return text.rstrip() + "…"
