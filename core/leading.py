"""Who leads a data directory: the one process that writes its library and runs its jobs.

An OS file lock decides; it is freed the moment its process ends, however it ends. Every other process reads,
submits, and puts changes into the ledger for the leader to do.
"""

import threading
import time
from typing import Any

from filelock import FileLock, Timeout

from core.errors import ReadOnly
from core.jobs.dispatcher import Dispatcher
from core.jobs.executors import ProcessExecutor
from core.jobs.ledger import Ledger
from core.library.changes import change_library
from core.library.library import Library
from core.settings import Settings

COMMAND_TIMEOUT_S = 30.0
STAND_BY_S = 2.0


class Leading:
    """This process's place on one data directory.

    Attributes:
        library: writable when this process leads, else a reader.
        dispatcher: runs the jobs; None unless this process leads in the role "run".
    """

    def __init__(self, settings: Settings, ledger: Ledger, role: str) -> None:
        """Take the lead if `role` ("run", "write" or "read") wants it and nobody has it.

        In the role "run" a process that could not lead stands by, and takes over when the leader ends.
        """
        self._settings = settings
        self._ledger = ledger
        self._role = role
        self._closing = threading.Event()
        self._changing = threading.RLock()
        self._lock = FileLock(settings.data_dir / "studio.lock", thread_local=False)
        self.dispatcher: Dispatcher | None = None
        self.library: Library
        if not (role in ("run", "write") and self._try_to_lead()):
            self.library = Library(settings.data_dir, writable=False)
        if role == "run" and not self.leads:
            threading.Thread(target=self._stand_by, name="stand-by", daemon=True).start()

    @property
    def leads(self) -> bool:
        """Whether this process owns the library."""
        return self._lock.is_locked

    def _try_to_lead(self) -> bool:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        self.library = Library(self._settings.data_dir, writable=True)
        if self._role == "run":
            executor = ProcessExecutor(self._settings)
            self.dispatcher = Dispatcher(self._ledger, self.library, executor, self._settings)
            self.dispatcher.start()
        return True

    def _stand_by(self) -> None:
        while not self._closing.wait(STAND_BY_S):
            with self._changing:
                if not self._closing.is_set() and self._try_to_lead():
                    return

    def change(self, kind: str, arguments: dict[str, Any]) -> Any:
        """Do a change of `core.library.changes` here when this process leads, else have the leader do it.

        Raises:
            ReadOnly: nobody answered within `COMMAND_TIMEOUT_S`; and what the change itself raises.
        """
        with self._changing:
            if self.leads:
                return change_library(self.library, kind, arguments)
        command = self._ledger.command(kind, arguments)
        deadline = time.monotonic() + COMMAND_TIMEOUT_S
        while time.monotonic() < deadline:
            answer = self._ledger.command_result(command)
            if answer is not None:
                return answer
            time.sleep(0.05)
        raise ReadOnly("Another studio owns this library and did not answer. Is it running? "
                       "Close it, or try again.")

    def close(self) -> None:
        """Stop the worker, write the index, let go of the data directory. Safe to call twice."""
        self._closing.set()
        with self._changing:
            if self.dispatcher is not None:
                self.dispatcher.close()
                self.dispatcher = None
            self.library.close()
            self._lock.release()
