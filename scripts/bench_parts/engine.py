"""Our engine, in each of its modes, against the pipeline of diffusers: same weights, latents, steps and size."""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from diffusers import TextToVideoSDPipeline

from core.diffusion import noise
from core.diffusion.engine import Engine
from core.diffusion.loader import find, settle
from core.diffusion.model import Model
from core.diffusion.registry import LOADERS
from core.domain.modes import EXACT, MODES
from core.domain.recipe import Recipe, Size, resolve
from core.domain.request import VideoRequest
from core.families.catalog import catalog, model_folder
from core.families.cost import RESIDENT
from core.families.registry import SCHEDULERS
from core.library.media import clip
from core.library.media.encoding import Encoding
from core.settings import Settings

PROMPT = "a red ball bouncing on a white background"


def measure(models_dir: Path, repeats: int = 5) -> dict[str, Any]:
    """Time every mode and the diffusers pipeline in turn, with equal latents.

    Args:
        models_dir: the first of its model folders is used, the demo model if it is there.
        repeats: measured runs of each, after one unmeasured run.

    Returns:
        Medians. For each mode its speed relative to diffusers, by the clock and by processor time, and the distance
        of its frames from those of diffusers. Other work on the machine distorts processor time less. Also the gain
        of encoding during decoding, at the model's own size and at its largest size.
    """
    settings = Settings.from_env(models_dir=models_dir)
    models = catalog(settings.models_dir)
    here = [key for key in models if model_folder(settings.models_dir, key)]
    if not here:
        return {"model": ""}
    recipe = resolve(VideoRequest(PROMPT, model=here[0], seed=1), models)
    engine = Engine(settings)
    engine.load(recipe.model, lambda _: None)
    device = torch.device(engine.environment().device)
    calls = {mode: partial(_frames, engine, replace(recipe, mode=mode)) for mode in MODES}
    calls["stock"] = _stock(settings, recipe, device)
    frames = {name: call() for name, call in calls.items()}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for turn in range(repeats):
        for name in sorted(calls, reverse=bool(turn % 2)):
            times[name].append(_seconds(calls[name]))
    clock, processor = ({name: statistics.median(pair[kind] for pair in times[name]) for name in calls}
                        for kind in (0, 1))
    found: dict[str, Any] = {
        "model": recipe.model,
        "clip": f"{recipe.num_frames}×{recipe.width}×{recipe.height}, {recipe.num_inference_steps} steps",
        "the stock pipeline, s": clock["stock"],
    }
    for mode in MODES:
        found[f"{mode}, s"] = clock[mode]
        found[f"{mode}: times faster than the stock pipeline"] = clock["stock"] / clock[mode]
        found[f"{mode}: the same of processor time"] = processor["stock"] / processor[mode]
        found[f"{mode}: frames against the stock pipeline's"] = _apart(frames[mode], frames["stock"])
    spec = models[recipe.model]
    limits = spec.limits
    most = Size(int(limits.num_frames.high), int(limits.height.high), int(limits.width.high))
    model = LOADERS[spec.family](find(spec, settings, lambda _: None))
    model.arrange(MODES[EXACT], RESIDENT)
    for size in (recipe.size, most):
        found |= _beside(model, size, recipe.fps, repeats)
    return found


def _beside(model: Model, size: Size, fps: int, repeats: int) -> dict[str, Any]:
    """Compare encoding after decoding with encoding during decoding; by the clock."""
    mode, latents = MODES[EXACT], noise.draw(1, *model.latents_of(size))

    def after() -> bytes:
        return clip.encode_bytes(model.decode(latents, mode, lambda *_: None), fps, "")[0]

    def beside() -> bytes:
        with Encoding(fps) as encoding:
            encoding.add(np.empty((0, size.height, size.width, 3), np.uint8))
            return clip.finished(encoding, model.decode(latents, mode, lambda few, _: encoding.add(few)), fps, "")[0]

    with torch.inference_mode():
        same = after() == beside()
        pairs = [(_seconds(after)[0], _seconds(beside)[0]) for _ in range(repeats)]
    one, other = (statistics.median(pair[kind] for pair in pairs) for kind in (0, 1))
    title = f"{size.num_frames}×{size.height}×{size.width}, decoding and encoding"
    return {f"{title} one after the other, s": one, f"{title}, side by side: times faster": one / other,
            f"{title}, side by side: the same file": "yes" if same else "no"}


def _frames(engine: Engine, recipe: Recipe) -> np.ndarray:
    return engine.generate(recipe, lambda _: None).frames


def _apart(one: np.ndarray, other: np.ndarray) -> str:
    """The distance of two clips: the share of differing values, the largest difference, and the PSNR."""
    difference = np.abs(one.astype(int) - other)
    if not difference.any():
        return "equal"
    psnr_db = 10 * np.log10(255**2 / np.mean(difference.astype(float) ** 2))
    return f"{(difference > 0).mean():.3%} differ, at most by {difference.max()}; {psnr_db:.1f} dB"


def _stock(settings: Settings, recipe: Recipe, device: torch.device) -> Callable[[], np.ndarray]:
    """A call of the stock pipeline that makes the same frames."""
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    pipe = TextToVideoSDPipeline.from_pretrained(
        settings.models_dir / recipe.model, use_safetensors=True, local_files_only=True, dtype=dtype)
    for part in (pipe.text_encoder, pipe.unet, pipe.vae):
        settle(part, device)
    pipe.set_progress_bar_config(disable=True)
    row = SCHEDULERS[recipe.scheduler]
    pipe.scheduler = getattr(diffusers, row.class_name).from_config(pipe.scheduler.config, **row.options)

    def call() -> np.ndarray:
        latents = noise.draw(recipe.seed, recipe.num_frames, pipe.unet.config.in_channels,
                             recipe.height // pipe.vae_scale_factor, recipe.width // pipe.vae_scale_factor)
        return pipe(recipe.prompt, negative_prompt=recipe.negative_prompt, num_frames=recipe.num_frames,
                    num_inference_steps=recipe.num_inference_steps, guidance_scale=recipe.guidance_scale,
                    height=recipe.height, width=recipe.width, latents=latents.to(device, dtype)).frames[0]

    return lambda: (call() * 255).round().astype("uint8")


def _seconds(call: Callable[[], Any]) -> tuple[float, float]:
    """The duration of a call: seconds of the clock, and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu
