"""The kinds of work, as rows. A new kind is one row here and a file beside this one."""

from typing import Any

from core.domain.task import Task
from core.jobs.kinds.audition import AuditionKind
from core.jobs.kinds.generate import GenerateKind
from core.jobs.kinds.kind import Kind

KINDS: dict[str, Kind[Any, Any]] = {kind.key: kind for kind in (GenerateKind(), AuditionKind())}


def read_task(document: Any) -> Task:
    """The task that `Task.document` wrote. Raises ValueError: it is something else, or of a kind not known here."""
    kind = KINDS.get(document.get("kind", "")) if isinstance(document, dict) else None
    if kind is None:
        raise ValueError(f"{str(document):.40} is not a task of this studio")
    task: Task = kind.read(document)
    return task
