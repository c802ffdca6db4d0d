"""Measures the variants of the engine on a GPU, one after the other, with the same model, noise and embeddings."""

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, TextToVideoSDPipeline, UNet3DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from core.diffusion import device as devices
from core.diffusion import noise, placement, sampler
from core.diffusion.prediction import Prediction
from core.diffusion.unet3d.decoding import decode
from core.diffusion.unet3d.graphs import Graphed
from core.diffusion.unet3d.network import Network, lay_out
from core.diffusion.unet3d.prediction import Planned, Reference
from core.domain.modes import EXACT, FAST, MODES, REFERENCE, plan
from core.domain.recipe import Size
from core.errors import StudioError
from core.families.catalog import folder_on_disk
from core.families.model_folder import weight_variant
from core.families.registry import MODELS, SCHEDULERS
from core.families.unet3d import cost
from core.families.unet3d.layout import LAYOUT
from core.families.unet3d.shape import Architecture, TextShape, UNetShape, VaeShape
from core.settings import Settings, hub_cache
from scripts.bench_parts.gpu_figures import EAGER, Figures, compared
from scripts.bench_parts.gpu_recording import Timed

STEPS, GUIDANCE, REPEATS = 25, 9.0, 2
SHARE = 0.15
"""A variant is stopped at a step after this part of the total time."""
SIZES = (Size(16, 256, 256), Size(24, 320, 576))
"""The training sizes of ModelScope and Zeroscope."""
TINY = Architecture(
    UNetShape(block_out_channels=(8, 16), layers_per_block=1, cross_attention_dim=16, attention_head_dim=4,
              down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
              up_block_types=("UpBlock3D", "CrossAttnUpBlock3D")),
    VaeShape(block_out_channels=(8, 8, 8, 8), layers_per_block=1),
    TextShape(vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=2, max_position_embeddings=8))
RECORDED = ("exact", "fast")
"""The variants whose steps are recorded."""
TINY_SIZES = (Size(3, 32, 32), Size(4, 32, 48))
_SCHEDULE = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1}


@dataclass(frozen=True)
class Parts:
    """The parts of `core.diffusion.unet3d.model.UNet3DModel` that make a video from embeddings."""

    text_encoder: CLIPTextModel
    unet: UNet3DConditionModel
    vae: AutoencoderKL
    shape: Architecture
    device: torch.device
    dtype: torch.dtype

    @property
    def pixels_per_latent(self) -> int:
        """Pixels along a side for one latent."""
        return self.shape.pixels_per_latent


class _TooLong(Exception):
    """A variant has used up its share of the time."""


@dataclass
class _Clock:
    """The end of the measurement, and the end of the running variant."""

    end: float
    share_s: float
    variant: float = 0.0

    def begin(self) -> bool:
        """Start the share of a variant; returns whether there is time left for it."""
        now = time.monotonic()
        self.variant = min(self.end, now + self.share_s)
        return now < self.end

    def on_step(self, *_: object) -> None:
        if time.monotonic() > self.variant:
            raise _TooLong


def measure(minutes: float = 8.0, *, tiny: bool = False,
            on_figures: Callable[[dict[str, Any]], None] = lambda results: None) -> dict[str, Any]:
    """Build or load the model and measure every variant; no variant begins after `minutes`.

    Args:
        on_figures: called after each variant with the results so far, in the form of the return value.
    """
    clock = _Clock(time.monotonic() + 60 * minutes, 60 * minutes * SHARE)
    if tiny:
        torch.set_num_threads(1)  # with such small matrices the threads only wait for each other
    device = devices.device_of(Settings.from_env())
    devices.quiet()
    dtype = devices.dtype_of(device)
    shape, sizes, steps = (TINY, TINY_SIZES, 4) if tiny else (Architecture(), SIZES, STEPS)
    spec = MODELS["modelscope-1.7b"]
    folder = None if tiny else folder_on_disk(Settings.from_env().models_dir, hub_cache(), spec)
    parts = build(shape, device, dtype, folder)
    flops = _matmul_flops(device, dtype, 256 if tiny else 8192)
    results: dict[str, Any] = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"), "tiny": tiny,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "the processor",
        "dtype": str(dtype).removeprefix("torch."), "torch": torch.__version__,
        "weights": "real" if folder else "random", "parameters": {
            name: sum(p.numel() for p in getattr(parts, name).parameters())
            for name in ("unet", "text_encoder", "vae")},
        "steps": steps, "matmul_tflops": flops / 1e12, "figures": [],
    }
    done: list[Figures] = []
    with torch.inference_mode():
        for size in sizes:
            floor_s = cost.work(shape, size, steps, GUIDANCE > 1).total / flops
            measured: list[tuple[Figures, np.ndarray | None]] = []
            for row in _variants(parts, size, steps, clock):
                measured.append(row)
                results["figures"] = [asdict(figures) for figures in (*done, *compared(measured, floor_s))]
                on_figures(results)
            done += compared(measured, floor_s)
    return results


def build(shape: Architecture, device: torch.device, dtype: torch.dtype, folder: Any = None) -> Parts:
    """The model of that shape, with the weights of `folder` or random ones."""
    if folder is not None:
        text, unet, vae = (
            kind.from_pretrained(folder / part, variant=weight_variant(folder, part, LAYOUT, "fp16"), dtype=dtype,
                                 use_safetensors=True, local_files_only=True).to(device)
            for part, kind in (("text_encoder", CLIPTextModel), ("unet", UNet3DConditionModel),
                               ("vae", AutoencoderKL)))
        return Parts(text.eval(), unet.eval(), vae.eval(), shape, device, dtype)
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            unet = UNet3DConditionModel(
                **asdict(shape.unet), norm_num_groups=min(32, min(shape.unet.block_out_channels) // 2))
            levels = len(shape.vae.block_out_channels)
            vae = AutoencoderKL(
                **asdict(shape.vae), down_block_types=("DownEncoderBlock2D",) * levels,
                up_block_types=("UpDecoderBlock2D",) * levels,
                norm_num_groups=min(32, min(shape.vae.block_out_channels) // 2))
            text = CLIPTextModel(CLIPTextConfig(
                **asdict(shape.text), num_attention_heads=max(1, shape.text.hidden_size // 64), hidden_act="gelu",
                projection_dim=512))
    finally:
        torch.set_default_dtype(before)
    return Parts(text.to(device, dtype).eval(), unet.to(device, dtype).eval(), vae.to(device, dtype).eval(), shape,
                 device, dtype)


def _variants(parts: Parts, size: Size, steps: int, clock: _Clock) -> Iterator[tuple[Figures, np.ndarray | None]]:
    """The figures and the frames of each variant."""
    factor = parts.pixels_per_latent
    drawn = noise.draw(1, size.num_frames, parts.shape.unet.in_channels, size.height // factor, size.width // factor)
    embeds = torch.randn(2, parts.shape.text.max_position_embeddings, parts.shape.unet.cross_attention_dim,
                         generator=torch.Generator().manual_seed(2)).to(parts.device, parts.dtype)
    latents = drawn.to(parts.device, parts.dtype)
    visiting = placement.visiting(parts.device)
    network = Network(parts.unet)

    def made(mode: str, called: Network | Graphed, unet: placement.Around, vae: placement.Around) -> np.ndarray:
        row = MODES[mode]
        with unet(parts.unet):
            predict: Prediction = Planned(
                called, embeds, GUIDANCE, plan(row, steps, GUIDANCE), min(row.depth, called.depth)
            ) if row.network else Reference(parts.unet, embeds, GUIDANCE)
            scheduler = sampler.scheduler(SCHEDULERS["dpmsolver++"], _SCHEDULE)
            done = sampler.denoise(predict, scheduler, latents, steps, clock.on_step)
        with vae(parts.vae):
            return decode(parts.vae, done, row, lambda *_: None)

    def held() -> int:
        return graphed.nbytes if graphed is not None else 0

    here, timed = placement.here, Timed(parts.device)
    graphed: Graphed | None = Graphed(network, timed)
    layer_by_layer = Network(parts.unet, visiting)
    variants: dict[str, tuple[bool, bool, Callable[[], np.ndarray]]] = {  # channels last, resident weights, the call
        "stock pipeline": (False, True, partial(_stock, parts, embeds, latents, size, steps, clock)),
        "reference": (False, True, lambda: made(REFERENCE, network, here, here)),
        EAGER: (True, True, lambda: made(EXACT, network, here, here)),
        "exact": (True, True, lambda: made(EXACT, graphed, here, here)),
        "fast": (True, True, lambda: made(FAST, graphed, here, here)),
        "fast, no graph": (True, True, lambda: made(FAST, network, here, here)),
        "exact, model offload": (True, False, lambda: made(EXACT, network, visiting, visiting)),
        "exact, sequential offload": (True, False, lambda: made(EXACT, layer_by_layer, here, visiting)),
    }
    for name, (last, resident, call) in variants.items():
        row = Figures(name, size.num_frames, size.height, size.width)
        if not clock.begin():
            yield replace(row, remark="not measured: the time was over"), None
            continue
        try:
            for part in (parts.text_encoder, parts.unet, parts.vae):
                placement.rest_on(part, parts.device if resident else torch.device("cpu"))
                lay_out(part, last)
            before = timed.seconds
            figures, frames = _measured(row, call, parts, steps, clock, held)
            if name in RECORDED and graphed is not None:
                figures = replace(figures, recording_s=timed.seconds - before)
                if not all(graphed.kinds().values()):
                    figures = replace(figures, remark="not recorded")
            found = figures, frames
        except _TooLong:
            found = replace(row, remark=f"stopped after {clock.share_s:.0f} s"), None
        except (RuntimeError, StudioError) as error:
            found = replace(row, remark=str(error).split("\n")[0][:80]), None
        if name == RECORDED[-1]:
            graphed = None  # its recordings hold their activations
        gc.collect()
        if parts.device.type == "cuda":
            torch.cuda.empty_cache()
        yield found


def _stock(parts: Parts, embeds: torch.Tensor, latents: torch.Tensor, size: Size, steps: int,
           clock: _Clock) -> np.ndarray:
    pipe = TextToVideoSDPipeline(parts.vae, parts.text_encoder, None, parts.unet,
                                 DPMSolverMultistepScheduler(**_SCHEDULE))
    pipe.set_progress_bar_config(disable=True)
    made = pipe(prompt_embeds=embeds[1:], negative_prompt_embeds=embeds[:1], num_frames=size.num_frames,
                height=size.height, width=size.width, num_inference_steps=steps, guidance_scale=GUIDANCE,
                latents=latents.clone(), callback=clock.on_step).frames[0]
    return (made * 255).round().astype("uint8")


def _measured(row: Figures, call: Callable[[], np.ndarray], parts: Parts, steps: int, clock: _Clock,
              held: Callable[[], int]) -> tuple[Figures, np.ndarray]:
    """The figures and the frames of a variant. `held`: bytes of recordings that torch does not count as allocated."""
    on_gpu = parts.device.type == "cuda"

    def seconds() -> tuple[float, np.ndarray]:
        if on_gpu:
            torch.cuda.synchronize()
        started = time.perf_counter()
        frames = call()  # ends with the frames in main memory, so all GPU work is finished
        return time.perf_counter() - started, frames

    devices.reset_peak_memory(parts.device)
    first_s, frames = seconds()
    peak = devices.peak_memory_bytes(parts.device)  # during the recording torch counts all memory of a step
    devices.reset_peak_memory(parts.device)
    times: list[float] = []
    while len(times) < REPEATS and (not times or time.monotonic() + times[-1] < clock.variant):
        try:
            times.append(seconds()[0])
        except _TooLong:  # the first video still gives a figure
            row = replace(row, remark="first video only")
            break
    video_s = min(times or [first_s])
    peak = max(peak, devices.peak_memory_bytes(parts.device) + held())
    return replace(row, first_s=first_s, video_s=video_s, step_s=video_s / steps,
                   peak_bytes=peak if on_gpu else None), frames


def _matmul_flops(device: torch.device, dtype: torch.dtype, side: int) -> float:
    """Operations a second of a large matrix product. It gives the floor: the least possible time of a video."""
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in "lr")
    best = float("inf")
    for _ in range(10):
        if device.type == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        left @ right
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best
