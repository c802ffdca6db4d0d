"""The UNet, called step after step: the arithmetic of `UNet3DConditionModel`, without its repeated work.

At each step the library's forward computes constant values again:

1. the keys and values of the prompts, again for every frame: here once a video;
2. the time embedding, again for every frame: here once a run, for all steps;
3. with guidance, all layers before the first one that reads a prompt, for both prompts: here once a step.

Operations without effect at inference (dropout, division by one) are left out. Images have their channels last,
the order that convolutions and linear layers need. The frames of a video are then adjacent in memory, as the
temporal convolutions need them; almost nothing is copied. On a CPU the linear layers go through oneDNN, as
convolutions always do. By default torch uses MKL for them, which leaves AVX-512 unused on processors of other
makers than Intel.

The sums are made in another order than in the library, so the last bits of a value may differ.

Most of the UNet changes little from step to step. `Network.__call__` can reuse the input of its last layers on the
way up from an earlier call. It then computes only these layers and the part of the way down that they need:
DeepCache (Ma et al. 2023, arXiv 2312.00858).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.nn import functional

from core.diffusion.placement import Around, here

Prompts = tuple[tuple[torch.Tensor, torch.Tensor], ...]
"""Keys and values (prompts, heads, tokens, width) of each attention to the prompts, in the order of the layers."""


@dataclass(frozen=True)
class _Layer:
    """One layer: resnet and temporal convolution, then, in most, a spatial and a temporal transformer.

    Attributes:
        time: its columns in the table of `Network.times`.
        reads: which pair of `Prompts` its spatial transformer reads.
        upsampler: the convolution after it, if the way up gets finer there.
    """

    resnet: Any
    temp_conv: Any
    attention: Any
    temp_attention: Any
    time: slice
    reads: int
    upsampler: Any = None


class Network:
    """A loaded UNet3D prepared by `lay_out`. It holds no data of a video.

    An image is a frame of one prompt's video. The frames of the negative prompt come first, then the frames of the
    prompt. Before the first layer that reads a prompt, one set of frames serves both.
    """

    def __init__(self, unet: Any, around: Around = here) -> None:
        """around: called with the modules that are about to be used, layer by layer."""
        self._unet = unet
        self._around = around
        self._time_width = 0
        self._reading: list[Any] = []
        self._down: list[Any] = []
        for block in unet.down_blocks:
            self._down += [*self._layers(block), *(sampler.conv for sampler in block.downsamplers or ())]
        self._middle = list(self._layers(unet.mid_block))
        self._up = [layer for block in unet.up_blocks for layer in self._layers(block)]

    def _layers(self, block: Any) -> Iterator[_Layer]:
        for n, resnet in enumerate(block.resnets):
            start, last = self._time_width, n == len(block.resnets) - 1
            self._time_width += resnet.time_emb_proj.out_features
            reads = n < len(getattr(block, "attentions", ()))  # the last layer of the middle has none
            if reads:
                self._reading.append(block.attentions[n].transformer_blocks[0].attn2)
            upsamplers = getattr(block, "upsamplers", None)
            yield _Layer(resnet, block.temp_convs[n], block.attentions[n] if reads else None,
                         block.temp_attentions[n] if reads else None, slice(start, self._time_width),
                         len(self._reading) - 1, upsamplers[0].conv if upsamplers and last else None)

    @property
    def depth(self) -> int:
        """The number of layers of the way up."""
        return len(self._up)

    def prompts(self, embeds: torch.Tensor) -> Prompts:
        """The keys and values that the layers read of the prompts: embeds (prompts, tokens, width)."""
        found = []
        for attn in self._reading:
            with self._around(attn.to_k, attn.to_v):
                found.append((_heads(attn.to_k(embeds), attn), _heads(attn.to_v(embeds), attn)))
        return tuple(found)

    def times(self, timesteps: torch.Tensor) -> torch.Tensor:
        """The time inputs of the layers, one row for each of `timesteps`."""
        unet = self._unet
        with self._around(unet.time_embedding):
            active = functional.silu(unet.time_embedding(unet.time_proj(timesteps).to(unet.dtype)))
        found = []
        for layer in (*self._down, *self._middle, *self._up):
            if isinstance(layer, _Layer):
                with self._around(layer.resnet.time_emb_proj):
                    found.append(layer.resnet.time_emb_proj(active))
        return torch.cat(found, dim=1)

    def __call__(self, latents: torch.Tensor, time: torch.Tensor, prompts: Prompts, depth: int = 1,
                 deep: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """One call.

        Args:
            latents: (1, C, F, h, w).
            time: a row of `times`, (1, …).
            depth: 1 to `self.depth`: the number of last layers that are computed even when the rest is not.
            deep: the input of these layers in an earlier call, for the same prompts; None: compute everything.

        Returns:
            The prediction, (prompts, C, F, h, w), and the input of its last `depth` layers.
        """
        frames, unet = latents.shape[2], self._unet
        x = latents[0].permute(1, 0, 2, 3).contiguous(memory_format=torch.channels_last)
        with self._around(unet.conv_in, unet.transformer_in):
            x = _temporal(unet.transformer_in, unet.conv_in(x), frames)
        skips = [x]
        for step in self._down if deep is None else self._down[:depth - 1]:
            x = self._step(step, x, frames, time, prompts)
            skips.append(x)
        if deep is None:
            for layer in self._middle:
                x = self._step(layer, x, frames, time, prompts)
        for number, layer in enumerate(self._up if deep is None else self._up[-depth:], start=-len(skips)):
            if number == -depth:
                x = deep = x if deep is None else deep
            skip = skips.pop()
            x = self._step(layer, torch.cat([x, _for_each(skip, x.shape[0])], dim=1), frames, time, prompts)
            if layer.upsampler is not None:
                with self._around(layer.upsampler):
                    x = layer.upsampler(functional.interpolate(x, size=skips[-1].shape[-2:], mode="nearest"))
        with self._around(unet.conv_norm_out, unet.conv_out):
            x = unet.conv_out(functional.silu(unet.conv_norm_out(x), inplace=True))
        assert deep is not None, "the way up has no layer"
        return x.unflatten(0, (-1, frames)).permute(0, 2, 1, 3, 4), deep

    def _step(self, step: Any, x: torch.Tensor, frames: int, time: torch.Tensor, prompts: Prompts) -> torch.Tensor:
        """A layer, or the convolution that makes images smaller."""
        if not isinstance(step, _Layer):
            with self._around(step):
                return step(x)
        with self._around(*filter(None, (step.resnet, step.temp_conv, step.attention, step.temp_attention))):
            return _run(step, x, frames, time, prompts)


def lay_out(module: torch.nn.Module, wanted: bool) -> None:
    """Prepare a model for `Network`, or restore it for the library.

    The weights of all convolutions get the layout with channels last; linear layers call `_linear`.
    """
    for part in module.modules():
        if isinstance(part, torch.nn.Conv2d | torch.nn.Conv3d):
            layout = torch.channels_last if part.weight.dim() == 4 else torch.channels_last_3d
            layout = layout if wanted else torch.contiguous_format
            part.weight.data = part.weight.data.contiguous(memory_format=layout)
        elif isinstance(part, torch.nn.Linear):
            part.__dict__.pop("forward", None)
            if wanted:
                part.__dict__["forward"] = partial(_linear, part)


def _linear(module: torch.nn.Linear, x: torch.Tensor) -> torch.Tensor:
    """A linear layer; on a CPU by oneDNN, if torch has it."""
    if x.device.type != "cpu" or x.dtype != torch.float32 or not torch.backends.mkldnn.is_available():
        return functional.linear(x, module.weight, module.bias)
    return torch.ops.mkldnn._linear_pointwise.default(x, module.weight, module.bias, "none", [], "")


def _run(layer: _Layer, x: torch.Tensor, frames: int, time: torch.Tensor, prompts: Prompts) -> torch.Tensor:
    x = _resnet(layer.resnet, x, time[:, layer.time, None, None])
    x = _temporal_convolution(layer.temp_conv, x, frames)
    if layer.attention is not None:
        x = _spatial(layer.attention, x, frames, prompts[layer.reads])
        x = _temporal(layer.temp_attention, x, frames)
    return x


def _for_each(x: torch.Tensor, images: int) -> torch.Tensor:
    """Images made once for all prompts, repeated for each prompt."""
    return x if x.shape[0] == images else torch.cat([x] * (images // x.shape[0]))


def _places(x: torch.Tensor, frames: int) -> torch.Tensor:
    """Images (N, C, h, w) as (prompts, F, h·w, C), without a copy."""
    return x.permute(0, 2, 3, 1).reshape(-1, frames, x.shape[2] * x.shape[3], x.shape[1])


def _heads(x: torch.Tensor, attn: Any) -> torch.Tensor:
    """(sequences, length, width) as (sequences, heads, length, width of a head)."""
    return x.unflatten(-1, (attn.heads, -1)).transpose(1, 2)


def _resnet(module: Any, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
    y = module.conv1(functional.silu(module.norm1(x), inplace=True)).add_(time)
    y = module.conv2(functional.silu(module.norm2(y), inplace=True))
    return y.add_(x if module.conv_shortcut is None else module.conv_shortcut(x))


def _temporal_convolution(module: Any, x: torch.Tensor, frames: int) -> torch.Tensor:
    """Four convolutions over the frames, as images whose rows are frames and whose columns are places."""
    y = _places(x, frames).permute(0, 3, 1, 2)
    for stage in (module.conv1, module.conv2, module.conv3, module.conv4):
        weight = stage[-1].weight[..., 0]  # (out, in, 3, 1)
        y = functional.conv2d(functional.silu(stage[0](y), inplace=True), weight, stage[-1].bias, padding=(1, 0))
    images, channels, height, width = x.shape
    return y.permute(0, 2, 3, 1).reshape(images, height, width, channels).permute(0, 3, 1, 2).add_(x)


def _temporal(module: Any, x: torch.Tensor, frames: int) -> torch.Tensor:
    """A transformer over the frames of each place."""
    _, channels, height, width = x.shape
    y = module.norm(_places(x, frames).permute(0, 3, 1, 2)).permute(0, 3, 2, 1).reshape(-1, frames, channels)
    y = module.proj_in(y.contiguous())  # with one prompt `y` is a view, and the sums in a product of a view may differ
    for block in module.transformer_blocks:
        y = _attend(block.attn1, block.norm1, y)
        y = _attend(block.attn2, block.norm2, y)
        y = _feed_forward(block, y)
    y = module.proj_out(y).view(-1, height, width, frames, channels).permute(0, 3, 4, 1, 2)
    return x + y.flatten(0, 1)


def _spatial(module: Any, x: torch.Tensor, frames: int, read: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """A transformer over the places of each image, which also reads the prompts."""
    _, channels, height, width = x.shape
    (block,) = module.transformer_blocks
    y = module.proj_in(module.norm(x).permute(0, 2, 3, 1).flatten(1, 2))
    y = _attend(block.attn1, block.norm1, y)
    y = _read(block.attn2, block.norm2, y, frames, read)
    y = module.proj_out(_feed_forward(block, y)).view(-1, height, width, channels).permute(0, 3, 1, 2)
    return _for_each(x, y.shape[0]) + y


def _attend(attn: Any, norm: Any, x: torch.Tensor) -> torch.Tensor:
    """`x` (sequences, length, width) plus its attention to itself."""
    y = norm(x)
    query, key, value = (_heads(project(y), attn) for project in (attn.to_q, attn.to_k, attn.to_v))
    found = functional.scaled_dot_product_attention(query, key, value)
    return attn.to_out[0](found.transpose(1, 2).flatten(2)).add_(x)


def _read(attn: Any, norm: Any, x: torch.Tensor, frames: int,
          read: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """`x` (images, places, width) plus its attention to the prompts. From here on each prompt has its images.

    All frames of a prompt form one long sequence of queries.
    """
    key, value = read
    query = _heads(attn.to_q(norm(x)).unflatten(0, (-1, frames)).flatten(1, 2), attn)
    found = functional.scaled_dot_product_attention(query.expand(key.shape[0], -1, -1, -1), key, value)
    found = attn.to_out[0](found.transpose(1, 2).flatten(2))
    return found.view(-1, *x.shape).add_(x).flatten(0, 1)


def _feed_forward(block: Any, x: torch.Tensor) -> torch.Tensor:
    value, gate = block.ff.net[0].proj(block.norm3(x)).chunk(2, dim=-1)
    return block.ff.net[2](functional.gelu(gate).mul_(value)).add_(x)
