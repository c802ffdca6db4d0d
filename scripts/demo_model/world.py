"""The world of the demo model: the possible clips, their drawing, and their random choice for training.

A `Clip` describes one clip completely. `render` turns it into frames, and `captions.caption` turns it into English.
The random parts (positions, sizes, a scene's layout) come from the clip's own seed. So a clip is the same on every
machine and at every size. One eighth of the combinations of shape, colour and motion, chosen by hash, is held out.
They are never drawn for training, and the evaluation uses them.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scripts.demo_model import draw, scenes
from scripts.demo_model.draw import Array, Canvas, Colour, over_time

DATA_VERSION = 3
"""Raise this number when a rendered pixel or a caption changes. The model card shows it."""

COLOURS: dict[str, Colour] = {
    "red": (222, 36, 36),
    "orange": (250, 140, 20),
    "yellow": (250, 222, 40),
    "green": (40, 165, 60),
    "cyan": (40, 205, 205),
    "blue": (35, 80, 225),
    "purple": (135, 45, 190),
    "pink": (250, 130, 190),
    "white": (250, 250, 250),
    "black": (15, 15, 18),
}
BACKGROUNDS: dict[str, tuple[Colour, Colour]] = {
    "white": ((246, 246, 246), (246, 246, 246)),
    "black": (((12, 12, 16)), (12, 12, 16)),
    "gray": ((128, 128, 130), (128, 128, 130)),
    "sky": ((110, 180, 245), (186, 222, 252)),
    "beige": ((236, 212, 168), (236, 212, 168)),
    "navy": ((22, 30, 84), (22, 30, 84)),
}
SHAPES = ("ball", "square", "triangle", "ring", "star", "heart")
MOTIONS = ("left", "right", "up", "down", "bouncing", "circling", "growing", "shrinking", "spinning", "still")
PAIR_MOTIONS = ("still", "bouncing", "up", "down", "growing", "shrinking")
ROUND = ("ball", "ring")
"""Shapes that look the same when they spin. So the world has no spinning ones."""

ALWAYS_TRAINED = {("ball", "red", "bouncing"), ("star", "yellow", "spinning"), ("heart", "pink", "growing")}

Kind = Literal["single", "pair", "scene"]


@dataclass(frozen=True)
class Clip:
    """One clip: its kind, its content, and the seed of its random parts."""

    kind: Kind
    seed: int
    shape: str = ""
    colour: str = ""
    motion: str = ""
    background: str = ""
    second_shape: str = ""
    second_colour: str = ""
    scene: str = ""


def contrast(colour: str, background: str) -> float:
    """RGB distance between a shape's colour and the middle of a background."""
    middle = np.mean(np.asarray(BACKGROUNDS[background], np.float32), axis=0)
    return float(np.linalg.norm(np.asarray(COLOURS[colour], np.float32) - middle))


def visible(colour: str, background: str) -> bool:
    """Whether a shape of that colour is visible on that background."""
    return contrast(colour, background) >= 100.0


def held_out(shape: str, colour: str, motion: str) -> bool:
    """Whether this combination is held out from training (one in eight, by hash)."""
    if (shape, colour, motion) in ALWAYS_TRAINED:
        return False
    digest = hashlib.sha256(f"{shape}/{colour}/{motion}".encode()).digest()
    return digest[0] % 8 == 0


def combinations() -> list[tuple[str, str, str]]:
    """Every (shape, colour, motion) of the world, with the held-out ones."""
    return [
        (shape, colour, motion)
        for shape in SHAPES
        for colour in COLOURS
        for motion in MOTIONS
        if not (motion == "spinning" and shape in ROUND)
    ]


TRAINED = [combination for combination in combinations() if not held_out(*combination)]
UNSEEN = [combination for combination in combinations() if held_out(*combination)]


def draw_clip(rng: np.random.Generator) -> Clip:
    """Draw a random training clip: 65 % single shapes, 10 % pairs, 25 % scenes."""
    seed = int(rng.integers(2**31))
    lot = rng.random()
    if lot < 0.65:
        shape, colour, motion = TRAINED[rng.integers(len(TRAINED))]
        background = str(rng.choice([name for name in BACKGROUNDS if visible(colour, name)]))
        return Clip("single", seed, shape, colour, motion, background)
    if lot < 0.75:
        return draw_pair(rng, seed)
    name = str(rng.choice(list(scenes.SCENES)))
    return Clip("scene", seed, scene=name, colour=str(rng.choice(scenes.SCENES[name].colours)))


def draw_pair(rng: np.random.Generator, seed: int) -> Clip:
    """Draw two random shapes side by side (the first on the left) with the same motion."""
    first, second = rng.choice(list(COLOURS), size=2, replace=False)
    shapes = rng.choice(SHAPES, size=2, replace=False)
    backgrounds = [name for name in BACKGROUNDS if visible(str(first), name) and visible(str(second), name)]
    if not backgrounds:
        return draw_pair(rng, seed)
    return Clip(
        "pair",
        seed,
        str(shapes[0]),
        str(first),
        str(rng.choice(PAIR_MOTIONS)),
        str(rng.choice(backgrounds)),
        str(shapes[1]),
        str(second),
    )


def render(clip: Clip, size: int = 64, frames: int = 16) -> NDArray[np.uint8]:
    """Render a clip: uint8 of shape (frames, size, size, 3), equal for equal clips on every machine."""
    rng = np.random.default_rng(clip.seed)
    canvas = Canvas(frames, size)
    if clip.kind == "scene":
        scenes.SCENES[clip.scene].paint(canvas, rng, clip.colour)
        return canvas.result()
    canvas.gradient(*BACKGROUNDS[clip.background])
    if clip.kind == "single":
        _paint_shape(canvas, clip, rng, centre=0.5, scale=1.0)
    else:
        height = float(rng.uniform(-0.05, 0.05))
        second = replace(clip, shape=clip.second_shape, colour=clip.second_colour)
        _paint_shape(canvas, clip, rng, centre=0.28, scale=0.72, height=height)
        _paint_shape(canvas, second, rng, centre=0.72, scale=0.72, height=height)
    return canvas.result()


def shape_distance(shape: str, x: Array, y: Array, radius: Array) -> Array:
    """Signed distance to one of SHAPES around the origin; all shapes of one radius have about the same area."""
    if shape == "ball":
        return draw.disc(x, y, radius)
    if shape == "square":
        return draw.box(x, y, radius * 0.88, radius * 0.88)
    if shape == "triangle":
        return draw.polygon(x, y, 3, radius * 1.3)
    if shape == "ring":
        return np.abs(draw.disc(x, y, radius * 0.85)) - radius * 0.26
    if shape == "star":
        return draw.star(x, y, radius * 1.3)
    return draw.heart(x, y, radius * 1.15)


@dataclass(frozen=True)
class Path:
    """The place, size and angle of a shape over time: arrays of shape (F, 1, 1)."""

    x: Array
    y: Array
    radius: Array
    angle: Array


def path(motion: str, t: Array, rng: np.random.Generator, centre: float, scale: float, height: float) -> Path:
    """The path of a motion over the clip's time. `scale` makes a shape smaller if the frame has two."""
    still = np.zeros_like(t)
    x = still + centre + float(rng.uniform(-0.05, 0.05)) * scale
    y = still + 0.5 + (float(rng.uniform(-0.05, 0.05)) if scale == 1.0 else height)
    radius = still + float(rng.uniform(0.165, 0.195)) * scale
    angle = still
    if motion in ("left", "right"):
        sweep = 0.2 + 0.6 * t
        x = sweep if motion == "right" else 1.0 - sweep
    elif motion in ("up", "down"):
        sweep = 0.2 + 0.6 * t
        y = sweep if motion == "down" else 1.0 - sweep
    elif motion == "bouncing":
        y = 0.8 - 0.55 * np.abs(np.sin(2 * np.pi * t))
    elif motion == "circling":
        turn = 2 * np.pi * (t - 0.25 + float(rng.uniform(-0.04, 0.04)))
        x, y = 0.5 + 0.26 * np.cos(turn), 0.5 + 0.26 * np.sin(turn)
        radius = radius * 0.9
    elif motion in ("growing", "shrinking"):
        rise = t if motion == "growing" else 1.0 - t
        radius = radius * (0.5 + 1.3 * rise)
    elif motion == "spinning":
        angle = 2 * np.pi * t
        radius = radius * 1.3
    return Path(over_time(x), over_time(y), over_time(radius), over_time(angle))


def _paint_shape(
    canvas: Canvas, clip: Clip, rng: np.random.Generator, centre: float, scale: float, height: float = 0.0
) -> None:
    place = path(clip.motion, canvas.t, rng, centre, scale, height)
    x, y = draw.rotated(canvas.x - place.x, canvas.y - place.y, place.angle)
    canvas.paint(shape_distance(clip.shape, x, y, place.radius), COLOURS[clip.colour])
