"""The question of the denoising loop at each step: the prediction of the model, guidance included."""

from typing import Protocol

import torch


class Prediction(Protocol):
    """The model with one video's prompts, for the steps of one run."""

    def begin(self, timesteps: torch.Tensor) -> None:
        """Prepare a run of these steps. Nothing of an earlier run remains."""

    def whole(self, index: int) -> bool:
        """Whether step `index` is a full step: it needs only the latents of the steps before it."""

    def __call__(self, latents: torch.Tensor, index: int) -> torch.Tensor:
        """The prediction of the model at step `index` for latents (1, C, F, h, w), in their shape."""


def guided(output: torch.Tensor, guidance_scale: float) -> torch.Tensor:
    """Guide the prediction away from the negative prompt, if there are two predictions (2, C, F, h, w)."""
    if output.shape[0] == 1:
        return output
    without, along = output.chunk(2)
    return without + guidance_scale * (along - without)
