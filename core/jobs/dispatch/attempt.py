"""One attempt at a job, and the next state of the job when the attempt is lost."""

from dataclasses import dataclass

from core.domain.progress import Progress
from core.jobs.queue.job import ACTIVE, INTERRUPTED, Job
from core.jobs.queue.ledger import Ledger

ATTEMPTS = 2


@dataclass
class Attempt:
    """The attempt a worker works on, and the state of it that was last stored.

    Attributes:
        told, told_at: the progress in the ledger with its preview's number, and the time (monotonic) of writing it.
        preview, checkpoint: the numbers of the ones on the disk.
        pausing, cancelled_at: whether the worker was told to pause, and when it was told to cancel.
    """

    job: Job
    told: tuple[Progress, int] | None = None
    told_at: float = 0.0
    preview: int = 0
    checkpoint: int = 0
    pausing: bool = False
    cancelled_at: float | None = None

    @property
    def key(self) -> tuple[str, int]:
        """The name of the attempt for the worker and the ledger."""
        return self.job.id, self.job.attempt


def give_back(ledger: Ledger, job: Job, sentence: str) -> None:
    """Queue a job again after its worker or studio was lost. The second time, set it aside so that others run."""
    if job.attempt < ATTEMPTS or ledger.get(job.id).cancel_requested:
        ledger.requeue(job.id, job.attempt, f"{sentence} It is made again.")
    else:
        ledger.move(job.id, job.attempt, ACTIVE, INTERRUPTED,
                    f"{sentence} It was the second time, so this job was set aside and the others continue. "
                    "Try it again, perhaps with fewer frames or a smaller size.", "WorkerLost")
