"""Twice the size with the same latents: one more level around a finished autoencoder.

The new autoencoder encodes frames of the full size into the latents of the half-size frames, and decodes these
latents to the full size. So the denoiser does not change, and a clip of four times the pixels costs more only in
decoding. The edges in this world are always sharp. So a latent with the place of an edge to half a pixel holds enough
for the larger frame.
"""

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch.nn import functional

from scripts.demo_model.autoencoder import build_autoencoder
from scripts.demo_model.dataset import to_pixels
from scripts.demo_model.recipe import Recipe


def halved_pixels(frames: NDArray[np.uint8]) -> torch.Tensor:
    """Turn uint8 frames (N, F, H, W, 3) into float32 (N, F, 3, H/2, W/2) from -1 to 1: means of 2 x 2 pixels."""
    pixels = to_pixels(frames)
    return functional.avg_pool2d(pixels.flatten(0, 1), 2).unflatten(0, pixels.shape[:2])


def grown_autoencoder(recipe: Recipe, small: AutoencoderKL) -> AutoencoderKL:
    """Build an autoencoder with the weights of `small` and one more level; the new level is untrained.

    Raises ValueError: the recipe's channels are not one new level followed by those of `small`.
    """
    kept = tuple(small.config.block_out_channels)
    if recipe.vae_channels[1:] != kept:
        raise ValueError(f"a recipe of channels {recipe.vae_channels} does not grow out of {kept}")
    large = build_autoencoder(recipe)
    inside = {_moved(name): value for name, value in small.state_dict().items()}
    own = large.state_dict()
    fitting = {name: value for name, value in inside.items() if name in own and own[name].shape == value.shape}
    large.load_state_dict(own | fitting)
    large.register_to_config(scaling_factor=small.config.scaling_factor)
    return large.eval()


def _moved(name: str) -> str:
    """The name in the large autoencoder: level n of the small encoder is level n + 1 there."""
    before = "encoder.down_blocks."
    if not name.startswith(before):
        return name
    level, rest = name.removeprefix(before).split(".", 1)
    return f"{before}{int(level) + 1}.{rest}"
