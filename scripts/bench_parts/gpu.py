"""The variants of making a video on a GPU, measured one after the other on the same model, noise and prompts."""

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

from core import cost
from core.architecture import Architecture, TextShape, UNetShape, VaeShape
from core.diffusion import device as devices
from core.diffusion import noise, placement, sampler
from core.diffusion.frames import decode
from core.diffusion.graphs import Graphed
from core.diffusion.network import Network, channels_last
from core.diffusion.prediction import Planned, Prediction, Reference
from core.models import MODELS, folder_on_disk
from core.modes import EXACT, FAST, MODES, plan
from core.settings import Settings, hub_cache

STEPS, GUIDANCE, REPEATS = 25, 9.0, 2
SIZES = ((16, 256, 256), (24, 320, 576))
"""Frames, height and width: what ModelScope and Zeroscope were trained for."""
TINY = Architecture(
    UNetShape(block_out_channels=(8, 16), layers_per_block=1, cross_attention_dim=16, attention_head_dim=4,
              down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
              up_block_types=("UpBlock3D", "CrossAttnUpBlock3D")),
    VaeShape(block_out_channels=(8, 8, 8, 8), layers_per_block=1),
    TextShape(vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=2, max_position_embeddings=8))
TINY_SIZES = ((3, 32, 32), (4, 32, 48))
_SCHEDULE = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1}


@dataclass(frozen=True)
class Parts:
    """As much of `core.diffusion.loader.Pipeline` as making a video from embeddings needs."""

    text_encoder: CLIPTextModel
    unet: UNet3DConditionModel
    vae: AutoencoderKL
    shape: Architecture
    device: torch.device
    dtype: torch.dtype

    @property
    def pixels_per_latent(self) -> int:
        """Pixels along a side that one latent becomes."""
        return self.shape.pixels_per_latent


@dataclass(frozen=True)
class Figures:
    """What one variant came to at one size; None: not measured.

    Attributes:
        first_s: of the first video, which also chooses kernels and records graphs.
        peak_bytes: the most memory of the GPU.
        psnr_db: of the frames against exact mode without graphs, where they are not equal.
        remark: why there are no figures, or "equal" frames.
    """

    variant: str
    num_frames: int
    height: int
    width: int
    video_s: float | None = None
    step_s: float | None = None
    first_s: float | None = None
    peak_bytes: int | None = None
    psnr_db: float | None = None
    times_stock: float | None = None
    times_floor: float | None = None
    remark: str = ""


def measure(minutes: float = 8.0, *, tiny: bool = False) -> dict[str, Any]:
    """Build or load the model and measure every variant; none is begun after `minutes`."""
    until = time.monotonic() + 60 * minutes
    if tiny:
        torch.set_num_threads(1)  # its matrices are so small that threads only wait for each other
    device = devices.device_of(Settings.from_env())
    devices.quiet()
    dtype = devices.dtype_of(device)
    shape, sizes, steps = (TINY, TINY_SIZES, 4) if tiny else (Architecture(), SIZES, STEPS)
    spec = MODELS["modelscope-1.7b"]
    folder = None if tiny else folder_on_disk(Settings.from_env().models_dir, hub_cache(), spec)
    parts = build(shape, device, dtype, folder)
    flops = _matmul_flops(device, dtype, 256 if tiny else 8192)
    found: list[Figures] = []
    with torch.inference_mode():
        for size in sizes:
            found += _compared(list(_variants(parts, size, steps, until)),
                               cost.work(shape, *size, steps, GUIDANCE).total / flops)
    return {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"), "tiny": tiny,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "the processor",
        "dtype": str(dtype).removeprefix("torch."), "torch": torch.__version__,
        "weights": "real" if folder else "random", "parameters": {
            name: sum(p.numel() for p in getattr(parts, name).parameters())
            for name in ("unet", "text_encoder", "vae")},
        "steps": steps, "matmul_tflops": flops / 1e12, "figures": [asdict(row) for row in found],
    }


def build(shape: Architecture, device: torch.device, dtype: torch.dtype, folder: Any = None) -> Parts:
    """The model of that shape, with the weights of `folder` or random ones."""
    if folder is not None:
        text, unet, vae = (
            kind.from_pretrained(folder / part, variant="fp16", dtype=dtype, use_safetensors=True).to(device)
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


def _variants(parts: Parts, size: tuple[int, int, int], steps: int, until: float
              ) -> Iterator[tuple[Figures, np.ndarray | None]]:
    """Each variant's figures with its frames; the exact one without graphs is the first."""
    frames, height, width = size
    factor = parts.pixels_per_latent
    drawn = noise.draw(1, frames, parts.shape.unet.in_channels, height // factor, width // factor)
    embeds = torch.randn(2, parts.shape.text.max_position_embeddings, parts.shape.unet.cross_attention_dim,
                         generator=torch.Generator().manual_seed(2)).to(parts.device, parts.dtype)
    latents = drawn.to(parts.device, parts.dtype)
    visiting = placement.visiting(parts.device)
    network = Network(parts.unet)

    def predict(mode: str, called: Network | Graphed) -> Prediction:
        row = MODES[mode]
        return Planned(called, embeds, GUIDANCE, plan(row, steps, GUIDANCE), min(row.depth, called.depth))

    def made(prediction: Callable[[], Prediction], unet: placement.Around, vae: placement.Around) -> np.ndarray:
        with unet(parts.unet):
            scheduler = sampler.scheduler("dpmsolver++", _SCHEDULE)
            done = sampler.denoise(prediction(), scheduler, latents, steps, lambda *_: None)
        with vae(parts.vae):
            return decode(parts, done, lambda *_: None)

    here = placement.here
    graphed = Graphed(network)
    layer_by_layer = Network(parts.unet, visiting)
    variants: dict[str, tuple[bool, bool, Callable[[], np.ndarray]]] = {  # channels last, weights stay, the call
        "exact, no graph": (True, True, partial(made, lambda: predict(EXACT, network), here, here)),
        "exact": (True, True, partial(made, lambda: predict(EXACT, graphed), here, here)),
        "fast": (True, True, partial(made, lambda: predict(FAST, graphed), here, here)),
        "fast, no graph": (True, True, partial(made, lambda: predict(FAST, network), here, here)),
        "exact, model offload": (True, False, partial(made, lambda: predict(EXACT, network), visiting, visiting)),
        "exact, sequential offload": (True, False, partial(made, lambda: predict(EXACT, layer_by_layer), here,
                                                           visiting)),
        "reference": (False, True, partial(made, lambda: Reference(parts.unet, embeds, GUIDANCE), here, here)),
        "stock pipeline": (False, True, partial(_stock, parts, embeds, latents, size, steps)),
    }
    if parts.device.type != "cuda":
        variants.pop("exact"), variants.pop("fast")
    for name, (last, resident, call) in variants.items():
        row = Figures(name, *size)
        if time.monotonic() > until:
            yield replace(row, remark="not measured: the time was over"), None
            continue
        for part in (parts.unet, parts.vae):
            part.to(parts.device if resident else "cpu")
            channels_last(part, last)
        try:
            yield _measured(row, call, parts, steps)
        except RuntimeError as error:
            yield replace(row, remark=str(error).split("\n")[0][:80]), None
        if name == "fast":
            graphed = None  # its recordings hold their activations
        gc.collect()
        if parts.device.type == "cuda":
            torch.cuda.empty_cache()


def _stock(parts: Parts, embeds: torch.Tensor, latents: torch.Tensor, size: tuple[int, int, int],
           steps: int) -> np.ndarray:
    pipe = TextToVideoSDPipeline(parts.vae, parts.text_encoder, None, parts.unet,
                                 DPMSolverMultistepScheduler(**_SCHEDULE))
    pipe.set_progress_bar_config(disable=True)
    frames, height, width = size
    made = pipe(prompt_embeds=embeds[1:], negative_prompt_embeds=embeds[:1], num_frames=frames, height=height,
                width=width, num_inference_steps=steps, guidance_scale=GUIDANCE, latents=latents.clone()).frames[0]
    return (made * 255).round().astype("uint8")


def _measured(row: Figures, call: Callable[[], np.ndarray], parts: Parts, steps: int
              ) -> tuple[Figures, np.ndarray]:
    on_gpu = parts.device.type == "cuda"

    def seconds() -> tuple[float, np.ndarray]:
        if on_gpu:
            torch.cuda.synchronize()
        started = time.perf_counter()
        frames = call()  # ends with the frames in main memory, so nothing is left to wait for
        return time.perf_counter() - started, frames

    devices.reset_peak_memory(parts.device)
    first_s, frames = seconds()
    video_s = min(seconds()[0] for _ in range(REPEATS))
    peak = devices.peak_memory_bytes(parts.device) if on_gpu else None
    return replace(row, first_s=first_s, video_s=video_s, step_s=video_s / steps, peak_bytes=peak), frames


def _compared(measured: list[tuple[Figures, np.ndarray | None]], floor_s: float) -> list[Figures]:
    """The rows of one size with their ratios: to the stock pipeline, to the floor, and to the exact frames."""
    stock_s = next((row.video_s for row, _ in measured if row.variant == "stock pipeline"), None)
    exact = measured[0][1]
    rows = []
    for row, frames in measured:
        if row.video_s is not None:
            row = replace(row, times_floor=row.video_s / floor_s,  # noqa: PLW2901
                          times_stock=stock_s / row.video_s if stock_s else None)
            if frames is not None and exact is not None:
                error = float(np.mean((frames.astype(float) - exact) ** 2))
                row = replace(row, **({"psnr_db": float(10 * np.log10(255**2 / error))} if error else  # noqa: PLW2901
                                      {"remark": "equal"}))
        rows.append(row)
    return rows


def _matmul_flops(device: torch.device, dtype: torch.dtype, side: int) -> float:
    """Operations a second of a large product, which is the floor that no video gets under."""
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


def table(results: dict[str, Any]) -> list[str]:
    """The figures as lines to read."""
    lines = [f"{results['measured']} · {results['device']}, {results['dtype']}, torch {results['torch']}, "
             f"{results['weights']} weights" + (" of a tiny model: these figures mean nothing"
                                                if results["tiny"] else ""),
             f"parameters: {', '.join(f'{name} {count:,}' for name, count in results['parameters'].items())}",
             f"a large product: {results['matmul_tflops']:.2f} TFLOP/s", ""]
    head = ("variant", "frames×h×w", "s/video", "s/step", "×stock", "×floor", "first s", "peak GiB", "PSNR dB")
    lines.append("{:<26}{:>14}{:>9}{:>9}{:>8}{:>8}{:>9}{:>10}{:>9}".format(*head))
    for row in results["figures"]:
        size = f"{row['num_frames']}×{row['height']}×{row['width']}"
        peak = None if row["peak_bytes"] is None else row["peak_bytes"] / 2**30
        psnr = f"{row['psnr_db']:.1f}" if row["psnr_db"] is not None else row["remark"] or "–"
        cells = [("–" if value is None else f"{value:.{digits}f}") for value, digits in (
            (row["video_s"], 3), (row["step_s"], 4), (row["times_stock"], 2), (row["times_floor"], 1),
            (row["first_s"], 2), (peak, 2))]
        lines.append("{:<26}{:>14}{:>9}{:>9}{:>8}{:>8}{:>9}{:>10}{:>9}".format(row["variant"], size, *cells, psnr))
    return lines
