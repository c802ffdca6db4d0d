"""Makes clips from prompts, several at once, and sheets of pictures that show them."""

from pathlib import Path

import numpy as np
import torch
from diffusers import TextToVideoSDPipeline
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from scripts.demo_model.recipe import Recipe


def frame_noise(pipeline: TextToVideoSDPipeline, seeds: list[int], recipe: Recipe) -> torch.Tensor:
    """Draw each seed's noise on the CPU, frame after frame: float32 (N, C, F, h, w)."""
    side, channels = recipe.size // recipe.factor, pipeline.unet.config.in_channels
    shape = (recipe.frames, channels, side, side)
    drawn = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(drawn).transpose(1, 2)


def generate(
    pipeline: TextToVideoSDPipeline,
    prompts: list[str],
    seeds: list[int],
    recipe: Recipe,
    steps: int = 20,
    guidance: float = 2.0,
    negative: str = "",
) -> NDArray[np.uint8]:
    """Make one clip for each prompt: uint8 (N, F, H, W, 3)."""
    result = pipeline(
        prompts,
        negative_prompt=[negative] * len(prompts),
        num_frames=recipe.frames,
        height=recipe.size,
        width=recipe.size,
        num_inference_steps=steps,
        guidance_scale=guidance,
        latents=frame_noise(pipeline, seeds, recipe).to(pipeline.device, pipeline.unet.dtype),
        output_type="np",
    )
    return (np.clip(result.frames, 0, 1) * 255 + 0.5).astype(np.uint8)


def contact_sheet(
    clips: NDArray[np.uint8], titles: list[str], path: Path, columns: int = 5, shown: int = 4
) -> None:
    """Write a PNG grid: for every clip (F, H, W, 3) its title, and below it a row of `shown` of its frames."""
    size, line = clips.shape[2], 14
    width, height = size * shown + 6, size + line + 4
    rows = -(-len(clips) // columns)
    sheet = Image.new("RGB", (width * columns, height * rows), "white")
    pen = ImageDraw.Draw(sheet)
    for number, (clip, title) in enumerate(zip(clips, titles, strict=True)):
        left, top = number % columns * width, number // columns * height
        pen.text((left + 2, top + 1), title[: width // 6], fill="black")
        moments = np.linspace(0, len(clip) - 1, shown).round().astype(int)
        for place, moment in enumerate(moments):
            sheet.paste(Image.fromarray(clip[moment]), (left + place * size, top + line))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True)
