"""The models and schedulers, as rows: what each is, needs, allows, and may be used for.

A new model is one row here. A folder of the models directory that holds a `model_index.json` is a model
too, with the generic limits of its family; a folder named like a row is used instead of the hub.
"""

from dataclasses import dataclass, field

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

def find(models: dict[str, ModelSpec], key: str) -> ModelSpec:
    """The row of `key`.

    Raises:
        BadRequest: no such model; the sentence lists those there are.
    """
    if key not in models:
        raise BadRequest("model", f"{key!r} is not a model of this studio; choose one of {', '.join(models)}.")
    return models[key]
