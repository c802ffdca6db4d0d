"""The worker: one process that owns the model, and renders one job at a time.

    python -m core.jobs.worker        JSON lines on stdin and stdout, messages on stderr

`core.jobs.worker.json_lines` defines the lines. The main thread answers within milliseconds while the render thread
works. Only the render thread imports torch, so that a worker answers as soon as its process is up. When stdin ends, the
worker ends at once: its studio is gone, and the GPU must be free.
"""

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from core.domain.progress import Progress
from core.errors import Cancelled, Paused, StudioError, WorkerLost
from core.jobs.protocol import BUSY, IDLE, LOADING, STARTING, Head, Outcome, WorkerStatus, as_bytes
from core.jobs.worker.checkpoint_cadence import Cadence, LatestCheckpoint

if TYPE_CHECKING:
    from core.jobs.worker.renderer import Renderer

OUTBOX = 4
_LOG = logging.getLogger(__name__)
_UNFORESEEN = ("Something unforeseen went wrong while making this video ({}). "
               "The worker's log in the data folder says more.")


@dataclass(frozen=True)
class _Order:
    """The work for the render thread: a job, or (job_id "") to load a model."""

    model: str
    job_id: str = ""
    attempt: int = 0
    task: dict[str, Any] = field(default_factory=dict)
    head: Head | None = None
    checkpoint: bytes = b""


class WorkerHost:
    """One engine behind one render thread, looked at and steered from outside.

    Every method returns at once and is safe to call twice: `start` of a job it has, `ack` of a job it does not have.
    Outcomes stay until acknowledged, so that a lost answer costs nothing.
    """

    def __init__(self, build: "Callable[[], Renderer]", on_news: Callable[[], None] = lambda: None,
                 cadence: Cadence = Cadence()) -> None:  # noqa: B008 (it is frozen)
        """Begin to build the engine.

        Args:
            build: makes the renderer; called in the render thread, again for each job until it succeeds.
            on_news: called from the render thread when it is ready, has finished a job, or has loaded a model.
            cadence: how often checkpoints are made.
        """
        self._build = build
        self._on_news = on_news
        self._changed = threading.Condition()
        self._orders: deque[_Order] = deque()
        self._current: _Order | None = None
        self._stop = False  # the present work of the render thread is not wanted any more
        self._pause = False  # it is wanted later
        self._closed = False
        self._renderer: Renderer | None = None
        self._status = WorkerStatus()
        self._preview = b""
        self._cadence = cadence
        self._latest_checkpoint = LatestCheckpoint(cadence)
        self._outbox: OrderedDict[tuple[str, int], Outcome] = OrderedDict()
        self._thread = threading.Thread(target=self._run, name="render", daemon=True)
        self._thread.start()

    # Calls from outside

    def status(self) -> WorkerStatus:
        """One look at the worker."""
        with self._changed:
            finished = tuple((*key, outcome.kind) for key, outcome in self._outbox.items())
            return replace(self._status, finished=finished)

    def start(self, job_id: str, attempt: int, task: dict[str, Any], head: dict[str, Any],
              checkpoint: str = "") -> None:
        """Begin a job. It stops the loading of another model that no job needs.

        Args:
            checkpoint: resume from it (`core.jobs.protocol.as_text`), where that is possible.

        Raises:
            StudioError: another job is running.
        """
        about = Head.from_document(head)
        order = _Order(about.model, job_id, attempt, task, about, as_bytes(checkpoint))
        with self._changed:
            known = [*self._orders, *filter(None, [self._current])]
            if (job_id, attempt) in {*self._outbox, *((order.job_id, order.attempt) for order in known)}:
                return
            if any(order.job_id for order in known):
                raise StudioError("The worker is busy with another job.")
            if self._current and self._current.model != order.model:
                self._stop = True
            self._orders.clear()
            self._orders.append(order)
            state = STARTING if self._renderer is None else BUSY
            self._status = replace(self._status, state=state, job_id=job_id, attempt=attempt, error="",
                                   progress=Progress("loading"), preview_seq=0, checkpoint_seq=0)
            self._preview, self._latest_checkpoint = b"", LatestCheckpoint(self._cadence)
            self._changed.notify_all()

    def cancel(self, job_id: str, attempt: int) -> None:
        """Stop that job within one step, if it is the one that runs."""
        with self._changed:
            self._stop = self._interrupt(job_id, attempt, Outcome("cancelled")) or self._stop

    def pause(self, job_id: str, attempt: int) -> None:
        """Stop that job after its present step, with a fresh checkpoint. A job past its last step continues."""
        with self._changed:
            self._pause = self._interrupt(job_id, attempt, Outcome("paused")) or self._pause

    def _interrupt(self, job_id: str, attempt: int, outcome: Outcome) -> bool:
        """End a job that waits here, with that outcome; whether it runs instead."""
        for order in [order for order in self._orders if (order.job_id, order.attempt) == (job_id, attempt)]:
            self._orders.remove(order)
            self._finish(order, outcome)
        current = self._current
        return current is not None and (current.job_id, current.attempt) == (job_id, attempt)

    def take(self, job_id: str, attempt: int) -> Outcome | None:
        """The outcome of that attempt, or None. It stays here until `ack`."""
        with self._changed:
            return self._outbox.get((job_id, attempt))

    def ack(self, job_id: str, attempt: int) -> None:
        """Forget that outcome: it is stored elsewhere."""
        with self._changed:
            self._outbox.pop((job_id, attempt), None)

    def preview(self, job_id: str) -> bytes | None:
        """The latest preview (animated WebP) of the running job."""
        with self._changed:
            return self._preview or None if self._status.job_id == job_id else None

    def checkpoint(self, job_id: str) -> bytes | None:
        """The latest checkpoint of the running job."""
        with self._changed:
            return self._latest_checkpoint.latest or None if self._status.job_id == job_id else None

    def load(self, model: str) -> None:
        """Make a model warm, unless a job runs or waits."""
        with self._changed:
            if self._current is None and not self._orders and self._status.model != model:
                self._orders.append(_Order(model))
                self._changed.notify_all()

    def close(self) -> None:
        """Ask the render thread to end after its present step; does not wait for it."""
        with self._changed:
            self._closed = self._stop = True
            self._changed.notify_all()

    # The render thread

    def _run(self) -> None:
        order: _Order | None = None
        while not self._closed:
            try:
                renderer = self._renderer or self._get_ready()
                outcome = self._do(renderer, order) if order else None
            except Paused:
                outcome = self._paused()
            except Cancelled:
                outcome = Outcome("cancelled")
            except WorkerLost as error:
                outcome = Outcome("lost", "WorkerLost", str(error))
            except StudioError as error:
                outcome = Outcome("failed", type(error).__name__, str(error))
            except Exception as error:  # noqa: BLE001 - whatever a model's code may raise, the worker continues
                _LOG.exception("Unforeseen")
                outcome = Outcome("failed", type(error).__name__, _UNFORESEEN.format(type(error).__name__))
            order = self._next(order, outcome)

    def _get_ready(self) -> "Renderer":
        self._renderer = renderer = self._build()
        machine, resources = renderer.environment, renderer.resources()
        with self._changed:
            self._status = replace(self._status, state=BUSY if self._status.job_id else IDLE, environment=machine,
                                   device=machine.device, device_name=machine.device_name, error="",
                                   resources=resources)
        self._on_news()
        return renderer

    def _do(self, renderer: "Renderer", order: _Order) -> Outcome:
        if not order.job_id:
            with self._changed:
                if not self._status.job_id:
                    self._status = replace(self._status, state=LOADING, progress=Progress("loading"), error="")
            renderer.load(order.model, self._on_progress)
            with self._changed:
                self._finish(order, Outcome("done"))  # the model can be used now; nobody waits for the rest
            self._on_news()
            renderer.prepare(self._make_way)
            return Outcome("done")
        assert order.head is not None
        rendered = renderer.render(order.task, order.head, self._on_progress, order.checkpoint,
                                         self._on_checkpoint)
        return Outcome("done", reason=" ".join(rendered.notes), document=rendered.document,
                       file=rendered.file)

    def _next(self, order: _Order | None, outcome: Outcome | None) -> _Order | None:
        """Store the outcome and wait for the next order."""
        if outcome is not None:
            with self._changed:
                self._finish(order, outcome)
            self._on_news()
        with self._changed:
            while not self._orders and not self._closed:
                self._changed.wait()
            self._current = self._orders.popleft() if self._orders else None
            self._stop, self._pause = self._closed, False
            return self._current

    def _finish(self, order: _Order | None, outcome: Outcome) -> None:
        if order is not None and order.job_id:
            self._outbox[order.job_id, order.attempt] = outcome
            while len(self._outbox) > OUTBOX:
                self._outbox.popitem(last=False)
        if order is self._current:
            self._current = None
        renderer = self._renderer
        unasked = renderer is None or order is None or not order.job_id
        problem = outcome.reason if outcome.kind in ("failed", "lost") and unasked else ""
        waiting = self._orders[0] if self._orders else None
        self._status = replace(
            self._status, model=renderer.loaded if renderer else "", error=problem,
            warm=renderer.warm if renderer else None,
            resources=renderer.resources() if renderer else None,
            state=(BUSY if renderer else STARTING) if waiting else LOADING if self._current else IDLE,
            job_id=waiting.job_id if waiting else "", attempt=waiting.attempt if waiting else 0,
            progress=Progress("loading") if waiting else None, preview_seq=0, checkpoint_seq=0)

    def _on_progress(self, progress: Progress) -> None:
        with self._changed:
            if self._stop:
                raise Cancelled
            if self._pause and progress.phase in ("downloading", "loading"):
                raise Paused
            seq = self._status.preview_seq
            if progress.preview is not None:
                self._preview, seq = progress.preview, seq + 1
            renderer = self._renderer
            self._status = replace(self._status, model=renderer.loaded if renderer else "",
                                   warm=renderer.warm if renderer else None,
                                   preview_seq=seq, progress=replace(progress, preview=None))

    def _make_way(self) -> None:
        """Stop preparing when a job waits: the job goes first."""
        if self._orders or self._closed:
            raise Cancelled

    def _on_checkpoint(self, step: int, make: Callable[[], bytes]) -> None:
        pause = self._pause
        if not pause and not self._latest_checkpoint.is_due(step):
            return
        self._latest_checkpoint.keep(step, make)
        with self._changed:
            self._status = replace(self._status, checkpoint_seq=self._latest_checkpoint.seq)
        if pause:
            raise Paused

    def _paused(self) -> Outcome:
        """The outcome of a pause: with a checkpoint after a step, empty before the first step."""
        progress = self._status.progress
        if progress is None or progress.phase != "denoising":
            return Outcome("paused")
        return Outcome("paused", checkpoint=self._latest_checkpoint.latest, done=progress.done, total=progress.total)
