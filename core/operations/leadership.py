"""The leader of a data directory: the one process that writes its library and runs its jobs.

An OS file lock decides; it is freed the moment its process ends, also after a crash. Every other process reads and
submits. It asks the leader for changes (through the ledger). If nobody leads, it owns the library itself for that
moment. A bulk action takes longer than a moment, so a separate thread does it then.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from filelock import FileLock, Timeout

from core.errors import NewerLibrary, ReadOnly, StudioError
from core.jobs.dispatch.bulk_runner import BulkRunner
from core.jobs.dispatch.dispatcher import Dispatcher
from core.jobs.executors.executor import Executor
from core.jobs.executors.process import ProcessExecutor
from core.jobs.protocol import WorkerStatus
from core.jobs.queue.ledger import Ledger
from core.library.changes import LibraryChange
from core.library.library import Library
from core.settings import Settings

COMMAND_TIMEOUT_S = 30.0
STAND_BY_S = 2.0
BETWEEN_PIECES_S, TROUBLE_S = 0.005, 0.5


class Leadership:
    """This process's place on one data directory.

    Attributes:
        library: writable when this process leads, else a reader.
        dispatcher: runs the jobs; None unless this process leads.
        problem: why taking over, or a bulk action, failed, as a sentence, or "". It is tried again.
    """

    def __init__(self, settings: Settings, ledger: Ledger, role: str,
                 executor: Callable[[Settings], Executor] = ProcessExecutor) -> None:
        """Open the library. The role "run" leads if possible; "visit" never leads for longer than one change.

        A library that a newer studio wrote is only visited. In the role "run" a process that could not lead stands
        by, and takes over when the leader ends.

        Args:
            executor: starts the workers, when this process leads.

        Raises:
            StudioError, OSError: the library or the worker could not be opened; nothing is left locked.
        """
        self._settings = settings
        self._ledger = ledger
        self._make_executor = executor
        self._closing = threading.Event()
        self._changing = threading.RLock()
        self._lock = FileLock(settings.data_dir / "studio.lock", thread_local=False)
        self.dispatcher: Dispatcher | None = None
        self.problem = ""
        self._own: Library | None = None  # while this process makes many changes and nobody leads
        self._bulk_thread: threading.Thread | None = None
        try:
            if role == "run" and self._try_to_lead():
                return
        except NewerLibrary as error:
            self.problem, role = str(error), "visit"
        self.library = Library(settings.data_dir, False, settings.trash_days)
        if role == "run":
            threading.Thread(target=self._stand_by, name="stand-by", daemon=True).start()

    @property
    def leads(self) -> bool:
        """Whether this process owns the library and runs the jobs."""
        return self.dispatcher is not None

    @property
    def status(self) -> WorkerStatus | None:
        """The worker's last sign of life; None unless this process leads."""
        return self.dispatcher.status if self.dispatcher is not None else None

    @property
    def failure(self) -> str:
        """Why this process runs no jobs any more, though it leads; else ""."""
        return (self.dispatcher.failure or "") if self.dispatcher is not None else ""

    def wake(self) -> None:
        """Look at new jobs and bulk actions now, if this process leads."""
        if self.dispatcher is not None:
            self.dispatcher.wake()

    def somebody_leads(self) -> bool:
        """Whether any process runs the jobs of this data directory."""
        with self._changing:
            if self.leads or not self._acquire():
                return True
            self._lock.release()
            return False

    def _acquire(self) -> bool:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        return True

    def _try_to_lead(self) -> bool:
        if not self._acquire():
            return False
        with ExitStack() as undo:
            undo.callback(self._lock.release)
            library = Library(self._settings.data_dir, True, self._settings.trash_days)
            undo.callback(library.close)
            executor = self._make_executor(self._settings)
            undo.callback(executor.close)
            dispatcher = Dispatcher(self._ledger, library, executor, self._settings)
            dispatcher.start()
            undo.pop_all()
        self.library, self.dispatcher = library, dispatcher
        return True

    def _stand_by(self) -> None:
        while not self._closing.wait(STAND_BY_S):
            with self._changing:
                if self._closing.is_set():
                    return
                try:
                    if self._own is None and self._try_to_lead():
                        self.problem = ""
                        return
                except (StudioError, OSError) as error:
                    self.problem = str(error)

    def change(self, change: LibraryChange) -> Any:
        """Do a change, here or in the process that leads; its answer as JSON.

        Raises:
            ReadOnly: the leader did not begin it within `COMMAND_TIMEOUT_S`; it is withdrawn.
            StudioError: the error of the change itself.
        """
        with self._changing:
            if self.leads or self._own is not None:
                return change.apply(self._own or self.library)
            if self._acquire():
                return self._change_alone(change)
        command = self._ledger.command(change.kind, change.arguments())
        begun = time.monotonic()
        while time.monotonic() < begun + 2 * COMMAND_TIMEOUT_S:
            answer = self._ledger.command_result(command)
            if answer is not None:
                return answer
            if time.monotonic() > begun + COMMAND_TIMEOUT_S and self._ledger.withdraw_command(command):
                raise ReadOnly("Another studio owns this library and did not answer, so nothing was changed. "
                               "Close it, or try again.")
            time.sleep(0.05)
        raise StudioError("The studio that owns this library is still busy with it. Look again in a while.")

    def _change_alone(self, change: LibraryChange) -> Any:
        """Own the library for the length of one change, because nobody leads."""
        with self._alone() as library:
            return change.apply(library)

    @contextmanager
    def _alone(self) -> Iterator[Library]:
        with ExitStack() as undo:
            undo.callback(self._lock.release)
            library = Library(self._settings.data_dir, True, self._settings.trash_days)
            undo.callback(library.close)
            yield library

    @contextmanager
    def staying(self) -> Iterator[None]:
        """For many changes: if nobody leads, the library is opened once, not for each change."""
        with ExitStack() as owned:
            with self._changing:
                if not self.leads and self._own is None and not self.library.newer and self._acquire():
                    self._own = owned.enter_context(self._alone())
                    owned.callback(setattr, self, "_own", None)
            try:
                yield
            finally:
                with self._changing:
                    owned.close()

    def work_off(self) -> None:
        """Make sure that the bulk actions run: in the leader, or, if nobody leads, in a thread of this process.

        Raises:
            StudioError, OSError: the library could not be opened for it.
        """
        with self._changing:
            if self.dispatcher is not None:
                self.dispatcher.wake()
            elif self._own is None and not self._closing.is_set() and not self.library.newer and self._acquire():
                with ExitStack() as undo:
                    self._own = undo.enter_context(self._alone())
                    owned = undo.pop_all()
                self._bulk_thread = threading.Thread(target=self._work_alone, args=(self._own, owned),
                                                     name="bulks", daemon=True)
                self._bulk_thread.start()

    def _work_alone(self, library: Library, owned: ExitStack) -> None:
        """Do the bulk actions, a piece at a time, so that a single change never waits for long.

        Args:
            owned: the library and the lock, closed at the end.
        """
        work, pause = BulkRunner(self._ledger.bulk_queue, library, others_read=True), 0.0
        while True:
            self._closing.wait(pause)
            with self._changing:
                try:
                    going, pause, self.problem = work.tick(), BETWEEN_PIECES_S, ""
                except (StudioError, OSError) as error:
                    going, pause, self.problem = True, TROUBLE_S, str(error)
                if not going or self._closing.is_set():
                    self._own = None
                    owned.close()
                    return

    def close(self) -> None:
        """Stop the worker, write the index, release the data directory. Safe to call twice."""
        self._closing.set()
        if self._bulk_thread is not None:
            self._bulk_thread.join()
        with self._changing:
            if self.dispatcher is not None:
                self.dispatcher.close()
                self.dispatcher = None
            own, self._own = self._own, None  # an import that was left in the middle
            if own is not None:
                own.close()
            self.library.close()
            self._lock.release()
