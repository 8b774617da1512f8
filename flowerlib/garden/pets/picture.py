"""Cats and dogs: soft three-dimensional animals in living rooms, on sofas, in gardens.

The animals are in `body` and `head`; this module chooses pose, place, light and camera.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from flowerlib.garden.drawing import canvas, lighting, photograph, rays, solids
from flowerlib.garden.drawing.frames import Frame, turn
from flowerlib.garden.drawing.solids import Stage
from flowerlib.garden.pets.body import Pet
from flowerlib.garden.pets.head import face, skull, strokes

Array = np.ndarray
CLASS_NAMES = ("cat", "dog")
PLACES = ("garden", "room", "sofa", "studio")
FRAMINGS = ("face", "bust", "whole")


def draw(label: int, rng: np.random.Generator, size: int) -> Array:
    """Draws a cat (label 0) or a dog (label 1), uint8 (size, size, 3)."""
    fine = round(size * 1.2)
    pet = Pet(label, rng)
    pose = ("sit", "sit", "stand", "lie", "sit")[int(rng.integers(5))]
    framing = FRAMINGS[int(rng.choice(3, p=(0.94, 0.05, 0.01)))]
    place = PLACES[int(rng.integers(4))]
    facing = float(rng.normal(0, 0.35 if framing == "face" else 0.5))
    if framing != "face" and pose != "sit":
        facing = float(rng.choice([-1, 1]) * rng.uniform(0.2, 1.35))
    root = Frame(axes=turn(yaw=facing))
    # The head looks more or less at the camera, whatever the body does.
    toward = -facing * rng.uniform(0.5, 1.0) + rng.normal(0, 0.2)
    head_turn = turn(yaw=toward, pitch=rng.normal(0.05, 0.13)) @ turn(roll=rng.normal(0, 0.17))
    stage = _camera(rng, fine, pose, framing, root, pet)
    backdrop = _backdrop(rng, fine, place)
    pet.build(stage, pose, root)
    head = root.child(pet.neck(pose), head_turn)
    skull(pet, stage, head)
    face(pet, stage, head)
    lines = strokes(pet, head)
    nose = np.array(head.point((0, -0.08, 0.4)))
    _pattern(stage, pet, rng, nose)
    _surroundings(stage, rng, place, framing)

    side = float(rng.choice([-1, 1]))
    lamp = np.array([side * rng.uniform(0.2, 0.9), rng.uniform(0.5, 1.0), rng.uniform(0.2, 0.9)])
    lamp = lamp / np.linalg.norm(lamp)
    warm = rng.uniform(-0.06, 0.10)
    key = np.array([0.78 + warm, 0.76, 0.74 - warm], np.float32) * rng.uniform(0.7, 1.0)
    sky = np.array([0.56, 0.58, 0.62], np.float32) * rng.uniform(0.85, 1.15)
    ground = sky * np.array([0.72, 0.66, 0.6], np.float32)
    image = lighting.light(stage, lamp, key, sky, ground, reach=0.6, dark=0.6)
    seen = (stage.depth < rays.FAR)[..., None]
    image = np.where(seen, image, backdrop)
    _draw_strokes(image, stage, lines)
    image = canvas.resize(image, size, Image.Resampling.BOX)
    if rng.random() < 0.1:
        image = canvas.blur(image, rng.uniform(0.2, 0.7) * size / 96)
    if rng.random() < 0.5:
        image = image[:, ::-1]
    return photograph.camera(image, rng, exposure=0.2, balance=0.065, grain=0.04)


def _camera(
    rng: np.random.Generator, fine: int, pose: str, framing: str, root: Frame, pet: Pet
) -> Stage:
    """A long lens, that does not distort noses; `framing` says how much of the animal it shows."""
    center = {"sit": (0, 0.85, 0), "stand": (0, 0.75, 0.15), "lie": (0, 0.55, 0.1)}[pose]
    middle = root.point(center)
    # The middle of head and ears: a cat's stand up, most dogs' hang down.
    face = root.point(pet.neck(pose)) + (0, 0.16 if pet.cat else -0.06, 0)
    look, extent = {
        "face": (face, rng.uniform(0.66, 0.85)),
        "bust": (0.72 * face + 0.28 * middle, rng.uniform(0.95, 1.25)),
        "whole": (middle, rng.uniform(1.15, 1.4)),
    }[framing]
    # Well off the center: where a part is seen must not tell what it belongs to.
    shift = 0.38 if framing == "face" else 0.14
    look = look + rng.uniform(-shift, shift, 3) * extent * (1, 0.8, 0)
    distance = 7.5
    eye = look + np.array([0, rng.uniform(0.1, 2.0), distance])
    return Stage(fine, eye, look, extent / distance, roll=float(rng.normal(0, 0.05)))


def _pattern(stage: Stage, pet: Pet, rng: np.random.Generator, nose: Array) -> None:
    """Lays stripes or patches, and the grain of the fur, over all that is furry."""
    furry = stage.surface[solids.COAT]
    if not furry.any():
        return
    if pet.pattern in ("tabby", "patch"):
        place = stage.place() - nose.astype(np.float32)[:, None, None]
        bend = canvas.noise(pet.grain, stage.size, 7) - np.float32(0.5)
        if pet.pattern == "tabby":  # shells around the nose: rings on the face, bands on the body
            far = np.sqrt((place**2).sum(0)) + np.float32(0.18) * bend
            waves = np.sin(far * np.float32(rng.uniform(17, 28)) + np.float32(rng.uniform(0, 6)))
            amount = canvas.smoothstep(-0.1, 0.8, waves) * np.float32(rng.uniform(0.35, 0.85))
            amount *= canvas.smoothstep(0.12, 0.4, far)
        else:
            waves = np.float32(1.2) * bend
            for _ in range(3):
                way = rng.normal(0, 2.6, 3).astype(np.float32)
                waves += np.sin(place[0] * way[0] + place[1] * way[1] + place[2] * way[2])
            edge = float(rng.uniform(-0.5, 0.9))
            amount = canvas.smoothstep(edge - 0.12, edge + 0.12, waves)
        amount *= furry
        color = stage.surface[solids.COLOR]
        color += amount * (pet.second[:, None, None] - color)
    grain = canvas.noise(pet.grain, stage.size, 56) + canvas.noise(pet.grain, stage.size, 24)
    strength = np.float32(0.14 + 0.20 * pet.fluff)
    stage.surface[solids.COLOR] *= 1 + furry * strength * (grain - np.float32(1))


def _backdrop(rng: np.random.Generator, fine: int, place: str) -> Array:
    """What is far away, out of focus, (fine, fine, 3)."""
    small = 40  # nothing sharp is left in it, so it is painted small
    x, y = canvas.grid(small)
    hue = rng.uniform(0, 360)
    image = np.empty((small, small, 3), np.float32)
    if place == "garden":
        top = canvas.oklch(rng.uniform(0.7, 0.9), rng.uniform(0.02, 0.08), 235)
        low = canvas.oklch(rng.uniform(0.4, 0.65), rng.uniform(0.04, 0.10), rng.uniform(110, 150))
        clouds = canvas.fractal_noise(rng, small, 4, 3)
        image[:] = canvas.mix(top, low, canvas.smoothstep(-0.7, 0.3, y + (clouds - 0.5) * 1.2))
    else:
        top = canvas.oklch(rng.uniform(0.45, 0.9), rng.uniform(0.0, 0.06), hue)
        image[:] = canvas.mix(top, top * np.float32(0.8), y * np.float32(0.5) + np.float32(0.5))
    spots = int(rng.integers(2, 11)) if place != "studio" else int(rng.integers(0, 5))
    for _ in range(spots):  # windows, pictures, trees: only their colors are left
        color = canvas.oklch(rng.uniform(0.3, 0.92), rng.uniform(0.0, 0.11), rng.uniform(0, 360))
        u, v = x - np.float32(rng.uniform(-1, 1)), y - np.float32(rng.uniform(-1, 0.4))
        shape = canvas.box(u, v, rng.uniform(0.1, 0.45), rng.uniform(0.1, 0.55), 0.08)
        canvas.paint(image, color, canvas.cover(shape, 0.16) * np.float32(rng.uniform(0.4, 0.9)))
    return canvas.resize(canvas.blur(image, rng.uniform(0.4, 1.6)), fine)


def _surroundings(stage: Stage, rng: np.random.Generator, place: str, framing: str) -> None:
    """The ground, what stands behind, and sometimes something in front."""
    size = stage.size
    fine = (24, 80) if place == "garden" else (44, 44)  # rows, columns: blades of grass stand
    texture = canvas.noise(rng, size, 9) - np.float32(0.5)
    texture += canvas.resize(rng.random(fine, dtype=np.float32) - np.float32(0.5), size)
    texture *= np.float32(0.6)
    if place == "garden":
        color = canvas.oklch(rng.uniform(0.45, 0.7), rng.uniform(0.06, 0.13), rng.uniform(105, 145))
        strength = 0.9
    elif place == "sofa":
        color = canvas.oklch(rng.uniform(0.35, 0.85), rng.uniform(0, 0.10), rng.uniform(0, 360))
        strength = 0.12
    else:
        color = canvas.oklch(rng.uniform(0.4, 0.85), rng.uniform(0.01, 0.08), rng.uniform(20, 100))
        strength = 0.3
    woven = _print(rng, color, 0.0 if place == "garden" else 0.7)
    planks = place == "room" and rng.random() < 0.6
    width = float(rng.uniform(0.35, 0.6))

    def ground(x: Array, y: Array, z: Array) -> Array:
        shade = np.float32(1) + np.float32(strength) * texture
        if planks:
            board = np.floor(x / np.float32(width))
            shade = shade * (np.float32(0.9) + np.float32(0.12) * np.sin(board * 12.9) ** 2)
            gap = np.abs(x / np.float32(width) - board - np.float32(0.5))
            shade = shade * (1 - np.float32(0.3) * canvas.smoothstep(0.46, 0.5, gap))
        return woven(x, z) * shade

    if place != "studio" or rng.random() < 0.5:
        stage.plane(1, 0.0, ground)
    if place == "sofa":
        cloth = _print(rng, color * np.float32(rng.uniform(0.85, 1.1)), 0.65)

        def back(u: Array, v: Array, w: Array) -> Array:
            return cloth(u, v)

        step = float(rng.uniform(1.3, 2.0))
        shift = float(rng.uniform(-0.6, 0.6))
        for i in (-2, -1, 0, 1, 2):
            stage.solid(
                Frame((shift + i * step * 1.5, 1.0, -1.75), turn(pitch=-0.12)),
                (step * 0.74, 1.1, 0.4),
                back,
                power=4,
            )
    if place in ("room", "studio"):
        wall = canvas.oklch(rng.uniform(0.6, 0.92), rng.uniform(0, 0.06), rng.uniform(0, 360))
        far = -float(rng.uniform(2.2, 5))

        paper = _print(rng, wall, 0.8)

        def paint(x: Array, y: Array, z: Array) -> Array:
            skirting = canvas.smoothstep(0.28, 0.32, y)
            return paper(x, y) * (np.float32(0.62) + np.float32(0.38) * skirting)

        if rng.random() < 0.8:
            stage.plane(2, far, paint)
    if framing != "face" and rng.random() < 0.1:  # something in front hides a part
        thing = canvas.oklch(rng.uniform(0.3, 0.8), rng.uniform(0, 0.12), rng.uniform(0, 360))
        where = (float(rng.choice([-1, 1]) * rng.uniform(0.35, 0.95)), 0.2, 1.45)
        half = (rng.uniform(0.35, 0.8), rng.uniform(0.3, 0.6), 0.25)
        stage.solid(
            Frame(where, turn(yaw=rng.uniform(-0.5, 0.5))),
            half,
            thing,
            power=int(rng.choice([2, 4, 8])),
        )


def _print(
    rng: np.random.Generator, color: Array, chance: float
) -> Callable[[Array, Array], Array]:
    """A printed cloth or wallpaper: by `chance` stripes, checks or dots, else plain."""
    kind = int(rng.integers(3)) if rng.random() < chance else None
    other = canvas.oklch(rng.uniform(0.3, 0.95), rng.uniform(0, 0.12), rng.uniform(0, 360))
    other = canvas.mix(color, other, rng.uniform(0.25, 1.0))
    count, turned = float(rng.uniform(3, 14)), float(rng.uniform(0, np.pi))
    cosine, sine = (np.float32(count * f(turned)) for f in (np.cos, np.sin))

    def paint(u: Array, v: Array) -> Array:
        if kind is None:
            return color[:, None, None]
        waves = np.sin(u * cosine + v * sine)
        if kind == 1:
            waves = waves * np.sin(v * cosine - u * sine) * np.float32(2)
        elif kind == 2:
            waves = waves + np.sin(v * cosine - u * sine) - np.float32(0.9)
        amount = canvas.smoothstep(-0.15, 0.15, waves)
        return color[:, None, None] + amount * (other - color)[:, None, None]

    return paint


def _draw_strokes(image: Array, stage: Stage, strokes: list) -> None:
    """Draws whiskers and mouth where they are in front of what the stage shows."""
    size = stage.size
    layers = {}
    for points, tone, width in strokes:
        seen = [stage.screen(p) for p in points]
        column, row, depth = seen[0]
        at = (min(max(int(row), 0), size - 1), min(max(int(column), 0), size - 1))
        if stage.depth[at] < depth - 0.12:  # the root of the line is hidden
            continue
        if tone not in layers:
            layers[tone] = Image.new("L", (size, size))
        pixels = width / (stage.spread * depth) * size / 2
        ink = round(255 * min(1.0, 0.35 + 0.65 * pixels / 1.5))
        line = [(c, r) for c, r, _ in seen]
        ImageDraw.Draw(layers[tone]).line(line, fill=ink, width=max(1, round(pixels)))
    for tone, layer in layers.items():
        coverage = np.asarray(layer, dtype=np.float32) * np.float32(0.9 / 255)
        canvas.paint(image, np.full(3, tone, np.float32), coverage)
