"""The breeds of cats and dogs: a table of the traits, and one animal's draw from it.

No trait tells the classes apart by itself: pointed ears, flat faces, stripes and slim bodies occur
on both sides, and all colors do. What differs is how often, and which traits come together: most
cats have pointed ears, large eyes and a small nose, most dogs hanging ears, small dark eyes, a long
muzzle and a large nose; the breeds that cross over (folded ears, a dog's pointed ones) are rare.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowerlib.garden.drawing import canvas

Array = np.ndarray
Range = tuple[float, float]


@dataclass(frozen=True)
class Breed:
    """Ranges of the traits of one breed; lengths in units of about a head's width."""

    ear: str  # pointed, rounded, folded, floppy
    ear_size: Range
    muzzle: Range  # how far it sticks out
    snout: Range  # how broad it is
    nose: Range
    eye: Range
    slit: float  # chance of slit pupils
    slim: Range  # width of the body
    leg: Range
    fluff: Range  # length of the fur
    tail: str  # long, bushy, curled, stub
    tongue: float  # chance that it shows


# fmt: off
# Columns: ear, its size, muzzle, snout, nose, eye, chance of slit pupils, slimness, legs, fluff,
# tail, chance of a tongue. A breed that is listed with a number is that many times as frequent.
CATS = (
    *[Breed("pointed", (0.30, 0.38), (0.02, 0.09), (0.15, 0.20), (0.038, 0.055), (0.130, 0.160),
            0.75, (0.80, 1.00), (0.8, 1.0), (0.1, 0.4), "long", 0.02)] * 8,
    *[Breed("pointed", (0.36, 0.44), (0.04, 0.12), (0.13, 0.17), (0.038, 0.052), (0.122, 0.152),
            0.75, (0.65, 0.85), (0.9, 1.15), (0.1, 0.3), "long", 0.02)] * 6,
    *[Breed("pointed", (0.33, 0.41), (0.04, 0.12), (0.16, 0.21), (0.042, 0.060), (0.125, 0.155),
            0.7, (0.95, 1.15), (0.8, 1.0), (0.3, 0.6), "bushy", 0.02)] * 6,
    Breed("rounded", (0.22, 0.30), (0.00, 0.06), (0.17, 0.22), (0.042, 0.058), (0.130, 0.160),
          0.3, (1.00, 1.20), (0.6, 0.8), (0.3, 0.6), "bushy", 0.03),
    Breed("folded", (0.18, 0.26), (0.01, 0.08), (0.15, 0.20), (0.038, 0.055), (0.130, 0.160),
          0.3, (0.90, 1.10), (0.7, 0.9), (0.1, 0.4), "long", 0.02),
)
DOGS = (
    *[Breed("floppy", (0.38, 0.50), (0.40, 0.54), (0.19, 0.24), (0.105, 0.132), (0.070, 0.090),
            0.0, (0.90, 1.10), (0.9, 1.1), (0.2, 0.6), "long", 0.7)] * 12,
    *[Breed("floppy", (0.44, 0.58), (0.34, 0.48), (0.18, 0.23), (0.098, 0.125), (0.072, 0.094),
            0.0, (0.80, 1.05), (0.7, 1.0), (0.4, 0.9), "bushy", 0.6)] * 12,
    Breed("pointed", (0.28, 0.38), (0.42, 0.54), (0.17, 0.21), (0.100, 0.125), (0.070, 0.090),
          0.0, (0.85, 1.05), (0.9, 1.2), (0.3, 0.7), "bushy", 0.7),
    Breed("folded", (0.22, 0.30), (0.07, 0.20), (0.22, 0.28), (0.095, 0.120), (0.080, 0.100),
          0.0, (0.95, 1.20), (0.6, 0.8), (0.1, 0.3), "stub", 0.6),
    Breed("rounded", (0.20, 0.28), (0.32, 0.46), (0.17, 0.21), (0.095, 0.120), (0.074, 0.094),
          0.0, (0.85, 1.10), (0.6, 0.9), (0.4, 0.8), "curled", 0.6),
)
# fmt: on
BREEDS = (CATS, DOGS)
# Colors of fur, eyes' colors by class (some are shared).
FUR = (
    "#1f1d20",
    "#35302f",
    "#55504f",
    "#7f7a78",
    "#a9a29c",
    "#e9e2d6",
    "#f2ead9",
    "#d9822f",
    "#c9a06a",
    "#e2c08a",
    "#8a5a35",
    "#5b3a26",
    "#b4623a",
    "#6d7480",
)
EYES = (
    ("#8fae3c", "#c9b02e", "#6fa6c9", "#d08a2e", "#5f9a6a", "#7a5526"),
    ("#4a2a16", "#2e1a10", "#6b421f", "#8a5a26", "#7fa9c4", "#3a2414"),
)


class Traits:
    """The traits of one animal, drawn from the ranges of a random breed of its class."""

    ear_size: float
    muzzle: float
    snout: float
    nose: float
    eye: float
    slim: float
    leg: float
    fluff: float

    def __init__(self, label: int, rng: np.random.Generator) -> None:
        self.rng = rng
        self.grain = np.random.default_rng(rng.integers(2**62))  # for what depends on the size
        self.cat = label == 0
        breeds = BREEDS[label]
        self.breed = breed = breeds[int(rng.integers(len(breeds)))]
        for name in ("ear_size", "muzzle", "snout", "nose", "eye", "slim", "leg", "fluff"):
            setattr(self, name, float(rng.uniform(*getattr(breed, name))))
        self.tongue = rng.random() < breed.tongue
        self.slit = float(rng.uniform(0.25, 0.6)) if rng.random() < breed.slit else 0.0
        self.iris = canvas.rgb(EYES[label][int(rng.integers(6))])
        self.ear_tilt = float(rng.normal(0, 0.12))
        self.whiskers = rng.random() < (0.96 if self.cat else 0.12)
        self.dress()

    def dress(self) -> None:
        """Chooses colors by part of the body, and the pattern that is laid over them."""
        rng = self.rng
        base = canvas.rgb(FUR[int(rng.integers(len(FUR)))])
        base = np.clip(base * rng.uniform(0.9, 1.1) + rng.normal(0, 0.012, 3), 0.03, 1)
        weights = (0.16, 0.56, 0.14, 0.09, 0.05) if self.cat else (0.38, 0.05, 0.30, 0.06, 0.21)
        names = ("solid", "tabby", "patch", "point", "tan")
        self.pattern = names[int(rng.choice(5, p=weights))]
        white = canvas.rgb("#efe8dc")
        light = canvas.mix(base, white, rng.uniform(0.25, 0.9))
        dark = base * rng.uniform(0.25, 0.5)
        self.second = dark if base.mean() > 0.35 else canvas.mix(base, white, 0.35)
        color = dict.fromkeys(("body", "belly", "paw", "muzzle", "ear", "leg", "tail"), base)
        color["belly"] = color["muzzle"] = canvas.mix(base, light, rng.uniform(0, 0.7))
        if self.pattern == "point":
            pale = canvas.mix(base, white, 0.75)
            color = dict.fromkeys(color, pale) | {
                "muzzle": base * 0.45,
                "ear": base * 0.4,
                "paw": base * 0.5,
                "tail": base * 0.45,
            }
        elif self.pattern == "tan":
            tan = canvas.rgb("#b9783f") * rng.uniform(0.8, 1.15)
            color |= {"muzzle": tan, "paw": tan, "belly": tan, "leg": canvas.mix(base, tan, 0.5)}
        elif self.pattern == "patch":
            self.second = white
            if base.mean() > 0.7:
                self.second = canvas.rgb(FUR[int(rng.choice([0, 1, 7, 10, 11]))])
        if rng.random() < 0.4 and self.pattern != "point":  # white socks, chest, snout
            for part in ("paw", "belly", "muzzle"):
                if rng.random() < 0.75:
                    color[part] = white
        if rng.random() < 0.25:
            color["ear"] = color["ear"] * np.float32(0.55)
        self.color = {part: np.asarray(value, np.float32) for part, value in color.items()}
        pink, black = canvas.rgb("#c98680"), canvas.rgb("#231d1d")
        pale_nose = rng.random() < (0.65 if self.cat else 0.1)
        self.nose_color = pink if pale_nose else canvas.mix(black, pink, rng.uniform(0, 0.2))
