"""Where workers run. The dispatcher knows only `Executor`: another way to run workers is one more file here.

An executor never decides anything about jobs. It carries calls, reports a lost worker, and replaces it when told to.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from core.errors import BadRequest, WorkerLost
from core.jobs.protocol import METHODS, Method

CALL_TIMEOUT_S = 5.0


class Silent(WorkerLost):
    """The worker's process is there but gave no answer in time: it may be busy, or frozen."""


class Executor(Protocol):
    """One or more workers, each a `WorkerHost` somewhere."""

    def workers(self) -> Sequence[str]:
        """The names of the workers; they stay the same when one is replaced."""

    def call(self, worker: str, method: str, *args: Any, timeout: float = CALL_TIMEOUT_S) -> Any:
        """Call a method of `core.jobs.protocol.METHODS`.

        Raises:
            Silent: no answer within `timeout` seconds.
            WorkerLost: the worker is gone; it stays so until `kill`.
            StudioError: the error of the method itself.
        """

    def kill(self, worker: str) -> None:
        """End a worker, whatever it does, and put a fresh one in its place."""

    def listen(self, on_news: Callable[[], None]) -> None:
        """Call `on_news`, from any thread, when something ended. It only saves time: looking is enough."""

    def close(self) -> None:
        """End every worker."""


def known_method(method: str) -> Method:
    """The method of that name. Raises BadRequest: a worker has none."""
    if method not in METHODS:
        raise BadRequest("method", f"{method!r} is not something a worker does.")
    return METHODS[method]
