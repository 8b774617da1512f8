"""Figures that a notebook shows by themselves, and texts in them that are drawn as they are."""

from __future__ import annotations

import functools
import io
import unicodedata
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import font_manager, rcParams
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from flowerlib.support.console import one_line

# No "$" starts a formula, and no TeX reads "_" and "\".
PLAIN: dict[str, Any] = {"parse_math": False, "usetex": False}

# Fonts of the usual systems with many signs, looked for where the usual font lacks one.
FALLBACKS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Noto Sans JP", "Noto Sans KR"),
    *("Source Han Sans SC", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback"),
    *("PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo", "Arial Unicode MS"),
    *("Microsoft YaHei", "SimHei", "Yu Gothic", "MS Gothic", "Malgun Gothic"),
    *("Noto Sans", "Noto Sans Arabic", "Noto Sans Devanagari", "Noto Sans Thai", "Segoe UI"),
    *("Noto Emoji", "Segoe UI Emoji", "Symbola", "FreeSans", "Unifont"),
)
INVISIBLE = ("Cf", "Mn", "Me")  # joiners, variants and accents: nothing is lost without them


class _Shown:
    """Gives IPython the picture of the figure that this belongs to, at the end of a cell."""

    def _repr_png_(self) -> bytes | None:
        figure = _figure_of(self)
        if figure is None:
            return None
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=110, bbox_inches="tight", facecolor="white")
        return picture.getvalue()


def _figure_of(item: Any) -> Figure | None:
    while isinstance(item, np.ndarray):
        item = item.flat[0] if item.size else None
    return item if isinstance(item, Figure) else getattr(item, "figure", None)


class DrawnAxes(_Shown, Axes):
    """Matplotlib's axes; a cell that ends in them shows their figure."""


class DrawnArray(_Shown, np.ndarray):
    """Matplotlib's array of axes; a cell that ends in it shows their figure."""

    def __repr__(self) -> str:
        return f"<{self.size} axes of one figure>"


class Drawing(_Shown, Figure):
    """A figure unknown to pyplot, so that nothing has to be closed and no backend is chosen."""

    def __init__(self, width: float, height: float) -> None:
        super().__init__(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(self)

    def add_subplot(self, *given: Any, **options: Any) -> Any:
        if not {"projection", "polar", "axes_class"} & options.keys():
            options["axes_class"] = DrawnAxes
        return super().add_subplot(*given, **options)

    def subplots(self, *given: Any, **options: Any) -> Any:
        made = super().subplots(*given, **options)
        return made.view(DrawnArray) if isinstance(made, np.ndarray) else made


def tidy(axes: Axes, title: str, x: str = "", y: str = "", style: Any = PLAIN) -> Axes:
    """A title on the left, names of the axes, no frame; returns the same Axes."""
    axes.set_title(title, loc="left", fontsize=11, **style)
    axes.set(xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def labels(names: Sequence[object], longest: int = 40) -> tuple[list[str], dict[str, Any]]:
    """Names as they can be drawn, and the options of matplotlib's texts to draw them with.

    Long names lose their middle. What the usual font lacks is taken from another installed one;
    signs that none has are written as their numbers, and one warning names the first of them.
    """
    shown = [_shortened(one_line(name), longest) for name in names]
    usual = _files(rcParams["font.family"])
    lacking = {sign for text in shown for sign in text if not _has(usual, sign)}
    installed = font_manager.get_font_names() if lacking else ()
    fallbacks = [family for family in FALLBACKS if family in installed]
    style = dict(PLAIN)
    if fallbacks:
        style["fontfamily"] = [*rcParams["font.family"], *fallbacks]
    missing: dict[str, str | int | None] = {
        sign: "" if unicodedata.category(sign) in INVISIBLE else ascii(sign)[1:-1]
        for sign in lacking
        if not _has(_files(fallbacks), sign)
    }
    if visible := {sign for sign, number in missing.items() if number}:
        name = min(text for text in shown if visible & set(text))
        _warn(FontProperties(fname=usual[0]).get_name(), name)
    return [text.translate(str.maketrans(missing)) for text in shown], style


@functools.cache  # once a name, in how many figures it may be
def _warn(font: str, name: str) -> None:
    warnings.warn(
        f"The font {font} and the others found here have no glyph for a sign of {name!r}; "
        "it is written as its number. Install a font that has it, such as Noto Sans CJK.",
        stacklevel=4,
    )


def _shortened(name: str, longest: int) -> str:
    if len(name) <= longest:
        return name
    tail = longest // 3
    return f"{name[: longest - tail - 1]}…{name[-tail:]}"


def _files(families: Sequence[str]) -> tuple[str, ...]:
    """The font files that matplotlib takes for these families."""
    return tuple(font_manager.findfont(FontProperties(family=[name])) for name in families)


@functools.cache
def _has(fonts: tuple[str, ...], sign: str) -> bool:
    """Whether one of the font files has a glyph for the sign."""
    return any(font_manager.get_font(path).get_char_index(ord(sign)) for path in fonts)
