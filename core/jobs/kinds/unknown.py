"""A task that this studio cannot read: a newer one left it in the queue, or its row is damaged.

It is shown, and its text stays as it is. It fails when its turn comes, so that no other job waits for it.
"""

import json
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

from core.domain.recipe import Recipe
from core.domain.video import Origin
from core.errors import BadRequest
from core.jobs.kinds.kind import Checks, Kind, Rendered, Stores, Tools, Words
from core.jobs.protocol import Head, Outcome
from core.jobs.queue.job import Job

_SENTENCE = "is of a kind that this studio does not know. Update the studio, then try it again."


@dataclass(frozen=True)
class Unknown:
    """The text of the row."""

    written: str
    kind: ClassVar[str] = "unknown"
    model: ClassVar[str] = ""
    recipe: ClassVar[Recipe | None] = None
    parent: ClassVar[str | None] = None
    origin: ClassVar[Origin | None] = None
    title: ClassVar[str] = "A job of another version"

    def document(self) -> dict[str, Any]:
        """The text as a JSON object; empty if it is none."""
        try:
            found = json.loads(self.written)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


class UnknownWords(Words[Unknown]):
    """See `Words`."""

    def label(self, task: Unknown) -> str:
        """The key of its kind."""
        return f"{task.document().get('kind', '')!s:.40}"

    def made_of(self, task: Unknown) -> str:
        """Nothing is known of it."""
        return "this version cannot read it"

    def canvas(self, task: Unknown) -> tuple[int, int]:
        """Any."""
        return 16, 9


class UnknownKind(Kind[object, Unknown]):
    """See `Kind`. It is never accepted, and never made."""

    key = Unknown.kind
    words = UnknownWords()

    def read(self, document: dict[str, Any]) -> Unknown:
        """Raises ValueError: no document names this kind."""
        raise ValueError("it does not say what it is")

    def check(self, asked: object, checks: Checks) -> NoReturn:
        """Raises BadRequest."""
        raise BadRequest("task", _SENTENCE)

    def asked(self, task: Unknown) -> object:
        """See `Kind`."""
        return task

    def run(self, task: Unknown, head: Head, tools: Tools) -> Rendered:
        """Raises BadRequest."""
        raise BadRequest("task", _SENTENCE)

    def keep(self, job: Job, outcome: Outcome, stores: Stores) -> str:
        """Raises BadRequest."""
        raise BadRequest("task", _SENTENCE)

    def is_kept(self, job: Job, stores: Stores) -> bool:
        """Never."""
        return False
