"""Actions on an audition that has ended: finish one of its seeds, or remove it."""

from dataclasses import replace
from pathlib import Path

from core.domain.request import VideoRequest
from core.errors import BadRequest, NotFound
from core.jobs.kinds.audition import Audition
from core.jobs.queue.job import Job
from core.jobs.queue.ledger import Ledger
from core.library.storage.contact_sheets import ContactSheets


def finished(job: Job, seed: int) -> VideoRequest:
    """The request for the video of one of its seeds. Raises BadRequest: that seed was not tried."""
    task = job.task
    if not isinstance(task, Audition) or seed not in task.seeds:
        raise BadRequest("seed", f"{seed} was not tried by the job {job.id}.")
    return replace(task.recipe.request(), seed=seed)


def forget(ledger: Ledger, data_dir: Path, job_id: str) -> None:
    """Remove an audition, and its sheet. Raises NotFound: it is none, or has not ended."""
    gone = NotFound(f"{job_id} is no audition that has ended; it may have been deleted already.")
    try:
        job = ledger.get(job_id)
    except NotFound as error:
        raise gone from error
    if not isinstance(job.task, Audition) or not ledger.forget(job_id):
        raise gone
    # After the row: if a crash leaves a sheet here, it goes with the oldest; a row without its sheet would stay.
    ContactSheets(data_dir).forget(job_id)
