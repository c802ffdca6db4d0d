"""The family of UNet3D: ModelScope, Zeroscope, the demo model and similar models."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.domain.models import ModelSpec, SchedulerSpec
from core.domain.modes import ModeSpec
from core.domain.recipe import Size
from core.families.cost import Memory, Work
from core.families.model_folder import Layout
from core.families.unet3d import cost, rows
from core.families.unet3d.layout import LAYOUT
from core.families.unet3d.schedulers import SCHEDULERS
from core.families.unet3d.shape import Architecture, architecture


@dataclass(frozen=True)
class UNet3DShape:
    """See `core.families.family.Shape`."""

    architecture: Architecture

    @property
    def pixels_per_latent(self) -> int:
        """The pixels along a side that one latent covers."""
        return self.architecture.pixels_per_latent

    @property
    def tokens(self) -> int:
        """The number of tokens of a prompt that the model reads."""
        return self.architecture.text.max_position_embeddings

    def work(self, size: Size, num_inference_steps: int, guided: bool) -> Work:
        """Operations of making a video in exact mode."""
        return cost.work(self.architecture, size, num_inference_steps, guided)

    def memory(self, size: Size, guided: bool, device: str) -> Memory:
        """Bytes of making a video."""
        return cost.memory(self.architecture, size, guided, device)


class UNet3D:
    """See `core.families.family.Family`."""

    key = rows.FAMILY
    layout: Layout = LAYOUT
    rows: tuple[ModelSpec, ...] = rows.ROWS
    schedulers: dict[str, SchedulerSpec] = SCHEDULERS

    def row_of(self, folder: Path) -> ModelSpec:
        """A row for a model folder without one."""
        return rows.row_of(folder)

    def shape(self, folder: Path | None) -> UNet3DShape:
        """The shape of a model folder; the shape of ModelScope 1.7B if there is no readable folder."""
        return UNet3DShape(architecture(folder))

    def method(self, mode: ModeSpec, device: str) -> dict[str, Any]:
        """The mode with its settings."""
        return mode.document(device)
