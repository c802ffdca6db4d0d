"""The cost of a video of the family, from a model's configuration."""

from functools import lru_cache

from core.domain.modes import DECODED_PIXELS
from core.domain.recipe import Size
from core.families.cost import HALF, RESERVED_BYTES, SINGLE, Memory, Work
from core.families.unet3d.shape import Architecture, UNetShape, decoder_tally, text_tally, unet_tally


@lru_cache(maxsize=1024)
def work(model: Architecture, size: Size, num_inference_steps: int, guided: bool) -> Work:
    """Operations of making a video in exact mode.

    Args:
        size: its sides are multiples of `Architecture.pixels_per_latent`.
        guided: every step reads both prompts, which doubles the work.
    """
    prompts = 2 if guided else 1
    high, wide = size.height // model.pixels_per_latent, size.width // model.pixels_per_latent
    tokens = model.text.max_position_embeddings
    step = unet_tally(model.unet, prompts, size.num_frames, high, wide, tokens).flops
    return Work(text_tally(model.text, prompts).flops, step * num_inference_steps,
                decoder_tally(model.vae, size.num_frames, high, wide).flops)


def memory(model: Architecture, size: Size, guided: bool, device: str) -> Memory:
    """Bytes of making a video.

    Args:
        device: "cuda" (half precision) or "cpu" (single precision).
    """
    value = HALF if device == "cuda" else SINGLE
    prompts = 2 if guided else 1
    side = model.pixels_per_latent
    places = prompts * size.num_frames * (size.height // side) * (size.width // side)
    read = prompts * size.num_frames * model.text.max_position_embeddings * model.unet.cross_attention_dim
    chunk = min(size.num_frames, max(1, DECODED_PIXELS[device] // size.area))
    text, unet, vae, largest = _weights(model)
    return Memory(
        text=value * text, denoiser=value * unet, decoder=value * vae,
        denoising=value * (places * _values_a_place(model.unet) + read),
        decoding=value * chunk * size.area * 3 * model.vae.block_out_channels[:2][-1],
        largest_layer=value * largest, reserved=RESERVED_BYTES[device])


@lru_cache
def _weights(model: Architecture) -> tuple[int, int, int, int]:
    """Numbers of the text encoder, the UNet, the VAE, and the UNet's largest layer."""
    unet = unet_tally(model.unet, 0, 0, 0, 0, 0)
    return text_tally(model.text, 0).weights, unet.weights, decoder_tally(model.vae, 0, 0, 0).weights, unet.largest


def _values_a_place(shape: UNetShape) -> int:
    """The most values that are alive at once for each latent of a frame.

    The peak is inside a feed-forward: the gate and its halves (16 widths) exist together with the values that the
    block still needs (4). The peak is at the entrance, whose attention has a separate width, or at a level of the
    network. At a level, the outputs that wait for the way up are added.
    """
    entrance = 20 * 8 * shape.attention_head_dim + shape.block_out_channels[0] + 3 * shape.in_channels
    found: list[float] = [entrance]
    kept, scale = float(shape.block_out_channels[0]), 1.0
    for kind, channels in zip(shape.down_block_types, shape.block_out_channels, strict=True):
        if "CrossAttn" in kind:
            found.append(kept + 20 * channels * scale)
        kept += shape.layers_per_block * channels * scale
        scale /= 4
    return round(max(found))
