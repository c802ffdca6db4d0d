"""Where a frame stands in its clip, taught to the temporal convolutions before they are asked to move anything.

The stock UNet3D gives its frames no position: temporal attention has no embedding for it, and only the zeros a
temporal convolution pads its ends with tell the first frame from the middle. A network can spread that over the
clip (the second temporal convolution on the way down sees nine frames to each side), but the denoising loss finds
it very late, and without it "moving left" cannot say which frame is where: clips stand still. So a short stage
trains the temporal convolutions on the way down on that alone: a linear reader beside each must tell the frame's
place in the clip. Later the readers stay, at a small weight, and keep it there. They are not part of the model.
"""

import torch
from diffusers import UNet3DConditionModel
from diffusers.models.resnet import TemporalConvLayer
from torch import nn
from torch.nn import functional

WAVES = 8
"""A place from 0 to 1 is told as cos(pi k place), k = 1 to WAVES; a guess of the mean is off by about 0.5."""


class FramePositions(nn.Module):
    """A linear reader beside each temporal convolution of a UNet, and how wrong they are.

    Made on a UNet, it listens: after a forward pass over clips of `frames` frames, `loss` speaks of that pass.
    """

    def __init__(self, unet: UNet3DConditionModel, frames: int) -> None:
        """Listen to every temporal convolution, in the order they are defined."""
        super().__init__()
        listened = [module for module in unet.modules() if isinstance(module, TemporalConvLayer)]
        self.readers = nn.ModuleList(
            nn.Conv2d(module.conv4[-1].out_channels, WAVES, kernel_size=1) for module in listened
        )
        for reader in self.readers:
            nn.init.zeros_(reader.weight)
            nn.init.zeros_(reader.bias)
        places = torch.linspace(0, 1, frames)
        waves = [torch.cos(torch.pi * k * places) for k in range(1, WAVES + 1)]
        self.register_buffer("places", torch.stack(waves, dim=1), persistent=False)
        self._heard: dict[int, torch.Tensor] = {}
        for number, module in enumerate(listened):
            module.register_forward_hook(self._listener(number))

    def _listener(self, number: int) -> object:
        def listen(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
            self._heard[number] = output

        return listen

    def loss(self) -> torch.Tensor:
        """Mean squared error of all readers that heard the last pass, which is forgotten then."""
        frames = len(self.places)
        errors = []
        for number, hidden in sorted(self._heard.items()):
            told = self.readers[number](hidden.float()).unflatten(0, (-1, frames))
            errors.append(functional.mse_loss(told, self.places[None, :, :, None, None].expand_as(told)))
        self.forget()
        return torch.stack(errors).mean()

    def forget(self) -> None:
        """Let go of what was heard, as after single frames, which have no place."""
        self._heard.clear()
