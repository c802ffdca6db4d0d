"""The gallery's pictures of a video before it plays: a still and a small moving picture, both WebP."""

import io

import numpy as np
from PIL import Image

ANIMATION_WIDTH, POSTER_WIDTH = 160, 640


def poster(frames: np.ndarray) -> bytes:
    """A WebP of the frame with the most detail. First frames look similar, and flat frames show too little."""
    luma = frames[..., 1].astype(np.int16)
    detail = np.abs(np.diff(luma, axis=1)).sum((1, 2)) + np.abs(np.diff(luma, axis=2)).sum((1, 2))
    image = _shrunk(frames[int(detail.argmax())], POSTER_WIDTH)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=88, method=4)
    return out.getvalue()


def animation(frames: np.ndarray, fps: float) -> bytes:
    """A small animated WebP of all frames, at most 160 pixels wide, looping at the speed of the video.

    Only its first frame is a key frame, because it is played from the beginning. If the encoder may choose more key
    frames, it encodes frames twice to compare.
    """
    images = [_shrunk(frame, ANIMATION_WIDTH) for frame in frames]
    out = io.BytesIO()
    images[0].save(out, "WEBP", save_all=True, append_images=images[1:], duration=round(1000 / fps),
                   quality=70, method=1, kmin=0, kmax=0)
    return out.getvalue()


def _shrunk(frame: np.ndarray, width: int) -> Image.Image:
    image = Image.fromarray(frame)
    if image.width <= width:
        return image
    return image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.BOX)
