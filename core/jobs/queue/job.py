"""A job: an accepted task, and its progress. Its id is the id of its result."""

from dataclasses import dataclass
from datetime import UTC, datetime

from core.domain.task import Task
from core.domain.video import new_id

QUEUED, RUNNING, COMMITTING = "queued", "running", "committing"
PAUSED = "paused"
DONE, FAILED, CANCELLED, INTERRUPTED = "done", "failed", "cancelled", "interrupted"
ACTIVE = (RUNNING, COMMITTING)
ENDED = (DONE, FAILED, CANCELLED, INTERRUPTED)
UNFINISHED = (*ACTIVE, QUEUED, PAUSED)
RETRYABLE = (FAILED, INTERRUPTED, CANCELLED)
STATES = (QUEUED, *ACTIVE, PAUSED, *ENDED)


@dataclass(frozen=True)
class Job:
    """One accepted task.

    Attributes:
        id: also the id of its result.
        task: the complete description of the work (`core.jobs.kinds`).
        owner: a user's name; "" when nobody signs in.
        state: one of `STATES`.
        attempt: the number of times it was begun; 0 while it waits for the first time.
        reason: a sentence about the state, or ""; error: the class name of the error.
        phase, done, total: of `core.domain.progress.Progress`, as last reported; of a paused job: where it was paused.
        phase_from: the value of `done` when that phase was first reported; large after a resume from a checkpoint.
        preview: counts the previews received; 0: none yet.
        created, started, phase_started, ended: UTC, ISO 8601, for display only; None until it happens.
        cancel_requested, pause_requested: somebody asked to stop it, for ever or for a while.
        position: 1 for the next to run; 0 when it does not wait.
    """

    id: str
    task: Task
    owner: str = ""
    state: str = QUEUED
    attempt: int = 0
    reason: str = ""
    error: str = ""
    phase: str = "queued"
    done: int = 0
    total: int = 0
    preview: int = 0
    created: str = ""
    started: str | None = None
    phase_started: str | None = None
    ended: str | None = None
    cancel_requested: bool = False
    pause_requested: bool = False
    phase_from: int = 0
    position: int = 0

    @classmethod
    def new(cls, task: Task, owner: str = "") -> "Job":
        """A job of a task, to be added to the ledger: a new id, created now."""
        return cls(id=new_id(), task=task, owner=owner, created=now())

    @property
    def kind(self) -> str:
        """The key of its kind of work."""
        return self.task.kind

    @property
    def ended_well(self) -> bool:
        """Whether its result has been made and stored."""
        return self.state == DONE

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED


def now() -> str:
    """The present moment: UTC, ISO 8601, milliseconds. For display and records, never for arithmetic."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def seconds_between(earlier: str | None, later: str | None) -> float:
    """Seconds between two such moments, never negative (a clock may have been set back)."""
    if not earlier or not later:
        return 0.0
    return max(0.0, (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds())
