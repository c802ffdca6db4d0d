"""The kinds of work, as rows. A new kind is one row here and a file beside this one."""

import json
from typing import Any

from core.domain.task import Task
from core.jobs.kinds.audition import AuditionKind
from core.jobs.kinds.generate import GenerateKind
from core.jobs.kinds.kind import Kind
from core.jobs.kinds.unknown import Unknown, UnknownKind

KINDS: dict[str, Kind[Any, Any]] = {kind.key: kind for kind in (GenerateKind(), AuditionKind(), UnknownKind())}


def read_task(document: Any) -> Task:
    """The task that `Task.document` wrote. Raises ValueError: it is something else, or of a kind not known here."""
    key = document.get("kind") if isinstance(document, dict) else None
    kind = KINDS.get(key) if isinstance(key, str) else None
    if kind is None:
        raise ValueError(f"{str(document):.40} is not a task of this studio")
    task: Task = kind.read(document)
    return task


def task_in(written: str) -> Task:
    """The task of a row of the ledger. A text that cannot be read here becomes a task of the kind `Unknown`."""
    try:
        return read_task(json.loads(written))
    except ValueError:
        return Unknown(written)
