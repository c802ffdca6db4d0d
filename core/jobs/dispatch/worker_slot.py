"""One worker and its job: claimed, started, watched, paused, cancelled, published, or given back.

Every step can be repeated. A lost answer, a full disk or a crash between any two lines leaves a state from which the
next look continues. Arithmetic with time uses the monotonic clock of this process.
"""

import logging
import time

from core.errors import BadRequest, StudioError, WorkerLost
from core.families.catalog import catalog, folder_on_disk
from core.families.registry import default_model
from core.faults import reach
from core.jobs.dispatch.attempt import Attempt, give_back
from core.jobs.executors.executor import Executor, Silent
from core.jobs.kinds.kind import Stores
from core.jobs.kinds.registry import KINDS
from core.jobs.protocol import IDLE, LOADING, STARTING, Head, Outcome, WorkerStatus, as_text
from core.jobs.queue.job import ACTIVE, CANCELLED, COMMITTING, DONE, FAILED, QUEUED, seconds_between
from core.jobs.queue.job_files import checkpoints, previews
from core.jobs.queue.ledger import Ledger
from core.settings import Settings, hub_cache

PROGRESS_INTERVAL_S = 0.2
POLL_TIMEOUT_S = 1.0
START_TIMEOUT_S = 60.0
TAKE_TIMEOUT_S = 10.0
CANCEL_GRACE_S = 10.0
_LOG = logging.getLogger(__name__)


class WorkerSlot:
    """One worker. All its methods are called by the dispatcher's thread.

    Attributes:
        status: the worker's last answer; None until the first.
    """

    def __init__(self, worker: str, ledger: Ledger, stores: Stores, executor: Executor, settings: Settings,
                 cancel_grace_s: float = CANCEL_GRACE_S) -> None:
        self.status: WorkerStatus | None = None
        self._worker = worker
        self._ledger = ledger
        self._executor = executor
        self._settings = settings
        self._previews = previews(settings.data_dir)
        self._checkpoints = checkpoints(settings.data_dir)
        self._stores = stores
        self._cancel_grace_s = cancel_grace_s
        self._attempt: Attempt | None = None
        self._silent_since: float | None = None
        self._was_ready = False
        self._down = False
        self._may_preload = settings.preload

    def tick(self) -> bool:
        """Look at the worker once and do the next step; whether it is worth looking again soon.

        Raises:
            StudioError, OSError: the ledger or the disk; nothing is lost, the next look tries again.
        """
        try:
            if self._down and not self._raise_up():
                return False
            status = self._look()
            if status is None:
                return True
            if self._attempt is not None:
                self._follow(self._attempt, status)
            if self._attempt is None:
                self._begin(status)
        except Silent:
            self._silent_since = self._silent_since or time.monotonic()  # the next look finds out
        except WorkerLost as error:
            self._lose(str(error))
        return self._attempt is not None or (self.status is not None and self.status.state in (STARTING, LOADING))

    def release(self) -> None:
        """Put the job back in its place when the studio closes. The attempt does not count."""
        if self._attempt is None:
            return
        job, self._attempt = self._attempt.job, None
        try:
            self._ledger.requeue(job.id, job.attempt, "The studio was closed while it ran.", counts=False)
        except StudioError as error:
            _LOG.warning("%s stays as it is until the next start: %s", job.id, error)
        self._previews.forget(job.id)

    # The worker

    def _look(self) -> WorkerStatus | None:
        """The worker's answer, or None while it is silent but may yet answer. Raises WorkerLost."""
        asked = time.monotonic()
        patience = max(1.0, self._settings.worker_timeout_s)
        try:
            status: WorkerStatus = self._executor.call(self._worker, "status",
                                                       timeout=min(POLL_TIMEOUT_S, patience))
        except Silent:
            if not self._was_ready:  # it may not answer while it imports its libraries
                patience = max(patience, START_TIMEOUT_S)
            self._silent_since = self._silent_since or asked
            if time.monotonic() - self._silent_since < patience:
                return None
            raise WorkerLost(f"The worker did not answer for {patience:g} s.") from None
        self._silent_since = None
        self._was_ready = self._was_ready or status.state != STARTING
        self.status = status
        for job_id, number, _ in status.finished:
            if self._attempt is None or (job_id, number) != self._attempt.key:
                self._executor.call(self._worker, "ack", job_id, number)  # nobody waits for it any more
        return status

    def _lose(self, sentence: str) -> None:
        """Replace a worker that is gone, and give its job back."""
        _LOG.warning("%s", sentence)
        was = self.status.state if self.status else STARTING
        attempt, worth_a_new_one = self._attempt, self._was_ready
        if not self._was_ready:
            sentence += " The file worker.log in the data folder says why."
        self.status = WorkerStatus(error="" if worth_a_new_one else sentence)
        self._silent_since, self._was_ready, self._down = None, False, True
        if was == LOADING and attempt is None:
            self._may_preload = False  # loading it unasked killed the worker once
        if worth_a_new_one:
            self._executor.kill(self._worker)
            self._down = False
        if attempt is not None:
            give_back(self._ledger, attempt.job, sentence)
            self._attempt = None
            self._previews.forget(attempt.job.id)

    def _raise_up(self) -> bool:
        """Start a worker again that died before it was ready, but only when a job waits.

        The job is claimed at once. If the worker dies again, this counts as the job's attempt. So a machine on which
        no worker can start ends every job with a reason and does not try for ever.
        """
        if self._attempt is not None:  # its worker was lost, and replacing it failed half-way
            job, self._attempt = self._attempt.job, None
            give_back(self._ledger, job, "The worker was lost.")
        if not self._ledger.counts().get(QUEUED):
            return False
        self._executor.kill(self._worker)
        self._down, self.status = False, WorkerStatus()
        self._begin(self.status)
        return True

    def _preload(self, status: WorkerStatus) -> None:
        """Let an idle, fresh worker load the default model, when it is on this machine."""
        if not self._may_preload or status.state != IDLE or status.model:
            return
        self._may_preload = False
        key = self._settings.model or default_model(status.device)
        spec = catalog(self._settings.models_dir).get(key)
        if spec is not None and folder_on_disk(self._settings.models_dir, hub_cache(), spec) is not None:
            self._executor.call(self._worker, "load", key)

    # Its job

    def _begin(self, status: WorkerStatus) -> None:
        job = self._ledger.claim(self._worker)
        if job is None:
            self._preload(status)
            return
        reach("jobs:claimed")
        self._attempt = Attempt(job)
        self._start(self._attempt)

    def _start(self, attempt: Attempt) -> None:
        job = attempt.job
        head = Head(job.id, job.created, job.owner, job.task.model, seconds_between(job.created, job.started))
        try:
            self._executor.call(self._worker, "start", *attempt.key, job.task.document(), head.document(),
                                as_text(self._checkpoints.read(job.id)))
        except Silent:
            return  # the next look shows whether the worker got it
        except BadRequest as error:
            self._end(attempt, FAILED, str(error), "BadRequest")
        except WorkerLost:
            raise
        except StudioError as error:  # it has a job that we do not know
            raise WorkerLost(str(error)) from error
        reach("jobs:started")

    def _follow(self, attempt: Attempt, status: WorkerStatus) -> None:
        if attempt.key in {(job_id, number) for job_id, number, _ in status.finished}:
            self._conclude(attempt)
        elif (status.job_id, status.attempt) != attempt.key:
            self._start(attempt)  # the worker never got it
        else:
            self._write_down(attempt, status)
            self._keep_checkpoint(attempt, status)
            self._pass_wishes(attempt)

    def _write_down(self, attempt: Attempt, status: WorkerStatus) -> None:
        """Write progress into the ledger and a changed preview to the disk: a new phase at once, steps 5 a second."""
        progress = status.progress
        if progress is None or attempt.told == (progress, status.preview_seq):
            return
        moment = time.monotonic()
        same_phase = attempt.told is not None and attempt.told[0].phase == progress.phase
        if same_phase and moment - attempt.told_at < PROGRESS_INTERVAL_S:
            return
        if status.preview_seq != attempt.preview:
            image = self._executor.call(self._worker, "preview", attempt.job.id)
            if image and self._previews.keep(attempt.job.id, image):
                attempt.preview = status.preview_seq
        self._ledger.progress(*attempt.key, progress, attempt.preview)
        attempt.told, attempt.told_at = (progress, status.preview_seq), moment
        reach("jobs:progress")

    def _keep_checkpoint(self, attempt: Attempt, status: WorkerStatus) -> None:
        if status.checkpoint_seq == attempt.checkpoint:
            return
        data = self._executor.call(self._worker, "checkpoint", attempt.job.id)
        if data:
            self._checkpoints.keep(attempt.job.id, data)
            attempt.checkpoint = status.checkpoint_seq
            reach("jobs:checkpoint")

    def _pass_wishes(self, attempt: Attempt) -> None:
        """Tell the worker to cancel or pause when a person asks for it. Replace a worker that does not cancel."""
        if attempt.cancelled_at is None:
            job = self._ledger.get(attempt.job.id)
            if job.cancel_requested:
                self._executor.call(self._worker, "cancel", *attempt.key)
                attempt.cancelled_at = time.monotonic()
            elif job.pause_requested and not attempt.pausing:
                self._executor.call(self._worker, "pause", *attempt.key)
                attempt.pausing = True
        elif time.monotonic() - attempt.cancelled_at > self._cancel_grace_s:
            self._executor.kill(self._worker)
            self._was_ready, self.status = False, WorkerStatus()
            self._end(attempt, CANCELLED, "Cancelled. The worker did not stop by itself and was replaced.")

    def _conclude(self, attempt: Attempt) -> None:
        outcome: Outcome | None = self._executor.call(self._worker, "take", *attempt.key, timeout=TAKE_TIMEOUT_S)
        if outcome is None:
            return
        reach("jobs:finished")
        if outcome.kind == "lost":
            raise WorkerLost(outcome.reason)
        if outcome.kind == "done":
            self._commit(attempt, outcome)
        elif outcome.kind == "paused":
            self._set_aside(attempt, outcome)
        elif outcome.kind == "cancelled":
            self._end(attempt, CANCELLED, "Cancelled while it ran.")
        else:
            self._end(attempt, FAILED, outcome.reason, outcome.error)
        self._executor.call(self._worker, "ack", *attempt.key)

    def _set_aside(self, attempt: Attempt, outcome: Outcome) -> None:
        """Pause the job where it is, or queue it again at once if the wish to pause was withdrawn."""
        if outcome.checkpoint:
            self._checkpoints.keep(attempt.job.id, outcome.checkpoint)
        begun = outcome if outcome.total else attempt.job
        reach("jobs:pausing")
        self._ledger.requeue(*attempt.key, "", counts=False, done=begun.done, total=begun.total,
                             preview=attempt.preview)
        self._attempt = None
        reach("jobs:paused")

    def _commit(self, attempt: Attempt, outcome: Outcome) -> None:
        """Publish the result. If something stops this half-way, doing it again from the start is correct."""
        if not self._ledger.move(*attempt.key, ACTIVE, COMMITTING):
            self._attempt = None
            return
        reach("jobs:committing")
        try:
            note = KINDS[attempt.job.kind].keep(attempt.job, outcome, self._stores)
        except (StudioError, OSError) as error:
            if not KINDS[attempt.job.kind].is_kept(attempt.job, self._stores):
                reason = str(error) if isinstance(error, StudioError) else f"The result could not be stored: {error}."
                self._end(attempt, FAILED, reason, type(error).__name__)
                return
            note = ""  # it is complete; the error came later, and that part is made again at the next start
        reach("jobs:published")
        job = self._ledger.get(attempt.job.id)
        for wish, asked in (("cancel", job.cancel_requested), ("pause", job.pause_requested)):
            if asked:
                note = f"{note} It was finished before the {wish} arrived.".strip()
        self._end(attempt, DONE, note)
        reach("jobs:done")

    def _end(self, attempt: Attempt, state: str, reason: str, error: str = "") -> None:
        self._ledger.move(*attempt.key, ACTIVE, state, reason, error)
        self._attempt = None
        self._previews.forget(attempt.job.id)
        self._checkpoints.forget(attempt.job.id)
