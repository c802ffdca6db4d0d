"""One kind of work, completely described: what a job carries, and what a worker is given."""

from typing import Any, Protocol

from core.domain.recipe import Recipe
from core.domain.video import Origin


class Task(Protocol):
    """A frozen value. Each kind of work has a class of its own (`core.jobs.kinds`)."""

    @property
    def kind(self) -> str:
        """The key of its kind of work."""

    @property
    def model(self) -> str:
        """The model it needs, or ""."""

    @property
    def recipe(self) -> Recipe | None:
        """What is made, where it is made by a recipe."""

    @property
    def parent(self) -> str | None:
        """The id of the video it comes from."""

    @property
    def origin(self) -> Origin | None:
        """What the result remembers of that video."""

    @property
    def title(self) -> str:
        """The prompt, or what else a person knows it by."""

    def document(self) -> dict[str, Any]:
        """The task as a JSON object."""
