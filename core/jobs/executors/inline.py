"""One worker in a thread of this process, for tests and tools that need no separate process."""

from collections.abc import Callable, Sequence
from typing import Any

from core.jobs.executors.executor import CALL_TIMEOUT_S, known_method
from core.jobs.worker.host import WorkerHost


class InlineExecutor:
    """One worker in a thread of this process. It cannot be killed, only asked to stop and replaced."""

    def __init__(self, make: Callable[[Callable[[], None]], WorkerHost]) -> None:
        """Start the worker; `make(on_news)` makes one, again for each replacement."""
        self._make = make
        self._on_news: Callable[[], None] = lambda: None
        self._host = make(self._news)

    def workers(self) -> Sequence[str]:
        """See `Executor`."""
        return ("inline",)

    def call(self, worker: str, method: str, *args: Any, timeout: float = CALL_TIMEOUT_S) -> Any:
        """See `Executor`."""
        known_method(method)
        return getattr(self._host, method)(*args)

    def kill(self, worker: str) -> None:
        """See `Executor`."""
        self._host.close()
        self._host = self._make(self._news)

    def listen(self, on_news: Callable[[], None]) -> None:
        """See `Executor`."""
        self._on_news = on_news

    def close(self) -> None:
        """See `Executor`."""
        self._host.close()

    def _news(self) -> None:
        self._on_news()
