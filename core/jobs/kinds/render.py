"""From a request to the bytes of a file: the engine, and the encoder beside it. In a worker; writes no library."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from core.domain.modes import mode_of
from core.domain.progress import OnCheckpoint, OnProgress, Progress
from core.domain.receipt import LoadedModel
from core.domain.request import VideoRequest
from core.domain.resources import Resources
from core.domain.video import Result, Video
from core.jobs.engine_protocol import Model
from core.jobs.kinds.audition import audition
from core.jobs.protocol import Head
from core.library.media.clip import finished
from core.library.media.encoding import Encoding
from core.library.sidecar import comment_of


@dataclass(frozen=True)
class Rendered:
    """What is not kept yet.

    Attributes:
        document: a video's sidecar without its verdict; of an audition `Audition.document`.
        file: the MP4, or the contact sheet.
        notes: sentences to show.
    """

    document: dict[str, Any]
    file: bytes
    notes: tuple[str, ...] = ()


class Renderer:
    """One engine, and an encoder for each video. Used by one thread."""

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

    def resources(self) -> Resources:
        """What the device has to offer now; nothing where it does not answer, as the next job then says better."""
        try:
            return self._engine.resources()
        except RuntimeError:  # a GPU is full, or lost
            logging.getLogger(__name__).exception("The device does not say what it offers")
            return Resources()

    def load(self, key: str, on_progress: OnProgress) -> None:
        """Make a model warm; raises what the engine raises."""
        self._engine.load(key, on_progress)

    def prepare(self, alive: Callable[[], None]) -> None:
        """Make the first video of the warm model quicker; what `alive`, asked now and then, raises ends it."""
        self._engine.prepare(alive)

    def render(self, request: VideoRequest, head: Head, on_progress: OnProgress, checkpoint: bytes,
               on_checkpoint: OnCheckpoint) -> Rendered:
        """Make the video, its own settings inside; or, where the head names one, try the seeds of an audition.

        Raises:
            StudioError: what the engine or the encoder has to say.
            Cancelled, Paused: from the callbacks.
        """
        if head.audition is not None:
            tiles, sheet, note = audition(self._engine, request, head.audition, on_progress, checkpoint,
                                          on_checkpoint)
            made = replace(head.audition, noise_sha256=tiles.noise_sha256)
            return Rendered(made.document(), sheet, (note,) if note else ())
        with Encoding(request.fps) as encoding:  # works while the model still decodes
            made = self._engine.generate(request, on_progress, checkpoint, on_checkpoint, encoding.add)
            count, height, width, _ = made.frames.shape
            on_progress(Progress("encoding", 0, count))
            video = Video(
                id=head.id, created=head.created, owner=head.owner, parent=head.parent, origin=head.origin,
                request=replace(request, mode=mode_of(request.mode).key),  # queued before there were modes: none
                receipt=made.receipt, runtime=replace(made.runtime, queued_s=round(head.queued_s, 3)),
                result=Result(count, width, height, request.fps, round(count / request.fps, 6), 0, ""),
            )
            started = time.perf_counter()
            mp4, result = finished(encoding, made.frames, request.fps, comment_of(video))
        encode_s = time.perf_counter() - started
        on_progress(Progress("encoding", count, count))
        runtime = replace(video.runtime, encode_s=encode_s, total_s=made.runtime.total_s + encode_s)
        return Rendered(replace(video, result=result, runtime=runtime).document(), mp4, made.notes)
