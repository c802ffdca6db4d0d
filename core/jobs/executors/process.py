"""One worker in a child process, asked through two pipes."""

import itertools
import json
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from core.errors import WorkerLost, revive
from core.jobs.executors.executor import CALL_TIMEOUT_S, Silent, known_method
from core.settings import REPOSITORY, Settings

LEAVE_TIMEOUT_S = 2.0
LOG_LIMIT_BYTES = 4_000_000
COMMAND = (sys.executable, "-m", "core.jobs.worker")


class ProcessExecutor:
    """One worker in a child process. It ends when this process ends, also after a crash."""

    def __init__(self, settings: Settings, command: Sequence[str] = COMMAND) -> None:
        """Start the worker; returns at once, while it imports its libraries."""
        self._settings = settings
        self._command = command
        self._on_news: Callable[[], None] = lambda: None
        self._replacing = threading.Lock()
        self._closed = False
        self._line = self._spawn()

    @property
    def pid(self) -> int:
        """The process of the worker."""
        return self._line.process.pid

    def workers(self) -> Sequence[str]:
        """See `Executor`."""
        return ("worker",)

    def call(self, worker: str, method: str, *args: Any, timeout: float = CALL_TIMEOUT_S) -> Any:
        """See `Executor`."""
        return known_method(method).read(self._line.ask(method, args, timeout))

    def kill(self, worker: str) -> None:
        """See `Executor`."""
        with self._replacing:
            self._line.end(at_once=True)
            if not self._closed:
                self._line = self._spawn()

    def listen(self, on_news: Callable[[], None]) -> None:
        """See `Executor`."""
        self._on_news = on_news

    def close(self) -> None:
        """See `Executor`."""
        with self._replacing:
            self._closed = True
            self._line.end(at_once=False)

    def _spawn(self) -> "_Line":
        """A fresh process, with an empty folder for its temporary files and its messages in `worker.log`."""
        scratch = self._settings.data_dir / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True, exist_ok=True)
        environ = {**self._settings.process_environ(), "TMPDIR": str(scratch)}
        with _log_file(self._settings.data_dir / "worker.log").open("ab") as log:
            process = subprocess.Popen(  # its own session: Ctrl-C in the terminal is for the studio alone
                self._command, cwd=REPOSITORY, env=environ, start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        return _Line(process, lambda: self._on_news())


class _Line:
    """The two pipes to one process: questions out, answers in. Each answer goes to the thread that asked."""

    def __init__(self, process: subprocess.Popen[bytes], on_news: Callable[[], None]) -> None:
        assert process.stdin is not None and process.stdout is not None, "both are pipes"
        self.process = process
        self._stdin, self._stdout = process.stdin, process.stdout
        self._on_news = on_news
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._waiting: dict[int, _Answer] = {}
        self._lost = ""
        self._questions: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="worker-answers", daemon=True)
        self._writer = threading.Thread(target=self._write, name="worker-questions", daemon=True)
        self._reader.start()
        self._writer.start()

    def ask(self, method: str, args: Sequence[Any], timeout: float) -> Any:
        answer = _Answer()
        number = next(self._numbers)
        with self._lock:
            if self._lost:
                raise WorkerLost(self._lost)
            self._waiting[number] = answer
        self._questions.put(json.dumps({"n": number, "method": method, "args": args}).encode() + b"\n")
        if not answer.here.wait(timeout):
            with self._lock:
                self._waiting.pop(number, None)
            raise Silent(f"The worker gave no answer for {timeout:g} s.")
        if answer.document is None:
            raise WorkerLost(self._lost)
        if "error" in answer.document:
            raise revive(answer.document["error"])
        return answer.document["result"]

    def end(self, at_once: bool) -> None:
        """End the process: by SIGTERM, or by SIGKILL when that does not help or `at_once` is set."""
        if at_once:
            self.process.kill()
        else:
            self.process.terminate()
            try:
                self.process.wait(LEAVE_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        self._questions.put(None)
        self._writer.join()
        self._reader.join()
        self._stdout.close()

    def _write(self) -> None:
        """Write in a separate thread, because a frozen process reads nothing once its pipe is full."""
        try:
            with self._stdin as pipe:
                while (question := self._questions.get()) is not None:
                    pipe.write(question)
                    pipe.flush()
        except (OSError, ValueError):
            pass  # the pipe is broken or closed: the reader notices the same, and reports it

    def _read(self) -> None:
        for line in self._stdout:
            try:
                document = json.loads(line)
            except ValueError:
                continue  # the process was killed in the middle of a line
            with self._lock:
                answer = self._waiting.pop(document.get("n", 0), None)
            if answer is not None:
                answer.document = document
                answer.here.set()
            elif "news" in document:
                self._on_news()
        code = self.process.wait()
        with self._lock:
            self._lost = f"The worker's process ended ({_how(code)})."
            waiting = list(self._waiting.values())
        for answer in waiting:
            answer.here.set()
        self._on_news()


class _Answer:
    """A place for one answer; `document` stays None when the worker is lost first."""

    def __init__(self) -> None:
        self.here = threading.Event()
        self.document: dict[str, Any] | None = None


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _log_file(path: Path) -> Path:
    """The log file. A log that has grown too large is renamed first, and stays beside it."""
    if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
        path.replace(path.with_name(path.name + ".1"))
    return path
