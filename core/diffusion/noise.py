"""A seed becomes noise: the same for every GPU beside one processor, and the same beginning for every length.

A processor without AVX2 draws other last bits from the same seed. So a receipt stores the hash of the noise.

The noise is drawn on the CPU in float32, because generators of GPUs differ from model to model. It is drawn frame
by frame, because then the noise of 16 frames is the beginning of the noise of 24 frames.
"""

import hashlib

import torch


def draw(seed: int, num_frames: int, channels: int, height: int, width: int) -> torch.Tensor:
    """The initial noise of one video.

    Args:
        seed: 0 to 2**63 - 1.
        channels, height, width: of the latents.

    Returns:
        (1, channels, num_frames, height, width) float32 on the CPU, contiguous, unit variance.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    frames = [torch.randn((channels, height, width), generator=generator, dtype=torch.float32)
              for _ in range(num_frames)]
    return torch.stack(frames, dim=1).unsqueeze(0)


def sha256(noise: torch.Tensor) -> str:
    """SHA-256 of noise (1, C, F, h, w), over its float32 bytes in the order (F, C, h, w), in hexadecimal."""
    frames = noise[0].permute(1, 0, 2, 3).contiguous()
    return hashlib.sha256(frames.numpy().astype("<f4", copy=False).tobytes()).hexdigest()
