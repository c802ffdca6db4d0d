"""The models of the family that have a row."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from core.domain.models import Defaults, Limits, ModelSpec, Range
from core.domain.modes import MODES
from core.families.configurations import read_configuration
from core.families.unet3d.schedulers import SCHEDULERS
from core.families.unet3d.shape import architecture

FAMILY = "unet3d"

_RECOMMENDED = {
    "num_frames": Range(16, 24),
    "num_inference_steps": Range(20, 30),
    "guidance_scale": Range(7, 9, 0),
    "fps": Range(6, 8),
}

_row = partial(ModelSpec, family=FAMILY, schedulers=tuple(SCHEDULERS), modes=tuple(MODES))

ROWS: tuple[ModelSpec, ...] = (
    _row(
        key="demo",
        title="Demo model",
        summary="It knows thirteen scenes, and six shapes in ten colours that move as you say. It ships with "
                "the studio and runs on any laptop.",
        defaults=Defaults(16, 20, 2.0, 8, 128, 128),
        limits=Limits(num_frames=Range(1, 32), width=Range(32, 256, 16), height=Range(32, 256, 16)),
        recommended={"num_frames": Range(16, 16), "num_inference_steps": Range(6, 20),
                     "guidance_scale": Range(2, 3.5, 0), "fps": Range(6, 8)},
        licence="Apache-2.0",
        permitted_use="Any use. Trained only on clips drawn by a program of this project.",
        examples=(
            "a red ball bouncing on a white background",
            "a boat with a white sail on the sea",
            "shooting stars over a night sky",
            "snow over a neon city at night",
        ),
        memory_bytes=600_000_000,
    ),
    _row(
        key="modelscope-1.7b",
        title="ModelScope 1.7B",
        summary="The general text-to-video model of ModelScope: 256×256, two seconds, any English prompt.",
        defaults=Defaults(16, 25, 9.0, 8, 256, 256),
        limits=Limits(),
        recommended=_RECOMMENDED,
        licence="CC-BY-NC-4.0",
        permitted_use="Non-commercial use only. Its training clips carried a stock-footage watermark, "
                      "which can show in results.",
        repo_id="ali-vilab/text-to-video-ms-1.7b",
        revision="8227dddca75a8561bf858d604cc5dae52b954d01",
        variant="fp16",
        examples=(
            "An astronaut riding a horse on the moon",
            "A panda eating bamboo on a rock",
            "Waves breaking on a rocky beach at sunset, aerial view",
            "A paper boat floating down a rainy street",
        ),
        needs_cuda=True,
        download_bytes=3_670_000_000,
        memory_bytes=5_900_000_000,
    ),
    _row(
        key="zeroscope-576w",
        title="Zeroscope v2 576w",
        summary="ModelScope 1.7B tuned to 576×320 and without its watermark. The hub has no safetensors of "
                "it: convert it once into a folder of this name (see the README).",
        defaults=Defaults(24, 25, 9.0, 8, 576, 320),
        limits=Limits(),
        recommended={**_RECOMMENDED, "num_frames": Range(24, 24)},
        licence="CC-BY-NC-4.0",
        permitted_use="Non-commercial use only.",
        examples=(
            "A drone shot of a mountain lake at dawn",
            "A golden retriever running through tall grass",
            "A lighthouse in a storm, waves crashing",
            "Timelapse of clouds over a city skyline",
        ),
        needs_cuda=True,
        memory_bytes=7_500_000_000,
    ),
)


def row_of(folder: Path) -> ModelSpec:
    """A row for a model folder without one: generic limits, and the sizes that its configurations name."""
    size = (read_configuration(folder / "unet" / "config.json") or {}).get("sample_size")
    step = architecture(folder).pixels_per_latent
    side = size * step if isinstance(size, int) and 0 < size * step <= 1024 else 256
    general = next(row for row in ROWS if row.key == "modelscope-1.7b")
    return replace(
        general, key=folder.name, title=folder.name, summary="A model folder on this machine.",
        defaults=Defaults(16, 25, 9.0, 8, side, side),
        limits=Limits(width=Range(step, 1024, step), height=Range(step, 1024, step)),
        licence="unknown", permitted_use="See the licence of the checkpoint.",
        repo_id=None, revision=None, variant=None, examples=(), needs_cuda=False,
        download_bytes=0, memory_bytes=0,
    )
