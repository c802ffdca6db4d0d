"""Makes latents of the denoiser for clips with known frames. The decoder learns from them, as it gets them in use.

A clip's latents get so much noise that it hides the outlines, but not the places of things. Then the denoiser
removes the noise. Position, colour and motion do not change, but the outlines are now those of the denoiser. A
decoder that was trained only on latents of an encoder paints each error of the outlines. A decoder that learns to
paint the clip's own frames from these latents does not. Source of this method: Meng et al. 2021, SDEdit,
arXiv 2108.01073.
"""

from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import TextToVideoSDPipeline
from numpy.typing import NDArray

from scripts.demo_model.captions import caption
from scripts.demo_model.dataset import clip_list, made_on_disk
from scripts.demo_model.recipe import Recipe

STEPS, GUIDANCE = 20, 2.0
"""The studio's settings for its videos."""

LAST = (2, 7)
"""Only the last two to six of these steps run: their noise hides outlines, but not places."""

CHUNK = 8


def retouched_on_disk(
    recipe: Recipe, work: Path, base: Path, latents: NDArray[np.float16], accelerator: Accelerator
) -> NDArray[np.float16]:
    """The scaled latents of twice `retouched` clips, float16 (N, C, F, h, w). Missing latents are made now.

    The first half are latents from the denoiser of `base`; the second half are unchanged.
    """
    pipeline = TextToVideoSDPipeline.from_pretrained(base, local_files_only=True).to(accelerator.device)
    clips = clip_list(recipe)

    def made(start: int, stop: int) -> NDArray[np.float16]:
        plain, last = latents[start:stop].copy(), min(stop, recipe.retouched)
        rng = np.random.default_rng([recipe.seed, 3, start])
        texts = [caption(clip, rng) for clip in clips[start:last]]
        if texts:
            clean = torch.from_numpy(plain[: len(texts)].astype(np.float32)).to(accelerator.device)
            noise = torch.from_numpy(rng.standard_normal(clean.shape, dtype=np.float32)).to(accelerator.device)
            with accelerator.autocast():
                left = retouch(pipeline, texts, clean, noise, int(rng.integers(*LAST)))
            plain[: len(texts)] = left.cpu().numpy().astype(np.float16)
        return plain

    path = work / f"retouched-{recipe.size}-{recipe.retouched}.npy"
    return made_on_disk(path, (2 * recipe.retouched, *latents.shape[1:]), CHUNK, made, accelerator)


@torch.no_grad()
def retouch(
    pipeline: TextToVideoSDPipeline, prompts: list[str], clean: torch.Tensor, noise: torch.Tensor, last: int
) -> torch.Tensor:
    """Add noise to scaled latents for the start of the `last` steps, and run these steps.

    `clean`, `noise` and the result are float32 (B, C, F, h, w).
    """
    asked, empty = pipeline.encode_prompt(prompts, clean.device, 1, True, negative_prompt=[""] * len(prompts))
    words = torch.cat([empty, asked])
    scheduler = type(pipeline.scheduler).from_config(pipeline.scheduler.config)
    scheduler.set_timesteps(STEPS)
    scheduler.set_begin_index(STEPS - last)
    times = scheduler.timesteps[STEPS - last :]
    made = scheduler.add_noise(clean, noise, times[:1].repeat(len(clean)))
    for time in times:
        velocity = pipeline.unet(torch.cat([made, made]), time, encoder_hidden_states=words, return_dict=False)[0]
        without, with_prompt = velocity.float().chunk(2)
        made = scheduler.step(without + GUIDANCE * (with_prompt - without), time, made).prev_sample
    return made
