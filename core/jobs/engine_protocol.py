"""The methods a worker needs of an engine. `core.diffusion.engine.Engine` is the real one."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from core.domain.progress import OnCheckpoint, OnFrames, OnProgress
from core.domain.receipt import Environment, LoadedModel, Receipt
from core.domain.recipe import Recipe
from core.domain.resources import Resources
from core.domain.video import Runtime


class Made(Protocol):
    """The result of an engine: frames uint8 (F, H, W, 3), receipt, seconds a phase, sentences to show."""

    @property
    def frames(self) -> np.ndarray:
        """(F, H, W, 3) uint8."""

    @property
    def receipt(self) -> Receipt:
        """The record of the run."""

    @property
    def runtime(self) -> Runtime:
        """Seconds a phase."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences to show."""


class Engine(Protocol):
    """The methods a worker needs of an engine. `core.diffusion.engine.Engine` is the real one."""

    @property
    def loaded(self) -> str:
        """The key of the model that is warm, or ""."""

    @property
    def warm(self) -> LoadedModel | None:
        """The facts about the warm model that receipts store."""

    def environment(self) -> Environment:
        """The facts about this machine that receipts store."""

    def resources(self) -> Resources:
        """The memory and speed that the device offers now."""

    def load(self, key: str, on_progress: OnProgress) -> None:
        """Make a model warm and unload the one before."""

    def prepare(self, alive: Callable[[], None]) -> None:
        """Make the first video of the warm model quicker. `alive` is called from time to time and may raise to stop."""

    def generate(self, recipe: Recipe, on_progress: OnProgress, checkpoint: bytes,
                 on_checkpoint: OnCheckpoint, on_frames: OnFrames = lambda frames: None) -> Made:
        """Make the frames of a recipe, or resume from a checkpoint that is not empty."""
