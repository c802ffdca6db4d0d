"""The place of a frame in its clip: first a table for single frames, later a task for temporal convolutions.

The standard UNet3D has no position of a frame: its temporal attention has no embedding for it. Only the zero padding
of the temporal convolutions makes the first frame different from the middle one. The denoising loss finds this very
late. Until then "moving left" cannot decide the position in each frame, and clips do not move.

So the model learns motion cheaply, on single frames with a given place. A learnt vector for each place replaces the
deepest temporal convolution on the way down: it is added to the features. Text and place together then decide the
position of the shape. A short stage then trains the temporal convolutions on the way down to add the same vectors.
The second one sees eight frames on each side, which is enough for sixteen. The table is not part of the model folder.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import UNet3DConditionModel
from diffusers.models.resnet import TemporalConvLayer
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel
from torch import nn

WAVES = 8
"""The vectors start as random mixtures of cos(pi k place), k = 1 to WAVES, place from 0 to 1."""
QUIET = 0.02
"""Weight of the output of the other temporal convolutions, while the last one learns the table."""


def temporal_modules(unet: UNet3DConditionModel) -> list[nn.Module]:
    """The modules of a UNet that look across frames."""
    kinds = (TemporalConvLayer, TransformerTemporalModel)
    return [module for module in unet.modules() if isinstance(module, kinds)]


def temporal_way_down(unet: UNet3DConditionModel) -> list[TemporalConvLayer]:
    """The temporal convolutions before the middle block, in the order they run."""
    return [conv for block in unet.down_blocks for conv in block.temp_convs]


class FramePlaces(nn.Module):
    """A vector for each place in the clip, (F, C). C: the channels of the deepest convolution on the way down."""

    def __init__(self, frames: int, channels: int) -> None:
        """Start with similar vectors for neighbouring places."""
        super().__init__()
        places = torch.linspace(0, 1, frames)
        waves = torch.stack([torch.cos(torch.pi * k * places) for k in range(1, WAVES + 1)], dim=1)
        self.table = nn.Parameter(waves @ torch.randn(WAVES, channels) / WAVES**0.5)


def _pass_on(hidden_states: torch.Tensor, **_: Any) -> torch.Tensor:
    return hidden_states


def _pass_on_in_tuple(hidden_states: torch.Tensor, **_: Any) -> tuple[torch.Tensor]:
    return (hidden_states,)


@contextmanager
def single_frames(unet: UNet3DConditionModel, vectors: torch.Tensor) -> Iterator[None]:
    """Make every temporal module return its input; the deepest on the way down adds `vectors` (B, C) to it."""

    def add(hidden_states: torch.Tensor, **_: Any) -> torch.Tensor:
        return hidden_states + vectors[:, :, None, None]

    modules = temporal_modules(unet)
    for module in modules:
        module.forward = _pass_on if isinstance(module, TemporalConvLayer) else _pass_on_in_tuple
    temporal_way_down(unet)[-1].forward = add
    try:
        yield
    finally:
        for module in modules:
            vars(module).pop("forward", None)


class PlacesTaught(nn.Module):
    """Observes the temporal convolutions on the way down, and measures their distance from adding the table."""

    def __init__(self, unet: UNet3DConditionModel) -> None:
        """Register the hooks; every forward pass over complete clips records the added values."""
        super().__init__()
        self._added: dict[int, torch.Tensor] = {}
        for number, module in enumerate(temporal_way_down(unet)):
            module.register_forward_hook(self._listener(number))

    def _listener(self, number: int) -> object:
        def listen(_module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            self._added[number] = output - inputs[0]

        return listen

    def loss(self, table: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (the loss, the missed share of the table's variance) of the last pass; `table` is (F, C)."""
        *before, last = (added for _, added in sorted(self._added.items()))
        self._added.clear()
        wanted = table.detach()[None, :, :, None, None]
        missed = (last.unflatten(0, (-1, len(table))) - wanted).square().mean() / table.detach().var()
        return missed + QUIET * sum(added.square().mean() for added in before), missed.detach()
