"""What the denoising loop asks at each step: what the model predicts, guidance included."""

from typing import Protocol

import torch


class Prediction(Protocol):
    """The model with one video's prompts, for the steps of one run."""

    def begin(self, timesteps: torch.Tensor) -> None:
        """Get ready for a run of these steps; nothing of an earlier run is left."""

    def whole(self, index: int) -> bool:
        """Whether step `index` needs nothing of the steps before it but the latents."""

    def __call__(self, latents: torch.Tensor, index: int) -> torch.Tensor:
        """What the model predicts at step `index` for latents (1, C, F, h, w), in their shape."""


def guided(output: torch.Tensor, guidance_scale: float) -> torch.Tensor:
    """Away from what the negative prompt predicts, where there are two predictions (2, C, F, h, w)."""
    if output.shape[0] == 1:
        return output
    without, along = output.chunk(2)
    return without + guidance_scale * (along - without)
