"""A model and a scheduler as rows of a table: their names, needs, limits and permitted use.

The rows themselves are in their families (`core.families`).
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
    """The values for the empty fields of a request."""

    num_frames: int
    num_inference_steps: int
    guidance_scale: float
    fps: int
    width: int
    height: int
    scheduler: str = "dpmsolver++"


@dataclass(frozen=True)
class Limits:
    """The accepted values; width and height in pixels."""

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
        family: the key of its family; schedulers, modes: the keys that a request may choose.
        repo_id, revision, variant: its place on the hub; repo_id None: only a folder.
        recommended: ranges that work best, by field name; shown where the person chooses.
        licence, permitted_use: shown before the first use.
        needs_cuda: refused on a machine without a CUDA GPU.
        download_bytes, memory_bytes: the download at first use, and GPU (or main) memory at the defaults.
    """

    key: str
    title: str
    summary: str
    defaults: Defaults
    limits: Limits
    licence: str
    permitted_use: str
    family: str
    schedulers: tuple[str, ...]
    modes: tuple[str, ...]
    repo_id: str | None = None
    revision: str | None = None
    variant: str | None = None
    recommended: dict[str, Range] = field(default_factory=dict)
    examples: tuple[str, ...] = ()
    needs_cuda: bool = False
    download_bytes: int = 0
    memory_bytes: int = 0

    @property
    def pinned(self) -> tuple[str, str]:
        """Repository id and commit on the hub. Raises ValueError: the model is not on the hub."""
        if self.repo_id is None or self.revision is None:
            raise ValueError(f"{self.key} is not on the hub")
        return self.repo_id, self.revision


@dataclass(frozen=True)
class SchedulerSpec:
    """One scheduler: the diffusers class, and the options that its title stands for."""

    key: str
    title: str
    class_name: str
    options: dict[str, object] = field(default_factory=dict)
    deterministic: bool = True


NEGATIVE_PROMPT = "blurry, low quality, distorted, artifacts, flicker, jitter"


def find(models: dict[str, ModelSpec], key: str) -> ModelSpec:
    """The row of `key`.

    Raises:
        BadRequest: no such model; the sentence lists the known ones.
    """
    if key not in models:
        raise BadRequest("model", f"{key!r} is not a model of this studio; choose one of {', '.join(models)}.")
    return models[key]
