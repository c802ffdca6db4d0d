"""Measures a clip with one shape: its colour, motion, shape and background, and flicker.

No part of it is learnt. The background is the known one nearest to most pixels. The shape is the set of pixels that
differ from it. Its colour is the palette colour nearest to its median pixel. Its motion follows from the path of its
centroid, its area, and the rotation of its outline. Its kind is the drawn outline with the best overlap. On rendered
clips the answers are nearly always right (the evaluation prints the share). So on generated clips they measure the
model.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scripts.demo_model.draw import Canvas, rotated
from scripts.demo_model.world import BACKGROUNDS, COLOURS, SHAPES, shape_distance

Frames = NDArray[np.uint8]
Floats = NDArray[np.float64]

DIFFERENT = 60.0
"""A pixel with a larger RGB distance from the background belongs to the shape. Shapes differ by 100 or more."""
LEAST_AREA = 0.004
"""A smaller share of the frame counts as no shape: half the area of the smallest shape ever drawn."""


@dataclass(frozen=True)
class Measured:
    """The measurement of a clip; "none" if no shape is visible.

    Flicker is in grey levels, 0 to 255. `fit` is the overlap of the shape with the outline of its name: their
    intersection divided by their union, 0 to 1.
    """

    colour: str
    motion: str
    shape: str
    background: str
    flicker: float
    fit: float = 0.0


def measure(frames: Frames) -> Measured:
    """Measure a clip, uint8 (F, H, W, 3), that should show one shape on a plain background."""
    background, distance = _nearest_background(frames)
    mask = _without_specks(distance > DIFFERENT)
    flicker = _flicker(frames, mask)
    areas = mask.mean(axis=(1, 2))
    if (areas < LEAST_AREA).mean() > 0.25:
        return Measured("none", "none", "none", background, flicker)
    shape, fit = _shape(mask, areas)
    return Measured(_colour(frames, mask), _motion(mask, areas), shape, background, flicker, fit)


def measure_pair(frames: Frames) -> tuple[Measured, Measured]:
    """Measure a clip that should show two shapes of different colours, the left one and the right one.

    The pixels well inside each side give its colour. Then every pixel belongs to the side with the nearer colour,
    because a growing shape may cross the middle. Flicker is for both together.
    """
    background, distance = _nearest_background(frames)
    mask = _without_specks(distance > DIFFERENT)
    flicker = _flicker(frames, mask)
    places = (np.arange(mask.shape[2]) + 0.5) / mask.shape[2]
    sides = [mask & (places < 0.45), mask & (places > 0.55)]
    if any((side.mean(axis=(1, 2)) < LEAST_AREA).mean() > 0.25 for side in sides):
        nothing = Measured("none", "none", "none", background, flicker)
        return nothing, nothing
    left, right = (_colour(frames, side) for side in sides)
    if left != right:
        apart = [np.linalg.norm(frames - np.asarray(COLOURS[name], np.float64), axis=-1) for name in (left, right)]
        nearer = apart[0] < apart[1]
        sides = [_without_specks(mask & nearer), _without_specks(mask & ~nearer)]
    found = []
    for colour, side in zip((left, right), sides, strict=True):
        areas = side.mean(axis=(1, 2))
        shape, fit = _shape(side, areas)
        found.append(Measured(colour, _motion(side, areas), shape, background, flicker, fit))
    return found[0], found[1]


def _nearest_background(frames: Frames) -> tuple[str, Floats]:
    """Return the background's name and the RGB distance of every pixel from it."""
    pixels = frames.astype(np.float64)
    found = {}
    for name, ends in BACKGROUNDS.items():
        canvas = Canvas(1, frames.shape[1])
        canvas.gradient(*ends)
        found[name] = np.linalg.norm(pixels - canvas.pixels[0], axis=-1)
    name = min(found, key=lambda key: float(np.minimum(found[key], 120.0).mean()))
    return name, found[name]


def _neighbours(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each pixel, count the set pixels in the 3 x 3 block around it. Masks have the shape (F, H, W)."""
    padded = np.pad(mask.astype(np.int64), ((0, 0), (1, 1), (1, 1)), mode="edge")
    height, width = mask.shape[1:]
    return sum(
        (padded[:, dy : dy + height, dx : dx + width] for dy in range(3) for dx in range(3)),
        start=np.zeros(mask.shape, np.int64),
    )


def _without_specks(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return mask & (_neighbours(mask) >= 5)


def _flicker(frames: Frames, mask: NDArray[np.bool_]) -> float:
    """Mean absolute change from frame to frame, outside the shape and its rim in both frames."""
    near = _neighbours(_neighbours(mask) > 0) > 0
    outside = ~(near[1:] | near[:-1])
    change = np.abs(frames[1:].astype(np.float64) - frames[:-1]).mean(axis=-1)
    return float(change[outside].mean()) if outside.any() else 0.0


def _colour(frames: Frames, mask: NDArray[np.bool_]) -> str:
    inside = _neighbours(mask) == 9
    pixels = frames[inside if inside.sum() > 50 else mask].astype(np.float64)
    middle = np.median(pixels, axis=0)
    return min(COLOURS, key=lambda name: float(np.linalg.norm(middle - np.asarray(COLOURS[name]))))


def _centroids(mask: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return the centroid's x and y for each frame, 0 to 1; frames without a shape get the mean."""
    size = mask.shape[1]
    places = (np.arange(size) + 0.5) / size
    count = mask.sum(axis=(1, 2))
    shown = np.maximum(count, 1)
    x = (mask.sum(axis=1) * places).sum(axis=1) / shown
    y = (mask.sum(axis=2) * places).sum(axis=1) / shown
    seen = count > 0
    return np.where(seen, x, x[seen].mean()), np.where(seen, y, y[seen].mean())


def _turned(mask: NDArray[np.bool_], x: Floats, y: Floats) -> float:
    """The rotation of the outline over the clip, in degrees, from the phase of its strongest symmetry."""
    size = mask.shape[1]
    places = (np.arange(size) + 0.5) / size
    dx, dy = places[None, None, :] - x[:, None, None], places[None, :, None] - y[:, None, None]
    reach = np.sqrt(dx**2 + dy**2)
    angle = np.arctan2(dy, dx)
    scale = np.sqrt((mask * reach**2).sum(axis=(1, 2)) / np.maximum(mask.sum(axis=(1, 2)), 1))
    most, best = 0.0, 0.0
    for order, least in ((3, 0.1), (4, 0.1), (5, 0.1)):
        weight = mask * (reach / np.maximum(scale, 1e-6)[:, None, None]) ** order
        moment = (weight * np.exp(1j * order * angle)).sum(axis=(1, 2)) / np.maximum(
            weight.sum(axis=(1, 2)), 1e-9
        )
        strength = float(np.median(np.abs(moment)))
        if strength > max(most, least):
            steps = np.angle(moment[1:] * np.conj(moment[:-1]))
            most, best = strength, abs(float(np.degrees(steps.sum()))) / order
    return best


def _motion(mask: NDArray[np.bool_], areas: Floats) -> str:
    x, y = _centroids(mask)
    wide, high = float(np.ptp(x)), float(np.ptp(y))
    change = areas[-3:].mean() / max(float(areas[:3].mean()), LEAST_AREA / 2)
    if change > 2.0 or change < 0.5:
        return "growing" if change > 1 else "shrinking"
    turns = np.unwrap(np.arctan2(y - (y.max() + y.min()) / 2, x - (x.max() + x.min()) / 2))
    if min(wide, high) > 0.2 and abs(float(turns[-1] - turns[0])) > np.radians(240):
        return "circling"
    travelled, net = float(np.abs(np.diff(y)).sum()), float(y[-3:].mean() - y[:3].mean())
    if high > 0.2 and wide < 0.5 * high and travelled > 2.2 * high:
        return "bouncing"
    across = float(x[-3:].mean() - x[:3].mean())
    if max(abs(across), abs(net)) > 0.22:
        if abs(across) > 2 * abs(net):
            return "right" if across > 0 else "left"
        if abs(net) > 2 * abs(across):
            return "down" if net > 0 else "up"
        return "other"
    if max(wide, high) > 0.2:
        return "other"
    return "spinning" if _turned(mask, x, y) > 120.0 else "still"


def _outlines(size: int) -> dict[str, list[tuple[float, float, float, float]]]:
    """For each shape and turn: (angle, area for radius 1, centroid offset x and y for radius 1)."""
    grid = (np.arange(256) + 0.5) / 256 * 4 - 2
    x, y = np.meshgrid(grid, grid)
    table: dict[str, list[tuple[float, float, float, float]]] = {}
    for shape in SHAPES:
        rows = []
        for angle in np.arange(0, 360, 15) if shape not in ("ball", "ring") else (0,):
            turned = rotated(x, y, np.radians(angle))
            inside = np.asarray(shape_distance(shape, *turned, np.float32(1.0))) < 0
            area = float(inside.mean()) * 16
            rows.append((float(np.radians(angle)), area, float(x[inside].mean()), float(y[inside].mean())))
        table[shape] = rows
    return table


OUTLINES = _outlines(64)


def _shape(mask: NDArray[np.bool_], areas: Floats) -> tuple[str, float]:
    """Return the shape whose drawn outline, at the same place and size, overlaps the mask best, and the overlap."""
    size = mask.shape[1]
    moments = np.argsort(-areas, kind="stable")[: min(6, max(4, len(areas) // 2))]
    xs, ys = _centroids(mask)
    places = (np.arange(size, dtype=np.float32) + 0.5) / size
    score = {}
    for shape, rows in OUTLINES.items():
        total = 0.0
        for moment in moments:
            best = 0.0
            for angle, area, offset_x, offset_y in rows:
                radius = np.float32(np.sqrt(areas[moment] / area))
                x = places[None, :] - (xs[moment] - offset_x * radius)
                y = places[:, None] - (ys[moment] - offset_y * radius)
                drawn = np.asarray(shape_distance(shape, *rotated(x, y, angle), radius)) < 0
                both, either = (drawn & mask[moment]).sum(), (drawn | mask[moment]).sum()
                best = max(best, float(both / max(either, 1)))
            total += best
        score[shape] = total / len(moments)
    name = max(score, key=lambda each: score[each])
    return name, score[name]
