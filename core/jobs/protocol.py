"""The words that cross between the dispatcher and a worker, and their form on the wire (JSON)."""

from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from core.domain.progress import Progress
from core.domain.receipt import Environment, LoadedModel
from core.domain.resources import Resources

STARTING, IDLE, LOADING, BUSY = "starting", "idle", "loading", "busy"


@dataclass(frozen=True)
class Head:
    """The facts about a job, beyond its task, that a worker needs.

    Attributes:
        id, created, owner: of the video to make.
        model: the model the task needs, or "".
        queued_s: seconds the job waited before it was claimed.
    """

    id: str
    created: str
    owner: str = ""
    model: str = ""
    queued_s: float = 0.0

    def document(self) -> dict[str, Any]:
        """The head as a JSON object."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Head":
        """Read what `document` wrote."""
        return cls(**document)


@dataclass(frozen=True)
class WorkerStatus:
    """One look at a worker.

    Attributes:
        state: "starting" (its libraries are being imported), "idle", "loading" (a model), "busy" (a job).
        device: "cpu" or "cuda", device_name: its own name; "" while starting.
        model: key of the model that is loaded and warm, or ""; warm: its identity for receipts, or None.
        environment: the facts about this machine that receipts store; None while starting.
        job_id, attempt: the job it works on, or "" and 0.
        progress: how far the job, or the loading of a model, is; never carries a preview.
        preview_seq: counts the previews of this job; fetch one with `preview` when it has changed.
        checkpoint_seq: the same of its checkpoints and `checkpoint`.
        finished: (job_id, attempt, kind) of each outcome that waits to be taken.
        resources: the memory and speed the device offered when the last job ended; None while starting.
        error: a sentence, when the engine could not be built or the last model could not be loaded.
    """

    state: str = STARTING
    device: str = ""
    device_name: str = ""
    model: str = ""
    environment: Environment | None = None
    job_id: str = ""
    attempt: int = 0
    progress: Progress | None = None
    preview_seq: int = 0
    checkpoint_seq: int = 0
    finished: tuple[tuple[str, int, str], ...] = ()
    error: str = ""
    warm: LoadedModel | None = None
    resources: Resources | None = None

    def document(self) -> dict[str, Any]:
        """The status as a JSON object."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "WorkerStatus":
        """Read what `document` wrote."""
        environment, progress, warm, resources = (
            document[name] for name in ("environment", "progress", "warm", "resources"))
        return cls(**{
            **document,
            "environment": Environment(**environment) if environment else None,
            "progress": Progress(**progress) if progress else None,
            "warm": LoadedModel(**warm) if warm else None,
            "resources": Resources(**resources) if resources else None,
            "finished": tuple((job_id, attempt, kind) for job_id, attempt, kind in document["finished"]),
        })


@dataclass(frozen=True)
class Outcome:
    """The result of one attempt at a job.

    Attributes:
        kind: "done", "failed", "cancelled", "paused", or "lost" (the worker must be replaced and the job run
            again).
        error, reason: class name and sentence when it failed or was lost.
        document, file: when done: as in `core.jobs.kinds.kind.Rendered`.
        checkpoint, done, total: when paused: the state to resume from, and how far that is. They are empty and 0
            when it was paused before its first step.
    """

    kind: str
    error: str = ""
    reason: str = ""
    document: dict[str, Any] = field(default_factory=dict)
    file: bytes = b""
    checkpoint: bytes = b""
    done: int = 0
    total: int = 0


def as_text(data: bytes) -> str:
    """Bytes as they cross in a line of JSON."""
    return b64encode(data).decode("ascii")


def as_bytes(text: str) -> bytes:
    """Read the text of `as_text`."""
    return b64decode(text)


def _outcome_document(outcome: Outcome | None) -> dict[str, Any] | None:
    if outcome is None:
        return None
    return {**asdict(outcome), "file": as_text(outcome.file), "checkpoint": as_text(outcome.checkpoint)}


def _outcome(document: dict[str, Any] | None) -> Outcome | None:
    if document is None:
        return None
    return Outcome(**{**document, "file": as_bytes(document["file"]),
                      "checkpoint": as_bytes(document["checkpoint"])})


def _same(value: Any) -> Any:
    return value


def _text_or_none(data: bytes | None) -> str | None:
    return as_text(data) if data else None


def _bytes_or_none(text: str | None) -> bytes | None:
    return as_bytes(text) if text else None


@dataclass(frozen=True)
class Method:
    """One method of a worker that may be called from outside: how its answer is written and read as JSON."""

    write: Callable[[Any], Any] = _same
    read: Callable[[Any], Any] = _same


METHODS: dict[str, Method] = {
    "status": Method(WorkerStatus.document, WorkerStatus.from_document),
    "start": Method(),
    "cancel": Method(),
    "pause": Method(),
    "take": Method(_outcome_document, _outcome),
    "ack": Method(),
    "preview": Method(_text_or_none, _bytes_or_none),
    "checkpoint": Method(_text_or_none, _bytes_or_none),
    "load": Method(),
}
