"""Latents of the family become frames, a few at a time: through the VAE."""

from typing import Any

import numpy as np
import torch

from core.diffusion.frames import gather
from core.diffusion.model import OnDecoded
from core.domain.modes import DECODED_PIXELS, REFERENCE_PIXELS, ModeSpec
from core.domain.recipe import Size


def pixels_per_latent(vae: Any) -> int:
    """Pixels along a side that one latent becomes, as the loaded VAE has it."""
    return 1 << (len(vae.config.block_out_channels) - 1)


def decode(vae: Any, latents: torch.Tensor, mode: ModeSpec, on_decoded: OnDecoded) -> np.ndarray:
    """Latents (1, C, F, h, w) as frames (F, H, W, 3) uint8.

    The number of frames decoded at once decides the last bit of a frame, so reference mode has a separate number.
    """
    scaled = (1 / vae.config.scaling_factor * latents)[0].permute(1, 0, 2, 3)
    num_frames, _, high, wide = scaled.shape
    side = pixels_per_latent(vae)
    size = Size(num_frames, high * side, wide * side)
    pixels = DECODED_PIXELS[latents.device.type] if mode.network else REFERENCE_PIXELS
    count = max(1, pixels // size.area)
    images = (vae.decode(scaled[start:start + count], return_dict=False)[0] for start in range(0, num_frames, count))
    return gather(images, size, latents.device, on_decoded)
