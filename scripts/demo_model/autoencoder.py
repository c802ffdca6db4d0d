"""The first stage: an AutoencoderKL that turns each square of pixels of a frame into one latent vector, and back.

It trains on crops first. They cost a quarter of full frames and teach the same. Most of this world is plain
background, so each crop is the one with more contrast of two random places. The latents stay small and get noise
during training, so small errors of the diffusion model decode to small errors. Then the latents are cached, and the
decoder continues alone, on full frames.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from scripts.demo_model.dataset import to_pixels
from scripts.demo_model.parallel import meet, share_of
from scripts.demo_model.progress import Progress, one_cycle
from scripts.demo_model.recipe import Recipe

LATENT_NOISE = 0.1
"""Standard deviation of the noise on the latents during training; the latents have about unit size."""


def build_autoencoder(recipe: Recipe) -> AutoencoderKL:
    """Build an untrained autoencoder with a level for each of the recipe's channels. All levels but one halve."""
    torch.manual_seed(recipe.seed)
    levels = len(recipe.vae_channels)
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=recipe.vae_channels,
        layers_per_block=1,
        latent_channels=recipe.latent_channels,
        norm_num_groups=8,
        sample_size=recipe.size,
        mid_block_add_attention=False,
        scaling_factor=1.0,
    )


def _lively_crops(frames: NDArray[np.uint8], recipe: Recipe, rng: np.random.Generator) -> torch.Tensor:
    crops = []
    for _ in range(recipe.vae_batch):
        frame = frames[int(rng.integers(len(frames))), int(rng.integers(recipe.frames))]
        places = rng.integers(0, recipe.size - recipe.crop + 1, size=(2, 2))
        pair = [frame[y : y + recipe.crop, x : x + recipe.crop] for y, x in places]
        crops.append(max(pair, key=lambda crop: float(crop[::2, ::2].std())))
    return to_pixels(np.stack(crops))


@torch.no_grad()
def reconstruction_psnr(vae: AutoencoderKL, frames: NDArray[np.uint8]) -> float:
    """PSNR in dB of encoded and decoded frames (N, H, W, 3) against the originals, over all their pixels."""
    pixels = to_pixels(frames).to(vae.device)
    shown = vae.decode(vae.encode(pixels).latent_dist.mean).sample.clamp(-1, 1)
    error = float(((shown - pixels) ** 2).mean()) / 4.0
    return float(-10 * np.log10(max(error, 1e-10)))


class Reconstruction(nn.Module):
    """An autoencoder with the forward pass for its training."""

    def __init__(self, vae: AutoencoderKL) -> None:
        """Wrap `vae`."""
        super().__init__()
        self.vae = vae

    def forward(
        self, pixels: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the decoded pixels, and the mean and log variance of the latents."""
        moments = self.vae.quant_conv(self.vae.encoder(pixels))
        mean, log_variance = moments.float().chunk(2, dim=1)
        remade = self.vae.decoder(self.vae.post_quant_conv(mean + LATENT_NOISE * noise))
        return remade.float(), mean, log_variance


def _held_out(frames: NDArray[np.uint8], recipe: Recipe) -> NDArray[np.uint8]:
    return np.ascontiguousarray(frames[-32:, :: recipe.frames // 4]).reshape(-1, *frames.shape[2:])


def _narrow(log_variance: torch.Tensor) -> torch.Tensor:
    return functional.mse_loss(log_variance, torch.full_like(log_variance, 2 * np.log(LATENT_NOISE)))


@torch.no_grad()
def _set_scaling(vae: AutoencoderKL, frames: NDArray[np.uint8], recipe: Recipe) -> None:
    rng = np.random.default_rng(recipe.seed)
    picks = frames[rng.integers(len(frames), size=256), rng.integers(recipe.frames, size=256)]
    latents = vae.encode(to_pixels(picks).to(vae.device)).latent_dist.mean
    vae.register_to_config(scaling_factor=round(1.0 / float(latents.std()), 4))


def train_autoencoder(
    recipe: Recipe, work: Path, frames: NDArray[np.uint8], accelerator: Accelerator
) -> AutoencoderKL:
    """Train the autoencoder, resume its training, or only load it. The last 32 clips are held out for the PSNR."""
    vae = build_autoencoder(recipe)
    optimizer = torch.optim.Adam(vae.parameters(), lr=recipe.vae_rate, betas=(0.9, 0.99))
    progress = Progress(work, "autoencoder")
    state = progress.load()
    first = 0
    if state is not None:
        vae.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    model = Reconstruction(vae).to(accelerator.device)
    optimizer = accelerator.prepare(optimizer)
    share = share_of(accelerator)
    shown = _held_out(frames, recipe)
    taught = frames[:-32] if len(frames) > 64 else frames
    for step in range(first, recipe.vae_steps):
        rng = np.random.default_rng([recipe.seed, 1, step])
        pixels = _lively_crops(taught, recipe, rng)
        noise = torch.randn(
            (len(pixels), recipe.latent_channels, *[recipe.crop // recipe.factor] * 2),
            generator=torch.Generator().manual_seed(recipe.seed + step),
        )
        pixels, noise = pixels[share].to(accelerator.device), noise[share].to(accelerator.device)
        with accelerator.autocast():
            remade, mean, log_variance = model(pixels, noise)
        difference = remade - pixels
        picture = difference.abs().mean() + (difference**2).mean()
        loss = picture + 1e-3 * (mean**2).mean() + 1e-4 * _narrow(log_variance)
        for group in optimizer.param_groups:
            group["lr"] = recipe.vae_rate * one_cycle(step, recipe.vae_steps)
        optimizer.zero_grad()
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        done = step + 1
        meet(accelerator, model, done)
        if not accelerator.is_main_process:
            continue
        if done % 100 == 0 or done == recipe.vae_steps:
            progress.log(done, loss=float(picture.detach()), latent=float(mean.detach().std()))
        if done % 500 == 0 or done == recipe.vae_steps:
            progress.log(done, psnr=reconstruction_psnr(vae, shown))
        if done % recipe.checkpoint_every == 0 or done == recipe.vae_steps:
            progress.save({"model": vae.state_dict(), "optimizer": optimizer.state_dict(), "step": done})
    _set_scaling(vae, frames, recipe)
    return vae.requires_grad_(False).eval()


def train_decoder(
    recipe: Recipe,
    work: Path,
    vae: AutoencoderKL,
    frames: NDArray[np.uint8],
    latents: NDArray[np.float16],
    accelerator: Accelerator,
) -> None:
    """Continue the training of the decoder alone, on full frames and cached latents. It changes `vae` in place.

    The latents do not change, so this may run before, during or after the training of the diffusion model. They get
    noise of up to `decoder_noise`. The latents of a diffusion model differ by about as much from those of an encoder.
    """
    learning = nn.ModuleList([vae.post_quant_conv, vae.decoder]).to(accelerator.device)

    def loss_of(pixels: torch.Tensor, known: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        noise = rng.standard_normal(known.shape, dtype=np.float32)
        noise *= rng.uniform(0, recipe.decoder_noise, (len(noise), 1, 1, 1)).astype(np.float32)
        with accelerator.autocast():
            remade = vae.decoder(vae.post_quant_conv(known + torch.from_numpy(noise).to(known.device))).float()
        difference = remade - pixels
        return difference.abs().mean() + (difference**2).mean()

    part = Part("decoder", learning, recipe.decoder_steps, recipe.decoder_rate, judged=True)
    _train_part(part, recipe, work, vae, frames, latents, accelerator, loss_of)


def train_encoder(
    recipe: Recipe,
    work: Path,
    vae: AutoencoderKL,
    frames: NDArray[np.uint8],
    latents: NDArray[np.float16],
    accelerator: Accelerator,
) -> None:
    """Train the encoder alone to return the cached latents of full frames. It changes `vae` in place."""
    learning = nn.ModuleList([vae.encoder, vae.quant_conv]).to(accelerator.device)

    def loss_of(pixels: torch.Tensor, known: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        with accelerator.autocast():
            moments = vae.quant_conv(vae.encoder(pixels))
        mean, log_variance = moments.float().chunk(2, dim=1)
        return functional.mse_loss(mean, known) + 1e-4 * _narrow(log_variance)

    part = Part("encoder", learning, recipe.encoder_steps, recipe.encoder_rate, judged=False)
    _train_part(part, recipe, work, vae, frames, latents, accelerator, loss_of)


@dataclass(frozen=True)
class Part:
    """A part of an autoencoder that learns alone: its stage's name, its modules, its steps and peak rate.

    `judged`: measure the pictures during its training.
    """

    name: str
    modules: nn.ModuleList
    steps: int
    rate: float
    judged: bool


def _train_part(
    part: Part,
    recipe: Recipe,
    work: Path,
    vae: AutoencoderKL,
    frames: NDArray[np.uint8],
    latents: NDArray[np.float16],
    accelerator: Accelerator,
    loss_of: Callable[[torch.Tensor, torch.Tensor, np.random.Generator], torch.Tensor],
) -> None:
    """Train a part. `loss_of` takes the pixels of full frames, their cached latents (unscaled) and a generator."""
    progress, learning = Progress(work, part.name), part.modules
    learning.requires_grad_(True)
    optimizer = torch.optim.Adam(learning.parameters(), lr=part.rate, betas=(0.9, 0.99))
    state = progress.load()
    first = 0
    if state is not None:
        learning.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    optimizer = accelerator.prepare(optimizer)
    shown = _held_out(frames, recipe)
    batch = max(1, recipe.vae_batch * recipe.crop**2 // recipe.size**2)
    for step in range(first, part.steps):
        rng = np.random.default_rng([recipe.seed, 2, step])
        picks = rng.integers(recipe.taught_clips, size=batch), rng.integers(recipe.frames, size=batch)
        known = latents.transpose(0, 2, 1, 3, 4)[picks].astype(np.float32) / vae.config.scaling_factor
        pixels = to_pixels(frames[picks]).to(accelerator.device)
        loss = loss_of(pixels, torch.from_numpy(known).to(accelerator.device), rng)
        for group in optimizer.param_groups:
            group["lr"] = part.rate * one_cycle(step, part.steps)
        optimizer.zero_grad()
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(learning.parameters(), 1.0)
        optimizer.step()
        done = step + 1
        if done % 100 == 0 or done == part.steps:
            progress.log(done, loss=float(loss.detach()))
        if part.judged and (done % 500 == 0 or done == part.steps):
            progress.log(done, psnr=reconstruction_psnr(vae, shown))
        if done % recipe.checkpoint_every == 0 or done == part.steps:
            progress.save({"model": learning.state_dict(), "optimizer": optimizer.state_dict(), "step": done})
    learning.requires_grad_(False)


def load_decoder(work: Path, vae: AutoencoderKL) -> None:
    """Load the last state of the decoder stage into `vae`, if there is one."""
    state = Progress(work, "decoder").load()
    if state is not None:
        nn.ModuleList([vae.post_quant_conv, vae.decoder]).load_state_dict(state["model"])
