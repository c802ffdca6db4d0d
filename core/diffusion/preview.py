"""Latents become a small moving picture, without the decoder: one matrix from latent channels to colours.

A preview is optional: if it cannot be made, the job continues without it.
"""

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

LONG_SIDE = 128
FRAME_MS = 125


@dataclass(frozen=True)
class Factors:
    """A linear map from scaled latents to RGB in [0, 1]: one (r, g, b) a latent channel, and a bias."""

    matrix: tuple[tuple[float, float, float], ...]
    bias: tuple[float, float, float] = (0.5, 0.5, 0.5)


def strip(latents: torch.Tensor, factors: Factors, decoded: Sequence[np.ndarray] = ()) -> bytes | None:
    """All frames as a small animated WebP that loops.

    Args:
        latents: (F, C, h, w), scaled, of any device and dtype; non-finite values are allowed.
        decoded: the frames decoded so far, from the first one, uint8 (H, W, 3) each.

    Returns:
        The file, its longer side `LONG_SIDE` pixels; None if it cannot be made.
    """
    try:
        values = latents.float().cpu()
        matrix = torch.tensor(factors.matrix, dtype=torch.float32)
        colours = torch.einsum("fchw,cr->fhwr", values, matrix) + torch.tensor(factors.bias)
        pixels = colours.nan_to_num(0.5).clamp(0, 1).mul(255).round().to(torch.uint8).numpy()
        height, width = pixels.shape[1:3]
        size = (max(1, LONG_SIDE * width // max(width, height)), max(1, LONG_SIDE * height // max(width, height)))
        images = [Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR)
                  for frame in (*decoded, *pixels[len(decoded):])]
        file = io.BytesIO()
        # kmax=0: only the first frame is a key frame; every other one would be encoded twice to compare sizes
        images[0].save(file, "WEBP", save_all=True, append_images=images[1:], duration=FRAME_MS, loop=0,
                       quality=60, method=0, kmin=0, kmax=0)
        return file.getvalue()
    except (RuntimeError, ValueError, OSError, MemoryError) as error:
        logging.getLogger(__name__).warning("A preview could not be made: %s", error)
        return None
