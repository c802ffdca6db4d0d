"""The structure of a model of the family, from its configuration: its layers, their weights and their cost.

The walk below is `UNet3DConditionModel`, `AutoencoderKL` and `CLIPTextModel` of diffusers and transformers, layer
by layer. A test compares it with them, operation for operation and weight for weight (tests/test_cost.py). One
multiplication with its addition counts as two operations; normalisations, activations and other additions as none.
"""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from core.families.configurations import read_configuration


@dataclass(frozen=True)
class UNetShape:
    """The part of a `UNet3DConditionModel`'s configuration that decides its cost; defaults: ModelScope 1.7B.

    Attributes:
        attention_head_dim: of the spatial and temporal attentions; the attention at the entrance has 8 such heads.
    """

    in_channels: int = 4
    out_channels: int = 4
    down_block_types: tuple[str, ...] = ("CrossAttnDownBlock3D",) * 3 + ("DownBlock3D",)
    up_block_types: tuple[str, ...] = ("UpBlock3D",) + ("CrossAttnUpBlock3D",) * 3
    block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    layers_per_block: int = 2
    cross_attention_dim: int = 1024
    attention_head_dim: int = 64


@dataclass(frozen=True)
class VaeShape:
    """The part of an `AutoencoderKL`'s configuration that decides its cost; defaults: Stable Diffusion."""

    in_channels: int = 3
    out_channels: int = 3
    latent_channels: int = 4
    block_out_channels: tuple[int, ...] = (128, 256, 512, 512)
    layers_per_block: int = 2
    mid_block_add_attention: bool = True


@dataclass(frozen=True)
class TextShape:
    """The part of a `CLIPTextModel`'s configuration that decides its cost; defaults: ModelScope 1.7B."""

    vocab_size: int = 49408
    hidden_size: int = 1024
    intermediate_size: int = 4096
    num_hidden_layers: int = 23
    max_position_embeddings: int = 77


@dataclass(frozen=True)
class Architecture:
    """The parts of a model of the family that decide its cost; defaults: ModelScope 1.7B (the same for Zeroscope)."""

    unet: UNetShape = field(default_factory=UNetShape)
    vae: VaeShape = field(default_factory=VaeShape)
    text: TextShape = field(default_factory=TextShape)

    @property
    def pixels_per_latent(self) -> int:
        """The pixels along a side that one latent covers."""
        return 1 << (len(self.vae.block_out_channels) - 1)


def architecture(folder: Path | None) -> Architecture:
    """The architecture of a model folder; that of ModelScope 1.7B if the folder is missing or unreadable."""
    if folder is None:
        return Architecture()
    parts = {"unet": UNetShape, "vae": VaeShape, "text_encoder": TextShape}
    try:
        unet, vae, text = (_shape(kind, read_configuration(folder / part / "config.json"))
                           for part, kind in parts.items())
    except (TypeError, AttributeError):
        return Architecture()
    return Architecture(unet, vae, text)


def _shape(kind: Any, config: dict[str, Any] | None) -> Any:
    if config is None:
        raise TypeError("its configuration cannot be read")
    values = {}
    for known in fields(kind):
        if config.get(known.name) is not None:
            value = config[known.name]
            values[known.name] = tuple(value) if isinstance(value, list) else value
            if type(values[known.name]) is not type(known.default):
                raise TypeError(f"{known.name} is {value!r}")
    return kind(**values)


class Tally:
    """Operations and weights, added up layer by layer.

    Attributes:
        flops: floating-point operations.
        weights: numbers that are learnt.
        largest: the weights of the largest layer of the UNet: a resnet with everything that follows it.
    """

    def __init__(self) -> None:
        self.flops = 0
        self.weights = 0
        self.largest = 0

    def linear(self, rows: int, wide: int, out: int, *, bias: bool = True) -> None:
        """`rows` vectors of `wide` numbers become `rows` of `out`."""
        self.flops += 2 * rows * wide * out
        self.weights += wide * out + (out if bias else 0)

    def conv(self, places: int, wide: int, out: int, kernel: int = 9) -> None:
        """A convolution with `places` outputs a channel, `kernel` inputs a channel each."""
        self.linear(places, wide * kernel, out)

    def norm(self, channels: int) -> None:
        """A normalisation: it has weights, but its few operations count as none."""
        self.weights += 2 * channels

    def attention(self, sequences: int, queries: int, keys: int, width: int) -> None:
        """The products of queries with keys, and of the results with the values."""
        self.flops += 4 * sequences * queries * keys * width

    def resnet(self, images: int, area: int, wide: int, out: int, time: int = 0) -> None:
        """A `ResnetBlock2D`; time: the width of its time embedding, 0: none."""
        self.norm(wide)
        self.conv(images * area, wide, out)
        if time:
            self.linear(images, time, out)
        self.norm(out)
        self.conv(images * area, out, out)
        if wide != out:
            self.conv(images * area, wide, out, 1)

    def block(self, sequences: int, queries: int, width: int, tokens: int, context: int) -> None:
        """A `BasicTransformerBlock`; context 0: both attentions read the sequence itself."""
        rows = sequences * queries
        for keys, wide in ((queries, width), (tokens, context) if context else (queries, width)):
            self.norm(width)
            self.linear(rows, width, width, bias=False)
            for _ in "kv":
                self.linear(sequences * keys, wide, width, bias=False)
            self.attention(sequences, queries, keys, width)
            self.linear(rows, width, width)
        self.norm(width)
        self.linear(rows, width, 8 * width)
        self.linear(rows, 4 * width, width)

    def temporal(self, batch: int, frames: int, area: int, channels: int, width: int) -> None:
        """A `TransformerTemporalModel` whose attention is `width` wide."""
        self.norm(channels)
        self.linear(batch * frames * area, channels, width)
        self.block(batch * area, frames, width, 0, 0)
        self.linear(batch * frames * area, width, channels)


def unet_tally(shape: UNetShape, batch: int, frames: int, height: int, width: int, tokens: int) -> Tally:
    """One call of the UNet on latents (batch, C, frames, height, width)."""
    tally, images, channels = Tally(), batch * frames, shape.block_out_channels
    time = 4 * channels[0]
    areas = [(height, width)]
    for _ in channels[1:]:
        areas.append(tuple((side + 1) // 2 for side in areas[-1]))  # type: ignore[arg-type]
    area = [high * wide for high, wide in areas]

    def layer(level: int, wide: int, out: int, cross: bool) -> None:
        before = tally.weights
        tally.resnet(images, area[level], wide, out, time)
        for _ in range(4):
            tally.norm(out)
            tally.conv(images * area[level], out, out, 3)
        if cross:
            attentions(level, out)
        tally.largest = max(tally.largest, tally.weights - before)

    def attentions(level: int, out: int) -> None:
        tally.norm(out)
        tally.linear(images * area[level], out, out)
        tally.block(images, area[level], out, tokens, shape.cross_attention_dim)
        tally.linear(images * area[level], out, out)
        tally.temporal(batch, frames, area[level], out, out)

    tally.linear(batch, channels[0], time)
    tally.linear(batch, time, time)
    tally.conv(images * area[0], shape.in_channels, channels[0])
    tally.temporal(batch, frames, area[0], channels[0], 8 * shape.attention_head_dim)
    skips, last = [channels[0]], len(channels) - 1
    wide = channels[0]
    for level, (kind, out) in enumerate(zip(shape.down_block_types, channels, strict=True)):
        for _ in range(shape.layers_per_block):
            layer(level, wide, out, "CrossAttn" in kind)
            wide = out
            skips.append(out)
        if level < last:
            tally.conv(images * area[level + 1], out, out)
            skips.append(out)
    layer(last, wide, wide, cross=True)
    layer(last, wide, wide, cross=False)
    for level, kind in zip(range(last, -1, -1), shape.up_block_types, strict=True):
        out = channels[level]
        for _ in range(shape.layers_per_block + 1):
            layer(level, wide + skips.pop(), out, "CrossAttn" in kind)
            wide = out
        if level:
            tally.conv(images * area[level - 1], out, out)
    tally.norm(channels[0])
    tally.conv(images * area[0], channels[0], shape.out_channels)
    return tally


def decoder_tally(shape: VaeShape, images: int, height: int, width: int) -> Tally:
    """Decoding latents (images, C, height, width). The encoder is never called; only its weights count."""
    tally, channels, area = Tally(), shape.block_out_channels, height * width

    def middle(wide: int, images: int, area: int) -> None:
        tally.resnet(images, area, wide, wide)
        if shape.mid_block_add_attention:
            tally.norm(wide)
            for _ in "qkvo":
                tally.linear(images * area, wide, wide)
            tally.attention(images, area, area, wide)
        tally.resnet(images, area, wide, wide)

    wide = channels[-1]
    tally.conv(images * area, shape.latent_channels, shape.latent_channels, 1)
    tally.conv(images * area, shape.latent_channels, wide)
    middle(wide, images, area)
    for level, out in reversed(list(enumerate(channels))):
        for _ in range(shape.layers_per_block + 1):
            tally.resnet(images, area, wide, out)
            wide = out
        if level:
            area *= 4
            tally.conv(images * area, out, out)
    tally.norm(wide)
    tally.conv(images * area, wide, shape.out_channels)
    tally.conv(0, shape.in_channels, channels[0])
    wide = channels[0]
    for level, out in enumerate(channels):
        for _ in range(shape.layers_per_block):
            tally.resnet(0, 0, wide, out)
            wide = out
        if level < len(channels) - 1:
            tally.conv(0, out, out)
    middle(wide, 0, 0)
    tally.norm(wide)
    tally.conv(0, wide, 2 * shape.latent_channels)
    tally.conv(0, 2 * shape.latent_channels, 2 * shape.latent_channels, 1)
    return tally


def text_tally(shape: TextShape, prompts: int) -> Tally:
    """Reading `prompts` prompts, each as long as the model reads."""
    tally, tokens, width = Tally(), shape.max_position_embeddings, shape.hidden_size
    tally.weights += (shape.vocab_size + tokens) * width
    for _ in range(shape.num_hidden_layers):
        tally.norm(width)
        for _ in "qkvo":
            tally.linear(prompts * tokens, width, width)
        tally.attention(prompts, tokens, tokens, width)
        tally.norm(width)
        tally.linear(prompts * tokens, width, shape.intermediate_size)
        tally.linear(prompts * tokens, shape.intermediate_size, width)
    tally.norm(width)
    return tally
