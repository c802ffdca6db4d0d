"""Antialiased drawing of complete clips at once: signed distances on a pixel grid, blended over the frames.

Coordinates run from 0 to 1 (x to the right, y downwards), so the same drawing works at every size. A shape is a
signed distance (negative inside). Its coverage of a pixel is this distance in pixels, clamped to the width of one
pixel. Supersampling converges to the same result, but this needs no extra samples. All code is vectorised over the
frames: a time-dependent quantity has the shape (F, 1, 1).
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Colour = tuple[int, int, int]
"""An sRGB colour, 0 to 255 per channel."""


def over_time(values: object) -> Array:
    """Turn F numbers, one for each frame, into an array of shape (F, 1, 1) that broadcasts over pixels."""
    return np.asarray(values, dtype=np.float32).reshape(-1, 1, 1)


class Canvas:
    """F frames of size x size pixels, painted back to front."""

    def __init__(self, frames: int, size: int) -> None:
        """Start with black frames; `t` is the clip's time from 0 (first frame) to 1 (last), shape (F, 1, 1)."""
        self.frames, self.size = frames, size
        centres = (np.arange(size, dtype=np.float32) + 0.5) / size
        self.x: Array = centres.reshape(1, 1, size)
        self.y: Array = centres.reshape(1, size, 1)
        self.t: Array = over_time(np.linspace(0.0, 1.0, frames) if frames > 1 else [0.0])
        self.pixels: Array = np.zeros((frames, size, size, 3), np.float32)

    def gradient(self, top: Colour | Array, bottom: Colour | Array) -> None:
        """Fill all frames with a vertical gradient. Its ends are colours, or (F, 3) arrays that change in time."""
        upper = np.asarray(top, np.float32).reshape(-1, 1, 1, 3)
        lower = np.asarray(bottom, np.float32).reshape(-1, 1, 1, 3)
        height = self.y[..., None]
        self.pixels[:] = upper * (1 - height) + lower * height

    def coverage(self, distance: Array) -> Array:
        """The share of each pixel inside a shape, 0 to 1, from its signed distance."""
        return np.clip(0.5 - distance * self.size, 0.0, 1.0)

    def paint(self, distance: Array, colour: Colour, opacity: float | Array = 1.0) -> None:
        """Blend one colour over the frames where `distance` (broadcastable to (F, H, W)) is negative."""
        self.blend(self.coverage(distance) * opacity, colour)

    def blend(self, alpha: Array, colour: Colour) -> None:
        """Blend one colour over the frames with an opacity of 0 to 1 per pixel."""
        weight = np.broadcast_to(alpha, self.pixels.shape[:3])[..., None]
        self.pixels += weight * (np.asarray(colour, np.float32) - self.pixels)

    def result(self) -> NDArray[np.uint8]:
        """Return the frames as uint8, shape (F, H, W, 3)."""
        return np.clip(self.pixels + 0.5, 0, 255).astype(np.uint8)


def disc(x: Array, y: Array, radius: float | Array) -> Array:
    """Signed distance to a disc around the origin."""
    return np.sqrt(x * x + y * y) - radius


def ellipse(x: Array, y: Array, rx: float | Array, ry: float | Array) -> Array:
    """Signed distance to an axis-aligned ellipse; it is exact only near the outline."""
    reach = np.sqrt((x / rx) ** 2 + (y / ry) ** 2)
    return (reach - 1.0) * np.minimum(rx, ry)


def box(x: Array, y: Array, half_width: float | Array, half_height: float | Array) -> Array:
    """Signed distance to an axis-aligned rectangle around the origin."""
    return np.maximum(np.abs(x) - half_width, np.abs(y) - half_height)


def segment(
    x: Array, y: Array, ax: object, ay: object, bx: object, by: object, radius: float | Array
) -> Array:
    """Signed distance to a thick line from (ax, ay) to (bx, by) with round ends."""
    dx, dy = np.subtract(bx, ax), np.subtract(by, ay)
    along = np.clip(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy + 1e-9), 0.0, 1.0)
    return np.sqrt((x - ax - along * dx) ** 2 + (y - ay - along * dy) ** 2) - radius


def polygon(x: Array, y: Array, corners: int, radius: float | Array) -> Array:
    """Signed distance to a regular polygon with one corner pointing up."""
    sector = 2 * np.pi / corners
    angle = np.arctan2(x, -y)
    folded = angle - sector * np.round(angle / sector)
    inner = radius * np.cos(sector / 2)
    return np.sqrt(x * x + y * y) * np.cos(sector / 2 - np.abs(folded)) - inner


def star(x: Array, y: Array, radius: float | Array, inner: float = 0.45) -> Array:
    """Signed distance to a five-pointed star with one point up; `inner` is its notch radius divided by its radius."""
    sector = 2 * np.pi / 5
    angle = np.arctan2(x, -y)
    folded = np.abs(angle - sector * np.round(angle / sector))
    reach = np.sqrt(x * x + y * y)
    px, py = reach * np.sin(folded), reach * np.cos(folded)
    nx, ny = inner * np.sin(sector / 2), inner * np.cos(sector / 2)
    ex, ey = nx, ny - 1.0
    length = np.hypot(ex, ey)
    return (px * (-ey) + (py - radius) * ex) / length


def heart(x: Array, y: Array, radius: float | Array) -> Array:
    """Signed distance to a heart that fits a circle of the given radius, point down (after Inigo Quilez)."""
    scale = radius / 0.62
    px, py = np.abs(x) / scale, 0.55 - y / scale
    lobe = np.sqrt((px - 0.25) ** 2 + (py - 0.75) ** 2) - np.sqrt(2.0) / 4
    half = 0.5 * np.maximum(px + py, 0.0)
    flank = np.sqrt(np.minimum(px**2 + (py - 1.0) ** 2, (px - half) ** 2 + (py - half) ** 2)) * np.sign(
        px - py
    )
    return np.where(px + py > 1.0, lobe, flank) * scale


def rotated(x: Array, y: Array, angle: float | Array) -> tuple[Array, Array]:
    """Rotate coordinates so that a drawing in them appears rotated clockwise by `angle` radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    return x * cos + y * sin, y * cos - x * sin
