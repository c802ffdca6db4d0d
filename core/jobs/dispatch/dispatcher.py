"""The dispatcher: the one thread that runs the queue and writes the library.

While something runs, it looks at each worker ten times a second. Otherwise it looks at the ledger five times a second.
A submission in this process wakes it, and so does a worker that has finished: it then looks at once.
"""

import logging
import sys
import threading
import time
from typing import Any

from core.errors import NotFound, StudioError
from core.jobs.dispatch.attempt import give_back
from core.jobs.dispatch.bulk_runner import BulkRunner
from core.jobs.dispatch.worker_slot import CANCEL_GRACE_S, WorkerSlot
from core.jobs.executors.executor import Executor
from core.jobs.kinds.kind import Stores
from core.jobs.kinds.registry import KINDS
from core.jobs.protocol import WorkerStatus
from core.jobs.queue.job import ACTIVE, DONE
from core.jobs.queue.job_files import checkpoints, previews
from core.jobs.queue.ledger import Command, Ledger
from core.library.changes import read_change
from core.library.library import Library
from core.settings import Settings

NEXT_PIECE_S, BUSY_S, IDLE_S, TROUBLE_S = 0.005, 0.1, 0.2, 0.5
EMPTY_S, EMPTIED = 60.0, 20
_LOG = logging.getLogger(__name__)


class Dispatcher:
    """Runs the jobs of one data directory. Exactly one may exist for it: the caller holds the lock.

    Attributes:
        failure: a sentence when an unforeseen error has ended the thread, else None.
        trouble: a sentence while the ledger or the disk stops its work, else "". It tries again.
    """

    def __init__(self, ledger: Ledger, library: Library, executor: Executor, settings: Settings,
                 cancel_grace_s: float = CANCEL_GRACE_S) -> None:
        """Nothing runs until `start`, or `tick` by hand.

        Args:
            cancel_grace_s: how long a worker may take to stop a cancelled job before it is replaced.
        """
        self.failure: str | None = None
        self.trouble = ""
        self._ledger = ledger
        self._library = library
        self._executor = executor
        self._settings = settings
        self._stores = Stores(library, settings.data_dir, ledger.note)
        self._slots = [WorkerSlot(worker, ledger, self._stores, executor, settings, cancel_grace_s)
                       for worker in executor.workers()]
        self._files = (previews(settings.data_dir), checkpoints(settings.data_dir))
        self._bulk_runner = BulkRunner(ledger.bulk_queue, library)
        self._recovered = False
        self._empty_at = 0.0
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self.run, name="dispatcher", daemon=True)
        executor.listen(self.wake)

    @property
    def status(self) -> WorkerStatus | None:
        """The worker's last sign of life, or None before the first."""
        return self._slots[0].status

    def start(self) -> None:
        """Run in a separate thread until `close`."""
        self._thread.start()

    def wake(self) -> None:
        """Look at once, because there is something to do. From any thread."""
        self._woken.set()

    def close(self) -> None:
        """Finish the current round, end the workers, put running jobs back into the queue. Safe to call twice."""
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join()
        self._executor.close()
        for slot in self._slots:
            slot.release()

    def run(self) -> None:
        """Run in the calling thread until `close`. An unforeseen error ends it and is raised."""
        try:
            while not self._stopping.is_set():
                pause = self.tick()
                self._woken.wait(pause)
                self._woken.clear()
        finally:
            error = sys.exception()
            if error is not None:
                self.failure = (f"an unforeseen error ended the thread that runs the jobs "
                                f"({type(error).__name__}: {error}). Restart the studio; no job is lost.")

    def tick(self) -> float:
        """One round: recover (the first time), do one command, look at each worker, do a piece of a bulk action.

        Returns: seconds to wait after it.
        """
        busy = False
        try:
            if not self._recovered:
                self._recover()
            self._obey()
            self._tidy()
            self._empty_trash()
            for slot in self._slots:
                busy = slot.tick() or busy
            working = self._bulk_runner.tick()
        except (StudioError, OSError) as error:
            if str(error) != self.trouble:
                _LOG.warning("The jobs have to wait: %s", error)
            self.trouble = str(error)
            return TROUBLE_S
        self.trouble = ""
        return NEXT_PIECE_S if working else BUSY_S if busy else IDLE_S

    def _recover(self) -> None:
        """Handle jobs that a crash left running: done if the result is complete, else queued again or set aside."""
        for job in self._ledger.running():
            if KINDS[job.kind].is_kept(job, self._stores):
                self._ledger.move(job.id, job.attempt, ACTIVE, DONE)
            else:
                give_back(self._ledger, job, "The studio stopped while it ran.")
        self._ledger.requeue_commands()
        self._recovered = True

    def _tidy(self) -> None:
        """Remove the files of jobs that ended without this thread: at a crash, or cancelled while paused."""
        for files in self._files:
            for job_id in files.job_ids():
                try:
                    unfinished = not self._ledger.get(job_id).has_ended
                except NotFound:
                    unfinished = False
                if not unfinished:
                    files.forget(job_id)

    def _empty_trash(self) -> None:
        """Remove a few videos that were in the trash for long enough; once a minute look for more."""
        if time.monotonic() >= self._empty_at and self._library.deleting.expire(EMPTIED) < EMPTIED:
            self._empty_at = time.monotonic() + EMPTY_S

    def _obey(self) -> None:
        """Do one command of another process, and answer it."""
        command = self._ledger.next_command()
        if command is None:
            return
        try:
            self._ledger.finish_command(command.id, self._change(command))
        except StudioError as error:
            self._ledger.finish_command(command.id, error=error)

    def _change(self, command: Command) -> Any:
        try:
            change = read_change(command.kind, command.args)
            return change.ensure(self._library) if command.attempt > 1 else change.apply(self._library)
        except (OSError, ValueError) as error:  # a file that cannot be, such as one whose name holds a zero
            raise StudioError(f"The library could not be changed: {error}.") from error
