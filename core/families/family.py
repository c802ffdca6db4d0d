"""What a family of models is, as far as torch is not needed for it: models that share an architecture."""

from pathlib import Path
from typing import Any, Protocol

from core.domain.models import ModelSpec, SchedulerSpec
from core.domain.modes import ModeSpec
from core.domain.recipe import Size
from core.families.cost import Memory, Work
from core.families.model_folder import Layout


class Shape(Protocol):
    """How a model is built, from its configuration: enough to say what a video costs. Hashable."""

    @property
    def pixels_per_latent(self) -> int:
        """Pixels along a side that one latent becomes."""

    @property
    def tokens(self) -> int:
        """How many tokens of a prompt the model reads."""

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
        """What a model folder of the family must hold, and nothing else."""

    @property
    def rows(self) -> tuple[ModelSpec, ...]:
        """Its models that have a row."""

    @property
    def schedulers(self) -> dict[str, SchedulerSpec]:
        """Its schedulers, by their keys."""

    def row_of(self, folder: Path) -> ModelSpec:
        """A row for a model folder that has none."""

    def shape(self, folder: Path | None) -> Shape:
        """The shape of a model folder; that of the best-known model where there is no folder, or none that reads."""

    def method(self, mode: ModeSpec, device: str) -> dict[str, Any]:
        """What a receipt says of how the family works in a mode on "cpu" or "cuda": all that can change the frames.

        Its "mode" is the key of the mode.
        """
