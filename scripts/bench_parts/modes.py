"""Compares settings of fast mode with exact mode: the speed, the likeness, and how well videos follow the prompt.

These figures decided the settings of the row "fast" of `core.domain.modes`.
"""

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.diffusion import noise, sampler
from core.diffusion.loader import find
from core.diffusion.unet3d.model import UNet3DModel, load
from core.diffusion.unet3d.network import Network
from core.diffusion.unet3d.prediction import Planned
from core.domain.modes import EXACT, FAST, MODES, ModeSpec, plan
from core.domain.recipe import resolve
from core.domain.request import VideoRequest
from core.families.catalog import catalog
from core.families.cost import RESIDENT
from core.families.registry import SCHEDULERS
from core.settings import Settings
from scripts.demo_model.measure import measure as seen_in
from scripts.demo_model.prompts import single_prompts

SETTINGS = ((2, 1, 1.0), (2.5, 1, 1.0), (3, 1, 1.0), (4, 1, 1.0), (2, 2, 1.0), (3, 2, 1.0), (3, 3, 1.0),
            (1, 1, 0.6), (2, 1, 0.6), (2, 2, 0.6), (2, 1, 0.8), (2, 2, 0.8))
"""Interval, depth, and the part of the steps with guidance, counted from the first."""


def measure(models_dir: Path, repeats: int = 5) -> dict[str, Any]:
    """Make `repeats` videos of one shape with each setting, and with exact mode.

    Returns:
        For each setting: the speed relative to exact mode (processor time of denoising); the mean and the least PSNR
        against exact mode; the share of correct colours and backgrounds.
    """
    settings = Settings.from_env(models_dir=models_dir)
    model = load(find(catalog(settings.models_dir)["demo"], settings, lambda _: None))
    model.arrange(MODES[EXACT], RESIDENT)
    chosen = MODES[FAST]
    rows = {"exact": MODES[EXACT], "fast, as offered": chosen}
    rows |= {f"interval {interval}, depth {depth}, guided to {until:.0%}": ModeSpec(
        FAST, "", "", interval=interval, depth=depth, guided=(0.0, until)) for interval, depth, until in SETTINGS
        if (interval, depth, (0.0, until)) != (chosen.interval, chosen.depth, chosen.guided)}
    asked = single_prompts(max(repeats, 2))
    exact: list[np.ndarray] = []
    found: dict[str, Any] = {}
    exact_s = 0.0
    for title, mode in rows.items():
        videos, seconds = zip(*(_made(model, settings, mode, one.prompt, one.seed)
                                for one in asked), strict=True)
        spent = statistics.median(seconds)
        if title == "exact":
            exact, exact_s = list(videos), spent
        looked = [seen_in(frames) for frames in videos]
        right = statistics.mean((look.colour == one.clip.colour) + (look.background == one.clip.background)
                                for look, one in zip(looked, asked, strict=True)) / 2
        near = [_psnr(*pair) for pair in zip(videos, exact, strict=True)]
        found[title] = (f"{exact_s / spent:4.2f}×  {statistics.mean(near):5.1f} dB (least {min(near):4.1f})  "
                        f"{right:4.0%} right")
    return found


def _made(model: UNet3DModel, settings: Settings, mode: ModeSpec, prompt: str,
          seed: int) -> tuple[np.ndarray, float]:
    recipe = resolve(VideoRequest(prompt, model="demo", seed=seed), catalog(settings.models_dir))
    with torch.inference_mode():
        embeds, _ = model.embed(recipe)
        drawn = noise.draw(seed, *model.latents_of(recipe.size))
        started = time.process_time()
        predict = Planned(Network(model.unet), embeds, recipe.guidance_scale,
                          plan(mode, recipe.num_inference_steps, recipe.guidance_scale), mode.depth)
        scheduler = sampler.scheduler(SCHEDULERS[recipe.scheduler], model.scheduler_config)
        latents = sampler.denoise(predict, scheduler, drawn, recipe.num_inference_steps, lambda *_: None)
        spent = time.process_time() - started
        return model.decode(latents, mode, lambda *_: None), spent


def _psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = float(np.mean((one.astype(float) - other) ** 2))
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))
