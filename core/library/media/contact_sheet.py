"""Several short clips side by side as one moving picture: small tiles, numbered in the order they were made."""

import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

TILE, GAP, BADGE = 192, 6, 26
_EMPTY = (127, 127, 127, 48)


def columns(count: int) -> int:
    """The number of tiles in a row: 2 for 4 tiles, 3 for 6 or 9."""
    return math.ceil(math.sqrt(count))


def tile(frames: np.ndarray) -> np.ndarray:
    """A clip in its size for a sheet: uint8 (F, h, w, 3), the longer side has `TILE` pixels."""
    height, width = frames.shape[1:3]
    size = (max(1, TILE * width // max(width, height)), max(1, TILE * height // max(width, height)))
    how = Image.Resampling.BOX if max(width, height) > 2 * TILE else Image.Resampling.BICUBIC
    return np.stack([np.asarray(Image.fromarray(frame).resize(size, how)) for frame in frames])


def contact_sheet(tiles: Sequence[np.ndarray | None], fps: int, method: int = 2) -> bytes:
    """An animated WebP of all tiles, looping at the speed of the videos.

    Args:
        tiles: results of `tile`, all of one shape, at least one; None: an empty place.
        method: effort of the encoder, 0 (fast) to 6.
    """
    count, height, width = next(clip for clip in tiles if clip is not None).shape[:3]
    across = columns(len(tiles))
    down = math.ceil(len(tiles) / across)
    size = (across * (width + GAP) - GAP, down * (height + GAP) - GAP)
    places = [(number % across * (width + GAP), number // across * (height + GAP)) for number in range(len(tiles))]
    badges = [_badge(number + 1) for number in range(len(tiles))]
    images = []
    for index in range(count):
        image = Image.new("RGBA", size, (0, 0, 0, 0))
        for clip, place, badge in zip(tiles, places, badges, strict=True):
            if clip is None:
                image.paste(_EMPTY, (*place, place[0] + width, place[1] + height))
            else:
                image.paste(Image.fromarray(clip[index]), place)
            image.alpha_composite(badge, place)
        images.append(image)
    out = io.BytesIO()
    images[0].save(out, "WEBP", save_all=True, append_images=images[1:], duration=round(1000 / fps), loop=0,
                   quality=80, method=method, kmin=0, kmax=0)
    return out.getvalue()


def _badge(number: int) -> Image.Image:
    badge = Image.new("RGBA", (BADGE, BADGE), (0, 0, 0, 150))
    ImageDraw.Draw(badge).text((BADGE / 2, BADGE / 2), str(number), fill="white", anchor="mm",
                               font=ImageFont.load_default(16))
    return badge
