"""From a task to the bytes of a file: the engine, and the kind of work that uses it. In a worker; stores nothing."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.domain.progress import OnCheckpoint, OnProgress
from core.domain.receipt import LoadedModel
from core.domain.resources import Resources
from core.errors import BadRequest
from core.jobs.engine_protocol import Engine
from core.jobs.kinds.kind import Rendered, Tools
from core.jobs.kinds.registry import KINDS, read_task
from core.jobs.protocol import Head


class Renderer:
    """One engine, for one task after another. Used by one thread.

    Args:
        data_dir: the folder with the library that a task may read; None: there is none.
    """

    def __init__(self, engine: Engine, data_dir: Path | None = None) -> None:
        self._engine = engine
        self._data_dir = data_dir
        self.environment = engine.environment()

    @property
    def loaded(self) -> str:
        """The key of the model that is warm, or ""."""
        return self._engine.loaded

    @property
    def warm(self) -> LoadedModel | None:
        """The facts about the warm model that receipts store."""
        return self._engine.warm

    def resources(self) -> Resources:
        """The memory and speed the device offers now. Empty if it does not answer: the next job explains better."""
        try:
            return self._engine.resources()
        except RuntimeError:  # a GPU is full, or lost
            logging.getLogger(__name__).exception("The device does not say what it offers")
            return Resources()

    def load(self, key: str, on_progress: OnProgress) -> None:
        """Make a model warm. Raises the errors of the engine."""
        self._engine.load(key, on_progress)

    def prepare(self, alive: Callable[[], None]) -> None:
        """Make the first video of the warm model quicker. `alive` is called from time to time; its error ends this."""
        self._engine.prepare(alive)

    def render(self, document: dict[str, Any], head: Head, on_progress: OnProgress, checkpoint: bytes,
               on_checkpoint: OnCheckpoint) -> Rendered:
        """Do a task (`Task.document`), as its kind does it.

        Raises:
            BadRequest: not a task.
            StudioError: the error of the engine or the encoder.
            Cancelled, Paused: from the callbacks.
        """
        try:
            task = read_task(document)
        except ValueError as error:
            raise BadRequest("task", f"cannot be read: {error}.") from error
        tools = Tools(self._engine, on_progress, on_checkpoint, checkpoint, self._data_dir)
        return KINDS[task.kind].run(task, head, tools)
