"""What a video costs, before it is made: floating-point operations and bytes, from a model's configuration."""

from dataclasses import dataclass

from core.architecture import Architecture, UNetShape, decoder_tally, text_tally, unet_tally

DECODED_PIXELS = 1 << 18
"""About how many pixels the VAE decodes at once: its activations would otherwise be the peak of memory."""

RESIDENT, MODEL_OFFLOAD, SEQUENTIAL_OFFLOAD = MEMORY_MODES = ("resident", "model offload", "sequential offload")
"""Where the weights are, fastest first: all on the GPU; only the part that works; only the layer that works."""

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
        largest_layer: weights of the largest single layer.
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
        return self.reserved + self.largest_layer + max(self.denoising, self.decoding)


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
    chunk = min(num_frames, max(1, DECODED_PIXELS // (height * width)))
    text, unet = text_tally(model.text, 0), unet_tally(model.unet, 0, 0, 0, 0, 0)
    vae = decoder_tally(model.vae, 0, 0, 0)
    return Memory(
        text=size * text.weights, unet=size * unet.weights, vae=size * vae.weights,
        denoising=size * (places * _values_a_place(model.unet) + read),
        decoding=size * chunk * height * width * 3 * model.vae.block_out_channels[:2][-1],
        largest_layer=size * max(part.largest for part in (text, unet, vae)), reserved=RESERVED_BYTES[device])


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
