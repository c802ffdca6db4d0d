"""The worker: one process that owns the model, and renders one job at a time.

    python -m core.jobs.worker        JSON lines on stdin and stdout, messages on stderr

A line `{"n": 1, "method": "status", "args": []}` is answered by `{"n": 1, "result": …}` or
`{"n": 1, "error": class, "reason": sentence}`; `{"news": true}` comes unasked when something ended. The main
thread answers within milliseconds while the render thread works; the render thread alone imports torch, so that
a worker answers as soon as its process is up. When stdin ends, so does the worker, at once: whoever started it
is gone, and nothing may keep the GPU.
"""

import json
import logging
import os
import signal
import sys
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from core.errors import BadRequest, Cancelled, StudioError, WorkerLost
from core.jobs.status import BUSY, IDLE, LOADING, METHODS, STARTING, Head, Outcome, WorkerStatus
from core.progress import Progress
from core.request import VideoRequest
from core.settings import Settings

if TYPE_CHECKING:
    from core.jobs.render import Renderer

__all__ = ["WorkerHost", "WorkerStatus", "serve"]

OUTBOX = 4
_LOG = logging.getLogger(__name__)
_UNFORESEEN = ("Something unforeseen went wrong while making this video ({}). "
               "The worker's log in the data folder says more.")


@dataclass(frozen=True)
class _Order:
    """What the render thread is to do: a job, or (job_id "") to load a model."""

    model: str
    job_id: str = ""
    attempt: int = 0
    request: VideoRequest | None = None
    head: Head | None = None


class WorkerHost:
    """One engine behind one render thread, looked at and steered from outside.

    Every method returns at once and is safe to call twice: `start` of a job it has, `ack` of one it has not.
    Outcomes stay until acknowledged, so that a lost answer costs nothing.
    """

    def __init__(self, build: "Callable[[], Renderer]", on_news: Callable[[], None] = lambda: None) -> None:
        """Begin to build the engine.

        Args:
            build: makes the renderer; called in the render thread, again for each job until it succeeds.
            on_news: called from the render thread when it got ready, finished a job, or loaded a model.
        """
        self._build = build
        self._on_news = on_news
        self._changed = threading.Condition()
        self._orders: deque[_Order] = deque()
        self._current: _Order | None = None
        self._stop = False  # what the render thread does now is not wanted any more
        self._closed = False
        self._renderer: Renderer | None = None
        self._status = WorkerStatus()
        self._preview = b""
        self._outbox: OrderedDict[tuple[str, int], Outcome] = OrderedDict()
        self._thread = threading.Thread(target=self._run, name="render", daemon=True)
        self._thread.start()

    # What may be called from outside

    def status(self) -> WorkerStatus:
        """One look at the worker."""
        with self._changed:
            finished = tuple((*key, outcome.kind) for key, outcome in self._outbox.items())
            return replace(self._status, finished=finished)

    def start(self, job_id: str, attempt: int, request: dict[str, Any], head: dict[str, Any]) -> None:
        """Begin a job; a model that is being loaded for nobody makes way.

        Raises:
            BadRequest: not a request.
            StudioError: another job is running.
        """
        order = _Order(request.get("model") or "", job_id, attempt,
                       VideoRequest.from_document(request), Head(**head))
        with self._changed:
            if (job_id, attempt) in self._outbox or self._has(job_id, attempt):
                return
            if any(known.job_id for known in (*self._orders, *filter(None, [self._current]))):
                raise StudioError("The worker is busy with another job.")
            if self._current and self._current.model != order.model:
                self._stop = True
            self._orders.clear()
            self._orders.append(order)
            state = STARTING if self._renderer is None else BUSY
            self._status = replace(self._status, state=state, job_id=job_id, attempt=attempt, error="",
                                   progress=Progress("loading"), preview_seq=0)
            self._preview = b""
            self._changed.notify_all()

    def cancel(self, job_id: str, attempt: int) -> None:
        """Stop that job within one step, if it is the one that runs."""
        with self._changed:
            if self._current and (self._current.job_id, self._current.attempt) == (job_id, attempt):
                self._stop = True
            for order in [order for order in self._orders if (order.job_id, order.attempt) == (job_id, attempt)]:
                self._orders.remove(order)
                self._finish(order, Outcome("cancelled"))

    def take(self, job_id: str, attempt: int) -> Outcome | None:
        """What came of that attempt, or None; it stays here until `ack`."""
        with self._changed:
            return self._outbox.get((job_id, attempt))

    def ack(self, job_id: str, attempt: int) -> None:
        """Forget that outcome: it is safe elsewhere."""
        with self._changed:
            self._outbox.pop((job_id, attempt), None)

    def preview(self, job_id: str) -> bytes | None:
        """The latest preview (animated WebP) of the running job."""
        with self._changed:
            return self._preview or None if self._status.job_id == job_id else None

    def load(self, model: str) -> None:
        """Make a model warm, unless a job runs or waits."""
        with self._changed:
            if self._current is None and not self._orders and self._status.model != model:
                self._orders.append(_Order(model))
                self._changed.notify_all()

    def close(self) -> None:
        """Ask the render thread to end after the step it is at; does not wait for it."""
        with self._changed:
            self._closed = self._stop = True
            self._changed.notify_all()

    # The render thread

    def _run(self) -> None:
        order: _Order | None = None
        while not self._closed:
            try:
                if self._renderer is None:
                    self._get_ready()
                outcome = self._do(order) if order else None
            except Cancelled:
                outcome = Outcome("cancelled")
            except WorkerLost as error:
                outcome = Outcome("lost", "WorkerLost", str(error))
            except StudioError as error:
                outcome = Outcome("failed", type(error).__name__, str(error))
            except Exception as error:  # noqa: BLE001 - whatever a model's code may raise, the worker lives on
                _LOG.exception("Unforeseen")
                outcome = Outcome("failed", type(error).__name__, _UNFORESEEN.format(type(error).__name__))
            order = self._next(order, outcome)

    def _get_ready(self) -> None:
        self._renderer = self._build()
        machine = self._renderer.environment
        with self._changed:
            self._status = replace(self._status, state=BUSY if self._status.job_id else IDLE, environment=machine,
                                   device=machine.device, device_name=machine.device_name, error="")
        self._on_news()

    def _do(self, order: _Order) -> Outcome:
        if not order.job_id:
            with self._changed:
                if not self._status.job_id:
                    self._status = replace(self._status, state=LOADING, progress=Progress("loading"), error="")
            self._renderer.load(order.model, self._on_progress)
            return Outcome("done")
        rendered = self._renderer.render(order.request, order.head, self._on_progress)
        return Outcome("done", reason=" ".join(rendered.notes), document=rendered.video.document(),
                       mp4=rendered.mp4)

    def _next(self, order: _Order | None, outcome: Outcome | None) -> _Order | None:
        """Put the outcome away and wait for the next order."""
        if outcome is not None:
            with self._changed:
                self._finish(order, outcome)
            self._on_news()
        with self._changed:
            while not self._orders and not self._closed:
                self._changed.wait()
            self._current = self._orders.popleft() if self._orders else None
            self._stop = self._closed
            return self._current

    def _finish(self, order: _Order | None, outcome: Outcome) -> None:
        if order is not None and order.job_id:
            self._outbox[order.job_id, order.attempt] = outcome
            while len(self._outbox) > OUTBOX:
                self._outbox.popitem(last=False)
        if order is self._current:
            self._current = None
        ready = self._renderer is not None
        problem = outcome.reason if outcome.kind in ("failed", "lost") and (not ready or not order.job_id) else ""
        waiting = self._orders[0] if self._orders else None
        self._status = replace(
            self._status, model=self._renderer.loaded if ready else "", error=problem,
            state=(BUSY if ready else STARTING) if waiting else LOADING if self._current else IDLE,
            job_id=waiting.job_id if waiting else "", attempt=waiting.attempt if waiting else 0,
            progress=Progress("loading") if waiting else None, preview_seq=0)

    def _on_progress(self, progress: Progress) -> None:
        with self._changed:
            if self._stop:
                raise Cancelled
            seq = self._status.preview_seq
            if progress.preview is not None:
                self._preview, seq = progress.preview, seq + 1
            self._status = replace(self._status, model=self._renderer.loaded, preview_seq=seq,
                                   progress=replace(progress, preview=None))

    def _has(self, job_id: str, attempt: int) -> bool:
        return any((order.job_id, order.attempt) == (job_id, attempt)
                   for order in (*self._orders, *filter(None, [self._current])))


# The process


def serve(build: "Callable[[], Renderer]") -> NoReturn:
    """Answer JSON lines until stdin ends. Takes the process's stdout for itself first."""
    answers = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints goes to the log
    sys.stdout = sys.stderr
    writing = threading.Lock()

    def say(document: dict[str, Any]) -> None:
        line = memoryview(json.dumps(document).encode() + b"\n")
        with writing:
            while line:
                line = line[os.write(answers, line):]

    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the studio, which then ends us
    host = WorkerHost(build, on_news=lambda: say({"news": True}))
    try:
        for line in sys.stdin.buffer:
            say(_answer(host, json.loads(line)))
    except (BrokenPipeError, ValueError):
        pass  # nobody listens any more, or the other side ended in the middle of a line
    os._exit(0)  # at once, in mid-step: there is nobody to hand a result to


def _answer(host: WorkerHost, question: dict[str, Any]) -> dict[str, Any]:
    name = question["method"]
    try:
        if name not in METHODS:
            raise BadRequest("method", f"{name!r} is not something a worker does.")
        result = getattr(host, name)(*question["args"])
    except StudioError as error:
        reason = error.reason if isinstance(error, BadRequest) else str(error)
        return {"n": question["n"], "error": type(error).__name__, "reason": reason}
    return {"n": question["n"], "result": METHODS[name].write(result)}


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    os._exit(0)


def _build() -> "Renderer":
    # Imported here, in the render thread: torch takes seconds, and the worker answers meanwhile.
    from core.diffusion.engine import Engine
    from core.jobs.render import Renderer

    return Renderer(Engine(Settings.from_env()))


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    serve(_build)
