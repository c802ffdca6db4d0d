"""The numbers of a training: one frozen row for each device and size, without any code that uses them."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Recipe:
    """The numbers of a training: sizes in pixels, batches in clips or frames, peak learning rates.

    The autoencoder sees frames of all `clips`; the diffusion model learns from the first `taught_clips` of them.
    `again` names a scene, or "pair", that every fourth sample shows, to give it more training (empty: none).
    `decoder_noise` is the largest standard deviation of the noise on the latents in the decoder's own stage.
    `retouched` is the number of clips with latents from the denoiser in this stage; as many have unchanged latents
    (0: all are unchanged; see `decoder_finetune`).
    `temporal_rate` multiplies the learning rate of the modules that look across frames.
    `noisy` is the share of times from the noisy half of the schedule, `fine` the share from its clean end.
    `reader_weight` is the weight of the loss of the readers in `shape_reader`.
    `still_every`: in the stage of clips, each such batch is of single frames (0: none).
    """

    size: int = 64
    frames: int = 16
    seed: int = 20261123
    clips: int = 10_000
    taught_clips: int = 6_000
    again: str = ""

    vae_channels: tuple[int, ...] = (32, 64, 96, 128)
    latent_channels: int = 8
    crop: int = 32
    vae_batch: int = 32
    vae_steps: int = 4_000
    vae_rate: float = 6e-4
    encoder_steps: int = 2_500
    encoder_rate: float = 6e-4
    decoder_steps: int = 6_000
    decoder_rate: float = 4e-4
    decoder_noise: float = 0.4
    retouched: int = 0

    unet_channels: tuple[int, ...] = (96, 160)
    unet_attention: tuple[bool, ...] = (False, True)
    unet_layers: int = 1
    head_size: int = 16
    text_width: int = 128
    text_layers: int = 2
    text_tokens: int = 28
    word_batch: int = 64
    word_steps: int = 500
    word_rate: float = 1e-3
    still_batch: int = 128
    still_steps: int = 3_000
    still_rate: float = 7e-4
    position_steps: int = 200
    position_rate: float = 2e-3
    clip_batch: int = 8
    clip_steps: int = 2_400
    clip_rate: float = 4e-4
    temporal_rate: float = 2.5
    reader_weight: float = 0.3
    noisy: float = 0.4
    fine: float = 0.0
    still_every: int = 6
    unconditional: float = 0.12
    ema: float = 0.995

    checkpoint_every: int = 200
    sample_every: int = 2_000
    precision: str = "no"

    @property
    def factor(self) -> int:
        """The pixels of a latent along each side."""
        return 2 ** (len(self.vae_channels) - 1)


CPU_64 = Recipe()
"""For two CPU cores: about 75 minutes with `--bf16` on a processor with bfloat16. It made the shipped text encoder and
UNet from random weights, but with other numbers. The decoder had noise of 0.1, and first 2,500 steps, later 6,000.
Seven minutes of `--finish` for the snow (data version 3) came last. With the present numbers it has not been run."""

CPU_128 = replace(CPU_64, size=128, crop=64, vae_channels=(32, *CPU_64.vae_channels))
"""Twice the size with the same latents: `--grow` makes it from a model of `CPU_64`, in an hour. It made the shipped
weights, but with other numbers. Their decoder had noise of 0.1 at first, and of up to 0.4 in 2,000 more steps. Then
came 3,000 steps of `--finish --fine 0.7`, with a decoder trained with `--retouched 800`. It has never been run from
random weights."""

GPU_128 = replace(
    CPU_128,
    clips=16_000,
    taught_clips=16_000,
    vae_batch=64,
    vae_steps=6_000,
    decoder_steps=4_000,
    still_batch=384,
    still_steps=3_000,
    clip_batch=64,
    clip_steps=5_000,
    fine=0.35,
    ema=0.9995,
    sample_every=1_000,
    precision="bf16",
)
"""For one data-centre GPU: 12 million billion operations, counted by torch, in 18,700 steps. For 25 minutes the GPU
must do 8 TFLOP/s on average, with 80 ms for each step. The network is that of `CPU_128`, so a training can also start
from the shipped weights (`--base`, `--finish`). It has not yet been run on a GPU."""

TOY = replace(
    CPU_64,
    size=32,
    frames=4,
    clips=12,
    taught_clips=12,
    vae_channels=(8, 8, 8, 8),
    latent_channels=4,
    crop=32,
    vae_batch=2,
    vae_steps=4,
    decoder_steps=2,
    unet_channels=(8, 16),
    head_size=8,
    text_width=16,
    text_layers=1,
    word_batch=2,
    word_steps=4,
    still_batch=2,
    still_steps=4,
    position_steps=4,
    clip_batch=2,
    clip_steps=4,
    checkpoint_every=2,
    sample_every=10_000,
    precision="no",
)
"""A few steps of each stage, for the tests."""

RECIPES = {"cpu64": CPU_64, "cpu128": CPU_128, "gpu128": GPU_128, "toy": TOY}
