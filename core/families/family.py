"""A family of models: models that share an architecture. This is the torch-free half."""

from pathlib import Path
from typing import Any, Protocol

from core.domain.models import ModelSpec, SchedulerSpec
from core.domain.modes import ModeSpec
from core.domain.recipe import Size
from core.families.cost import Memory, Work
from core.families.model_folder import Layout


class Shape(Protocol):
    """How a model is built, from its configuration: enough to compute the cost of a video. Hashable."""

    @property
    def pixels_per_latent(self) -> int:
        """The pixels along a side that one latent covers."""

    @property
    def tokens(self) -> int:
        """The number of tokens of a prompt that the model reads."""

    def work(self, size: Size, num_inference_steps: int, guided: bool) -> Work:
        """Operations of making a video in exact mode; `guided`: with a negative prompt."""

    def memory(self, size: Size, guided: bool, device: str) -> Memory:
        """Bytes of making a video on "cuda" (half precision) or "cpu" (single precision)."""


class Family(Protocol):
    """One family. `core/families/<key>/family.py` holds it; its half with torch is `core/diffusion/<key>/`."""

    @property
    def key(self) -> str:
        """Its name, as in `ModelSpec.family`."""

    @property
    def layout(self) -> Layout:
        """The files that a model folder of the family must hold, and no others."""

    @property
    def rows(self) -> tuple[ModelSpec, ...]:
        """The models of the family that have a row."""

    @property
    def schedulers(self) -> dict[str, SchedulerSpec]:
        """Its schedulers, by their keys."""

    def row_of(self, folder: Path) -> ModelSpec:
        """A row for a model folder without one."""

    def shape(self, folder: Path | None) -> Shape:
        """The shape of a model folder; the shape of the best-known model if the folder is missing or unreadable."""

    def method(self, mode: ModeSpec, device: str) -> dict[str, Any]:
        """A receipt's record of how the family works in a mode on "cpu" or "cuda": all that can change the frames.

        Its "mode" is the key of the mode.
        """
