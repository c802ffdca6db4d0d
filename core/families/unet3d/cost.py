"""What a video costs, before it is made: floating-point operations and bytes, from a model's configuration."""

import bisect
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from core.domain.modes import DECODED_PIXELS
from core.families.unet3d.shape import Architecture, UNetShape, decoder_tally, text_tally, unet_tally

RESIDENT, MODEL_OFFLOAD, SEQUENTIAL_OFFLOAD = MEMORY_MODES = ("resident", "model offload", "sequential offload")
"""Where the weights are, fastest first: all on the GPU; only the part that works (text encoder, UNet, VAE); of the
UNet only the layer that works. The others wait in main memory."""

HALF, SINGLE = 2, 4
"""Bytes a value takes: float16 on a GPU, float32 on a CPU."""

RESERVED_BYTES = {"cuda": 1 << 30, "cpu": 500_000_000}
"""What is taken beside weights and activations: CUDA's context, workspaces and the gaps between tensors; on a CPU
the process with its libraries. The figure for CUDA is an estimate, not yet measured on a GPU."""


@dataclass(frozen=True)
class Work:
    """Floating-point operations of a video, by phase."""

    text: int
    denoising: int
    decoding: int

    @property
    def total(self) -> int:
        """Of all phases."""
        return self.text + self.denoising + self.decoding


@dataclass(frozen=True)
class Memory:
    """Bytes of a model and of making one video with it.

    Attributes:
        text, unet, vae: weights of the parts.
        denoising: the most that one call of the UNet holds beside the weights.
        decoding: the same of the VAE, which decodes a few frames at a time.
        largest_layer: weights of the UNet's largest layer: a resnet with all that follows it.
        reserved: what is taken whatever is made.
    """

    text: int
    unet: int
    vae: int
    denoising: int
    decoding: int
    largest_layer: int
    reserved: int

    @property
    def weights(self) -> int:
        """Of all parts together."""
        return self.text + self.unet + self.vae

    def needed(self, memory_mode: str = RESIDENT) -> int:
        """The most memory that is in use at any moment, in one of `MEMORY_MODES`."""
        if memory_mode == RESIDENT:
            return self.reserved + self.weights + max(self.denoising, self.decoding)
        if memory_mode == MODEL_OFFLOAD:
            return self.reserved + max(self.text, self.unet + self.denoising, self.vae + self.decoding)
        return self.reserved + max(self.text, self.largest_layer + self.denoising, self.vae + self.decoding)


def work(model: Architecture, num_frames: int, height: int, width: int, num_inference_steps: int,
         guidance_scale: float) -> Work:
    """Operations of making a video in exact mode.

    Args:
        height, width: pixels, multiples of `Architecture.pixels_per_latent`.
        guidance_scale: above 1 every step reads both prompts, which doubles the work.
    """
    prompts = 2 if guidance_scale > 1 else 1
    high, wide = height // model.pixels_per_latent, width // model.pixels_per_latent
    tokens = model.text.max_position_embeddings
    step = unet_tally(model.unet, prompts, num_frames, high, wide, tokens).flops
    return Work(text_tally(model.text, prompts).flops, step * num_inference_steps,
                decoder_tally(model.vae, num_frames, high, wide).flops)


def memory(model: Architecture, num_frames: int, height: int, width: int, guidance_scale: float,
           device: str) -> Memory:
    """Bytes of making a video.

    Args:
        height, width: pixels.
        device: "cuda" (half precision) or "cpu" (single precision).
    """
    size = HALF if device == "cuda" else SINGLE
    prompts = 2 if guidance_scale > 1 else 1
    places = prompts * num_frames * (height // model.pixels_per_latent) * (width // model.pixels_per_latent)
    read = prompts * num_frames * model.text.max_position_embeddings * model.unet.cross_attention_dim
    chunk = min(num_frames, max(1, DECODED_PIXELS[device] // (height * width)))
    text, unet, vae, largest = _weights(model)
    return Memory(
        text=size * text, unet=size * unet, vae=size * vae,
        denoising=size * (places * _values_a_place(model.unet) + read),
        decoding=size * chunk * height * width * 3 * model.vae.block_out_channels[:2][-1],
        largest_layer=size * largest, reserved=RESERVED_BYTES[device])


@lru_cache
def _weights(model: Architecture) -> tuple[int, int, int, int]:
    """Numbers of the text encoder, the UNet, the VAE, and the UNet's largest layer."""
    unet = unet_tally(model.unet, 0, 0, 0, 0, 0)
    return text_tally(model.text, 0).weights, unet.weights, decoder_tally(model.vae, 0, 0, 0).weights, unet.largest


def memory_mode(needs: Memory, free_bytes: int | None) -> str | None:
    """The fastest of `MEMORY_MODES` that fits into `free_bytes`, or None where none does.

    Args:
        free_bytes: with nothing of the model there yet; None: not known, or main memory, which has no other place
            for the weights: resident.
    """
    if free_bytes is None:
        return RESIDENT
    return next((mode for mode in MEMORY_MODES if needs.needed(mode) <= free_bytes), None)


def after_failure(needs: Memory, free_bytes: int) -> int:
    """Bytes to look for something that fits into, when what `needs` this ran out in spite of what is free.

    The estimate was too low, or less is to be had than is said: so at most half as much beside the weights.
    """
    return min(free_bytes, needs.needed() - max(needs.denoising, needs.decoding) // 2)


def nearest_that_fits(model: Architecture, num_frames: int, height: int, width: int, guidance_scale: float,
                      device: str, free_bytes: int) -> tuple[tuple[int, int, int], ...]:
    """What would fit into `free_bytes` in place of a video that does not, as (frames, height, width).

    The most frames of that size, and the largest size of about that shape with that many frames; where neither
    fits, the largest size with one frame; where that does not, nothing.
    """
    side = model.pixels_per_latent

    def sized(rows: int) -> tuple[int, int]:
        return rows * side, max(side, round(width * rows / height) * side)

    def fits(frames: int, size: tuple[int, int]) -> bool:
        needs = memory(model, frames, *size, guidance_scale, device)
        if device == "cpu":  # main memory has no other place for the weights
            return needs.needed() <= free_bytes
        return memory_mode(needs, free_bytes) is not None

    frames = _most(num_frames - 1, lambda count: fits(count, (height, width)))
    rows = _most((height - 1) // side, lambda rows: fits(num_frames, sized(rows)))
    found = [(frames, height, width)] * bool(frames) + [(num_frames, *sized(rows))] * bool(rows)
    if not found:
        rows = _most((height - 1) // side, lambda rows: fits(1, sized(rows)))
        found = [(1, *sized(rows))] * bool(rows)
    return tuple(found)


def _most(high: int, fits: Callable[[int], bool]) -> int:
    """The largest number from 1 to `high` that fits, where all smaller ones do; 0 where none does."""
    return bisect.bisect_left(range(1, high + 1), True, key=lambda number: not fits(number))


def _values_a_place(shape: UNetShape) -> int:
    """The most values that are alive at once for each latent of a frame.

    That is inside a feed-forward, where the gate and its halves stand side by side (16 widths) with what the block
    still needs (4): at the entrance, whose attention is of a width of its own, or at a level of the network, with
    the outputs that wait for the way up.
    """
    entrance = 20 * 8 * shape.attention_head_dim + shape.block_out_channels[0] + 3 * shape.in_channels
    found, kept, scale = [entrance], shape.block_out_channels[0], 1.0
    for kind, channels in zip(shape.down_block_types, shape.block_out_channels, strict=True):
        if "CrossAttn" in kind:
            found.append(kept + 20 * channels * scale)
        kept += shape.layers_per_block * channels * scale
        scale /= 4
    return round(max(found))
