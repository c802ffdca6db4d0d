"""Readers of the place, size and angle of a clip's one shape. They give the UNet an extra loss during training.

With a denoising loss alone, a network learns motion only if it combines three things at once. These are the word, the
frame's place in the clip, and the place in the picture. Each alone explains very little, so the training makes no
progress for thousands of steps. A linear reader of the mean features after each spatial transformer must find the
shape's centre, radius and angle. Its loss rewards the first two things alone, and the third then follows. The readers
are not part of the model folder.
"""

import numpy as np
import torch
from diffusers import UNet3DConditionModel
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from numpy.typing import NDArray
from torch import nn

from scripts.demo_model.draw import over_time
from scripts.demo_model.world import Clip, path

TOLD = 5
"""Numbers for each frame: x and y of the centre, radius, cosine and sine of the angle; each about -1.5 to 1.5."""


def whereabouts(clip: Clip, frames: int) -> NDArray[np.float32]:
    """The right answers of the readers for each frame, (F, TOLD); NaN for clips without exactly one shape."""
    if clip.kind != "single":
        return np.full((frames, TOLD), np.nan, np.float32)
    laid = path(
        clip.motion, over_time(np.linspace(0, 1, frames)), np.random.default_rng(clip.seed), 0.5, 1.0, 0.0
    )
    x, y, radius, angle = (
        np.broadcast_to(part, (frames, 1, 1)).ravel() for part in (laid.x, laid.y, laid.radius, laid.angle)
    )
    told = [(x - 0.5) * 5, (y - 0.5) * 5, (radius - 0.18) * 14, 1.5 * np.cos(angle), 1.5 * np.sin(angle)]
    return np.stack(told, axis=1).astype(np.float32)


class Readers(nn.Module):
    """A linear reader after each spatial transformer of a UNet, and their loss for the last pass."""

    def __init__(self, unet: UNet3DConditionModel) -> None:
        """Register a hook on every spatial transformer, in the order of their definition."""
        super().__init__()
        listened = [module for module in unet.modules() if isinstance(module, Transformer2DModel)]
        self.readers = nn.ModuleList(nn.Linear(module.out_channels, TOLD) for module in listened)
        for reader in self.readers:
            nn.init.zeros_(reader.weight)
        self._heard: dict[int, torch.Tensor] = {}
        for number, module in enumerate(listened):
            module.register_forward_hook(self._listener(number))

    def _listener(self, number: int) -> object:
        def listen(_module: nn.Module, _inputs: object, output: tuple[torch.Tensor]) -> None:
            self._heard[number] = output[0].mean(dim=(-1, -2))

        return listen

    def loss(self, truth: torch.Tensor) -> torch.Tensor:
        """Mean squared error of all readers; `truth` is (B, F, TOLD), with NaN for values that do not count."""
        known, truth = ~truth.isnan(), truth.nan_to_num()  # this method never waits for a value from the GPU
        errors = []
        for number, features in sorted(self._heard.items()):
            told = self.readers[number](features.float()).view_as(truth)
            errors.append(((told - truth) * known).square().sum() / known.sum().clamp(min=1))
        self._heard.clear()
        return torch.stack(errors).mean()
