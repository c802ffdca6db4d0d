"""From a request to the bytes of an MP4: the engine, then the clip. Runs inside a worker, writes no library."""

import time
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from core.jobs.status import Head
from core.library.clip import encode_bytes
from core.library.sidecar import comment_of
from core.progress import OnCheckpoint, OnProgress, Progress
from core.receipt import Environment, LoadedModel, Receipt
from core.request import VideoRequest
from core.video import Result, Runtime, Video


class Made(Protocol):
    """What an engine hands over: frames uint8 (F, H, W, 3), what ran, seconds a phase, sentences to show."""

    frames: np.ndarray
    receipt: Receipt
    runtime: Runtime
    notes: tuple[str, ...]


class Model(Protocol):
    """What a worker needs of an engine; `core.diffusion.engine.Engine` is the real one."""

    @property
    def loaded(self) -> str:
        """The key of the model that is warm, or ""."""

    @property
    def warm(self) -> LoadedModel | None:
        """What the warm model puts into receipts."""

    def environment(self) -> Environment:
        """What this machine puts into receipts."""

    def load(self, key: str, on_progress: OnProgress) -> None:
        """Make a model warm; the one before is let go."""

    def generate(self, request: VideoRequest, on_progress: OnProgress, checkpoint: bytes,
                 on_checkpoint: OnCheckpoint) -> Made:
        """Make the frames of a resolved request, or go on with them from a checkpoint that is not empty."""


@dataclass(frozen=True)
class Rendered:
    """A video that is not in a library yet: its sidecar without a verdict, its file, sentences to show."""

    video: Video
    mp4: bytes
    notes: tuple[str, ...] = ()


class Renderer:
    """One engine and the encoder after it. Used by one thread."""

    def __init__(self, engine: Model) -> None:
        self._engine = engine
        self.environment = engine.environment()

    @property
    def loaded(self) -> str:
        """The key of the model that is warm, or ""."""
        return self._engine.loaded

    @property
    def warm(self) -> LoadedModel | None:
        """What the warm model puts into receipts."""
        return self._engine.warm

    def load(self, key: str, on_progress: OnProgress) -> None:
        """Make a model warm; raises what the engine raises."""
        self._engine.load(key, on_progress)

    def render(self, request: VideoRequest, head: Head, on_progress: OnProgress, checkpoint: bytes,
               on_checkpoint: OnCheckpoint) -> Rendered:
        """Make the video, its own settings inside.

        Raises:
            StudioError: what the engine or the encoder has to say.
            Cancelled, Paused: from the callbacks.
        """
        made = self._engine.generate(request, on_progress, checkpoint, on_checkpoint)
        count, height, width, _ = made.frames.shape
        on_progress(Progress("encoding", 0, count))
        video = Video(
            id=head.id, created=head.created, owner=head.owner, parent=head.parent, request=request,
            receipt=made.receipt, runtime=replace(made.runtime, queued_s=round(head.queued_s, 3)),
            result=Result(count, width, height, request.fps, round(count / request.fps, 6), 0, ""),
        )
        started = time.perf_counter()
        mp4, result = encode_bytes(made.frames, request.fps, comment_of(video))
        encode_s = time.perf_counter() - started
        on_progress(Progress("encoding", count, count))
        runtime = replace(video.runtime, encode_s=encode_s, total_s=made.runtime.total_s + encode_s)
        return Rendered(replace(video, result=result, runtime=runtime), mp4, made.notes)
