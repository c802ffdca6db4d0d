"""The training set on disk: clips drawn at random and rendered once, then their latents.

Clip number i depends only on (seed, i), so the set stores only its pixels. Files are written under a temporary name
and renamed, so an interrupted run never leaves a half-filled set.
"""

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from scripts.demo_model.recipe import Recipe
from scripts.demo_model.world import Clip, draw_clip, render

CHUNK = 64


def clip_list(recipe: Recipe) -> list[Clip]:
    """The clips for the training of the diffusion model, in order."""
    return [draw_clip(np.random.default_rng([recipe.seed, number])) for number in range(recipe.taught_clips)]


def _render_chunk(job: tuple[Path, Recipe, int]) -> None:
    path, recipe, start = job
    frames = np.load(path, mmap_mode="r+")
    for number in range(start, min(start + CHUNK, recipe.clips)):
        clip = draw_clip(np.random.default_rng([recipe.seed, number]))
        frames[number] = render(clip, recipe.size, recipe.frames)


def frames_on_disk(recipe: Recipe, work: Path) -> NDArray[np.uint8]:
    """The rendered clips as a memory map, uint8 (N, F, H, W, 3). Missing clips are rendered now."""
    path = work / f"frames-{recipe.size}-{recipe.clips}.npy"
    if not path.exists():
        part = path.with_suffix(".part")
        shape = (recipe.clips, recipe.frames, recipe.size, recipe.size, 3)
        open_memmap(part, mode="w+", dtype=np.uint8, shape=shape).flush()
        jobs = [(part, recipe, start) for start in range(0, recipe.clips, CHUNK)]
        if len(jobs) == 1:
            _render_chunk(jobs[0])
        else:
            with ProcessPoolExecutor(min(os.cpu_count() or 1, len(jobs))) as pool:
                list(pool.map(_render_chunk, jobs))
        part.rename(path)
    return np.load(path, mmap_mode="r")


def to_pixels(frames: NDArray[np.uint8]) -> torch.Tensor:
    """Turn uint8 frames (..., H, W, 3) into float32 (..., 3, H, W) from -1 to 1."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(frames, -1, -3))).float() / 127.5 - 1.0


@torch.no_grad()
def latents_on_disk(
    recipe: Recipe,
    work: Path,
    frames: NDArray[np.uint8],
    vae: AutoencoderKL,
    accelerator: Accelerator,
    pixels_of: Callable[[NDArray[np.uint8]], torch.Tensor] = to_pixels,
) -> NDArray[np.float16]:
    """The clips' scaled latents, float16 (N, C, F, h, w). Missing latents are encoded now.

    `pixels_of` turns frames into the input of `vae`.
    """
    side = recipe.size // recipe.factor
    shape = (recipe.taught_clips, recipe.latent_channels, recipe.frames, side, side)

    def encoded(start: int, stop: int) -> NDArray[np.float16]:
        pixels = pixels_of(frames[start:stop]).to(vae.device)
        with accelerator.autocast():
            mean = vae.encode(pixels.flatten(0, 1)).latent_dist.mean
        scaled = (mean.float() * vae.config.scaling_factor).unflatten(0, pixels.shape[:2]).transpose(1, 2)
        return scaled.cpu().numpy().astype(np.float16)

    path = work / f"latents-{recipe.size}-{recipe.taught_clips}.npy"
    return made_on_disk(path, shape, 4, encoded, accelerator)


def made_on_disk(
    path: Path,
    shape: tuple[int, ...],
    chunk: int,
    make: Callable[[int, int], NDArray[np.float16]],
    accelerator: Accelerator,
) -> NDArray[np.float16]:
    """The results of `make(start, stop)` for `chunk` clips at a time, as a memory map of that shape, (N, ...).

    A missing file is made now. Each process makes its share of the chunks.
    """
    if path.exists():
        return np.load(path, mmap_mode="r")
    part = path.with_suffix(".part")
    if accelerator.is_main_process:
        open_memmap(part, mode="w+", dtype=np.float16, shape=shape).flush()
    accelerator.wait_for_everyone()
    made = np.load(part, mmap_mode="r+")
    starts = range(0, shape[0], chunk)
    for start in starts[accelerator.process_index :: accelerator.num_processes]:
        stop = min(start + chunk, shape[0])
        made[start:stop] = make(start, stop)
    made.flush()
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        part.rename(path)
    accelerator.wait_for_everyone()
    return np.load(path, mmap_mode="r")
