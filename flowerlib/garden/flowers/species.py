"""The garden's 102 flower species: a table made once from a seeded design.

Seventy-two species are designed freely, spread over forms, hues and petal shapes; thirty are near
twins of one of them and differ in one trait only (number of petals, center, or markings). Several
species share every hue, so color alone never decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from flowerlib.garden.flowers.surfaces import Surface

Lch = tuple[float, float, float]

# Oklch: lightness, chroma, hue in degrees.
HUES: dict[str, Lch] = {
    "white": (0.95, 0.015, 100), "cream": (0.92, 0.06, 95), "yellow": (0.87, 0.16, 95),
    "orange": (0.75, 0.17, 60), "red": (0.58, 0.20, 27), "pink": (0.78, 0.12, 0),
    "rose": (0.64, 0.20, 5), "magenta": (0.56, 0.21, 340), "purple": (0.50, 0.17, 310),
    "violet": (0.58, 0.16, 290), "blue": (0.58, 0.15, 262), "sky": (0.77, 0.09, 245),
}  # fmt: skip
FIRST_WORDS = {
    "white": "snow milk ivory frost pearl chalk linen moth salt",
    "cream": "butter oat parchment vanilla wheat primrose almond tallow flax",
    "yellow": "amber lemon straw brass sulphur canary quince honey gilt",
    "orange": "ember copper apricot saffron lantern rust marigold tangerine fox",
    "red": "cinder garnet poppy scarlet brick cherry hearth sumac rowan",
    "pink": "blush shell peach cameo petal quartz salmon dawn candy",
    "rose": "ruby raspberry coral currant madder carmine lacquer beet briar",
    "magenta": "fuchsia orchid cerise damson mallow sorrel wine velvet plume",
    "purple": "dusk plum mulberry heather thistle fig grape sloe bishop",
    "violet": "iris lilac wisteria twilight amethyst lavender vesper mauve pansy",
    "blue": "cobalt harbor ink delft storm indigo midnight lapis gentian",
    "sky": "mist rain glacier dove river powder cloud tarn heron",
}


@dataclass(frozen=True)
class Form:
    """A way to build a flower, and what its species can choose from.

    Attributes:
        designs, twins: how many species are designed freely, how many are near twins of those.
        names: second words of the species' names.
        shapes: outlines of the petals.
        petals: numbers of petals in a ring.
        width: least and greatest width of a petal over its length; None for what fits the number.
        layers: numbers of rings of petals.
        rise: angle of the petals above the flower's plane, radians.
        curl: least and greatest bend of the tips, radians; negative bends down.
        centers: kinds of centers, as in `Species`.
        center_size: least and greatest radius of the center over that of the flower.
    """

    designs: int
    twins: int
    names: str
    shapes: str
    petals: tuple[int, ...]
    width: tuple[float, float] | None
    layers: tuple[int, ...] = (1,)
    rise: float = 0.18
    curl: tuple[float, float] = (0.3, 0.3)
    centers: str = "none"
    center_size: tuple[float, float] = (0.10, 0.14)


FORMS = {
    "rosette": Form(
        20, 13, "saucer windcup fivecoin meadowlace silkwheel dapplecup fanwort",
        "round heart notched frilled spoon pointed", (4, 5, 5, 6, 7, 8), None, curl=(-0.9, 0.5),
        centers="stamens button seeds star", center_size=(0.15, 0.27),
    ),
    "daisy": Form(
        14, 10, "starwheel sunplate raydaisy wheelwort eyebright cartwheel",
        "strap toothed pointed spoon strap round", (9, 12, 15, 18, 21, 26), None,
        layers=(1, 1, 2), curl=(-0.9, 0.5), centers="seeds", center_size=(0.22, 0.42),
    ),
    "double": Form(
        8, 0, "ruffle hundredfold rosewheel pompon petticoat", "round notched pointed frilled",
        (7, 8, 9, 11), (0.75, 0.75), layers=(3, 4), rise=0.35, centers="none button",
        center_size=(0.08, 0.16),
    ),
    "lily": Form(
        8, 4, "starlily swordlily firelily sixpoint", "pointed strap", (6,), (0.30, 0.46),
        layers=(2,), rise=0.35, curl=(-0.9, 0.5), centers="stamens",
    ),
    "cup": Form(
        5, 0, "goblet chalice lampcup eggcup", "round pointed", (3, 4), (0.66, 0.66),
        layers=(2,), rise=1.08, centers="stamens",
    ),
    "trumpet": Form(5, 3, "trumpet hornlily bugle", "pointed round", (5, 6), (0.5, 0.7), rise=0.1),
    "bells": Form(5, 0, "bellspire chimewort bellrope", "bell", (1,), (0.8, 0.8)),
    "spike": Form(3, 0, "candlewort torchspike steeple", "round heart", (4, 5), (0.8, 0.8)),
    "globe": Form(4, 0, "globeflower moonball starcluster", "pointed round heart", (5, 6),
                  (0.45, 0.75)),
}  # fmt: skip
MARKINGS: dict[str, dict[str, Any]] = {
    "none": {}, "veins": {"veins": 8}, "stripe": {"stripe": 0.85}, "spots": {"spots": 9},
    "eye": {"eye": 0.44}, "rim": {"rim": 0.10},
}  # fmt: skip


@dataclass(frozen=True)
class Species:
    """The traits of one species; every picture of it keeps them.

    Attributes:
        form: how flowers are built, a key of `FORMS`.
        petals: number of petals in a layer.
        layers: number of petal layers, inner ones smaller.
        rise: angle of the petals above the flower's plane, radians (a cup rises steeply).
        curl: how far the tips bend up, radians; negative bends down.
        center: "seeds", "button", "stamens", "star" or "none".
        center_size: radius of the center over that of the flower.
        center_inner, center_outer: Oklch colors of the center.
        leaf: width of the leaves over their length.
    """

    name: str
    form: str
    hue: str
    surface: Surface
    petals: int
    layers: int
    rise: float
    curl: float
    center: str
    center_size: float
    center_inner: Lch
    center_outer: Lch
    leaf: float


CENTERS: tuple[tuple[Lch, Lch], ...] = (
    ((0.84, 0.16, 95), (0.70, 0.16, 65)),  # golden
    ((0.30, 0.06, 40), (0.45, 0.10, 55)),  # dark brown
    ((0.80, 0.14, 120), (0.88, 0.14, 105)),  # green and yellow
    ((0.35, 0.10, 340), (0.55, 0.15, 350)),  # wine
    ((0.93, 0.05, 100), (0.84, 0.12, 95)),  # pale
)


@lru_cache(maxsize=1)
def table() -> tuple[Species, ...]:
    """All species, in a fixed mixed order that keeps twins apart."""
    rng = np.random.default_rng(1753)  # Linnaeus, Species Plantarum
    hues = list(HUES)
    designs: list[Species] = []
    twins: list[Species] = []
    for name, form in FORMS.items():
        for number in range(form.designs):
            i = len(designs)
            designs.append(_design(rng, name, hues[(7 * i + i // 12) % 12], number))
        first = len(designs) - form.designs
        twins += [_twin(rng, designs[i], i) for i in range(first, first + form.twins)]
    mixed = [(designs + twins)[i] for i in rng.permutation(len(designs + twins))]
    return _named(mixed)


def _pick(rng: np.random.Generator, choices: Sequence[Any]) -> Any:
    return choices[int(rng.integers(len(choices)))]


def _colors(rng: np.random.Generator, hue: str) -> dict[str, Lch]:
    """A petal's colors: foot, tip, rim and markings, around one hue."""
    lightness, chroma, angle = HUES[hue]
    pale = chroma < 0.07
    tip = (
        min(0.96, lightness + rng.uniform(-0.06, 0.05)),
        chroma * rng.uniform(0.85, 1.1),
        angle + rng.uniform(-13, 13),
    )
    turn = _pick(rng, (0, 0, 35, -35))
    paler = min(0.96, lightness + rng.uniform(0.0, 0.16)), chroma * rng.uniform(0.45, 1.0)
    deeper = max(0.35, lightness - 0.18), chroma * 1.1 + 0.03
    base = (*(deeper if rng.random() < 0.3 else paler), angle + turn)
    mark_hue = _pick(rng, (350, 20, 310, 60) if pale else (angle - 50, angle + 30, angle + 60))
    mark = (max(0.30, lightness - (0.42 if pale else 0.30)), max(0.13, chroma), mark_hue)
    light_edge = rng.random() < 0.5 and not pale
    dark_edge = (max(0.4, lightness - 0.2), max(chroma, 0.14), angle)
    edge = (0.95, 0.03, angle) if light_edge else dark_edge
    return {"base": base, "tip": tip, "edge": edge, "mark": mark}


def _design(rng: np.random.Generator, name: str, hue: str, number: int) -> Species:
    """A new species; `number` counts those of its form, which take the shapes in turn."""
    form = FORMS[name]
    shapes = form.shapes.split()
    petals = _pick(rng, form.petals)
    overlap = rng.uniform(1.0, 1.5)  # how much petals cover their neighbors
    width = (4.0 if petals > 8 else 3.0 if petals < 6 else 2.6) * overlap / petals
    if form.width:
        width = rng.uniform(*form.width)
    surface = Surface(
        shapes[number % len(shapes)],
        round(float(np.clip(width, 0.16, 1.05)), 3),
        **_colors(rng, hue),  # type: ignore[arg-type]
        fade=float(rng.uniform(0.45, 0.95)),
    )
    markings = _pick(rng, ("none", "none", "veins", "stripe", "spots", "eye", "eye", "rim"))
    inner, outer = _pick(rng, CENTERS)
    return Species(
        name="",
        form=name,
        hue=hue,
        surface=_marked(surface, markings),
        petals=petals,
        layers=_pick(rng, form.layers),
        rise=form.rise + float(rng.uniform(-0.1, 0.15)),
        curl=float(rng.uniform(*form.curl)),
        center=_pick(rng, form.centers.split()),
        center_size=float(rng.uniform(*form.center_size)),
        center_inner=inner,
        center_outer=outer,
        leaf=_pick(rng, (0.14, 0.20, 0.28, 0.40)),
    )


def _marked(surface: Surface, markings: str) -> Surface:
    plain: dict[str, Any] = {"veins": 0, "stripe": 0.0, "spots": 0, "eye": 0.0, "rim": 0.0}
    return replace(surface, **(plain | MARKINGS[markings]))


def _twin(rng: np.random.Generator, one: Species, number: int) -> Species:
    """A species like `one` in all but one trait."""
    surface = one.surface
    kind = ("petals", "center", "markings")[number % 3]
    if kind == "petals" and one.form != "lily":  # lilies have six petals
        count = one.petals + (3 if one.petals < 9 else -one.petals // 3)
        width = round(surface.width * one.petals / count, 3)
        return replace(one, petals=count, surface=replace(surface, width=width))
    if kind == "center":
        others = [c for c in CENTERS if abs(c[0][0] - one.center_inner[0]) > 0.3]
        inner, outer = _pick(rng, others)
        return replace(one, center_inner=inner, center_outer=outer)
    marked = surface.veins or surface.stripe or surface.spots or surface.eye or surface.rim
    new = "none" if marked else _pick(rng, ("veins", "eye", "stripe", "rim"))
    return replace(one, surface=_marked(surface, new))


def _named(species: list[Species]) -> tuple[Species, ...]:
    """Gives each species two words of its own: one for its hue, one for its form."""
    used: set[str] = set()
    out = []
    for number, one in enumerate(species):
        firsts, lasts = FIRST_WORDS[one.hue].split(), FORMS[one.form].names.split()
        names = [f"{a} {b}" for a in firsts for b in lasts]
        seen = {w for name in used for w in name.split()}
        names = [n for n in names if n not in used]
        fresh = [n for n in names if n.split()[0] not in seen]
        name = (fresh or names)[(number * 5) % len(fresh or names)]
        used.add(name)
        out.append(replace(one, name=name))
    return tuple(out)
