"""Sends text, tables and pictures to a notebook; elsewhere prints their plain text.

Everything shown carries a plain-text form that is the same on every run, because the lessons'
stored outputs are compared with fresh ones.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import Any

from flowerlib.support import console
from flowerlib.support.errors import InputError


def shell() -> Any:
    """The running notebook's shell, or None. IPython is not imported where it is not running."""
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython

    found = get_ipython()
    return found if hasattr(found, "kernel") else None


def send(data: dict[str, str], metadata: dict[str, Any] | None = None) -> None:
    """Sends mime data to the notebook; elsewhere prints its plain text."""
    if shell() is None:
        say(data["text/plain"])
        return
    from IPython.display import display

    display(data, metadata=metadata or {}, raw=True)


def say(text: str) -> None:
    """Prints a text at once, in any encoding of the output."""
    console.say(text)
    console.flush()


def figure_of(item: Any) -> Any:
    """The figure that `item` is, or that the axes or array of axes `item` belong to."""
    while not hasattr(item, "savefig"):
        if hasattr(item, "get_figure"):
            item = item.get_figure()
        elif isinstance(item, Sequence) and len(item):
            item = item[0]
        elif hasattr(item, "flat"):
            item = item.flat[0]
        else:
            raise InputError(f"lesson.show: {type(item).__name__} is not a figure and has no axes.")
    return item


def picture(figure: Any, alt: str, dpi: int) -> tuple[dict[str, str], dict[str, Any]]:
    """A figure as mime data and metadata: PNG, or JPEG if that takes less than half the bytes."""
    import base64

    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", facecolor="white")
    picture = Image.open(buffer).convert("RGB")
    png, jpeg = io.BytesIO(), io.BytesIO()
    picture.save(png, "PNG", optimize=True)
    picture.save(jpeg, "JPEG", quality=88)
    photos = len(png.getvalue()) > 100_000 and 2 * len(jpeg.getvalue()) < len(png.getvalue())
    mime, encoded = ("image/jpeg", jpeg) if photos else ("image/png", png)
    text = base64.b64encode(encoded.getvalue()).decode("ascii")
    return {mime: text, "text/plain": alt}, {mime: {"alt": alt}}


def close(figure: Any) -> None:
    """Closes a figure, or the notebook would show it a second time at the end of the cell."""
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close(figure)
