"""The interface of a loaded model of any family, phase by phase, as the engine uses it.

The torch half of a family is a folder beside this file. `core.diffusion.registry` has a row for each.
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
"""Called with the frames of a chunk, uint8 (n, H, W, 3), and the number decoded so far. May raise to stop."""


@dataclass(frozen=True)
class Source:
    """Where a loaded model came from, and on which device it works.

    Attributes:
        folder: the model folder with its files.
        weights_sha256: of every safetensors file, the configurations and the tokenizer. It is computed before any
            file is loaded (see `core.families.model_folder.sha256`).
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
        """The part of a receipt that this model decides."""
        return LoadedModel(self.spec.key, self.origin, self.revision, self.weights_sha256)


@dataclass(frozen=True)
class Parts:
    """The modules of a model, by their task. A memory mode moves each of them."""

    text_encoder: torch.nn.Module
    denoiser: torch.nn.Module
    decoder: torch.nn.Module

    def all(self) -> tuple[torch.nn.Module, ...]:
        """All modules, in the order in which they work."""
        return self.text_encoder, self.denoiser, self.decoder


class Model(Protocol):
    """A loaded model. Used by one thread, inside `torch.inference_mode`."""

    @property
    def source(self) -> Source:
        """Where it came from, and on which device it works."""

    @property
    def shape(self) -> Shape:
        """How it is built."""

    @property
    def parts(self) -> Parts:
        """Its modules."""

    @property
    def scheduler_config(self) -> dict[str, Any]:
        """The scheduler configuration of the training; `sampler.scheduler` builds on it."""

    @property
    def preview_factors(self) -> Factors:
        """The approximate map from its latents to colours."""

    def latents_of(self, size: Size) -> tuple[int, int, int, int]:
        """Frames, channels, height and width of a video's latents. Raises BadRequest: it cannot make this size."""

    def arrange(self, mode: ModeSpec, memory_mode: str) -> None:
        """Prepare the parts for a mode. Recordings made for another mode or memory mode are dropped."""

    def works_layer_by_layer(self, mode: ModeSpec) -> bool:
        """Whether only the working layer of the denoiser must be on the device; otherwise all of it must be."""

    def embed(self, recipe: Recipe) -> tuple[torch.Tensor, tuple[str, ...]]:
        """The prompts as the denoiser reads them, and sentences about the parts of them that it does not read."""

    def predict(self, recipe: Recipe, embeds: torch.Tensor, noise: torch.Tensor, memory_mode: str,
                around: Around) -> Prediction:
        """The prediction that the loop calls at each step.

        Args:
            noise: (1, C, F, h, w), on the device of the model.
            around: holds the weights on the device while a part works. The model calls it for the denoiser when
                `memory_mode` is `SEQUENTIAL_OFFLOAD`; otherwise the caller already has.
        """

    def decode(self, latents: torch.Tensor, mode: ModeSpec, on_decoded: OnDecoded) -> np.ndarray:
        """Latents (1, C, F, h, w) as frames (F, H, W, 3) uint8, decoded a few at a time."""

    def rehearse(self, recipe: Recipe, noise: torch.Tensor, alive: Callable[[], None]) -> float:
        """Make each kind of step once. Returns the seconds that a full step takes then. `alive` may raise to stop."""

    @property
    def recorded_bytes(self) -> int:
        """Memory of recorded steps, in addition to the memory that torch counts as allocated."""

    def forget_recordings(self) -> None:
        """Free the memory of the recorded steps."""
