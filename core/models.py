"""The models and schedulers, as rows: what each is, needs, allows, and may be used for.

A new model is one row here. A folder of the models directory that holds a `model_index.json` is a model
too, with the generic limits of its family; a folder named like a row is used instead of the hub.
"""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.architecture import architecture
from core.errors import BadRequest


@dataclass(frozen=True)
class Range:
    """An inclusive range of values; `step` is the distance between allowed ones (0: any)."""

    low: float
    high: float
    step: float = 1

    def __contains__(self, value: float) -> bool:
        if not self.low <= value <= self.high:
            return False
        return self.step == 0 or (value - self.low) % self.step == 0


@dataclass(frozen=True)
class Defaults:
    """What a request gets where it is silent."""

    num_frames: int
    num_inference_steps: int
    guidance_scale: float
    fps: int
    width: int
    height: int
    scheduler: str = "dpmsolver++"


@dataclass(frozen=True)
class Limits:
    """What is accepted; width and height in pixels."""

    num_frames: Range = Range(1, 64)
    num_inference_steps: Range = Range(1, 100)
    guidance_scale: Range = Range(1, 30, 0)
    fps: Range = Range(1, 60)
    width: Range = Range(64, 1024, 8)
    height: Range = Range(64, 1024, 8)


@dataclass(frozen=True)
class ModelSpec:
    """One model.

    Attributes:
        key: its name everywhere: request, sidecar, command line, folder name.
        repo_id, revision, variant: where the hub keeps it; repo_id None: only a folder.
        recommended: ranges that work best, by field name; shown where the person chooses.
        licence, permitted_use: shown before the first use.
        needs_cuda: refused on a machine without a CUDA GPU.
        download_bytes, memory_bytes: what is fetched at first use, and GPU (or main) memory at the defaults.
    """

    key: str
    title: str
    summary: str
    defaults: Defaults
    limits: Limits
    licence: str
    permitted_use: str
    repo_id: str | None = None
    revision: str | None = None
    variant: str | None = None
    recommended: dict[str, Range] = field(default_factory=dict)
    examples: tuple[str, ...] = ()
    needs_cuda: bool = False
    download_bytes: int = 0
    memory_bytes: int = 0


@dataclass(frozen=True)
class SchedulerSpec:
    """One scheduler: the diffusers class and the options that make it what its title says."""

    key: str
    title: str
    class_name: str
    options: dict[str, object] = field(default_factory=dict)
    deterministic: bool = True


SCHEDULERS: dict[str, SchedulerSpec] = {
    row.key: row
    for row in (
        SchedulerSpec("dpmsolver++", "DPM-Solver++ 2M", "DPMSolverMultistepScheduler",
                      {"algorithm_type": "dpmsolver++", "solver_order": 2}),
        SchedulerSpec("unipc", "UniPC", "UniPCMultistepScheduler"),
        # diffusers clips to [-1, 1] unless told not to, which is meant for pixels and ruins latents
        SchedulerSpec("ddim", "DDIM", "DDIMScheduler", {"clip_sample": False}),
        SchedulerSpec("euler", "Euler", "EulerDiscreteScheduler"),
    )
}

NEGATIVE_PROMPT = "blurry, low quality, distorted, artifacts, flicker, jitter"

_RECOMMENDED = {
    "num_frames": Range(16, 24),
    "num_inference_steps": Range(20, 30),
    "guidance_scale": Range(7, 9, 0),
    "fps": Range(6, 8),
}

MODELS: dict[str, ModelSpec] = {
    row.key: row
    for row in (
        ModelSpec(
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
        ModelSpec(
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
        ModelSpec(
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
}


def model_folder(models_dir: Path, key: str) -> Path | None:
    """The folder that holds model `key` on this machine, or None."""
    folder = models_dir / key
    return folder if (folder / "model_index.json").is_file() else None


def folder_on_disk(models_dir: Path, hub_cache: Path, spec: ModelSpec) -> Path | None:
    """Where the model is on this machine: its own folder, or its pinned commit in the hub's cache; else None.

    A commit in the cache counts when its index is there and each part with weights has some: the cache's links
    are made when a file has arrived whole.
    """
    folder = model_folder(models_dir, spec.key)
    if folder is not None or spec.repo_id is None:
        return folder
    snapshot = hub_cache / f"models--{spec.repo_id.replace('/', '--')}" / "snapshots" / (spec.revision or "")
    whole = (snapshot / "model_index.json").is_file() and all(
        any(path.is_file() for path in (snapshot / part).glob("*.safetensors"))
        for part in ("text_encoder", "unet", "vae"))
    return snapshot if whole else None


def catalog(models_dir: Path) -> dict[str, ModelSpec]:
    """Every model that can be asked for: the rows, then the other model folders by name."""
    found = dict(MODELS)
    if models_dir.is_dir():
        for folder in sorted(models_dir.iterdir()):
            if folder.name not in found and (folder / "model_index.json").is_file():
                found[folder.name] = _local(folder)
    return found


def _local(folder: Path) -> ModelSpec:
    """A row for a model folder that has none: generic limits, sizes as its own configurations name them."""
    try:
        config = json.loads((folder / "unet" / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        config = None
    size = config.get("sample_size") if isinstance(config, dict) else None
    step = architecture(folder).pixels_per_latent
    side = size * step if isinstance(size, int) and 0 < size * step <= 1024 else 256
    return replace(
        MODELS["modelscope-1.7b"],
        key=folder.name, title=folder.name, summary="A model folder on this machine.",
        defaults=Defaults(16, 25, 9.0, 8, side, side),
        limits=Limits(width=Range(step, 1024, step), height=Range(step, 1024, step)),
        licence="unknown", permitted_use="See the licence of the checkpoint.",
        repo_id=None, revision=None, variant=None, examples=(), needs_cuda=False,
        download_bytes=0, memory_bytes=0,
    )


def find(models: dict[str, ModelSpec], key: str) -> ModelSpec:
    """The row of `key`.

    Raises:
        BadRequest: no such model; the sentence lists those there are.
    """
    if key not in models:
        raise BadRequest("model", f"{key!r} is not a model of this studio; choose one of {', '.join(models)}.")
    return models[key]


def default_model(device: str) -> str:
    """The model a silent request gets on a worker's `device`: ModelScope 1.7B on a GPU, else the demo."""
    return "modelscope-1.7b" if device == "cuda" else "demo"
