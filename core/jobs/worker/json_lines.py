"""A worker's side of the pipes: one JSON document a line in, one a line out.

The answer to a line `{"n": 1, "method": "status", "args": []}` is `{"n": 1, "result": …}` or `{"n": 1, "error": …}`
(`core.errors.written`). A line `{"news": true}` comes without a question when something ended.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

from core.errors import BadRequest, StudioError, written
from core.jobs.protocol import METHODS


def answer_lines(make: Callable[[Callable[[], None]], object]) -> NoReturn:
    """Answer for the `WorkerHost` that `make(on_news)` makes, until stdin ends. Takes stdout for itself."""
    answers = os.dup(1)
    os.dup2(2, 1)  # the output of libraries goes to the log
    sys.stdout = sys.stderr
    writing = threading.Lock()

    def say(document: dict[str, Any]) -> None:
        line = memoryview(json.dumps(document).encode() + b"\n")
        with writing:
            while line:
                line = line[os.write(answers, line):]

    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the studio, which then ends us
    host = make(lambda: say({"news": True}))
    try:
        for line in sys.stdin.buffer:
            say(_answer(host, json.loads(line)))
    except (BrokenPipeError, ValueError):
        pass  # nobody listens any more, or the other side ended in the middle of a line
    os._exit(0)  # at once, in mid-step: there is nobody to hand a result to


def _answer(host: object, question: dict[str, Any]) -> dict[str, Any]:
    name = question["method"]
    try:
        if name not in METHODS:
            raise BadRequest("method", f"{name!r} is not something a worker does.")
        result = getattr(host, name)(*question["args"])
    except StudioError as error:
        return {"n": question["n"], "error": written(error)}
    return {"n": question["n"], "result": METHODS[name].write(result)}


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    os._exit(0)
