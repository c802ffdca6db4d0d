"""How much of everything: one frozen row of numbers a device and size, and nothing that acts on them."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Recipe:
    """The numbers of a training: sizes in pixels, batches in clips or frames, peak learning rates.

    The autoencoder sees frames of all `clips`; the diffusion model learns from the first `taught_clips` of them.
    `again` names a scene, or "pair", that every fourth sample shows, to catch up on it (empty: none).
    `decoder_noise` is the largest standard deviation of the noise that the decoder alone must paint through, and
    `retouched` how many clips it sees as the denoiser leaves them, beside as many as they are (0: it sees all as
    they are; see `retouching`).
    `temporal_rate` multiplies the rate of what looks across frames, `noisy` is the share of times drawn from the
    noisy half of the schedule and `fine` the share drawn from its clean end, `reader_weight` weighs the readers of
    the shape's whereabouts, and among clips every `still_every`-th batch is single frames (0: none).
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
        """How many pixels a latent has on each side."""
        return 2 ** (len(self.vae_channels) - 1)


CPU_64 = Recipe()
"""Two CPU cores, in about 75 minutes with `--bf16` where the processor has bfloat16. It made the text encoder
and UNet that ship from nothing; but the decoder had noise of 0.1 then, and 2,500 steps before it got 6,000, and
seven minutes of `--finish` for the snow (data version 3) came last. As it stands it has not been run."""

CPU_128 = replace(CPU_64, size=128, crop=64, vae_channels=(32, *CPU_64.vae_channels))
"""Twice the size with the same latents: what `--grow` makes of a model of `CPU_64`, in an hour. It made the
shipped weights; but their decoder had noise of 0.1 at first, and of up to 0.4 in 2,000 more steps; then came 3,000
steps of `--finish --fine 0.7` and a decoder that saw `--retouched 800`. From nothing it has not been run."""

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
"""For one data-centre GPU: 12 million billion operations, as torch counts them, in 18,700 steps: 25 minutes ask it
for 8 TFLOP/s on the average and leave 80 ms a step. The network is that of `CPU_128`, so it can also go on from
the shipped weights (`--base`, `--finish`). Not yet run on a GPU."""

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
"""A few steps of everything, for the tests."""

RECIPES = {"cpu64": CPU_64, "cpu128": CPU_128, "gpu128": GPU_128, "toy": TOY}
