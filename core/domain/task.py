"""A task: one piece of work, completely described. A job carries it, and a worker receives it."""

from typing import Any, Protocol

from core.domain.recipe import Recipe
from core.domain.video import Origin


class Task(Protocol):
    """A frozen value. Each kind of work has its own class (`core.jobs.kinds`)."""

    @property
    def kind(self) -> str:
        """The key of its kind of work."""

    @property
    def model(self) -> str:
        """The model it needs, or ""."""

    @property
    def recipe(self) -> Recipe | None:
        """The recipe of the result, if it has one."""

    @property
    def parent(self) -> str | None:
        """The id of the video it comes from."""

    @property
    def origin(self) -> Origin | None:
        """The facts about that video that the result remembers."""

    @property
    def title(self) -> str:
        """The prompt, or another text by which a person knows the task."""

    def document(self) -> dict[str, Any]:
        """The task as a JSON object."""
