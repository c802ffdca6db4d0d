"""What a kind of work is: all that it does at its four stations stands in one file beside this one.

    check   before acceptance: what is asked becomes a complete task, or is refused
    run     in the worker: the task becomes the bytes of a file
    keep    in the dispatcher: the file is stored
    words   on screens and the command line: what is said of it

A new kind is a new file here and one row in `core.jobs.kinds.registry`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from core.domain.progress import OnCheckpoint, OnProgress
from core.domain.recipe import Recipe
from core.domain.request import VideoRequest
from core.domain.task import Task
from core.domain.video import Origin, Video
from core.errors import NotFound
from core.jobs.engine_protocol import Engine
from core.jobs.protocol import Head, Outcome
from core.jobs.queue.job import Job
from core.library.library import Library
from core.library.storage.video_files import MP4, VideoFiles

Asked = TypeVar("Asked")
T = TypeVar("T", bound=Task)


class Checks(Protocol):
    """What a kind may ask of the studio before it accepts something."""

    def recipe(self, request: VideoRequest) -> Recipe:
        """The complete recipe. Raises BadRequest: it cannot be made here."""

    def origin(self, parent: str | None, relation: str) -> Origin | None:
        """What a video made from `parent` is to remember of it."""

    def video(self, video_id: str) -> Video:
        """A video of the library. Raises NotFound, DamagedVideo, ReadOnly: nothing can be made of it."""


@dataclass(frozen=True)
class Tools:
    """What a worker hands to a running task.

    Attributes:
        checkpoint: from where to resume; empty: begin.
        data_dir: holds the library, to read from; None: there is none.
    """

    engine: Engine
    on_progress: OnProgress
    on_checkpoint: OnCheckpoint
    checkpoint: bytes = b""
    data_dir: Path | None = None

    def mp4_path(self, video_id: str) -> Path:
        """The MP4 of a video of the library. Raises NotFound."""
        if self.data_dir is None:
            raise NotFound(f"There is no library in which to look for {video_id}.")
        return VideoFiles(self.data_dir / "library").existing(video_id, MP4)


@dataclass(frozen=True)
class Rendered:
    """What a task became; it is not stored yet.

    Attributes:
        document: what the dispatcher must know of it, as JSON.
        file: the bytes of the file.
        notes: sentences to show.
    """

    document: dict[str, Any]
    file: bytes
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stores:
    """Where the dispatcher stores what was made.

    Attributes:
        note: writes a task that has learnt something back into its job, while that is being committed.
    """

    library: Library
    data_dir: Path
    note: Callable[[Job, Task], None]


class Words(ABC, Generic[T]):
    """What screens and the command line say of a task. It is text, not Markdown.

    Attributes:
        writing: what is said while the file is written.
    """

    writing: str = "Writing the video"

    @abstractmethod
    def label(self, task: T) -> str:
        """What it is, in a word or two; "" where that goes without saying."""

    def icon(self, task: T) -> str:
        """The name of a Material icon beside the label, or ""."""
        return ""

    @abstractmethod
    def made_of(self, task: T) -> str:
        """What tells it from another of the same title, for a caption: `seed 42`."""

    def picture(self, task: T, job_id: str) -> str:
        """Where its picture is, once it is done: a route of the media and a name, `poster/<id>`."""
        return f"poster/{job_id}"

    def opens(self, task: T, job_id: str) -> tuple[str, str]:
        """Where what was made is shown: "video" and its id (the gallery), or "job" and the job's id (Generate)."""
        return "video", job_id

    @abstractmethod
    def canvas(self, task: T) -> tuple[int, int]:
        """Width and height of the picture it becomes, for the place that is held for it."""

    def step(self, task: T, done: int, total: int) -> str:
        """How far its steps are: `Step 12 of 20`."""
        return f"Step {done} of {total}"

    def steps_of(self, task: T) -> str:
        """What the steps are of, behind a space, where that is not one video: ` steps of 6 seeds`."""
        return ""

    def after_steps(self, task: T) -> float:
        """What follows the last step, in parts of the time of all steps."""
        return 0.0


class Kind(ABC, Generic[Asked, T]):
    """One kind of work.

    Attributes:
        key: its name in jobs and documents.
        words: what is said of it.
    """

    key: str
    words: Words[T]

    @abstractmethod
    def read(self, document: dict[str, Any]) -> T:
        """The task that `Task.document` wrote. Raises ValueError: it is something else."""

    @abstractmethod
    def check(self, asked: Asked, checks: Checks) -> T:
        """The complete task. Raises BadRequest and what `checks` raises: it is refused."""

    @abstractmethod
    def asked(self, task: T) -> Asked:
        """What asks for exactly this task."""

    @abstractmethod
    def run(self, task: T, head: Head, tools: Tools) -> Rendered:
        """Make it, in the worker. Raises StudioError; Cancelled and Paused from the callbacks."""

    @abstractmethod
    def keep(self, job: Job, outcome: Outcome, stores: Stores) -> str:
        """Store what was made; a sentence for the person, or "". May be repeated after a crash.

        Raises:
            ClipError: the worker made something else than was asked for.
            DiskFull, ReadOnly, StudioError: it could not be stored.
        """

    @abstractmethod
    def is_kept(self, job: Job, stores: Stores) -> bool:
        """Whether what that job was to make is stored, complete."""

    def with_recipe(self, task: T, recipe: Recipe) -> Asked:
        """What asks for the same with another recipe, for tasks that have one."""
        raise NotImplementedError(f"{self.key} is not made by a recipe")
