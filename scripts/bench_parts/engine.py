"""Our engine against the library's own pipeline: same weights, prompt, latents, steps and size, in one run."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from diffusers import TextToVideoSDPipeline

from core.diffusion import noise
from core.diffusion.engine import Engine
from core.diffusion.loader import settle
from core.models import SCHEDULERS, catalog, model_folder
from core.request import VideoRequest, resolve
from core.settings import Settings

PROMPT = "a red ball bouncing on a white background"


def measure(models_dir: Path, repeats: int = 5) -> dict[str, Any]:
    """Time both, alternating, at equal frames.

    Args:
        models_dir: the demo model of it is used, or else the first model folder there is.
        repeats: measured runs of each, after one that is not.

    Returns:
        Medians, their ratio, and the ratio of processor seconds, which other work on the machine distorts less.
    """
    settings = Settings.from_env(models_dir=models_dir)
    models = catalog(settings.models_dir)
    here = [key for key in models if model_folder(settings.models_dir, key)]
    if not here:
        return {"model": ""}
    request = resolve(VideoRequest(PROMPT, model=here[0], seed=1), models)
    engine = Engine(settings)
    engine.load(request.model, lambda _: None)
    device = torch.device(engine.environment().device)
    ours, theirs = (lambda: engine.generate(request, lambda _: None).frames), _stock(settings, request, device)
    frames = ours(), _rounded(theirs())
    times: dict[Callable[[], Any], list[tuple[float, float]]] = {ours: [], theirs: []}
    for turn in range(repeats):
        for call in (ours, theirs) if turn % 2 == 0 else (theirs, ours):
            times[call].append(_seconds(call))
    engine_s, stock_s = (statistics.median(wall for wall, _ in times[call]) for call in (ours, theirs))
    engine_cpu, stock_cpu = (statistics.median(cpu for _, cpu in times[call]) for call in (ours, theirs))
    equal = bool(np.array_equal(*frames))
    return {
        "model": request.model,
        "clip": f"{request.num_frames}×{request.width}×{request.height}, {request.num_inference_steps} steps",
        "our engine, s": engine_s, "the stock pipeline, s": stock_s,
        "our engine / the stock pipeline (aim 1.0)": engine_s / stock_s,
        "the same of processor time": engine_cpu / stock_cpu,
        "equal frames": equal,
    }


def _stock(settings: Settings, request: VideoRequest, device: torch.device) -> Callable[[], np.ndarray]:
    """A call of the stock pipeline that makes the same frames, as float32 (F, H, W, 3) in [0, 1]."""
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    pipe = TextToVideoSDPipeline.from_pretrained(
        settings.models_dir / request.model, use_safetensors=True, local_files_only=True, dtype=dtype)
    for part in (pipe.text_encoder, pipe.unet, pipe.vae):
        settle(part, device)
    pipe.set_progress_bar_config(disable=True)
    row = SCHEDULERS[request.scheduler]
    pipe.scheduler = getattr(diffusers, row.class_name).from_config(pipe.scheduler.config, **row.options)

    def call() -> np.ndarray:
        latents = noise.draw(request.seed, request.num_frames, pipe.unet.config.in_channels,
                             request.height // pipe.vae_scale_factor, request.width // pipe.vae_scale_factor)
        return pipe(request.prompt, negative_prompt=request.negative_prompt, num_frames=request.num_frames,
                    num_inference_steps=request.num_inference_steps, guidance_scale=request.guidance_scale,
                    height=request.height, width=request.width, latents=latents.to(device, dtype)).frames[0]

    return call


def _rounded(frames: np.ndarray) -> np.ndarray:
    return (frames * 255).round().astype("uint8")


def _seconds(call: Callable[[], Any]) -> tuple[float, float]:
    """How long a call takes: seconds of the clock, and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu
