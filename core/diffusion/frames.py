"""Latents become frames, and what is no picture is found."""

import numpy as np
import torch

from core.cost import DECODED_PIXELS
from core.diffusion.loader import Pipeline
from core.errors import InvalidFrames
from core.progress import OnProgress, Progress

FLAT_LEVELS = 2
"""A clip whose values stay within this many of 255 levels shows nothing."""


def decode(pipeline: Pipeline, latents: torch.Tensor, on_progress: OnProgress) -> np.ndarray:
    """Latents (1, C, F, h, w) as frames (F, H, W, 3) uint8, a few frames at a time.

    The rounding is that of the stock pipeline: x / 2 + 0.5, clamped to [0, 1], times 255, to the nearest.
    """
    scaled = (1 / pipeline.vae.config.scaling_factor * latents)[0].permute(1, 0, 2, 3)
    num_frames, _, height, width = scaled.shape
    pixels = height * width * pipeline.pixels_per_latent**2
    chunk = max(1, DECODED_PIXELS // pixels)
    frames: list[np.ndarray] = []
    for start in range(0, num_frames, chunk):
        image = pipeline.vae.decode(scaled[start:start + chunk], return_dict=False)[0].float()
        check_finite(image)
        colours = (image * 0.5 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
        for frame in (colours * 255).round().to(torch.uint8).cpu().numpy():
            frames.append(frame)
            on_progress(Progress("decoding", len(frames), num_frames))
    return np.ascontiguousarray(np.stack(frames))


def check_finite(values: torch.Tensor) -> None:
    """Raise InvalidFrames where a value is not a number, or infinite."""
    if not bool(torch.isfinite(values).all()):
        raise InvalidFrames("The model produced values that are not numbers, so there is no picture to keep. "
                            "Try another scheduler, a lower guidance scale or more steps.")


def check_not_flat(frames: np.ndarray) -> None:
    """Raise InvalidFrames where frames (F, H, W, 3) show nothing."""
    low, high = frames.min(axis=(0, 1, 2)).astype(int), frames.max(axis=(0, 1, 2)).astype(int)
    if (high - low <= FLAT_LEVELS).all():
        raise InvalidFrames("The model produced a clip of one flat colour. Try another seed, another prompt or "
                            "more steps.")
