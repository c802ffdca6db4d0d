"""What a worker needs of an engine: `core.diffusion.engine.Engine` is the real one."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from core.domain.progress import OnCheckpoint, OnFrames, OnProgress
from core.domain.receipt import Environment, LoadedModel, Receipt
from core.domain.recipe import Recipe
from core.domain.resources import Resources
from core.domain.video import Runtime


class Made(Protocol):
    """What an engine hands over: frames uint8 (F, H, W, 3), what ran, seconds a phase, sentences to show."""

    @property
    def frames(self) -> np.ndarray:
        """(F, H, W, 3) uint8."""

    @property
    def receipt(self) -> Receipt:
        """What ran."""

    @property
    def runtime(self) -> Runtime:
        """Seconds a phase."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences to show."""


class Engine(Protocol):
    """What a worker needs of an engine; `core.diffusion.engine.Engine` is the real one."""

    @property
    def loaded(self) -> str:
        """The key of the model that is warm, or ""."""

    @property
    def warm(self) -> LoadedModel | None:
        """What the warm model puts into receipts."""

    def environment(self) -> Environment:
        """What this machine puts into receipts."""

    def resources(self) -> Resources:
        """What the device has to offer now."""

    def load(self, key: str, on_progress: OnProgress) -> None:
        """Make a model warm; the one before is let go."""

    def prepare(self, alive: Callable[[], None]) -> None:
        """Make the first video of the warm model quicker; `alive` is called now and then and may raise to stop."""

    def generate(self, recipe: Recipe, on_progress: OnProgress, checkpoint: bytes,
                 on_checkpoint: OnCheckpoint, on_frames: OnFrames = lambda frames: None) -> Made:
        """Make the frames of a recipe, or go on with them from a checkpoint that is not empty."""
