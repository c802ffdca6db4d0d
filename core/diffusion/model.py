"""One loaded model, whatever its family: what the engine asks of it, phase by phase.

A family's half with torch is a folder beside this file; `core.diffusion.registry` has a row for each.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from core.diffusion.placement import Around
from core.diffusion.prediction import Prediction
from core.diffusion.preview import Factors
from core.domain.models import ModelSpec
from core.domain.modes import ModeSpec
from core.domain.receipt import LoadedModel
from core.domain.recipe import Recipe, Size
from core.families.family import Shape

OnDecoded = Callable[[np.ndarray, int], None]
"""Called with the frames of a chunk, uint8 (n, H, W, 3), and how many there are now. May raise to stop."""


@dataclass(frozen=True)
class Source:
    """Where a loaded model came from, and where it works.

    Attributes:
        folder: with its files.
        weights_sha256: of every safetensors file loaded, the configurations and the tokenizer, as they were before
            any was loaded (see `core.families.model_folder.sha256`).
        origin, revision: "folder" and "", or the hub's repository id and commit.
        device, dtype: of its parts while they work.
    """

    spec: ModelSpec
    folder: Path
    weights_sha256: str
    origin: str
    revision: str
    device: torch.device
    dtype: torch.dtype

    @property
    def loaded_model(self) -> LoadedModel:
        """What a receipt says of it."""
        return LoadedModel(self.spec.key, self.origin, self.revision, self.weights_sha256)


@dataclass(frozen=True)
class Parts:
    """The modules of a model by what they do; a memory mode moves each of them."""

    text_encoder: torch.nn.Module
    denoiser: torch.nn.Module
    decoder: torch.nn.Module

    def all(self) -> tuple[torch.nn.Module, ...]:
        """In the order in which they work."""
        return self.text_encoder, self.denoiser, self.decoder


class Model(Protocol):
    """A loaded model. Used by one thread, inside `torch.inference_mode`."""

    @property
    def source(self) -> Source:
        """Where it came from, and where it works."""

    @property
    def shape(self) -> Shape:
        """How it is built."""

    @property
    def parts(self) -> Parts:
        """Its modules."""

    @property
    def scheduler_config(self) -> dict[str, Any]:
        """What it was trained with; `sampler.scheduler` builds on it."""

    @property
    def preview_factors(self) -> Factors:
        """How its latents become colours, roughly."""

    def latents_of(self, size: Size) -> tuple[int, int, int, int]:
        """Frames, channels, height and width of the latents of a video. Raises BadRequest: not a size it can make."""

    def arrange(self, mode: ModeSpec, memory_mode: str) -> None:
        """Prepare the parts for a mode; what was recorded for another way of working is forgotten."""

    def works_layer_by_layer(self, mode: ModeSpec) -> bool:
        """Whether of the denoiser only the layer that works need be on the device; else it is one piece."""

    def embed(self, recipe: Recipe) -> tuple[torch.Tensor, tuple[str, ...]]:
        """The prompts as the denoiser reads them, and sentences about what of them is not read."""

    def predict(self, recipe: Recipe, embeds: torch.Tensor, noise: torch.Tensor, memory_mode: str,
                around: Around) -> Prediction:
        """What the loop asks at each step.

        Args:
            noise: (1, C, F, h, w), where the model works.
            around: holds the weights where they must be while a part works; for the denoiser it is the model's to
                call where `memory_mode` is `SEQUENTIAL_OFFLOAD`, and has been called otherwise.
        """

    def decode(self, latents: torch.Tensor, mode: ModeSpec, on_decoded: OnDecoded) -> np.ndarray:
        """Latents (1, C, F, h, w) as frames (F, H, W, 3) uint8, a few at a time."""

    def rehearse(self, recipe: Recipe, noise: torch.Tensor, alive: Callable[[], None]) -> float:
        """Make each kind of step once; the seconds that a whole one takes after that. `alive` may raise to stop."""

    @property
    def recorded_bytes(self) -> int:
        """Memory of recorded steps, beside what torch counts as allocated."""

    def forget_recordings(self) -> None:
        """Give that memory back."""
