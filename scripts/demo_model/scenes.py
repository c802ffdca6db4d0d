"""The scenes of the demo world: small paintings that move, drawn with the primitives of `draw`.

Each scene is a row in SCENES: its paint function and the colours of its subject (an empty string if the caption
names no colour). A scene takes all its randomness from the given generator, and it uses little. So a tiny model
spends its capacity on the prompt, not on the place of each window of a city.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scripts.demo_model.draw import Array, Canvas, Colour, box, disc, ellipse, over_time, segment

PAINT: dict[str, Colour] = {
    "red": (222, 36, 36),
    "orange": (250, 140, 20),
    "yellow": (250, 222, 40),
    "green": (40, 165, 60),
    "blue": (35, 80, 225),
    "purple": (135, 45, 190),
    "pink": (250, 130, 190),
    "white": (250, 250, 250),
}


def _stars(canvas: Canvas, rng: np.random.Generator, count: int, lowest: float) -> None:
    """Paint one of four fixed starry skies, down to the height `lowest`."""
    rng = np.random.default_rng(int(rng.integers(4)))
    for _ in range(count):
        x, y = rng.random(), rng.random() * lowest
        canvas.paint(disc(canvas.x - x, canvas.y - y, 0.011), (235, 235, 255), float(rng.uniform(0.5, 1.0)))


def _skyline(canvas: Canvas, layout: int, colour: Colour, tallest: float) -> list[tuple[float, float, float]]:
    """Paint one of a few fixed rows of buildings; return the left edge, right edge and top of each."""
    rng = np.random.default_rng(layout)
    edges = np.cumsum(rng.uniform(0.12, 0.2, size=9)) - 0.16
    blocks = []
    for left, right in zip(edges[:-1], edges[1:], strict=True):
        top = 1.0 - float(rng.uniform(0.45, 1.0)) * tallest
        blocks.append((float(left), float(right), top))
        middle, half = (left + right) / 2, (right - left) / 2 - 0.008
        canvas.paint(box(canvas.x - middle, canvas.y - (top + 1.2) / 2, half, (1.2 - top) / 2), colour)
    return blocks


def _neon_city(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.gradient((18, 8, 44), (70, 20, 92))
    layout = int(rng.integers(4))
    lights: list[Colour] = [(255, 60, 180), (60, 220, 255), (255, 210, 70)]
    for number, (left, right, top) in enumerate(_skyline(canvas, layout, (14, 12, 34), 0.72)):
        light, y = lights[number % 3], top + 0.07
        while y < 0.97:
            canvas.paint(box(canvas.x - (left + right) / 2, canvas.y - y, (right - left) * 0.3, 0.018), light)
            y += 0.1


def _falling(
    canvas: Canvas, rng: np.random.Generator, count: int, speed: float, arrangements: int
) -> list[tuple[Array, Array]]:
    """Return the places of falling things over time, from one of a few fixed arrangements."""
    rng = np.random.default_rng(int(rng.integers(arrangements)))
    places = []
    for _ in range(count):
        x, start = float(rng.random()), float(rng.random())
        y = np.mod(start + speed * canvas.t, 1.0) * 1.2 - 0.1
        places.append((over_time(np.full(canvas.frames, x)), y))
    return places


def rain(canvas: Canvas, rng: np.random.Generator, colour: str) -> None:
    """Rain over a neon city at night: slanted bright streaks, fast."""
    _neon_city(canvas, rng)
    for x, y in _falling(canvas, rng, 22, 4.0, 8):
        canvas.paint(segment(canvas.x, canvas.y, x, y, x - 0.03, y + 0.13, 0.008), (170, 200, 255), 0.75)


def snow(canvas: Canvas, rng: np.random.Generator, colour: str) -> None:
    """Snow over a neon city at night: large white flakes that fall slowly."""
    _neon_city(canvas, rng)
    for number, (x, y) in enumerate(_falling(canvas, rng, 14, 0.7, 2)):
        sway = 0.02 * np.sin(2 * np.pi * (canvas.t + number / 7))
        canvas.paint(disc(canvas.x - x - sway, canvas.y - y, 0.036), (250, 250, 255))


def shooting_stars(canvas: Canvas, rng: np.random.Generator, colour: str) -> None:
    """Three shooting stars cross a night sky one after the other, with bright heads and fading tails."""
    canvas.gradient((8, 10, 40), (40, 34, 92))
    _stars(canvas, rng, 22, 0.9)
    for number in range(3):
        run = canvas.t * 2.2 - number * 0.55 - 0.1
        shown = ((run > 0.0) & (run < 1.15)).astype(np.float32)
        x = 0.95 - 0.85 * run - 0.1 * number + float(rng.uniform(-0.05, 0.05))
        y = 0.02 + 0.6 * run + 0.1 * number + float(rng.uniform(-0.05, 0.05))
        for length, opacity in ((0.26, 0.35), (0.17, 0.55), (0.09, 0.9)):
            streak = segment(canvas.x, canvas.y, x, y, x + length, y - length * 0.7, 0.014)
            canvas.paint(streak, (220, 230, 255), shown * opacity)
        canvas.paint(disc(canvas.x - x, canvas.y - y, 0.032), (255, 255, 235), shown)


def _sea(canvas: Canvas, horizon: float, colour: Colour, crest: Colour) -> None:
    canvas.blend(canvas.coverage(horizon - canvas.y), colour)
    for row in range(3):
        y = horizon + 0.1 + 0.14 * row
        wave = 0.018 * np.sin(2 * np.pi * (canvas.x * 2.5 + canvas.t * 2 + row * 0.37))
        canvas.blend(canvas.coverage(np.abs(canvas.y - y - wave) - 0.014), crest)


def _sun_over_sea(canvas: Canvas, height: Array) -> None:
    """Paint sun, sky and sea for a sun at `height` above the horizon: -1 is far below, 1 is high."""
    day = np.clip((height.reshape(-1, 1) + 1.0) / 2, 0.0, 1.0)
    top = (1 - day) * np.array([[34, 26, 84]]) + day * np.array([[110, 180, 245]])
    bottom = (1 - day) * np.array([[210, 70, 70]]) + day * np.array([[255, 214, 130]])
    canvas.gradient(top.astype(np.float32), bottom.astype(np.float32))
    canvas.paint(disc(canvas.x - 0.5, canvas.y - (0.6 - 0.36 * height), 0.13), (255, 214, 80))
    _sea(canvas, 0.6, (26, 70, 130), (70, 120, 180))
    glint = box(canvas.x - 0.5, canvas.y - 0.8, 0.09, 0.2)
    canvas.paint(glint, (255, 200, 100), 0.45 * np.clip(height + 0.6, 0, 1))


def sunrise(canvas: Canvas, rng: np.random.Generator, colour: str) -> None:
    """The sun rises out of the sea and the sky brightens."""
    _sun_over_sea(canvas, -0.8 + 1.7 * canvas.t)


def sunset(canvas: Canvas, rng: np.random.Generator, colour: str) -> None:
    """The sun sinks into the sea and the sky darkens."""
    _sun_over_sea(canvas, 0.9 - 1.7 * canvas.t)


def sailing(canvas: Canvas, rng: np.random.Generator, colour: str) -> None:
    """A boat with a sail crosses the waves from left to right."""
    canvas.gradient((110, 180, 245), (200, 228, 252))
    x = 0.22 + 0.56 * canvas.t
    bob = 0.02 * np.sin(4 * np.pi * canvas.t)
    canvas.paint(disc(canvas.x - 0.82, canvas.y - 0.16, 0.08), (255, 226, 110))
    sail = np.maximum(np.abs(canvas.x - x + 0.02) - (canvas.y - 0.26 - bob) * 0.42, canvas.y - 0.6 - bob)
    canvas.paint(sail, PAINT[colour])
    hull = np.maximum(
        box(canvas.x - x, canvas.y - 0.67 - bob, 0.2, 0.055), np.abs(canvas.x - x) + (canvas.y - 0.8)
    )
    canvas.paint(hull, (120, 66, 30))
    _sea(canvas, 0.7, (30, 96, 170), (120, 180, 225))


def fireworks(canvas: Canvas, rng: np.random.Generator, colour: str) -> None:
    """Two or three bursts of sparks open over a dark skyline and fade."""
    canvas.gradient((8, 8, 30), (30, 20, 60))
    first = str(rng.choice(["red", "yellow", "green", "pink"]))
    tints = [PAINT[first], PAINT["yellow"], (90, 200, 255)]
    for number in range(3):
        life = np.clip((canvas.t - 0.27 * number) / 0.46, 0.0, 1.0)
        alive = ((life > 0.0) & (life < 1.0)).astype(np.float32) * (1.0 - life**3)
        x, y = (0.3, 0.72, 0.5)[number], (0.3, 0.26, 0.4)[number]
        for ray in range(12):
            turn, reach = 2 * np.pi * ray / 12, 0.27 * np.sqrt(life)
            inner = reach * 0.62
            cos, sin = float(np.cos(turn)), float(np.sin(turn))
            streak = segment(
                canvas.x - x, canvas.y - y, inner * cos, inner * sin, reach * cos, reach * sin, 0.016
            )
            canvas.paint(streak, tints[number], alive)
    _skyline(canvas, int(rng.integers(4)), (16, 16, 26), 0.34)


def _car(canvas: Canvas, x: Array, colour: str) -> None:
    canvas.paint(box(canvas.x - x, canvas.y - 0.64, 0.2, 0.065), PAINT[colour])
    canvas.paint(box(canvas.x - x + 0.01, canvas.y - 0.54, 0.11, 0.06), PAINT[colour])
    canvas.paint(box(canvas.x - x + 0.01, canvas.y - 0.545, 0.085, 0.036), (190, 225, 245))
    for wheel in (-0.11, 0.11):
        canvas.paint(disc(canvas.x - x - wheel, canvas.y - 0.71, 0.055), (20, 20, 24))
        canvas.paint(disc(canvas.x - x - wheel, canvas.y - 0.71, 0.022), (180, 180, 185))


def _road(canvas: Canvas, tarmac: Colour) -> None:
    canvas.paint(box(canvas.x - 0.5, canvas.y - 0.84, 0.6, 0.13), tarmac)
    dash = np.mod(canvas.x, 0.25) - 0.125
    canvas.paint(box(dash, canvas.y - 0.86, 0.06, 0.014), (235, 235, 220))


def car_by_day(canvas: Canvas, rng: np.random.Generator, colour: str) -> None:
    """A car drives from left to right along a road on a sunny day."""
    canvas.gradient((110, 180, 245), (200, 228, 252))
    canvas.paint(disc(canvas.x - 0.15, canvas.y - 0.17, 0.09), (255, 226, 90))
    canvas.paint(box(canvas.x - 0.5, canvas.y - 0.86, 0.6, 0.24), (96, 176, 80))
    _road(canvas, (92, 92, 98))
    _car(canvas, 0.18 + 0.64 * canvas.t, colour)


def car_by_night(canvas: Canvas, rng: np.random.Generator, colour: str) -> None:
    """A car drives from left to right at night with its headlights on."""
    canvas.gradient((8, 10, 36), (30, 32, 72))
    canvas.paint(disc(canvas.x - 0.82, canvas.y - 0.18, 0.08), (240, 240, 215))
    canvas.paint(box(canvas.x - 0.5, canvas.y - 0.86, 0.6, 0.24), (18, 30, 28))
    _road(canvas, (44, 44, 52))
    x = 0.18 + 0.64 * canvas.t
    reach = canvas.x - x - 0.19
    beam = np.maximum(np.abs(canvas.y - 0.65) - 0.02 - 0.25 * reach, np.abs(reach - 0.16) - 0.16)
    canvas.paint(beam, (255, 240, 150), 0.75)
    _car(canvas, x, colour)


def fish(canvas: Canvas, rng: np.random.Generator, colour: str) -> None:
    """A fish swims from left to right under water while bubbles rise."""
    canvas.gradient((40, 150, 200), (10, 60, 120))
    canvas.paint(box(canvas.x - 0.5, canvas.y - 0.97, 0.6, 0.06), (214, 190, 130))
    x, y = 0.2 + 0.6 * canvas.t, 0.5 + 0.04 * np.sin(4 * np.pi * canvas.t)
    wag = 0.03 * np.sin(8 * np.pi * canvas.t)
    tail = np.maximum(np.abs(canvas.y - y - wag) - (x - 0.12 - canvas.x) * 0.9, x - 0.27 - canvas.x)
    canvas.paint(tail, PAINT[colour])
    canvas.paint(ellipse(canvas.x - x, canvas.y - y, 0.17, 0.105), PAINT[colour])
    canvas.paint(disc(canvas.x - x - 0.09, canvas.y - y + 0.025, 0.026), (250, 250, 250))
    canvas.paint(disc(canvas.x - x - 0.095, canvas.y - y + 0.025, 0.013), (10, 10, 10))
    for number in range(5):
        bx = 0.12 + 0.19 * number + float(rng.uniform(-0.04, 0.04))
        by = 1.0 - np.mod(canvas.t + number * 0.37, 1.0) * 1.05
        canvas.paint(np.abs(disc(canvas.x - bx, canvas.y - by, 0.03)) - 0.009, (200, 235, 255))


def campfire(canvas: Canvas, rng: np.random.Generator, colour: str) -> None:
    """A campfire flickers at night; sparks rise from it."""
    canvas.gradient((8, 8, 24), (32, 20, 28))
    canvas.paint(disc(canvas.x - 0.5, (canvas.y - 0.66) * 1.1, 0.34), (90, 40, 20), 0.6)
    tints: list[Colour] = [(235, 80, 20), (250, 150, 30), (255, 226, 110)]
    for layer, tint in enumerate(tints):
        size = 1.0 - 0.27 * layer
        flicker = 0.08 * np.sin(2 * np.pi * (canvas.t * 4 + layer * 0.31))
        height = (0.42 + flicker) * size
        lean = 0.04 * np.sin(2 * np.pi * (canvas.t * 3 + layer * 0.2))
        rise = np.clip((0.78 - canvas.y) / height, 0.0, 1.4)
        half = 0.17 * size * (1.0 - rise) * (0.75 + 0.9 * rise)
        flame = np.maximum(np.abs(canvas.x - 0.5 - lean * rise) - half, canvas.y - 0.78)
        canvas.paint(flame, tint)
    canvas.paint(segment(canvas.x, canvas.y, 0.28, 0.86, 0.72, 0.78, 0.035), (92, 52, 26))
    canvas.paint(segment(canvas.x, canvas.y, 0.28, 0.78, 0.72, 0.86, 0.035), (116, 66, 34))
    for number in range(5):
        life = np.mod(canvas.t * 1.5 + number * 0.2, 1.0)
        sx = 0.4 + 0.05 * number + 0.04 * np.sin(9 * life + number)
        canvas.paint(disc(canvas.x - sx, canvas.y - 0.5 + 0.42 * life, 0.013), (255, 190, 70), 1.0 - life)


def planet(canvas: Canvas, rng: np.random.Generator, colour: str) -> None:
    """A planet among stars, with a moon that moves around it, first in front and then behind."""
    canvas.gradient((4, 4, 14), (10, 8, 28))
    _stars(canvas, rng, 20, 1.0)
    turn = 2 * np.pi * canvas.t
    x, y = 0.5 + 0.38 * np.cos(turn), 0.5 + 0.13 * np.sin(turn)
    moon = disc(canvas.x - x, canvas.y - y, 0.065)
    behind = (np.sin(turn) < 0).astype(np.float32)
    canvas.paint(moon, (210, 210, 214), behind)
    canvas.paint(disc(canvas.x - 0.5, canvas.y - 0.5, 0.24), PAINT[colour])
    shade = np.maximum(
        disc(canvas.x - 0.5, canvas.y - 0.5, 0.24), -disc(canvas.x - 0.42, canvas.y - 0.44, 0.27)
    )
    canvas.paint(shade, (0, 0, 10), 0.5)
    canvas.paint(moon, (210, 210, 214), 1.0 - behind)


def bird(canvas: Canvas, rng: np.random.Generator, colour: str) -> None:
    """A bird flaps over green hills from left to right."""
    canvas.gradient((120, 190, 248), (214, 236, 252))
    canvas.paint(disc(canvas.x - 0.82, canvas.y - 0.17, 0.08), (255, 226, 90))
    for middle, width, tint in ((0.2, 0.55, (96, 170, 90)), (0.85, 0.6, (66, 146, 72))):
        canvas.paint(ellipse(canvas.x - middle, canvas.y - 1.02, width, 0.34), tint)
    x, y = 0.18 + 0.64 * canvas.t, 0.36 + 0.03 * np.sin(4 * np.pi * canvas.t)
    flap = 0.13 * np.cos(2 * np.pi * 4 * canvas.t)
    for side in (-1.0, 1.0):
        wing = segment(canvas.x, canvas.y, x, y, x + side * 0.15, y - flap, 0.026)
        canvas.paint(wing, (40, 40, 48))
    canvas.paint(ellipse(canvas.x - x, canvas.y - y, 0.085, 0.045), (40, 40, 48))


@dataclass(frozen=True)
class Scene:
    """The paint function of one scene, and the colours of its subject."""

    paint: Callable[[Canvas, np.random.Generator, str], None]
    colours: tuple[str, ...] = ("",)


SCENES: dict[str, Scene] = {
    "shooting stars": Scene(shooting_stars),
    "rain": Scene(rain),
    "snow": Scene(snow),
    "sunrise": Scene(sunrise),
    "sunset": Scene(sunset),
    "sailing": Scene(sailing, ("white", "red", "yellow")),
    "fireworks": Scene(fireworks),
    "car by day": Scene(car_by_day, ("red", "blue", "yellow", "green", "white")),
    "car by night": Scene(car_by_night, ("red", "blue", "yellow", "green", "white")),
    "fish": Scene(fish, ("orange", "yellow", "red", "pink", "purple")),
    "campfire": Scene(campfire),
    "planet": Scene(planet, ("red", "orange", "blue", "green", "purple")),
    "bird": Scene(bird),
}
